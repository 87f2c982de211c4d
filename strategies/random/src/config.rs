//! Settings of random search.

use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::settings::Settings;
use serde::{Deserialize, Serialize};

/// Settings, as in the study file's table `[strategy]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How points are drawn: independently, or as a scrambled quasi-random sequence.
    pub sampling: Sampling,
}

impl Settings for Config {}

/// How points are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sampling {
    /// Independently and uniformly on each axis's scale.
    #[default]
    Uniform,
    /// As an Owen-scrambled Sobol' sequence.
    Sobol,
}
