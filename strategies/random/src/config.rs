//! Settings of random search.

use serde::{Deserialize, Serialize};

/// Settings, as in the study file's table `[strategy]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How points are drawn.
    pub sampling: Sampling,
}

/// How points are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sampling {
    /// Independently and uniformly on each axis's scale.
    #[default]
    Uniform,
    /// As an Owen-scrambled Sobol' sequence.
    Sobol,
}
