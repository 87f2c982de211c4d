//! Families of searchable architectures, each built as an ONNX graph with weights drawn from a seed.
//!
//! A family is an [`Entry`] of the registry: its settings, the shape of the task and a seed give a model with one input of
//! shape `[batch, sample…]` and one output `logits` `[batch, classes]` or `values` `[batch, values]`. Node names say what
//! a layer is for (`stem`, `stage2.block1.conv1`, `hidden3`, `logits`), so that a recipe's globs can select them.

pub mod convnet;
mod init;
pub mod mlp;
mod net;
pub mod settings;
mod space;

use lapidary_core::registry::Entry;

/// All families of this crate.
pub static ENTRIES: &[&Entry] = &[&convnet::ENTRY, &mlp::ENTRY];
