//! Settings of adaptive search.

use serde::{Deserialize, Serialize};

use crate::member::Who;

/// Settings, as in the study file's table `[strategy]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the first descent starts.
    pub start: Start,
    /// The members that take turns.
    pub members: Vec<Who>,
}

/// Where the first descent starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// In the middle of every axis.
    #[default]
    Middle,
    /// Anywhere.
    Random,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            start: Start::default(),
            members: Who::ALL.to_vec(),
        }
    }
}
