//! What can be wrong with an ONNX file.

use std::path::{Path, PathBuf};

use lapidary_core::model::ModelError;
use lapidary_graph::{GraphError, Node};
use thiserror::Error;

/// What can be wrong with an ONNX file.
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
    #[error("its version of the file format (IR) is {found}; versions up to {newest} are known")]
    Version { found: i64, newest: i64 },
    #[error("tensor `{tensor}`: {reason}")]
    Tensor { tensor: String, reason: String },
    #[error("tensor `{tensor}` lies in the file `{location}`: {reason}")]
    External {
        tensor: String,
        location: String,
        reason: String,
    },
    #[error(transparent)]
    Graph(#[from] GraphError),
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

    pub(crate) fn node(node: &Node, reason: impl Into<String>) -> Self {
        GraphError::node(node, reason).into()
    }

    pub(crate) fn value(value: &str, reason: impl Into<String>) -> Self {
        GraphError::value(value, reason).into()
    }
}

impl From<OnnxError> for ModelError {
    fn from(error: OnnxError) -> Self {
        match error {
            OnnxError::File { path, source } => Self::File {
                path,
                reason: source.to_string(),
            },
            OnnxError::Graph(error) => error.into(),
            other => Self::Graph(other.to_string()),
        }
    }
}
