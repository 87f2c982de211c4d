//! Adaptive search: a portfolio of methods that share all they learn, with the next trial going to what improves.
//!
//! The members are search along axes (brackets, scans), a (1+1) evolution strategy, a quadratic model within a trust region,
//! draws of an additive model, CMA-ES, the multivariate Parzen estimator and evolution by crossover; each names its sources.
//! Whose turn it is is drawn in proportion to credit, a running mean of what the member's proposals gained (probability
//! matching: Thierens, "An Adaptive Pursuit Strategy for Allocating Operator Probabilities", GECCO 2005; Fialho et al.,
//! "Analyzing Bandit-based Adaptive Operator Selection Mechanisms", 2010). The first descent starts in the middle of the space;
//! one that gains no more gives way to another near the best or, at times, anywhere (iterated local search: Lourenço, Martin
//! and Stützle, 2003). What failed counts as bad where a member models good and bad places.
//!
//! Constraints follow Deb's rules: the violation is descended until something feasible is known, then the objective. With
//! several objectives the descents follow augmented Chebyshev scalarisations (Wierzbicki, 1980) in turn, each from the member
//! of the non-dominated front that suits it best, aimed at gaps in the front, at its ends, and at random; credit goes to what
//! extends the front. Foreign trials are learnt from. What was tried is remembered: no point comes twice, and a finite space
//! ends as exhausted.

mod algorithm;
mod archive;
mod config;
mod credit;
mod entry;
mod error;
mod member;
mod place;
mod portfolio;
mod scalarisation;

use lapidary_core::registry::{Entry, Factory, Info, Linked, Promise};
use lapidary_core::settings::Schema;

pub use config::{Config, Start};
pub use error::AdaptiveError;
pub use portfolio::Who;

/// The registry's entry.
pub static ENTRY: Entry = Entry {
    info: Info {
        name: "adaptive",
        summary: "a portfolio of line search, models, CMA-ES, TPE and evolution that shifts trials to what improves",
        docs: "Search along axes, a (1+1) evolution strategy, a quadratic model within a trust region, \
               draws of an additive Gaussian process, CMA-ES, TPE and crossover take turns, drawn in proportion to what their proposals gained lately (probability matching, \
               Thierens 2005). All learn from all trials, foreign ones included. It starts in the middle of the space and \
               starts again, near the best or anywhere, where a descent gains no more. Several objectives are descended \
               by rotating augmented Chebyshev scalarisations from the non-dominated front. No point comes twice.",
        settings: Schema::of::<Config>(),
        promises: &[Promise::LearnsFromForeign, Promise::NeverRepeats],
    },
    factory: Factory::Searcher(&algorithm::build),
};

inventory::submit! { Linked(&ENTRY) }
