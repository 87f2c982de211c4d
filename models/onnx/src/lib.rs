//! ONNX files: reading and writing them, data kept in files beside them, and what they say beside their graphs.

mod carried;
pub mod error;
mod external;
mod file;
mod proto;
mod read;
mod tensor;
mod write;

pub use error::OnnxError;
pub use file::{
    file_bytes, from_bytes, is_external, keep_external, open, save, save_bytes, to_bytes,
};
pub use write::Form;
