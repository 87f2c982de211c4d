//! The keys of `[evaluate]`, by kind.

use std::collections::BTreeMap;

use lapidary_core::json::Json;
use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::settings::Settings;
use lapidary_data::{ColumnType, TaskKind};
use serde::{Deserialize, Serialize};
use serde_json::Map;

use crate::evaluate::function::FUNCTIONS;
use crate::file::section::OneOrMany;

/// Keys of all kinds that read data.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DataKeys {
    /// `digits`, or where the data lies, counted from the study file's folder: an .npz, a .csv, a CIFAR .bin, a folder of IDX
    /// files, or a folder of images by class.
    #[schemars(example = &"digits")]
    data: String,
    /// Column to predict, in a table; by default the last one.
    #[schemars(example = &"income")]
    #[serde(default)]
    target: Option<String>,
    /// Whether a table's first line is a row; its columns are then named c0, c1 and so on.
    #[serde(default)]
    no_header: bool,
    /// What is to be predicted; by default told from the targets.
    #[schemars(example = &"regression")]
    #[serde(default)]
    task: Option<TaskKind>,
    /// Types of columns, in a table; by default told from the cells.
    #[schemars(extend("examples" = [{"zip": "categorical"}]))]
    #[serde(default)]
    types: BTreeMap<String, ColumnType>,
    /// Mean of each channel, or one for all, to subtract from images scaled to 0–1.
    #[schemars(example = 0.286)]
    #[serde(default)]
    mean: OneOrMany<f32>,
    /// Deviation of each channel, or one for all, to divide images by, after the mean.
    #[schemars(example = 0.353)]
    #[serde(default)]
    std: OneOrMany<f32>,
    /// Data of the same kind that is the test part.
    #[schemars(example = &"test.csv")]
    #[serde(default)]
    test: Option<String>,
    /// Seed of the split into parts, where the data has no official one.
    #[schemars(example = 1)]
    #[serde(default)]
    split_seed: u64,
    /// Use the first so many samples of each part, in the file's order.
    #[schemars(example = 1000)]
    #[serde(default)]
    limit: Option<usize>,
}

/// Trains a model of a family and measures it on the validation part. All other keys are fixed settings of the family or of
/// the training.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrainKeys {
    #[schemars(extend("const" = "train"))]
    kind: String,
    /// Family of the models.
    #[schemars(extend("x-entry" = "family"), example = &"mlp")]
    family: String,
}

/// Runs a recipe, into which the point is filled, on a model.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompressKeys {
    #[schemars(extend("const" = "compress"))]
    kind: String,
    /// The model's ONNX file.
    #[schemars(example = &"model.onnx")]
    model: String,
    /// Optimizers with their settings, applied in order; `{axis}` in a setting's text stands for the axis's value.
    #[schemars(extend("examples" = [["prune:sparsity={sparsity}", "quantize"]]))]
    recipe: OneOrMany<RecipeStep>,
}

/// A step of a recipe: a text as behind `--with`, or a table with a name and settings.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum RecipeStep {
    Text(String),
    Table(Map<String, Json>),
}

/// Measures model files; the only axis, `model`, is the file.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelsKeys {
    #[schemars(extend("const" = "models"))]
    kind: String,
    /// Globs of the ONNX files.
    #[schemars(extend("examples" = [["models/*.onnx"]]))]
    models: OneOrMany<String>,
}

/// Runs a program, in any language, that prints its metrics as JSON.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommandKeys {
    #[schemars(extend("const" = "command"))]
    kind: String,
    /// The program: a name that is looked up on the PATH, or a path.
    #[schemars(example = &"python3")]
    program: String,
    /// Its arguments, in which `{axis}` stands for the axis's value; those in a list of their own are left out together where
    /// an axis that one of them names is inactive.
    #[schemars(extend("examples" = [["train.py", "--lr={lr}", ["--momentum", "{momentum}"]]]))]
    #[serde(default)]
    args: OneOrMany<OneOrMany<Template>>,
    /// Variables of its environment, on top of ours.
    #[schemars(extend("examples" = [{"DEPTH": "{depth}"}]))]
    #[serde(default)]
    env: BTreeMap<String, Template>,
    /// A folder that holds a folder for each trial, in which a later stage of it finds what the earlier one kept.
    #[schemars(example = &"checkpoints")]
    #[serde(default)]
    checkpoints: Option<String>,
}

/// A text with placeholders; numbers need no quotes.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Template {
    Text(String),
    Number(serde_json::Number),
}

/// A test function of the axes' values.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FunctionKeys {
    #[schemars(extend("const" = "function"))]
    kind: String,
    /// Its name. It gives the metric `value`, or `f1` and `f2` where the name begins with zdt.
    #[schemars(extend("enum" = FUNCTIONS.map(|f| f.name)))]
    name: String,
}

impl Settings for DataKeys {}
impl Settings for TrainKeys {}
impl Settings for CompressKeys {}
impl Settings for ModelsKeys {}
impl Settings for CommandKeys {}
impl Settings for FunctionKeys {}
