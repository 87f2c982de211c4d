//! What can go wrong in genetic search.

use lapidary_core::searcher::SearchError;
use thiserror::Error;

/// Errors of genetic search.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum GeneticError {
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
