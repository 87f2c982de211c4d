//! Data sets, encoders, splits and batches: what a model is trained, calibrated and measured on.
//!
//! [`open`] reads any of the known kinds into a [`Dataset`], whose parts come as [`lapidary_core::samples::Samples`];
//! [`fit_inputs`] brings those into the form that a given model takes.

mod cifar;
mod class_weights;
mod dataset;
mod digits;
mod encoder;
mod error;
mod files;
mod idx;
mod images;
mod inputs;
mod kinds;
mod npz;
mod options;
mod pixels;
mod split;
mod table;
mod target;

pub use class_weights::class_weights;
pub use dataset::{Dataset, Part, Split, open};
pub use encoder::Encoder;
pub use error::DataError;
pub use inputs::fit_inputs;
pub use kinds::{ColumnType, TaskKind};
pub use options::Options;
pub use split::stratified;
pub use table::Table;
pub use target::{Target, TargetKind};

/// Name of the input where the data gives none.
pub const INPUT: &str = "input";
