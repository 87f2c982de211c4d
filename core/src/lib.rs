//! Lapidary's seams: spaces, searchers, evaluators and the study loop that joins them; models, optimizers and
//! recipes; goals, budgets, metrics; and the registry of what is installed. No files, no network.

pub mod cancel;
pub mod fit;
pub mod json;
pub mod model;
pub mod rng;
pub mod samples;
pub mod tensor;
pub mod text;
