//! Files the program writes: they appear whole or not at all, and where that cannot be is found out before the work starts.

use std::fs;
use std::path::{Path, PathBuf};

use lapidary_files::{check_folder, write_whole};
use thiserror::Error;

/// Why something cannot be written.
#[derive(Debug, Error)]
pub enum FileError {
    #[error("cannot write {}: {source}", path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("cannot write {}: it is a folder", path.display())]
    Folder { path: PathBuf },
}

/// Checks that a file can appear at `path`; nothing is left there.
pub fn check(path: &Path) -> Result<(), FileError> {
    if path.is_dir() || path.file_name().is_none() {
        return Err(FileError::Folder { path: path.into() });
    }
    lapidary_files::check(path).map_err(refuse(path))
}

/// Makes the folder at `path` where it is missing, and checks that files can appear in it.
pub fn make_folder(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path)
        .and_then(|()| check_folder(path))
        .map_err(refuse(path))
}

/// Writes `content` to `path`.
pub fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), FileError> {
    write_whole(path, content.as_ref()).map_err(refuse(path))
}

fn refuse(path: &Path) -> impl FnOnce(std::io::Error) -> FileError + '_ {
    move |source| FileError::Write {
        path: path.into(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_through_a_file_cannot_be_written_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        write(&file, "text\n").unwrap();
        for bad in [
            file.join("out"),
            dir.path().into(),
            dir.path().join("no/out"),
        ] {
            assert!(check(&bad).is_err(), "{bad:?}");
        }
        assert!(make_folder(&file.join("sub")).is_err());
        check(&dir.path().join("new")).unwrap();
        make_folder(&dir.path().join("a/b")).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "text\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
