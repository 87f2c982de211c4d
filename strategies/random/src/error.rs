//! What can go wrong in random search.

use lapidary_core::searcher::SearchError;
use thiserror::Error;

/// Errors of random search.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RandomError {
    /// The snapshot is of a searcher that draws in another way.
    #[error("the snapshot was drawn with other settings: sampling or seed differ")]
    OtherSequence,
}

impl From<RandomError> for SearchError {
    fn from(error: RandomError) -> Self {
        Self::MalformedSnapshot {
            strategy: crate::ENTRY.info.name,
            reason: error.to_string(),
        }
    }
}
