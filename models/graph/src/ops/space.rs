//! Blocks of a map moved between space and channels.

use super::Operator;
use crate::shape::{Extents, Known, extent};

pub static DEPTH_TO_SPACE: Operator = Operator {
    shape: |known| {
        let (x, b) = (maps(known)?, block(known)?);
        Some(vec![
            x[0],
            over(x[1], b.checked_mul(b)?),
            times(x[2], b),
            times(x[3], b),
        ])
    },
    ..Operator::standard("DepthToSpace")
};

pub static SPACE_TO_DEPTH: Operator = Operator {
    shape: |known| {
        let (x, b) = (maps(known)?, block(known)?);
        Some(vec![
            x[0],
            times(x[1], b.checked_mul(b)?),
            over(x[2], b),
            over(x[3], b),
        ])
    },
    ..Operator::standard("SpaceToDepth")
};

fn maps<'a>(known: &'a Known<'_>) -> Option<&'a Extents> {
    known.shape(0).filter(|x| x.len() == 4)
}

fn block(known: &Known<'_>) -> Option<usize> {
    extent(known.node.int("blocksize", 1)).filter(|&b| b > 0)
}

fn times(d: Option<usize>, by: usize) -> Option<usize> {
    d?.checked_mul(by)
}

fn over(d: Option<usize>, by: usize) -> Option<usize> {
    Some(d? / by)
}
