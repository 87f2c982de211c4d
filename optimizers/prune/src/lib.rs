//! Pruning: setting the smallest weights to zero, or removing whole channels and neurons.
//!
//! *Unstructured*: within its scope (all chosen layers together, or each alone) the share of weights of smallest
//! magnitude becomes zero (Han et al., "Learning both Weights and Connections for Efficient Neural Networks", 2015). Of
//! n weights exactly round(s·n) are zero afterwards, or more where more were zero before; equal magnitudes go in the
//! order of layers and elements.
//!
//! *Channels*: whole channels of convolutions and neurons of matrices are removed together with everything that reads
//! them, through skips and normalisation, so that an ordinary smaller model is left (Li et al., "Pruning Filters for
//! Efficient ConvNets", 2017; groups as in Fang et al., "DepGraph", 2023). The importance of a channel is the L2 norm of
//! all weights that write it, relative to the mean in its group.
//!
//! Either way the share rises over the steps as s·(1 − (1 − t/n)³) (Zhu and Gupta, "To Prune, or Not to Prune", 2017),
//! with training in between where training samples are given; removed weights stay zero in it.

mod algorithm;
mod channels;
mod config;
mod error;
mod weights;

pub use algorithm::Prune;
pub use config::{Config, Scope, Structure};
pub use error::PruneError;

use lapidary_core::inventory;
use lapidary_core::registry::{Entry, Factory, Info, Linked, Promise};
use lapidary_core::settings::Schema;

/// The entry of this optimizer. What it promises holds for unstructured pruning without training samples; training
/// changes the weights that are kept.
pub static ENTRY: Entry = Entry {
    info: Info {
        name: "prune",
        summary: "sets the smallest weights to zero, or removes whole channels, with training in between",
        docs: "Magnitude pruning (Han et al. 2015), gradually after Zhu and Gupta (2017), fine-tuned where training samples are \
               given. `unstructured` zeroes weights and keeps every shape: it makes a model smaller once compressed, seldom faster. \
               `channels` removes whole channels and neurons with the least L2 norm (Li et al. 2017; Fang et al. 2023) and leaves \
               an ordinary smaller and faster model. A model that meets the goal is pruned as far as it goes on doing so; one \
               that does not is pruned until it does.",
        settings: Schema::of::<Config>(),
        promises: &[
            Promise::Idempotent,
            Promise::KeepsWeights,
            Promise::Magnitude,
        ],
    },
    factory: Factory::Optimizer(&|settings| {
        let config = ENTRY.info.read_settings(settings)?;
        Ok(Box::new(Prune::new(config)))
    }),
};

inventory::submit! { Linked(&ENTRY) }
