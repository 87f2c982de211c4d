//! The arithmetic of axes and extents that operators check their operands with.

use ndarray::{ArrayD, IxDyn};

use super::{Outputs, Tape, Value, Var};

/// The axis an ONNX index means, counting from the end where negative.
///
/// # Errors
/// Where a tensor of `rank` axes has no such axis.
pub fn axis(index: i64, rank: usize) -> Result<usize, String> {
    let from_end = if index < 0 {
        index + rank as i64
    } else {
        index
    };
    usize::try_from(from_end)
        .ok()
        .filter(|&axis| axis < rank)
        .ok_or_else(|| format!("axis {index} is outside a tensor of rank {rank}"))
}

/// The axes that ONNX indices mean, rising, each once.
///
/// # Errors
/// Where a tensor of `rank` axes lacks one of them.
pub fn axes(indices: &[i64], rank: usize) -> Result<Vec<usize>, String> {
    let mut axes = indices
        .iter()
        .map(|&i| axis(i, rank))
        .collect::<Result<Vec<_>, _>>()?;
    axes.sort_unstable();
    axes.dedup();
    Ok(axes)
}

/// Integers as extents.
///
/// # Errors
/// Where one is negative.
pub fn extents<'a>(values: impl IntoIterator<Item = &'a i64>) -> Result<Vec<usize>, String> {
    values
        .into_iter()
        .map(|&v| usize::try_from(v).map_err(|_| format!("an extent cannot be {v}")))
        .collect()
}

/// Elements of a tensor about to be made.
///
/// # Errors
/// From 8 GiB of `f32` on, which are taken for a mistake, or for malice, before they are asked for.
pub fn sized(shape: &[usize]) -> Result<usize, String> {
    shape
        .iter()
        .try_fold(1usize, |n, &extent| n.checked_mul(extent))
        .filter(|&n| n < 1 << 31)
        .ok_or_else(|| format!("a tensor of shape {shape:?} is too large"))
}

/// The shape two shapes broadcast to (ONNX, "Broadcasting in ONNX").
///
/// # Errors
/// Where they do not, or the result is too large.
pub fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let at =
        |shape: &[usize], i: usize| (i + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    let shape: Vec<usize> = (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => Err(format!("shapes {a:?} and {b:?} do not broadcast")),
        })
        .collect::<Result<_, _>>()?;
    sized(&shape)?;
    Ok(shape)
}

/// A view with ones before its first axis, up to `rank` axes.
pub fn of_rank(tape: &dyn Tape, x: Var, rank: usize) -> Var {
    let shape = x.shape();
    if shape.len() >= rank {
        return x;
    }
    let mut wide = vec![1; rank - shape.len()];
    wide.extend(shape);
    tape.reshape(x, &wide)
}

/// Brings two tensors to one rank, so that a device broadcasts them.
///
/// # Errors
/// Where their shapes do not broadcast.
pub fn aligned(tape: &dyn Tape, a: Var, b: Var) -> Result<(Var, Var), String> {
    let rank = broadcast(a.shape(), b.shape())?.len();
    Ok((of_rank(tape, a, rank), of_rank(tape, b, rank)))
}

/// Integers repeated along axes of extent 1, and along new ones in front, up to `shape`.
///
/// # Errors
/// Where they do not broadcast to it.
pub fn spread(array: &ArrayD<i64>, shape: &[usize]) -> Result<ArrayD<i64>, String> {
    array
        .broadcast(IxDyn(shape))
        .map(|view| view.to_owned())
        .ok_or_else(|| format!("shape {:?} does not broadcast to {shape:?}", array.shape()))
}

/// A single output: the value under another shape.
///
/// # Errors
/// Where that has not as many elements.
pub fn viewed(tape: &dyn Tape, value: Value, shape: &[usize]) -> Outputs {
    let (from, to): (usize, usize) = (value.shape().iter().product(), shape.iter().product());
    if from != to {
        return Err(format!(
            "a tensor of shape {:?} does not fit shape {shape:?}",
            value.shape()
        ));
    }
    Ok(vec![match value {
        Value::Float(x) => Value::Float(tape.reshape(x, shape)),
        Value::Int(a) => Value::Int(
            a.into_shape_with_order(IxDyn(shape))
                .map_err(|e| e.to_string())?,
        ),
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_broadcast_from_behind() {
        assert_eq!(broadcast(&[2, 1, 4], &[3, 1]).unwrap(), [2, 3, 4]);
        assert_eq!(
            broadcast(&[2, 3], &[4]).unwrap_err(),
            "shapes [2, 3] and [4] do not broadcast"
        );
        assert!(sized(&[1 << 16, 1 << 15]).is_err());
        assert_eq!(axes(&[-1, 0, 2], 3).unwrap(), [0, 2]);
        assert_eq!(
            axis(3, 3).unwrap_err(),
            "axis 3 is outside a tensor of rank 3"
        );
    }
}
