//! Normalizations.

use super::math::plain;
use super::{Operator, Slots};
use crate::error::GraphError;
use crate::graph::Node;
use crate::opset::{Change, Rewriting, refuse};
use crate::shape::axis_of;
use crate::structure::{Flow, Layouts, rules};

pub static BATCH_NORMALIZATION: Operator = Operator {
    weights: &[Slots::behind_input(Some(2), &[1, 2, 3, 4])],
    own_vectors: Some(1),
    channels: |flow, node| {
        (node.int("training_mode", 0) == 0).then_some(())?;
        parameters(flow, node, &[(1, true), (2, true), (3, false), (4, false)])
    },
    changes: &[Change {
        version: 14,
        rewrite: inference_only,
    }],
    ..plain("BatchNormalization")
};

pub static GROUP_NORMALIZATION: Operator = Operator {
    weights: SCALE_AND_SHIFT,
    changes: &[Change {
        version: 21,
        rewrite: refuse,
    }],
    ..plain("GroupNormalization")
};

pub static INSTANCE_NORMALIZATION: Operator = Operator {
    weights: SCALE_AND_SHIFT,
    channels: |flow, node| parameters(flow, node, &[(1, true), (2, true)]),
    ..plain("InstanceNormalization")
};

pub static LAYER_NORMALIZATION: Operator = Operator {
    weights: SCALE_AND_SHIFT,
    own_vectors: Some(0),
    channels: layer_channels,
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
