//! Runtimes: where graphs are run, observed and timed.

pub mod latency;
mod rten;
pub mod run;
