//! Elements put in at indices.

use super::Operator;
use super::math::plain;
use crate::opset::Change;

pub static SCATTER: Operator = Operator {
    changes: &[Change {
        version: 11,
        rewrite: |_, node| {
            SCATTER_ELEMENTS.take_over(node);
            Ok(())
        },
    }],
    ..plain("Scatter")
};

pub static SCATTER_ELEMENTS: Operator = plain("ScatterElements");
pub static SCATTER_ND: Operator = plain("ScatterND");
