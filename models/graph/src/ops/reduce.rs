//! Reductions along axes.

use lapidary_core::model::ModelError;
use lapidary_core::tensor::DType;

use super::{ADD, GATHER, Operator, SHAPE, SLICE, SUB};
use crate::fold::reduced;
use crate::graph::{Attribute, Node};
use crate::lower::Lowering;
use crate::opset::Change;
use crate::shape::{Extents, Known, axes_of, axis_of};
use crate::structure::{Flow, Layouts, rules};
use crate::tape::{Call, Outputs, Tape, Var, axes, one};

pub static REDUCE_L1: Operator = Operator {
    fold: Some(|c| reduced(c, |x| x.map(f64::abs).sum())),
    ..reduction("ReduceL1")
};

pub static REDUCE_L2: Operator = Operator {
    fold: Some(|c| reduced(c, |x| x.map(|v| v * v).sum::<f64>().sqrt())),
    ..reduction("ReduceL2")
};

pub static REDUCE_LOG_SUM_EXP: Operator = reduction("ReduceLogSumExp");

pub static REDUCE_MAX: Operator = Operator {
    fold: Some(|c| reduced(c, |x| x.fold(f64::NEG_INFINITY, f64::max))),
    forward: Some(|call| reduce(call, |tape, x, axis| tape.largest(x, axis))),
    ..reduction("ReduceMax")
};

pub static REDUCE_MEAN: Operator = Operator {
    fold: Some(|c| {
        reduced(c, |x| {
            let (sum, count) = x.fold((0.0, 0.0), |(sum, count), v| (sum + v, count + 1.0));
            sum / count
        })
    }),
    forward: Some(|call| reduce(call, |tape, x, axis| tape.mean(x, axis))),
    ..reduction("ReduceMean")
};

pub static REDUCE_MIN: Operator = Operator {
    fold: Some(|c| reduced(c, |x| x.fold(f64::INFINITY, f64::min))),
    ..reduction("ReduceMin")
};

pub static REDUCE_SUM_SQUARE: Operator = Operator {
    fold: Some(|c| reduced(c, |x| x.map(|v| v * v).sum())),
    ..reduction("ReduceSumSquare")
};

pub static REDUCE_LOG_SUM: Operator = Operator {
    channels: |_, _| None,
    ..reduction("ReduceLogSum")
};

pub static REDUCE_PROD: Operator = Operator {
    ints: |known| {
        let list = known.ints(0)?;
        Some(vec![list.iter().try_fold(1i64, |n, &v| n.checked_mul(v))])
    },
    ..reduction("ReduceProd")
};

pub static REDUCE_SUM: Operator = Operator {
    fold: Some(|c| reduced(c, |x| x.sum())),
    changes: AXES_TO_INPUT_13,
    forward: Some(|call| reduce(call, |tape, x, axis| tape.sum(x, axis))),
    ..reduction("ReduceSum")
};

pub static ARG_MAX: Operator = Operator {
    types: |_| vec![Some(DType::I64)],
    shape: arg_shape,
    lower: Some(lower_arg),
    ..Operator::standard("ArgMax")
};

pub static ARG_MIN: Operator = Operator {
    types: |_| vec![Some(DType::I64)],
    shape: arg_shape,
    lower: Some(lower_arg),
    ..Operator::standard("ArgMin")
};

const fn reduction(name: &'static str) -> Operator {
    Operator {
        shape,
        channels,
        changes: AXES_TO_INPUT_18,
        ..Operator::standard(name)
    }
}

/// Axes are an input from version 13 on.
pub(super) const AXES_TO_INPUT_13: &[Change] = &[axes_to_input(13)];

/// Axes are an input from version 18 on.
const AXES_TO_INPUT_18: &[Change] = &[axes_to_input(18)];

const fn axes_to_input(version: i64) -> Change {
    Change {
        version,
        rewrite: |rewriting, node| {
            rewriting.list_to_input(node, "axes", 1);
            Ok(())
        },
    }
}

