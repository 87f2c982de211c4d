//! Why there is no picture.

use thiserror::Error;

/// Why there is no picture.
#[derive(Debug, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum PlotError {
    #[error("study `{study}` has no trial yet that was measured in full")]
    NoTrial { study: String },
    #[error(
        "study `{study}` has one objective, `{metric}`; a front needs two. Its history, parallel coordinates and importance \
         of axes can be drawn"
    )]
    OneObjective { study: String, metric: String },
    #[error(
        "the measured trials of study `{study}` do not differ in `{metric}`, so no axis decides it; more trials may"
    )]
    Flat { study: String, metric: String },
    #[error("the picture cannot be drawn as PNG: {0}")]
    Png(String),
}
