//! The host's own measurements of a model: how good, how large, how fast. Nothing is taken on an optimizer's word.

use lapidary_core::metrics::{self, Metric};
use lapidary_core::model::{Model, ModelError, Seen, Size, predict_by};
use lapidary_core::outputs;
use lapidary_core::runtime::{FEWEST_RUNS, Runtime};
use lapidary_core::samples::{Inputs, Samples};
use lapidary_core::trial::Metrics;
use lapidary_data::fit_inputs;
use lapidary_model::is_quantized;
use serde::Serialize;

/// Name of the runtime that measures models where no other is asked for.
pub const RUNTIME: &str = "rten";

/// Samples in one run of a model where nothing else is asked for.
pub const BATCH: usize = 256;

/// Timed runs at most.
const MOST_RUNS: usize = 1000;
/// Milliseconds to spend on timed runs where they are short, so that the median settles.
const SETTLE_MS: f64 = 200.0;

/// How long a model takes for one batch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// Median time of a run in milliseconds.
    pub ms: f64,
    /// Name of what ran the model.
    pub runtime: &'static str,
    /// Samples in a run.
    pub batch: usize,
    /// Threads the runtime may use.
    pub threads: usize,
    /// Runs the median is of.
    pub runs: usize,
}

/// How good a model is.
#[derive(Debug, Clone, PartialEq)]
pub struct Quality {
    /// The metrics.
    pub metrics: Metrics,
    /// Name of the output that they are about.
    pub output: String,
}

/// Metrics of `model`'s predictions for `samples`, as `runtime` computes them: those `wanted`, or all that fit the targets
/// where none is wanted by name. Runs `batch` samples at a time. What is measured is the output named `output`, or the one that
/// fits the targets where none is named; what only other outputs need is not run.
///
/// # Errors
/// When the samples have no targets or do not fit the model, a wanted metric does not fit the targets, or several outputs may
/// be meant.
pub fn quality(
    runtime: &dyn Runtime,
    model: &dyn Model,
    samples: &Samples,
    wanted: &[Metric],
    output: Option<&str>,
    batch: usize,
) -> Result<Quality, ModelError> {
    let samples = fitted(model, samples)?;
    let targets = samples
        .targets
        .as_ref()
        .ok_or_else(|| ModelError::Measure(
            "the data has no targets; data to see activations on only is given to optimize as --calibration".into(),
        ))?;
    let names = outputs::candidates(model.signature(), Some(&targets.task()), output)?;
    let mut loaded = runtime.load(model, &names)?;
    let mut run = |inputs: &Inputs| {
        let mut seen = Seen::default();
        loaded.observe(inputs, &mut seen)?;
        Ok(seen.0)
    };
    let predicted = predict_by(&mut run, &names, &samples, batch)?;
    let activation = model.signature().activation(&predicted.output);
    let metrics = metrics::evaluate(&predicted.values, targets, activation, wanted)
        .map_err(|e| ModelError::Measure(format!("output `{}`: {e}", predicted.output)))?;
    Ok(Quality {
        metrics,
        output: predicted.output,
    })
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

/// Whether a runtime gives the float outputs of a model, which has others.
fn runs_in_part(runtime: &dyn Runtime, model: &dyn Model, inputs: &Inputs) -> bool {
    let observe = || -> Result<(), ModelError> {
        let names = outputs::candidates(model.signature(), None, None)?;
        runtime
            .load(model, &names)?
            .observe(inputs, &mut Seen::default())
    };
    let others = model
        .signature()
        .outputs
        .iter()
        .any(|port| !port.dtype.is_float());
    others && observe().is_ok()
}

/// Median time of a run by `runtime` on the first `batch` of `samples`, taken over at least 30 runs after a warm-up. The
/// caller sees to it that nothing else of ours is running. `None` for a model with quantized weights or activations
/// where the runtime runs these as floats: the time would say nothing about one that computes with integers; and for one that it
/// runs in part only, labels and the like aside.
///
/// # Errors
/// When the samples do not fit the model or it does not run.
pub fn latency(
    runtime: &dyn Runtime,
    model: &dyn Model,
    samples: &Samples,
    batch: usize,
) -> Result<Option<Latency>, ModelError> {
    if !runtime.computes_with_integers() && is_quantized(model) {
        return Ok(None);
    }
    let inputs = fitted(model, &samples.head(batch))?.inputs;
    let timed = || -> Result<(f64, usize), ModelError> {
        let mut loaded = runtime.load(model, &[])?;
        let rough = loaded.latency_ms(&inputs, FEWEST_RUNS)?;
        let runs = ((SETTLE_MS / rough.max(1e-3)) as usize).clamp(FEWEST_RUNS, MOST_RUNS);
        let ms = if runs > FEWEST_RUNS {
            loaded.latency_ms(&inputs, runs)?
        } else {
            rough
        };
        Ok((ms, runs))
    };
    let (ms, runs) = match timed() {
        Err(ModelError::Engine { .. }) if runs_in_part(runtime, model, &inputs) => return Ok(None),
        timed => timed?,
    };
    Ok(Some(Latency {
        ms,
        runtime: runtime.name(),
        batch: samples.len().min(batch),
        threads: runtime.threads(),
        runs,
    }))
}

/// `samples` under the names, shapes and types of the model's inputs.
pub(crate) fn fitted(model: &dyn Model, samples: &Samples) -> Result<Samples, ModelError> {
    fit_inputs(samples, model.signature()).map_err(|e| ModelError::Measure(e.to_string()))
}
