//! Settings of greedy search.

use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::settings::Settings;
use serde::{Deserialize, Serialize};

/// Settings, as in the study file's table `[strategy]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// First step of a number, as a share of its axis's (log) scale.
    #[schemars(range(max = 0.5), extend("exclusiveMinimum" = 0.0))]
    pub step: f64,
    /// Step below which a climb counts as finished, at first; later climbs are finer.
    #[schemars(range(max = 0.5), extend("exclusiveMinimum" = 0.0))]
    pub precision: f64,
    /// Changes of several axes that are tried where stuck, per axis and number of axes changed at once.
    pub patience: u32,
    /// Most axes that are changed at once before the climb starts again elsewhere.
    #[schemars(range(min = 1))]
    pub breadth: u32,
}

impl Settings for Config {}

impl Default for Config {
    fn default() -> Self {
        Self {
            step: 0.25,
            precision: 0.002,
            patience: 4,
            breadth: 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_checked() {
        assert!(Config::default().check().is_ok());
        for step in [0.0, -1.0, 0.6, f64::NAN] {
            let config = Config {
                step,
                ..Config::default()
            };
            assert!(config.check().unwrap_err().to_string().contains("`step`"));
        }
        let config = Config {
            breadth: 0,
            ..Config::default()
        };
        assert_eq!(
            config.check().unwrap_err().to_string(),
            "`breadth` must be at least 1, found 0"
        );
    }
}
