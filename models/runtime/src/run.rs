//! Running a graph on any number of samples.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use lapidary_core::model::{Dim, ModelError};
use lapidary_core::runtime::NodeTime;
use lapidary_core::samples::Inputs;
use lapidary_core::tensor::{DType, Dense};
use lapidary_graph::{Graph, ValueInfo};

use crate::batch::{agree, fixed_batch, free_batch, join, trial_inputs, used_inputs};
use crate::engine::{Engine, InferenceSession};

/// The sessions of one graph, each made when it is first needed.
pub struct Runner<S> {
    /// The graph as it is.
    plain: OnceLock<Arc<Ready<S>>>,
    /// Whether a fixed sample axis can be made free.
    frees: OnceLock<bool>,
    /// The graph with its sample axis made free.
    free: OnceLock<Arc<Ready<S>>>,
    /// The graph that gives the values last observed.
    observing: Mutex<Option<(Observed, Arc<Ready<S>>)>>,
}

/// Which values, and whether the sample axis is free.
type Observed = (Vec<String>, bool);

impl<S> Default for Runner<S> {
    fn default() -> Self {
        Self {
            plain: OnceLock::new(),
            frees: OnceLock::new(),
            free: OnceLock::new(),
            observing: Mutex::default(),
        }
    }
}

impl<S> std::fmt::Debug for Runner<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").finish_non_exhaustive()
    }
}

/// A session, and where the values asked for come from.
struct Ready<S> {
    /// There is none where nothing is computed.
    session: Option<S>,
    sources: Vec<Source>,
    /// What has to be given.
    inputs: Vec<ValueInfo>,
}

/// Where a value comes from.
enum Source {
    /// It is an output of the session.
    Computed(usize),
    /// It is an input as it stands.
    Input(usize),
    /// It is a weight.
    Weight(Dense),
}

impl<S: InferenceSession> Ready<S> {
    fn load(
        engine: &impl Engine<Session = S>,
        graph: &Graph,
        outputs: &[ValueInfo],
    ) -> Result<Self, ModelError> {
        let mut computed: Vec<ValueInfo> = Vec::new();
        let mut sources = Vec::new();
        for output in outputs {
            let name = &output.name;
            sources.push(
                if let Some(i) = graph.inputs.iter().position(|i| i.name == *name) {
                    Source::Input(i)
                } else if let Some(weight) = graph.weight(name) {
                    let dense = weight.as_dense().cloned();
                    Source::Weight(
                        (dense.or_else(|| weight.to_f32().map(Dense::F32))).ok_or_else(|| {
                            ModelError::Unsupported(format!(
                                "`{name}`, which holds no numbers, as an output"
                            ))
                        })?,
                    )
                } else if let Some(i) = computed.iter().position(|c| c.name == *name) {
                    Source::Computed(i)
                } else {
                    computed.push(output.clone());
                    Source::Computed(computed.len() - 1)
                },
            );
        }
        let session = (!computed.is_empty()).then(|| engine.load(graph, &computed));
        Ok(Self {
            session: session.transpose()?,
            sources,
            inputs: graph.inputs.clone(),
        })
    }

    fn run(&self, given: &[Dense]) -> Result<Vec<Dense>, ModelError> {
        let computed = match &self.session {
            Some(session) => session.run(given)?,
            None => Vec::new(),
        };
        let values = self.sources.iter().map(|source| match source {
            Source::Computed(i) => computed[*i].clone(),
            Source::Input(i) => given[*i].clone(),
            Source::Weight(dense) => dense.clone(),
        });
        Ok(values.collect())
    }
}

/// A graph to run: the graph, what makes its sessions, and those there are.
pub struct RunnableGraph<'a, E: Engine> {
    /// The graph.
    pub graph: &'a Graph,
    /// What makes its sessions.
    pub engine: &'a E,
    /// Its sessions.
    pub runner: &'a Runner<E::Session>,
}

