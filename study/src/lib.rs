//! Studies from files: the study file, the evaluators it names, and the host's measurements of models.

pub mod artefacts;
mod checkpoints;
pub mod error;
pub mod evaluate;
pub mod file;
pub mod identity;
mod lines;
mod loose;
pub mod measure;
pub mod models;
pub mod process;
pub mod recipe;
pub mod reference;
pub mod schema;
pub mod session;
pub mod store;
pub mod worker;
