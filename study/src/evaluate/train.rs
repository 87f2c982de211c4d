//! `kind = "train"`: trains a model of a family and measures it on the validation part.
//!
//! An axis or fixed value whose name is a setting of the family goes to the family; the training settings go to the plan.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use lapidary_core::cancel::Cancel;
use lapidary_core::evaluator::{EvalContext, Evaluator, MetricInfo};
use lapidary_core::fit::{Epoch, FitContext, FitPlan, Loss, Schedule, Update, Verdict};
use lapidary_core::json::Json;
use lapidary_core::metrics::Metric;
use lapidary_core::model::{Model, ModelError, TaskShape};
use lapidary_core::registry::{BuildError, Kind, Registry};
use lapidary_core::rng::Rng;
use lapidary_core::samples::Task;
use lapidary_core::space::Point;
use lapidary_core::text::listed;
use lapidary_core::trial::{Candidate, Metrics, Outcome};
use lapidary_data::{Split, class_weights};
use rand_core::RngCore;
use serde::Deserialize;
use serde_json::Map;

use super::data::OpenData;
use super::gauge::Gauge;
use super::{StudyEvaluator, probe_points};
use crate::error::StudyFileError;
use crate::file::{StudyFile, TrainSection};

/// The training settings by name.
const TRAINING: [&str; 10] = [
    "learning_rate",
    "optimizer",
    "momentum",
    "weight_decay",
    "schedule",
    "epochs",
    "batch",
    "smoothing",
    "class_weights",
    "patience",
];

/// Another word for `learning_rate`.
const LEARNING_RATE_ALIAS: &str = "lr";

/// How a model is trained.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Training {
    /// Peak learning rate.
    #[serde(alias = "lr")]
    pub learning_rate: f32,
    /// Update rule.
    pub optimizer: Rule,
    /// Momentum of `sgd`.
    pub momentum: f32,
    /// Weight decay.
    pub weight_decay: f32,
    /// Learning-rate schedule.
    pub schedule: Schedule,
    /// Passes over the training samples at full fidelity.
    pub epochs: usize,
    /// Samples in a step.
    pub batch: usize,
    /// Label smoothing.
    pub smoothing: f32,
    /// How classes are weighted.
    pub class_weights: ClassWeights,
    /// Epochs without a better validation metric before it stops.
    pub patience: Option<usize>,
}

/// The update rules by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// Stochastic gradient descent with momentum.
    Sgd,
    /// AdamW.
    AdamW,
}

/// How classes are weighted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClassWeights {
    /// All alike.
    None,
    /// So that every class counts alike, however many samples it has.
    Balanced,
}

impl Default for Training {
    fn default() -> Self {
        let plan = FitPlan::default();
        Self {
            learning_rate: plan.learning_rate,
            optimizer: Rule::AdamW,
            momentum: 0.9,
            weight_decay: plan.weight_decay,
            schedule: plan.schedule,
            epochs: plan.epochs,
            batch: plan.batch,
            smoothing: 0.0,
            class_weights: ClassWeights::None,
            patience: plan.patience,
        }
    }
}

impl Training {
    /// Refuses values out of bounds.
    fn check(&self) -> Result<(), String> {
        let share = |name: &str, value: f32| {
            if (0.0..1.0).contains(&value) {
                Ok(())
            } else {
                Err(format!("{name} must be in [0, 1), found {value}"))
            }
        };
        share("momentum", self.momentum)?;
        share("smoothing", self.smoothing)?;
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return Err(format!(
                "learning_rate must be above 0, found {}",
                self.learning_rate
            ));
        }
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            return Err(format!(
                "weight_decay must be at least 0, found {}",
                self.weight_decay
            ));
        }
        if self.epochs == 0 || self.batch == 0 {
            return Err("epochs and batch must be at least 1".into());
        }
        Ok(())
    }

    /// The plan at `fidelity`: that share of the epochs, rounded up.
    fn plan(&self, fidelity: f64, data: &Split, seed: u64) -> FitPlan {
        let class_weights = match (self.class_weights, &data.train.targets) {
            (ClassWeights::Balanced, Some(targets)) => class_weights(targets),
            _ => Vec::new(),
        };
        FitPlan {
            losses: vec![(
                Loss::Labels {
                    smoothing: self.smoothing,
                    class_weights,
                },
                1.0,
            )],
            update: match self.optimizer {
                Rule::Sgd => Update::Sgd {
                    momentum: self.momentum,
                },
                Rule::AdamW => Update::AdamW {
                    beta1: 0.9,
                    beta2: 0.999,
                },
            },
            learning_rate: self.learning_rate,
            weight_decay: self.weight_decay,
            schedule: self.schedule,
            epochs: ((self.epochs as f64 * fidelity).ceil() as usize).clamp(1, self.epochs),
            batch: self.batch,
            patience: self.patience,
            seed,
            ..FitPlan::default()
        }
    }
}

