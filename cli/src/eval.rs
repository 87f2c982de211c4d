//! `lapidary eval`: how good a model is on data.

use std::time::Instant;

use lapidary_core::trial::Metrics;
use lapidary_study::{measure, models};
use serde::Serialize;

use crate::end::{End, Failure};
use crate::output::{self, grouped, number};
use crate::{args, data, installed};

#[derive(Serialize)]
struct Document<'a> {
    metrics: Metrics,
    output: &'a str,
    samples: usize,
    seconds: f64,
    split: &'a str,
    runtime: &'a str,
}

/// Runs the command.
pub fn run(args: &args::Eval, json: bool) -> Result<End, Failure> {
    let began = Instant::now();
    let registry = installed::builtin()?;
    let runtime = args.runtime.make(&registry)?;
    let model = models::open(&registry, &args.model).map_err(Failure::input)?;
    let encoder = models::encoder_of(&args.model).map_err(Failure::input)?;
    let dataset = data::open(&args.data, &args.reading, model.as_ref(), encoder)?;
    let part = args.split.unwrap_or_else(|| dataset.default_part());
    let samples = dataset
        .part(part, args.reading.limit)
        .map_err(Failure::input)?;
    let (runtime, model) = (runtime.as_ref(), model.as_ref());
    let output = args.output.as_deref();
    let quality = measure::quality(runtime, model, &samples, &args.metric, output, args.batch)
        .map_err(Failure::of_model)?;
    let document = Document {
        metrics: quality.metrics,
        output: &quality.output,
        samples: samples.len(),
        seconds: began.elapsed().as_secs_f64(),
        split: part.name(),
        runtime: runtime.name(),
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
        "{}\noutput {} on {} samples ({}) in {}, {:.1} s",
        output::table(&["metric", "value"], &["value"], rows),
        document.output,
        grouped(document.samples as u64),
        document.split,
        document.runtime,
        document.seconds
    )
}
