//! Quantize–dequantize pairs, trained with the straight-through estimator: the gradient passes rounding unchanged and stops
//! where codes were clipped (Jacob et al., "Quantization and Training of Neural Networks", 2018).

use crate::tape::{Call, Outputs, Value, Var, axis, one};

/// Scale and zero point, shaped to broadcast to `shape`: one for all, or one for each index of the node's axis.
fn parameters(call: &mut Call<'_>, shape: &[usize]) -> Result<(Var, Option<Var>), String> {
    let tape = call.tape;
    let scale = call.float(1)?;
    let zero_point = call.ints(2)?;
    let count: usize = scale.shape().iter().product();
    let mut wide = vec![1; shape.len()];
    if count != 1 {
        let axis = axis(call.node.int("axis", 1), shape.len())?;
        if scale.shape() != [shape[axis]] {
            return Err(format!(
                "scales of shape {:?} do not fit axis {axis} of {shape:?}",
                scale.shape()
            ));
        }
        wide[axis] = count;
    }
    let zero_point = match zero_point {
        Some(zeros) if zeros.len() != count => {
            return Err(format!("{} zero points for {count} scales", zeros.len()));
        }
        Some(zeros) => {
            let zeros = zeros.iter().map(|&z| z as f32).collect();
            Some(tape.constant(zeros, &wide))
        }
        None => None,
    };
    Ok((tape.reshape(scale, &wide), zero_point))
}

/// Codes as floats: `clamp(round(x / scale) + zero_point)`.
pub fn quantize(call: &mut Call<'_>) -> Outputs {
    let tape = call.tape;
    let x = call.float(0)?;
    let (scale, zero_point) = parameters(call, x.shape())?;
    let mut codes = tape.round(tape.div(x, scale));
    if let Some(zero_point) = zero_point {
        codes = tape.add(codes, zero_point);
    }
    let (low, high) = if call.signed {
        (-128.0, 127.0)
    } else {
        (0.0, 255.0)
    };
    one(tape.clamp(codes, Some(low), Some(high)))
}

/// `(codes − zero_point) · scale`; stored codes become constants.
pub fn dequantize(call: &mut Call<'_>) -> Outputs {
    let tape = call.tape;
    let codes = match call.value(0)? {
        Value::Float(codes) => codes,
        Value::Int(codes) => {
            let values = codes.iter().map(|&c| c as f32).collect();
            tape.constant(values, codes.shape())
        }
    };
    let (scale, zero_point) = parameters(call, codes.shape())?;
    let centred = match zero_point {
        Some(zero_point) => tape.sub(codes, zero_point),
        None => codes,
    };
    one(tape.mul(centred, scale))
}
