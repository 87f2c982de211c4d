//! Settings.

use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::settings::Settings;
use serde::{Deserialize, Serialize};

/// What is quantized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// Weights and calibrated activations.
    Static,
    /// Weights alone.
    WeightOnly,
}

/// How the range of an activation is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

/// Settings of the optimizer, as in a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What is quantized; null is static with 8 bits and weight_only with 4.
    #[schemars(example = &"weight_only")]
    pub scheme: Option<Scheme>,
    /// Bits of a weight.
    #[schemars(extend("enum" = [8, 4]))]
    pub bits: u8,
    /// One scale for each output channel (8 bits) rather than for the whole weight.
    pub per_channel: bool,
    /// Weights that share a scale (4 bits).
    #[schemars(extend("enum" = [16, 32, 64, 128, 256]))]
    pub block: usize,
    /// How the range of an activation is chosen: all values, all but the outermost, or the range of least squared error.
    pub calibration: Calibration,
    /// Percent of an activation's values within its range on either side, for `percentile`.
    #[schemars(range(max = 100.0), extend("exclusiveMinimum" = 50.0))]
    pub percentile: f64,
    /// Most samples to calibrate with.
    #[schemars(range(min = 1))]
    pub samples: usize,
    /// Most measurements spent on gentler forms when the goal is not met.
    pub attempts: usize,
    /// Globs of the layers to quantize; empty is all.
    #[schemars(extend("examples" = [["stage2.*"]]))]
    pub layers: Vec<String>,
    /// Globs of layers to leave alone.
    #[schemars(extend("examples" = [["stem", "logits"]]))]
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
}

impl Settings for Config {
    fn cross_check(&self) -> Result<(), String> {
        if self.bits == 4 && self.scheme() == Scheme::Static {
            return Err("bits = 4 goes with scheme = \"weight_only\": no runtime has 4-bit weights with 8-bit activations".into());
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
        four.clone().check().unwrap();
        let refused = Config {
            scheme: Some(Scheme::Static),
            ..four
        };
        let error = refused.check().unwrap_err().to_string();
        assert!(error.contains("weight_only"));
    }

    #[test]
    fn values_out_of_range_are_named() {
        let wrong = |config: Config| config.check().unwrap_err().to_string();
        let base = Config::default;
        assert!(
            wrong(Config { bits: 5, ..base() }).contains("`bits` must be one of 8, 4, found 5")
        );
        assert!(
            wrong(Config {
                block: 24,
                ..base()
            })
            .contains("`block` must be one of 16, 32, 64, 128, 256, found 24")
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
