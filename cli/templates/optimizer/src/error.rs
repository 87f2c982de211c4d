//! What can go wrong.

/// Errors of the optimizer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A fraction has fewer bits.
    #[error("`bits` = {0} must be from 0 to 23")]
    Bits(u32),
}
