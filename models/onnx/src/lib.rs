//! ONNX models: reading and writing files, graphs and their surgery, shapes and sizes, inference through rten, and
//! training.
//!
//! [`OnnxModel`](model::OnnxModel) is the one model type: what a file holds, what [`build::GraphBuilder`] makes and
//! what an edit returns.

pub mod build;
mod edit;
pub mod error;
mod external;
mod files;
pub mod graph;
mod layers;
pub mod model;
mod proto;
mod quantized;
mod read;
mod slots;
mod tensor;
pub mod train;
mod write;

pub use error::OnnxError;
pub use graph::{Attribute, Graph, Node, ValueInfo};
pub use model::OnnxModel;
