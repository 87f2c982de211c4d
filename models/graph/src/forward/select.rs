//! A choice, element by element.

use crate::tape::{Call, Outputs, Value, broadcast, of_rank, one, spread, whole};

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
