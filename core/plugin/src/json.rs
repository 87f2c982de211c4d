//! JSON as it crosses the border: a writer and a reader that keep every number's bits, whatever else is in the build.
//!
//! Floats are written as the shortest text that reads back as the same bits; those that are not finite as the texts `nan`,
//! `inf` and `-inf`, and whole numbers beyond 2^53, which some readers would round, as texts too. The reader takes numbers
//! and such texts alike.

mod reader;
mod writer;

pub use reader::{JsonError, Reader};
pub use writer::Writer;

/// Whole numbers up to here are exact in every reader.
const EXACT: u64 = 1 << 53;

#[cfg(test)]
mod tests;
