//! Recurrent layers.

use super::{Operator, Slots, unroll};
use crate::layers::{Work, volume};
use crate::shape::{Extents, Known, extent};
use crate::types::Alike;

pub static GRU: Operator = Operator {
    weights: &[Slots::behind_input(Some(3), &[1, 2, 3])],
    lower: Some(|lowering, node| {
        match node.int("linear_before_reset", 0) != 0 && unroll::is_plain(&node) {
            true => {
                lowering.push(node);
                Ok(())
            }
            false => unroll::unroll(lowering, node, unroll::Cell::Gru),
        }
    }),
    ..recurrent("GRU")
};

pub static LSTM: Operator = Operator {
    weights: &[Slots::behind_input(Some(3), &[1, 2, 3, 7])],
    lower: Some(
        |lowering, node| match node.input(7).is_none() && unroll::is_plain(&node) {
            true => {
                lowering.push(node);
                Ok(())
            }
            false => unroll::unroll(lowering, node, unroll::Cell::Lstm),
        },
    ),
    ..recurrent("LSTM")
};

pub static RNN: Operator = Operator {
    weights: &[Slots::behind_input(Some(3), &[1, 2, 3])],
    lower: Some(|lowering, node| unroll::unroll(lowering, node, unroll::Cell::Plain)),
    ..recurrent("RNN")
};

const fn recurrent(name: &'static str) -> Operator {
    Operator {
        types: |typed| vec![typed.input(0); typed.node.outputs.len()],
        alike: Alike::Of(&[0, 1, 2, 3, 5, 6, 7]),
        channel_axis: |_, _, _| 1,
        shape: |known| Some(shapes(known)?.0),
        other_shapes: |known| {
            let (_, state) = shapes(known)?;
            Some(vec![state.clone(), state])
        },
        macs,
        ..Operator::standard(name)
    }
}

/// The shapes of the outputs of all steps, and of a state behind the last.
fn shapes(known: &Known<'_>) -> Option<(Extents, Extents)> {
    let x = known.shape(0).filter(|x| x.len() == 3)?;
    let hidden = match known.node.int("hidden_size", 0) {
        0 => *known.shape(2)?.last()?,
        h => extent(h),
    };
    let directions = match known.node.text("direction") {
        Some("bidirectional") => Some(2),
        _ => Some(1),
    };
    Some(if known.node.int("layout", 0) == 0 {
        (
            vec![x[0], directions, x[1], hidden],
            vec![directions, x[1], hidden],
        )
    } else {
        (
            vec![x[0], x[1], directions, hidden],
            vec![x[0], directions, hidden],
        )
    })
}

/// The input's and the state's matrix, at every step.
fn macs(work: &Work<'_>) -> Option<u64> {
    let x = work.input(0)?;
    let recurrent = work.input(2)?;
    let steps = (x.first()?.checked_mul(*x.get(1)?))? as u64;
    steps.checked_mul(volume(work.weight)?.checked_add(volume(&recurrent)?)?)
}
