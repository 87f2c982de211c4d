//! Training: an interpreter that runs a graph's operators on a device that differentiates.
//!
//! The engine stays behind this module: callers see graphs, plans and samples. Results depend on the graph, the plan and the
//! samples only, not on the number of threads: masks and orders come from [`lapidary_core::rng`], and sums have a fixed order.
//!
//! - Trained are the float weights that layers read ([`fit`] lists none of them: it is by position, see `program.rs`); running statistics
//!   of batch normalizations follow their batches; everything else stays as it is.
//! - Vectors that several nodes share (exporters merge equal ones) are trained apart, under new names; shared matrices are trained as one.
//! - Where the model ends in Softmax, LogSoftmax or Sigmoid and targets are classes, the loss is taken on what goes into it. A model with a
//!   single output and two classes is a logistic regression.

mod array;
mod buffers;
#[cfg(test)]
mod check;
mod checkpoint;
mod engine;
#[cfg(test)]
mod gradients;
mod kernels;
mod loss;
mod program;
mod record;
#[cfg(test)]
mod tests;
mod update;

use std::collections::BTreeMap;
use std::sync::Arc;

use lapidary_core::fit::{Checkpoint, Epoch, FitContext, FitPlan, Verdict};
use lapidary_core::metrics::{Metric, evaluate};
use lapidary_core::model::ModelError;
use lapidary_core::rng::Rng;
use lapidary_core::samples::{Inputs, Samples, Targets};
use lapidary_core::tensor::{Dense, Shared, Tensor};
use ndarray::{ArcArray, ArrayD, IxDyn};

use engine::{DEVICE, Gradients, data, data_mut};
use lapidary_graph::Graph;
use lapidary_graph::ending::ending;
use lapidary_graph::sharing::unshared;
use lapidary_graph::tape::{BatchStatistics, Pass, Value, Var};
use loss::Objective;
use program::Program;
use update::{Rate, Updater};

/// Samples in a batch of evaluation.
const EVALUATION_BATCH: usize = 256;

/// Computes the graph's outputs for `inputs` (first axis: samples) by the engine that trains, in evaluation mode.
///
/// # Errors
/// When an operator is not one that can be trained through, an input is missing, or shapes do not fit.
pub fn run(graph: &Graph, inputs: &Inputs) -> Result<Vec<Dense>, ModelError> {
    let wanted: Vec<&str> = graph.outputs.iter().map(|o| o.name.as_str()).collect();
    let program = Program::new(graph, &wanted)?;
    let given = select(&program, inputs, None)?;
    let batch = given
        .first()
        .and_then(|v| v.shape().first().copied())
        .unwrap_or(1);
    if batch == 0 {
        return Err(ModelError::Fit("there are no samples".into()));
    }
    let outputs = program.run(DEVICE, program.plain(), given, batch, &mut Pass::Evaluate)?;
    Ok(outputs
        .into_iter()
        .map(|value| match value {
            Value::Float(t) => Dense::F32(array(&t)),
            Value::Int(a) => Dense::I64(a.into_shared()),
        })
        .collect())
}

/// Trains a copy of `graph` by `plan` on `train` and returns it with the history of the run, and what is needed to go on where
/// the plan has a pause.
///
/// With patience and `valid`, training stops early and the weights of the best epoch are returned (patience without `valid` has no
/// effect). Where the last batch of an epoch would be a single sample, it joins the one before.
///
/// # Errors
/// [`ModelError::Node`] before training starts where an operator has no gradient or shapes do not fit, [`ModelError::Fit`] where
/// samples, plan or checkpoint do not fit the model or the loss is not finite, [`ModelError::Cancelled`] when asked to stop.
pub fn fit(
    graph: &Graph,
    plan: &FitPlan,
    train: &Samples,
    valid: Option<&Samples>,
    cx: &FitContext<'_>,
) -> Result<(Graph, Vec<Epoch>, Option<Checkpoint>), ModelError> {
    let _kept = buffers::Kept::new();
    let (graph, copies) = unshared(graph);
    let mut trainer = Trainer::new(&graph, &copies, plan, train, valid)?;
    if let Some(checkpoint) = &plan.from {
        trainer.restore(checkpoint)?;
    }
    let paused = trainer.run(cx)?;
    let paused = paused.then(|| trainer.checkpoint());
    let trained = trainer.trained(graph.clone());
    Ok((trained, trainer.progress.history, paused))
}

