//! Softmax and its kin.

use lapidary_core::model::Activation;

use super::math::plain;
use super::{FLATTEN, Operator, RESHAPE, SHAPE};
use crate::error::GraphError;
use crate::graph::{Attribute, Node};
use crate::opset::{Change, Rewriting};
use crate::shape::axis_of;
use crate::structure::{Flow, Layouts};
use crate::tape::{Call, Outputs, Tape, Var, axis, one};

pub static HARDMAX: Operator = Operator {
    changes: CHANGES,
    ..plain("Hardmax")
};

pub static LOG_SOFTMAX: Operator = Operator {
    activation: Some(Activation::LogSoftmax),
    channels,
    changes: CHANGES,
    forward: Some(|call| along(call, |tape, x, axis| tape.log_softmax(x, axis))),
    ..plain("LogSoftmax")
};

pub static SOFTMAX: Operator = Operator {
    activation: Some(Activation::Softmax),
    channels,
    changes: CHANGES,
    forward: Some(|call| along(call, |tape, x, axis| tape.softmax(x, axis))),
    ..plain("Softmax")
};

const CHANGES: &[Change] = &[Change {
    version: 13,
    rewrite: flatten,
}];

fn channels<'g>(flow: &mut Flow<'g>, node: &'g Node) -> Option<Layouts> {
    let Some(x) = flow.at(node, 0) else {
        return Some(vec![None]);
    };
    // Before operator set 13 all axes from `axis` on were normalised together.
    let axis = axis_of(node.int("axis", -1), flow.rank(node.input(0)?)?)?;
    (flow.graph.opset() >= 13 && axis != x.axis).then(|| vec![Some(x)])
}

/// Before version 13 everything from the axis on counted as one axis: flattened, normalised, and brought back to
/// its shape, unless the axis is the last one.
fn flatten(rewriting: &mut Rewriting<'_>, node: &mut Node) -> Result<(), GraphError> {
    let axis = node.int("axis", 1);
    let rank = node
        .input(0)
        .and_then(|x| rewriting.shapes.shape(x))
        .map(|s| s.len() as i64);
    node.attributes.insert("axis".into(), Attribute::Int(-1));
    if axis == -1 || rank.is_some_and(|r| axis == r - 1) {
        return Ok(());
    }
    let x = node.inputs[0].clone();
    let shape = rewriting.beside(node, &SHAPE, vec![x.clone()]);
    let mut flat = rewriting.beside(node, &FLATTEN, vec![x]);
    flat.attributes.insert("axis".into(), Attribute::Int(axis));
    let normalised = rewriting.name(node, &node.op);
    let inputs = vec![normalised.clone(), shape.name.clone()];
    let mut back = rewriting.beside(node, &RESHAPE, inputs);
    node.inputs[0] = flat.name.clone();
    back.outputs = std::mem::replace(&mut node.outputs, vec![normalised]);
    rewriting.before.extend([shape, flat]);
    rewriting.behind.push(back);
    Ok(())
}

/// Runs `operation` along the node's axis; before operator set 13, along all axes from it on.
fn along(call: &mut Call<'_>, operation: fn(&dyn Tape, Var, usize) -> Var) -> Outputs {
    let tape = call.tape;
    let x = call.float(0)?;
    let shape = x.shape().to_vec();
    if shape.is_empty() {
        let line = operation(tape, tape.reshape(x, &[1]), 0);
        return one(tape.reshape(line, &[]));
    }
    if call.opset >= 13 {
        let axis = axis(call.node.int("axis", -1), shape.len())?;
        return one(operation(tape, x, axis));
    }
    let from = axis(call.node.int("axis", 1), shape.len())?;
    let (rows, width) = (
        shape[..from].iter().product(),
        shape[from..].iter().product(),
    );
    let matrix = operation(tape, tape.reshape(x, &[rows, width]), 1);
    one(tape.reshape(matrix, &shape))
}
