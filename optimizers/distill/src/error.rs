//! What can go wrong.

use lapidary_core::optimizer::OptimizeError;
use thiserror::Error;

/// Why a model cannot be distilled.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum DistillError {
    #[error(
        "the student `{name}` has {student} parameters, the model {teacher}; make it smaller with `settings`"
    )]
    NotSmaller {
        name: String,
        student: usize,
        teacher: usize,
    },
    #[error("the student's {what} {student} do not fit the model's {teacher}")]
    Ports {
        what: &'static str,
        student: String,
        teacher: String,
    },
    #[error(
        "the student `{name}` gives probabilities; a student has to give what its last layer does before the softmax"
    )]
    Probabilities { name: String },
    #[error("the student `{name}` cannot be trained")]
    Fixed { name: String },
    #[error(
        "the model's outputs for the training samples have the shape {shape:?}; a teacher gives one row for each sample"
    )]
    Rows { shape: Vec<usize> },
    #[error("the model gives {value} for training sample {sample}")]
    NonFinite { sample: usize, value: String },
}

impl From<DistillError> for OptimizeError {
    fn from(error: DistillError) -> Self {
        Self::Method {
            optimizer: "distill".into(),
            reason: error.to_string(),
        }
    }
}