/// A training run.
struct Trainer<'a> {
    plan: &'a FitPlan,
    train: &'a Samples,
    valid: Option<(&'a Samples, &'a Targets)>,
    objective: Objective<'a>,
    program: Program,
    /// Numbers of the weights that are trained, in the program.
    trained: Vec<usize>,
    /// Masks of the trained weights.
    masks: Vec<Option<Vec<bool>>>,
    /// Number of each weight by its slot; running statistics that are frozen are absent.
    statistics: BTreeMap<usize, usize>,
    updater: Updater,
    /// Numbers the model gives for a sample.
    width: usize,
    steps: u64,
    progress: Progress,
}

/// How far a training run has come.
#[derive(Default)]
struct Progress {
    /// The epochs run.
    history: Vec<Epoch>,
    /// With patience, the best metric and the weights that gave it.
    best: Option<(f64, Vec<Value>)>,
    /// Epochs since.
    waited: usize,
}

impl<'a> Trainer<'a> {
    fn new(
        graph: &Graph,
        copies: &BTreeMap<String, String>,
        plan: &'a FitPlan,
        train: &'a Samples,
        valid: Option<&'a Samples>,
    ) -> Result<Self, ModelError> {
        let refuse = |reason: String| Err(ModelError::Fit(reason));
        if train.is_empty() {
            return refuse("there are no training samples".into());
        }
        if plan.batch == 0 {
            return refuse("a batch needs at least one sample".into());
        }
        for (name, value) in [
            ("learning rate", plan.learning_rate),
            ("weight decay", plan.weight_decay),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return refuse(format!("a {name} of {value} cannot be used"));
            }
        }
        let classes = !matches!(train.targets, Some(Targets::Values(_)));
        let mut program = Program::new(graph, &[trained_value(graph, classes)?])?;
        let original = |name: &'_ str| copies.get(name).cloned().unwrap_or_else(|| name.to_owned());
        for name in plan.frozen.iter().chain(plan.masks.keys()) {
            if !graph.weights.contains_key(name) {
                let known = graph.weights.keys().cloned().collect();
                return Err(ModelError::UnknownWeight {
                    name: name.clone(),
                    known,
                });
            }
        }
        for weight in &mut program.weights {
            weight.trained &= !plan.frozen.contains(&original(&weight.name));
        }
        let mut trained = Vec::new();
        let mut masks = Vec::new();
        for (number, weight) in program.weights.iter_mut().enumerate() {
            let Value::Float(values) = &mut weight.value else {
                continue;
            };
            let mask = match plan.masks.get(&original(&weight.name)) {
                Some(mask) if mask.shape() != values.shape() => {
                    return Err(ModelError::WeightShape {
                        weight: weight.name.clone(),
                        given: mask.shape().to_vec(),
                        wanted: values.shape().to_vec(),
                    });
                }
                Some(mask) if weight.trained => Some(mask.iter().copied().collect::<Vec<bool>>()),
                _ => None,
            };
            if let Some(mask) = &mask {
                update::zero(data_mut(values), mask);
            }
            if weight.trained {
                trained.push(number);
                masks.push(mask);
            }
        }
        if trained.is_empty() {
            return refuse("the model has no weight that could be trained".into());
        }
        let statistics = program
            .weights
            .iter()
            .enumerate()
            .filter(|(_, w)| !plan.frozen.contains(&original(&w.name)))
            .map(|(number, w)| (w.slot, number))
            .collect();

