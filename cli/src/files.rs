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

/// Makes a new folder at `path` with `files` in it, by their paths from there.
pub fn write_folder(path: &Path, files: &[(PathBuf, String)]) -> Result<(), FileError> {
    let write = || {
        let beside = path.parent().filter(|p| !p.as_os_str().is_empty());
        let made = tempfile::tempdir_in(beside.unwrap_or(Path::new(".")))?;
        for (name, text) in files {
            let file = made.path().join(name);
            fs::create_dir_all(file.parent().unwrap_or(made.path()))?;
            fs::write(&file, text)?;
        }
        // Temporary folders are for their owner's eyes only; what stays is as readable as any new folder.
        #[cfg(unix)]
        fs::set_permissions(
            made.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )?;
        fs::rename(made.path(), path)?;
        // It is no longer there to be removed.
        let _ = made.keep();
        Ok(())
    };
    write().map_err(refuse(path))
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
    fn a_folder_appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let files = |name: &str| {
            [
                ("a/b.txt".into(), "b".to_owned()),
                (name.into(), String::new()),
            ]
        };
        let folder = dir.path().join("new");
        // The second file lies where the first one is.
        assert!(write_folder(&folder, &files("a/b.txt/c")).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        write_folder(&folder, &files("c")).unwrap();
        assert_eq!(fs::read_to_string(folder.join("a/b.txt")).unwrap(), "b");
        assert!(
            write_folder(&folder, &files("c")).is_err(),
            "it is there already"
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

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
