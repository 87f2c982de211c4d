//! Model files: opened and written by the formats of the registry, a table's encoder beside them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use lapidary_core::format::{Format, HEAD};
use lapidary_core::model::{Model, ModelError, check_finite};
use lapidary_core::registry::{Kind, Registry};
use lapidary_core::text::listed;
use lapidary_data::Encoder;
use lapidary_files::write_whole;

use crate::error::StudyFileError;

/// The format of a model that is written under a name that no format claims.
const DEFAULT_FORMAT: &str = "onnx";
/// A name that it claims.
pub(crate) const DEFAULT_NAME: &str = "model.onnx";

/// The model at `path`, whose layers' weights are all finite.
///
/// # Errors
/// As [`read`], and when a weight is NaN or infinite; the error names the file, the weight and the element.
pub fn open(registry: &Registry, path: &Path) -> Result<Box<dyn Model>, ModelError> {
    let model = read(registry, path)?;
    check_finite(model.as_ref()).map_err(|error| ModelError::File {
        path: path.to_path_buf(),
        reason: error.to_string(),
    })?;
    Ok(model)
}

/// The model at `path`, whatever its weights.
///
/// # Errors
/// When the file cannot be read, or is of no format there is.
pub fn read(registry: &Registry, path: &Path) -> Result<Box<dyn Model>, ModelError> {
    let refuse = |reason: String| ModelError::File {
        path: path.to_path_buf(),
        reason,
    };
    let head = head(path).map_err(|e| refuse(e.to_string()))?;
    match of(registry, &head, path) {
        Some(format) => format.open(path),
        None => {
            let names: Vec<&str> = registry.formats().map(|(name, _)| name).collect();
            Err(refuse(format!(
                "it is of no format that can be read; there are {}",
                listed(&names)
            )))
        }
    }
}

/// The model that `bytes` are a file of, in the default format, whatever its weights.
///
/// # Errors
/// When they are of no model, or there is no room for a temporary file.
pub fn from_bytes(registry: &Registry, bytes: &[u8]) -> Result<Box<dyn Model>, ModelError> {
    let folder = tempfile::tempdir().and_then(|folder| {
        std::fs::write(folder.path().join(DEFAULT_NAME), bytes)?;
        Ok(folder)
    });
    let folder = folder.map_err(|error| ModelError::File {
        path: std::env::temp_dir(),
        reason: error.to_string(),
    })?;
    read(registry, &folder.path().join(DEFAULT_NAME))
}

/// Writes the model that `bytes` are a file of, in the default format, to `path`, in the format whose name it bears.
///
/// # Errors
/// As [`from_bytes`] and [`save`].
pub fn save_bytes(registry: &Registry, bytes: &[u8], path: &Path) -> Result<(), StudyFileError> {
    let mut formats = registry.formats();
    let other = formats.any(|(name, format)| name != DEFAULT_FORMAT && format.sniff(&[], path));
    if other {
        let model = from_bytes(registry, bytes).map_err(StudyFileError::Model)?;
        return save(registry, model.as_ref(), None, path);
    }
    write_whole(path, bytes).map_err(|source| StudyFileError::Write {
        path: path.to_owned(),
        source,
    })
}

/// The first bytes of a file.
fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// The format that claims a file.
fn of(registry: &Registry, head: &[u8], path: &Path) -> Option<&'static dyn Format> {
    let mut formats = registry.formats().map(|(_, format)| format);
    formats.find(|format| format.sniff(head, path))
}

/// The encoder that is kept beside the model at `path`, where there is one.
///
/// # Errors
/// When it cannot be read.
pub fn encoder_of(path: &Path) -> Result<Option<Encoder>, StudyFileError> {
    let beside = Encoder::beside(path);
    Ok(beside
        .exists()
        .then(|| Encoder::load(&beside))
        .transpose()?)
}

/// Writes a model to `path`, in the format whose name it bears (else as ONNX), with the encoder it needs beside it.
///
/// # Errors
/// When a file cannot be written, or the format cannot hold the model.
pub fn save(
    registry: &Registry,
    model: &dyn Model,
    encoder: Option<&Encoder>,
    path: &Path,
) -> Result<(), StudyFileError> {
    let default = || registry.formats().find(|(name, _)| *name == DEFAULT_FORMAT);
    let format = of(registry, &[], path).or_else(|| default().map(|(_, format)| format));
    let format = format.ok_or_else(|| {
        StudyFileError::Model(ModelError::Unsupported(format!(
            "writing without a {} for it",
            Kind::Format.word()
        )))
    })?;
    // The encoder first: no model is there without what it needs.
    if let Some(encoder) = encoder {
        encoder.save(&Encoder::beside(path))?;
    }
    format.save(model, path).map_err(StudyFileError::Model)
}
