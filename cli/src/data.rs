//! Opening what the user names: models and data.

use std::path::Path;

use lapidary_core::model::{Model, check_finite};
use lapidary_data::{Dataset, Encoder, Options};
use lapidary_model::GraphModel;

use crate::args::DataArgs;
use crate::failure::Failure;

/// A model whose weights are all finite.
pub fn open_model(path: &Path) -> Result<GraphModel, Failure> {
    let model = GraphModel::open(path).map_err(Failure::input)?;
    check_finite(model.weights())
        .map_err(|e| Failure::input(format!("{}: {e}", path.display())))?;
    Ok(model)
}

/// The encoder that is kept beside a model, where there is one.
pub fn encoder_of(model: &Path) -> Result<Option<Encoder>, Failure> {
    let path = Encoder::beside(model);
    if !path.exists() {
        return Ok(None);
    }
    Encoder::load(&path).map(Some).map_err(Failure::input)
}

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
