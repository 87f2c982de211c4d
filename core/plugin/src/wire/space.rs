//! Spaces and points.

use std::sync::Arc;

use lapidary_core::condition::Condition;
use lapidary_core::json::Json;
use lapidary_core::space::{Axis, AxisValue, Domain, Point, Space, SpaceError};

use super::WireError;
use super::value::{read_value, write_value};
use crate::json::{Reader, Writer};

/// Writes the axes of a space: `[{"name": …, "float": [low, high], "log": …, "step": …, "when": …}, …]`, with `int` or
/// `choice` in place of `float`.
pub(super) fn write_space(w: &mut Writer, space: &Space) {
    w.array(|w| {
        for axis in space.axes() {
            w.object(|w| write_axis(w, axis));
        }
    });
}

fn write_axis(w: &mut Writer, axis: &Axis) {
    w.key("name").text(&axis.name);
    match &axis.domain {
        Domain::Float {
            low,
            high,
            log,
            step,
        } => {
            w.key("float").array(|w| {
                w.f64(*low);
                w.f64(*high);
            });
            w.key("log").bool(*log);
            if let Some(step) = step {
                w.key("step").f64(*step);
            }
        }
        Domain::Int {
            low,
            high,
            log,
            step,
        } => {
            w.key("int").array(|w| {
                w.i64(*low);
                w.i64(*high);
            });
            w.key("log").bool(*log);
            w.key("step").i64(*step);
        }
        Domain::Choice { options } => {
            w.key("choice")
                .array(|w| options.iter().for_each(|option| write_value(w, option)));
        }
    }
    if let Some(when) = &axis.when {
        w.key("when").text(&when.to_string());
    }
}

/// Reads what [`write_space`] wrote.
pub(super) fn read_space(r: &mut Reader<'_>) -> Result<Space, WireError> {
    let mut axes = Vec::new();
    r.array(|r| {
        axes.push(read_axis(r)?);
        Ok::<_, WireError>(())
    })?;
    Ok(Space::new(axes)?)
}

#[derive(Default)]
struct AxisFields<'a> {
    name: Option<String>,
    floats: Vec<f64>,
    ints: Vec<i64>,
    options: Option<Vec<Json>>,
    log: bool,
    step: Option<Reader<'a>>,
    when: Option<String>,
}

fn read_axis(r: &mut Reader<'_>) -> Result<Axis, WireError> {
    let mut fields = AxisFields::default();
    r.object(|r, key| {
        match key {
            "name" => fields.name = Some(r.text()?.into_owned()),
            "float" => r.array(|r| {
                fields.floats.push(r.f64()?);
                Ok::<_, WireError>(())
            })?,
            "int" => r.array(|r| {
                fields.ints.push(r.i64()?);
                Ok::<_, WireError>(())
            })?,
            "choice" => {
                let mut options = Vec::new();
                r.array(|r| {
                    options.push(read_value(r)?);
                    Ok::<_, WireError>(())
                })?;
                fields.options = Some(options);
            }
            "log" => fields.log = r.bool()?,
            // Read again below, when it is known of which type it is.
            "step" => {
                fields.step = Some(r.clone());
                r.skip()?;
            }
            "when" => fields.when = Some(r.text()?.into_owned()),
            _ => r.skip()?,
        }
        Ok::<_, WireError>(())
    })?;
    let name = fields.name.ok_or(WireError::Missing { key: "name" })?;
    let log = fields.log;
    let domain = match (&fields.floats[..], &fields.ints[..], fields.options) {
        (&[low, high], [], None) => Domain::Float {
            low,
            high,
            log,
            step: fields.step.map(|mut r| r.f64()).transpose()?,
        },
        ([], &[low, high], None) => Domain::Int {
            low,
            high,
            log,
            step: fields.step.map_or(Ok(1), |mut r| r.i64())?,
        },
        ([], [], Some(options)) => Domain::Choice { options },
        _ => return Err(WireError::Missing { key: "float" }),
    };
    let when = fields.when.map(|text| Condition::parse(&text)).transpose();
    match when {
        Ok(when) => Ok(Axis { name, domain, when }),
        Err(reason) => Err(WireError::Condition { axis: name, reason }),
    }
}

/// Writes the values of a point by axis, `null` where inactive, a choice as its index.
pub(super) fn write_point(w: &mut Writer, point: &Point) {
    w.array(|w| {
        for value in point.values() {
            match value {
                None => w.null(),
                Some(AxisValue::Float(v)) => w.f64(*v),
                Some(AxisValue::Int(v)) => w.i64(*v),
                Some(AxisValue::Choice(v)) => w.u64(*v as u64),
            }
        }
    });
}

/// Reads the values of a point. Values of inactive axes are dropped, so that who makes a point need not know the conditions.
///
/// A point that does not fit is an error of its own, so that it can be told whose it is.
pub(super) fn read_point(
    r: &mut Reader<'_>,
    space: &Arc<Space>,
) -> Result<Result<Point, SpaceError>, WireError> {
    let axes = space.axes();
    let mut values = Vec::with_capacity(axes.len());
    let mut nulls = Vec::new();
    let mut wrong = None;
    let mut count = 0;
    r.array(|r| {
        let axis = axes.get(count);
        count += 1;
        let Some(axis) = axis else {
            return Ok(r.skip()?);
        };
        if r.null() {
            nulls.push(values.len());
            values.push(None);
            return Ok(());
        }
        let value = match axis.domain {
            Domain::Float { .. } => AxisValue::Float(r.f64()?),
            Domain::Int { .. } => AxisValue::Int(r.i64()?),
            Domain::Choice { .. } => {
                AxisValue::Choice(usize::try_from(r.u64()?).unwrap_or(usize::MAX))
            }
        };
        if !axis.domain.contains(value) {
            wrong.get_or_insert_with(|| SpaceError::Value {
                axis: axis.name.clone(),
                value: plain(value),
                wanted: axis.domain.to_string(),
            });
        }
        values.push(Some(value));
        Ok::<_, WireError>(())
    })?;
    if count != axes.len() {
        return Ok(Err(SpaceError::NotARow {
            wanted: axes.len(),
            found: format!("{count} values"),
        }));
    }
    if let Some(wrong) = wrong {
        return Ok(Err(wrong));
    }
    let point = space.point(values);
    let missing = nulls.iter().find(|at| point.values()[**at].is_some());
    Ok(match missing {
        Some(at) => Err(SpaceError::Missing {
            axis: axes[*at].name.clone(),
        }),
        None => Ok(point),
    })
}

/// A value as a person would write it.
fn plain(value: AxisValue) -> String {
    match value {
        AxisValue::Float(v) => v.to_string(),
        AxisValue::Int(v) => v.to_string(),
        AxisValue::Choice(v) => format!("option {v}"),
    }
}
