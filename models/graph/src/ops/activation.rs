//! Activations.

use lapidary_core::model::ModelError;

use super::math::element;
use super::{MUL, Operator, Slots, TANH};
use crate::graph::Node;
use crate::lower::Lowering;
use crate::opset::Change;
use crate::shape::same;
use crate::structure::rules;

pub static CELU: Operator = element("Celu");
pub static ELU: Operator = element("Elu");
pub static GELU: Operator = element("Gelu");
pub static HARD_SIGMOID: Operator = element("HardSigmoid");
pub static HARD_SWISH: Operator = element("HardSwish");
pub static LEAKY_RELU: Operator = element("LeakyRelu");
pub static RELU: Operator = element("Relu");
pub static SHRINK: Operator = element("Shrink");
pub static SIGMOID: Operator = element("Sigmoid");
pub static SOFTPLUS: Operator = element("Softplus");
pub static SOFTSIGN: Operator = element("Softsign");
pub static THRESHOLDED_RELU: Operator = element("ThresholdedRelu");

pub static CLIP: Operator = Operator {
    channels: rules::passed_alone,
    changes: &[Change {
        version: 11,
        rewrite: |rewriting, node| {
            rewriting.float_to_input(node, "min", 1);
            rewriting.float_to_input(node, "max", 2);
            Ok(())
        },
    }],
    ..element("Clip")
};

pub static MISH: Operator = Operator {
    lower: Some(lower_mish),
    ..element("Mish")
};

pub static P_RELU: Operator = Operator {
    weights: &[Slots::behind_input(None, &[1])],
    channels: |flow, node| rules::joined(flow, node, false),
    ..element("PRelu")
};

pub static SELU: Operator = Operator {
    lower: Some(lower_selu),
    ..element("Selu")
};

pub static SWISH: Operator = Operator {
    shape: same,
    ..Operator::standard("Swish")
};

pub static BIAS_GELU: Operator = contributed("BiasGelu");
pub static FAST_GELU: Operator = contributed("FastGelu");
pub static QUICK_GELU: Operator = contributed("QuickGelu");
pub static GELU_CONTRIBUTED: Operator = contributed("Gelu");

const fn contributed(name: &'static str) -> Operator {
    Operator {
        shape: same,
        ..Operator::contributed(name)
    }
}

/// By its definition in the ONNX standard.
fn lower_mish(lowering: &mut Lowering, node: Node) -> Result<(), ModelError> {
    let Some(x) = node.input(0).map(str::to_owned) else {
        lowering.push(node);
        return Ok(());
    };
    let softplus = lowering.step(&node.name, &SOFTPLUS, &[&x], &[]);
    let tanh = lowering.step(&node.name, &TANH, &[&softplus], &[]);
    lowering.finish(&node.name, &MUL, vec![tanh, x], node.outputs);
    Ok(())
}

/// By its definition in the ONNX standard.
fn lower_selu(lowering: &mut Lowering, node: Node) -> Result<(), ModelError> {
    let Some(x) = node.input(0).map(str::to_owned) else {
        lowering.push(node);
        return Ok(());
    };
    let alpha = node.float("alpha", 1.673_263_2).into();
    let elu = lowering.step(&node.name, &ELU, &[&x], &[("alpha", alpha)]);
    let gamma = lowering.number(&node.name, node.float("gamma", 1.050_701));
    lowering.finish(&node.name, &MUL, vec![elu, gamma], node.outputs);
    Ok(())
}
