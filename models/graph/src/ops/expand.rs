//! Values repeated along axes.

use super::Operator;
use crate::shape::{Extents, Known, broadcast, extent};

pub static EXPAND: Operator = Operator {
    shape: expanded,
    ..Operator::standard("Expand")
};

pub static TILE: Operator = Operator {
    shape: tiled,
    ..Operator::standard("Tile")
};

fn expanded(known: &Known<'_>) -> Option<Extents> {
    let target: Extents = (known.partial(1)?.iter()).map(|d| extent((*d)?)).collect();
    Some(broadcast(&[known.shape(0)?, &target]))
}

fn tiled(known: &Known<'_>) -> Option<Extents> {
    let repeats = known.ints(1)?;
    let times = |(d, &r): (&Option<usize>, &i64)| (*d)?.checked_mul(extent(r)?);
    Some(known.shape(0)?.iter().zip(&repeats).map(times).collect())
}
