//! Tensors made of a few numbers.

use ndarray::{ArrayD, IxDyn};

use crate::graph::Attribute;
use crate::tape::{Call, Outputs, Value, extents, one, sized, whole};

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
