//! A search that draws one axis of the best known point anew, or now and then a point anywhere.

mod algorithm;
mod config;

use lapidary_core::inventory;
use lapidary_core::registry::{Entry, Factory, Info, Linked, Promise};
use lapidary_core::settings::Schema;

pub use config::Config;

/// The registry's entry.
pub static ENTRY: Entry = Entry {
    info: Info {
        name: "my-searcher",
        summary: "draws one axis of the best known point anew",
        docs: "Draws one axis of the best known point anew, or, with the chance `wander`, a point anywhere.",
        settings: Schema::of::<Config>(),
        promises: &[Promise::LearnsFromForeign],
    },
    factory: Factory::Searcher(&algorithm::build),
};

inventory::submit! { Linked(&ENTRY) }
