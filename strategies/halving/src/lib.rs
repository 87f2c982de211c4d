//! Halving: many candidates get a small share of the evaluation, the better ones a larger share, the best the whole of it.
//! Another searcher proposes the candidates.
//!
//! Shares (fidelities) form a ladder, each rung the `reduction`-fold of the one below, the last one 1. A candidate that is
//! among the best 1/`reduction` of a rung goes on to the next, continuing its earlier trial. Who goes on when is the variant:
//!
//! - *successive* (Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", AISTATS
//!   2016): a bracket of `reduction`^rungs candidates goes up rung by rung, each when the one below is complete.
//! - *hyperband* (Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization", JMLR 18, 2018):
//!   brackets take turns that start at different rungs with fewer candidates each, for when small shares mislead.
//! - *asynchronous* (Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020, known as ASHA): a rung
//!   sends on its best whenever fewer than 1/`reduction` of its told trials went on, so nothing waits. The original also sends
//!   on beyond that share when the ranking changes; here the share is kept. It is asynchronous in effect only: what goes on is
//!   decided by told trials in the order of their ids, so it is the same at any number of jobs.
//!
//! While a bracket waits for outcomes, the next one begins. Several objectives are ranked by non-domination and crowding,
//! constraints by Deb's rules. Failed and stopped trials count in their rung but do not go on.
//!
//! The inner searcher learns from every trial, as in BOHB (Falkner, Klein and Hutter, "BOHB: Robust and Efficient
//! Hyperparameter Optimization at Scale", ICML 2018), but on one scale: objectives are carried over to the full evaluation by
//! the median of what recent trials gained from each rung to the next (the autoregressive model of Kennedy and O'Hagan,
//! "Predicting the output from a complex computer code when fast approximations are available", Biometrika 87, 2000, with
//! its factor at 1). It is told a candidate's first trial as its own, under its own id; later ones are told as foreign trials of
//! the same point, as is every foreign trial.

mod algorithm;
mod bracket;
mod config;
mod error;
mod gains;
mod ladder;

use lapidary_core::registry::{Entry, Factory, Info, Linked};
use lapidary_core::settings::Schema;

pub use config::{Config, Variant};
pub use error::HalvingError;

/// The registry's entry.
pub static ENTRY: Entry = Entry {
    info: Info {
        name: "halving",
        summary: "multi-fidelity search around any other: small shares of the evaluation first, more for the best",
        docs: "Another searcher proposes candidates; they are evaluated at a small fidelity first, and the best 1/reduction of \
               each rung goes on to the next, up to the full evaluation: successive halving (Jamieson and Talwalkar 2016), \
               Hyperband (Li et al. 2018) or ASHA (Li et al. 2020), ranked by told trials only so that jobs change nothing. \
               The inner searcher learns from all trials, their objectives carried over to the full evaluation by what \
               recent trials gained in the median. Foreign trials are passed on to it. The evaluation must make use of the \
               fidelity: training spends that share of its epochs. Only trials at full fidelity can be a study's best.",
        settings: Schema::of::<Config>(),
        promises: &[],
    },
    factory: Factory::Searcher(&algorithm::build),
};

inventory::submit! { Linked(&ENTRY) }
