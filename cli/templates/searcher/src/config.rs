//! Settings.

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Settings, as in the study file's table `[strategy]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Chance of a point anywhere, in [0, 1].
    pub wander: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { wander: 0.1 }
    }
}

impl Config {
    /// Whether the settings make sense.
    ///
    /// # Errors
    /// When a setting is out of its bounds.
    pub fn check(&self) -> Result<(), Error> {
        if (0.0..=1.0).contains(&self.wander) {
            Ok(())
        } else {
            Err(Error::Wander(self.wander))
        }
    }
}
