//! Which files may be opened: those that nobody but the user and root can have put there or changed.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Gid, Group, User, geteuid};

use crate::error::PluginError;

/// Others may write.
const BY_OTHERS: u32 = 0o002;
/// The group may write.
const BY_GROUP: u32 = 0o020;
/// The users that the system knows, with their first groups.
const USERS: &str = "/etc/passwd";
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
    let by_group = meta.mode() & BY_GROUP != 0 && !is_own_group(meta.gid());
    if (meta.mode() & BY_OTHERS != 0 || by_group) && replaceable {
        return Err(PluginError::Writable {
            path: path.to_owned(),
            place: place.to_owned(),
        });
    }
    Ok(())
}

/// Whether a group is the user's alone, as systems make one for each user whose files are then writable by it (umask 002): it has the
/// user's name, no other member, and is nobody else's first group.
fn is_own_group(gid: u32) -> bool {
    let (Ok(Some(user)), Ok(Some(group))) = (
        User::from_uid(geteuid()),
        Group::from_gid(Gid::from_raw(gid)),
    ) else {
        return false;
    };
    let users = std::fs::read_to_string(USERS).unwrap_or_default();
    group.name == user.name
        && group.mem.iter().all(|member| *member == user.name)
        && others_of(&users, gid, &user.name).is_empty()
}

/// Names of the users but `own` whose first group is `gid`, from lines `name:password:uid:gid:…`.
fn others_of<'t>(users: &'t str, gid: u32, own: &str) -> Vec<&'t str> {
    let of_group = |line: &'t str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(2)?.parse() == Ok(gid) && name != own).then_some(name)
    };
    users.lines().filter_map(of_group).collect()
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
            let own = is_own_group(file.metadata().unwrap().gid());
            if own && (file_mode | folder_mode) & BY_OTHERS == 0 {
                assert!(try_with(file_mode, folder_mode).is_ok());
                continue;
            }
            match try_with(file_mode, folder_mode) {
                Err(PluginError::Writable { place: found, .. }) => assert_eq!(&found, place),
                other => panic!("{file_mode:o} in {folder_mode:o}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_group_of_ones_own_is_nobody_elses_first_group() {
        let users = "root:x:0:0::/:/bin/sh\nann:x:7:7::/:/bin/sh\nben:x:8:7::/:/bin/sh\nbroken\n";
        assert_eq!(others_of(users, 7, "ann"), ["ben"]);
        assert!(others_of(users, 0, "root").is_empty());
        assert!(!is_own_group(u32::MAX - 1));
    }
}
