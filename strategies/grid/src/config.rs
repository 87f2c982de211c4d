//! Settings of grid search.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Levels of one axis at most: each is kept as an option of a choice.
pub(crate) const MOST_LEVELS: u32 = 1000;

/// Settings, as in the study file's table `[strategy]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Values of each continuous axis.
    pub levels: u32,
    /// Number of values by the names of axes, where it is another.
    pub axes: BTreeMap<String, u32>,
    /// Which point comes when.
    pub order: Order,
}

/// Which point comes when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
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

impl Config {
    /// Refuses numbers of values that are out of bounds.
    pub(crate) fn check(&self) -> Result<(), String> {
        let all = [("levels", self.levels)];
        let single = self.axes.iter().map(|(name, n)| (name.as_str(), *n));
        for (name, n) in all.into_iter().chain(single) {
            if !(1..=MOST_LEVELS).contains(&n) {
                return Err(format!("`{name}` must be in 1..={MOST_LEVELS}, found {n}"));
            }
        }
        Ok(())
    }
}
