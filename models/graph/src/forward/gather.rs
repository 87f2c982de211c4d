//! Slices at indices.

use ndarray::Axis;

use crate::tape::{Call, Outputs, Value, axis, sized, viewed};

/// The slices at the given indices: rows of an embedding, or entries of a shape.
pub fn gather(call: &mut Call<'_>) -> Outputs {
    let indices = call.ints(1)?.ok_or("the indices are missing")?;
    let x = call.value(0)?;
    let shape = x.shape().to_vec();
    let axis = axis(call.node.int("axis", 0), shape.len())?;
    let extent = shape[axis] as i64;
    let flat: Vec<i64> = indices
        .iter()
        .map(|&i| if i < 0 { i + extent } else { i })
        .collect();
    if let Some(bad) = flat.iter().find(|&&i| !(0..extent).contains(&i)) {
        return Err(format!("index {bad} is outside axis {axis} of {shape:?}"));
    }
    let mut out = shape[..axis].to_vec();
    out.extend(indices.shape());
    out.extend(&shape[axis + 1..]);
    sized(&out)?;
    let at: Vec<usize> = flat.iter().map(|&i| i as usize).collect();
    match x {
        Value::Float(x) => {
            let rows = call.tape.gather(x, axis, &at);
            viewed(call.tape, Value::Float(rows), &out)
        }
        Value::Int(a) => viewed(call.tape, Value::Int(a.select(Axis(axis), &at)), &out),
    }
}
