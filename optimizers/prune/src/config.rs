//! Settings.

use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::settings::Settings;
use serde::{Deserialize, Serialize};

/// What is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Structure {
    /// Single weights, which become zero.
    Unstructured,
    /// Whole channels and neurons.
    Channels,
}

/// What the share refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// All chosen layers together.
    Global,
    /// Each layer (each group of channels) alone.
    Layer,
}

/// Settings of the optimizer, as in a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Share of weights that become zero, or of channels that are removed.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub sparsity: f64,
    /// Single weights or whole channels.
    pub structure: Structure,
    /// Whether the share holds for all layers together or for each (for each group of channels).
    pub scope: Scope,
    /// Steps in which the share is reached.
    #[schemars(range(min = 1))]
    pub steps: usize,
    /// Passes over the training samples after each step.
    pub finetune_epochs: usize,
    /// Peak learning rate of the training.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub learning_rate: f32,
    /// Samples in a training step.
    #[schemars(range(min = 1))]
    pub batch: usize,
    /// Globs of the layers to prune; empty is all.
    #[schemars(extend("examples" = [["stage2.*"]]))]
    pub layers: Vec<String>,
    /// Globs of layers to leave alone.
    #[schemars(extend("examples" = [["stem", "logits"]]))]
    pub exclude: Vec<String>,
}

impl Settings for Config {}

impl Default for Config {
    fn default() -> Self {
        Self {
            sparsity: 0.5,
            structure: Structure::Unstructured,
            scope: Scope::Global,
            steps: 3,
            finetune_epochs: 5,
            learning_rate: 1e-3,
            batch: 64,
            layers: Vec::new(),
            exclude: Vec::new(),
        }
    }
}

impl Config {
    /// The share after step `t` of [`Config::steps`], from 1 (Zhu and Gupta 2017, equation 1, with s₀ = 0).
    pub fn share(&self, t: usize) -> f64 {
        let rest = 1.0 - t as f64 / self.steps as f64;
        self.sparsity * (1.0 - rest * rest * rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_rises_fast_first_and_ends_at_the_sparsity() {
        let config = Config {
            sparsity: 0.8,
            steps: 4,
            ..Config::default()
        };
        let shares: Vec<f64> = (0..=4).map(|t| config.share(t)).collect();
        assert_eq!((shares[0], shares[4]), (0.0, 0.8));
        let rises: Vec<f64> = shares.windows(2).map(|w| w[1] - w[0]).collect();
        assert!(
            rises.windows(2).all(|w| w[0] > w[1] && w[1] > 0.0),
            "{rises:?}"
        );
    }

    #[test]
    fn values_out_of_range_are_named() {
        let wrong = |config: Config| config.check().unwrap_err().to_string();
        let base = Config::default;
        assert!(
            wrong(Config {
                sparsity: 1.0,
                ..base()
            })
            .contains("`sparsity` must be in [0, 1), found 1")
        );
        assert!(
            wrong(Config {
                sparsity: f64::NAN,
                ..base()
            })
            .contains("sparsity")
        );
        assert!(wrong(Config { steps: 0, ..base() }).contains("steps"));
        assert!(
            wrong(Config {
                learning_rate: 0.0,
                ..base()
            })
            .contains("learning_rate")
        );
        assert!(wrong(Config { batch: 0, ..base() }).contains("batch"));
    }
}
