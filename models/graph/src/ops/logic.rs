//! Integers and truth values (0 and 1), by which nothing is differentiated: what exporters compute shapes and masks with.

use ndarray::{ArrayD, IxDyn};

use crate::graph::Attribute;
use crate::tape::{Call, Outputs, Value, broadcast, extents, of_rank, one, sized};

fn whole(array: ArrayD<i64>) -> Outputs {
    Ok(vec![Value::Int(array)])
}

fn spread(array: &ArrayD<i64>, shape: &[usize]) -> Result<ArrayD<i64>, String> {
    array
        .broadcast(IxDyn(shape))
        .map(|view| view.to_owned())
        .ok_or_else(|| format!("shape {:?} does not broadcast to {shape:?}", array.shape()))
}

/// Combines two integer inputs element by element.
fn combine(call: &mut Call<'_>, by: fn(i64, i64) -> bool) -> Outputs {
    let (a, b) = (call.ints(0)?, call.ints(1)?);
    let (a, b) = a.zip(b).ok_or("two inputs are needed")?;
    let shape = broadcast(a.shape(), b.shape())?;
    let (mut a, b) = (spread(&a, &shape)?, spread(&b, &shape)?);
    a.zip_mut_with(&b, |a, &b| *a = i64::from(by(*a, b)));
    whole(a)
}

pub fn equal(call: &mut Call<'_>) -> Outputs {
    combine(call, |a, b| a == b)
}

pub fn less(call: &mut Call<'_>) -> Outputs {
    combine(call, |a, b| a < b)
}

pub fn less_or_equal(call: &mut Call<'_>) -> Outputs {
    combine(call, |a, b| a <= b)
}

pub fn greater(call: &mut Call<'_>) -> Outputs {
    combine(call, |a, b| a > b)
}

pub fn greater_or_equal(call: &mut Call<'_>) -> Outputs {
    combine(call, |a, b| a >= b)
}

pub fn and(call: &mut Call<'_>) -> Outputs {
    combine(call, |a, b| a != 0 && b != 0)
}

pub fn or(call: &mut Call<'_>) -> Outputs {
    combine(call, |a, b| a != 0 || b != 0)
}

pub fn not(call: &mut Call<'_>) -> Outputs {
    let a = call.ints(0)?.ok_or("input 0 is missing")?;
    whole(a.mapv(|v| i64::from(v == 0)))
}

/// Between integers, from integers to floats, and between floats; from floats to integers there is no gradient.
pub fn cast(call: &mut Call<'_>) -> Outputs {
    // The numbers of ONNX's float types (`TensorProto.DataType`): float, float16, double, bfloat16; of its truth values.
    const FLOATS: [i64; 4] = [1, 10, 11, 16];
    const BOOL: i64 = 9;
    let to = call.node.int("to", 0);
    match (call.value(0)?, FLOATS.contains(&to)) {
        (Value::Float(x), true) => one(x),
        (Value::Float(_), false) => Err("a cast from floats to integers has no gradient".into()),
        (Value::Int(a), true) => {
            let values = a.iter().map(|&v| v as f32).collect();
            one(call.tape.constant(values, a.shape()))
        }
        (Value::Int(a), false) if to == BOOL => whole(a.mapv(|v| i64::from(v != 0))),
        (Value::Int(a), false) => whole(a),
    }
}

/// A tensor of one repeated number, a float 0 where none is given.
pub fn constant_of_shape(call: &mut Call<'_>) -> Outputs {
    let tape = call.tape;
    let shape = call.ints(0)?.ok_or("the shape is missing")?;
    let shape: Vec<usize> = extents(&shape)?;
    let count = sized(&shape)?;
    let value = match call.node.attributes.get("value") {
        Some(Attribute::Tensor(dense)) => Value::of(dense, tape)?,
        _ => Value::Float(tape.constant(vec![0.0], &[1])),
    };
    match value {
        Value::Int(a) => whole(ArrayD::from_elem(
            IxDyn(&shape),
            a.first().copied().unwrap_or(0),
        )),
        Value::Float(x) => {
            let value = tape.read(&x).first().copied().unwrap_or(0.0);
            one(tape.constant(vec![value; count], &shape))
        }
    }
}

/// The integers from a start to before a limit.
pub fn range(call: &mut Call<'_>) -> Outputs {
    let mut next = |index| match call.ints(index)? {
        Some(a) if a.len() == 1 => Ok(a.iter().copied().sum::<i64>()),
        _ => Err(format!("input {index} must be one integer")),
    };
    let (start, limit, delta) = (next(0)?, next(1)?, next(2)?);
    if delta == 0 {
        return Err("a step of 0 leads nowhere".into());
    }
    let span = i128::from(limit) - i128::from(start);
    let count = (span + i128::from(delta) - i128::from(delta.signum())) / i128::from(delta);
    let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
    sized(&[count])?;
    whole(ArrayD::from_shape_fn(IxDyn(&[count]), |at| {
        start + at[0] as i64 * delta
    }))
}

/// Repeats along axes of extent 1.
pub fn expand(call: &mut Call<'_>) -> Outputs {
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

/// The second input where the first is true, else the third.
pub fn choose(call: &mut Call<'_>) -> Outputs {
    let tape = call.tape;
    let condition = call.ints(0)?.ok_or("the condition is missing")?;
    match (call.value(1)?, call.value(2)?) {
        (Value::Int(a), Value::Int(b)) => {
            let shape = broadcast(&broadcast(a.shape(), b.shape())?, condition.shape())?;
            let (a, mut b) = (spread(&a, &shape)?, spread(&b, &shape)?);
            let condition = spread(&condition, &shape)?;
            ndarray::Zip::from(&mut b)
                .and(&a)
                .and(&condition)
                .for_each(|b, &a, &c| {
                    if c != 0 {
                        *b = a;
                    }
                });
            whole(b)
        }
        (Value::Float(a), Value::Float(b)) => {
            let shape = broadcast(&broadcast(a.shape(), b.shape())?, condition.shape())?;
            let condition = spread(&condition, &shape)?;
            let mask = condition.iter().map(|&c| c != 0).collect();
            let wide = |x| tape.expand(of_rank(tape, x, shape.len()), &shape);
            let b = wide(b);
            one(tape.select(mask, wide(a), b))
        }
        _ => Err("one input holds floats, the other integers".into()),
    }
}
