//! What can go wrong in grid search.

use lapidary_core::searcher::SearchError;
use thiserror::Error;

/// Errors of grid search.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GridError {
    /// The snapshot is of another grid or order.
    #[error("the snapshot was made with other settings or another seed")]
    OtherGrid,
}

impl From<GridError> for SearchError {
    fn from(error: GridError) -> Self {
        Self::MalformedSnapshot {
            strategy: crate::ENTRY.info.name,
            reason: error.to_string(),
        }
    }
}
