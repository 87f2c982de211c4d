//! Metrics: how good predictions are.
//!
//! All sums run over the samples in order and in `f64`, so a metric has the same bits however the predictions were made.

use std::fmt;
use std::str::FromStr;

use ndarray::ArrayD;
use thiserror::Error;

use crate::model::Activation;
use crate::samples::{Targets, Task};
use crate::text::listed;
use crate::trial::Metrics;

/// What is measured.
///
/// Classes are read from outputs `[samples, classes]`, probabilities or logits, of which the largest wins; one column stands
/// for two classes, as the probability or the logit of the second. Numbers are compared value by value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Metric {
    /// Share of samples whose class is predicted.
    Accuracy,
    /// Mean over the classes of the share of their samples that is predicted.
    BalancedAccuracy,
    /// Mean over the classes (those in the targets or predictions) of the harmonic mean of precision and recall.
    F1,
    /// Area under the ROC curve, ties counting half (Hanley and McNeil, 1982); for more than two classes the mean over the
    /// classes, each against all others.
    Auc,
    /// Mean of −ln of the probability of the right class, probabilities being at least 1e-15.
    LogLoss,
    /// Mean squared error.
    Mse,
    /// Root of the mean squared error.
    Rmse,
    /// Mean absolute error.
    Mae,
    /// Share of the variance that is explained; the mean over the columns.
    R2,
    /// Rank correlation, ties taking their mean rank (Spearman, 1904); the mean over the columns.
    Spearman,
}

impl Metric {
    /// All metrics.
    pub const ALL: [Self; 10] = [
        Self::Accuracy,
        Self::BalancedAccuracy,
        Self::F1,
        Self::Auc,
        Self::LogLoss,
        Self::Mse,
        Self::Rmse,
        Self::Mae,
        Self::R2,
        Self::Spearman,
    ];

    /// The name by which metrics, goals and the command line call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::BalancedAccuracy => "balanced_accuracy",
            Self::F1 => "f1",
            Self::Auc => "auc",
            Self::LogLoss => "log_loss",
            Self::Mse => "mse",
            Self::Rmse => "rmse",
            Self::Mae => "mae",
            Self::R2 => "r2",
            Self::Spearman => "spearman",
        }
    }

    /// Whether more is better.
    pub fn higher_is_better(self) -> bool {
        !matches!(self, Self::LogLoss | Self::Mse | Self::Rmse | Self::Mae)
    }

    /// Whether the metric is about classes; the others are about numbers.
    pub fn is_for_classes(self) -> bool {
        matches!(
            self,
            Self::Accuracy | Self::BalancedAccuracy | Self::F1 | Self::Auc | Self::LogLoss
        )
    }

    /// The metrics for `task`, the main one first.
    pub fn for_task(task: &Task) -> Vec<Self> {
        let classes = matches!(task, Task::Classification { .. });
        Self::ALL
            .into_iter()
            .filter(|metric| metric.is_for_classes() == classes)
            .collect()
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Metric {
    type Err = MetricError;

    fn from_str(text: &str) -> Result<Self, MetricError> {
        Self::ALL
            .into_iter()
            .find(|metric| metric.name() == text)
            .ok_or_else(|| MetricError::Unknown {
                name: text.to_string(),
            })
    }
}

/// Why there is no metric.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum MetricError {
    #[error("no metric `{name}`; there are {}", listed(&Metric::ALL.map(Metric::name)))]
    Unknown { name: String },
    #[error("{metric} is for {wanted}; for these targets there are {}", listed(&names(known)))]
    Task {
        metric: Metric,
        wanted: &'static str,
        known: Vec<Metric>,
    },
    #[error("outputs of shape {outputs:?} do not fit {targets}")]
    Shape {
        outputs: Vec<usize>,
        targets: String,
    },
    #[error("the output at {index:?} is {value}")]
    NonFinite { index: Vec<usize>, value: String },
    #[error("{metric} is not defined where {reason}")]
    Undefined {
        metric: Metric,
        reason: &'static str,
    },
}

