//! What can be wrong with an entry.

use thiserror::Error;

use crate::model::ModelError;

/// Why an entry could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum BuildError {
    #[error(
        "no {kind} `{name}`{}; there are {}",
        crate::text::did_you_mean(name, known),
        crate::text::listed(known)
    )]
    Unknown {
        kind: &'static str,
        name: String,
        known: Vec<&'static str>,
    },
    #[error(
        "settings of {name}: {reason}; its settings are {}",
        crate::text::listed(known)
    )]
    Settings {
        name: &'static str,
        reason: String,
        known: Vec<String>,
        /// The setting that it is about, as keys and positions in lists, where it is about one.
        path: Vec<String>,
    },
    /// An axis of the space is none that the evaluator can search.
    #[error("{name}: {reason}")]
    Axis {
        name: &'static str,
        axis: String,
        reason: String,
    },
    /// What measures models could not be made.
    #[error(transparent)]
    Runtime(Box<BuildError>),
    #[error("{name}: {reason}")]
    Unfit { name: &'static str, reason: String },
    /// The plug-in that makes it does not work.
    #[error("{name}: {reason}")]
    Broken { name: &'static str, reason: String },
    #[error(transparent)]
    Model(#[from] ModelError),
}
