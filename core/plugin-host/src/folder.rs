//! The user's folder of plug-ins.

use std::env;
use std::path::{Path, PathBuf};

use crate::error::PluginError;

/// The variable that names another folder.
pub const FOLDER_VARIABLE: &str = "LAPIDARY_PLUGINS";

/// The folder whose plug-ins are installed: `lapidary/plugins` among the user's data, as the XDG base directories have it,
/// unless [`FOLDER_VARIABLE`] names another one; never one that depends on the working directory.
pub fn folder() -> Option<PathBuf> {
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    let variable = |name: &str| env::var_os(name).map(PathBuf::from);
    if let Some(path) = variable(FOLDER_VARIABLE) {
        return absolute(path);
    }
    let data = variable("XDG_DATA_HOME").and_then(absolute);
    let data = data.or_else(|| Some(absolute(variable("HOME")?)?.join(".local/share")));
    Some(data?.join("lapidary").join("plugins"))
}

/// The shared libraries in `folder`, by name; none where there is no such folder.
///
/// # Errors
/// When the folder cannot be read.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, PluginError> {
    let failed = |source| PluginError::Read {
        path: folder.to_owned(),
        source,
    };
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in folder.read_dir().map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "so") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
