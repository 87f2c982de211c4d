//! Settings.

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Bits in the fraction of an `f32`.
pub const FRACTION: u32 = f32::MANTISSA_DIGITS - 1;

/// Settings, as in a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Bits of the fraction that are kept, in 0..=23.
    pub bits: u32,
    /// Globs of the layers to change; empty is all.
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

impl Config {
    /// Whether the settings make sense.
    ///
    /// # Errors
    /// When a setting is out of its bounds.
    pub fn check(&self) -> Result<(), Error> {
        if self.bits <= FRACTION {
            Ok(())
        } else {
            Err(Error::Bits(self.bits))
        }
    }
}
