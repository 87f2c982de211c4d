//! Normalizations.

use lapidary_core::model::ModelError;
use lapidary_core::tensor::{Dense, array};

use super::math::plain;
use super::{ADD, IDENTITY, MUL, Operator, RESHAPE, SHAPE, Slots};
use crate::error::GraphError;
use crate::graph::{Attribute, Node};
use crate::lower::{Lowering, refusal};
use crate::opset::{Change, Rewriting};
use crate::shape::axis_of;
use crate::structure::{Flow, Layouts, rules};
use crate::tape::{BatchStatistics, Call, Outputs, Pass, axis, one};
use crate::types::Alike;

pub static BATCH_NORMALIZATION: Operator = Operator {
    types: |typed| (0..5).map(|i| typed.input([0, 3, 4, 3, 4][i])).collect(),
    weights: &[Slots::behind_input(Some(2), &[1, 2, 3, 4])],
    own_vectors: Some(1),
    channels: |flow, node| {
        (node.int("training_mode", 0) == 0).then_some(())?;
        parameters(flow, node, &[(1, true), (2, true), (3, false), (4, false)])
    },
    changes: &[
        Change {
            version: 9,
            rewrite: channel_by_channel,
        },
        Change {
            version: 14,
            rewrite: inference_only,
        },
    ],
    forward: Some(batch),
    ..plain("BatchNormalization")
};

pub static GROUP_NORMALIZATION: Operator = Operator {
    alike: Alike::All,
    weights: SCALE_AND_SHIFT,
    changes: &[Change {
        version: 21,
        rewrite: by_channel,
    }],
    lower: Some(lower_groups),
    ..plain("GroupNormalization")
};

pub static INSTANCE_NORMALIZATION: Operator = Operator {
    alike: Alike::All,
    weights: SCALE_AND_SHIFT,
    channels: |flow, node| parameters(flow, node, &[(1, true), (2, true)]),
    ..plain("InstanceNormalization")
};

pub static LAYER_NORMALIZATION: Operator = Operator {
    alike: Alike::All,
    weights: SCALE_AND_SHIFT,
    own_vectors: Some(0),
    channels: layer_channels,
    forward: Some(layer),
    ..plain("LayerNormalization")
};

pub static RMS_NORMALIZATION: Operator = Operator {
    weights: &[Slots::behind_input(None, &[1])],
    ..plain("RMSNormalization")
};

pub static LP_NORMALIZATION: Operator = plain("LpNormalization");
pub static LRN: Operator = plain("LRN");
pub static MEAN_VARIANCE_NORMALIZATION: Operator = plain("MeanVarianceNormalization");

const SCALE_AND_SHIFT: &[Slots] = &[Slots::behind_input(Some(2), &[1, 2])];

/// One parameter for each channel of axis 1 at each of `inputs`, with whether it writes the channels.
fn parameters<'g>(
    flow: &mut Flow<'g>,
    node: &'g Node,
    inputs: &[(usize, bool)],
) -> Option<Layouts> {
    let layouts = rules::passed_maps(flow, node)?;
    if !flow.rest_untouched(node, 1) {
        return None;
    }
    if let Some(Some(x)) = layouts.first() {
        for &(input, produces) in inputs {
            flow.weight(node, input)?;
            flow.stand_vector(node, input, &x.units, produces)?;
        }
    }
    Some(layouts)
}

/// Normalisation over the channels changes its statistics when some are cut; it is cut all the same.
fn layer_channels<'g>(flow: &mut Flow<'g>, node: &'g Node) -> Option<Layouts> {
    if !flow.rest_untouched(node, 1) {
        return None;
    }
    let Some(x) = flow.at(node, 0) else {
        return Some(vec![None]);
    };
    let rank = flow.rank(node.input(0)?)?;
    if x.axis >= axis_of(node.int("axis", -1), rank)? {
        for input in [1, 2] {
            if node.input(input).is_some() {
                flow.broadcast(node, input, &x, rank, true)?;
            }
        }
    }
    Some(vec![Some(x)])
}

/// Once a node could have statistics for each element of a map.
fn channel_by_channel(rewriting: &mut Rewriting<'_>, node: &mut Node) -> Result<(), GraphError> {
    for name in ["is_test", "consumed_inputs"] {
        node.attributes.remove(name);
    }
    match node.attributes.remove("spatial") {
        None | Some(Attribute::Int(1)) => Ok(()),
        _ => Err(rewriting.refusal(node)),
    }
}

