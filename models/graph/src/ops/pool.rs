//! Pooling.

use super::Operator;
use super::window::{lower, slid, spatial};
use crate::shape::{Extents, Known};
use crate::structure::rules;

pub static AVERAGE_POOL: Operator = Operator {
    lower: Some(lower),
    ..pool("AveragePool")
};

pub static LP_POOL: Operator = pool("LpPool");

pub static MAX_POOL: Operator = Operator {
    other_shapes: |known| Some(vec![shape(known)?]),
    lower: Some(lower),
    ..pool("MaxPool")
};

pub static GLOBAL_AVERAGE_POOL: Operator = global("GlobalAveragePool");
pub static GLOBAL_LP_POOL: Operator = global("GlobalLpPool");
pub static GLOBAL_MAX_POOL: Operator = global("GlobalMaxPool");

const fn pool(name: &'static str) -> Operator {
    Operator {
        shape,
        channels: rules::passed_maps,
        ..Operator::standard(name)
    }
}

const fn global(name: &'static str) -> Operator {
    Operator {
        shape: global_shape,
        channels: rules::passed_maps,
        ..Operator::standard(name)
    }
}

fn shape(known: &Known<'_>) -> Option<Extents> {
    let x = known.shape(0)?;
    let maps = x.get(2..)?;
    let kernel = spatial(known.node, "kernel_shape", maps.len(), 1)?;
    let mut shape = x[..2].to_vec();
    shape.extend(slid(known, maps, &kernel)?);
    Some(shape)
}

fn global_shape(known: &Known<'_>) -> Option<Extents> {
    let x = known.shape(0)?;
    let one = |i: usize| if i < 2 { x[i] } else { Some(1) };
    Some((0..x.len()).map(one).collect())
}
