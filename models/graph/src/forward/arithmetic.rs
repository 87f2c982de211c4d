//! Element by element, of several tensors: sums, products, extremes and powers, with ONNX broadcasting.

use ndarray::ArrayD;

use crate::tape::{Call, Outputs, Tape, Value, Var, aligned, broadcast, of_rank, one};

type Kernel = fn(&dyn Tape, Var, Var) -> Var;

fn binary(call: &mut Call<'_>, floats: Kernel, ints: fn(i64, i64) -> Option<i64>) -> Outputs {
    match (call.value(0)?, call.value(1)?) {
        (Value::Float(a), Value::Float(b)) => {
            let (a, b) = aligned(call.tape, a, b)?;
            one(floats(call.tape, a, b))
        }
        (Value::Int(a), Value::Int(b)) => {
            let shape = broadcast(a.shape(), b.shape())?;
            let (a, b) = (a.broadcast(shape.clone()), b.broadcast(shape.clone()));
            let (Some(a), Some(b)) = (a, b) else {
                return Err("shapes do not broadcast".into());
            };
            let values: Option<Vec<i64>> =
                a.iter().zip(b.iter()).map(|(&a, &b)| ints(a, b)).collect();
            let values = values.ok_or("integer overflow or division by zero")?;
            let array = ArrayD::from_shape_vec(shape, values).map_err(|e| e.to_string())?;
            Ok(vec![Value::Int(array)])
        }
        _ => Err("one input holds floats, the other integers".into()),
    }
}

pub fn add(call: &mut Call<'_>) -> Outputs {
    binary(call, |tape, a, b| tape.add(a, b), i64::checked_add)
}

pub fn sub(call: &mut Call<'_>) -> Outputs {
    binary(call, |tape, a, b| tape.sub(a, b), i64::checked_sub)
}

pub fn mul(call: &mut Call<'_>) -> Outputs {
    binary(call, |tape, a, b| tape.mul(a, b), i64::checked_mul)
}

pub fn div(call: &mut Call<'_>) -> Outputs {
    binary(call, |tape, a, b| tape.div(a, b), i64::checked_div)
}

/// The sum of any number of tensors.
pub fn sum(call: &mut Call<'_>) -> Outputs {
    let mut total = call.float(0)?;
    for i in 1..call.inputs.len() {
        let (a, b) = aligned(call.tape, total, call.float(i)?)?;
        total = call.tape.add(a, b);
    }
    one(total)
}

/// The largest of any number of tensors, element by element; of equal ones, the later.
pub fn max(call: &mut Call<'_>) -> Outputs {
    extreme(call, |tape, a, b| tape.max(a, b))
}

/// The smallest of any number of tensors, element by element; of equal ones, the later.
pub fn min(call: &mut Call<'_>) -> Outputs {
    extreme(call, |tape, a, b| tape.min(a, b))
}

fn extreme(call: &mut Call<'_>, of_two: Kernel) -> Outputs {
    let tape = call.tape;
    let mut found = call.float(0)?;
    for i in 1..call.inputs.len() {
        let other = call.float(i)?;
        let shape = broadcast(found.shape(), other.shape())?;
        let wide = |x| tape.expand(of_rank(tape, x, shape.len()), &shape);
        found = of_two(tape, wide(found), wide(other));
    }
    one(found)
}

/// A power with a constant exponent.
pub fn pow(call: &mut Call<'_>) -> Outputs {
    let x = call.float(0)?;
    let exponent = match call.inputs.get(1) {
        Some(Some(Value::Int(a))) if a.len() == 1 => a.iter().map(|&v| v as f32).sum(),
        _ => call.scalar(1)?.ok_or("input 1 is missing")?,
    };
    one(match exponent {
        2.0 => call.tape.mul(x.clone(), x),
        0.5 => call.tape.sqrt(x),
        other => call.tape.power(x, other),
    })
}
