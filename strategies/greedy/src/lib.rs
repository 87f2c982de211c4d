//! Greedy search: hill climbing over one-axis moves, wider neighbourhoods where it is stuck, and restarts.
//!
//! From the middle of the space (or the best known point) one axis at a time is moved, and the first move that is better is
//! taken. A number's step doubles with success and halves when both directions failed (coordinate search after Hooke and
//! Jeeves, "Direct Search Solution of Numerical and Statistical Problems", J. ACM 8, 1961, with their pattern move); a choice
//! goes through its options. Where no move helps, several axes are changed at once, ever more of them (variable neighbourhood
//! search: Mladenović and Hansen, Computers & Operations Research 24, 1997); where that fails too, the climb starts again from
//! a changed copy of the best point (iterated local search: Lourenço, Martin and Stützle, 2003), and comes back to the best
//! with finer steps. Moves found good while others were in flight are made together, and while that candidate is in flight the
//! next ones build on it.
//!
//! Constraints follow Deb's rules. With several objectives the climbs follow augmented Chebyshev scalarisations in turn
//! (Wierzbicki, 1980), each from the non-dominated point that suits its weights best. What was tried is remembered: no point
//! comes twice, and a finite space ends as exhausted.

mod algorithm;
mod archive;
mod config;
mod error;
mod follow;
mod judge;
mod moves;
mod round;
mod state;

use lapidary_core::registry::{Entry, Factory, Info, Linked, Promise};
use lapidary_core::settings::Schema;

pub use config::Config;
pub use error::GreedyError;

/// The registry's entry.
pub static ENTRY: Entry = Entry {
    info: Info {
        name: "greedy",
        summary: "hill climbing over one-axis moves, wider neighbourhoods where stuck, restarts from the best",
        docs: "Moves one axis at a time from the middle of the space and takes the first move that is better; steps of numbers \
               double with success and halve with failure (Hooke and Jeeves 1961). Where stuck, it changes several axes at \
               once (variable neighbourhood search, Mladenović and Hansen 1997), then climbs again from a changed copy of the \
               best (iterated local search). Several objectives are climbed by rotating Chebyshev weights from the \
               non-dominated points. No point comes twice.",
        settings: Schema::of::<Config>(),
        promises: &[Promise::NeverRepeats, Promise::LearnsFromForeign],
    },
    factory: Factory::Searcher(&algorithm::build),
};

inventory::submit! { Linked(&ENTRY) }
