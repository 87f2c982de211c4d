//! Finding and loading the library of onnxruntime.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use lapidary_core::model::ModelError;
use ort::environment::Environment;
use thiserror::Error;

/// The ways to give the library.
const WAYS: &str = "give its path with --ort-lib or in ORT_DYLIB_PATH, or install the Python package onnxruntime in the active environment or in ./.venv";

/// There is no library of onnxruntime.
#[derive(Debug, Error)]
pub enum Missing {
    /// It was given, but is not there.
    #[error("there is no onnxruntime library at {}; {WAYS}", path.display())]
    At {
        /// Where it should be.
        path: PathBuf,
    },
    /// It was not given and not found.
    #[error("no onnxruntime library was found; {WAYS}")]
    Anywhere,
}

/// The library at `named`, else at `ORT_DYLIB_PATH`, else that of the Python package in the active environment or in `.venv`.
///
/// # Errors
/// When there is no file.
pub fn find(named: Option<&Path>) -> Result<PathBuf, Missing> {
    let variable = || env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty());
    if let Some(path) = named
        .map(Path::to_owned)
        .or_else(|| variable().map(PathBuf::from))
    {
        // A relative path is looked for beside the program otherwise.
        let path = std::path::absolute(&path).unwrap_or(path);
        return match path.is_file() {
            true => Ok(path),
            false => Err(Missing::At { path }),
        };
    }
    let environments = env::var_os("VIRTUAL_ENV").map(PathBuf::from);
    (environments.into_iter())
        .chain(env::current_dir().ok().map(|folder| folder.join(".venv")))
        .find_map(|folder| in_environment(&folder))
        .ok_or(Missing::Anywhere)
}

/// The library that the Python package in an environment brings.
fn in_environment(folder: &Path) -> Option<PathBuf> {
    let entries = |folder: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        paths
    };
    let is_library = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libonnxruntime.") || name == "onnxruntime.dll"
    };
    let versions = entries(&folder.join("lib"));
    (versions.into_iter().chain([folder.join("Lib")]))
        .map(|version| version.join("site-packages/onnxruntime/capi"))
        .find_map(|capi| entries(&capi).into_iter().find(is_library))
}

/// The library that this process has loaded; there can be no other.
static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// What sessions are made in, with the library at `path` loaded.
///
/// # Errors
/// When the file is no library of onnxruntime 1.17 or later, or another one is loaded already.
pub fn environment(path: &Path) -> Result<Environment, ModelError> {
    let refuse = |reason: String| ModelError::File {
        path: path.to_owned(),
        reason,
    };
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((is, environment)) = loaded.as_ref() {
        return if is == path {
            Ok(environment.clone())
        } else {
            let is = is.display();
            Err(refuse(format!(
                "{is} is loaded already, and a process can have one onnxruntime only"
            )))
        };
    }
    let made = ort::init_from(path)
        .map_err(|e| refuse(format!("it cannot be loaded as onnxruntime: {e}; {WAYS}")))?;
    let made = made.with_telemetry(false).build();
    let environment = made.map_err(|e| refuse(e.to_string()))?;
    environment.set_log_level(ort::logging::LogLevel::Error);
    *loaded = Some((path.to_owned(), environment.clone()));
    Ok(environment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_of_a_python_environment_is_found_among_its_neighbours() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(in_environment(folder.path()), None);
        let capi = (folder.path()).join("lib/python3.12/site-packages/onnxruntime/capi");
        std::fs::create_dir_all(&capi).unwrap();
        for name in [
            "libonnxruntime_providers_shared.so",
            "libonnxruntime.so.1.32.0",
        ] {
            std::fs::write(capi.join(name), "").unwrap();
        }
        assert_eq!(
            in_environment(folder.path()),
            Some(capi.join("libonnxruntime.so.1.32.0"))
        );
    }

    #[test]
    fn a_path_that_leads_nowhere_is_named_with_the_ways_there_are() {
        let error = find(Some(Path::new("no/such.so"))).unwrap_err().to_string();
        for part in [
            "no/such.so",
            "--ort-lib",
            "ORT_DYLIB_PATH",
            "Python package",
        ] {
            assert!(error.contains(part), "{error}");
        }
    }
}
