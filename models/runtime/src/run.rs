//! Running a model on any number of samples.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use lapidary_core::model::{Dim, ModelError};
use lapidary_core::samples::Inputs;
use lapidary_core::tensor::{DType, Dense};

use crate::rten::{Engine, agree, fixed_batch, free_batch, join, trial_inputs};
use lapidary_graph::{Graph, ValueInfo};

/// The loaded forms of one model, each made when it is first needed.
#[derive(Debug, Default)]
pub struct Runner {
    /// The graph as it is.
    plain: OnceLock<Arc<Engine>>,
    /// Whether a fixed sample axis can be made free.
    frees: OnceLock<bool>,
    /// The graph with its sample axis made free.
    free: OnceLock<Arc<Engine>>,
    /// The graph that gives the values last observed.
    observing: Mutex<Option<(Observed, Arc<Engine>)>>,
}

/// Which values, and whether the sample axis is free.
type Observed = (Vec<String>, bool);

/// A model to run: its graph and its loaded forms.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// The graph.
    pub graph: &'a Graph,
    /// Its loaded forms.
    pub runner: &'a Runner,
}

impl Run<'_> {
    /// The outputs for `inputs`.
    ///
    /// # Errors
    /// When an input is missing or does not fit, or the engine cannot run the graph.
    pub fn forward(&self, inputs: &Inputs) -> Result<Vec<Dense>, ModelError> {
        self.batches(inputs, |free| self.engine(free))
    }

    /// The values named in `values` for `inputs`.
    ///
    /// # Errors
    /// As for outputs, and when there is no such value.
    pub fn observe(&self, inputs: &Inputs, values: &[String]) -> Result<Vec<Dense>, ModelError> {
        let producers = self.graph.producers();
        let computed: Vec<String> = values
            .iter()
            .filter(|v| producers.contains_key(v.as_str()))
            .cloned()
            .collect();
        let outputs = match computed.as_slice() {
            [] => Vec::new(),
            computed => self.batches(inputs, |free| self.observing(computed, free))?,
        };
        let mut outputs = outputs.into_iter();
        (values.iter())
            .map(|name| {
                if producers.contains_key(name.as_str()) {
                    return Ok(outputs.next().expect("one output for each value computed"));
                }
                let weight = self.graph.weight(name);
                (weight.and_then(|w| w.as_dense().cloned().or_else(|| w.to_f32().map(Dense::F32))))
                    .or_else(|| inputs.get(name).cloned())
                    .ok_or_else(|| ModelError::UnknownValue { name: name.clone() })
            })
            .collect()
    }

    fn engine(&self, free: bool) -> Result<Arc<Engine>, ModelError> {
        let cell = if free {
            &self.runner.free
        } else {
            &self.runner.plain
        };
        if let Some(engine) = cell.get() {
            return Ok(engine.clone());
        }
        let engine = self.load(&self.graph.outputs, free)?;
        Ok(cell.get_or_init(|| Arc::new(engine)).clone())
    }

    fn load(&self, outputs: &[ValueInfo], free: bool) -> Result<Engine, ModelError> {
        match fixed_batch(self.graph) {
            Some(batch) if free => {
                let graph = free_batch(self.graph, batch);
                let outputs: Vec<ValueInfo> = (outputs.iter())
                    .map(|o| ValueInfo {
                        shape: None,
                        ..o.clone()
                    })
                    .collect();
                Engine::load(&graph, &outputs)
            }
            _ => Engine::load(self.graph, outputs),
        }
    }

    fn observing(&self, values: &[String], free: bool) -> Result<Arc<Engine>, ModelError> {
        let key: Observed = (values.to_vec(), free);
        let mut last = self
            .runner
            .observing
            .lock()
            .unwrap_or_else(|e| e.into_inner());
        match last.as_ref() {
            Some((loaded, engine)) if *loaded == key => Ok(engine.clone()),
            _ => {
                let engine = Arc::new(self.load(&self.described(values), free)?);
                *last = Some((key, engine.clone()));
                Ok(engine)
            }
        }
    }

    /// What is known of the types of values.
    fn described(&self, values: &[String]) -> Vec<ValueInfo> {
        let known: HashMap<&str, DType> = (self.graph.outputs.iter().chain(&self.graph.values))
            .map(|v| (v.name.as_str(), v.dtype))
            .collect();
        (values.iter())
            .map(|name| ValueInfo {
                name: name.clone(),
                dtype: known.get(name.as_str()).copied().unwrap_or(DType::Other(0)),
                shape: None,
            })
            .collect()
    }

    /// Runs the engine that `engine` gives (of the graph with a free sample axis, where asked) on all samples.
    fn batches(
        &self,
        inputs: &Inputs,
        engine: impl Fn(bool) -> Result<Arc<Engine>, ModelError>,
    ) -> Result<Vec<Dense>, ModelError> {
        let batch = fixed_batch(self.graph);
        let given = self.checked(inputs, batch)?;
        let samples = given
            .first()
            .and_then(|t| t.shape().first().copied())
            .unwrap_or(0);
        match batch {
            Some(batch) if samples != batch && samples > 0 => {
                if self.frees(batch) {
                    return engine(true)?.run(&given);
                }
                let engine = engine(false)?;
                join(in_batches(&engine, &given, samples, batch)?, samples)
            }
            _ => engine(false)?.run(&given),
        }
    }

    /// Whether the graph gives the same with its sample axis made free: tried on two batches at once and one by one.
    fn frees(&self, batch: usize) -> bool {
        *self.runner.frees.get_or_init(|| {
            let compare = || -> Option<bool> {
                let samples = 2 * batch;
                let trial = trial_inputs(&self.graph.inputs, samples)?;
                let free = self.engine(true).ok()?.run(&trial).ok()?;
                let plain = self.engine(false).ok()?;
                let runs = in_batches(&plain, &trial, samples, batch).ok()?;
                Some(agree(&free, &join(runs, samples).ok()?))
            };
            compare().unwrap_or(false)
        })
    }

    /// The tensors for the graph's inputs, in their order.
    fn checked(&self, inputs: &Inputs, batch: Option<usize>) -> Result<Vec<Dense>, ModelError> {
        let mut samples = None;
        (self.graph.inputs.iter())
            .map(|input| {
                let dense = inputs
                    .get(&input.name)
                    .ok_or_else(|| ModelError::MissingInput {
                        name: input.name.clone(),
                        given: inputs.keys().cloned().collect(),
                    })?;
                let n = dense.shape().first().copied();
                let same_samples = batch.is_none() || *samples.get_or_insert(n) == n;
                if !same_samples || !fits(dense.shape(), input, batch.is_some()) {
                    return Err(ModelError::InputShape {
                        name: input.name.clone(),
                        given: dense.shape().to_vec(),
                        wanted: wanted(input, batch.is_some()),
                    });
                }
                Ok(dense.clone())
            })
            .collect()
    }
}

