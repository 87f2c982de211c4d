//! Settings of weight sharing.

use serde::{Deserialize, Serialize};

use crate::error::ClusteringError;

/// Most bits of an index into the values of a weight.
pub const MOST_BITS: u32 = 8;

/// Settings, as in a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A weight takes at most 2^bits different values; in 1..=8.
    pub bits: u32,
    /// Globs of the layers to cluster; empty is all.
    pub layers: Vec<String>,
    /// Globs of layers to leave alone.
    pub exclude: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bits: 4,
            layers: Vec::new(),
            exclude: Vec::new(),
        }
    }
}

impl Config {
    /// Whether the settings make sense.
    ///
    /// # Errors
    /// When `bits` is out of its bounds.
    pub fn check(&self) -> Result<(), ClusteringError> {
        if (1..=MOST_BITS).contains(&self.bits) {
            Ok(())
        } else {
            Err(ClusteringError::Bits(self.bits))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_checked() {
        assert_eq!(Config::default().check(), Ok(()));
        for bits in [0, 9] {
            let config = Config {
                bits,
                ..Config::default()
            };
            assert_eq!(config.check(), Err(ClusteringError::Bits(bits)));
        }
    }
}
