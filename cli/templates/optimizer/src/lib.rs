//! Weights with fewer bits in their fraction: the file stays as large, and compresses better.

mod algorithm;
mod config;
mod error;

use lapidary_core::inventory;
use lapidary_core::registry::{Entry, Factory, Info, Linked, Promise, Setting};

pub use config::Config;
pub use error::Error;

/// The registry's entry.
pub static ENTRY: Entry = Entry {
    info: Info {
        name: "my-optimizer",
        summary: "cuts the last bits of weights, so that the file compresses better",
        docs: "Sets all but the first bits of each weight's fraction to zero. Where the goal is not met, more bits are kept.",
        settings: &[
            Setting {
                name: "bits",
                kind: "int in [0, 23]",
                default: "7",
                doc: "Bits of the fraction that are kept.",
            },
            Setting {
                name: "layers",
                kind: "list of globs",
                default: "[]",
                doc: "Names of the layers to change; empty is all.",
            },
        ],
        promises: &[Promise::Idempotent],
    },
    factory: Factory::Optimizer(&algorithm::build),
};

inventory::submit! { Linked(&ENTRY) }
