//! Files that appear whole or not at all.

use std::fs::File;
use std::io::{Result, Write};
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

/// Writes `bytes` beside `path`, brings them to disk and gives them their name, so that a reader sees the old file or the new
/// one, even after a power cut.
///
/// # Errors
/// When the folder is missing or cannot be written to, or the disk is full; `path` is as it was, and nothing is left beside it.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = folder(path);
    let mut file = beside(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}

/// Checks that files can appear in `folder`; nothing is left there.
///
/// # Errors
/// When they cannot.
pub fn check_folder(folder: &Path) -> Result<()> {
    beside(folder).map(drop)
}

/// The folder that `path` lies in.
pub fn folder(path: &Path) -> &Path {
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
    use std::fs;

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
