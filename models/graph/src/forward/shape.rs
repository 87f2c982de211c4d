//! The extents of a tensor.

use ndarray::{ArrayD, IxDyn};

use crate::tape::{Call, Outputs, whole};

/// The extents, of the axes from `start` to `end`.
pub fn shape(call: &mut Call<'_>) -> Outputs {
    let x = call.value(0)?;
    let shape = x.shape();
    let rank = shape.len() as i64;
    let clamp = |index: i64| (if index < 0 { index + rank } else { index }).clamp(0, rank) as usize;
    let (start, end) = (
        clamp(call.node.int("start", 0)),
        clamp(call.node.int("end", rank)),
    );
    let extents: Vec<i64> = shape
        .get(start..end)
        .unwrap_or_default()
        .iter()
        .map(|&e| e as i64)
        .collect();
    whole(ArrayD::from_shape_vec(IxDyn(&[extents.len()]), extents).map_err(|e| e.to_string())?)
}
