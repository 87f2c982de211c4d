//! Spaces: named, typed, bounded choices, and points in them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::condition::Condition;
use crate::json::Json;
use crate::rng::Rng;

/// The values an axis can take.
#[derive(Debug, Clone, PartialEq)]
pub enum Domain {
    /// Real numbers in [low, high]; with `step`, only low + k·step.
    Float {
        /// Smallest value.
        low: f64,
        /// Largest value.
        high: f64,
        /// Whether ratios matter rather than differences; needs low > 0.
        log: bool,
        /// Distance between neighbours; excludes `log`.
        step: Option<f64>,
    },
    /// Whole numbers low, low + step, … up to high.
    Int {
        /// Smallest value.
        low: i64,
        /// Largest value.
        high: i64,
        /// Whether ratios matter rather than differences; needs low > 0 and step 1.
        log: bool,
        /// Distance between neighbours, at least 1.
        step: i64,
    },
    /// One of several options without order.
    Choice {
        /// The options: texts, numbers or booleans, all different.
        options: Vec<Json>,
    },
}

/// One named choice of a space.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// Unique name.
    pub name: String,
    /// The values it can take.
    pub domain: Domain,
    /// When the axis is active; always where `None`.
    pub when: Option<Condition>,
}

/// The value of one axis.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AxisValue {
    /// A real number.
    Float(f64),
    /// A whole number.
    Int(i64),
    /// An index into the options of a choice.
    Choice(usize),
}

/// Named axes, in the order they were given.
#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    axes: Vec<Axis>,
    /// Indices of the axes, each after those its condition reads.
    order: Vec<usize>,
}

/// An assignment of the active axes of a space.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    space: Arc<Space>,
    values: Vec<Option<AxisValue>>,
}

impl AxisValue {
    /// The value's bits, for hashing and exact comparison; −0.0 counts as 0.0.
    fn key(self) -> (u8, u64) {
        match self {
            Self::Float(v) => (0, (v + 0.0).to_bits()),
            Self::Int(v) => (1, v as u64),
            Self::Choice(v) => (2, v as u64),
        }
    }
}

impl Domain {
    /// Number of values; `None` where there is a continuum.
    pub fn cardinality(&self) -> Option<u64> {
        match self {
            Self::Float {
                low, high, step, ..
            } => match step {
                Some(step) => Some(steps(*low, *high, *step) + 1),
                None if low == high => Some(1),
                None => None,
            },
            Self::Int {
                low, high, step, ..
            } => Some((high.abs_diff(*low) / step.unsigned_abs()).saturating_add(1)),
            Self::Choice { options } => Some(options.len() as u64),
        }
    }

    /// Whether the values are options without order.
    pub fn is_choice(&self) -> bool {
        matches!(self, Self::Choice { .. })
    }

    /// The value with rank `index` (numbers rise with it), for domains with a cardinality.
    ///
    /// # Panics
    /// When the domain is a continuum or `index` is not below the cardinality.
    pub fn nth(&self, index: u64) -> AxisValue {
        assert!(
            self.cardinality().is_some_and(|n| index < n),
            "the domain has no value {index}"
        );
        match self {
            Self::Float {
                low, high, step, ..
            } => AxisValue::Float((low + index as f64 * step.unwrap_or(0.0)).min(*high)),
            Self::Int { low, step, .. } => {
                AxisValue::Int(low.wrapping_add((index as i64).wrapping_mul(*step)))
            }
            Self::Choice { .. } => AxisValue::Choice(index as usize),
        }
    }

    /// The rank of `value`, the inverse of [`Domain::nth`]; `None` for a continuum.
    pub fn rank(&self, value: AxisValue) -> Option<u64> {
        match (self, value) {
            (
                Self::Float {
                    low,
                    step: Some(step),
                    ..
                },
                AxisValue::Float(v),
            ) => Some(((v - low) / step).round().max(0.0) as u64),
            (Self::Float { low, high, .. }, AxisValue::Float(_)) if low == high => Some(0),
            (Self::Int { low, step, .. }, AxisValue::Int(v)) => {
                Some(v.abs_diff(*low) / step.unsigned_abs())
            }
            (Self::Choice { .. }, AxisValue::Choice(v)) => Some(v as u64),
            _ => None,
        }
    }