fn names(metrics: &[Metric]) -> Vec<&'static str> {
    metrics.iter().map(|m| m.name()).collect()
}

/// The `wanted` metrics of `outputs` (first axis: samples; axes of extent 1 behind do not matter) by name. Where none is
/// wanted by name, all that fit the targets and are defined. `activation` is what made the outputs of logits, as
/// [`Signature::activation`](crate::model::Signature::activation) tells of a model; without one they are logits.
///
/// # Errors
/// When shapes do not fit, an output is not finite, or a wanted metric does not fit the targets or is not defined for them.
pub fn evaluate(
    outputs: &ArrayD<f32>,
    targets: &Targets,
    activation: Option<Activation>,
    wanted: &[Metric],
) -> Result<Metrics, MetricError> {
    let known = Metric::for_task(&targets.task());
    if let Some(&metric) = wanted.iter().find(|m| !known.contains(m)) {
        return Err(MetricError::Task {
            metric,
            wanted: if metric.is_for_classes() {
                "classes"
            } else {
                "numbers"
            },
            known,
        });
    }
    let columns = columns(outputs, targets)?;
    let rows = Rows {
        values: outputs.iter().map(|&v| f64::from(v)).collect(),
        columns,
        are_probabilities: activation.is_some_and(Activation::gives_probabilities),
    };
    let measure = |metric| match targets {
        Targets::Classes { labels, .. } => classes(metric, &rows, labels),
        Targets::Values(values) => {
            let truth = Rows {
                values: values.iter().map(|&v| f64::from(v)).collect(),
                columns,
                are_probabilities: false,
            };
            numbers(metric, &rows, &truth)
        }
    };
    let mut measured = Metrics::new();
    for &metric in if wanted.is_empty() { &known } else { wanted } {
        match measure(metric) {
            Ok(value) => {
                measured.insert(metric.name().to_string(), value);
            }
            Err(MetricError::Undefined { .. }) if wanted.is_empty() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(measured)
}

/// Rows of the same number of values.
struct Rows {
    values: Vec<f64>,
    columns: usize,
    /// Whether they are probabilities of classes rather than logits.
    are_probabilities: bool,
}

impl Rows {
    fn iter(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.columns)
    }

    fn column(&self, column: usize) -> Vec<f64> {
        self.iter().map(|row| row[column]).collect()
    }
}

/// Checks that the outputs fit the targets and are finite; returns how many values a sample has.
fn columns(outputs: &ArrayD<f32>, targets: &Targets) -> Result<usize, MetricError> {
    let shape = outputs.shape();
    let samples = shape.first().copied().unwrap_or(0);
    let extents: Vec<usize> = shape.iter().skip(1).copied().filter(|&d| d != 1).collect();
    let columns = extents.first().copied().unwrap_or(1);
    let fits = samples > 0
        && samples == targets.len()
        && columns > 0
        && match targets.task() {
            // A model may know more classes than the data shows.
            Task::Classification { classes } => {
                extents.len() <= 1 && (columns >= classes || columns == 1 && classes == 2)
            }
            Task::Regression { values } => extents.iter().product::<usize>() == values,
        };
    if !fits {
        let what = match targets.task() {
            Task::Classification { classes } => format!("{classes} classes"),
            Task::Regression { values } => format!("{values} values each"),
        };
        return Err(MetricError::Shape {
            outputs: shape.to_vec(),
            targets: format!("{} targets of {what}", targets.len()),
        });
    }
    if let Some((index, value)) = outputs.indexed_iter().find(|(_, v)| !v.is_finite()) {
        return Err(MetricError::NonFinite {
            index: ndarray::Dimension::slice(&index).to_vec(),
            value: value.to_string(),
        });
    }
    Ok(match targets.task() {
        Task::Classification { .. } => columns,
        Task::Regression { values } => values,
    })
}

/// A metric of classes.
fn classes(metric: Metric, outputs: &Rows, labels: &[usize]) -> Result<f64, MetricError> {
    let undefined = |reason| Err(MetricError::Undefined { metric, reason });
    // One column is the second of two classes.
    let count = outputs.columns.max(2);
    match metric {
        Metric::LogLoss => {
            let probabilities = probabilities(outputs);
            let losses = probabilities.iter().zip(labels).map(|(row, &label)| {
                let right = match (row, label) {
                    (&[second], 0) => 1.0 - second,
                    (&[second], _) => second,
                    (row, label) => row[label],
                };
                -libm::log(right.max(1e-15))
            });
            return Ok(losses.sum::<f64>() / labels.len() as f64);
        }
        Metric::Auc => {
            // Of two classes the second alone says it all; it may be the only column.
            let areas: Vec<f64> = match count {
                2 => area(&odds(outputs).column(outputs.columns - 1), labels, 1)
                    .into_iter()
                    .collect(),
                _ => {
                    let odds = odds(outputs);
                    (0..count)
                        .filter_map(|class| area(&odds.column(class), labels, class))
                        .collect()
                }
            };
            if areas.is_empty() {
                return undefined("all targets are of one class");
            }
            return Ok(areas.iter().sum::<f64>() / areas.len() as f64);
        }
        _ => {}
    }
    let mut targets = vec![0usize; count];
    let mut predictions = vec![0usize; count];
    let mut hits = vec![0usize; count];
    for (predicted, &label) in predicted(outputs).into_iter().zip(labels) {
        targets[label] += 1;
        predictions[predicted] += 1;
        if predicted == label {
            hits[label] += 1;
        }
    }
    let mean_over = |present: &dyn Fn(usize) -> bool, value: &dyn Fn(usize) -> f64| {
        let values: Vec<f64> = (0..count).filter(|&c| present(c)).map(value).collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    Ok(match metric {
        Metric::BalancedAccuracy => {
            mean_over(&|c| targets[c] > 0, &|c| hits[c] as f64 / targets[c] as f64)
        }
        Metric::F1 => mean_over(&|c| targets[c] + predictions[c] > 0, &|c| {
            2.0 * hits[c] as f64 / (targets[c] + predictions[c]) as f64
        }),
        _ => hits.iter().sum::<usize>() as f64 / labels.len() as f64,
    })
}

/// The predicted class of each row: the first of the largest values.
fn predicted(outputs: &Rows) -> Vec<usize> {
    if outputs.columns == 1 {
        let threshold = if outputs.are_probabilities { 0.5 } else { 0.0 };
        return outputs
            .values
            .iter()
            .map(|&v| usize::from(v > threshold))
            .collect();
    }
    outputs.iter().map(first_largest).collect()
}

/// The outputs as probabilities: as they are, or the softmax (for one column the sigmoid) of logits.
fn probabilities(outputs: &Rows) -> Rows {
    let mut values = outputs.values.clone();
    if !outputs.are_probabilities {
        for row in values.chunks_exact_mut(outputs.columns) {
            if let [logit] = row {
                *logit = 1.0 / (1.0 + libm::exp(-*logit));
                continue;
            }
            let largest = row.iter().fold(f64::NEG_INFINITY, |most, &v| most.max(v));
            let mut sum = 0.0;
            for value in &mut *row {
                *value = libm::exp(*value - largest);
                sum += *value;
            }
            for value in row {
                *value /= sum;
            }
        }
    }
    Rows { values, ..*outputs }
}

/// How much speaks for each class against all others: its probability, or the logarithm of its odds, which unlike the
/// probability tells apart logits that are far from the others.
fn odds(outputs: &Rows) -> Rows {
    let mut values = outputs.values.clone();
    if outputs.columns > 1 && !outputs.are_probabilities {
        for row in values.chunks_exact_mut(outputs.columns) {
            let best = first_largest(row);
            let largest = row[best];
            let others = || {
                row.iter()
                    .enumerate()
                    .filter(|(i, _)| *i != best)
                    .map(|(_, v)| *v)
            };
            let second = others().fold(f64::NEG_INFINITY, f64::max);
            let rest: f64 = others().map(|v| libm::exp(v - second)).sum();
            for (i, value) in row.iter_mut().enumerate() {
                let against = if i == best {
                    second + libm::log(rest)
                } else {
                    let rest = (rest - libm::exp(*value - second)).max(0.0);
                    largest + libm::log(1.0 + libm::exp(second - largest) * rest)
                };
                *value -= against;
            }
        }
    }
    Rows { values, ..*outputs }
}

fn first_largest(row: &[f64]) -> usize {
    (0..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
}

/// The area under the ROC curve of `class` against all others, from the ranks of its samples (Mann and Whitney, 1947);
/// `None` where one side has no sample.
fn area(scores: &[f64], labels: &[usize], class: usize) -> Option<f64> {
    let positive = labels.iter().filter(|&&l| l == class).count() as f64;
    let negative = labels.len() as f64 - positive;
    if positive == 0.0 || negative == 0.0 {
        return None;
    }
    let sum: f64 = ranks(scores)
        .iter()
        .zip(labels)
        .filter(|(_, label)| **label == class)
        .map(|(rank, _)| rank)
        .sum();
    Some((sum - positive * (positive + 1.0) / 2.0) / (positive * negative))
}

/// Ranks from 1, equal values sharing their mean rank.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for run in order.chunk_by(|&a, &b| values[a] == values[b]) {
        for &i in run {
            ranks[i] = before as f64 + (run.len() + 1) as f64 / 2.0;
        }
        before += run.len();
    }
    ranks
}

/// A metric of numbers.
fn numbers(metric: Metric, outputs: &Rows, truth: &Rows) -> Result<f64, MetricError> {
    let count = truth.values.len() as f64;
    let errors = || outputs.values.iter().zip(&truth.values).map(|(o, t)| o - t);
    let mean_squared = || errors().map(|e| e * e).sum::<f64>() / count;
    let columns = || (0..truth.columns).map(|c| (outputs.column(c), truth.column(c)));
    let averaged = |by_column: Option<Vec<f64>>, reason| {
        let by_column = by_column.ok_or(MetricError::Undefined { metric, reason })?;
        Ok(mean(&by_column))
    };
    match metric {
        Metric::Rmse => Ok(mean_squared().sqrt()),
        Metric::Mae => Ok(errors().map(f64::abs).sum::<f64>() / count),
        Metric::R2 => averaged(
            columns().map(|(o, t)| explained(&o, &t)).collect(),
            "all targets of a column are equal",
        ),
        Metric::Spearman => averaged(
            columns()
                .map(|(o, t)| correlation(&ranks(&o), &ranks(&t)))
                .collect(),
            "all targets or all outputs of a column are equal",
        ),
        _ => Ok(mean_squared()),
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The share of the variance of `truth` that `outputs` explain; `None` where there is no variance.
fn explained(outputs: &[f64], truth: &[f64]) -> Option<f64> {
    let mean = mean(truth);
    let total: f64 = truth.iter().map(|t| (t - mean) * (t - mean)).sum();
    let left: f64 = truth
        .iter()
        .zip(outputs)
        .map(|(t, o)| (t - o) * (t - o))
        .sum();
    (total > 0.0).then(|| 1.0 - left / total)
}

/// Pearson's correlation; `None` where one side does not vary.
fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        ab += a * b;
        aa += a * a;
        bb += b * b;
    }
    (aa > 0.0 && bb > 0.0).then(|| (ab / (aa.sqrt() * bb.sqrt())).clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use ndarray::IxDyn;
    use proptest::prelude::*;

    use super::*;
    use crate::tensor::Shared;

    fn outputs(shape: &[usize], values: &[f32]) -> ArrayD<f32> {
        ArrayD::from_shape_vec(IxDyn(shape), values.to_vec()).unwrap()
    }

    fn labels(labels: &[usize], classes: usize) -> Targets {
        Targets::Classes {
            labels: labels.to_vec(),
            names: (0..classes).map(|c| c.to_string()).collect(),
        }
    }

    fn truth(shape: &[usize], values: &[f32]) -> Targets {
        Targets::Values(Shared::from_shape_vec(IxDyn(shape), values.to_vec()).unwrap())
    }

    /// A metric of logits or numbers.
    fn one(outputs: &ArrayD<f32>, targets: &Targets, metric: Metric) -> f64 {
        evaluate(outputs, targets, None, &[metric]).unwrap()[metric.name()]
    }

    /// A metric of what `activation` gave.
    fn behind(
        activation: Activation,
        outputs: &ArrayD<f32>,
        targets: &Targets,
        metric: Metric,
    ) -> f64 {
        evaluate(outputs, targets, Some(activation), &[metric]).unwrap()[metric.name()]
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} {b}");
    }

    #[test]
    fn classes_by_hand() {
        // Predictions 0, 1, 1, 2, 0; the last class has no sample and no prediction.
        let out = outputs(
            &[5, 4],
            &[
                5., 1., 0., -9., 0., 3., 1., -9., 0., 3., 1., -9., 0., 1., 2., -9., 9., 1., 8., -9.,
            ],
        );
        let targets = labels(&[0, 0, 1, 2, 2], 4);
        close(one(&out, &targets, Metric::Accuracy), 0.6);
        close(
            one(&out, &targets, Metric::BalancedAccuracy),
            (0.5 + 1.0 + 0.5) / 3.0,
        );
        // Class 0: hits 1 of 2 + 2; class 1: 1 of 1 + 2; class 2: 1 of 2 + 1.
        close(
            one(&out, &targets, Metric::F1),
            (0.5 + 2.0 / 3.0 + 2.0 / 3.0) / 3.0,
        );
    }

    #[test]
    fn the_first_of_equal_scores_wins() {
        let out = outputs(&[1, 3], &[1., 2., 2.]);
        close(one(&out, &labels(&[1], 3), Metric::Accuracy), 1.0);
    }

    #[test]
    fn one_column_is_a_probability_or_a_logit() {
        let targets = labels(&[0, 1, 1], 2);
        close(
            behind(
                Activation::Sigmoid,
                &outputs(&[3, 1], &[0.1, 0.6, 0.4]),
                &targets,
                Metric::Accuracy,
            ),
            2.0 / 3.0,
        );
        close(
            one(
                &outputs(&[3], &[-1.0, 0.6, 0.4]),
                &targets,
                Metric::Accuracy,
            ),
            1.0,
        );
        let loss = behind(
            Activation::Sigmoid,
            &outputs(&[3, 1, 1], &[0.25, 0.5, 1.0]),
            &targets,
            Metric::LogLoss,
        );
        close(loss, -(0.75f64.ln() + 0.5f64.ln()) / 3.0);
    }

    #[test]
    fn log_loss_takes_logits_and_probabilities() {
        let targets = labels(&[0, 2], 3);
        let logits = outputs(&[2, 3], &[1000., 0., 0., 0., 0., 2f32.ln()]);
        assert!((one(&logits, &targets, Metric::LogLoss) - 2f64.ln() / 2.0).abs() < 1e-7);
        let certain = outputs(&[2, 3], &[1., 0., 0., 1., 0., 0.]);
        close(
            behind(Activation::Softmax, &certain, &targets, Metric::LogLoss),
            -1e-15f64.ln() / 2.0,
        );
    }

    #[test]
    fn auc_counts_ties_half() {
        let targets = labels(&[0, 0, 1, 1], 2);
        let area = |scores: &[f32]| one(&outputs(&[4, 1], scores), &targets, Metric::Auc);
        close(area(&[0.1, 0.4, 0.35, 0.8]), 0.75);
        close(area(&[0.5; 4]), 0.5);
        close(area(&[0.9, 0.8, 0.2, 0.1]), 0.0);
        close(area(&[-3.0, 2.0, 2.0, 5.0]), 0.875);
        let far = outputs(&[4, 2], &[0., 100., 0., 200., 0., 200., 0., 500.]);
        close(one(&far, &targets, Metric::Auc), 0.875);
        let two = outputs(&[4, 2], &[0., 1., 0., 2., 0., 2., 0., 5.]);
        close(one(&two, &targets, Metric::Auc), 0.875);
    }

    #[test]
    fn odds_are_the_logit_of_the_softmax() {
        let row = Rows {
            values: vec![1.0, 3.0, 2.5, -4.0],
            columns: 4,
            are_probabilities: false,
        };
        let softmax = probabilities(&row).values;
        for (odds, p) in odds(&row).values.iter().zip(softmax) {
            close(*odds, (p / (1.0 - p)).ln());
        }
    }

    #[test]
    fn auc_of_many_classes_leaves_out_those_without_samples() {
        let out = outputs(&[3, 3], &[0.8, 0.1, 0.1, 0.2, 0.7, 0.1, 0.5, 0.4, 0.1]);
        // Class 0 against class 1: 0.8, 0.5 over 0.2, and the other way round; class 2 is not there.
        let targets = labels(&[0, 1, 0], 3);
        close(
            behind(Activation::Softmax, &out, &targets, Metric::Auc),
            1.0,
        );
    }

    #[test]
    fn numbers_by_hand() {
        let out = outputs(&[4, 1], &[2.5, 0.0, 2.0, 8.0]);
        let targets = truth(&[4, 1], &[3.0, -0.5, 2.0, 7.0]);
        close(one(&out, &targets, Metric::Mse), 0.375);
        close(one(&out, &targets, Metric::Rmse), 0.375f64.sqrt());
        close(one(&out, &targets, Metric::Mae), 0.5);
        close(one(&out, &targets, Metric::R2), 1.0 - 1.5 / 29.1875);
        close(one(&out, &targets, Metric::Spearman), 1.0);
    }

    #[test]
    fn spearman_shares_ranks_among_ties() {
        let out = outputs(&[4], &[1.0, 2.0, 2.0, 3.0]);
        // Ranks 1, 2.5, 2.5, 4 against 1, 3, 2, 4: 4.5 / sqrt(4.5 · 5).
        let rho = one(
            &out,
            &truth(&[4, 1], &[1.0, 3.0, 2.0, 4.0]),
            Metric::Spearman,
        );
        close(rho, 4.5 / (4.5f64 * 5.0).sqrt());
        assert_eq!(ranks(&[0.0, -0.0, 1.0]), [1.5, 1.5, 3.0]);
    }

    #[test]
    fn several_columns_are_averaged() {
        let targets = truth(&[3, 2], &[1., 10., 2., 20., 3., 30.]);
        let out = outputs(&[3, 2], &[1., 30., 2., 20., 3., 10.]);
        close(one(&out, &targets, Metric::Spearman), 0.0);
        close(
            one(&out, &targets, Metric::R2),
            (1.0 + (1.0 - 800.0 / 200.0)) / 2.0,
        );
    }

    #[test]
    fn undefined_metrics_fail_when_asked_for_and_are_left_out_otherwise() {
        let out = outputs(&[2, 2], &[1., 0., 0., 1.]);
        let targets = labels(&[0, 0], 2);
        let error = evaluate(&out, &targets, None, &[Metric::Auc]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "auc is not defined where all targets are of one class"
        );
        let all = evaluate(&out, &targets, None, &[]).unwrap();
        assert_eq!(
            all.keys().map(String::as_str).collect::<Vec<_>>(),
            ["accuracy", "balanced_accuracy", "f1", "log_loss"]
        );
        let flat = truth(&[2, 1], &[1.0, 1.0]);
        let all = evaluate(&outputs(&[2], &[1., 2.]), &flat, None, &[]).unwrap();
        assert_eq!(
            all.keys().map(String::as_str).collect::<Vec<_>>(),
            ["mae", "mse", "rmse"]
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let fail = |out: &ArrayD<f32>, targets: &Targets, wanted: &[Metric]| {
            evaluate(out, targets, None, wanted)
                .unwrap_err()
                .to_string()
        };
        let targets = labels(&[0, 1], 3);
        assert_eq!(
            fail(&outputs(&[2, 2], &[0.; 4]), &targets, &[]),
            "outputs of shape [2, 2] do not fit 2 targets of 3 classes"
        );
        assert!(evaluate(&outputs(&[2, 4], &[0.; 8]), &targets, None, &[]).is_ok());
        for shape in [&[3usize, 3][..], &[2, 3, 3], &[2], &[2, 0], &[]] {
            let values = vec![0.0; shape.iter().product()];
            assert!(
                evaluate(&outputs(shape, &values), &targets, None, &[]).is_err(),
                "{shape:?}"
            );
        }
        assert_eq!(
            fail(
                &outputs(&[2, 3], &[0., 0., 0., 0., f32::NAN, 0.]),
                &targets,
                &[]
            ),
            "the output at [1, 1] is NaN"
        );
        assert_eq!(
            fail(&outputs(&[2, 3], &[0.; 6]), &targets, &[Metric::Mse]),
            "mse is for numbers; for these targets there are accuracy, balanced_accuracy, f1, auc, log_loss"
        );
        assert_eq!(
            "acuracy".parse::<Metric>().unwrap_err().to_string(),
            "no metric `acuracy`; there are accuracy, balanced_accuracy, f1, auc, log_loss, mse, rmse, mae, r2, spearman"
        );
    }

    #[test]
    fn names_lead_back_to_their_metrics() {
        for metric in Metric::ALL {
            assert_eq!(metric.to_string().parse(), Ok(metric));
        }
    }

    proptest! {
        #[test]
        fn auc_is_the_share_of_pairs_in_order(
            samples in prop::collection::vec((0usize..2, -5i8..5), 2..40),
        ) {
            let scores: Vec<f32> = samples.iter().map(|s| f32::from(s.1)).collect();
            let classes: Vec<usize> = samples.iter().map(|s| s.0).collect();
            let of = |class| samples.iter().filter(move |s| s.0 == class).map(|s| s.1);
            let pairs: Vec<f64> = of(1)
                .flat_map(|p| of(0).map(move |n| match p.cmp(&n) {
                    std::cmp::Ordering::Greater => 1.0,
                    std::cmp::Ordering::Equal => 0.5,
                    std::cmp::Ordering::Less => 0.0,
                }))
                .collect();
            let got = evaluate(&outputs(&[scores.len(), 1], &scores), &labels(&classes, 2), None, &[Metric::Auc]);
            if pairs.is_empty() {
                prop_assert!(got.is_err());
            } else {
                let expected = pairs.iter().sum::<f64>() / pairs.len() as f64;
                prop_assert!((got.unwrap()["auc"] - expected).abs() < 1e-12);
            }
        }

        #[test]
        fn shares_stay_between_zero_and_one(
            (values, classes) in (1usize..20).prop_flat_map(|n| (
                prop::collection::vec(-1e30f32..1e30, n * 3),
                prop::collection::vec(0usize..3, n),
            )),
        ) {
            let all = evaluate(&outputs(&[classes.len(), 3], &values), &labels(&classes, 3), None, &[]).unwrap();
            for (name, value) in all {
                prop_assert!(value.is_finite() && value >= 0.0 && (value <= 1.0 || name == "log_loss"), "{name} {value}");
            }
        }
    }
}
