//! Weight sharing: the weights of a layer take few different values, found by k-means.
//!
//! After Han, Mao and Dally, "Deep Compression", ICLR 2016, §3: one-dimensional k-means in each weight, from centres spread
//! evenly over its range, which keeps the few large weights that matter most. Zeros stay zero and count as one of the
//! values, so a pruned model stays pruned. The centres are not trained afterwards.
//!
//! ONNX has no codebook, so the values are stored as floats and the file has as many bytes as before; what shrinks is the
//! file once it is compressed, as it is in a package or on its way over a network.

mod algorithm;
mod codebook;
mod config;

use lapidary_core::inventory;
use lapidary_core::registry::{Entry, Factory, Info, Linked, Promise};
use lapidary_core::settings::Schema;

pub use algorithm::Clustering;
pub use codebook::Codebook;
pub use config::Config;

/// The registry's entry.
pub static ENTRY: Entry = Entry {
    info: Info {
        name: "clustering",
        summary: "few different values in each weight, found by k-means: files that compress well",
        docs: "One-dimensional k-means in the weight of each layer, from centres spread evenly over its range (Han et al. \
               2016, §3). Zeros stay zero. Where the goal is not met, more values are tried, up to 256. The file itself \
               stays as large; compressed it is a fraction.",
        settings: Schema::of::<Config>(),
        promises: &[Promise::Idempotent],
    },
    factory: Factory::Optimizer(&algorithm::build),
};

inventory::submit! { Linked(&ENTRY) }
