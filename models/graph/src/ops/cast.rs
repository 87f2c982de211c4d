//! Values handed on, as they are or as another type.

use super::Operator;
use super::math::{element, plain};
use crate::shape::same_ints;
use crate::tape::{Call, Outputs, Value, one, whole};

pub static CAST: Operator = Operator {
    keeps_numbers: true,
    ints: same_ints,
    forward: Some(cast),
    ..element("Cast")
};

pub static CAST_LIKE: Operator = plain("CastLike");

pub static IDENTITY: Operator = Operator {
    hands_on: true,
    keeps_numbers: true,
    ints: same_ints,
    forward: Some(|call| Ok(vec![call.value(0)?])),
    ..element("Identity")
};

/// Between integers, from integers to floats, and between floats; from floats to integers there is no gradient.
fn cast(call: &mut Call<'_>) -> Outputs {
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
