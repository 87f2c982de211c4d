//! Spaces, candidates, trials and what else searchers are told, as JSON: what stands in `lapidary.h`, in the types of
//! `lapidary-core`.

mod fit;
mod info;
mod message;
mod model;
mod searcher;
mod space;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;

use lapidary_core::space::SpaceError;

use crate::json::JsonError;

pub use fit::{PlanForm, SamplesForm};
pub use info::{Described, read_info, write_info};
pub use message::{Message, Piece};
pub use model::{
    Description, Done, EditForm, HostCall, SpecForm, Task, TensorForm, Trouble, metrics_form,
    read_metrics_form,
};
pub use searcher::{
    Request, read_candidates, read_request, read_snapshot, read_trial, write_candidates,
    write_request, write_snapshot, write_trial,
};
pub use value::{read_value, write_value};

/// What can be wrong with what the other side of the border says.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum WireError {
    Json(JsonError),
    Missing { key: &'static str },
    Space(SpaceError),
    Condition { axis: String, reason: String },
    Point { id: u64, error: SpaceError },
    Fidelity { id: u64, fidelity: f64 },
    TooMany { asked: usize },
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "{error}"),
            Self::Missing { key } => write!(f, "`{key}` is missing"),
            Self::Space(error) => write!(f, "{error}"),
            Self::Condition { axis, reason } => write!(f, "axis `{axis}`: {reason}"),
            Self::Point { id, error } => write!(f, "candidate {id}: {error}"),
            Self::Fidelity { id, fidelity } => {
                write!(f, "candidate {id}: fidelity {fidelity} is not in (0, 1]")
            }
            Self::TooMany { asked } => {
                write!(f, "there are more candidates than the {asked} asked for")
            }
        }
    }
}

impl std::error::Error for WireError {}

impl From<JsonError> for WireError {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

impl From<SpaceError> for WireError {
    fn from(error: SpaceError) -> Self {
        Self::Space(error)
    }
}
