//! What crosses the border as JSON: what stands in `lapidary.h`, in the types of `lapidary-core` and by its
//! [`wire`](lapidary_core::wire) form.

mod fit;
mod info;
mod message;
mod model;
mod searcher;
#[cfg(test)]
mod tests;
mod text;

use lapidary_core::wire::FormError;
use thiserror::Error;

pub use fit::{PlanForm, SamplesForm};
pub use info::Described;
pub use message::{Message, Piece};
pub use model::{Description, Done, EditForm, HostCall, SpecForm, Task, TensorForm, Trouble};
pub use searcher::{Request, read_candidates, read_trial};
pub use text::{read, write};

/// What can be wrong with what the other side of the border says.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum WireError {
    #[error("{wanted} is wanted at byte {at}")]
    Text { wanted: String, at: usize },
    #[error("`{key}` is missing")]
    Missing { key: String },
    #[error("{reason}")]
    Wrong { reason: String },
    #[error(transparent)]
    Form(#[from] FormError),
    #[error("there are more candidates than the {asked} asked for")]
    TooMany { asked: usize },
}
