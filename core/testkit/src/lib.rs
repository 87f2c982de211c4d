//! The properties that every strategy and optimizer keeps, for its author to run: one macro line in
//! `tests/conformance.rs` makes one named test of each.
//!
//! ```ignore
//! lapidary_testkit::searcher_conformance!(my_strategy::ENTRY);
//! ```
//!
//! The properties are plain functions that panic where one does not hold, so that other programs can run them as well.

pub mod searcher;
