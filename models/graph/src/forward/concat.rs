//! Tensors one behind the other.

use ndarray::Axis;

use crate::tape::{Call, Outputs, Value, axis, one};

pub fn concat(call: &mut Call<'_>) -> Outputs {
    let parts = (0..call.inputs.len())
        .map(|i| call.value(i))
        .collect::<Result<Vec<_>, _>>()?;
    let first = parts.first().ok_or("there is nothing to join")?.shape();
    let axis = axis(call.node.int("axis", 0), first.len())?;
    for part in &parts {
        let shape = part.shape();
        let differs = shape.len() != first.len()
            || (0..first.len()).any(|i| i != axis && shape[i] != first[i]);
        if differs {
            return Err(format!(
                "shapes {first:?} and {shape:?} do not join along axis {axis}"
            ));
        }
    }
    let (mut floats, mut ints) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Value::Float(x) => floats.push(x),
            Value::Int(a) => ints.push(a),
        }
    }
    if ints.is_empty() {
        return one(call.tape.concat(floats, axis));
    }
    if !floats.is_empty() {
        return Err("floats and integers do not join".into());
    }
    let views: Vec<_> = ints.iter().map(|a| a.view()).collect();
    Ok(vec![Value::Int(
        ndarray::concatenate(Axis(axis), &views).map_err(|e| e.to_string())?,
    )])
}
