//! Values repeated along axes.

use ndarray::IxDyn;

use super::Operator;
use crate::fold::moved;
use crate::shape::{Extents, Known, combined, extent};
use crate::tape::{Call, Outputs, Value, broadcast, extents, of_rank, one, spread, whole};

pub static EXPAND: Operator = Operator {
    fold: Some(|c| {
        let target = extents(&c.ints(1)?).ok()?;
        let expanded = moved(c.dense(0)?, |places| {
            let shape = broadcast(places.shape(), &target).ok()?;
            Some(places.broadcast(IxDyn(&shape))?.to_owned())
        })?;
        Some(expanded.into())
    }),
    shape: expanded,
    forward: Some(expand),
    ..Operator::standard("Expand")
};

pub static TILE: Operator = Operator {
    shape: tiled,
    ..Operator::standard("Tile")
};

fn expanded(known: &Known<'_>) -> Option<Extents> {
    let target: Extents = (known.partial(1)?.iter()).map(|d| extent((*d)?)).collect();
    Some(combined(&[known.shape(0)?, &target]))
}

fn tiled(known: &Known<'_>) -> Option<Extents> {
    let repeats = known.ints(1)?;
    let times = |(d, &r): (&Option<usize>, &i64)| (*d)?.checked_mul(extent(r)?);
    Some(known.shape(0)?.iter().zip(&repeats).map(times).collect())
}

/// Repeats along axes of extent 1.
fn expand(call: &mut Call<'_>) -> Outputs {
    let shape = call.ints(1)?.ok_or("the shape is missing")?;
    let x = call.value(0)?;
    let shape = broadcast(x.shape(), &extents(&shape)?)?;
    match x {
        Value::Int(a) => whole(spread(&a, &shape)?),
        Value::Float(x) => {
            let x = of_rank(call.tape, x, shape.len());
            one(call.tape.expand(x, &shape))
        }
    }
}
