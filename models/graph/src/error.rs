//! What can be wrong with a graph.

use lapidary_core::model::ModelError;
use thiserror::Error;

use crate::graph::Node;

/// What can be wrong with a graph.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum GraphError {
    #[error("standard operator set {found}; {wanted}")]
    Opset { found: i64, wanted: String },
    #[error("node `{node}` ({op}): {reason}")]
    Node {
        node: String,
        op: String,
        reason: String,
    },
    #[error("value `{value}`: {reason}")]
    Value { value: String, reason: String },
}

impl GraphError {
    /// An error at a node.
    pub fn node(node: &Node, reason: impl Into<String>) -> Self {
        Self::Node {
            node: node.name.clone(),
            op: node.op.clone(),
            reason: reason.into(),
        }
    }

    /// An error about a value.
    pub fn value(value: &str, reason: impl Into<String>) -> Self {
        Self::Value {
            value: value.to_owned(),
            reason: reason.into(),
        }
    }
}

impl From<GraphError> for ModelError {
    fn from(error: GraphError) -> Self {
        match error {
            GraphError::Node { node, op, reason } => Self::Node { node, op, reason },
            other => Self::Graph(other.to_string()),
        }
    }
}
