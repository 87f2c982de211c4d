//! Changes to a graph.

use lapidary_core::model::{Edit, ModelError};

use crate::graph::Graph;

/// The graph with `edits` made, in their order.
///
/// # Errors
/// When an edit names something that is not there or does not fit.
pub(crate) fn apply(graph: &Graph, edits: &[Edit]) -> Result<Graph, ModelError> {
    let mut graph = graph.clone();
    for edit in edits {
        match edit {
            Edit::SetWeight { name, tensor } => {
                let Some(weight) = graph.weights.get_mut(name) else {
                    return Err(ModelError::UnknownWeight {
                        name: name.clone(),
                        known: graph.weights.keys().cloned().collect(),
                    });
                };
                if weight.shape() != tensor.shape() {
                    return Err(ModelError::WeightShape {
                        weight: name.clone(),
                        given: tensor.shape().to_vec(),
                        wanted: weight.shape().to_vec(),
                    });
                }
                *weight = tensor.clone();
            }
            other => return Err(ModelError::Unsupported(format!("the edit {other:?}"))),
        }
    }
    Ok(graph)
}
