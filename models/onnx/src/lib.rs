//! ONNX models: reading and writing files, graphs and their surgery, shapes and sizes, inference through rten, and
//! training.
//!
//! [`OnnxModel`] is the one model type: what a file holds, what [`build::GraphBuilder`] makes and
//! what an edit returns.

pub mod build;
mod edit;
mod engine;
pub mod error;
mod external;
pub mod graph;
pub mod latency;
mod layers;
mod lower;
pub mod model;
pub mod opset;
mod proto;
mod quantized;
mod read;
mod run;
mod shape;
mod slots;
pub mod structure;
mod tensor;
#[cfg(test)]
mod tests;
pub mod train;
pub mod untie;
mod write;

pub use error::OnnxError;
pub use graph::{Attribute, Graph, Node, ValueInfo};
pub use model::OnnxModel;
