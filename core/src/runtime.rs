//! The runtime: loads a model into a session that runs, times and profiles it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use crate::model::{Model, ModelError, Tap, ValueId};
use crate::samples::Inputs;
use crate::tensor::{Dense, Tensor};

/// Runs before timing starts.
pub const WARM_UP: usize = 5;

/// The fewest timed runs that a latency is the median of.
pub const FEWEST_RUNS: usize = 30;

/// What runs models.
pub trait Runtime: Send + Sync {
    /// Its name in the registry.
    fn name(&self) -> &'static str;

    /// The library that it runs models by, where that is a file of its own.
    fn library(&self) -> Option<&Path> {
        None
    }

    /// Threads that one run may use.
    fn threads(&self) -> usize;

    /// Whether quantized weights and activations are computed with as integers. Where they run as the floats they stand
    /// for, the time of a quantized model says nothing.
    fn computes_with_integers(&self) -> bool;

    /// Loads a model; the session gives its outputs, and the named `values` to whoever observes it. Where values are named, what only
    /// other outputs need may stay unlooked at until the model is run as a whole.
    ///
    /// # Errors
    /// When the runtime lacks an operator or a form of one, cannot be loaded itself, or there is no such value.
    fn load(&self, model: &dyn Model, values: &[ValueId]) -> Result<Box<dyn Loaded>, ModelError>;
}

/// A model that a runtime has loaded.
pub trait Loaded: Send {
    /// The outputs for `inputs` (first axis: samples), in the order of the model's signature.
    ///
    /// # Errors
    /// When an input is missing or does not fit, or an operation fails.
    fn run(&mut self, inputs: &Inputs) -> Result<Vec<Dense>, ModelError>;

    /// Hands the values that were named on loading to `tap`.
    ///
    /// # Errors
    /// As [`Loaded::run`].
    fn observe(&mut self, inputs: &Inputs, tap: &mut dyn Tap) -> Result<(), ModelError>;

    /// Replaces a weight by one of the same shape.
    ///
    /// # Errors
    /// When there is no such weight, or its shape is another.
    fn set_weight(&mut self, name: &str, tensor: Arc<Tensor>) -> Result<(), ModelError>;

    /// The median time that each operation takes over `runs` runs, in the order in which they run.
    ///
    /// # Errors
    /// As [`Loaded::run`].
    fn profile(&mut self, inputs: &Inputs, runs: usize) -> Result<Vec<NodeTime>, ModelError>;

    /// The median time in milliseconds that `inputs` take, over `runs` runs (at least [`FEWEST_RUNS`]) after warming up.
    /// Nothing else should run meanwhile.
    ///
    /// # Errors
    /// As [`Loaded::run`].
    fn latency_ms(&mut self, inputs: &Inputs, runs: usize) -> Result<f64, ModelError> {
        for _ in 0..WARM_UP {
            self.run(inputs)?;
        }
        let times = (0..runs.max(FEWEST_RUNS)).map(|_| {
            let start = Instant::now();
            self.run(inputs)?;
            Ok(start.elapsed().as_secs_f64() * 1e3)
        });
        Ok(median(times.collect::<Result<_, ModelError>>()?))
    }

    /// The operators that really run for `inputs`, each once: what a runtime has made of those of the graph shows here.
    ///
    /// # Errors
    /// As [`Loaded::run`].
    fn operators(&mut self, inputs: &Inputs) -> Result<Vec<String>, ModelError> {
        let nodes = self.profile(inputs, 1)?;
        let names: BTreeSet<String> = nodes.into_iter().map(|n| n.operator).collect();
        Ok(names.into_iter().collect())
    }
}

/// How long one operation takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeTime {
    /// Name of the node, as the runtime has it: of the last one where it has made one of several.
    pub node: String,
    /// Its operator.
    pub operator: String,
    /// Milliseconds.
    pub ms: f64,
}

/// The median of some times; 0 where there are none.
pub fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    match (
        times.get(times.len().wrapping_sub(1) / 2),
        times.get(times.len() / 2),
    ) {
        (Some(low), Some(high)) => (low + high) / 2.0,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_even_and_odd_numbers_of_times() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(Vec::new()), 0.0);
    }
}
