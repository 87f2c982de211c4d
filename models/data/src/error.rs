//! What can be wrong with data.

use std::path::{Path, PathBuf};

use lapidary_core::tensor::{DType, TensorError};
use lapidary_core::text::listed;
use thiserror::Error;

/// What can be wrong with data; the messages name the file, the place in it and what would have worked.
#[derive(Debug, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum DataError {
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "{}: not data of a known kind; known are `digits`, an .npz, a .csv, a CIFAR .bin (the last two also as .gz), a folder of IDX files and a folder of images by class",
        path.display()
    )]
    UnknownKind { path: PathBuf },
    #[error("{}: {reason}", path.display())]
    Format { path: PathBuf, reason: String },
    #[error("{}: no column `{column}`; there are {}", path.display(), listed(known))]
    UnknownColumn {
        path: PathBuf,
        column: String,
        known: Vec<String>,
    },
    #[error("{}, line {line}, column `{column}`: {reason}", path.display())]
    Cell {
        path: PathBuf,
        line: usize,
        column: String,
        reason: String,
    },
    #[error("{name}: {reason}")]
    Option { name: &'static str, reason: String },
    #[error("{path}: the {part} part has no sample", path = path.display())]
    EmptyPart { path: PathBuf, part: &'static str },
    #[error("the model wants the input `{name}`; the data has {}", listed(known))]
    MissingInput { name: String, known: Vec<String> },
    #[error("input `{name}`: samples of shape {given:?} do not fit {wanted}")]
    InputShape {
        name: String,
        given: Vec<usize>,
        wanted: String,
    },
    #[error("input `{name}`: {given} cannot be turned into {wanted}")]
    InputType {
        name: String,
        given: DType,
        wanted: DType,
    },
    #[error("input `{name}`: {value} at index {index} is no {wanted}")]
    InputValue {
        name: String,
        index: usize,
        value: f64,
        wanted: DType,
    },
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

impl DataError {
    /// Turns a failure to read or write `path` into an error that names it.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io {
            path: path.to_path_buf(),
            source,
        }
    }

    /// The error that the file at `path` is not what it should be.
    pub(crate) fn format(path: &Path, reason: impl Into<String>) -> Self {
        Self::Format {
            path: path.to_path_buf(),
            reason: reason.into(),
        }
    }
}
