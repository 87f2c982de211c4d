//! What columns and targets can be.

use lapidary_core::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};

/// What is to be predicted, where the data alone does not say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TaskKind {
    /// One class of several.
    Classification,
    /// Numbers.
    Regression,
}

/// How a column of a table is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    /// Numbers, standardised.
    Numeric,
    /// Words, one-hot.
    Categorical,
    /// Left out, as a row's number should be.
    Ignored,
}
