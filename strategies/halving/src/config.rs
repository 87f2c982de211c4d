//! Settings of halving.

use lapidary_core::json::Json;
use serde::{Deserialize, Serialize};

/// Settings, as in the study file's table `[strategy]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name of the searcher that proposes candidates.
    pub searcher: String,
    /// Its settings, an object.
    pub settings: Json,
    /// Which trials go on when.
    pub variant: Variant,
    /// One of so many trials of a rung goes on.
    pub reduction: u32,
    /// The least share of an evaluation.
    pub min_fidelity: f64,
}

/// Which trials go on when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// At any time the best of a rung.
    #[default]
    Asynchronous,
    /// The best of a complete rung.
    Successive,
    /// The same in brackets that start at several rungs.
    Hyperband,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            searcher: "random".into(),
            settings: serde_json::json!({}),
            variant: Variant::default(),
            reduction: 3,
            min_fidelity: 1.0 / 27.0,
        }
    }
}

impl Config {
    /// Refuses values out of bounds.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.searcher == crate::ENTRY.info.name {
            return Err("`searcher` must be another one: this one decides all fidelities".into());
        }
        if !(2..=100).contains(&self.reduction) {
            return Err(format!(
                "`reduction` must be in 2..=100, found {}",
                self.reduction
            ));
        }
        if !(1e-6..=1.0).contains(&self.min_fidelity) {
            return Err(format!(
                "`min_fidelity` must be in [1e-6, 1], found {}",
                self.min_fidelity
            ));
        }
        Ok(())
    }
}
