//! Evaluators: what a study file's `[evaluate]` becomes.

pub mod data;
pub mod function;
pub mod models;
pub mod train;

use std::sync::RwLock;

use lapidary_core::cancel::Cancel;
use lapidary_core::evaluator::{Evaluator, MetricInfo};
use lapidary_core::metrics::Metric;
use lapidary_core::model::{Model, ModelError};
use lapidary_core::registry::Registry;
use lapidary_core::samples::{Samples, Task};
use lapidary_core::text::listed;
use lapidary_core::trial::{Candidate, Metrics};

use self::data::OpenData;
use self::function::{FUNCTIONS, Function};
use self::models::Models;
use self::train::Train;
use crate::error::StudyFileError;
use crate::file::tree::did_you_mean;
use crate::file::{Evaluate, FunctionSection, StudyFile};
use crate::measure;

/// An evaluator that can give the model behind a candidate, where there is one.
pub trait StudyEvaluator: Evaluator + Send {
    /// The very model that was measured for `candidate` under the study's `seed`, made again; `None` where candidates are no
    /// models.
    ///
    /// # Errors
    /// When the model cannot be made, or the work is cancelled.
    fn model(
        &self,
        candidate: &Candidate,
        seed: u64,
        cancel: &Cancel,
    ) -> Result<Option<Box<dyn Model>>, ModelError>;

    /// The data that models are trained and measured on, where there is any.
    fn data(&self) -> Option<&OpenData>;
}

impl StudyEvaluator for Function {
    fn model(
        &self,
        _: &Candidate,
        _: u64,
        _: &Cancel,
    ) -> Result<Option<Box<dyn Model>>, ModelError> {
        Ok(None)
    }

    fn data(&self) -> Option<&OpenData> {
        None
    }
}

/// Makes the evaluator that `file` asks for, and checks that it reports every metric of the goal.
///
/// # Errors
/// When there is no `[evaluate]`, its data cannot be read, it does not fit the space, or the goal reads a metric it does not
/// report; the error says where and what would have worked.
pub fn evaluator<'a>(
    file: &StudyFile,
    registry: &'a Registry,
) -> Result<Box<dyn StudyEvaluator + 'a>, StudyFileError> {
    let evaluator: Box<dyn StudyEvaluator + 'a> = match &file.evaluate {
        Some(Evaluate::Function(section)) => Box::new(function(file, section)?),
        Some(Evaluate::Train(section)) => Box::new(Train::new(file, section, registry)?),
        Some(Evaluate::Models(section)) => Box::new(Models::new(file, section)?),
        None => return Err(file.no_evaluate()),
    };
    if let Some(reported) = evaluator.metrics() {
        let names: Vec<String> = reported.into_iter().map(|m| m.name).collect();
        file.check_metrics(&names)?;
    }
    Ok(evaluator)
}

fn function(file: &StudyFile, section: &FunctionSection) -> Result<Function, StudyFileError> {
    let names = FUNCTIONS.map(|f| f.name);
    let function = Function::named(&section.name).ok_or_else(|| {
        StudyFileError::at(
            &section.place,
            format!(
                "no function `{}`{}; there are {}",
                section.name,
                did_you_mean(&section.name, &names),
                listed(&names)
            ),
        )
    })?;
    let axes = file.space.axes().len();
    if axes < function.fewest {
        return Err(StudyFileError::at(
            &section.place,
            format!(
                "{} needs at least {} axes, the space has {axes}",
                function.name, function.fewest
            ),
        ));
    }
    Ok(function)
}

/// Quality on `samples` and sizes: what is measured of every model.
fn measure_candidate(model: &dyn Model, samples: &Samples) -> Result<Metrics, ModelError> {
    let mut metrics = measure::quality(model, samples, &[], measure::BATCH)?;
    metrics.extend(measure::sizes(model)?);
    Ok(metrics)
}

/// The metrics that [`measure_candidate`] and [`quiet_latency`] give for a task.
fn cost_metrics(task: &Task) -> Vec<MetricInfo> {
    let quality = Metric::for_task(task).into_iter().map(Metric::name);
    quality
        .chain(["params", "macs", "sparsity", "bytes", "latency_ms"])
        .map(|name| MetricInfo {
            name: name.to_owned(),
            volatile: name == "latency_ms",
        })
        .collect()
}

/// The latency at batch 1, taken while no other trial runs: every other trial holds `quiet` for reading.
fn quiet_latency(quiet: &RwLock<()>, model: &dyn Model, samples: &Samples) -> Result<f64, String> {
    let _alone = quiet.write();
    match measure::latency(model, samples, 1) {
        Ok(Some(latency)) => Ok(latency.ms),
        Ok(None) => Err("a quantized model's latency is not measured here".into()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
