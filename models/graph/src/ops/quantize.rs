//! Rounding to integer codes and back.

use super::Operator;
use super::math::plain;
use crate::graph::Node;
use crate::shape::{axis_of, same};
use crate::structure::{Flow, Layouts};
use crate::tape::{Call, Outputs, Value, Var, axis, one};

pub static DEQUANTIZE_LINEAR: Operator = Operator {
    forward: Some(dequantize),
    ..rounding("DequantizeLinear")
};

pub static QUANTIZE_LINEAR: Operator = Operator {
    forward: Some(quantize),
    ..rounding("QuantizeLinear")
};

pub static DYNAMIC_QUANTIZE_LINEAR: Operator = Operator {
    quantized: true,
    ..plain("DynamicQuantizeLinear")
};

pub static DEQUANTIZE_LINEAR_CONTRIBUTED: Operator = Operator {
    rounds: true,
    ..contributed("DequantizeLinear")
};

pub static QUANTIZE_LINEAR_CONTRIBUTED: Operator = Operator {
    rounds: true,
    ..contributed("QuantizeLinear")
};

pub static Q_LINEAR_ADD: Operator = contributed("QLinearAdd");
pub static Q_LINEAR_AVERAGE_POOL: Operator = contributed("QLinearAveragePool");
pub static Q_LINEAR_CONCAT: Operator = contributed("QLinearConcat");
pub static Q_LINEAR_GLOBAL_AVERAGE_POOL: Operator = contributed("QLinearGlobalAveragePool");
pub static Q_LINEAR_LEAKY_RELU: Operator = contributed("QLinearLeakyRelu");
pub static Q_LINEAR_MUL: Operator = contributed("QLinearMul");
pub static Q_LINEAR_REDUCE_MEAN: Operator = contributed("QLinearReduceMean");
pub static Q_LINEAR_SIGMOID: Operator = contributed("QLinearSigmoid");
pub static Q_LINEAR_SOFTMAX: Operator = contributed("QLinearSoftmax");
pub static Q_LINEAR_WHERE: Operator = contributed("QLinearWhere");

const fn rounding(name: &'static str) -> Operator {
    Operator {
        rounds: true,
        quantized: true,
        hands_on: true,
        keeps_numbers: true,
        shape: same,
        channels,
        ..Operator::standard(name)
    }
}

const fn contributed(name: &'static str) -> Operator {
    Operator {
        quantized: true,
        ..Operator::contributed(name)
    }
}

fn channels<'g>(flow: &mut Flow<'g>, node: &'g Node) -> Option<Layouts> {
    let Some(x) = flow.at(node, 0) else {
        return flow.untouched(node).then(|| vec![None]);
    };
    let rank = flow.rank(node.input(0)?)?;
    for input in [1, 2] {
        if flow.is_scalar(node, input) {
            continue;
        }
        if node.int("block_size", 0) != 0 {
            return None;
        }
        if axis_of(node.int("axis", 1), rank)? == x.axis {
            flow.weight(node, input)?;
            flow.stand_vector(node, input, &x.units, false)?;
        }
    }
    Some(vec![Some(x)])
}

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
fn quantize(call: &mut Call<'_>) -> Outputs {
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
fn dequantize(call: &mut Call<'_>) -> Outputs {
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
