//! `lapidary eval`: how good a model is on data.

use std::time::Instant;

use lapidary_core::trial::Metrics;
use lapidary_study::measure;
use serde::Serialize;

use crate::failure::{End, Failure};
use crate::output::{self, grouped, number};
use crate::{args, data};

#[derive(Serialize)]
struct Document<'a> {
    metrics: Metrics,
    samples: usize,
    seconds: f64,
    split: &'a str,
}

/// Runs the command.
pub fn run(args: &args::Eval, json: bool) -> Result<End, Failure> {
    let began = Instant::now();
    let model = data::open_model(&args.model)?;
    let encoder = data::encoder_of(&args.model)?;
    let dataset = data::open(&args.data, &args.reading, &model, encoder)?;
    let part = args.split.unwrap_or_else(|| dataset.default_part());
    let samples = dataset
        .part(part, args.reading.limit)
        .map_err(Failure::input)?;
    let metrics =
        measure::quality(&model, &samples, &args.metric, args.batch).map_err(Failure::of_model)?;
    let document = Document {
        metrics,
        samples: samples.len(),
        seconds: began.elapsed().as_secs_f64(),
        split: part.name(),
    };
    output::print(json, &document, || text(&document))?;
    Ok(End::Done)
}

fn text(document: &Document<'_>) -> String {
    let rows = document
        .metrics
        .iter()
        .map(|(name, value)| vec![name.clone(), number(*value)])
        .collect();
    format!(
        "{}\n{} samples ({}), {:.1} s",
        output::table(&["metric", "value"], &["value"], rows),
        grouped(document.samples as u64),
        document.split,
        document.seconds
    )
}
