//! How data is to be read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::encoder::Encoder;
use crate::kinds::{ColumnType, TaskKind};

/// How data is to be read; the defaults fit most.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Column to predict (tables); the last one by default.
    pub target: Option<String>,
    /// Whether a table's first line is a row; its columns are then named `c0`, `c1` and so on.
    pub no_header: bool,
    /// What is to be predicted; told from the targets by default.
    pub task: Option<TaskKind>,
    /// Types of columns (tables); told from the cells by default.
    pub types: BTreeMap<String, ColumnType>,
    /// Mean of each channel (or one for all) to subtract from images scaled to 0–1.
    pub mean: Vec<f32>,
    /// Deviation of each channel (or one for all) to divide images by, after the mean.
    pub std: Vec<f32>,
    /// Data of the same kind that is the test part.
    pub test: Option<PathBuf>,
    /// Seed of the split.
    pub seed: u64,
    /// Encoder fitted earlier (tables); by default one is fitted on the training part.
    #[serde(skip)]
    pub encoder: Option<Encoder>,
    /// Arrays to read from an .npz, as the model names its inputs; by default all but `y`.
    #[serde(skip)]
    pub inputs: Vec<String>,
}
