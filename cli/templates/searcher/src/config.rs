//! Settings.

use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::settings::Settings;
use serde::{Deserialize, Serialize};

/// Settings, as in the study file's table `[strategy]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Chance of a point anywhere.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub wander: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { wander: 0.1 }
    }
}

impl Settings for Config {}
