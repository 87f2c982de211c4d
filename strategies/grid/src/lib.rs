//! Grid search: every combination of the axes' values, each once.
//!
//! Choices and other finite axes are taken value by value, continuous ones at evenly spaced levels on their own scale. An axis
//! that is not active at a point adds nothing to it, so conditions make no duplicates. The grid is never laid out in memory:
//! points are found as they are asked, and only what was asked is remembered.
//!
//! Grids find what few axes decide and waste most trials where only some of many axes matter, which is why the same number of
//! random trials often does better (Bergstra and Bengio, "Random Search for Hyper-Parameter Optimization", JMLR 13, 2012). In
//! shuffled order a part of the grid is at least spread over all of it.

mod algorithm;
mod config;
mod error;
mod levels;

use lapidary_core::registry::{Entry, Factory, Info, Linked, Promise};
use lapidary_core::settings::Schema;

pub use config::{Config, Order};
pub use error::GridError;

/// The registry's entry.
pub static ENTRY: Entry = Entry {
    info: Info {
        name: "grid",
        summary: "every combination of the axes' values once, continuous axes at evenly spaced levels",
        docs: "Takes every value of choices, whole numbers and stepped axes, and evenly spaced levels of continuous axes, both \
               ends included (by ratio on log axes; a single level lies in the middle). Combinations that differ in inactive \
               axes only come once. The search ends when all were asked. On a budget smaller than the grid the shuffled order \
               spreads the trials over the whole of it.",
        settings: Schema::of::<Config>(),
        promises: &[
            Promise::NeverRepeats,
            Promise::Ends,
            Promise::IgnoresOutcomes,
        ],
    },
    factory: Factory::Searcher(&algorithm::build),
};

inventory::submit! { Linked(&ENTRY) }
