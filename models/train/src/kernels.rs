//! Kernels on arrays: what a tensor operation computes, and what its gradient takes. None of them knows what is remembered.
//!
//! Work is split between threads by shapes only, and every sum has an order of its own, so that results are the same bits at any number
//! of threads.

pub(super) mod convolution;
pub(super) mod elementwise;
pub(super) mod layout;
pub(super) mod norm;
pub(super) mod pool;
pub(super) mod product;
pub(super) mod reduce;
pub(super) mod sums;

/// Elements that are worth a thread's while.
const PIECE: usize = 1 << 14;

/// Rows of `width` elements that are worth a thread's while.
fn rows_of(width: usize) -> usize {
    (PIECE / width.max(1)).max(1)
}
