//! The one model type: a graph that runs, is measured, edited, cut, trained and stored; and what the registry has of it: the
//! formats it is kept in and the runtimes that run it.

mod entries;
mod model;
#[cfg(test)]
mod tests;

use lapidary_core::registry::Entry;

pub use entries::{ONNX, ORT, RTEN};
pub use lapidary_runtime::quantized::is_quantized;
pub use model::GraphModel;

/// The formats and runtimes of this crate.
pub static ENTRIES: &[&Entry] = &[&ONNX, &ORT, &RTEN];
