//! `Dropout`.

use lapidary_core::model::ModelError;
use lapidary_core::tensor::DType;

use super::{IDENTITY, Operator};
use crate::graph::Node;
use crate::lower::{Lowering, refusal};
use crate::opset::Change;
use crate::shape::same;
use crate::structure::rules;
use crate::tape::{Call, Outputs, Pass, one};

pub static DROPOUT: Operator = Operator {
    types: |typed| vec![typed.input(0), Some(DType::Bool)],
    shape: same,
    other_shapes: |known| Some(vec![same(known)?]),
    channels: rules::passed_alone,
    lower: Some(lower),
    changes: &[
        Change {
            version: 7,
            rewrite: |_, node| {
                node.attributes.remove("is_test");
                Ok(())
            },
        },
        Change {
            version: 12,
            rewrite: |rewriting, node| {
                rewriting.float_to_input(node, "ratio", 1);
                Ok(())
            },
        },
    ],
    forward: Some(dropout),
    ..Operator::standard("Dropout")
};

/// Outside training it hands its input on.
fn lower(lowering: &mut Lowering<'_>, mut node: Node) -> Result<(), ModelError> {
    let training = node.input(2).map(|name| lowering.shapes.fact(name).ints);
    if training.is_some_and(|told| told != Some(vec![Some(0)])) {
        return Err(refusal(&node, "dropout as in training"));
    }
    if node.outputs.iter().skip(1).all(String::is_empty) {
        IDENTITY.take_over(&mut node);
        node.inputs.truncate(1);
        node.outputs.truncate(1);
        node.attributes.clear();
    }
    lowering.push(node);
    Ok(())
}

/// Zeroes elements with the given probability and scales the others up, in training only (Srivastava et al., "Dropout", 2014).
fn dropout(call: &mut Call<'_>) -> Outputs {
    let ratio = match call.scalar(1)? {
        Some(ratio) => ratio,
        None => call.node.float("ratio", 0.5),
    };
    let x = call.float(0)?;
    let Pass::Train { rng, .. } = call.pass else {
        return one(x);
    };
    if !(0.0..1.0).contains(&ratio) {
        return Err(format!("a ratio of {ratio} is not in [0, 1)"));
    }
    let kept = 1.0 / (1.0 - ratio);
    let mask = (0..x.shape().iter().product())
        .map(|_| {
            if rng.chance(f64::from(ratio)) {
                0.0
            } else {
                kept
            }
        })
        .collect();
    let mask = call.tape.constant(mask, x.shape());
    one(call.tape.mul(x, mask))
}
