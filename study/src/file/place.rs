//! Where the values of a study file were written.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a file, line and column counted from 1.
    File {
        /// The file.
        path: Arc<Path>,
        /// Line.
        line: usize,
        /// Column, in characters.
        column: usize,
    },
    /// On the command line, as `--set key=value`.
    Override(Arc<str>),
}

impl Place {
    /// The path that a text stands for which was written here: in a file it counts from the file's `folder`, on the command line
    /// from the working directory.
    pub(crate) fn resolve(&self, text: &str, folder: &Path) -> PathBuf {
        match self {
            Self::File { .. } => folder.join(text),
            Self::Override(_) => text.into(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => {
                write!(f, "{}:{line}:{column}", path.display())
            }
            Self::Override(text) => write!(f, "--set {text}"),
        }
    }
}
