//! The one model type: a graph that runs, is measured, edited, cut, trained and stored.

mod model;
#[cfg(test)]
mod tests;

pub use model::GraphModel;
