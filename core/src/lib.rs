//! Lapidary's seams: spaces, searchers, evaluators and the study loop that joins them; models, optimizers and
//! recipes; goals, budgets, metrics; and the registry of what is installed. No files, no network.

pub mod budget;
pub mod cancel;
pub mod condition;
pub mod evaluator;
pub mod fit;
pub mod goal;
pub mod importance;
pub mod json;
pub mod ledger;
pub mod metrics;
pub mod model;
pub mod optimizer;
pub mod rank;
pub mod registry;
pub mod rng;
pub mod samples;
pub mod scorer;
pub mod searcher;
pub mod select;
pub mod session;
pub mod space;
pub mod stop;
pub mod study;
pub mod tensor;
pub mod text;
pub mod trial;
pub mod tried;
pub mod units;

pub use inventory;
