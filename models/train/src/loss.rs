//! Losses: value and gradient by the model's outputs, in `f64`, one sample after the other.

use lapidary_core::fit::{FitPlan, Loss};
use lapidary_core::model::ModelError;
use lapidary_core::samples::{Samples, Targets};
use lapidary_core::tensor::Shared;

/// What a model is trained towards on a set of samples.
pub(super) struct Objective<'a> {
    targets: Option<&'a Targets>,
    terms: Vec<Term>,
    classes: bool,
}

/// A term of the loss, its targets looked up by sample.
struct Term {
    kind: Kind,
    factor: f64,
}

enum Kind {
    Labels {
        smoothing: f64,
        class_weights: Vec<f64>,
    },
    Soft {
        rows: Shared<f32>,
        temperature: f64,
    },
}

/// An error about a plan or samples that do not fit.
fn refuse(reason: String) -> ModelError {
    ModelError::Fit(reason)
}

impl<'a> Objective<'a> {
    /// The objective of `plan` on `samples` for a model that gives `width` numbers a sample.
    ///
    /// # Errors
    /// When targets are missing or do not fit the model's outputs, or a setting is out of its range.
    pub(super) fn new(
        plan: &FitPlan,
        samples: &'a Samples,
        width: usize,
    ) -> Result<Self, ModelError> {
        let n = samples.len();
        let targets = samples.targets.as_ref();
        if let Some(targets) = targets {
            check_targets(targets, n, width)?;
        }
        // Without targets, teacher rows are taken for logits unless the model gives a single number.
        let classes = match targets {
            Some(Targets::Values(_)) => false,
            Some(Targets::Classes { .. }) => true,
            None => width > 1,
        };
        let mut terms = Vec::new();
        for (loss, factor) in &plan.losses {
            if !factor.is_finite() || *factor < 0.0 {
                return Err(refuse(format!("a loss cannot weigh {factor}")));
            }
            let kind = match loss {
                Loss::Labels {
                    smoothing,
                    class_weights,
                } => {
                    let Some(targets) = targets else {
                        return Err(refuse(
                            "the loss needs labels; the samples have none".into(),
                        ));
                    };
                    if !(0.0..1.0).contains(smoothing) {
                        return Err(refuse(format!(
                            "label smoothing of {smoothing} is not in [0, 1)"
                        )));
                    }
                    check_class_weights(targets, class_weights, width)?;
                    Kind::Labels {
                        smoothing: f64::from(*smoothing),
                        class_weights: class_weights.iter().map(|&w| f64::from(w)).collect(),
                    }
                }
                Loss::SoftTargets {
                    logits,
                    temperature,
                } => {
                    if logits.ndim() == 0 || logits.shape()[0] != n || logits.len() != n * width {
                        return Err(refuse(format!(
                            "the teacher's outputs have shape {:?}; needed are {width} for each of {n} samples",
                            logits.shape()
                        )));
                    }
                    if !(*temperature > 0.0 && temperature.is_finite()) {
                        return Err(refuse(format!(
                            "a temperature of {temperature} is not positive"
                        )));
                    }
                    let rows = logits
                        .to_shape((n, width))
                        .expect("element counts agree")
                        .into_dyn()
                        .to_shared();
                    Kind::Soft {
                        rows,
                        temperature: f64::from(*temperature),
                    }
                }
                other => return Err(refuse(format!("{other:?} is not known to this engine"))),
            };
            terms.push(Term {
                kind,
                factor: f64::from(*factor),
            });
        }
        if terms.is_empty() {
            return Err(refuse("the plan has no loss".into()));
        }
        Ok(Self {
            targets,
            terms,
            classes,
        })
    }

    /// The mean loss over `samples`, and its gradient by `outputs` (`width` numbers for each of them).
    pub(super) fn loss(&self, outputs: &[f32], width: usize, samples: &[usize]) -> (f64, Vec<f32>) {
        let mut total = 0.0;
        let mut grad = vec![0.0; outputs.len()];
        for term in &self.terms {
            let (loss, part) = self.term(term, outputs, width, samples);
            total += term.factor * loss;
            grad.iter_mut()
                .zip(part)
                .for_each(|(g, p)| *g += term.factor * p);
        }
        (total, grad.into_iter().map(|g| g as f32).collect())
    }