impl<E: Engine> RunnableGraph<'_, E> {
    /// Makes the session for `values`, or for the graph's outputs where there are none, unless it is there.
    ///
    /// # Errors
    /// When the engine cannot run the graph, or there is no such value.
    pub fn load(&self, values: &[String]) -> Result<(), ModelError> {
        if values.is_empty() {
            return self.ready(false).map(drop);
        }
        let computed = self.computed(values)?;
        if !computed.is_empty() {
            self.observing(&computed, false)?;
        }
        Ok(())
    }

    /// The outputs for `inputs`.
    ///
    /// # Errors
    /// When an input is missing or does not fit, or the engine cannot run the graph.
    pub fn forward(&self, inputs: &Inputs) -> Result<Vec<Dense>, ModelError> {
        self.batches(inputs, |free| self.ready(free))
    }

    /// The values named in `values` for `inputs`.
    ///
    /// # Errors
    /// As for outputs, and when there is no such value.
    pub fn observe(&self, inputs: &Inputs, values: &[String]) -> Result<Vec<Dense>, ModelError> {
        let computed = self.computed(values)?;
        let outputs = match computed.as_slice() {
            [] => Vec::new(),
            computed => self.batches(inputs, |free| self.observing(computed, free))?,
        };
        let outputs: HashMap<String, Dense> = computed.into_iter().zip(outputs).collect();
        (values.iter())
            .map(|name| {
                let weight = self.graph.weight(name);
                (weight.and_then(|w| w.as_dense().cloned().or_else(|| w.to_f32().map(Dense::F32))))
                    .or_else(|| outputs.get(name).or_else(|| inputs.get(name)).cloned())
                    .ok_or_else(|| ModelError::UnknownValue { name: name.clone() })
            })
            .collect()
    }

    /// The median time of each operation on `inputs`.
    ///
    /// # Errors
    /// As for outputs.
    pub fn profile(&self, inputs: &Inputs, runs: usize) -> Result<Vec<NodeTime>, ModelError> {
        let used = used_inputs(self.graph, &self.graph.outputs);
        let batch = fixed_batch(&used);
        let given = checked(&used, inputs, batch)?;
        let free = batch.is_some_and(|batch| samples(&given) != batch);
        self.engine
            .profile(&self.shaped(&self.graph.outputs, free), &given, runs)
    }

    /// Those of `values` that nodes compute, each once.
    fn computed(&self, values: &[String]) -> Result<Vec<String>, ModelError> {
        let producers = self.graph.producers();
        let mut computed: Vec<String> = Vec::new();
        for name in values {
            if producers.contains_key(name.as_str()) {
                if !computed.contains(name) {
                    computed.push(name.clone());
                }
            } else if self.graph.weight(name).is_none()
                && self.graph.inputs.iter().all(|i| i.name != *name)
            {
                return Err(ModelError::UnknownValue { name: name.clone() });
            }
        }
        Ok(computed)
    }

    fn ready(&self, free: bool) -> Result<Arc<Ready<E::Session>>, ModelError> {
        let cell = if free {
            &self.runner.free
        } else {
            &self.runner.plain
        };
        if let Some(ready) = cell.get() {
            return Ok(ready.clone());
        }
        let ready = self.session(&self.graph.outputs, free)?;
        Ok(cell.get_or_init(|| Arc::new(ready)).clone())
    }

    fn observing(
        &self,
        values: &[String],
        free: bool,
    ) -> Result<Arc<Ready<E::Session>>, ModelError> {
        let key: Observed = (values.to_vec(), free);
        let observing = self.runner.observing.lock();
        let mut last = observing.unwrap_or_else(PoisonError::into_inner);
        match last.as_ref() {
            Some((loaded, ready)) if *loaded == key => Ok(ready.clone()),
            _ => {
                let ready = Arc::new(self.session(&self.described(values), free)?);
                *last = Some((key, ready.clone()));
                Ok(ready)
            }
        }
    }

    fn session(&self, outputs: &[ValueInfo], free: bool) -> Result<Ready<E::Session>, ModelError> {
        let graph = self.shaped(outputs, free);
        let outputs: Cow<'_, [ValueInfo]> = match free {
            false => outputs.into(),
            true => (outputs.iter())
                .map(|o| ValueInfo {
                    shape: None,
                    ..o.clone()
                })
                .collect(),
        };
        Ready::load(self.engine, &graph, &outputs)
    }

    /// The graph with the inputs that `outputs` depend on, its sample axis made free where that is asked for and it is fixed.
    fn shaped(&self, outputs: &[ValueInfo], free: bool) -> Cow<'_, Graph> {
        let used = used_inputs(self.graph, outputs);
        let batch = fixed_batch(&used).filter(|_| free);
        let graph = match used == self.graph.inputs {
            true => Cow::Borrowed(self.graph),
            false => Cow::Owned(Graph {
                inputs: used,
                ..self.graph.clone()
            }),
        };
        match batch {
            Some(batch) => Cow::Owned(free_batch(&graph, batch)),
            None => graph,
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

    /// Runs the session that `ready` gives (of the graph with a free sample axis, where asked) on all samples.
    fn batches(
        &self,
        inputs: &Inputs,
        ready: impl Fn(bool) -> Result<Arc<Ready<E::Session>>, ModelError>,
    ) -> Result<Vec<Dense>, ModelError> {
        let plain = ready(false)?;
        let batch = fixed_batch(&plain.inputs);
        let given = checked(&plain.inputs, inputs, batch)?;
        let samples = samples(&given);
        match batch {
            Some(batch) if samples != batch && samples > 0 => {
                if self.frees(batch, &plain, &ready) {
                    return ready(true)?.run(&given);
                }
                join(in_batches(&plain, &given, samples, batch)?, samples)
            }
            _ => plain.run(&given),
        }
    }

    /// Whether the graph gives the same with its sample axis made free: tried on two batches at once and one by one.
    fn frees(
        &self,
        batch: usize,
        plain: &Ready<E::Session>,
        ready: &impl Fn(bool) -> Result<Arc<Ready<E::Session>>, ModelError>,
    ) -> bool {
        *self.runner.frees.get_or_init(|| {
            let compare = || -> Option<bool> {
                let samples = 2 * batch;
                let trial = trial_inputs(&plain.inputs, samples)?;
                let free = ready(true).ok()?.run(&trial).ok()?;
                let runs = in_batches(plain, &trial, samples, batch).ok()?;
                Some(agree(&free, &join(runs, samples).ok()?))
            };
            compare().unwrap_or(false)
        })
    }
}

