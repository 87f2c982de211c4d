//! What can be wrong with an ONNX file or graph.

use std::path::{Path, PathBuf};

use lapidary_core::model::ModelError;
use thiserror::Error;

/// What can be wrong with an ONNX file or graph.
#[derive(Debug, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum OnnxError {
    #[error("{}: {source}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: Box<OnnxError>,
    },
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("not an ONNX model, or a damaged one: {0}")]
    Decode(#[from] prost::DecodeError),
    #[error("the file holds no graph")]
    NoGraph,
    #[error("standard operator set {found}; {wanted}")]
    Opset { found: i64, wanted: String },
    #[error("tensor `{tensor}`: {reason}")]
    Tensor { tensor: String, reason: String },
    #[error("tensor `{tensor}` lies in the file `{location}`: {reason}")]
    External {
        tensor: String,
        location: String,
        reason: String,
    },
    #[error("node `{node}` ({op}): {reason}")]
    Node {
        node: String,
        op: String,
        reason: String,
    },
    #[error("value `{value}`: {reason}")]
    Value { value: String, reason: String },
    #[error(
        "the model takes {bytes} bytes; a single file holds at most 2147483647 (save it with external data)"
    )]
    TooLarge { bytes: usize },
}

impl OnnxError {
    /// The same error, naming the file it is about.
    pub(crate) fn at(self, path: &Path) -> Self {
        match self {
            named @ Self::File { .. } => named,
            other => Self::File {
                path: path.to_path_buf(),
                source: Box::new(other),
            },
        }
    }

    pub(crate) fn tensor(tensor: &str, reason: impl Into<String>) -> Self {
        Self::Tensor {
            tensor: tensor.to_owned(),
            reason: reason.into(),
        }
    }

    pub(crate) fn node(node: &crate::graph::Node, reason: impl Into<String>) -> Self {
        Self::Node {
            node: node.name.clone(),
            op: node.op.clone(),
            reason: reason.into(),
        }
    }

    pub(crate) fn value(value: &str, reason: impl Into<String>) -> Self {
        Self::Value {
            value: value.to_owned(),
            reason: reason.into(),
        }
    }
}

impl From<OnnxError> for ModelError {
    fn from(error: OnnxError) -> Self {
        match error {
            OnnxError::File { path, source } => Self::File {
                path,
                reason: source.to_string(),
            },
            OnnxError::Node { node, op, reason } => Self::Node { node, op, reason },
            other => Self::Graph(other.to_string()),
        }
    }
}