    /// The value at `u` in [0, 1]: equal parts of [0, 1] for equal parts of the (log) scale. Values outside are clamped.
    pub fn at_unit(&self, u: f64) -> AxisValue {
        let u = if u.is_nan() { 0.5 } else { u.clamp(0.0, 1.0) };
        match self {
            Self::Float {
                low,
                high,
                log,
                step: None,
            } => {
                let v = if *log {
                    libm::exp(libm::log(*low) * (1.0 - u) + libm::log(*high) * u)
                } else {
                    low * (1.0 - u) + high * u
                };
                AxisValue::Float(v.clamp(*low, *high))
            }
            Self::Int {
                low,
                high,
                log: true,
                ..
            } => {
                let (a, b) = (libm::log(*low as f64 - 0.5), libm::log(*high as f64 + 0.5));
                let v = libm::round(libm::exp(a * (1.0 - u) + b * u));
                AxisValue::Int((v as i64).clamp(*low, *high))
            }
            stepped => {
                let n = stepped.cardinality().expect("every other domain is finite");
                stepped.nth(((u * n as f64) as u64).min(n - 1))
            }
        }
    }

    /// A place in [0, 1] that [`Domain::at_unit`] maps back to `value`.
    pub fn to_unit(&self, value: AxisValue) -> f64 {
        let u = match (self, value) {
            (
                Self::Float {
                    low,
                    high,
                    log,
                    step: None,
                },
                AxisValue::Float(v),
            ) => {
                if low == high {
                    0.5
                } else if *log {
                    (libm::log(v) - libm::log(*low)) / (libm::log(*high) - libm::log(*low))
                } else {
                    // Halved first: high − low may exceed the largest float.
                    (v / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0)
                }
            }
            (
                Self::Int {
                    low,
                    high,
                    log: true,
                    ..
                },
                AxisValue::Int(v),
            ) => {
                let (a, b) = (libm::log(*low as f64 - 0.5), libm::log(*high as f64 + 0.5));
                (libm::log(v as f64) - a) / (b - a)
            }
            (stepped, value) => {
                let n = stepped.cardinality().unwrap_or(1) as f64;
                (stepped.rank(value).unwrap_or(0) as f64 + 0.5) / n
            }
        };
        u.clamp(0.0, 1.0)
    }

    /// Whether `value` is of this domain.
    pub fn contains(&self, value: AxisValue) -> bool {
        match (self, value) {
            (
                Self::Float {
                    low, high, step, ..
                },
                AxisValue::Float(v),
            ) => {
                v >= *low
                    && v <= *high
                    && step.is_none_or(|_| {
                        let nearest = self.nth(
                            self.rank(value)
                                .unwrap_or(0)
                                .min(self.cardinality().expect("stepped domains are finite") - 1),
                        );
                        let AxisValue::Float(w) = nearest else {
                            return false;
                        };
                        (v - w).abs() <= 1e-9 * (1.0 + w.abs())
                    })
            }
            (
                Self::Int {
                    low, high, step, ..
                },
                AxisValue::Int(v),
            ) => v >= *low && v <= *high && v.abs_diff(*low) % step.unsigned_abs() == 0,
            (Self::Choice { options }, AxisValue::Choice(v)) => v < options.len(),
            _ => false,
        }
    }

    /// The exact grid value for one that is off by rounding only, so that equal points have equal bits.
    fn snap(&self, value: AxisValue) -> AxisValue {
        match self {
            Self::Float { step: Some(_), .. } => {
                self.rank(value).map_or(value, |index| self.nth(index))
            }
            _ => value,
        }
    }

