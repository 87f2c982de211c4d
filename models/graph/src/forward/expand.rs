//! Repetition along axes.

use crate::tape::{Call, Outputs, Value, broadcast, extents, of_rank, one, spread, whole};

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
