//! Sums, means and maxima along axes.

use crate::tape::{Call, Outputs, Tape, Var, axes, one};

pub fn mean(call: &mut Call<'_>) -> Outputs {
    reduce(call, |tape, x, axis| tape.mean(x, axis))
}

pub fn sum(call: &mut Call<'_>) -> Outputs {
    reduce(call, |tape, x, axis| tape.sum(x, axis))
}

pub fn max(call: &mut Call<'_>) -> Outputs {
    reduce(call, |tape, x, axis| tape.largest(x, axis))
}

/// Axis by axis, so that no kernel reduces the whole of a large tensor.
fn reduce(call: &mut Call<'_>, along: fn(&dyn Tape, Var, usize) -> Var) -> Outputs {
    let mut x = call.float(0)?;
    let shape = x.shape().to_vec();
    let given = call.list("axes", 1)?.filter(|a| !a.is_empty());
    let reduced = match given {
        Some(indices) => axes(&indices, shape.len())?,
        None if call.node.int("noop_with_empty_axes", 0) != 0 => return one(x),
        None => (0..shape.len()).collect(),
    };
    for &axis in &reduced {
        x = along(call.tape, x, axis);
    }
    if call.node.int("keepdims", 1) != 0 {
        return one(x);
    }
    let kept: Vec<usize> = (0..shape.len())
        .filter(|i| !reduced.contains(i))
        .map(|i| shape[i])
        .collect();
    one(call.tape.reshape(x, &kept))
}
