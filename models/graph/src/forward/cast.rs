//! Casts.

use crate::tape::{Call, Outputs, Value, one, whole};

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
