//! Settings.

use serde::{Deserialize, Serialize};

/// What is quantized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// Weights and calibrated activations.
    Static,
    /// Weights alone.
    WeightOnly,
}

/// How the range of an activation is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Calibration {
    /// All values seen.
    MinMax,
    /// All but the outermost values.
    Percentile,
    /// The range with the least squared error over the values seen.
    Mse,
}

impl Calibration {
    /// All methods.
    pub const ALL: [Self; 3] = [Self::MinMax, Self::Percentile, Self::Mse];

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::MinMax => "minmax",
            Self::Percentile => "percentile",
            Self::Mse => "mse",
        }
    }
}

/// Settings of the optimizer, as in a recipe; see the entry for what they mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What is quantized; `None` is static with 8 bits and weights alone with 4.
    pub scheme: Option<Scheme>,
    /// Bits of a weight: 8 or 4.
    pub bits: u8,
    /// One scale for each output channel rather than for the whole weight (8 bits).
    pub per_channel: bool,
    /// Weights that share a scale (4 bits): a power of two in [16, 256].
    pub block: usize,
    /// How ranges of activations are chosen.
    pub calibration: Calibration,
    /// Percent of values within the range on either side, in (50, 100].
    pub percentile: f64,
    /// Most samples to calibrate with.
    pub samples: usize,
    /// Most measurements spent on gentler forms.
    pub attempts: usize,
    /// Globs of the layers to quantize; empty is all.
    pub layers: Vec<String>,
    /// Globs of layers to leave alone.
    pub exclude: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            scheme: None,
            bits: 8,
            per_channel: true,
            block: 32,
            calibration: Calibration::MinMax,
            percentile: 99.99,
            samples: 256,
            attempts: 12,
            layers: Vec::new(),
            exclude: Vec::new(),
        }
    }
}

impl Config {
    /// The scheme that applies.
    pub fn scheme(&self) -> Scheme {
        self.scheme.unwrap_or(if self.bits == 4 {
            Scheme::WeightOnly
        } else {
            Scheme::Static
        })
    }

    /// Whether the settings make sense; the text says what does not.
    pub fn check(&self) -> Result<(), String> {
        if !matches!(self.bits, 4 | 8) {
            return Err(format!("bits = {} where 8 or 4 is possible", self.bits));
        }
        if self.bits == 4 && self.scheme() == Scheme::Static {
            return Err("bits = 4 goes with scheme = \"weight_only\": no runtime has 4-bit weights with 8-bit activations".into());
        }
        if !self.block.is_power_of_two() || !(16..=256).contains(&self.block) {
            return Err(format!(
                "block = {} is no power of two in [16, 256]",
                self.block
            ));
        }
        if !(self.percentile > 50.0 && self.percentile <= 100.0) {
            return Err(format!(
                "percentile = {} is not in (50, 100]",
                self.percentile
            ));
        }
        if self.samples == 0 {
            return Err("samples = 0; calibration needs at least 1".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_bits_are_weights_alone() {
        let four = Config {
            bits: 4,
            ..Config::default()
        };
        assert_eq!(four.scheme(), Scheme::WeightOnly);
        four.check().unwrap();
        let refused = Config {
            scheme: Some(Scheme::Static),
            ..four
        };
        assert!(refused.check().unwrap_err().contains("weight_only"));
    }

    #[test]
    fn values_out_of_range_are_named() {
        let wrong = |config: Config| config.check().unwrap_err();
        let base = Config::default;
        assert!(wrong(Config { bits: 5, ..base() }).contains("bits = 5"));
        assert!(
            wrong(Config {
                block: 24,
                ..base()
            })
            .contains("block = 24")
        );
        assert!(
            wrong(Config {
                percentile: f64::NAN,
                ..base()
            })
            .contains("percentile")
        );
        assert!(
            wrong(Config {
                samples: 0,
                ..base()
            })
            .contains("samples")
        );
    }
}
