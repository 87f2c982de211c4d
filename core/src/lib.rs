//! Lapidary's seams: spaces, searchers, evaluators and the study loop that joins them; models, optimizers and
//! recipes; goals, budgets, metrics; and the registry of what is installed. No files, no network.
//!
//! Who writes a search strategy implements [`Searcher`](searcher::Searcher), who writes an optimization method
//! [`Optimizer`](optimizer::Optimizer), and either declares an [`Entry`](registry::Entry). A program puts entries into a
//! [`Registry`](registry::Registry) and takes them from there by name. A whole strategy, which draws at random:
//!
//! ```
#![doc = include_str!("../doc/draws.rs")]
//!
//! // What a program does with it.
//! use lapidary_core::json::Json;
//! use lapidary_core::registry::{Registry, SearchInit};
//! use lapidary_core::space::{Axis, Domain};
//!
//! let registry = Registry::new(&[&ENTRY])?;
//! let domain = Domain::Int { low: 1, high: 6, log: false, step: 1 };
//! let init = SearchInit {
//!     space: Arc::new(Space::new(vec![Axis::new("dice", domain)])?),
//!     seed: 7,
//!     objectives: 1,
//!     trials: None,
//!     installed: None,
//! };
//! let mut searcher = registry.searcher("draws", &Json::Null, &init)?;
//! assert_eq!(searcher.ask(3)?.len(), 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `docs/writing-a-strategy.md` in the repository goes on from here, to a name on the command line; the crate
//! `lapidary-testkit` has the properties that every strategy keeps.
//!
//! # Search
//!
//! | module | what is in it |
//! |---|---|
//! | [`space`], [`condition`] | axes, points, and when an axis is there |
//! | [`trial`] | candidates, outcomes, trials, scores |
//! | [`goal`], [`budget`] | what is wanted, and what may be spent |
//! | [`searcher`] | the trait of a search strategy |
//! | [`ledger`], [`tried`], [`rank`] | what strategies share: ids, known points, comparing scores |
//! | [`evaluator`] | the trait of what measures candidates |
//! | [`study`], [`session`], [`log`] | the loop that joins them, the same with someone else evaluating, and what takes note of both |
//! | [`scorer`], [`stop`] | how outcomes become scores, and when running trials are stopped |
//!
//! # Models
//!
//! | module | what is in it |
//! |---|---|
//! | [`model`] | the trait of a model: signature, layers, weights, edits |
//! | [`tensor`], [`samples`] | weights, inputs and targets |
//! | [`outputs`], [`metrics`] | which output is the prediction, and how good it is |
//! | [`fit`] | how a model is trained: losses, update rules, schedules |
//! | [`format`](mod@format), [`runtime`] | the traits of a file format, and of what runs models |
//!
//! # Optimisation
//!
//! | module | what is in it |
//! |---|---|
//! | [`optimizer`] | the trait of an optimization method, and recipes of several |
//! | [`select`] | the layers that a recipe's globs name |
//!
//! # Shared
//!
//! | module | what is in it |
//! |---|---|
//! | [`registry`] | what is installed, by kind and name |
//! | [`settings`] | settings of entries: described, read and checked from one struct |
//! | [`wire`] | how trials, candidates and numbers are written at every border |
//! | [`json`], [`units`], [`text`] | JSON, numbers with units, lists in messages |
//! | [`rng`] | random numbers, keyed by seed, trial and purpose |
//! | [`cancel`] | ending work early |

pub mod budget;
pub mod cancel;
pub mod condition;
pub mod evaluator;
pub mod fit;
pub mod format;
pub mod goal;
pub mod json;
pub mod ledger;
pub mod log;
pub mod metrics;
pub mod model;
pub mod optimizer;
pub mod outputs;
pub mod rank;
pub mod registry;
pub mod rng;
pub mod runtime;
pub mod samples;
pub mod scorer;
pub mod searcher;
pub mod select;
pub mod session;
pub mod settings;
pub mod space;
pub mod stop;
pub mod study;
pub mod tensor;
pub mod text;
pub mod trial;
pub mod tried;
pub mod units;
pub mod wire;

pub use {inventory, schemars};
