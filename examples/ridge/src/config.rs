//! Settings of ridge regression.

use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::settings::Settings;
use serde::{Deserialize, Serialize};

/// Settings, as in the study file's table `[evaluate]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The table, counted from the study file's folder.
    #[schemars(example = &"table.csv")]
    pub data: String,
    /// Column to predict; by default the last one.
    #[schemars(example = &"price")]
    #[serde(default)]
    pub target: Option<String>,
    /// Parts into which the rows are cut.
    #[schemars(range(min = 2, max = 1000))]
    #[serde(default = "folds")]
    pub folds: usize,
}

fn folds() -> usize {
    5
}

impl Settings for Config {}
