//! Settings of greedy search.

use serde::{Deserialize, Serialize};

use crate::error::GreedyError;

/// Settings, as in the study file's table `[strategy]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// First step of a number, as a share of its axis's scale.
    pub step: f64,
    /// Step below which a climb counts as finished, at first.
    pub precision: f64,
    /// Changes of several axes tried where stuck, per axis and number of axes changed at once.
    pub patience: u32,
    /// Most axes changed at once before the climb starts again elsewhere.
    pub breadth: u32,
}

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

impl Config {
    /// Whether the settings make sense.
    ///
    /// # Errors
    /// When a setting is out of its bounds.
    pub fn check(&self) -> Result<(), GreedyError> {
        for (name, value) in [("step", self.step), ("precision", self.precision)] {
            if !(value > 0.0 && value <= 0.5) {
                return Err(GreedyError::Share { name, value });
            }
        }
        if self.breadth == 0 {
            return Err(GreedyError::Breadth);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_checked() {
        assert_eq!(Config::default().check(), Ok(()));
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
        assert_eq!(config.check(), Err(GreedyError::Breadth));
    }
}
