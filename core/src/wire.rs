//! The one form in which numbers, spaces, candidates and trials cross a border: in the store, to workers, sessions, programs
//! and plug-ins, and in what the command line prints. It is serde's, so every border writes the same bytes of the same thing.
//!
//! | what | form |
//! |---|---|
//! | a float | the shortest number that reads back as the same bits; `"nan"`, `"inf"` or `"-inf"` where it is not finite ([`Number`]) |
//! | a whole number | a number up to 2^53, a text beyond, where some readers would round ([`Whole`]) |
//! | an axis | `{"name": "lr", "float": [0.0001, 0.1], "log": true, "step": … (where stepped)}`, `{"name": "depth", "int": [1, 6], "log": false, "step": 1}` or `{"name": "act", "choice": ["relu", "gelu"]}`, each with `"when": "act == relu"` where it is active under a condition only |
//! | a space | an array of its axes |
//! | a point | by axis: an array of a value for each, `null` where inactive, a choice as its index ([`Row`]); by name, for whoever does not know the space: an object of the active axes, a choice as its option ([`ByName`]) |
//! | a candidate | `{"id": 0, "point": …, "fidelity": 1.0, "parent": 5 (where it goes on from an earlier trial)}` |
//! | a report | `{"step": 1, "metrics": {…}}` |
//! | an outcome | `{"metrics": {…}}`, `{"failed": "why"}` or `{"metrics": {…}, "stopped": "why"}` |
//! | a trial | a candidate and an outcome in one object, with `"foreign": true`, `"score": {"objectives": […], "violation": 0.0}`, `"curve": [reports]` and `"repeats": 3` where they apply |
//! | what stands out | `{"id": 0, "point": by name, "metrics": {…}, "feasible": true}` ([`Found`]) |
//!
//! Writing needs nothing but [`serde::Serialize`]. A point is read before it is known whose space it is of, so candidates and
//! trials are read as a [`CandidateForm`] or [`TrialForm`] that is then fitted into its space.

mod numeric;
mod point;
mod space;
#[cfg(test)]
mod tests;
mod trial;

pub use numeric::{Number, Whole, maybe_number, number, numbers, whole};
pub use point::{ByName, Row};
pub use trial::{CandidateForm, FormError, Found, TrialForm};
