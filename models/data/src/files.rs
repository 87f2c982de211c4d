//! Reading whole files and folders.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use crate::error::DataError;

/// The most bytes a file may take once unpacked, and samples once decoded: 4 GiB.
pub(crate) const MAX_BYTES: usize = 1 << 32;

/// All bytes of the file at `path`, unpacked where it is gzipped. What is kept grows with what really is there, whatever
/// a header says.
///
/// # Errors
/// When the file cannot be read, is damaged, or unpacks to more than [`MAX_BYTES`].
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    let file = File::open(path).map_err(DataError::io(path))?;
    let mut start = Vec::with_capacity(2);
    (&file)
        .take(2)
        .read_to_end(&mut start)
        .map_err(DataError::io(path))?;
    let gzipped = start == [0x1f, 0x8b];
    let whole = start.as_slice().chain(file);
    if gzipped {
        read_capped(flate2::read::MultiGzDecoder::new(whole), MAX_BYTES, path)
    } else {
        read_capped(whole, MAX_BYTES, path)
    }
}

/// All bytes of `reader`, at most `cap`.
pub(crate) fn read_capped(
    reader: impl Read,
    cap: usize,
    path: &Path,
) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    reader
        .take(cap as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(DataError::io(path))?;
    if bytes.len() > cap {
        return Err(DataError::format(path, format!("more than {cap} bytes")));
    }
    Ok(bytes)
}

/// The names in the folder at `path`, sorted, hidden ones left out.
pub(crate) fn names(path: &Path) -> Result<Vec<String>, DataError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(DataError::io(path))? {
        let entry = entry.map_err(DataError::io(path))?;
        let name = entry
            .file_name()
            .into_string()
            .map_err(|name| DataError::format(path, format!("the name {name:?} is not UTF-8")))?;
        if !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn gzipped_and_plain_read_alike_and_damage_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let text = b"some bytes, some bytes, some bytes".repeat(50);
        fs::write(&path, &text).unwrap();
        assert_eq!(read(&path).unwrap(), text);

        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(&text).unwrap();
        let packed = packed.finish().unwrap();
        fs::write(&path, &packed).unwrap();
        assert_eq!(read(&path).unwrap(), text);
        for cut in [2, 10, packed.len() / 2, packed.len() - 1] {
            fs::write(&path, &packed[..cut]).unwrap();
            let message = read(&path).unwrap_err().to_string();
            assert!(message.contains("data"), "{message}");
        }
        for short in [&b""[..], b"x"] {
            fs::write(&path, short).unwrap();
            assert_eq!(read(&path).unwrap(), short);
        }
    }

    #[test]
    fn what_unpacks_beyond_the_cap_is_refused() {
        let error = read_capped(std::io::repeat(0), 1000, Path::new("bomb")).unwrap_err();
        assert_eq!(error.to_string(), "bomb: more than 1000 bytes");
    }
}
