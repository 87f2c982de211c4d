//! Activations.

use lapidary_core::model::{Activation, ModelError};

use super::math::element;
use super::{MUL, Operator, Slots, UNSQUEEZE};
use crate::error::GraphError;
use crate::fold;
use crate::graph::{Attribute, Node};
use crate::lower::Lowering;
use crate::opset::{Change, Rewriting};
use crate::shape::same;
use crate::structure::rules;
use crate::tape::{Call, Outputs, Tape, Var, aligned, broadcast, one};
use crate::types::Alike;

pub static CELU: Operator = Operator {
    forward: Some(celu),
    ..element("Celu")
};

pub static ELU: Operator = Operator {
    forward: Some(elu),
    ..element("Elu")
};

pub static GELU: Operator = Operator {
    forward: Some(gelu),
    ..element("Gelu")
};

pub static HARD_SIGMOID: Operator = Operator {
    forward: Some(hard_sigmoid),
    ..element("HardSigmoid")
};

pub static HARD_SWISH: Operator = Operator {
    forward: Some(hard_swish),
    ..element("HardSwish")
};

pub static LEAKY_RELU: Operator = Operator {
    forward: Some(leaky_relu),
    ..element("LeakyRelu")
};

pub static RELU: Operator = Operator {
    forward: Some(|call| one(call.tape.relu(call.float(0)?))),
    ..element("Relu")
};

pub static SHRINK: Operator = element("Shrink");

pub static SIGMOID: Operator = Operator {
    activation: Some(Activation::Sigmoid),
    forward: Some(|call| one(call.tape.sigmoid(call.float(0)?))),
    ..element("Sigmoid")
};

pub static SOFTPLUS: Operator = Operator {
    forward: Some(softplus),
    ..element("Softplus")
};

pub static SOFTSIGN: Operator = Operator {
    forward: Some(softsign),
    ..element("Softsign")
};

pub static TANH: Operator = Operator {
    forward: Some(|call| one(call.tape.tanh(call.float(0)?))),
    fold: Some(|c| fold::unary(c, f32::tanh)),
    ..element("Tanh")
};

pub static THRESHOLDED_RELU: Operator = Operator {
    forward: Some(thresholded),
    ..element("ThresholdedRelu")
};

pub static CLIP: Operator = Operator {
    alike: Alike::All,
    channels: rules::passed_alone,
    changes: &[Change {
        version: 11,
        rewrite: |rewriting, node| {
            rewriting.number_to_input(node, "min", 1)?;
            rewriting.number_to_input(node, "max", 2)
        },
    }],
    forward: Some(clip),
    ..element("Clip")
};

pub static MISH: Operator = Operator {
    forward: Some(mish),
    lower: Some(lower_mish),
    ..element("Mish")
};

pub static P_RELU: Operator = Operator {
    changes: &[Change {
        version: 7,
        rewrite: slope_by_channel,
    }],
    alike: Alike::All,
    weights: &[Slots::behind_input(None, &[1])],
    channels: |flow, node| rules::joined(flow, node, false),
    forward: Some(prelu),
    ..element("PRelu")
};

pub static SELU: Operator = Operator {
    forward: Some(selu),
    lower: Some(lower_selu),
    ..element("Selu")
};

pub static SWISH: Operator = Operator {
    forward: Some(|call| swish(call, 1.0)),
    ..element("Swish")
};

pub static BIAS_GELU: Operator = Operator {
    forward: Some(|call| {
        let x = biased(call)?;
        one(call.tape.gelu(x))
    }),
    ..contributed("BiasGelu")
};

pub static FAST_GELU: Operator = Operator {
    forward: Some(|call| {
        let x = biased(call)?;
        one(gelu_by_tanh(call.tape, x))
    }),
    ..contributed("FastGelu")
};

pub static QUICK_GELU: Operator = Operator {
    forward: Some(|call| swish(call, 1.702)),
    ..contributed("QuickGelu")
};

pub static GELU_CONTRIBUTED: Operator = Operator {
    forward: Some(|call| one(call.tape.gelu(call.float(0)?))),
    ..contributed("Gelu")
};

