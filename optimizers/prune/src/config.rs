//! Settings.

use serde::{Deserialize, Serialize};

/// What is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Structure {
    /// Single weights, which become zero.
    Unstructured,
    /// Whole channels and neurons.
    Channels,
}

/// What the share refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// All chosen layers together.
    Global,
    /// Each layer (each group of channels) alone.
    Layer,
}

/// Settings of the optimizer, as in a recipe; see the entry for what they mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Share of weights or channels to remove, in [0, 1).
    pub sparsity: f64,
    /// What is removed.
    pub structure: Structure,
    /// What the share refers to.
    pub scope: Scope,
    /// Steps in which the share is reached.
    pub steps: usize,
    /// Passes over the training samples after each step.
    pub finetune_epochs: usize,
    /// Peak learning rate of the training.
    pub learning_rate: f32,
    /// Samples in a training step.
    pub batch: usize,
    /// Globs of the layers to prune; empty is all.
    pub layers: Vec<String>,
    /// Globs of layers to leave alone.
    pub exclude: Vec<String>,
}

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
    /// Whether the settings make sense; the text says what does not.
    pub fn check(&self) -> Result<(), String> {
        if !(0.0..1.0).contains(&self.sparsity) {
            return Err(format!("sparsity = {} is not in [0, 1)", self.sparsity));
        }
        if self.steps == 0 {
            return Err("steps = 0; at least 1 is needed".into());
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return Err(format!(
                "learning_rate = {} is not above 0",
                self.learning_rate
            ));
        }
        if self.batch == 0 {
            return Err("batch = 0; at least 1 is needed".into());
        }
        Ok(())
    }

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
        let wrong = |config: Config| config.check().unwrap_err();
        let base = Config::default;
        assert!(
            wrong(Config {
                sparsity: 1.0,
                ..base()
            })
            .contains("sparsity = 1")
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
