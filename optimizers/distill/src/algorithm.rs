//! The teacher's outputs, the student, and its training.

use std::sync::Arc;

use lapidary_core::fit::{Epoch, FitContext, FitPlan, Loss, Verdict};
use lapidary_core::model::{Activation, Dim, Edit, Model, Port, Size, check_finite, predict};
use lapidary_core::optimizer::{OptimizeContext, OptimizeError, Optimized, Optimizer};
use lapidary_core::rng::Rng;
use lapidary_core::samples::{Samples, Targets};
use lapidary_core::settings::Checked;
use lapidary_core::tensor::Shared;
use ndarray::{ArrayD, Axis};

use crate::config::Config;
use crate::error::DistillError;

/// Samples run at once.
const BATCH: usize = 64;

/// Most training runs: the student learns on from where it was as long as the goal is not met.
const ROUNDS: usize = 3;

/// The optimizer.
pub struct Distill {
    config: Checked<Config>,
}

impl Distill {
    /// The optimizer with these settings.
    pub fn new(config: Checked<Config>) -> Self {
        Self { config }
    }

    /// The student: smaller than the teacher, with its inputs and outputs.
    fn student(
        &self,
        teacher: &dyn Model,
        cx: &OptimizeContext<'_>,
    ) -> Result<Box<dyn Model>, OptimizeError> {
        let student = (cx.build)(&self.config.spec())?;
        let (theirs, ours) = (student.signature(), teacher.signature());
        let mut renames = matched("inputs", &theirs.inputs, &ours.inputs)?;
        renames.extend(matched("outputs", &theirs.outputs, &ours.outputs)?);
        let sizes = (Size::of(student.as_ref()).params, Size::of(teacher).params);
        if sizes.0 >= sizes.1 {
            return Err(DistillError::NotSmaller {
                name: self.config.student.clone(),
                student: sizes.0,
                teacher: sizes.1,
            }
            .into());
        }
        if renames.is_empty() {
            return Ok(student);
        }
        Ok(student.apply(&renames)?)
    }

    /// The terms of the loss for a teacher that gives `logits`.
    fn losses(&self, train: &Samples, logits: ArrayD<f32>) -> Vec<(Loss, f32)> {
        let soft = Loss::SoftTargets {
            logits: Arc::new(logits.into_shared()),
            temperature: self.config.temperature,
        };
        let labels = Loss::Labels {
            smoothing: self.config.smoothing,
            class_weights: Vec::new(),
        };
        let alpha = if train.targets.is_some() {
            self.config.alpha
        } else {
            1.0
        };
        let terms = [(soft, alpha), (labels, 1.0 - alpha)];
        terms
            .into_iter()
            .filter(|(_, weight)| *weight > 0.0)
            .collect()
    }
}

/// The edits that give the student's ports the names of the teacher's, where types and shapes agree.
fn matched(
    what: &'static str,
    student: &[Port],
    teacher: &[Port],
) -> Result<Vec<Edit>, DistillError> {
    let agree = |s: &Port, t: &Port| {
        let shapes = s.shape.is_empty()
            || t.shape.is_empty()
            || (s.shape.len() == t.shape.len()
                // The first axis is the sample, however it is declared.
                && s.shape.iter().zip(&t.shape).skip(1).all(|dims| match dims {
                    (Dim::Fixed(a), Dim::Fixed(b)) => a == b,
                    _ => true,
                }));
        s.dtype == t.dtype && shapes
    };
    if student.len() != teacher.len() || !student.iter().zip(teacher).all(|(s, t)| agree(s, t)) {
        return Err(DistillError::Ports {
            what,
            student: listed(student),
            teacher: listed(teacher),
        });
    }
    Ok((student.iter().zip(teacher))
        .filter(|(s, t)| s.name != t.name)
        .map(|(s, t)| Edit::RenameValue {
            from: s.name.clone(),
            to: t.name.clone(),
        })
        .collect())
}

/// Ports as text: `x f32 [batch, 64]`.
fn listed(ports: &[Port]) -> String {
    let port = |p: &Port| {
        let dims: Vec<String> = (p.shape.iter())
            .map(|d| match d {
                Dim::Fixed(n) => n.to_string(),
                Dim::Symbol(name) if name.is_empty() => "?".into(),
                Dim::Symbol(name) => name.clone(),
            })
            .collect();
        format!("{} {} [{}]", p.name, p.dtype, dims.join(", "))
    };
    ports.iter().map(port).collect::<Vec<_>>().join(", ")
}

