//! The properties that every strategy, optimizer and evaluator keeps, for its author to run: one macro line in
//! `tests/conformance.rs` makes one named test of each.
//!
//! ```
//! lapidary_testkit::searcher_conformance!(lapidary_random::ENTRY);
//! ```
//!
//! Those of optimizers and runtimes need models to work on and come with the feature `optimizers`.
//!
//! The properties are plain functions that panic where one does not hold, so that other programs can run them as well:
//!
//! ```
//! use lapidary_testkit::searcher::PROPERTIES;
//!
//! let (name, property) = PROPERTIES[0];
//! assert_eq!(name, "values_are_in_the_space");
//! property(&lapidary_random::ENTRY);
//! ```
//!
//! For tests of what a strategy achieves there are [`searcher::run`] and, for optimizers, `optimizer::World`.

pub mod evaluator;
mod info;
#[cfg(feature = "optimizers")]
pub mod optimizer;
#[cfg(feature = "optimizers")]
pub mod runtime;
pub mod searcher;

pub use lapidary_core::json::Json;
