//! What can go wrong in adaptive search.

use lapidary_core::searcher::SearchError;
use thiserror::Error;

/// Errors of adaptive search.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AdaptiveError {
    /// The snapshot is of a search with other settings.
    #[error("the snapshot was made with other settings or another seed")]
    OtherSearch,
    /// The snapshot does not fit the space or the objectives.
    #[error("{what} in the snapshot do not fit the space and the objectives")]
    Unfit {
        /// What does not fit.
        what: &'static str,
    },
}

impl From<AdaptiveError> for SearchError {
    fn from(error: AdaptiveError) -> Self {
        Self::MalformedSnapshot {
            strategy: crate::ENTRY.info.name,
            reason: error.to_string(),
        }
    }
}
