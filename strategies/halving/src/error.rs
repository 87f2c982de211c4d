//! What can go wrong in halving.

use lapidary_core::searcher::SearchError;
use thiserror::Error;

/// Errors of halving.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HalvingError {
    /// The snapshot is of a search with other settings.
    #[error("the snapshot was made with other settings or another seed")]
    OtherSearch,
    /// The snapshot contradicts itself or does not fit the space and the objectives.
    #[error("{what} in the snapshot do not fit")]
    Unfit {
        /// What does not fit.
        what: &'static str,
    },
}

impl From<HalvingError> for SearchError {
    fn from(error: HalvingError) -> Self {
        Self::MalformedSnapshot {
            strategy: crate::ENTRY.info.name,
            reason: error.to_string(),
        }
    }
}
