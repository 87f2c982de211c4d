//! Which files may be opened: those that nobody but the user and root can have put there or changed.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::geteuid;

use crate::error::PluginError;

/// Others and the group may write.
const WRITABLE: u32 = 0o022;
/// In such a folder only the owner of a file may replace it.
const STICKY: u32 = 0o1000;

/// Looks at a file and all folders above it; `path` must be absolute and without links.
///
/// # Errors
/// When one of them can be written by others, or belongs to somebody else.
pub fn check(path: &Path) -> Result<(), PluginError> {
    for place in path.ancestors() {
        let meta = place.metadata().map_err(|source| PluginError::Read {
            path: place.to_owned(),
            source,
        })?;
        check_place(path, place, &meta)?;
    }
    Ok(())
}

fn check_place(path: &Path, place: &Path, meta: &Metadata) -> Result<(), PluginError> {
    if meta.uid() != 0 && meta.uid() != geteuid().as_raw() {
        return Err(PluginError::Owner {
            path: path.to_owned(),
            place: place.to_owned(),
            owner: meta.uid(),
        });
    }
    let replaceable = !(meta.is_dir() && meta.mode() & STICKY != 0);
    if meta.mode() & WRITABLE != 0 && replaceable {
        return Err(PluginError::Writable {
            path: path.to_owned(),
            place: place.to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_others_can_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let inner = base.join("inner");
        let file = inner.join("plugin.so");
        fs::create_dir(&inner).unwrap();
        fs::write(&file, "x").unwrap();
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        };
        let try_with = |file_mode, folder_mode| {
            mode(&file, file_mode);
            mode(&inner, folder_mode);
            check(&file)
        };
        assert!(try_with(0o644, 0o755).is_ok());
        assert!(try_with(0o600, 0o700).is_ok());
        assert!(try_with(0o644, 0o1777).is_ok());
        for (file_mode, folder_mode, place) in [
            (0o666, 0o755, &file),
            (0o664, 0o755, &file),
            (0o644, 0o777, &inner),
            (0o644, 0o775, &inner),
        ] {
            match try_with(file_mode, folder_mode) {
                Err(PluginError::Writable { place: found, .. }) => assert_eq!(&found, place),
                other => panic!("{file_mode:o} in {folder_mode:o}: {other:?}"),
            }
        }
    }
}
