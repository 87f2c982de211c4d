//! Points, by axis and by name.

use std::fmt;
use std::sync::Arc;

use serde::de::{Error, SeqAccess, Unexpected, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Number, Whole};
use crate::space::{Axis, AxisValue, Domain, Point, Space, SpaceError};

/// Values of a row that there is room for before it is known how many there are.
const ROOM: usize = 16;

/// The values of a point by axis index, as they were read: whose space they are of is known by who wanted them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row(Vec<Option<AxisValue>>);

impl From<&Point> for Row {
    fn from(point: &Point) -> Self {
        Self(point.values().to_vec())
    }
}

impl Row {
    /// The point of `space` with these values. Values of inactive axes are dropped, so that who makes a point need not know the
    /// conditions.
    ///
    /// # Errors
    /// When there are more or fewer values than axes, one is not of its axis, or an active axis has none.
    pub fn point(self, space: &Arc<Space>) -> Result<Point, SpaceError> {
        let (Self(mut values), axes) = (self, space.axes());
        if values.len() != axes.len() {
            return Err(SpaceError::NotARow {
                wanted: axes.len(),
                found: format!("{} values", values.len()),
            });
        }
        let mut nulls = Vec::new();
        for (at, (axis, place)) in axes.iter().zip(&mut values).enumerate() {
            match *place {
                None => nulls.push(at),
                Some(value) => *place = Some(typed(axis, value)?),
            }
        }
        let point = space.point(values);
        match nulls.iter().find(|at| point.values()[**at].is_some()) {
            Some(at) => Err(SpaceError::Missing {
                axis: axes[*at].name.clone(),
            }),
            None => Ok(point),
        }
    }
}

/// A number as a value of `axis`: only the axis knows whether a whole one is a float or the index of a choice.
fn typed(axis: &Axis, number: AxisValue) -> Result<AxisValue, SpaceError> {
    let value = match (&axis.domain, number) {
        (Domain::Float { .. }, AxisValue::Int(v)) => AxisValue::Float(v as f64),
        (Domain::Choice { .. }, AxisValue::Int(v)) => {
            usize::try_from(v).map_or(number, AxisValue::Choice)
        }
        _ => number,
    };
    if axis.domain.contains(value) {
        return Ok(value);
    }
    Err(SpaceError::Value {
        axis: axis.name.clone(),
        value: match value {
            AxisValue::Float(v) => v.to_string(),
            AxisValue::Int(v) => v.to_string(),
            AxisValue::Choice(v) => format!("option {v}"),
        },
        wanted: axis.domain.to_string(),
    })
}

fn by_axis<S: Serializer>(values: &[Option<AxisValue>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().copied().map(Place))
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        by_axis(&self.0, serializer)
    }
}

/// By axis.
impl Serialize for Point {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        by_axis(self.values(), serializer)
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Rows).map(Self)
    }
}

struct Rows;

impl<'de> Visitor<'de> for Rows {
    type Value = Vec<Option<AxisValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Self::Value, A::Error> {
        let mut row = Vec::with_capacity(ROOM);
        while let Some(Place(value)) = values.next_element()? {
            row.push(value);
        }
        Ok(row)
    }
}

/// A value in its place in a row; a number that was read is `Int` where it is whole, else `Float`.
struct Place(Option<AxisValue>);

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            None => serializer.serialize_unit(),
            Some(AxisValue::Float(v)) => Number(v).serialize(serializer),
            Some(AxisValue::Int(v)) => Whole(v).serialize(serializer),
            Some(AxisValue::Choice(v)) => Whole(v as u64).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Places).map(Self)
    }
}

struct Places;

impl Visitor<'_> for Places {
    type Value = Option<AxisValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or null")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Some(AxisValue::Float(value)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(AxisValue::Int(value)))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        let whole = i64::try_from(value).map(AxisValue::Int);
        Ok(Some(whole.unwrap_or(AxisValue::Float(value as f64))))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let whole = text.parse().map(AxisValue::Int);
        let number = whole.or_else(|_| text.parse().map(AxisValue::Float));
        number
            .map(Some)
            .map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }
}

/// A point as an object of its active axes by name, in the space's order. Values are those that the study file would name.
#[derive(Debug, Clone, Copy)]
pub struct ByName<'a>(pub &'a Point);

impl Serialize for ByName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (axis, value) in self.0.space().axes().iter().zip(self.0.values()) {
            match (value, &axis.domain) {
                (None, _) => {}
                (Some(AxisValue::Float(v)), _) => map.serialize_entry(&axis.name, &Number(*v))?,
                (Some(AxisValue::Int(v)), _) => map.serialize_entry(&axis.name, v)?,
                (Some(AxisValue::Choice(i)), Domain::Choice { options }) => {
                    map.serialize_entry(&axis.name, &options.get(*i))?;
                }
                (Some(AxisValue::Choice(i)), _) => map.serialize_entry(&axis.name, i)?,
            }
        }
        map.end()
    }
}
