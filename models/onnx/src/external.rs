//! Tensor elements kept in files beside the model.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use crate::error::OnnxError;
use crate::proto::{EXTERNAL, StringStringEntryProto, TensorProto};
use crate::tensor::byte_length;

/// Opens the data files of one model: only files within the model's own folder.
pub(crate) struct ExternalData<'a> {
    folder: Option<&'a Path>,
    files: HashMap<String, (File, u64)>,
}

impl<'a> ExternalData<'a> {
    /// Data files are looked for in `folder`; without one, a model that needs them is an error.
    pub(crate) fn new(folder: Option<&'a Path>) -> Self {
        Self {
            folder,
            files: HashMap::new(),
        }
    }

    /// The elements of `tensor` as stored bytes, where they stand in a file of their own.
    ///
    /// # Errors
    /// When the file lies outside the model's folder, is missing, or is shorter than the tensor says.
    pub(crate) fn read(&mut self, tensor: &TensorProto) -> Result<Option<Vec<u8>>, OnnxError> {
        if tensor.data_location != Some(EXTERNAL) {
            return Ok(None);
        }
        let entry = |key: &str| {
            (tensor.external_data.iter())
                .find(|e| e.key.as_deref() == Some(key))
                .and_then(|e| e.value.as_deref())
        };
        let location = entry("location").unwrap_or_default().to_owned();
        let fail = |reason: String| OnnxError::External {
            tensor: tensor.name.clone().unwrap_or_default(),
            location: location.clone(),
            reason,
        };
        let number = |key: &str| {
            entry(key)
                .map(|text| {
                    text.trim()
                        .parse::<u64>()
                        .map_err(|_| fail(format!("{key} `{text}` is not a size")))
                })
                .transpose()
        };
        let offset = number("offset")?.unwrap_or(0);
        let length = number("length")?;
        if !self.files.contains_key(&location) {
            let path = self.resolve(&location).map_err(&fail)?;
            // Asked before opening: opening a pipe would wait for a writer.
            let meta = path.metadata().map_err(|e| fail(e.to_string()))?;
            if !meta.is_file() {
                return Err(fail("it is not a file".into()));
            }
            let file = File::open(&path).map_err(|e| fail(e.to_string()))?;
            self.files.insert(location.clone(), (file, meta.len()));
        }
        let (file, size) = self.files.get_mut(&location).expect("just inserted");
        let length = length.unwrap_or(size.saturating_sub(offset));
        if offset.checked_add(length).is_none_or(|end| end > *size) {
            return Err(fail(format!(
                "bytes {offset} to {} are wanted, the file has {size}",
                offset.saturating_add(length)
            )));
        }
        if let Some(wanted) = byte_length(tensor)?
            && wanted as u64 != length
        {
            return Err(fail(format!(
                "its shape takes {wanted} bytes, {length} are stored"
            )));
        }
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(offset))
            .map_err(|e| fail(e.to_string()))?;
        let read = (file.take(length).read_to_end(&mut bytes)).map_err(|e| fail(e.to_string()))?;
        if read as u64 != length {
            return Err(fail(format!(
                "{length} bytes are wanted, {read} could be read"
            )));
        }
        Ok(Some(bytes))
    }

    /// Bytes of all files read so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.values().map(|(_, size)| size).sum()
    }

    /// The path of a data file, once it is certain that it lies within the model's folder.
    fn resolve(&self, location: &str) -> Result<PathBuf, String> {
        let folder = self
            .folder
            .ok_or("the model was given as bytes without a folder")?;
        let plain = Path::new(location)
            .components()
            .all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
        if location.is_empty() || location.contains('\0') || !plain {
            return Err("only files within the model's folder are read".into());
        }
        let folder = folder.canonicalize().map_err(|e| e.to_string())?;
        let path = folder
            .join(location)
            .canonicalize()
            .map_err(|e| e.to_string())?;
        if !path.starts_with(&folder) {
            return Err("the link leads out of the model's folder".into());
        }
        Ok(path)
    }
}

/// Moves the elements of `tensor` to the end of `data`, aligned to 4096 bytes as readers that map the file like it,
/// and leaves the reference to the file `location`.
pub(crate) fn move_out(tensor: &mut TensorProto, data: &mut Vec<u8>, location: &str) {
    let Some(bytes) = tensor.raw_data.take() else {
        return;
    };
    data.resize(data.len().next_multiple_of(4096), 0);
    let entry = |key: &str, value: String| StringStringEntryProto {
        key: Some(key.into()),
        value: Some(value),
    };
    tensor.external_data = vec![
        entry("location", location.into()),
        entry("offset", data.len().to_string()),
        entry("length", bytes.len().to_string()),
    ];
    tensor.data_location = Some(EXTERNAL);
    data.extend_from_slice(&bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(location: &str, offset: &str, length: &str) -> TensorProto {
        let entry = |key: &str, value: &str| StringStringEntryProto {
            key: Some(key.into()),
            value: Some(value.into()),
        };
        TensorProto {
            name: Some("w".into()),
            dims: vec![1],
            data_type: Some(1),
            data_location: Some(EXTERNAL),
            external_data: vec![
                entry("location", location),
                entry("offset", offset),
                entry("length", length),
            ],
            ..TensorProto::default()
        }
    }

    #[test]
    fn nothing_outside_the_folder_is_read() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("model");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(root.path().join("secret"), b"12345678").unwrap();
        std::fs::write(folder.join("data"), b"12345678").unwrap();
        let absolute = root.path().join("secret");
        let mut locations = vec![
            "../secret",
            "sub/../../secret",
            "",
            absolute.to_str().unwrap(),
        ];
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&absolute, folder.join("link")).unwrap();
            locations.push("link");
        }
        for location in locations {
            let mut data = ExternalData::new(Some(&folder));
            let error = data.read(&tensor(location, "0", "8")).unwrap_err();
            assert!(error.to_string().contains("folder"), "{error}");
        }
        let mut data = ExternalData::new(Some(&folder));
        let bytes = data.read(&tensor("data", "4", "4")).unwrap().unwrap();
        assert_eq!(bytes, b"5678");
    }

    #[test]
    fn wrong_sizes_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("data"), b"12345678").unwrap();
        for (offset, length) in [
            ("4", "5"),
            ("18446744073709551615", "2"),
            ("0", "99999999999999"),
            ("-1", "2"),
        ] {
            let mut data = ExternalData::new(Some(folder.path()));
            assert!(data.read(&tensor("data", offset, length)).is_err());
        }
    }
}
