//! Why settings cannot be used.

use thiserror::Error;

/// Why settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// A setting has a value that it cannot have.
    #[error("`{}` must be {wanted}, found {found}", name(path))]
    Value {
        /// Keys, and indices in lists, from the settings to the value.
        path: Vec<String>,
        /// What would have worked.
        wanted: String,
        /// What was found.
        found: String,
    },
    /// The settings do not go together.
    #[error("{0}")]
    Unfit(String),
}

/// The name that a value at a path goes by: the last key in it, which no index is.
pub(super) fn name(path: &[String]) -> &str {
    let index = |part: &&String| part.bytes().all(|b| b.is_ascii_digit());
    let key = path.iter().rev().find(|part| !index(part));
    key.map_or("settings", String::as_str)
}
