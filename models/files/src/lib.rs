//! Files that appear whole or not at all.

use std::fs::{self, File};
use std::io::{Error, Result, Write};
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

/// Writes `bytes` beside `path`, brings them to disk and gives them their name, so that a reader sees the old file or the new
/// one, even after a power cut.
///
/// # Errors
/// When the folder is missing or cannot be written to, the disk is full, or `path` is a device or a folder; `path` is as it was,
/// and nothing is left beside it.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    check_replaced(path)?;
    let folder = folder(path);
    let mut file = beside(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}

/// Checks that a file can appear at `path`; nothing is left there.
///
/// # Errors
/// When it cannot.
pub fn check(path: &Path) -> Result<()> {
    check_replaced(path)?;
    check_folder(folder(path))
}

/// Checks that files can appear in `folder`; nothing is left there.
///
/// # Errors
/// When they cannot.
pub fn check_folder(folder: &Path) -> Result<()> {
    beside(folder).map(drop)
}

/// Refuses what a file must not take the place of, such as `/dev/stdout`.
fn check_replaced(path: &Path) -> Result<()> {
    match fs::metadata(path) {
        Ok(there) if !there.is_file() => Err(Error::other("what is there is no file")),
        _ => Ok(()),
    }
}

/// The folder that `path` lies in.
fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A file without a lasting name.
fn beside(folder: &Path) -> Result<NamedTempFile> {
    let mut builder = Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any new file, not only for its owner as temporary files are.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.prefix(".lapidary").tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_what_was_there_and_nothing_beside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.json");
        write_whole(&path, b"first").unwrap();
        write_whole(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        let taken = dir.path().join("folder");
        fs::create_dir(&taken).unwrap();
        fs::write(taken.join("inside"), b"").unwrap();
        assert!(write_whole(&taken, b"x").is_err());
        assert!(write_whole(&dir.path().join("missing/out.json"), b"x").is_err());
        assert!(check_folder(&path).is_err());
        check_folder(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let error = write_whole(&path, b"x").unwrap_err();
        assert_eq!(error.to_string(), "what is there is no file");
        assert!(check(&path).is_err() && check(&dir.path().join("new")).is_ok());
        assert!(!fs::metadata(&path).unwrap().is_file());
    }

    #[cfg(unix)]
    #[test]
    fn a_new_file_is_as_readable_as_any() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let [ours, any] = ["ours", "any"].map(|name| dir.path().join(name));
        write_whole(&ours, b"").unwrap();
        fs::write(&any, b"").unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&any));
    }
}
