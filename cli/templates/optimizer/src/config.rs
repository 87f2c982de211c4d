//! Settings.

use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::settings::Settings;
use serde::{Deserialize, Serialize};

/// Bits in the fraction of an `f32`.
pub const FRACTION: u32 = f32::MANTISSA_DIGITS - 1;

/// Settings, as in a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Bits of the fraction that are kept.
    #[schemars(range(max = FRACTION))]
    pub bits: u32,
    /// Globs of the layers to change; empty is all.
    #[schemars(extend("examples" = [["stage2.*"]]))]
    pub layers: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bits: 7,
            layers: Vec::new(),
        }
    }
}

impl Settings for Config {}