/// rten takes the last of equal elements. Of the turned round axis that is the first.
fn lower_arg(lowering: &mut Lowering<'_>, mut node: Node) -> Result<(), ModelError> {
    let last = node.attributes.remove("select_last_index");
    if last == Some(Attribute::Int(1)) || node.input(0).is_none() {
        lowering.push(node);
        return Ok(());
    }
    let around = node.name.clone();
    let x = node.inputs[0].clone();
    let axis = node.int("axis", 0);
    let place = lowering.list(&around, vec![axis]);
    let back = lowering.list(&around, vec![-1]);
    let end = lowering.list(&around, vec![i64::from(i32::MIN) + 1]);
    let turned = lowering.step(&around, &SLICE, &[&x, &back, &end, &place, &back], &[]);
    let shape = lowering.step(&around, &SHAPE, &[&x], &[]);
    let along = lowering.step(&around, &GATHER, &[&shape, &place], &[]);
    let highest = lowering.step(&around, &ADD, &[&along, &back], &[]);
    let attributes: Vec<(&str, Attribute)> = (node.attributes.iter())
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    let operator = if node.is(&ARG_MAX) {
        &ARG_MAX
    } else {
        &ARG_MIN
    };
    let at = lowering.step(&around, operator, &[&turned], &attributes);
    lowering.finish(&around, &SUB, vec![highest, at], node.outputs);
    Ok(())
}

/// The shape of input 0 with `axes` reduced, which are kept as 1 where the node says so.
fn without(known: &Known<'_>, axes: &[usize]) -> Option<Extents> {
    let x = known.shape(0)?;
    let keep = known.node.int("keepdims", 1) != 0;
    let one = |i: usize| match (axes.contains(&i), keep) {
        (false, _) => Some(x[i]),
        (true, true) => Some(Some(1)),
        (true, false) => None,
    };
    Some((0..x.len()).filter_map(one).collect())
}

fn shape(known: &Known<'_>) -> Option<Extents> {
    let rank = known.shape(0)?.len();
    let axes = match known.list("axes", 1) {
        Some(axes) => axes_of(&axes, rank)?,
        None if known.given(1) => return None,
        None => Vec::new(),
    };
    if !axes.is_empty() {
        return without(known, &axes);
    }
    if known.node.int("noop_with_empty_axes", 0) != 0 {
        return known.shape(0).cloned();
    }
    without(known, &(0..rank).collect::<Vec<_>>())
}

fn arg_shape(known: &Known<'_>) -> Option<Extents> {
    let axis = axis_of(known.node.int("axis", 0), known.shape(0)?.len())?;
    without(known, &[axis])
}

fn channels<'g>(flow: &mut Flow<'g>, node: &'g Node) -> Option<Layouts> {
    if !flow.rest_untouched(node, 1) {
        return None;
    }
    let Some(x) = flow.at(node, 0) else {
        return Some(vec![None]);
    };
    let axes = flow.axes(node, 1, flow.rank(node.input(0)?)?)?;
    if axes.is_empty() {
        // Over everything, or over nothing.
        return (node.int("noop_with_empty_axes", 0) != 0).then(|| vec![Some(x)]);
    }
    rules::without(x, &axes, node.int("keepdims", 1) != 0)
}

/// Axis by axis, so that no kernel reduces the whole of a large tensor.
fn reduce(call: &mut Call<'_>, along: fn(&dyn Tape, Var, usize) -> Var) -> Outputs {
    let mut x = call.float(0)?;
    let shape = x.shape().to_vec();
    let given = call.list("axes", 1)?.filter(|a| !a.is_empty());
    let reduced = match given {
        Some(indices) => axes(&indices, shape.len())?,
        None if call.node.int("noop_with_empty_axes", 0) != 0 => return one(x),
        None => (0..shape.len()).collect(),
    };
    for &axis in &reduced {
        x = along(call.tape, x, axis);
    }
    if call.node.int("keepdims", 1) != 0 {
        return one(x);
    }
    let kept: Vec<usize> = (0..shape.len())
        .filter(|i| !reduced.contains(i))
        .map(|i| shape[i])
        .collect();
    one(call.tape.reshape(x, &kept))
}
