//! What can go wrong in weight sharing.

use thiserror::Error;

/// Errors of weight sharing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ClusteringError {
    /// No such number of values is possible.
    #[error("`bits` = {0} must be from 1 to 8")]
    Bits(u32),
}