/// Trains models of a family.
pub struct Train<'a> {
    registry: &'a Registry,
    family: String,
    family_settings: Vec<&'static str>,
    fixed: Map<String, Json>,
    data: OpenData,
    shape: TaskShape,
    gauge: Gauge,
    /// Whether the goal reads the time of training.
    seconds: bool,
}

/// What a point and the fixed values say.
struct Settings {
    family: Json,
    training: Training,
}

impl<'a> Train<'a> {
    /// The evaluator of `section` for the study `file`.
    ///
    /// # Errors
    /// When the data cannot be read, the family is unknown, an axis or a fixed value is no setting of family or training, or
    /// no model can be built.
    pub fn new(
        file: &StudyFile,
        section: &TrainSection,
        registry: &'a Registry,
    ) -> Result<Self, StudyFileError> {
        let place = |key: &str| section.table.get(key).map(|item| item.place.clone());
        let at = |key: &str, text: String| {
            StudyFileError::at(&place(key).unwrap_or(section.table.place.clone()), text)
        };
        let entry = registry
            .entry(Kind::Family, &section.family)
            .map_err(|e| at("family", e.to_string()))?;
        let (data, dataset) = OpenData::open(&section.data, None)?;
        let train = Self {
            registry,
            family: section.family.clone(),
            family_settings: entry.info.settings.iter().map(|s| s.name).collect(),
            fixed: section.fixed.iter().cloned().collect(),
            data,
            shape: dataset.task_shape()?,
            gauge: Gauge::new(&file.goal),
            seconds: file.goal.metrics().contains(&"seconds"),
        };
        let known = train.known();
        for (key, _) in &section.fixed {
            if !train.is_setting(key) {
                let keys: Vec<&str> = TrainSection::keys().into_iter().chain(known).collect();
                return Err(section.table.unknown(key, &keys));
            }
            if let Some(axis) = file
                .space
                .axes()
                .iter()
                .find(|a| canonical(&a.name) == canonical(key))
            {
                return Err(at(
                    key,
                    format!(
                        "`{key}` is fixed here, but `{}` is an axis of the space",
                        axis.name
                    ),
                ));
            }
        }
        for axis in file.space.axes() {
            if !train.is_setting(&axis.name) {
                return Err(file.axis_mistake(
                    &axis.name,
                    &known,
                    &format!(
                        "axis `{}` is no setting of the family `{}` ({}) nor of the training ({})",
                        axis.name,
                        train.family,
                        listed(&train.family_settings),
                        listed(&TRAINING),
                    ),
                ));
            }
        }
        let fits = |point: &Point| {
            let settings = train.settings(point)?;
            let built = train.build(&settings.family, 0);
            built.map(|_| ()).map_err(|e| e.to_string())
        };
        probe_points(file, fits).map_err(|reason| {
            let reason = format!("no model can be built: {reason}");
            StudyFileError::at(&section.table.place, reason)
        })?;
        Ok(train)
    }

