//! Ridge regression: the weights w that minimise mean (y − w·x − b)² + λ‖w‖² over the rows of a table.
//!
//! After Hoerl and Kennard, "Ridge Regression: Biased Estimation for Nonorthogonal Problems", Technometrics 12, 1970. The
//! penalty λ is the axis; how good it is says cross-validation (Stone, "Cross-Validatory Choice and Assessment of Statistical
//! Predictions", J. Royal Statistical Society B 36, 1974): the rows are cut into parts, and each is predicted from the others.
//!
//! An evaluation reports after every part, and a fidelity below 1 is that share of the parts. It leaves the model of all rows.

mod algorithm;
mod config;
mod regression;

use lapidary_core::inventory;
use lapidary_core::registry::{Entry, Factory, Info, Linked, Promise};
use lapidary_core::settings::Schema;

pub use config::Config;

/// The registry's entry.
pub static ENTRY: Entry = Entry {
    info: Info {
        name: "ridge",
        summary: "ridge regression of a table, measured by cross-validation; the axis is the penalty",
        docs: "The rows are cut into parts, each of which is predicted from the others (Stone 1974), by weights that a penalty \
               keeps small (Hoerl and Kennard 1970). A fidelity below 1 is a share of the parts. It leaves the model of all rows.",
        settings: Schema::of::<Config>(),
        promises: &[
            Promise::TakesFidelity,
            Promise::Reports,
            Promise::LeavesModel,
        ],
    },
    factory: Factory::Evaluator {
        make: &algorithm::make,
        axes: &algorithm::axes,
    },
};

inventory::submit! { Linked(&ENTRY) }