/// Runs batches of the size the graph is fixed to, the last one filled up with its last sample.
fn in_batches(
    engine: &Engine,
    given: &[Dense],
    samples: usize,
    batch: usize,
) -> Result<Vec<Vec<Dense>>, ModelError> {
    (0..samples)
        .step_by(batch)
        .map(|start| {
            let indices: Vec<usize> = (start..start + batch).map(|i| i.min(samples - 1)).collect();
            let part = given
                .iter()
                .map(|t| t.select(0, &indices))
                .collect::<Result<Vec<_>, _>>()?;
            engine.run(&part)
        })
        .collect()
}

/// Whether a shape fits an input; its first axis may differ where samples can be given in other numbers.
fn fits(shape: &[usize], input: &ValueInfo, any_samples: bool) -> bool {
    let Some(wanted) = &input.shape else {
        return true;
    };
    shape.len() == wanted.len()
        && shape
            .iter()
            .zip(wanted)
            .enumerate()
            .all(|(i, (n, d))| match d {
                Dim::Fixed(w) => n == w || (i == 0 && any_samples),
                Dim::Symbol(_) => true,
            })
}

/// An input's shape in words.
fn wanted(input: &ValueInfo, any_samples: bool) -> String {
    let dims = (input.shape.iter().flatten().enumerate())
        .map(|(i, d)| match d {
            _ if i == 0 && any_samples => "samples".to_owned(),
            Dim::Fixed(n) => n.to_string(),
            Dim::Symbol(name) if name.is_empty() => "?".to_owned(),
            Dim::Symbol(name) => name.clone(),
        })
        .collect::<Vec<_>>();
    format!("[{}], the same samples for every input", dims.join(", "))
}
