//! Normalization.

use crate::tape::{BatchStatistics, Call, Outputs, Pass, axis, one};

/// Batch normalization: by the batch's statistics in training (which are collected for the running ones), by the running ones in evaluation.
pub fn batch(call: &mut Call<'_>) -> Outputs {
    let tape = call.tape;
    let epsilon = call.node.float("epsilon", 1e-5);
    let (x, scale, bias) = (call.float(0)?, call.float(1)?, call.float(2)?);
    let (mean, variance) = (call.float(3)?, call.float(4)?);
    let shape = x.shape();
    if shape.len() < 2 {
        return Err(format!("an input of shape {shape:?} has no channels"));
    }
    let channels = shape[1];
    for (name, given) in [
        ("scale", &scale),
        ("bias", &bias),
        ("mean", &mean),
        ("variance", &variance),
    ] {
        if given.shape() != [channels] {
            return Err(format!(
                "{name} of shape {:?} does not fit {channels} channels",
                given.shape()
            ));
        }
    }
    if let Pass::Train { batches, .. } = call.pass {
        let (Some(mean), Some(variance)) = (call.slots[3], call.slots[4]) else {
            return Err("running mean and variance are missing".into());
        };
        let (out, values) = tape.batch_norm(x, scale, bias, epsilon);
        batches.push(BatchStatistics {
            slots: [mean, variance],
            momentum: call.node.float("momentum", 0.9),
            values,
        });
        return one(out);
    }
    // y = x · factor + (bias − mean · factor), each a vector over channels.
    let mut wide = vec![1; shape.len()];
    wide[1] = channels;
    let deviation = tape.sqrt(tape.shift(variance, epsilon));
    let factor = tape.div(scale, deviation);
    let offset = tape.sub(bias, tape.mul(mean, factor.clone()));
    let scaled = tape.mul(x, tape.reshape(factor, &wide));
    one(tape.add(scaled, tape.reshape(offset, &wide)))
}

/// Normalization over all axes from `axis` on (Ba et al., "Layer Normalization", 2016).
pub fn layer(call: &mut Call<'_>) -> Outputs {
    let tape = call.tape;
    let epsilon = call.node.float("epsilon", 1e-5);
    let (x, scale, bias) = (call.float(0)?, call.float(1)?, call.optional(2)?);
    let shape = x.shape().to_vec();
    let from = axis(call.node.int("axis", -1), shape.len())?;
    let (rows, width) = (
        shape[..from].iter().product(),
        shape[from..].iter().product(),
    );
    for given in [Some(&scale), bias.as_ref()].into_iter().flatten() {
        if given.shape().iter().product::<usize>() != width {
            return Err(format!(
                "a scale or bias of shape {:?} does not fit {:?}",
                given.shape(),
                &shape[from..]
            ));
        }
    }
    let bias = bias.map(|b| tape.reshape(b, &[width]));
    let x = tape.reshape(x, &[rows, width]);
    let out = tape.layer_norm(x, tape.reshape(scale, &[width]), bias, epsilon);
    one(tape.reshape(out, &shape))
}