    fn term(
        &self,
        term: &Term,
        outputs: &[f32],
        width: usize,
        samples: &[usize],
    ) -> (f64, Vec<f64>) {
        let mut loss = 0.0;
        let mut grad = Vec::with_capacity(outputs.len());
        let mut weights = 0.0;
        for (row, &sample) in outputs.chunks(width).zip(samples) {
            match (&term.kind, self.targets) {
                (
                    Kind::Labels {
                        smoothing,
                        class_weights,
                    },
                    Some(Targets::Classes { labels, names }),
                ) => {
                    let weigh = |class: usize| class_weights.get(class).copied().unwrap_or(1.0);
                    let classes = if width == 1 { names.len() } else { width };
                    let label = labels[sample];
                    // Target mass of each class: as PyTorch has it, the weights apply to the smoothed part too.
                    let even = smoothing / classes as f64;
                    let mass: Vec<f64> = (0..classes)
                        .map(|c| weigh(c) * (even + if c == label { 1.0 - smoothing } else { 0.0 }))
                        .collect();
                    weights += weigh(label);
                    loss += cross_entropy(row, &mass, 1.0, &mut grad);
                }
                (Kind::Labels { .. }, Some(Targets::Values(values))) => {
                    let targets = values.index_axis(ndarray::Axis(0), sample);
                    loss += squares(row, targets.iter().copied(), &mut grad);
                    weights += width as f64;
                }
                (Kind::Labels { .. }, None) => {
                    unreachable!("labels are checked when the objective is made")
                }
                (Kind::Soft { rows, temperature }, _) if self.classes => {
                    let teacher = rows.index_axis(ndarray::Axis(0), sample);
                    let teacher: Vec<f32> = teacher.iter().copied().collect();
                    let log_targets = log_softmax(&two_sided(&teacher), *temperature);
                    let targets: Vec<f64> = log_targets.iter().map(|l| l.exp()).collect();
                    let square = temperature * temperature;
                    let start = grad.len();
                    let entropy: f64 = targets
                        .iter()
                        .zip(&log_targets)
                        .filter(|(p, _)| **p > 0.0)
                        .map(|(p, l)| p * l)
                        .sum();
                    loss +=
                        square * (entropy + cross_entropy(row, &targets, *temperature, &mut grad));
                    grad[start..].iter_mut().for_each(|g| *g *= square);
                    weights += 1.0;
                }
                (Kind::Soft { rows, .. }, _) => {
                    let teacher = rows.index_axis(ndarray::Axis(0), sample);
                    loss += squares(row, teacher.iter().copied(), &mut grad);
                    weights += width as f64;
                }
            }
        }
        // Weights that are all zero give no loss rather than 0/0.
        let share = if weights > 0.0 { 1.0 / weights } else { 0.0 };
        grad.iter_mut().for_each(|g| *g *= share);
        (loss * share, grad)
    }
}

fn check_targets(targets: &Targets, samples: usize, width: usize) -> Result<(), ModelError> {
    if targets.len() != samples {
        return Err(refuse(format!(
            "{} targets for {samples} samples",
            targets.len()
        )));
    }
    match targets {
        Targets::Classes { labels, names } => {
            if width < names.len() && !(width == 1 && names.len() == 2) {
                return Err(refuse(format!(
                    "the model tells {width} classes apart, the targets have {}",
                    names.len()
                )));
            }
            let most = names.len().max(width);
            if let Some(label) = labels.iter().find(|&&l| l >= most) {
                return Err(refuse(format!("label {label} is not among {most} classes")));
            }
        }
        Targets::Values(values) => {
            let given: usize = values.shape().iter().skip(1).product();
            if given != width {
                return Err(refuse(format!(
                    "the model gives {width} numbers a sample, the targets have {given}"
                )));
            }
        }
    }
    Ok(())
}

fn check_class_weights(targets: &Targets, weights: &[f32], width: usize) -> Result<(), ModelError> {
    let Targets::Classes { names, .. } = targets else {
        return if weights.is_empty() {
            Ok(())
        } else {
            Err(refuse("class weights need targets that are classes".into()))
        };
    };
    if !weights.is_empty() && weights.len() != names.len() && weights.len() != width {
        return Err(refuse(format!(
            "{} class weights for {} classes",
            weights.len(),
            names.len()
        )));
    }
    match weights.iter().find(|w| !(w.is_finite() && **w >= 0.0)) {
        Some(weight) => Err(refuse(format!("a class cannot weigh {weight}"))),
        None => Ok(()),
    }
}

/// A single logit as the two it stands for: `[0, z]`, whose softmax is `[1 − σ(z), σ(z)]`.
fn two_sided(row: &[f32]) -> Vec<f32> {
    match row {
        [z] => vec![0.0, *z],
        more => more.to_vec(),
    }
}

fn log_softmax(row: &[f32], temperature: f64) -> Vec<f64> {
    let scaled: Vec<f64> = row.iter().map(|&z| f64::from(z) / temperature).collect();
    let max = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = scaled.iter().map(|z| (z - max).exp()).sum();
    let shift = max + sum.ln();
    scaled.into_iter().map(|z| z - shift).collect()
}