/// The tensors for the inputs `wanted`, in their order.
fn checked(
    wanted: &[ValueInfo],
    inputs: &Inputs,
    batch: Option<usize>,
) -> Result<Vec<Dense>, ModelError> {
    let mut samples = None;
    (wanted.iter())
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
                    wanted: told(input, batch.is_some()),
                });
            }
            Ok(dense.clone())
        })
        .collect()
}

/// The number of samples of tensors whose first axis is the sample.
fn samples(given: &[Dense]) -> usize {
    let first = given.first().and_then(|t| t.shape().first());
    first.copied().unwrap_or(0)
}

/// Runs batches of the size the graph is fixed to, the last one filled up with its last sample.
fn in_batches<S: InferenceSession>(
    ready: &Ready<S>,
    given: &[Dense],
    samples: usize,
    batch: usize,
) -> Result<Vec<Vec<Dense>>, ModelError> {
    (0..samples)
        .step_by(batch)
        .map(|start| {
            let part = |t: &Dense| {
                if start + batch <= samples {
                    return t.rows(start..start + batch);
                }
                let rows: Vec<usize> = (start..start + batch).map(|i| i.min(samples - 1)).collect();
                t.select(0, &rows)
            };
            ready.run(&given.iter().map(part).collect::<Result<Vec<_>, _>>()?)
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
fn told(input: &ValueInfo, any_samples: bool) -> String {
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
