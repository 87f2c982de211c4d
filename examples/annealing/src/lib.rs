//! Simulated annealing: a walk that takes better points always, worse ones by chance, and ever fewer of them.
//!
//! A worse point is taken with probability exp(−Δ / T), where Δ is how much worse it is and T the temperature (Kirkpatrick,
//! Gelatt and Vecchi, "Optimization by Simulated Annealing", Science 220, 1983). Δ counts in the mean difference seen so
//! far, so T = 1 suits any objective. Numbers move as in Ingber, "Very Fast Simulated Re-annealing", Mathematical and
//! Computer Modelling 12, 1989: mostly by about T of their axis, now and then far. T falls geometrically; when it has come
//! down the walk is heated again where it stands.
//!
//! Points that break constraints compare by their violation, and are worse than any that keeps them. Several objectives are
//! weighted anew for each cooling (Ulungu et al., "MOSA Method", J. Multi-Criteria Decision Analysis 8, 1999). On a finite
//! space no point comes twice.

mod algorithm;
mod config;

use lapidary_core::inventory;
use lapidary_core::registry::{Entry, Factory, Info, Linked, Promise};
use lapidary_core::settings::Schema;

pub use config::Config;

/// The registry's entry.
pub static ENTRY: Entry = Entry {
    info: Info {
        name: "annealing",
        summary: "a walk that takes worse points too, ever fewer as it cools; heated again when it is cold",
        docs: "Simulated annealing (Kirkpatrick et al. 1983) with the moves of very fast re-annealing (Ingber 1989): at \
               temperature T a point that is worse by Δ is taken with probability exp(-Δ/T), and numbers move mostly by \
               about T of their axis. Several objectives are weighted anew for each cooling. On a finite space no point \
               comes twice.",
        settings: Schema::of::<Config>(),
        promises: &[Promise::NeverRepeats, Promise::LearnsFromForeign],
    },
    factory: Factory::Searcher(&algorithm::build),
};

inventory::submit! { Linked(&ENTRY) }
