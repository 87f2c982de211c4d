//! Activations.

use crate::graph::Attribute;
use crate::tape::{Call, Outputs, Tape, Var, aligned, broadcast, one};

pub fn relu(call: &mut Call<'_>) -> Outputs {
    one(call.tape.relu(call.float(0)?))
}

/// `max(x, 0) + alpha · min(x, 0)`.
pub fn leaky_relu(call: &mut Call<'_>) -> Outputs {
    let tape = call.tape;
    let alpha = call.node.float("alpha", 0.01);
    let x = call.float(0)?;
    let below = tape.sub(x.clone(), tape.relu(x.clone()));
    one(tape.add(tape.relu(x), tape.scale(below, alpha)))
}

/// As [`leaky_relu`], with a learned slope that broadcasts to the input.
pub fn prelu(call: &mut Call<'_>) -> Outputs {
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
pub fn elu(call: &mut Call<'_>) -> Outputs {
    let tape = call.tape;
    let alpha = call.node.float("alpha", 1.0);
    let x = call.float(0)?;
    let positive = tape.relu(x.clone());
    let below = tape.sub(x, positive.clone());
    let curve = tape.shift(tape.exp(below), -1.0);
    one(tape.add(positive, tape.scale(curve, alpha)))
}

pub fn sigmoid(call: &mut Call<'_>) -> Outputs {
    one(call.tape.sigmoid(call.float(0)?))
}

pub fn tanh(call: &mut Call<'_>) -> Outputs {
    one(call.tape.tanh(call.float(0)?))
}

/// `log(1 + eˣ)`, as `−log σ(−x)`, which does not overflow.
pub fn softplus(call: &mut Call<'_>) -> Outputs {
    let tape = call.tape;
    one(tape.neg(tape.log_sigmoid(tape.neg(call.float(0)?))))
}

/// Gaussian error linear unit (Hendrycks and Gimpel, 2016), exact or by its tanh approximation.
pub fn gelu(call: &mut Call<'_>) -> Outputs {
    let tape = call.tape;
    let x = call.float(0)?;
    if call.node.text("approximate") != Some("tanh") {
        return one(tape.gelu(x));
    }
    let cube = tape.mul(tape.mul(x.clone(), x.clone()), x.clone());
    let inner = tape.add(x.clone(), tape.scale(cube, 0.044_715));
    let scaled = tape.scale(inner, (2.0 / std::f64::consts::PI).sqrt() as f32);
    let gate = tape.shift(tape.tanh(scaled), 1.0);
    one(tape.scale(tape.mul(x, gate), 0.5))
}

/// `clamp(alpha · x + beta, 0, 1)`.
pub fn hard_sigmoid(call: &mut Call<'_>) -> Outputs {
    let (alpha, beta) = (call.node.float("alpha", 0.2), call.node.float("beta", 0.5));
    one(gate(call.tape, call.float(0)?, alpha, beta))
}

/// `x · clamp(x / 6 + 1/2, 0, 1)` (Howard et al., "Searching for MobileNetV3", 2019).
pub fn hard_swish(call: &mut Call<'_>) -> Outputs {
    let tape = call.tape;
    let x = call.float(0)?;
    one(tape.mul(x.clone(), gate(tape, x, 1.0 / 6.0, 0.5)))
}

fn gate(tape: &dyn Tape, x: Var, alpha: f32, beta: f32) -> Var {
    let line = tape.shift(tape.scale(x, alpha), beta);
    tape.clamp(line, Some(0.0), Some(1.0))
}

/// Bounds are attributes before operator set 11, inputs after. Where they cross, the upper one counts.
pub fn clip(call: &mut Call<'_>) -> Outputs {
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
