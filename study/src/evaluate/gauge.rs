//! Measuring the models of trials, each latency alone.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use lapidary_core::evaluator::MetricInfo;
use lapidary_core::metrics::Metric;
use lapidary_core::model::Model;
use lapidary_core::registry::{BuildError, EvalInit};
use lapidary_core::runtime::Runtime;
use lapidary_core::samples::{Samples, Task};
use lapidary_core::trial::Metrics;

use crate::measure;

/// Name of the metric that only is measured where the goal reads it.
const LATENCY: &str = "latency_ms";

/// Measures models for several trials at once.
pub struct Gauge {
    runtime: Box<dyn Runtime>,
    latency: bool,
    /// Held for reading by whatever keeps the machine busy, for writing while a latency is taken.
    quiet: RwLock<()>,
}

/// Held while a trial keeps the machine busy.
pub type Busy<'a> = RwLockReadGuard<'a, ()>;

impl Gauge {
    /// Measures what the goal reads, by the runtime that the study names.
    ///
    /// # Errors
    /// When the runtime cannot be made.
    pub fn new(init: &EvalInit<'_>) -> Result<Self, BuildError> {
        Ok(Self {
            runtime: init.make_runtime()?,
            latency: init.goal.metrics().contains(&LATENCY),
            quiet: RwLock::new(()),
        })
    }

    /// What runs the models.
    pub fn runtime(&self) -> &dyn Runtime {
        self.runtime.as_ref()
    }

    /// To be held from the start of a trial's work.
    pub fn busy(&self) -> Busy<'_> {
        self.quiet.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Quality on `samples`, sizes, and, once no trial is busy any more, the latency at batch 1 where it is wanted.
    ///
    /// # Errors
    /// The reason why the trial fails.
    pub fn measure(
        &self,
        busy: Busy<'_>,
        model: &dyn Model,
        samples: &Samples,
    ) -> Result<Metrics, String> {
        let measured = measure::quality(self.runtime(), model, samples, &[], None, measure::BATCH);
        let mut metrics = measured.map_err(|e| e.to_string())?.metrics;
        metrics.extend(measure::sizes(model).map_err(|e| e.to_string())?);
        drop(busy);
        if self.latency {
            let _alone = self.quiet.write().unwrap_or_else(PoisonError::into_inner);
            let latency = measure::latency(self.runtime(), model, samples, 1)
                .map_err(|e| e.to_string())?
                .ok_or_else(|| {
                    format!(
                        "{} runs a quantized model as floats, or not all outputs, so its latency is not measured; `ort` may",
                        self.runtime.name()
                    )
                })?;
            metrics.insert(LATENCY.into(), latency.ms);
        }
        Ok(metrics)
    }

    /// The metrics that a gauge gives for a task.
    pub fn metrics(task: &Task) -> Vec<MetricInfo> {
        let quality = Metric::for_task(task).into_iter().map(Metric::name);
        quality
            .chain(["params", "macs", "sparsity", "bytes", LATENCY])
            .map(|name| MetricInfo {
                name: name.to_owned(),
                volatile: name == LATENCY,
                stepwise: false,
            })
            .collect()
    }
}
