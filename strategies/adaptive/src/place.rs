//! Coordinates: what the members do arithmetic on.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use lapidary_core::rng::Rng;
use lapidary_core::space::{AxisValue, Point, Space};
use serde::{Deserialize, Serialize};

/// Coordinates of a point by axis: a number's place in [0, 1], a choice's index, NaN where the axis is inactive (written as
/// `null`).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Vec<Option<f64>>", into = "Vec<Option<f64>>")]
pub struct Place(Vec<f64>);

impl Place {
    /// The coordinates of a point.
    pub fn of(point: &Point) -> Self {
        let axes = point.space().axes().iter();
        Self(
            axes.zip(point.values())
                .map(|(axis, value)| match value {
                    None => f64::NAN,
                    Some(AxisValue::Choice(option)) => *option as f64,
                    Some(value) => axis.domain.to_unit(*value),
                })
                .collect(),
        )
    }

    /// The point at these coordinates; axes that become active without a coordinate are drawn.
    pub fn point(&self, space: &Arc<Space>, rng: &mut Rng) -> Point {
        let axes = space.axes().iter();
        let values = axes
            .zip(&self.0)
            .map(|(axis, &u)| {
                Some(if u.is_nan() {
                    axis.domain.sample(rng)
                } else if axis.domain.is_choice() {
                    AxisValue::Choice(u as usize)
                } else {
                    axis.domain.at_unit(u)
                })
            })
            .collect();
        space.point(values)
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(a, b)| same(*a, *b))
    }
}

impl Deref for Place {
    type Target = [f64];
    fn deref(&self) -> &[f64] {
        &self.0
    }
}

impl DerefMut for Place {
    fn deref_mut(&mut self) -> &mut [f64] {
        &mut self.0
    }
}

impl From<Vec<Option<f64>>> for Place {
    fn from(row: Vec<Option<f64>>) -> Self {
        Self(row.into_iter().map(|u| u.unwrap_or(f64::NAN)).collect())
    }
}

impl From<Place> for Vec<Option<f64>> {
    fn from(place: Place) -> Self {
        place
            .0
            .into_iter()
            .map(|u| (!u.is_nan()).then_some(u))
            .collect()
    }
}

/// Whether two coordinates of one axis are the same; inactive ones are.
pub fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}

/// Reflects a coordinate into [0, 1].
pub fn reflect(u: f64) -> f64 {
    let u = u.rem_euclid(2.0);
    if u > 1.0 { 2.0 - u } else { u }
}

/// Another option of a choice axis, drawn evenly.
pub fn other_option(space: &Space, axis: usize, now: f64, rng: &mut Rng) -> f64 {
    let n = space.axes()[axis].domain.cardinality().unwrap_or(1);
    if now.is_nan() || n < 2 {
        return now;
    }
    let drawn = rng.below(n - 1) as f64;
    if drawn >= now { drawn + 1.0 } else { drawn }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_an_axis_comes_back() {
        for (u, wanted) in [
            (0.4, 0.4),
            (-0.1, 0.1),
            (1.25, 0.75),
            (2.5, 0.5),
            (-1.5, 0.5),
        ] {
            assert!((reflect(u) - wanted).abs() < 1e-12, "{u}");
        }
    }

    #[test]
    fn inactive_coordinates_are_written_as_null() {
        let place = Place::from(vec![Some(0.5), None]);
        let text = serde_json::to_string(&place).unwrap();
        assert_eq!(text, "[0.5,null]");
        assert_eq!(serde_json::from_str::<Place>(&text).unwrap(), place);
    }
}
