//! Spaces: named, typed, bounded choices, and points in them.

mod axis;
mod domain;
mod error;

use std::sync::Arc;

pub use crate::space::axis::Axis;
pub use crate::space::domain::{AxisValue, Domain};
pub use crate::space::error::SpaceError;

use crate::condition::Condition;
use crate::json::Json;
use crate::rng::Rng;

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
            axis.check(&axes)?;
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
            if !axis.is_active(&self.axes, &values) {
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
