//! What can go wrong in genetic search.

use lapidary_core::searcher::SearchError;
use thiserror::Error;

/// Errors of genetic search.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum GeneticError {
    #[error("`{name}` = {value} must be at least {least} and at most 1000000")]
    Count {
        name: &'static str,
        least: usize,
        value: usize,
    },
    #[error("`{name}` = {value} must be in [0, 1]")]
    Rate { name: &'static str, value: f64 },
    #[error("`{name}` = {value} must be in [0, 1000000]")]
    Eta { name: &'static str, value: f64 },
    #[error("the snapshot was made with other settings, seed or number of objectives")]
    OtherSearch,
    #[error("{what} is none of this search")]
    OtherSpace { what: &'static str },
}

impl From<GeneticError> for SearchError {
    fn from(error: GeneticError) -> Self {
        Self::MalformedSnapshot {
            strategy: crate::ENTRY.info.name,
            reason: error.to_string(),
        }
    }
}
