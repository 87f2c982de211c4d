//! The graph that every model is: nodes, named values and weights as ONNX has them, with what follows from them: shapes,
//! layers and their sizes, channel groups, and edits. It knows no file format and no engine.

pub mod build;
mod carried;
pub mod check;
pub mod codes;
pub mod edit;
pub mod ending;
pub mod error;
pub mod fold;
pub mod graph;
pub mod inline;
pub mod layers;
pub mod lower;
pub mod ops;
pub mod opset;
pub mod quantized;
mod shape;
pub mod sharing;
pub mod structure;
pub mod tape;
mod types;
pub mod window;

pub use carried::Carried;
pub use error::GraphError;
pub use graph::{Attribute, Function, Graph, Node, ValueInfo, fresh_name};
