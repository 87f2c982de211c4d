//! What can go wrong.

use lapidary_core::searcher::SearchError;

/// Errors of the strategy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The snapshot is of another search.
    #[error("the snapshot was made with other settings, another seed or another space")]
    OtherSearch,
}

impl From<Error> for SearchError {
    fn from(error: Error) -> Self {
        Self::MalformedSnapshot {
            strategy: crate::ENTRY.info.name,
            reason: error.to_string(),
        }
    }
}
