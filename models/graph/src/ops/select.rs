//! Elements chosen by their values, and values that choose.

use lapidary_core::tensor::DType;

use super::Operator;
use crate::graph::Attribute;
use crate::opset::Change;
use crate::shape::{Extents, Known, axis_of, extent};

pub static NON_ZERO: Operator = Operator {
    types: |_| vec![Some(DType::I64)],
    shape: |known| Some(vec![Some(known.shape(0)?.len()), None]),
    ..Operator::standard("NonZero")
};

pub static ONE_HOT: Operator = Operator {
    told_by_constants: true,
    types: |typed| vec![typed.input(2)],
    shape: one_hot_shape,
    ..Operator::standard("OneHot")
};

pub static TOP_K: Operator = Operator {
    types: |typed| vec![typed.input(0), Some(DType::I64)],
    shape: top_shape,
    other_shapes: |known| Some(vec![top_shape(known)?]),
    changes: &[Change {
        version: 10,
        rewrite: |rewriting, node| {
            if let Some(Attribute::Int(k)) = node.attributes.remove("k") {
                rewriting.set_input(node, "k", 1, vec![k]);
            }
            Ok(())
        },
    }],
    ..Operator::standard("TopK")
};

fn one_hot_shape(known: &Known<'_>) -> Option<Extents> {
    let mut shape = known.shape(0)?.clone();
    let depth = known.ints(1).and_then(|d| extent(*d.first()?));
    let axis = axis_of(known.node.int("axis", -1), shape.len() + 1)?;
    shape.insert(axis, depth);
    Some(shape)
}

fn top_shape(known: &Known<'_>) -> Option<Extents> {
    let mut shape = known.shape(0)?.clone();
    let axis = axis_of(known.node.int("axis", -1), shape.len())?;
    shape[axis] = match known.node.int("k", -1) {
        -1 => known.ints(1).and_then(|k| extent(*k.first()?)),
        k => extent(k),
    };
    Some(shape)
}
