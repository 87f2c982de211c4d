//! What can go wrong.

use lapidary_core::optimizer::OptimizeError;
use thiserror::Error;

/// Why a model cannot be pruned.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum PruneError {
    #[error(
        "channels of this model cannot be removed; `structure = \"unstructured\"` zeroes single weights"
    )]
    Rigid,
    #[error(
        "the channels of group {group} should lie at indices {first} to {} of axis {axis} of the weight `{weight}`, which holds no floats there; \
         `layers` and `exclude` leave layers alone", last.saturating_sub(1)
    )]
    Slice {
        group: usize,
        weight: String,
        axis: usize,
        first: usize,
        last: usize,
    },
}

impl From<PruneError> for OptimizeError {
    fn from(error: PruneError) -> Self {
        Self::Method {
            optimizer: "prune".into(),
            reason: error.to_string(),
        }
    }
}
