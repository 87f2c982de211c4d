//! Which values of an axis the grid takes.

use std::sync::Arc;

use lapidary_core::space::{Axis, AxisValue, Domain, Point, Space, SpaceError};

use crate::config::Config;

/// A finite space whose points stand for the points of the grid, in the space that is searched.
pub struct Grid {
    space: Arc<Space>,
    /// The space with some values left; thinned axes are choices among numbers, so that conditions read them as before.
    thinned: Arc<Space>,
    /// The values of thinned axes, by axis index.
    values: Vec<Option<Vec<AxisValue>>>,
}

impl Grid {
    /// The grid of a space.
    ///
    /// # Errors
    /// When the settings name an axis that there is not or that has no order, or a condition reads a value that is no level.
    pub fn new(space: Arc<Space>, config: &Config) -> Result<Self, String> {
        for name in config.axes.keys() {
            let axis = space.index(name).map(|i| &space.axes()[i]);
            let known = || -> Vec<&str> {
                let axes = space.axes().iter();
                axes.filter(|a| !a.domain.is_choice())
                    .map(|a| a.name.as_str())
                    .collect()
            };
            let listed = |known: Vec<&str>| lapidary_core::text::listed(&known);
            match axis {
                None => return Err(format!("no axis `{name}`; there are {}", listed(known()))),
                Some(axis) if axis.domain.is_choice() => {
                    return Err(format!(
                        "axis `{name}` is a choice, of which every option is taken; numbers are {}",
                        listed(known())
                    ));
                }
                Some(_) => {}
            }
        }
        let values: Vec<_> = space
            .axes()
            .iter()
            .map(|axis| {
                let wanted = config.axes.get(&axis.name).copied();
                levels(&axis.domain, wanted, config.levels)
            })
            .collect();
        let axes = space.axes().iter().zip(&values);
        let thinned = axes.map(|(axis, values)| Axis {
            domain: match values {
                Some(values) => Domain::Choice {
                    options: values.iter().map(|v| axis.value_to_json(*v)).collect(),
                },
                None => axis.domain.clone(),
            },
            ..axis.clone()
        });
        let thinned =
            Space::new(thinned.collect()).map_err(|error: SpaceError| error.to_string())?;
        Ok(Self {
            space,
            thinned: Arc::new(thinned),
            values,
        })
    }

    /// The space to walk through.
    pub fn thinned(&self) -> &Arc<Space> {
        &self.thinned
    }

    /// The point that a point of [`Grid::thinned`] stands for.
    pub fn point(&self, thinned: &Point) -> Point {
        let values = thinned.values().iter().zip(&self.values);
        let real = values.map(|(value, levels)| match (value, levels) {
            (Some(AxisValue::Choice(i)), Some(levels)) => levels.get(*i).copied(),
            (value, _) => *value,
        });
        self.space.point(real.collect())
    }
}

/// The values to take of a domain, rising, each once; `None` for all.
fn levels(domain: &Domain, wanted: Option<u32>, levels: u32) -> Option<Vec<AxisValue>> {
    let cardinality = domain.cardinality();
    let n = match (cardinality, wanted) {
        (None, wanted) => u64::from(wanted.unwrap_or(levels)),
        (Some(all), Some(wanted)) if u64::from(wanted) < all => wanted.into(),
        _ => return None,
    };
    let mut values: Vec<AxisValue> = (0..n)
        .map(|i| {
            let share = if n == 1 {
                0.5
            } else {
                i as f64 / (n - 1) as f64
            };
            match (domain, cardinality) {
                // The ends themselves, not what rounding leaves of them.
                (Domain::Float { low, .. }, None) if n > 1 && i == 0 => AxisValue::Float(*low),
                (Domain::Float { high, .. }, None) if i + 1 == n && n > 1 => {
                    AxisValue::Float(*high)
                }
                (_, None) => domain.at_unit(share),
                (
                    Domain::Int {
                        low,
                        high,
                        log: true,
                        ..
                    },
                    _,
                ) => {
                    let (a, b) = (libm::log(*low as f64), libm::log(*high as f64));
                    let v = libm::round(libm::exp(a * (1.0 - share) + b * share));
                    AxisValue::Int((v as i64).clamp(*low, *high))
                }
                (_, Some(all)) if n == 1 => domain.nth((all - 1) / 2),
                (_, Some(all)) => {
                    let rank = u128::from(all - 1) * u128::from(i) / u128::from(n - 1);
                    domain.nth(rank as u64)
                }
            }
        })
        .collect();
    values.dedup();
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float(low: f64, high: f64, log: bool) -> Domain {
        Domain::Float {
            low,
            high,
            log,
            step: None,
        }
    }

    fn int(low: i64, high: i64, log: bool) -> Domain {
        Domain::Int {
            low,
            high,
            log,
            step: 1,
        }
    }

    #[test]
    fn levels_are_even_on_the_axis_s_own_scale_with_both_ends() {
        let floats = |domain, n| -> Vec<f64> {
            levels(&domain, None, n)
                .unwrap()
                .into_iter()
                .map(|v| match v {
                    AxisValue::Float(v) => v,
                    other => panic!("{other:?}"),
                })
                .collect()
        };
        assert_eq!(
            floats(float(-1.0, 1.0, false), 5),
            [-1.0, -0.5, 0.0, 0.5, 1.0]
        );
        assert_eq!(floats(float(-1.0, 1.0, false), 1), [0.0]);
        let ratios = floats(float(1e-4, 1e-1, true), 4);
        assert_eq!((ratios[0], ratios[3]), (1e-4, 1e-1));
        assert!((ratios[1] / 1e-3 - 1.0).abs() < 1e-12 && (ratios[2] / 1e-2 - 1.0).abs() < 1e-12);
        assert_eq!(
            floats(float(-f64::MAX, f64::MAX, false), 3),
            [-f64::MAX, 0.0, f64::MAX]
        );
        assert_eq!(floats(float(1.0, 1.0 + f64::EPSILON, false), 9).len(), 2);
    }

    #[test]
    fn finite_axes_are_whole_unless_thinned() {
        assert_eq!(levels(&int(1, 9, false), None, 5), None);
        assert_eq!(levels(&int(1, 9, false), Some(20), 5), None);
        let ints = |domain: &Domain, n| levels(domain, Some(n), 5).unwrap();
        let of = |values: &[i64]| -> Vec<AxisValue> {
            values.iter().map(|v| AxisValue::Int(*v)).collect()
        };
        assert_eq!(ints(&int(1, 9, false), 3), of(&[1, 5, 9]));
        assert_eq!(ints(&int(1, 9, false), 1), of(&[5]));
        assert_eq!(ints(&int(1, 1024, true), 3), of(&[1, 32, 1024]));
        assert_eq!(
            ints(&int(i64::MIN, i64::MAX, false), 2),
            of(&[i64::MIN, i64::MAX - 1])
        );
    }
}
