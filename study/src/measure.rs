//! The host's own measurements of a model: how good, how large, how fast. Nothing is taken on an optimizer's word.

use std::time::{Duration, Instant};

use lapidary_core::metrics::{self, Metric};
use lapidary_core::model::{Model, ModelError, Size, predict};
use lapidary_core::samples::Samples;
use lapidary_core::tensor::Tensor;
use lapidary_core::trial::Metrics;
use lapidary_data::fit_inputs;
use serde::Serialize;

/// Samples in one run of a model where nothing else is asked for.
pub const BATCH: usize = 256;

/// Timed runs at least.
const RUNS: usize = 30;
/// Time to spend on timed runs where they are short, so that the median settles.
const SETTLE: Duration = Duration::from_millis(200);
/// Timed runs at most.
const MOST_RUNS: usize = 1000;
/// Runs before the first timed one.
const WARM_UP: usize = 5;

/// How long a model takes for one batch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// Median time of a run in milliseconds.
    pub ms: f64,
    /// What ran the model.
    pub runtime: &'static str,
    /// Samples in a run.
    pub batch: usize,
    /// Threads the runtime may use.
    pub threads: usize,
    /// Runs the median is of.
    pub runs: usize,
}

/// Metrics of `model`'s predictions for `samples`: those `wanted`, or all that fit the targets where none is wanted by
/// name. Runs `batch` samples at a time.
///
/// # Errors
/// When the samples have no targets or do not fit the model, or a wanted metric does not fit the targets.
pub fn quality(
    model: &dyn Model,
    samples: &Samples,
    wanted: &[Metric],
    batch: usize,
) -> Result<Metrics, ModelError> {
    let samples = fitted(model, samples)?;
    let targets = samples
        .targets
        .as_ref()
        .ok_or_else(|| ModelError::Measure("the data has no targets".into()))?;
    let outputs = predict(model, &samples, batch)?;
    metrics::evaluate(&outputs, targets, wanted).map_err(|e| ModelError::Measure(e.to_string()))
}

/// The sizes of `model` by the names goals use: `params`, `macs` (for one sample), `sparsity` (share of zeros) and `bytes`
/// (of the file, external data included).
///
/// # Errors
/// When the model cannot be written.
pub fn sizes(model: &dyn Model) -> Result<Metrics, ModelError> {
    let size = Size::of(model);
    Ok([
        ("params".to_owned(), size.params as f64),
        ("macs".to_owned(), size.macs as f64),
        ("sparsity".to_owned(), size.sparsity),
        ("bytes".to_owned(), model.file_bytes()? as f64),
    ]
    .into())
}

/// Median time of a run on the first `batch` of `samples`, taken over at least 30 runs after a warm-up. The caller sees
/// to it that nothing else of ours is running. `None` for a model with quantized weights or activations: here these are
/// run as floats, so the time would say nothing about an engine that computes with integers.
///
/// # Errors
/// When the samples do not fit the model or it does not run.
pub fn latency(
    model: &dyn Model,
    samples: &Samples,
    batch: usize,
) -> Result<Option<Latency>, ModelError> {
    if is_quantized(model) {
        return Ok(None);
    }
    let inputs = fitted(model, &samples.head(batch))?.inputs;
    for _ in 0..WARM_UP {
        model.forward(&inputs)?;
    }
    let mut times = Vec::with_capacity(RUNS);
    let began = Instant::now();
    while times.len() < RUNS || (times.len() < MOST_RUNS && began.elapsed() < SETTLE) {
        let start = Instant::now();
        model.forward(&inputs)?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let middle = times.len() / 2;
    let median = if times.len().is_multiple_of(2) {
        (times[middle - 1] + times[middle]) / 2
    } else {
        times[middle]
    };
    Ok(Some(Latency {
        ms: median.as_secs_f64() * 1e3,
        runtime: "rten",
        batch: samples.len().min(batch),
        threads: rayon::current_num_threads(),
        runs: times.len(),
    }))
}

fn is_quantized(model: &dyn Model) -> bool {
    model
        .weights()
        .values()
        .any(|tensor| matches!(**tensor, Tensor::Quantized(_)))
        || model.topology().nodes.iter().any(|n| {
            n.op.contains("Quantize") || n.op.contains("Integer") || n.op.starts_with("QLinear")
        })
}

/// `samples` under the names, shapes and types of the model's inputs.
pub(crate) fn fitted(model: &dyn Model, samples: &Samples) -> Result<Samples, ModelError> {
    fit_inputs(samples, model.signature()).map_err(|e| ModelError::Measure(e.to_string()))
}
