//! What can go wrong in greedy search.

use lapidary_core::searcher::SearchError;
use thiserror::Error;

/// Errors of greedy search.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum GreedyError {
    #[error("the snapshot was made with other settings, seed or number of objectives")]
    OtherSearch,
    #[error("{what} is none of this space")]
    OtherSpace { what: &'static str },
}

impl From<GreedyError> for SearchError {
    fn from(error: GreedyError) -> Self {
        Self::MalformedSnapshot {
            strategy: crate::ENTRY.info.name,
            reason: error.to_string(),
        }
    }
}
