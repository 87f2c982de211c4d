//! Settings of halving.

use lapidary_core::json::Json;
use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::settings::Settings;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

/// Settings, as in the study file's table `[strategy]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The searcher that proposes the candidates, another one than this.
    #[schemars(
        extend("x-kind" = "name of another searcher", "x-entry" = "searcher"),
        example = &"genetic"
    )]
    pub searcher: String,
    /// Settings of that searcher.
    #[schemars(
        with = "Option<Map<String, Json>>",
        extend("x-settings-of" = "searcher", "examples" = [{"sampling": "sobol"}])
    )]
    pub settings: Json,
    /// Whether a rung sends on its best at any time or when it is complete, or brackets start at several rungs.
    pub variant: Variant,
    /// One of so many trials of a rung goes on, and the next rung costs so many times as much.
    #[schemars(range(min = 2, max = 100))]
    pub reduction: u32,
    /// No trial gets a smaller share of the evaluation.
    #[schemars(range(min = 1e-6, max = 1.0), example = 0.1)]
    pub min_fidelity: f64,
}

/// Which trials go on when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
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
            settings: json!({}),
            variant: Variant::default(),
            reduction: 3,
            min_fidelity: 1.0 / 27.0,
        }
    }
}

impl Settings for Config {
    fn cross_check(&self) -> Result<(), String> {
        match self.searcher == crate::ENTRY.info.name {
            true => Err("`searcher` must be another one: this one decides all fidelities".into()),
            false => Ok(()),
        }
    }
}
