//! What can go wrong in simulated annealing.

use lapidary_core::searcher::SearchError;
use thiserror::Error;

/// Errors of simulated annealing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AnnealingError {
    /// The snapshot is of another search.
    #[error("the snapshot was made with other settings, seed or number of objectives")]
    OtherSearch,
    /// The snapshot holds something that this space has not.
    #[error("{0} of the snapshot is none of this space")]
    OtherSpace(&'static str),
}

impl From<AnnealingError> for SearchError {
    fn from(error: AnnealingError) -> Self {
        Self::MalformedSnapshot {
            strategy: crate::ENTRY.info.name,
            reason: error.to_string(),
        }
    }
}
