//! The format: reads models from files and writes them to files.

use std::path::Path;

use crate::model::{Model, ModelError};

/// Bytes from the beginning of a file that a format is shown.
pub const HEAD: usize = 64;

/// A file format of models.
pub trait Format: Sync {
    /// Whether a file is of this format, by its first bytes (at most [`HEAD`], none where the file is still to be written)
    /// or its name.
    fn sniff(&self, head: &[u8], path: &Path) -> bool;

    /// Reads the model at `path`.
    ///
    /// # Errors
    /// [`ModelError::File`] naming the file and what is wrong with it.
    fn open(&self, path: &Path) -> Result<Box<dyn Model>, ModelError>;

    /// Writes `model` to `path`, where it appears whole or not at all.
    ///
    /// # Errors
    /// When the format cannot hold the model, or the file cannot be written.
    fn save(&self, model: &dyn Model, path: &Path) -> Result<(), ModelError>;
}
