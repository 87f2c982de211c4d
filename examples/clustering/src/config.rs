//! Settings of weight sharing.

use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::settings::Settings;
use serde::{Deserialize, Serialize};

/// Most bits of an index into the values of a weight.
pub const MOST_BITS: u32 = 8;

/// Settings, as in a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A weight takes at most 2^bits different values.
    #[schemars(range(min = 1, max = MOST_BITS))]
    pub bits: u32,
    /// Globs of the layers to cluster; empty is all.
    #[schemars(extend("examples" = [["stage2.*"]]))]
    pub layers: Vec<String>,
    /// Globs of layers to leave alone.
    #[schemars(extend("examples" = [["logits"]]))]
    pub exclude: Vec<String>,
}

impl Settings for Config {}

impl Default for Config {
    fn default() -> Self {
        Self {
            bits: 4,
            layers: Vec::new(),
            exclude: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_checked() {
        assert!(Config::default().check().is_ok());
        for bits in [0, 9] {
            let config = Config {
                bits,
                ..Config::default()
            };
            let error = config.check().unwrap_err().to_string();
            assert_eq!(error, format!("`bits` must be in 1..=8, found {bits}"));
        }
    }
}
