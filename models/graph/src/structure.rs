//! Channel groups over the whole graph, and cutting them.
//!
//! Removing an output channel of a layer means removing it everywhere: from the bias and the normalisation behind it, from every layer
//! that reads it, through flattening, concatenation and padding, and from every layer whose output is added to it. Channels that
//! only can go together form a group (as in Fang et al., "DepGraph: Towards Any Structural Pruning", 2023, here channel by
//! channel). What has no rule is never cut: its channels, and those that reach the model's inputs or outputs, are in no group.
//!
//! A slice of a group `produces` its channels where zeros in all such slices make the channels zero (up to a nonlinearity that does
//! not keep zero): weights and biases of layers, scales and shifts of normalisations. Running statistics, slopes and divisors
//! do not, nor do the weights that read the channels.

mod cut;
mod flow;
mod groups;
pub(crate) mod rules;
mod units;

use lapidary_core::model::ChannelGroup;

pub use cut::{Cut, cut};
pub(crate) use flow::{Count, Extent, Flow, Layout, Layouts, MOST_INDICES, fixed};
pub(crate) use units::Unit;

use crate::graph::Graph;

/// The groups of channels of `graph` that can be cut, in the graph's order.
pub fn groups(graph: &Graph) -> Vec<ChannelGroup> {
    let mut flow = flow::Flow::of(graph);
    groups::found(&mut flow)
        .into_iter()
        .map(|found| found.group)
        .collect()
}