    /// A uniform draw on the domain's own scale.
    pub fn sample(&self, rng: &mut Rng) -> AxisValue {
        match self.cardinality() {
            // Log integers weigh by ratio; all else finite is drawn exactly evenly.
            Some(n) if !matches!(self, Self::Int { log: true, .. }) => self.nth(rng.below(n)),
            _ => self.at_unit(rng.unit()),
        }
    }

    fn check(&self) -> Result<(), String> {
        match self {
            Self::Float {
                low,
                high,
                log,
                step,
            } => {
                if !low.is_finite() || !high.is_finite() {
                    return Err(format!("bounds [{low}, {high}] must be finite"));
                }
                if low > high {
                    return Err(format!("lower bound {low} is above upper bound {high}"));
                }
                if *log && *low <= 0.0 {
                    return Err(format!(
                        "log = true needs a lower bound above 0, found {low}"
                    ));
                }
                if *log && step.is_some() {
                    return Err("log = true and step exclude each other".into());
                }
                if let Some(step) = step
                    && (!step.is_finite() || *step <= 0.0 || (high - low) / step > 9e15)
                {
                    return Err(format!(
                        "step {step} must be above 0 and fit [{low}, {high}]"
                    ));
                }
            }
            Self::Int {
                low,
                high,
                log,
                step,
            } => {
                if low > high {
                    return Err(format!("lower bound {low} is above upper bound {high}"));
                }
                if *step < 1 {
                    return Err(format!("step {step} must be at least 1"));
                }
                if *log && (*low < 1 || *step != 1) {
                    return Err("log = true needs a lower bound of at least 1 and no step".into());
                }
            }
            Self::Choice { options } => {
                if options.is_empty() {
                    return Err("a choice needs at least one option".into());
                }
                for (i, option) in options.iter().enumerate() {
                    if !(option.is_string() || option.is_number() || option.is_boolean()) {
                        return Err(format!("option {option} must be a text, number or boolean"));
                    }
                    if options[..i].contains(option) {
                        return Err(format!("option {option} is listed twice"));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whole steps from `low` that stay at or below `high`, forgiving rounding in the last digit.
fn steps(low: f64, high: f64, step: f64) -> u64 {
    ((high - low) / step * (1.0 + 1e-12) + 1e-9).floor() as u64
}

impl Space {
    /// A space of the given axes.
    ///
    /// # Errors
    /// When a name is empty or used twice, bounds contradict each other, or a condition reads an unknown axis, compares with
    /// a value its axis cannot take, or depends on itself.
    pub fn new(axes: Vec<Axis>) -> Result<Self, SpaceError> {
        for (i, axis) in axes.iter().enumerate() {
            if axis.name.is_empty() {
                return Err(SpaceError::Unnamed { index: i });
            }
            if axes[..i].iter().any(|a| a.name == axis.name) {
                return Err(SpaceError::Twice {
                    axis: axis.name.clone(),
                });
            }
            axis.domain.check().map_err(|reason| SpaceError::Axis {
                axis: axis.name.clone(),
                reason,
            })?;
            if let Some(condition) = &axis.when {
                condition.check(&axis.name, &axes)?;
            }
        }
        let order = dependency_order(&axes)?;
        Ok(Self { axes, order })
    }

    /// The axes, in the order they were given.
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// Indices of the axes, each after those its condition reads.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// Index of the axis called `name`.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.axes.iter().position(|a| a.name == name)
    }

    /// Number of assignments when conditions are disregarded (an upper bound of the number of points); `None` where there
    /// is a continuum or more than 2^63.
    pub fn cardinality(&self) -> Option<u64> {
        self.axes.iter().try_fold(1u64, |n, axis| {
            n.checked_mul(axis.domain.cardinality()?)
                .filter(|&n| n <= 1 << 63)
        })
    }

    /// The assignment with rank `index` in mixed radix (last axis fastest), inactive axes dropped: for spaces with a
    /// cardinality. Different ranks may give the same point where there are conditions.
    ///
    /// # Panics
    /// When the space has no cardinality or `index` is not below it.
    pub fn nth(self: &Arc<Self>, mut index: u64) -> Point {
        let mut values = vec![None; self.axes.len()];
        for (i, axis) in self.axes.iter().enumerate().rev() {
            let n = axis.domain.cardinality().expect("the space is finite");
            values[i] = Some(axis.domain.nth(index % n));
            index /= n;
        }
        assert_eq!(index, 0, "the space has fewer points");
        self.point(values)
    }

    /// A point from a value for every axis; values of inactive axes are dropped, missing active ones and values outside
    /// the domain take the nearest or middle value.
    pub fn point(self: &Arc<Self>, mut values: Vec<Option<AxisValue>>) -> Point {
        values.resize(self.axes.len(), None);
        for &i in &self.order {
            let axis = &self.axes[i];
            if axis
                .when
                .as_ref()
                .is_some_and(|c| !c.holds(&self.axes, &values))
            {
                values[i] = None;
                continue;
            }
            let value = values[i].filter(|v| axis.domain.contains(*v));
            values[i] = Some(value.map(|v| axis.domain.snap(v)).unwrap_or_else(|| {
                match values[i] {
                    Some(AxisValue::Float(_) | AxisValue::Int(_)) => axis
                        .domain
                        .at_unit(axis.domain.to_unit(values[i].expect("it is some"))),
                    _ => axis.domain.at_unit(0.5),
                }
            }));
        }
        Point {
            space: self.clone(),
            values,
        }
    }

    /// A point from one place in [0, 1] for every axis; see [`Domain::at_unit`].
    pub fn at_unit(self: &Arc<Self>, unit: &[f64]) -> Point {
        let values = self
            .axes
            .iter()
            .enumerate()
            .map(|(i, axis)| Some(axis.domain.at_unit(unit.get(i).copied().unwrap_or(0.5))))
            .collect();
        self.point(values)
    }

    /// A point with every axis drawn uniformly on its own scale.
    pub fn sample(self: &Arc<Self>, rng: &mut Rng) -> Point {
        let values = self
            .axes
            .iter()
            .map(|axis| Some(axis.domain.sample(rng)))
            .collect();
        self.point(values)
    }

    /// The point in the middle of every axis.
    pub fn middle(self: &Arc<Self>) -> Point {
        self.at_unit(&[])
    }

    /// Whether every axis has finitely many values.
    pub fn is_finite(&self) -> bool {
        self.axes.iter().all(|a| a.domain.cardinality().is_some())
    }

    /// The first point of a finite space in the order of [`Point::successor`].
    pub fn first(self: &Arc<Self>) -> Point {
        let values = self
            .axes
            .iter()
            .map(|axis| axis.domain.cardinality().map(|_| axis.domain.nth(0)))
            .collect();
        self.point(values)
    }

    /// A point from values of exactly the active axes.
    fn exact_point(self: &Arc<Self>, values: Vec<Option<AxisValue>>) -> Result<Point, SpaceError> {
        let point = self.point(values.clone());
        for ((axis, given), kept) in self.axes.iter().zip(&values).zip(&point.values) {
            match (given, kept) {
                (None, Some(_)) => {
                    return Err(SpaceError::Missing {
                        axis: axis.name.clone(),
                    });
                }
                (Some(_), None) => {
                    return Err(SpaceError::Inactive {
                        axis: axis.name.clone(),
                    });
                }
                _ => {}
            }
        }
        Ok(point)
    }

    /// Whether `values` are, by axis index, exactly those of a point: in their domains, and `None` where inactive.
    pub fn admits(self: &Arc<Self>, values: &[Option<AxisValue>]) -> bool {
        self.point(values.to_vec()).values == values
    }

    /// A point from JSON, `{"axis": value, …}`, as [`Point::to_json`] writes it.
    ///
    /// # Errors
    /// When an axis is unknown, an active axis is missing, an inactive one is given, or a value is outside its domain.
    pub fn point_from_json(self: &Arc<Self>, json: &Json) -> Result<Point, SpaceError> {
        let object = json.as_object().ok_or_else(|| SpaceError::NotAPoint {
            found: json.to_string(),
        })?;
        let mut values = vec![None; self.axes.len()];
        for (name, value) in object {
            let i = self.index(name).ok_or_else(|| SpaceError::Unknown {
                axis: name.clone(),
                known: self.axes.iter().map(|a| a.name.clone()).collect(),
            })?;
            values[i] = Some(self.axes[i].value_from_json(value)?);
        }
        self.exact_point(values)
    }
}

impl Axis {
    /// An axis that is always active.
    pub fn new(name: impl Into<String>, domain: Domain) -> Self {
        Self {
            name: name.into(),
            domain,
            when: None,
        }
    }

    /// Reads a value of this axis.
    ///
    /// # Errors
    /// When the value is not of the axis's domain; the message says what is.
    pub fn value_from_json(&self, json: &Json) -> Result<AxisValue, SpaceError> {
        let value = match &self.domain {
            Domain::Float { .. } => json.as_f64().map(AxisValue::Float),
            Domain::Int { .. } => json
                .as_i64()
                .or_else(|| {
                    json.as_f64()
                        .filter(|v| v.fract() == 0.0 && v.abs() < 9e15)
                        .map(|v| v as i64)
                })
                .map(AxisValue::Int),
            Domain::Choice { options } => options
                .iter()
                .position(|o| o == json || o.as_f64().is_some_and(|v| Some(v) == json.as_f64()))
                .map(AxisValue::Choice),
        };
        value
            .filter(|v| self.domain.contains(*v))
            .ok_or_else(|| SpaceError::Value {
                axis: self.name.clone(),
                value: json.to_string(),
                wanted: self.domain.to_string(),
            })
    }

    /// Writes a value of this axis.
    pub fn value_to_json(&self, value: AxisValue) -> Json {
        match (value, &self.domain) {
            (AxisValue::Float(v), _) => v.into(),
            (AxisValue::Int(v), _) => v.into(),
            (AxisValue::Choice(i), Domain::Choice { options }) => {
                options.get(i).cloned().unwrap_or(Json::Null)
            }
            (AxisValue::Choice(i), _) => i.into(),
        }
    }
}

impl Point {
    /// The space the point is of.
    pub fn space(&self) -> &Arc<Space> {
        &self.space
    }

    /// Values by axis index; `None` for inactive axes.
    pub fn values(&self) -> &[Option<AxisValue>] {
        &self.values
    }

    /// The value of the axis called `name`, where it is active.
    pub fn get(&self, name: &str) -> Option<AxisValue> {
        self.values[self.space.index(name)?]
    }

    /// The same point with one axis set to another value (conditions applied anew).
    pub fn with(&self, axis: usize, value: AxisValue) -> Self {
        let mut values = self.values.clone();
        values[axis] = Some(value);
        self.space.point(values)
    }

    /// Places in [0, 1] by axis index; `None` for inactive axes.
    pub fn to_unit(&self) -> Vec<Option<f64>> {
        self.space
            .axes
            .iter()
            .zip(&self.values)
            .map(|(axis, value)| value.map(|v| axis.domain.to_unit(v)))
            .collect()
    }

    /// `{"axis": value, …}` of the active axes, in the space's order.
    pub fn to_json(&self) -> Json {
        self.space
            .axes
            .iter()
            .zip(&self.values)
            .filter_map(|(axis, value)| Some((axis.name.clone(), axis.value_to_json((*value)?))))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    /// The next point of a finite space, every point once, in the order of the axes' ranks (axes that others depend on
    /// change last); `None` after the last, or where an axis is a continuum.
    pub fn successor(&self) -> Option<Self> {
        let mut values = self.values.clone();
        for &i in self.space.order.iter().rev() {
            let domain = &self.space.axes[i].domain;
            let n = domain.cardinality()?;
            let Some(value) = values[i] else { continue };
            let rank = domain.rank(value)?;
            if rank + 1 < n {
                values[i] = Some(domain.nth(rank + 1));
                // The axes after it start anew; the conditions say which of them are active.
                let after = self.space.order.iter().rev().take_while(|j| **j != i);
                for &j in after {
                    values[j] = Some(self.space.axes[j].domain.nth(0));
                }
                return Some(self.space.point(values));
            }
        }
        None
    }

    /// A 128-bit hash of the values, equal for equal points and on every platform.
    pub fn fingerprint(&self) -> u128 {
        // A dense odd multiplier and a fold after each word: every bit of a value reaches every bit of the result.
        const MULTIPLIER: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
        self.values.iter().fold(MULTIPLIER, |hash, value| {
            let (tag, bits) = value.map_or((3, 0), AxisValue::key);
            let mixed =
                (hash ^ u128::from(bits) ^ (u128::from(tag) << 64)).wrapping_mul(MULTIPLIER);
            mixed ^ (mixed >> 64)
        })
    }

    /// A key that is equal exactly for equal points of one space.
    pub fn key(&self) -> PointKey {
        let mut words = vec![0; self.values.len().div_ceil(64)];
        words.reserve_exact(self.values.len());
        for (i, value) in self.values.iter().enumerate() {
            words[i / 64] |= u64::from(value.is_some()) << (i % 64);
        }
        words.extend(self.values.iter().map(|v| v.map_or(0, |v| v.key().1)));
        PointKey(words.into())
    }
}

/// Identity of a point within its space, for sets and maps: a bit for each axis that says whether it is active, then the bits
/// of each value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PointKey(Box<[u64]>);

impl std::fmt::Display for Domain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Float {
                low,
                high,
                log,
                step,
            } => {
                write!(f, "a number in [{low}, {high}]")?;
                if *log {
                    write!(f, " (log)")?;
                }
                step.map_or(Ok(()), |s| write!(f, " in steps of {s}"))
            }
            Self::Int {
                low,
                high,
                log,
                step,
            } => {
                write!(f, "a whole number in [{low}, {high}]")?;
                if *log {
                    write!(f, " (log)")?;
                }
                if *step > 1 {
                    write!(f, " in steps of {step}")?;
                }
                Ok(())
            }
            Self::Choice { options } => {
                let texts: Vec<String> = options.iter().map(Json::to_string).collect();
                write!(f, "one of {}", crate::text::listed(&texts))
            }
        }
    }
}

/// The axes in an order in which conditions only read earlier ones.
fn dependency_order(axes: &[Axis]) -> Result<Vec<usize>, SpaceError> {
    let mut order = Vec::with_capacity(axes.len());
    let mut placed = vec![false; axes.len()];
    while order.len() < axes.len() {
        let before = order.len();
        for (i, axis) in axes.iter().enumerate() {
            let ready = axis.when.iter().flat_map(Condition::axes).all(|name| {
                axes.iter()
                    .position(|a| a.name == name)
                    .is_some_and(|j| placed[j])
            });
            if !placed[i] && ready {
                placed[i] = true;
                order.push(i);
            }
        }
        if order.len() == before {
            let cycle: Vec<String> = axes
                .iter()
                .zip(&placed)
                .filter(|(_, done)| !**done)
                .map(|(a, _)| a.name.clone())
                .collect();
            return Err(SpaceError::Cycle { axes: cycle });
        }
    }
    Ok(order)
}

/// What can be wrong with a space or a point.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum SpaceError {
    #[error("axis number {index} has no name")]
    Unnamed { index: usize },
    #[error("axis `{axis}` is given twice")]
    Twice { axis: String },
    #[error("axis `{axis}`: {reason}")]
    Axis { axis: String, reason: String },
    #[error(
        "conditions depend on each other in a circle: {}",
        crate::text::listed(axes)
    )]
    Cycle { axes: Vec<String> },
    #[error("a point is an object of axis values, found {found}")]
    NotAPoint { found: String },
    #[error("a point is an array of {wanted} values, found {found}")]
    NotARow { wanted: usize, found: String },
    #[error("no axis `{axis}`; there are {}", crate::text::listed(known))]
    Unknown { axis: String, known: Vec<String> },
    #[error("axis `{axis}` is active at this point and has no value")]
    Missing { axis: String },
    #[error("axis `{axis}` is not active at this point and takes no value")]
    Inactive { axis: String },
    #[error("axis `{axis}`: {value} is not {wanted}")]
    Value {
        axis: String,
        value: String,
        wanted: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn domains() -> impl Strategy<Value = Domain> {
        prop_oneof![
            (-1e3..1e3f64, 0.0..1e3f64).prop_map(|(low, w)| Domain::Float {
                low,
                high: low + w,
                log: false,
                step: None
            }),
            (1e-6..1.0f64, 1.0..1e9f64).prop_map(|(low, r)| Domain::Float {
                low,
                high: low * r,
                log: true,
                step: None
            }),
            (-10.0..10.0f64, 0.01..1.0f64, 0u32..50).prop_map(|(low, step, k)| Domain::Float {
                low,
                high: low + step * f64::from(k),
                log: false,
                step: Some(step)
            }),
            (-100..100i64, 0..500i64, 1..5i64).prop_map(|(low, w, step)| Domain::Int {
                low,
                high: low + w,
                log: false,
                step
            }),
            (1..10i64, 0..100_000i64).prop_map(|(low, w)| Domain::Int {
                low,
                high: low + w,
                log: true,
                step: 1
            }),
            (1usize..9).prop_map(|n| Domain::Choice {
                options: (0..n).map(Json::from).collect()
            }),
        ]
    }

    proptest! {
        #[test]
        fn unit_values_are_of_the_domain_and_come_back(domain in domains(), u in 0.0..=1.0f64) {
            let value = domain.at_unit(u);
            prop_assert!(domain.contains(value), "{domain}: {value:?}");
            let back = domain.at_unit(domain.to_unit(value));
            match (value, back) {
                (AxisValue::Float(a), AxisValue::Float(b)) => prop_assert!((a - b).abs() <= 1e-9 * (1.0 + a.abs())),
                (a, b) => prop_assert_eq!(a, b),
            }
        }

        #[test]
        fn ranks_come_back(domain in domains(), u in 0.0..1.0f64) {
            if let Some(n) = domain.cardinality() {
                let index = (u * n as f64) as u64;
                let value = domain.nth(index);
                prop_assert!(domain.contains(value));
                prop_assert_eq!(domain.rank(value), Some(index));
            }
        }

        #[test]
        fn draws_are_of_the_domain(domain in domains(), seed: u64) {
            prop_assert!(domain.contains(domain.sample(&mut crate::rng::Rng::keyed(seed, 0, "test"))));
        }
    }

    #[test]
    fn json_numbers_are_read_as_the_axis_wants() {
        let axis = Axis::new(
            "n",
            Domain::Int {
                low: 1,
                high: 9,
                log: false,
                step: 1,
            },
        );
        assert_eq!(axis.value_from_json(&3.0.into()), Ok(AxisValue::Int(3)));
        let error = axis.value_from_json(&12.into()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "axis `n`: 12 is not a whole number in [1, 9]"
        );
    }

    #[test]
    fn extreme_bounds_do_not_overflow() {
        let whole = Domain::Int {
            low: i64::MIN,
            high: i64::MAX,
            log: false,
            step: 1,
        };
        assert!(whole.contains(whole.at_unit(1.0)));
        let real = Domain::Float {
            low: -f64::MAX,
            high: f64::MAX,
            log: false,
            step: None,
        };
        assert_eq!(real.to_unit(AxisValue::Float(0.0)), 0.5);
        assert!(real.contains(real.at_unit(0.3)));
    }
}