        // One pass over two samples finds what does not fit before training starts, and how wide the output is.
        let few: Vec<usize> = (0..train.len().min(2)).collect();
        let outputs = forward(&program, train, &few)?;
        let width = outputs.len() / few.len();
        if width == 0 || outputs.len() % few.len() != 0 {
            return refuse(format!(
                "the model gives {} numbers for {} samples",
                outputs.len(),
                few.len()
            ));
        }
        let valid = match valid {
            Some(samples) if !samples.is_empty() => match &samples.targets {
                Some(targets) if targets.len() == samples.len() => {
                    if let Targets::Values(values) = targets
                        && values.len() != samples.len() * width
                    {
                        return refuse(format!(
                            "the model gives {width} numbers a sample, the validation targets have shape {:?}",
                            values.shape()
                        ));
                    }
                    Some((samples, targets))
                }
                _ => return refuse("each validation sample needs a target".into()),
            },
            _ => None,
        };
        let objective = Objective::new(plan, train, width)?;
        let elements: Vec<usize> = trained
            .iter()
            .map(|&number| program.weights[number].value.shape().iter().product())
            .collect();
        let total = plan.epochs * batches(train.len(), plan.batch).len();
        Ok(Self {
            plan,
            train,
            valid,
            objective,
            updater: Updater::new(plan, &elements, total),
            trained,
            masks,
            statistics,
            program,
            width,
            steps: 0,
            progress: Progress::default(),
        })
    }

    /// Trains to the end or the pause, or until asked to stop, or until patience is over; whether it is to be gone on with.
    fn run(&mut self, cx: &FitContext<'_>) -> Result<bool, ModelError> {
        let pause = self.plan.pause.map(|epoch| epoch.min(self.plan.epochs));
        let last = pause.unwrap_or(self.plan.epochs);
        let mut stopped = false;
        while self.progress.history.len() < last && !self.is_patience_over() && !stopped {
            let epoch = self.progress.history.len() + 1;
            let loss = self.epoch(epoch, cx)?;
            let valid = self.validate(cx)?;
            let done = Epoch { epoch, loss, valid };
            self.progress.history.push(done);
            stopped = (cx.epoch)(&done) == Verdict::Stop;
            if let (Some(_), Some(metric)) = (self.plan.patience, valid) {
                let best = self.progress.best.as_ref();
                if best.is_none_or(|(most, _)| metric > *most) {
                    self.progress.best = Some((metric, self.program.plain().collect()));
                    self.progress.waited = 0;
                } else {
                    self.progress.waited += 1;
                }
            }
        }
        Ok(pause.is_some() && !stopped)
    }

    /// Whether so many epochs brought nothing better that no more follow.
    fn is_patience_over(&self) -> bool {
        let waited = self.progress.waited;
        self.plan
            .patience
            .is_some_and(|patience| waited > 0 && waited >= patience)
    }

    /// One pass over the training samples; the mean loss.
    fn epoch(&mut self, epoch: usize, cx: &FitContext<'_>) -> Result<f64, ModelError> {
        let mut order: Vec<usize> = (0..self.train.len()).collect();
        Rng::keyed(self.plan.seed, epoch as u64, "shuffle").shuffle(&mut order);
        let mut total = 0.0;
        for (step, range) in batches(order.len(), self.plan.batch)
            .into_iter()
            .enumerate()
        {
            if cx.cancel.is_cancelled() {
                return Err(ModelError::Cancelled);
            }
            let samples = &order[range];
            let loss = self.step(samples)?;
            if !loss.is_finite() {
                let step = step + 1;
                return Err(ModelError::Fit(format!(
                    "the loss is {loss} in epoch {epoch}, step {step}; a lower learning rate may help"
                )));
            }
            total += loss * samples.len() as f64;
        }
        self.check_finite(epoch)?;
        Ok(total / order.len() as f64)
    }

    /// One step on one batch; its loss before the update.
    fn step(&mut self, samples: &[usize]) -> Result<f64, ModelError> {
        let mut pass = Pass::Train {
            rng: Box::new(Rng::keyed(self.plan.seed, self.steps, "dropout")),
            batches: Vec::new(),
        };
        self.steps += 1;
        let inputs = select(&self.program, &self.train.inputs, Some(samples))?;
        let mut leaves = Vec::with_capacity(self.trained.len());
        let weights: Vec<Value> = self
            .program
            .weights
            .iter()
            .map(|weight| match &weight.value {
                Value::Float(x) if weight.trained => {
                    let leaf = engine::leaf(x);
                    leaves.push(leaf.clone());
                    Value::Float(leaf)
                }
                value => value.clone(),
            })
            .collect();
        let output = self
            .program
            .run(DEVICE, weights, inputs, samples.len(), &mut pass)?;
        let output = only(output)?;
        let values = DEVICE.read(&output);
        if values.len() != samples.len() * self.width {
            return Err(ModelError::Fit(format!(
                "the model gives shape {:?} for {} samples",
                output.shape(),
                samples.len()
            )));
        }
        let (loss, grad) = self.objective.loss(&values, self.width, samples);
        if !loss.is_finite() {
            return Ok(loss);
        }
        let gradients = Gradients::of(output, grad);
        let rate = self.updater.begin();
        for (index, leaf) in leaves.into_iter().enumerate() {
            let grad = gradients.by(&leaf);
            drop(leaf);
            self.update(rate, index, grad);
        }
        if let Pass::Train { batches, .. } = pass {
            batches.into_iter().for_each(|batch| self.follow(batch));
        }
        Ok(loss)
    }

    /// Moves a trained weight; one that the loss does not depend on has a gradient of zero.
    fn update(&mut self, rate: Rate, index: usize, grad: Option<&[f32]>) {
        let Value::Float(weight) = &mut self.program.weights[self.trained[index]].value else {
            unreachable!("only floats are trained");
        };
        let Some(grad) = grad else {
            return;
        };
        let decays = weight.shape().len() >= 2;
        let mask = self.masks[index].as_deref();
        self.updater
            .apply(rate, index, data_mut(weight), grad, decays, mask);
    }

    /// Moves running statistics towards those of a batch: `running · momentum + batch · (1 − momentum)`.
    fn follow(&mut self, batch: BatchStatistics) {
        let momentum = batch.momentum;
        for (slot, values) in batch
            .slots
            .iter()
            .zip([&batch.values.mean, &batch.values.variance])
        {
            let weight = self
                .statistics
                .get(slot)
                .map(|&number| &mut self.program.weights[number].value);
            if let Some(Value::Float(running)) = weight {
                for (running, value) in data_mut(running).iter_mut().zip(values) {
                    *running = *running * momentum + value * (1.0 - momentum);
                }
            }
        }
    }

    /// The validation metric, where there are validation samples.
    fn validate(&self, cx: &FitContext<'_>) -> Result<Option<f64>, ModelError> {
        let Some((samples, targets)) = self.valid else {
            return Ok(None);
        };
        let mut outputs = Vec::with_capacity(samples.len() * self.width);
        for range in batches(samples.len(), EVALUATION_BATCH) {
            if cx.cancel.is_cancelled() {
                return Err(ModelError::Cancelled);
            }
            let indices: Vec<usize> = range.collect();
            outputs.extend(forward(&self.program, samples, &indices)?);
        }
        metric(targets, outputs, self.width).map(Some)
    }

    fn check_finite(&self, epoch: usize) -> Result<(), ModelError> {
        for &number in &self.trained {
            let weight = &self.program.weights[number];
            if let Value::Float(values) = &weight.value
                && let Some(value) = data(values).iter().find(|v| !v.is_finite())
            {
                return Err(ModelError::Fit(format!(
                    "weight `{}` has become {value} in epoch {epoch}; a lower learning rate may help",
                    weight.name
                )));
            }
        }
        Ok(())
    }

    /// The graph with what was learnt, with patience that of the best epoch; untouched weights stay shared with the original.
    fn trained(&self, mut graph: Graph) -> Graph {
        let best = self.progress.best.as_ref().map(|(_, values)| values);
        for (number, weight) in self.program.weights.iter().enumerate() {
            let value = best.map_or(&weight.value, |values| &values[number]);
            let (Value::Float(values), Some(old)) = (value, graph.weights.get(&weight.name)) else {
                continue;
            };
            let new = array(values);
            if old
                .as_dense()
                .and_then(Dense::as_f32)
                .is_some_and(|old| *old != new)
            {
                graph.weights.insert(
                    weight.name.clone(),
                    Arc::new(Tensor::Dense(Dense::F32(new))),
                );
            }
        }
        graph
    }
}

