//! Random search: independent draws, or a scrambled Sobol' sequence that fills the space more evenly.
//!
//! Every candidate is drawn on each axis's own scale (log axes by ratio) and independently of all outcomes, which makes
//! random search the yardstick for every other strategy: Bergstra and Bengio, "Random Search for Hyper-Parameter
//! Optimization", JMLR 13, 2012. The quasi-random sequence is Sobol's with the direction numbers of Joe and Kuo,
//! "Constructing Sobol Sequences with Better Two-Dimensional Projections", SIAM J. Sci. Comput. 30, 2008, under nested
//! uniform (Owen) scrambling by hashing: Burley, "Practical Hash-based Owen Scrambling", JCGT 9(4), 2020.
//!
//! A finite space is searched without repeats until it is exhausted; a continuum never ends.

mod algorithm;
mod config;
mod error;
mod sobol;

use lapidary_core::registry::{Entry, Factory, Info, Linked, Promise};
use lapidary_core::settings::Schema;

pub use config::{Config, Sampling};
pub use error::RandomError;

/// The registry's entry.
pub static ENTRY: Entry = Entry {
    info: Info {
        name: "random",
        summary: "independent draws or a scrambled Sobol' sequence; without repeats on a finite space",
        docs: "Draws every axis on its own scale, whatever the outcomes (Bergstra and Bengio 2012). With sampling = \"sobol\" \
               the draws are an Owen-scrambled Sobol' sequence (Joe and Kuo 2008, Burley 2020), which covers the space more \
               evenly at the same number of trials. On a finite space no point comes twice, and the search ends when all \
               were tried.",
        settings: Schema::of::<Config>(),
        promises: &[Promise::NeverRepeats, Promise::IgnoresOutcomes],
    },
    factory: Factory::Searcher(&algorithm::build),
};

inventory::submit! { Linked(&ENTRY) }