/// What the teacher gives for each training sample, before its activation where the samples are of classes.
fn logits(
    teacher: &dyn Model,
    train: &Samples,
    cx: &OptimizeContext<'_>,
    notes: &mut Vec<String>,
) -> Result<ArrayD<f32>, OptimizeError> {
    let n = train.len();
    let mut parts: Vec<Shared<f32>> = Vec::new();
    let mut output = String::new();
    for start in (0..n).step_by(BATCH) {
        cx.check_cancel()?;
        (cx.progress)(0.1 * start as f64 / n as f64, "running the teacher");
        let indices: Vec<usize> = (start..(start + BATCH).min(n)).collect();
        let batch = train
            .select(&indices)
            .map_err(lapidary_core::model::ModelError::from)?;
        let predicted = predict(teacher, &batch, BATCH)?;
        output = predicted.output;
        parts.push(predicted.values.into_shared());
    }
    let views: Vec<_> = parts.iter().map(|p| p.view()).collect();
    let shape = || parts.first().map_or(Vec::new(), |p| p.shape().to_vec());
    let outputs =
        ndarray::concatenate(Axis(0), &views).map_err(|_| DistillError::Rows { shape: shape() })?;
    let rows = outputs.shape().first() == Some(&n);
    let width = outputs.len() / n.max(1);
    let outputs = (outputs
        .into_shape_with_order(ndarray::IxDyn(&[n, width]))
        .ok())
    .filter(|_| rows && width > 0)
    .ok_or_else(|| DistillError::Rows { shape: shape() })?;
    if let Some((index, value)) = outputs.iter().enumerate().find(|(_, v)| !v.is_finite()) {
        return Err(DistillError::NonFinite {
            sample: index / width,
            value: value.to_string(),
        }
        .into());
    }
    let activation = match train.targets {
        Some(Targets::Values(_)) => None,
        _ => teacher.signature().activation(&output),
    };
    let Some(activation) = activation else {
        return Ok(outputs);
    };
    notes.extend(match activation {
        Activation::Softmax => Some(
            "the model gives probabilities; the student gives their logarithms up to a constant",
        ),
        Activation::Sigmoid => Some("the model gives probabilities; the student gives its logits"),
        Activation::LogSoftmax => None,
    }.map(str::to_owned));
    Ok(activation.logits(outputs))
}

impl Optimizer for Distill {
    fn optimize(
        &self,
        model: &dyn Model,
        cx: &OptimizeContext<'_>,
    ) -> Result<Optimized, OptimizeError> {
        cx.check_cancel()?;
        check_finite(model)?;
        let train = cx
            .train
            .filter(|s| !s.is_empty())
            .ok_or_else(|| OptimizeError::Needs {
                optimizer: "distill".into(),
                what: "training samples".into(),
            })?;
        let mut student = self.student(model, cx)?;
        let classes = !matches!(train.targets, Some(Targets::Values(_)));
        let first = predict(student.as_ref(), &train.head(1), 1)?.output;
        if classes && student.signature().activation(&first) == Some(Activation::Softmax) {
            return Err(DistillError::Probabilities {
                name: self.config.student.clone(),
            }
            .into());
        }
        let mut notes = Vec::new();
        if train.targets.is_none() {
            notes.push(
                "the training samples have no labels: only the teacher's outputs are learnt".into(),
            );
        }
        let losses = self.losses(train, logits(model, train, cx, &mut notes)?);
        for round in 0..ROUNDS {
            let progress = |epoch: &Epoch| {
                let share = epoch.epoch as f64 / self.config.epochs as f64;
                (cx.progress)(0.1 + 0.9 * share, "training the student");
                Verdict::Continue
            };
            let context = FitContext {
                cancel: cx.cancel,
                epoch: &progress,
            };
            let plan = FitPlan {
                losses: losses.clone(),
                learning_rate: self.config.learning_rate,
                epochs: self.config.epochs,
                batch: self.config.batch,
                patience: self.config.patience.filter(|_| cx.valid.is_some()),
                seed: Rng::keyed(cx.seed, round as u64, "distill: training").below(u64::MAX),
                ..FitPlan::default()
            };
            let trainable = student.trainable().ok_or_else(|| DistillError::Fixed {
                name: self.config.student.clone(),
            })?;
            student = trainable.fit(&plan, train, cx.valid, &context)?.model;
            cx.check_cancel()?;
            if (cx.accept)(&(cx.measure)(student.as_ref())?) {
                if round > 0 {
                    notes.push(format!(
                        "the goal was met after {} times {} epochs",
                        round + 1,
                        self.config.epochs
                    ));
                }
                return Ok(Optimized {
                    model: student,
                    notes,
                });
            }
        }
        // A model that meets the goal is not replaced by one that does not; one that does not yet may be on its way.
        if (cx.accept)(&(cx.measure)(model)?) {
            notes.push(format!("the model is left as it is: the student did not meet the goal after {ROUNDS} times {} epochs", self.config.epochs));
            student = model.share();
        } else {
            notes.push("neither the model nor the student meets the goal".into());
        }
        Ok(Optimized {
            model: student,
            notes,
        })
    }
}

#[cfg(test)]
mod tests {
    use lapidary_core::tensor::DType;

    use super::*;

    fn port(name: &str, shape: &[Option<usize>]) -> Port {
        let dim = |d: &Option<usize>| d.map_or(Dim::Symbol("batch".into()), Dim::Fixed);
        Port {
            name: name.into(),
            dtype: DType::F32,
            shape: shape.iter().map(dim).collect(),
            activation: None,
        }
    }

    #[test]
    fn ports_are_renamed_where_they_fit() {
        let student = [port("logits", &[None, Some(10)])];
        let teacher = [port("probs", &[Some(1), Some(10)])];
        let renamed = matched("outputs", &student, &teacher).unwrap();
        assert_eq!(
            renamed,
            [Edit::RenameValue {
                from: "logits".into(),
                to: "probs".into()
            }]
        );
        assert!(matched("outputs", &student, &student).unwrap().is_empty());
        let error = matched("outputs", &student, &[port("probs", &[None, Some(3)])]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the student's outputs logits f32 [batch, 10] do not fit the model's probs f32 [batch, 3]"
        );
    }
}