    fn known(&self) -> Vec<&'static str> {
        self.family_settings
            .iter()
            .chain(&TRAINING)
            .copied()
            .collect()
    }

    fn is_setting(&self, name: &str) -> bool {
        self.known().contains(&canonical(name))
    }

    fn settings(&self, point: &Point) -> Result<Settings, String> {
        let mut family = Map::new();
        let mut training = Map::new();
        let json = point.to_json();
        let axes = json.as_object().into_iter().flatten();
        for (name, value) in self.fixed.iter().chain(axes) {
            let part = if self.family_settings.contains(&name.as_str()) {
                &mut family
            } else {
                &mut training
            };
            part.insert(name.clone(), value.clone());
        }
        let training: Training = serde_json::from_value(training.into())
            .map_err(|e| format!("settings of the training: {e}"))?;
        training
            .check()
            .map_err(|reason| format!("settings of the training: {reason}"))?;
        Ok(Settings {
            family: family.into(),
            training,
        })
    }

    fn build(&self, settings: &Json, seed: u64) -> Result<Box<dyn Model>, BuildError> {
        self.registry
            .family(&self.family, settings, &self.shape, seed)
    }

    /// Trains the model of `candidate`.
    fn train(
        &self,
        candidate: &Candidate,
        seed: u64,
        cancel: &Cancel,
        epoch: &(dyn Fn(&Epoch) -> Verdict + Sync),
    ) -> Result<(Box<dyn Model>, Vec<Epoch>), String> {
        let settings = self.settings(&candidate.point)?;
        let mut rng = Rng::keyed(seed, candidate.id, "train");
        let (weights, shuffle) = (rng.next_u64(), rng.next_u64());
        let model = self
            .build(&settings.family, weights)
            .map_err(|e| e.to_string())?;
        let plan = settings
            .training
            .plan(candidate.fidelity, &self.data.split, shuffle);
        let trainable = model
            .trainable()
            .ok_or_else(|| format!("a model of the family `{}` cannot be trained", self.family))?;
        let fitted = trainable
            .fit(
                &plan,
                &self.data.split.train,
                Some(&self.data.split.valid),
                &FitContext { cancel, epoch },
            )
            .map_err(|e| e.to_string())?;
        Ok((fitted.model, fitted.history))
    }

    /// What an epoch is reported as.
    fn report(&self, epoch: &Epoch) -> Metrics {
        let mut metrics = Metrics::from([("loss".to_owned(), epoch.loss)]);
        if let Some(valid) = epoch.valid {
            match self.data.task {
                Task::Classification { .. } => {
                    metrics.insert(Metric::Accuracy.name().into(), valid)
                }
                // The trainer's measure rises with quality.
                Task::Regression { .. } => metrics.insert(Metric::Mse.name().into(), -valid),
            };
        }
        metrics
    }
}

fn canonical(name: &str) -> &str {
    if name == LEARNING_RATE_ALIAS {
        "learning_rate"
    } else {
        name
    }
}

impl Evaluator for Train<'_> {
    fn evaluate(&self, candidate: &Candidate, cx: &EvalContext<'_>) -> Outcome {
        let began = Instant::now();
        let busy = self.gauge.busy();
        let stopped = AtomicUsize::new(0);
        let trained = self.train(candidate, cx.seed, cx.cancel, &|epoch| {
            let verdict = (cx.report)(epoch.epoch as u64, &self.report(epoch));
            if verdict == Verdict::Stop {
                stopped.store(epoch.epoch, Ordering::Relaxed);
            }
            verdict
        });
        let seconds = began.elapsed().as_secs_f64();
        let measured = trained.and_then(|(model, history)| {
            let valid = &self.data.split.valid;
            let mut metrics = self.gauge.measure(busy, model.as_ref(), valid)?;
            if let Some(last) = history.last() {
                metrics.insert("loss".into(), last.loss);
            }
            if self.seconds {
                metrics.insert("seconds".into(), seconds);
            }
            Ok(metrics)
        });
        let metrics = match measured {
            Ok(metrics) => metrics,
            Err(reason) => return Outcome::Failed { reason },
        };
        match stopped.into_inner() {
            0 => Outcome::Measured { metrics },
            epoch => Outcome::Stopped {
                metrics,
                reason: format!("stopped after epoch {epoch}"),
            },
        }
    }

    fn metrics(&self) -> Option<Vec<MetricInfo>> {
        let mut metrics = Gauge::metrics(&self.data.task);
        for (name, volatile) in [("loss", false), ("seconds", true)] {
            metrics.push(MetricInfo {
                name: name.into(),
                volatile,
            });
        }
        Some(metrics)
    }
}

impl StudyEvaluator for Train<'_> {
    fn model(
        &self,
        candidate: &Candidate,
        seed: u64,
        cancel: &Cancel,
    ) -> Result<Option<Box<dyn Model>>, ModelError> {
        let go_on = |_: &Epoch| Verdict::Continue;
        match self.train(candidate, seed, cancel, &go_on) {
            Ok((model, _)) => Ok(Some(model)),
            Err(_) if cancel.is_cancelled() => Err(ModelError::Cancelled),
            Err(reason) => Err(ModelError::Fit(reason)),
        }
    }

    fn data(&self) -> Option<&OpenData> {
        Some(&self.data)
    }
}
