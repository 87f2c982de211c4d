//! The data of an evaluator, read once and shared by all trials.

use lapidary_core::samples::{Targets, Task};
use lapidary_data::{Dataset, Encoder, Part, Split};

use crate::error::StudyFileError;
use crate::file::DataSource;

/// Data in memory, cut into its parts.
#[derive(Debug, Clone)]
pub struct OpenData {
    /// The parts.
    pub split: Split,
    /// What has to be predicted.
    pub task: Task,
    /// The encoder of a table, to be kept beside a model.
    pub encoder: Option<Encoder>,
}

impl OpenData {
    /// Reads `source`, a table as `encoder` does where one is given.
    ///
    /// # Errors
    /// When it cannot be read, an option does not fit, a part has no sample, or there are no targets.
    pub(crate) fn open(
        source: &DataSource,
        encoder: Option<Encoder>,
    ) -> Result<(Self, Dataset), StudyFileError> {
        let mut options = source.options.clone();
        options.encoder = encoder;
        let data = lapidary_data::open(&source.path.to_string_lossy(), &options)?;
        let task = data
            .targets()
            .map(Targets::task)
            .ok_or_else(|| StudyFileError::NoTargets {
                path: source.path.clone(),
            })?;
        let part = |part| data.part(part, source.limit);
        let open = Self {
            split: Split {
                train: part(Part::Train)?,
                valid: part(Part::Valid)?,
                test: part(Part::Test)?,
            },
            task,
            encoder: data.encoder().cloned(),
        };
        Ok((open, data))
    }
}
