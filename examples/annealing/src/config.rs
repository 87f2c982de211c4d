//! Settings of simulated annealing.

use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::settings::Settings;
use serde::{Deserialize, Serialize};

/// Settings, as in the study file's table `[strategy]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Trials in which the temperature falls from 1 to the coldest.
    #[schemars(range(min = 1))]
    pub cooling: u64,
    /// Temperature at the end of a cooling.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub coldest: f64,
}

impl Settings for Config {}

impl Default for Config {
    fn default() -> Self {
        Self {
            cooling: 200,
            coldest: 0.001,
        }
    }
}

impl Config {
    /// The temperature of trial `id`, in (0, 1].
    pub fn temperature(&self, id: u64) -> f64 {
        let share = (id % self.cooling) as f64 / self.cooling as f64;
        libm::pow(self.coldest, share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_checked() {
        assert!(Config::default().check().is_ok());
        let never = Config {
            cooling: 0,
            ..Config::default()
        };
        assert_eq!(
            never.check().unwrap_err().to_string(),
            "`cooling` must be at least 1, found 0"
        );
        for coldest in [0.0, 1.0, f64::NAN] {
            let config = Config {
                coldest,
                ..Config::default()
            };
            assert!(config.check().is_err(), "{coldest}");
        }
    }

    #[test]
    fn the_temperature_falls_and_rises_again() {
        let config = Config {
            cooling: 4,
            coldest: 0.0001,
        };
        let temperatures = [0, 1, 2, 3, 4].map(|id| config.temperature(id));
        for (found, wanted) in temperatures.iter().zip([1.0, 0.1, 0.01, 0.001, 1.0]) {
            assert!((found / wanted - 1.0).abs() < 1e-12, "{temperatures:?}");
        }
    }
}
