//! Settings of grid search.

use std::collections::BTreeMap;

use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::settings::Settings;
use serde::{Deserialize, Serialize};

/// Levels of one axis at most: each is kept as an option of a choice.
const MOST_LEVELS: u32 = 1000;

/// Settings, as in the study file's table `[strategy]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Values of each continuous axis.
    #[schemars(range(min = 1, max = MOST_LEVELS))]
    pub levels: u32,
    /// Number of values of single axes: other levels of a continuous axis, or so many, evenly spread, of the values of a
    /// whole-number or stepped one.
    #[schemars(extend(
        "additionalProperties" = {"type": "integer", "minimum": 1, "maximum": MOST_LEVELS},
        "examples" = [{"learning_rate": 9}],
    ))]
    pub axes: BTreeMap<String, u32>,
    /// In random order by seed, or one by one, the last axis changing first.
    pub order: Order,
}

/// Which point comes when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// At random.
    #[default]
    Shuffled,
    /// One by one, the last axis changing first.
    Sequential,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            levels: 5,
            axes: BTreeMap::new(),
            order: Order::default(),
        }
    }
}

impl Settings for Config {}
