//! Settings of adaptive search.

use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::settings::Settings;
use serde::{Deserialize, Serialize};

use crate::portfolio::Who;

/// Settings, as in the study file's table `[strategy]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the first descent starts: in the middle of every axis, or anywhere.
    pub start: Start,
    /// The members that take turns.
    #[schemars(length(min = 1), extend("uniqueItems" = true, "examples" = [["line", "cma", "tpe"]]))]
    pub members: Vec<Who>,
}

impl Settings for Config {}

/// Where the first descent starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// In the middle of every axis.
    #[default]
    Middle,
    /// Anywhere.
    Random,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            start: Start::default(),
            members: Who::ALL.to_vec(),
        }
    }
}
