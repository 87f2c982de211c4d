//! Quantize–dequantize pairs, trained with the straight-through estimator: the gradient passes rounding unchanged and stops
//! where codes were clipped (Jacob et al., "Quantization and Training of Neural Networks", 2018).

use burn_backend::Scalar;
use burn_backend::tensor::FloatTensor;

use super::{Call, axis, dims, one, reshaped};
use crate::engine::{Engine, Value, tensor};

type Out<B> = Result<Vec<Value<B>>, String>;

/// Scale and zero point, shaped to broadcast to `shape`: one for all, or one for each index of the node's axis.
fn parameters<B: Engine>(
    call: &mut Call<'_, B>,
    shape: &[usize],
) -> Result<(FloatTensor<B>, Option<FloatTensor<B>>), String> {
    let scale = call.float(1)?;
    let zero_point = call.ints(2)?;
    let count: usize = dims(&scale).iter().product();
    let mut wide = vec![1; shape.len()];
    if count != 1 {
        let axis = axis(call.node.int("axis", 1), shape.len())?;
        if dims(&scale) != [shape[axis]] {
            return Err(format!(
                "scales of shape {:?} do not fit axis {axis} of {shape:?}",
                dims(&scale)
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
            Some(B::constant(tensor(zeros, &wide)))
        }
        None => None,
    };
    Ok((reshaped::<B>(scale, &wide), zero_point))
}

/// Codes as floats: `clamp(round(x / scale) + zero_point)`.
pub(super) fn quantize<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let x = call.float(0)?;
    let (scale, zero_point) = parameters(call, &dims(&x))?;
    let exact = B::float_div(x, scale);
    let error = B::float_sub(B::float_round(exact.clone()), exact.clone());
    let mut codes = B::float_add(exact, B::float_detach(error));
    if let Some(zero_point) = zero_point {
        codes = B::float_add(codes, zero_point);
    }
    let (low, high) = if call.signed {
        (-128.0, 127.0)
    } else {
        (0.0, 255.0)
    };
    one(B::float_clamp(
        codes,
        Scalar::Float(low),
        Scalar::Float(high),
    ))
}

/// `(codes − zero_point) · scale`; stored codes become constants.
pub(super) fn dequantize<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let codes = match call.value(0)? {
        Value::Float(codes) => codes,
        Value::Int(codes) => {
            let values = codes.iter().map(|&c| c as f32).collect();
            B::constant(tensor(values, codes.shape()))
        }
    };
    let (scale, zero_point) = parameters(call, &dims(&codes))?;
    let centred = match zero_point {
        Some(zero_point) => B::float_sub(codes, zero_point),
        None => codes,
    };
    one(B::float_mul(centred, scale))
}

#[cfg(test)]
mod tests {
    use lapidary_core::tensor::{Dense, Shared};
    use ndarray::{ArcArray, IxDyn};

    use crate::check::{graph, node, output};

    fn codes(values: &[u8]) -> Dense {
        let array: Shared<u8> = ArcArray::from_shape_vec(IxDyn(&[]), values.to_vec()).unwrap();
        Dense::U8(array)
    }

    #[test]
    fn a_pair_rounds_and_clips() {
        let weights = [
            ("s", Dense::f32(&[], vec![0.5]).unwrap()),
            ("z", codes(&[10])),
        ];
        let nodes = vec![
            node("q = QuantizeLinear x s z", &[]),
            node("y = DequantizeLinear q s z", &[]),
        ];
        let x = Dense::f32(&[1, 4], vec![0.7, -0.3, -9.0, 500.0]).unwrap();
        let y = output(&graph(&[4], nodes, &weights), &x).unwrap();
        assert_eq!(
            y,
            Dense::f32(&[1, 4], vec![0.5, -0.5, -5.0, 122.5]).unwrap()
        );
    }

    #[test]
    fn gradients_pass_rounding_and_stop_at_clipping() {
        use crate::engine::{Engine, Taped, Value, data, tensor};
        use crate::{Pass, Program, backward, only};
        use burn_backend::AutodiffBackend;

        let weights = [
            ("s", Dense::f32(&[], vec![0.5]).unwrap()),
            ("z", codes(&[10])),
        ];
        let nodes = vec![
            node("q = QuantizeLinear x s z", &[]),
            node("y = DequantizeLinear q s z", &[]),
        ];
        let program = Program::new(&graph(&[4], nodes, &weights), &["y"]).unwrap();
        let leaf = Taped::constant(tensor(vec![0.7, -0.3, -9.0, 500.0], &[1, 4])).require_grad();
        let constants = program.plain().map(|v| match v {
            Value::Float(t) => Value::Float(Taped::constant(t)),
            Value::Int(a) => Value::Int(a),
        });
        let y = program
            .run::<Taped>(
                constants,
                vec![Value::Float(leaf.clone())],
                1,
                &mut Pass::Evaluate,
            )
            .unwrap();
        let grads = backward(only(y).unwrap(), tensor(vec![1.0, 2.0, 3.0, 4.0], &[1, 4]));
        let grad = Taped::grad(&leaf, &grads).unwrap();
        assert_eq!(data(&grad), [1.0, 2.0, 0.0, 0.0]);
    }
}
