//! Rounding to integer codes and back.

use super::Operator;
use super::math::plain;
use crate::graph::Node;
use crate::shape::{axis_of, same};
use crate::structure::{Flow, Layouts};

pub static DEQUANTIZE_LINEAR: Operator = rounding("DequantizeLinear");
pub static QUANTIZE_LINEAR: Operator = rounding("QuantizeLinear");

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
