//! The evaluators of this crate.

use lapidary_core::registry::Entry;

use crate::evaluate::{command, compress, function, models, train};

/// The evaluators of this crate, the most used first.
pub static ENTRIES: &[&Entry] = &[
    &train::ENTRY,
    &compress::ENTRY,
    &models::ENTRY,
    &command::ENTRY,
    &function::ENTRY,
];
