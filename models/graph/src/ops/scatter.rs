//! Elements put in at indices.

use super::Operator;
use super::math::plain;
use crate::opset::Change;
use crate::types::Alike;

pub static SCATTER: Operator = Operator {
    changes: &[Change {
        version: 11,
        rewrite: |_, node| {
            SCATTER_ELEMENTS.take_over(node);
            Ok(())
        },
    }],
    ..scattering("Scatter")
};

pub static SCATTER_ELEMENTS: Operator = scattering("ScatterElements");
pub static SCATTER_ND: Operator = scattering("ScatterND");

const fn scattering(name: &'static str) -> Operator {
    Operator {
        alike: Alike::Of(&[0, 2]),
        ..plain(name)
    }
}
