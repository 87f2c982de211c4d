//! The values that an axis can take.

use serde::{Deserialize, Serialize};

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

impl AxisValue {
    /// The value's bits, for hashing and exact comparison; −0.0 counts as 0.0.
    pub(super) fn key(self) -> (u8, u64) {
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
            } => AxisValue::Float(on_grid(*low, step.unwrap_or(0.0), index).min(*high)),
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

    /// The last value where the steps end below the upper bound.
    pub fn last_below_high(&self) -> Option<AxisValue> {
        let last = self.nth(self.cardinality()?.checked_sub(1)?);
        let is_below = match (self, last) {
            (Self::Float { high, .. }, AxisValue::Float(last)) => last < *high,
            (Self::Int { high, .. }, AxisValue::Int(last)) => last < *high,
            _ => false,
        };
        is_below.then_some(last)
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
    pub(super) fn snap(&self, value: AxisValue) -> AxisValue {
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

    pub(super) fn check(&self) -> Result<(), String> {
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

/// Powers of ten that are exact.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// low + index · step as it is written: 0.3 for the third step of 0.1, not the float beside it that a sum of floats gives. What has
/// too many decimals for that is the sum.
fn on_grid(low: f64, step: f64, index: u64) -> f64 {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let units = |value: f64, scale: f64| {
        let units = (value * scale).round();
        (units.abs() < EXACT && units / scale == value).then_some(units as i128)
    };
    let exact = POWERS.into_iter().find_map(|scale| {
        let (low, step) = (units(low, scale)?, units(step, scale)?);
        Some((low + i128::from(index) * step, scale))
    });
    match exact {
        // Both are exact, so that the division rounds to the nearest float, as reading the decimals does.
        Some((units, scale)) if (units as f64).abs() < EXACT => units as f64 / scale,
        _ => low + index as f64 * step,
    }
}

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
                if let Some(step) = step {
                    write!(f, " in steps of {step}")?;
                }
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
            }
            Self::Choice { options } => {
                let texts: Vec<String> = options.iter().map(Json::to_string).collect();
                write!(f, "one of {}", crate::text::listed(&texts))?;
            }
        }
        match self.last_below_high() {
            Some(AxisValue::Float(last)) => write!(f, " (the last is {last})"),
            Some(AxisValue::Int(last)) => write!(f, " (the last is {last})"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float(low: f64, high: f64, step: f64) -> Domain {
        Domain::Float {
            low,
            high,
            log: false,
            step: Some(step),
        }
    }

    #[test]
    fn values_of_decimal_steps_are_the_decimals() {
        for (low, step, decimals) in [
            (0.0, 0.1, 1),
            (0.1, 0.1, 1),
            (-1.0, 0.05, 2),
            (1e-4, 1e-4, 4),
            (0.25, 0.3, 2),
            (1000.0, 0.001, 3),
            (-0.7, 0.7, 1),
            (5e-7, 1e-7, 7),
        ] {
            let domain = float(low, low + 100.0 * step, step);
            for index in 0..100 {
                let sum = low + index as f64 * step;
                let written: f64 = format!("{sum:.decimals$}").parse().unwrap();
                let value = domain.nth(index);
                assert_eq!(value, AxisValue::Float(written), "{low} + {index} * {step}");
                assert_eq!(domain.rank(value), Some(index));
            }
        }
        assert_eq!(float(0.1, 0.7, 0.1).nth(2), AxisValue::Float(0.3));
        assert!(
            matches!(float(-0.1, 1.0, 0.1).nth(1), AxisValue::Float(v) if v.is_sign_positive() && v == 0.0)
        );
        // Steps that are no short decimals are summed, and huge ones are not spoilt.
        assert_eq!(
            float(0.0, 1.0, 1.0 / 3.0).nth(2),
            AxisValue::Float(2.0 / 3.0)
        );
        assert_eq!(
            float(0.0, 1e300, 1e299).nth(3),
            AxisValue::Float(3.0 * 1e299)
        );
        assert_eq!(float(1e-300, 1.0, 0.5).nth(1), AxisValue::Float(0.5));
    }

    #[test]
    fn a_step_that_does_not_divide_its_range_says_what_the_last_value_is() {
        let text = float(0.0, 1.0, 0.3).to_string();
        assert_eq!(text, "a number in [0, 1] in steps of 0.3 (the last is 0.9)");
        let whole = |step| Domain::Int {
            low: 1,
            high: 10,
            log: false,
            step,
        };
        let text = whole(4).to_string();
        assert_eq!(
            text,
            "a whole number in [1, 10] in steps of 4 (the last is 9)"
        );
        for even in [float(0.0, 1.0, 0.1), whole(3), whole(1)] {
            assert_eq!(even.last_below_high(), None);
        }
    }
}
