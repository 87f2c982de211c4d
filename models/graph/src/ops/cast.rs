//! Values handed on, as they are or as another type.

use lapidary_core::tensor::{DType, Dense, Tensor};

use super::Operator;
use super::math::{element, plain};
use crate::fold::Constants;
use crate::graph::Attribute;
use crate::lower::held_as;
use crate::opset::Change;
use crate::shape::same_ints;
use crate::tape::{Call, Outputs, Value, one, whole};
use crate::types::numbered;

pub static CAST: Operator = Operator {
    types: |typed| vec![typed.said("to")],
    changes: &[Change {
        version: 6,
        rewrite: |_, node| {
            if let Some(number) = node.text("to").and_then(spelt) {
                node.attributes.insert("to".into(), Attribute::Int(number));
            }
            Ok(())
        },
    }],
    fold: Some(fold_cast),
    lower: Some(|lowering, mut node| {
        let to = numbered(node.int("to", 0)).map(held_as);
        match to {
            Some(DType::F32) => node.attributes.insert("to".into(), 1.into()),
            Some(DType::I32) => node.attributes.insert("to".into(), 6.into()),
            _ => None,
        };
        lowering.push(node);
        Ok(())
    }),
    keeps_numbers: true,
    ints: same_ints,
    forward: Some(cast),
    ..element("Cast")
};

pub static CAST_LIKE: Operator = Operator {
    types: |typed| vec![typed.input(1)],
    ..plain("CastLike")
};

pub static IDENTITY: Operator = Operator {
    hands_on: true,
    fold: Some(|c| c.tensor(0).cloned()),
    keeps_numbers: true,
    ints: same_ints,
    forward: Some(|call| Ok(vec![call.value(0)?])),
    ..element("Identity")
};

/// ONNX's number of a type that the oldest versions spell out.
fn spelt(name: &str) -> Option<i64> {
    let names = [
        "FLOAT", "UINT8", "INT8", "UINT16", "INT16", "INT32", "INT64", "STRING", "BOOL", "FLOAT16",
        "DOUBLE",
    ];
    let at = names.iter().position(|other| *other == name)?;
    Some(at as i64 + 1)
}

/// Floats as floats of another type; the codes of a quantized weight stay.
fn fold_cast(c: &Constants<'_>) -> Option<Tensor> {
    let to = numbered(c.node.int("to", 0)).filter(|dtype| dtype.is_float())?;
    match c.tensor(0)? {
        Tensor::Quantized(q) => Some(Tensor::Quantized(q.clone())),
        Tensor::Dense(Dense::F64(a)) => {
            Some(Dense::floats(to, a.shape(), a.iter().copied()).ok()?.into())
        }
        Tensor::Dense(dense) => {
            let values = dense.to_f32()?;
            let wide = values.iter().map(|&v| f64::from(v));
            Some(Dense::floats(to, values.shape(), wide).ok()?.into())
        }
    }
}

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
