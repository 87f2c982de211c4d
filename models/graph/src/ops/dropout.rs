//! `Dropout`.

use lapidary_core::model::ModelError;

use super::{IDENTITY, Operator};
use crate::graph::Node;
use crate::lower::Lowering;
use crate::opset::Change;
use crate::shape::same;
use crate::structure::rules;

pub static DROPOUT: Operator = Operator {
    shape: same,
    other_shapes: |known| Some(vec![same(known)?]),
    channels: rules::passed_alone,
    lower: Some(lower),
    changes: &[Change {
        version: 12,
        rewrite: |rewriting, node| {
            rewriting.float_to_input(node, "ratio", 1);
            Ok(())
        },
    }],
    ..Operator::standard("Dropout")
};

/// Outside training it hands its input on.
fn lower(lowering: &mut Lowering, mut node: Node) -> Result<(), ModelError> {
    if node.outputs.iter().skip(1).all(String::is_empty) {
        IDENTITY.take_over(&mut node);
        node.inputs.truncate(1);
        node.outputs.truncate(1);
        node.attributes.clear();
    }
    lowering.push(node);
    Ok(())
}