/// −Σ mass · log softmax(row / T); appends the gradient by the row.
fn cross_entropy(row: &[f32], mass: &[f64], temperature: f64, grad: &mut Vec<f64>) -> f64 {
    let logs = log_softmax(&two_sided(row), temperature);
    let total: f64 = mass.iter().sum();
    let by_logit = logs
        .iter()
        .zip(mass)
        .map(|(l, m)| (total * l.exp() - m) / temperature);
    match row {
        [_] => grad.extend(by_logit.skip(1)),
        _ => grad.extend(by_logit),
    }
    logs.iter()
        .zip(mass)
        .filter(|(_, m)| **m > 0.0)
        .map(|(l, m)| -m * l)
        .sum()
}

/// Σ (row − targets)²; appends the gradient by the row.
fn squares(row: &[f32], targets: impl Iterator<Item = f32>, grad: &mut Vec<f64>) -> f64 {
    row.iter()
        .zip(targets)
        .map(|(&y, t)| {
            let difference = f64::from(y) - f64::from(t);
            grad.push(2.0 * difference);
            difference * difference
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lapidary_core::model::Activation;
    use lapidary_core::samples::Inputs;
    use lapidary_core::tensor::Dense;

    use super::*;
    use crate::metric;

    fn shared(shape: &[usize], values: &[f32]) -> Shared<f32> {
        Dense::f32(shape, values.to_vec())
            .unwrap()
            .as_f32()
            .unwrap()
            .clone()
    }

    fn samples(n: usize, targets: Option<Targets>) -> Samples {
        let inputs = Inputs::from([("x".to_owned(), Dense::f32(&[n, 1], vec![0.0; n]).unwrap())]);
        Samples { inputs, targets }
    }

    fn classes(labels: &[usize], count: usize) -> Option<Targets> {
        let names = (0..count).map(|c| c.to_string()).collect();
        Some(Targets::Classes {
            labels: labels.to_vec(),
            names,
        })
    }

    fn labels(smoothing: f32, class_weights: &[f32]) -> Loss {
        Loss::Labels {
            smoothing,
            class_weights: class_weights.to_vec(),
        }
    }

    fn soft(shape: &[usize], values: &[f32], temperature: f32) -> Loss {
        Loss::SoftTargets {
            logits: Arc::new(shared(shape, values)),
            temperature,
        }
    }

    fn plan(losses: Vec<(Loss, f32)>) -> FitPlan {
        FitPlan {
            losses,
            ..FitPlan::default()
        }
    }

    /// The loss, its gradient having been checked against central differences.
    fn checked(objective: &Objective, outputs: &[f32], width: usize, samples: &[usize]) -> f64 {
        let (loss, grad) = objective.loss(outputs, width, samples);
        for i in 0..outputs.len() {
            let at = |step: f32| {
                let mut moved = outputs.to_vec();
                moved[i] += step;
                objective.loss(&moved, width, samples).0
            };
            let expected =
                (at(1e-2) - at(-1e-2)) / f64::from((outputs[i] + 1e-2) - (outputs[i] - 1e-2));
            assert!(
                (expected - f64::from(grad[i])).abs() < 1e-4,
                "{i}: {} by differences {expected}",
                grad[i]
            );
        }
        loss
    }

    #[test]
    fn cross_entropy_by_hand() {
        let samples = samples(3, classes(&[0, 2, 1], 3));
        let plan = plan(vec![(labels(0.0, &[]), 1.0)]);
        let objective = Objective::new(&plan, &samples, 3).unwrap();
        let loss = checked(
            &objective,
            &[1.0, 2.0, 0.5, 0.0, 0.0, 3f32.ln()],
            3,
            &[0, 1],
        );
        let first = -(1f64.exp() / (1f64.exp() + 2f64.exp() + 0.5f64.exp())).ln();
        let second = -(3.0f64 / 5.0).ln();
        assert!((loss - (first + second) / 2.0).abs() < 1e-6);
    }

    #[test]
    fn smoothing_and_class_weights_by_hand() {
        let samples = samples(2, classes(&[0, 1], 2));
        let plan = plan(vec![(labels(0.2, &[1.0, 3.0]), 2.0)]);
        let objective = Objective::new(&plan, &samples, 2).unwrap();
        let loss = checked(&objective, &[0.0, 0.0, 0.0, 3f32.ln()], 2, &[0, 1]);
        let first = 0.9 * 2f64.ln() + 3.0 * 0.1 * 2f64.ln();
        let second = 0.1 * 4f64.ln() + 3.0 * 0.9 * (4.0f64 / 3.0).ln();
        assert!((loss - 2.0 * (first + second) / 4.0).abs() < 1e-6);
    }

    #[test]
    fn squared_errors_by_hand() {
        let samples = samples(
            2,
            Some(Targets::Values(shared(&[2, 2], &[1.0, 2.0, 3.0, 4.0]))),
        );
        let plan = plan(vec![
            (labels(0.0, &[]), 1.0),
            (soft(&[2, 2], &[0.0; 4], 1.0), 0.5),
        ]);
        let objective = Objective::new(&plan, &samples, 2).unwrap();
        let loss = checked(&objective, &[1.0, 1.0, 3.0, 2.0], 2, &[0, 1]);
        assert!((loss - (5.0 / 4.0 + 0.5 * 15.0 / 4.0)).abs() < 1e-6);
    }

    #[test]
    fn soft_targets_by_hand() {
        let samples = samples(2, classes(&[0, 1], 2));
        let teacher = [3f32.ln() * 2.0, 0.0, 0.0, 0.0];
        let plan = plan(vec![(soft(&[2, 2], &teacher, 2.0), 1.0)]);
        let objective = Objective::new(&plan, &samples, 2).unwrap();
        let loss = checked(&objective, &[0.0, 0.0, 0.7, 0.7], 2, &[0, 1]);
        let divergence = 0.75 * (0.75f64 / 0.5).ln() + 0.25 * (0.25f64 / 0.5).ln();
        assert!((loss - 4.0 * divergence / 2.0).abs() < 1e-6, "{loss}");
        let (at_teacher, grad) = objective.loss(&teacher, 2, &[0, 1]);
        assert!(
            at_teacher.abs() < 1e-9 && grad.iter().all(|g| g.abs() < 1e-6),
            "{at_teacher} {grad:?}"
        );
    }

    #[test]
    fn probabilities_of_a_teacher_are_taken_as_such() {
        let samples = samples(1, classes(&[0], 2));
        let value = |rows: &[f32]| {
            let plan = plan(vec![(soft(&[1, 2], rows, 1.0), 1.0)]);
            Objective::new(&plan, &samples, 2)
                .unwrap()
                .loss(&[0.3, 0.1], 2, &[0])
                .0
        };
        let probabilities = shared(&[1, 2], &[0.75, 0.25]).into_owned();
        let logits = Activation::Softmax.logits(probabilities);
        let logits = logits.as_slice().unwrap();
        assert!((value(logits) - value(&[3f32.ln(), 0.0])).abs() < 1e-6);
    }

    #[test]
    fn a_single_logit_stands_for_two_classes() {
        let samples = samples(2, classes(&[0, 1], 2));
        let plan = plan(vec![
            (labels(0.1, &[]), 1.0),
            (soft(&[2, 1], &[1.0, -2.0], 3.0), 0.5),
        ]);
        let objective = Objective::new(&plan, &samples, 1).unwrap();
        checked(&objective, &[0.4, -1.0], 1, &[0, 1]);
        let targets = samples.targets.as_ref().unwrap();
        assert_eq!(metric(targets, vec![-0.1, 0.2], 1).unwrap(), 1.0);
        assert_eq!(metric(targets, vec![0.1, 0.2], 1).unwrap(), 0.5);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |loss: Loss, targets, width| {
            let samples = samples(2, targets);
            let plan = plan(vec![(loss, 1.0)]);
            Objective::new(&plan, &samples, width)
                .err()
                .expect("an error")
                .to_string()
        };
        for (loss, targets, width, part) in [
            (labels(0.0, &[]), None, 2, "needs labels"),
            (
                labels(0.0, &[]),
                classes(&[0], 2),
                2,
                "1 targets for 2 samples",
            ),
            (
                labels(0.0, &[]),
                classes(&[0, 1], 3),
                2,
                "tells 2 classes apart, the targets have 3",
            ),
            (labels(0.0, &[]), classes(&[0, 5], 3), 3, "label 5"),
            (labels(1.5, &[]), classes(&[0, 1], 2), 2, "smoothing of 1.5"),
            (
                labels(0.0, &[1.0]),
                classes(&[0, 1], 2),
                2,
                "1 class weights for 2 classes",
            ),
            (
                labels(0.0, &[1.0, -1.0]),
                classes(&[0, 1], 2),
                2,
                "cannot weigh -1",
            ),
            (
                soft(&[1, 2], &[0.0; 2], 1.0),
                classes(&[0, 1], 2),
                2,
                "[1, 2]",
            ),
            (
                soft(&[2, 2], &[0.0; 4], 0.0),
                classes(&[0, 1], 2),
                2,
                "temperature of 0",
            ),
        ] {
            let message = refused(loss, targets, width);
            assert!(message.contains(part), "{message}");
        }
    }
}