const fn contributed(name: &'static str) -> Operator {
    Operator {
        shape: same,
        ..Operator::contributed(name)
    }
}

/// Once a vector of slopes was one for each channel; since then it lies along the last axis.
fn slope_by_channel(rewriting: &mut Rewriting<'_>, node: &mut Node) -> Result<(), GraphError> {
    let rank = |i: usize| Some(rewriting.shapes.shape(node.input(i)?)?.len());
    let (Some(x), Some(slope)) = (rank(0), rank(1)) else {
        return Err(rewriting.refusal(node));
    };
    if slope != 1 || x < 3 {
        return Ok(());
    }
    let mut wide = rewriting.beside(node, &UNSQUEEZE, vec![node.inputs[1].clone()]);
    rewriting.set_input(&mut wide, "axes", 1, (1..x as i64 - 1).collect());
    node.inputs[1].clone_from(&wide.name);
    rewriting.before.push(wide);
    Ok(())
}

/// By its definition in the ONNX standard.
fn lower_mish(lowering: &mut Lowering<'_>, node: Node) -> Result<(), ModelError> {
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
fn lower_selu(lowering: &mut Lowering<'_>, node: Node) -> Result<(), ModelError> {
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

/// `max(x, 0) + alpha · min(x, 0)`.
fn leaky_relu(call: &mut Call<'_>) -> Outputs {
    let tape = call.tape;
    let alpha = call.node.float("alpha", 0.01);
    let x = call.float(0)?;
    let below = tape.sub(x.clone(), tape.relu(x.clone()));
    one(tape.add(tape.relu(x), tape.scale(below, alpha)))
}

/// As [`leaky_relu`], with a learned slope that broadcasts to the input.
fn prelu(call: &mut Call<'_>) -> Outputs {
    let tape = call.tape;
    let (x, slope) = (call.float(0)?, call.float(1)?);
    if broadcast(x.shape(), slope.shape())? != x.shape() {
        return Err(format!(
            "slope {:?} does not broadcast to {:?}",
            slope.shape(),
            x.shape()
        ));
    }
    let positive = tape.relu(x.clone());
    let below = tape.sub(x, positive.clone());
    let (below, slope) = aligned(tape, below, slope)?;
    one(tape.add(positive, tape.mul(below, slope)))
}

/// `x` where positive, else `alpha · (eˣ − 1)`.
fn elu(call: &mut Call<'_>) -> Outputs {
    let tape = call.tape;
    let alpha = call.node.float("alpha", 1.0);
    let x = call.float(0)?;
    one(exponential(tape, x, alpha, 1.0))
}

/// `x` where positive, else `alpha · (e^(x / alpha) − 1)`.
fn celu(call: &mut Call<'_>) -> Outputs {
    let alpha = call.node.float("alpha", 1.0);
    one(exponential(call.tape, call.float(0)?, alpha, 1.0 / alpha))
}

/// `gamma · x` where positive, else `gamma · alpha · (eˣ − 1)` (Klambauer et al., "Self-Normalizing Neural Networks", 2017).
fn selu(call: &mut Call<'_>) -> Outputs {
    let (alpha, gamma) = (
        call.node.float("alpha", 1.673_263_2),
        call.node.float("gamma", 1.050_701),
    );
    let x = exponential(call.tape, call.float(0)?, alpha, 1.0);
    one(call.tape.scale(x, gamma))
}

/// `x` where positive, else `alpha · (e^(slope · x) − 1)`.
fn exponential(tape: &dyn Tape, x: Var, alpha: f32, slope: f32) -> Var {
    let positive = tape.relu(x.clone());
    let below = tape.scale(tape.sub(x, positive.clone()), slope);
    let curve = tape.shift(tape.exp(below), -1.0);
    tape.add(positive, tape.scale(curve, alpha))
}

/// `x · tanh(log(1 + eˣ))` (Misra, "Mish", 2019).
fn mish(call: &mut Call<'_>) -> Outputs {
    let (tape, x) = (call.tape, call.float(0)?);
    let softplus = tape.neg(tape.log_sigmoid(tape.neg(x.clone())));
    one(tape.mul(x, tape.tanh(softplus)))
}

/// `x / (1 + |x|)`.
fn softsign(call: &mut Call<'_>) -> Outputs {
    let (tape, x) = (call.tape, call.float(0)?);
    let size = tape.shift(tape.abs(x.clone()), 1.0);
    one(tape.div(x, size))
}

/// `x` where it is larger than `alpha`, else 0.
fn thresholded(call: &mut Call<'_>) -> Outputs {
    let (tape, x) = (call.tape, call.float(0)?);
    let alpha = call.node.float("alpha", 1.0);
    let mask: Vec<bool> = tape.read(&x).into_iter().map(|v| v > alpha).collect();
    let zeros = tape.constant(vec![0.0; mask.len()], x.shape());
    one(tape.select(mask, x, zeros))
}

/// `x · σ(alpha · x)` (Ramachandran et al., "Searching for Activation Functions", 2017).
fn swish(call: &mut Call<'_>, alpha: f32) -> Outputs {
    let (tape, x) = (call.tape, call.float(0)?);
    let gate = tape.sigmoid(tape.scale(x.clone(), call.node.float("alpha", alpha)));
    one(tape.mul(x, gate))
}

/// The first input, plus the second where there is one.
fn biased(call: &mut Call<'_>) -> Result<Var, String> {
    let x = call.float(0)?;
    let Some(bias) = call.optional(1)? else {
        return Ok(x);
    };
    let (x, bias) = aligned(call.tape, x, bias)?;
    Ok(call.tape.add(x, bias))
}

/// `log(1 + eˣ)`, as `−log σ(−x)`, which does not overflow.
fn softplus(call: &mut Call<'_>) -> Outputs {
    let tape = call.tape;
    one(tape.neg(tape.log_sigmoid(tape.neg(call.float(0)?))))
}

/// Gaussian error linear unit (Hendrycks and Gimpel, 2016), exact or by its tanh approximation.
fn gelu(call: &mut Call<'_>) -> Outputs {
    let tape = call.tape;
    let x = call.float(0)?;
    if call.node.text("approximate") != Some("tanh") {
        return one(tape.gelu(x));
    }
    one(gelu_by_tanh(tape, x))
}

fn gelu_by_tanh(tape: &dyn Tape, x: Var) -> Var {
    let cube = tape.mul(tape.mul(x.clone(), x.clone()), x.clone());
    let inner = tape.add(x.clone(), tape.scale(cube, 0.044_715));
    let scaled = tape.scale(inner, (2.0 / std::f64::consts::PI).sqrt() as f32);
    let gate = tape.shift(tape.tanh(scaled), 1.0);
    tape.scale(tape.mul(x, gate), 0.5)
}

/// `clamp(alpha · x + beta, 0, 1)`.
fn hard_sigmoid(call: &mut Call<'_>) -> Outputs {
    let (alpha, beta) = (call.node.float("alpha", 0.2), call.node.float("beta", 0.5));
    one(gate(call.tape, call.float(0)?, alpha, beta))
}

/// `x · clamp(x / 6 + 1/2, 0, 1)` (Howard et al., "Searching for MobileNetV3", 2019).
fn hard_swish(call: &mut Call<'_>) -> Outputs {
    let tape = call.tape;
    let x = call.float(0)?;
    one(tape.mul(x.clone(), gate(tape, x, 1.0 / 6.0, 0.5)))
}

fn gate(tape: &dyn Tape, x: Var, alpha: f32, beta: f32) -> Var {
    let line = tape.shift(tape.scale(x, alpha), beta);
    tape.clamp(line, Some(0.0), Some(1.0))
}

/// Bounds are attributes before operator set 11, inputs after. Where they cross, the upper one counts.
fn clip(call: &mut Call<'_>) -> Outputs {
    let bound = |call: &mut Call<'_>, name: &str, index| match call.node.attributes.get(name) {
        Some(Attribute::Float(v)) => Ok(Some(*v)),
        _ => call.scalar(index),
    };
    let (min, max) = (bound(call, "min", 1)?, bound(call, "max", 2)?);
    let mut x = call.float(0)?;
    if min.is_some() {
        x = call.tape.clamp(x, min, None);
    }
    if max.is_some() {
        x = call.tape.clamp(x, None, max);
    }
    one(x)
}
