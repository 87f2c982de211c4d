//! The data of an evaluator, read once and shared by all trials.

use std::collections::BTreeMap;
use std::path::PathBuf;

use lapidary_core::evaluator::{Artefact, EvalContext};
use lapidary_core::model::{Model, ModelError};
use lapidary_core::registry::{BuildError, EvalSource, Info};
use lapidary_core::runtime::Runtime;
use lapidary_core::samples::{Targets, Task};
use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::settings::Settings;
use lapidary_core::trial::Metrics;
use lapidary_data::{ColumnType, Dataset, Encoder, Options, Part, Split, TaskKind};
use serde::{Deserialize, Serialize};

use crate::file::section::OneOrMany;
use crate::measure;

/// Name of the data that comes with the program.
const BUNDLED: &str = "digits";

/// The settings of all evaluators that read data.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DataSettings {
    /// `digits`, or where the data lies, counted from the study file's folder: an .npz, a .csv, a CIFAR .bin, a folder of IDX
    /// files, or a folder of images by class.
    #[schemars(example = &"digits")]
    pub data: String,
    /// Column to predict, in a table; by default the last one.
    #[schemars(example = &"income")]
    #[serde(default)]
    pub target: Option<String>,
    /// Whether a table's first line is a row; its columns are then named c0, c1 and so on.
    #[serde(default)]
    pub no_header: bool,
    /// What is to be predicted; by default told from the targets.
    #[schemars(example = &"regression")]
    #[serde(default)]
    pub task: Option<TaskKind>,
    /// Types of columns, in a table; by default told from the cells.
    #[schemars(extend("examples" = [{"zip": "categorical"}]))]
    #[serde(default)]
    pub types: BTreeMap<String, ColumnType>,
    /// Mean of each channel, or one for all, to subtract from images scaled to 0–1.
    #[schemars(example = 0.286)]
    #[serde(default)]
    pub mean: OneOrMany<f32>,
    /// Deviation of each channel, or one for all, to divide images by, after the mean.
    #[schemars(example = 0.353)]
    #[serde(default)]
    pub std: OneOrMany<f32>,
    /// Data of the same kind that is the test part.
    #[schemars(example = &"test.csv")]
    #[serde(default)]
    pub test: Option<String>,
    /// Seed of the split into parts, where the data has no official one.
    #[schemars(example = 1)]
    #[serde(default)]
    pub split_seed: u64,
    /// Use the first so many samples of each part, in the file's order.
    #[schemars(example = 1000)]
    #[serde(default)]
    pub limit: Option<usize>,
}

impl Settings for DataSettings {}

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

impl DataSettings {
    /// Where the data lies, or the name of what is bundled.
    pub(crate) fn path(&self, source: &EvalSource<'_>) -> PathBuf {
        match self.data.as_str() {
            BUNDLED => BUNDLED.into(),
            path => source.paths.path(&["data"], path),
        }
    }
}

impl OpenData {
    /// Reads the data for the evaluator of `info`, a table as `encoder` does where one is given.
    ///
    /// # Errors
    /// When it cannot be read, an option does not fit, a part has no sample, or there are no targets.
    pub(crate) fn open(
        settings: &DataSettings,
        source: &EvalSource<'_>,
        info: &Info,
        encoder: Option<Encoder>,
    ) -> Result<(Self, Dataset), BuildError> {
        let refuse = |reason: String| info.refuse_at(&["data"], reason);
        let path = settings.path(source);
        let options = Options {
            target: settings.target.clone(),
            no_header: settings.no_header,
            task: settings.task,
            types: settings.types.clone(),
            mean: settings.mean.as_slice().to_vec(),
            std: settings.std.as_slice().to_vec(),
            test: (settings.test.as_ref()).map(|test| source.paths.path(&["test"], test)),
            seed: settings.split_seed,
            encoder,
            ..Options::default()
        };
        let data = lapidary_data::open(&path.to_string_lossy(), &options)
            .map_err(|error| refuse(error.to_string()))?;
        let task = data.targets().map(Targets::task).ok_or_else(|| {
            refuse(format!(
                "{}: the data has no targets to measure a model by",
                path.display()
            ))
        })?;
        let part = |part| {
            data.part(part, settings.limit)
                .map_err(|error| refuse(error.to_string()))
        };
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

    /// Leaves a measured model, and the encoder that its samples go through.
    pub(crate) fn keep(&self, model: &dyn Model, cx: &EvalContext<'_>) {
        (cx.keep)(Artefact::MODEL, Artefact::Model(model.share()));
        let encoder = self.encoder.as_ref();
        if let Some(Ok(encoder)) = encoder.map(Encoder::to_bytes) {
            (cx.keep)(Encoder::EXTENSION, Artefact::Bytes(encoder));
        }
    }

    /// Quality of a model on the test part, as `runtime` computes it.
    ///
    /// # Errors
    /// When the model does not run on it.
    pub(crate) fn test(
        &self,
        model: &dyn Model,
        runtime: &dyn Runtime,
    ) -> Result<Option<Metrics>, ModelError> {
        measure::quality(runtime, model, &self.split.test, &[], None, measure::BATCH)
            .map(|quality| Some(quality.metrics))
    }
}
