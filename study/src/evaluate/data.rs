//! The data of an evaluator, read once and shared by all trials.

use lapidary_core::model::TaskShape;
use lapidary_data::{Encoder, Part, Split};

use crate::error::StudyFileError;
use crate::file::DataSource;

/// Data in memory, cut into its parts.
#[derive(Debug, Clone)]
pub struct OpenData {
    /// The parts.
    pub split: Split,
    /// What a model has to take and to predict.
    pub task: TaskShape,
    /// The encoder of a table.
    pub encoder: Option<Encoder>,
}

impl OpenData {
    /// Reads `source`.
    ///
    /// # Errors
    /// When it cannot be read, an option does not fit, or a part has no sample.
    pub fn open(source: &DataSource) -> Result<Self, StudyFileError> {
        let data = lapidary_data::open(&source.path.to_string_lossy(), &source.options)?;
        let part = |part| data.part(part, source.limit);
        Ok(Self {
            split: Split {
                train: part(Part::Train)?,
                valid: part(Part::Valid)?,
                test: part(Part::Test)?,
            },
            task: data.task_shape()?,
            encoder: data.encoder().cloned(),
        })
    }
}
