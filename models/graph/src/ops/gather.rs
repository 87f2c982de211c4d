//! Elements picked by indices.

use std::cmp::Ordering;

use lapidary_core::tensor::Tensor;

use super::{Operator, Slots};
use crate::fold::Constants;
use crate::graph::Node;
use crate::shape::{Extents, Ints, Known, axis_of};
use crate::structure::{Flow, Layout, Layouts};
use crate::tape::{Call, Outputs, Value, axis, sized, viewed};
use ndarray::Axis;

/// Also an embedding, where what it picks from is a constant table.
pub static GATHER: Operator = Operator {
    weights: &[Slots {
        weight: 0,
        bias: None,
        all: &[0],
        input: 1,
    }],
    channel_axis: |_, _, rank| rank.saturating_sub(1),
    fold: Some(fold_gather),
    shape,
    ints,
    macs: |_| Some(0),
    channels,
    forward: Some(gather),
    ..Operator::standard("Gather")
};

pub static GATHER_ELEMENTS: Operator = Operator {
    shape: |known| known.shape(1).cloned(),
    ..Operator::standard("GatherElements")
};

pub static GATHER_ND: Operator = Operator {
    shape: nd_shape,
    ..Operator::standard("GatherND")
};

fn shape(known: &Known<'_>) -> Option<Extents> {
    let (x, at) = (known.shape(0)?, known.shape(1)?);
    let axis = axis_of(known.node.int("axis", 0), x.len())?;
    Some([&x[..axis], at, &x[axis + 1..]].concat())
}

fn ints(known: &Known<'_>) -> Option<Ints> {
    let list = known.partial(0)?;
    if known.shape(0)?.len() != 1 {
        return None;
    }
    (known.partial(1)?.iter())
        .map(|at| match at {
            Some(at) => Some(list[axis_of(*at, list.len())?]),
            None => Some(None),
        })
        .collect()
}

fn fold_gather(c: &Constants<'_>) -> Option<Tensor> {
    let x = c.dense(0)?;
    let axis = axis_of(c.node.int("axis", 0), x.shape().len())?;
    let extent = x.shape()[axis];
    let at: Vec<usize> = (c.ints(1)?.iter())
        .map(|&i| axis_of(i, extent))
        .collect::<Option<_>>()?;
    let shape = [
        &x.shape()[..axis],
        c.dense(1)?.shape(),
        &x.shape()[axis + 1..],
    ]
    .concat();
    Some(x.select(axis, &at).ok()?.reshape(&shape).ok()?.into())
}

/// An embedding writes channels; indices along another axis than theirs leave them.
fn channels<'g>(flow: &mut Flow<'g>, node: &'g Node) -> Option<Layouts> {
    if !flow.rest_untouched(node, 1) {
        return None;
    }
    let axis = node.int("axis", 0);
    let indices = flow.rank(node.input(1)?);
    if let Some(x) = flow.at(node, 0) {
        let axis = axis_of(axis, flow.rank(node.input(0)?)?)?;
        return match axis.cmp(&x.axis) {
            Ordering::Less => Some(vec![Some(Layout {
                axis: (x.axis + indices?).checked_sub(1)?,
                ..x
            })]),
            Ordering::Equal => None,
            Ordering::Greater => Some(vec![Some(x)]),
        };
    }
    let weight = flow.weight(node, 0).filter(|w| w.shape().len() == 2);
    let (Some(weight), 0, Some(rank)) = (weight, axis, indices) else {
        return Some(vec![None]);
    };
    if !weight.as_dense().is_none_or(|d| d.dtype().is_float()) {
        return Some(vec![None]);
    }
    let units = flow.write(weight.shape()[1])?;
    flow.stand(node, 0, 1, &units, true)?;
    Some(vec![Some(Layout { axis: rank, units })])
}

fn nd_shape(known: &Known<'_>) -> Option<Extents> {
    let (x, at) = (known.shape(0)?, known.shape(1)?);
    let batch = usize::try_from(known.node.int("batch_dims", 0)).ok()?;
    let depth = (*at.last()?)?;
    Some([&at[..at.len() - 1], x.get(batch + depth..)?].concat())
}

/// The slices at the given indices: rows of an embedding, or entries of a shape.
fn gather(call: &mut Call<'_>) -> Outputs {
    let indices = call.ints(1)?.ok_or("the indices are missing")?;
    let x = call.value(0)?;
    let shape = x.shape().to_vec();
    let axis = axis(call.node.int("axis", 0), shape.len())?;
    let extent = shape[axis] as i64;
    let flat: Vec<i64> = indices
        .iter()
        .map(|&i| if i < 0 { i + extent } else { i })
        .collect();
    if let Some(bad) = flat.iter().find(|&&i| !(0..extent).contains(&i)) {
        return Err(format!("index {bad} is outside axis {axis} of {shape:?}"));
    }
    let mut out = shape[..axis].to_vec();
    out.extend(indices.shape());
    out.extend(&shape[axis + 1..]);
    sized(&out)?;
    let at: Vec<usize> = flat.iter().map(|&i| i as usize).collect();
    match x {
        Value::Float(x) => {
            let rows = call.tape.gather(x, axis, &at);
            viewed(call.tape, Value::Float(rows), &out)
        }
        Value::Int(a) => viewed(call.tape, Value::Int(a.select(Axis(axis), &at)), &out),
    }
}
