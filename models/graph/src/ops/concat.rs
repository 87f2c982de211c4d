//! `Concat`.

use std::rc::Rc;

use lapidary_core::tensor::{Dense, Tensor};

use super::Operator;
use crate::fold::Constants;
use crate::graph::Node;
use crate::opset::Change;
use crate::shape::{Extents, Ints, Known, axis_of};
use crate::structure::{Flow, Layout, Layouts, MOST_INDICES, Unit};
use crate::tape::{Call, Outputs, Value, axis, one};
use crate::types::Alike;
use ndarray::Axis;

pub static CONCAT: Operator = Operator {
    alike: Alike::All,
    fold: Some(fold_concat),
    changes: &[Change {
        version: 4,
        rewrite: |_, node| {
            node.attributes.entry("axis".into()).or_insert(1.into());
            Ok(())
        },
    }],
    shape,
    ints,
    channels,
    forward: Some(concat),
    ..Operator::standard("Concat")
};

fn shape(known: &Known<'_>) -> Option<Extents> {
    let mut shape = known.shape(0)?.clone();
    let axis = axis_of(known.node.int("axis", 1), shape.len())?;
    for i in 1..known.inputs() {
        let other = known.shape(i).filter(|s| s.len() == shape.len());
        let Some(other) = other else {
            shape[axis] = None;
            continue;
        };
        for (at, (d, &o)) in shape.iter_mut().zip(other).enumerate() {
            *d = if at == axis {
                d.zip(o).map(|(a, b)| a.saturating_add(b))
            } else {
                d.or(o)
            };
        }
    }
    Some(shape)
}

fn fold_concat(c: &Constants<'_>) -> Option<Tensor> {
    let parts: Vec<_> = (0..c.inputs())
        .map(|i| c.floats(i))
        .collect::<Option<_>>()?;
    let axis = axis_of(c.node.int("axis", 1), parts.first()?.ndim())?;
    let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
    let joined = ndarray::concatenate(Axis(axis), &views).ok()?;
    Some(Dense::from(joined).into())
}

fn ints(known: &Known<'_>) -> Option<Ints> {
    if known.shape(0)?.len() != 1 {
        return None;
    }
    let parts: Option<Vec<_>> = (0..known.inputs())
        .map(|i| known.partial(i).cloned())
        .collect();
    Some(parts?.concat())
}

fn channels<'g>(flow: &mut Flow<'g>, node: &'g Node) -> Option<Layouts> {
    if flow.untouched(node) {
        return Some(vec![None]);
    }
    let mut place = None;
    for name in &node.inputs {
        let Some(x) = flow.layout(name) else { continue };
        if *place.get_or_insert(x.axis) != x.axis {
            return None;
        }
    }
    let place = place?;
    let axis = axis_of(node.int("axis", 1), flow.rank(node.outputs.first()?)?)?;
    let mut joined: Vec<Unit> = Vec::new();
    for name in &node.inputs {
        let units = match flow.layout(name) {
            Some(x) => x.units,
            None if axis != place => return None,
            None => {
                // Channels of the model's input or of an operator without a rule stay.
                let units: Rc<[Unit]> = flow.units.fresh(flow.extent(name, axis)?)?.into();
                flow.pin_all(&units);
                units
            }
        };
        // Graphs that double their channels over and over end somewhere.
        if joined.len() + units.len() > MOST_INDICES {
            return None;
        }
        if axis == place || joined.is_empty() {
            joined.extend(units.iter());
        } else {
            flow.tie(&joined, &units)?;
        }
    }
    Some(vec![Some(Layout {
        axis: place,
        units: joined.into(),
    })])
}

fn concat(call: &mut Call<'_>) -> Outputs {
    let parts = (0..call.inputs.len())
        .map(|i| call.value(i))
        .collect::<Result<Vec<_>, _>>()?;
    let first = parts.first().ok_or("there is nothing to join")?.shape();
    let axis = axis(call.node.int("axis", 0), first.len())?;
    for part in &parts {
        let shape = part.shape();
        let differs = shape.len() != first.len()
            || (0..first.len()).any(|i| i != axis && shape[i] != first[i]);
        if differs {
            return Err(format!(
                "shapes {first:?} and {shape:?} do not join along axis {axis}"
            ));
        }
    }
    let (mut floats, mut ints) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Value::Float(x) => floats.push(x),
            Value::Int(a) => ints.push(a),
        }
    }
    if ints.is_empty() {
        return one(call.tape.concat(floats, axis));
    }
    if !floats.is_empty() {
        return Err("floats and integers do not join".into());
    }
    let views: Vec<_> = ints.iter().map(|a| a.view()).collect();
    Ok(vec![Value::Int(
        ndarray::concatenate(Axis(axis), &views).map_err(|e| e.to_string())?,
    )])
}
