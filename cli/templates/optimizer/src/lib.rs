//! Weights with fewer bits in their fraction: the file stays as large, and compresses better.

mod algorithm;
mod config;

use lapidary_core::inventory;
use lapidary_core::registry::{Entry, Factory, Info, Linked, Promise};
use lapidary_core::settings::Schema;

pub use config::Config;

/// The registry's entry.
pub static ENTRY: Entry = Entry {
    info: Info {
        name: "my-optimizer",
        summary: "cuts the last bits of weights, so that the file compresses better",
        docs: "Sets all but the first bits of each weight's fraction to zero. Where the goal is not met, more bits are kept.",
        settings: Schema::of::<Config>(),
        promises: &[Promise::Idempotent],
    },
    factory: Factory::Optimizer(&algorithm::build),
};

inventory::submit! { Linked(&ENTRY) }
