//! Fourier transforms.

use super::Operator;
use crate::opset::{Change, refuse};

pub static DFT: Operator = Operator {
    changes: &[Change {
        version: 20,
        rewrite: refuse,
    }],
    ..Operator::standard("DFT")
};