/// The value the loss is taken on: the first output, or for classes what goes into its Softmax, LogSoftmax or Sigmoid.
fn trained_value(graph: &Graph, classes: bool) -> Result<&str, ModelError> {
    let output = graph
        .outputs
        .iter()
        .find(|o| o.dtype.is_float())
        .ok_or_else(|| ModelError::Unsupported("training a model without a float output".into()))?;
    let ending = ending(graph, &output.name).filter(|_| classes);
    Ok(ending.map_or(&output.name, |ending| ending.logits))
}

/// How good logits or values are, `width` of them for each target: accuracy for classes, the negative mean squared error for values.
fn metric(targets: &Targets, outputs: Vec<f32>, width: usize) -> Result<f64, ModelError> {
    let (metric, sign) = match targets {
        Targets::Classes { .. } => (Metric::Accuracy, 1.0),
        Targets::Values(_) => (Metric::Mse, -1.0),
    };
    let refuse = |reason: String| ModelError::Fit(format!("validation: {reason}"));
    let outputs = ArrayD::from_shape_vec(IxDyn(&[outputs.len() / width, width]), outputs)
        .map_err(|e| refuse(e.to_string()))?;
    let measured =
        evaluate(&outputs, targets, None, &[metric]).map_err(|e| refuse(e.to_string()))?;
    Ok(sign * measured[metric.name()])
}

