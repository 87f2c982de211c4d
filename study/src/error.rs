//! What can be wrong with a study file, its overrides, a recipe or the data they name.

use std::path::PathBuf;

use lapidary_core::model::ModelError;
use thiserror::Error;

use crate::file::Place;

/// What can be wrong with a study file, its overrides, a recipe or the data they name.
#[derive(Debug, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum StudyFileError {
    #[error("{path}: {source}", path = path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("cannot write {path}: {source}", path = path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{place}: {message}")]
    Mistake { place: Place, message: String },
    #[error("--set {text}: {reason}")]
    Override { text: String, reason: String },
    #[error("--with {text}: {reason}")]
    Step { text: String, reason: String },
    #[error("--max-drop {text}: {reason}")]
    MaxDrop { text: String, reason: String },
    #[error(transparent)]
    Model(ModelError),
    #[error(transparent)]
    Data(#[from] lapidary_data::DataError),
}

impl StudyFileError {
    /// A mistake at a place.
    pub(crate) fn at(place: &Place, message: impl Into<String>) -> Self {
        Self::Mistake {
            place: place.clone(),
            message: message.into(),
        }
    }
}