/// Scale and shift were one number for each group, and became one for each channel.
fn by_channel(rewriting: &mut Rewriting<'_>, node: &mut Node) -> Result<(), GraphError> {
    let groups = usize::try_from(node.int("num_groups", 0)).unwrap_or(0);
    let shape = node.input(0).and_then(|x| rewriting.shapes.shape(x));
    let channels = shape.and_then(|shape| *shape.get(1)?);
    let (Some(channels), true) = (channels, groups > 0) else {
        return Err(rewriting.refusal(node));
    };
    let each = channels / groups;
    for (i, part) in [(1, "scale"), (2, "shift")] {
        let Some(old) = rewriting.constant(node, i).cloned() else {
            return Err(rewriting.refusal(node));
        };
        if old.shape() != [groups] || !channels.is_multiple_of(groups) {
            return Err(rewriting.refusal(node));
        }
        let repeated: Vec<usize> = (0..channels).map(|c| c / each).collect();
        let wide = old.select(0, &repeated);
        let wide = wide.map_err(|e| GraphError::node(node, e.to_string()))?;
        rewriting.set_constant(node, part, i, wide);
    }
    Ok(())
}

/// By normalising each group as a channel of its own.
fn lower_groups(lowering: &mut Lowering<'_>, node: Node) -> Result<(), ModelError> {
    let groups = usize::try_from(node.int("num_groups", 0)).unwrap_or(0);
    let (Some(rank), true) = (
        lowering.rank(&node, 0),
        node.inputs.len() == 3 && groups > 0,
    ) else {
        return Err(refusal(
            &node,
            "groups of channels of a value whose axes are not known",
        ));
    };
    let around = node.name.clone();
    let vector = |lowering: &mut Lowering<'_>, value: f32| {
        let values = array(&[groups], vec![value; groups]).expect("one axis of its length");
        lowering.constant(&around, Dense::F32(values))
    };
    let (one, zero) = (vector(lowering, 1.0), vector(lowering, 0.0));
    let x = node.inputs[0].clone();
    let apart = lowering.list(&around, vec![0, groups as i64, -1]);
    let flat = lowering.step(&around, &RESHAPE, &[&x, &apart], &[]);
    let epsilon = [("epsilon", Attribute::Float(node.float("epsilon", 1e-5)))];
    let normed = lowering.step(
        &around,
        &INSTANCE_NORMALIZATION,
        &[&flat, &one, &zero],
        &epsilon,
    );
    // The parameters are of groups up to version 20, of channels from 21 on.
    let by_group = lowering
        .shapes
        .known(&node.inputs[1])
        .is_some_and(|shape| shape == [groups])
        && lowering.shapes.opset() < 21;
    let shape = lowering.step(&around, &SHAPE, &[&x], &[]);
    let wide = match by_group {
        true => vec![1, groups as i64, 1],
        false => [vec![1, -1], vec![1; rank.saturating_sub(2)]].concat(),
    };
    let wide = lowering.list(&around, wide);
    let parameter = |lowering: &mut Lowering<'_>, i: usize| {
        lowering.step(&around, &RESHAPE, &[&node.inputs[i], &wide], &[])
    };
    let (scale, shift) = (parameter(lowering, 1), parameter(lowering, 2));
    let back = |lowering: &mut Lowering<'_>, x: String| {
        lowering.step(&around, &RESHAPE, &[&x, &shape], &[])
    };
    let normed = if by_group {
        normed
    } else {
        back(lowering, normed)
    };
    let scaled = lowering.step(&around, &MUL, &[&normed, &scale], &[]);
    let shifted = lowering.step(&around, &ADD, &[&scaled, &shift], &[]);
    let shifted = if by_group {
        back(lowering, shifted)
    } else {
        shifted
    };
    lowering.finish(&around, &IDENTITY, vec![shifted], node.outputs);
    Ok(())
}

/// Outputs beside the first, of training, changed their meaning.
fn inference_only(rewriting: &mut Rewriting<'_>, node: &mut Node) -> Result<(), GraphError> {
    while node.outputs.last().is_some_and(String::is_empty) {
        node.outputs.pop();
    }
    match node.outputs.len() {
        0 | 1 => Ok(()),
        _ => Err(rewriting.refusal(node)),
    }
}

/// Batch normalization: by the batch's statistics in training (which are collected for the running ones), by the running ones in evaluation.
fn batch(call: &mut Call<'_>) -> Outputs {
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
fn layer(call: &mut Call<'_>) -> Outputs {
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
