//! The properties that every strategy and optimizer keeps, for its author to run: one macro line in
//! `tests/conformance.rs` makes one named test of each.
//!
//! ```ignore
//! lapidary_testkit::searcher_conformance!(my_strategy::ENTRY);
//! ```
//!
//! Those of optimizers need models to work on and come with the feature `optimizers`.
//!
//! The properties are plain functions that panic where one does not hold, so that other programs can run them as well.

mod info;
#[cfg(feature = "optimizers")]
pub mod optimizer;
pub mod searcher;

pub use lapidary_core::json::Json;
