//! Genetic search: a population that mates and mutates, the best of parents and children surviving.
//!
//! Every trial told joins the population at once and the worst leaves it (a steady-state (μ + 1) scheme after Syswerda,
//! 1991), so the search never waits for a generation. Parents are chosen by tournament. Numbers are crossed by simulated
//! binary crossover (Deb and Agrawal, "Simulated Binary Crossover for Continuous Search Space", Complex Systems 9, 1995) and
//! changed by polynomial mutation (Deb and Goyal, 1996), both on the unit scale of their axes; the index of a mutation is drawn
//! anew each time, so that coarse and fine changes occur at every stage. Choices are crossed uniformly and drawn anew. Constraints follow Deb's rules (2000); several objectives are ranked by non-domination and crowding: Deb,
//! Pratap, Agarwal and Meyarivan, "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE Trans. Evol. Comput. 6,
//! 2002.
//!
//! No point is proposed twice, and a finite space ends as exhausted.

mod algorithm;
mod config;
mod error;

use lapidary_core::registry::{Entry, Factory, Info, Linked, Promise};
use lapidary_core::settings::Schema;

pub use config::Config;
pub use error::GeneticError;

/// The registry's entry.
pub static ENTRY: Entry = Entry {
    info: Info {
        name: "genetic",
        summary: "a population with tournaments, crossover and mutation; NSGA-II for several objectives",
        docs: "Chooses parents by tournament, crosses numbers by simulated binary crossover and choices uniformly, mutates \
               numbers polynomially and draws choices anew, and keeps the best of parents and children, each trial at once. \
               Several objectives are ranked as in NSGA-II (Deb et al. 2002), constraints by Deb's rules. No point comes twice.",
        settings: Schema::of::<Config>(),
        promises: &[Promise::NeverRepeats, Promise::LearnsFromForeign],
    },
    factory: Factory::Searcher(&algorithm::build),
};

inventory::submit! { Linked(&ENTRY) }