fn only(outputs: Vec<Value>) -> Result<Var, ModelError> {
    match outputs.into_iter().next() {
        Some(Value::Float(output)) => Ok(output),
        _ => Err(ModelError::Unsupported(
            "training towards an output of integers".into(),
        )),
    }
}

/// The outputs for the samples at `indices` in evaluation mode, row by row.
fn forward(
    program: &Program,
    samples: &Samples,
    indices: &[usize],
) -> Result<Vec<f32>, ModelError> {
    let inputs = select(program, &samples.inputs, Some(indices))?;
    let weights = program.plain();
    let outputs = program.run(DEVICE, weights, inputs, indices.len(), &mut Pass::Evaluate)?;
    let output = only(outputs)?;
    if output.shape().first() != Some(&indices.len()) {
        return Err(ModelError::Fit(format!(
            "the model gives shape {:?} for {} samples, without an axis of samples in front; one that is fixed to a number of \
             samples cannot be trained",
            output.shape(),
            indices.len()
        )));
    }
    Ok(DEVICE.read(&output))
}

/// The program's inputs at the given samples, or all.
fn select(
    program: &Program,
    inputs: &Inputs,
    indices: Option<&[usize]>,
) -> Result<Vec<Value>, ModelError> {
    let fetch = |name: &String| {
        let dense = inputs.get(name).ok_or_else(|| ModelError::MissingInput {
            name: name.clone(),
            given: inputs.keys().cloned().collect(),
        })?;
        if let (Dense::F32(array), Some(indices)) = (dense, indices)
            && let Some(rows) = array.as_slice()
        {
            return gathered(array.shape(), rows, indices).map(Value::Float);
        }
        let dense = match indices {
            Some(indices) => &dense.select(0, indices)?,
            None => dense,
        };
        Value::of(dense, DEVICE)
            .map_err(|reason| ModelError::Fit(format!("input `{name}` {reason}")))
    };
    program.inputs.iter().map(|(name, _)| fetch(name)).collect()
}

/// The rows at `indices` of a tensor that lies row by row.
fn gathered(shape: &[usize], rows: &[f32], indices: &[usize]) -> Result<Var, ModelError> {
    let width: usize = shape.iter().skip(1).product();
    let mut values = Vec::with_capacity(indices.len() * width);
    for &index in indices {
        let row = rows
            .get(index * width..(index + 1) * width)
            .ok_or_else(|| {
                ModelError::Fit(format!(
                    "there is no sample {index} in an input of shape {shape:?}"
                ))
            })?;
        values.extend_from_slice(row);
    }
    let shape: Vec<usize> = std::iter::once(indices.len())
        .chain(shape.iter().skip(1).copied())
        .collect();
    Ok(DEVICE.constant(values, &shape))
}

/// Ranges of batches over `n` samples; a last batch of one sample joins the one before, so that batch statistics mean something.
fn batches(n: usize, batch: usize) -> Vec<std::ops::Range<usize>> {
    let mut ranges: Vec<_> = (0..n.div_ceil(batch))
        .map(|i| i * batch..((i + 1) * batch).min(n))
        .collect();
    if batch > 1 && ranges.len() > 1 && n % batch == 1 {
        ranges.pop();
        if let Some(last) = ranges.last_mut() {
            last.end = n;
        }
    }
    ranges
}

fn array(tensor: &Var) -> Shared<f32> {
    ArcArray::from_shape_vec(IxDyn(tensor.shape()), DEVICE.read(tensor))
        .expect("a tensor holds as many elements as its shape says")
}
