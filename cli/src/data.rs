//! Opening the data that the user names.

use lapidary_core::model::Model;
use lapidary_data::{Dataset, Encoder, Options};

use crate::args::DataArgs;
use crate::end::Failure;

/// Opens `source` for `model`, reading a table as the model's encoder does.
pub fn open(
    source: &str,
    args: &DataArgs,
    model: &dyn Model,
    encoder: Option<Encoder>,
) -> Result<Dataset, Failure> {
    let options = Options {
        target: args.target.clone(),
        no_header: args.no_header,
        mean: args.mean.clone(),
        std: args.std.clone(),
        test: args.test.clone(),
        seed: args.split_seed,
        encoder,
        inputs: model
            .signature()
            .inputs
            .iter()
            .map(|port| port.name.clone())
            .collect(),
        ..Options::default()
    };
    lapidary_data::open(source, &options).map_err(Failure::input)
}
