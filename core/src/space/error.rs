//! What can be wrong with spaces and points.

use thiserror::Error;

/// What can be wrong with a space or a point.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum SpaceError {
    #[error("axis number {index} has no name")]
    Unnamed { index: usize },
    #[error("axis `{axis}` is given twice")]
    Twice { axis: String },
    #[error("axis `{axis}`: {reason}")]
    Axis { axis: String, reason: String },
    #[error(
        "conditions depend on each other in a circle: {}",
        crate::text::listed(axes)
    )]
    Cycle { axes: Vec<String> },
    #[error("a point is an object of axis values, found {found}")]
    NotAPoint { found: String },
    #[error("a point is an array of {wanted} values, found {found}")]
    NotARow { wanted: usize, found: String },
    #[error("no axis `{axis}`; there are {}", crate::text::listed(known))]
    Unknown { axis: String, known: Vec<String> },
    #[error("axis `{axis}` is active at this point and has no value")]
    Missing { axis: String },
    #[error("axis `{axis}` is not active at this point and takes no value")]
    Inactive { axis: String },
    #[error("axis `{axis}`: {value} is not {wanted}")]
    Value {
        axis: String,
        value: String,
        wanted: String,
    },
}
