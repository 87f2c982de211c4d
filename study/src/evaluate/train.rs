//! `kind = "train"`: trains a model of a family and measures it on the validation part.
//!
//! An axis or fixed value whose name is a setting of the family goes to the family; the training settings go to the plan.
//!
//! A fidelity below 1 is the beginning of the same run: that share of its epochs, rounded up, of a schedule that is planned to the
//! end. A trial that goes on from another of its point trains the epochs that are missing, from what that one kept. Where that was
//! lost it trains from the start, to the same bits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use lapidary_core::cancel::Cancel;
use lapidary_core::evaluator::{Checkpoints, EvalContext, Evaluator, MetricInfo};
use lapidary_core::fit::{Checkpoint, Epoch, FitContext, FitPlan, Loss, Schedule, Update, Verdict};
use lapidary_core::inventory;
use lapidary_core::json::Json;
use lapidary_core::metrics::Metric;
use lapidary_core::model::{Model, ModelError, TaskShape};
use lapidary_core::registry::{
    BuildError, Entry, EvalInit, EvalSource, Factory, Info, Kind, Linked, Promise, Registry,
};
use lapidary_core::rng::Rng;
use lapidary_core::samples::Task;
use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::settings::{self, Checked, Schema};
use lapidary_core::space::{Axis, Point};
use lapidary_core::text::{did_you_mean, listed};
use lapidary_core::trial::{Candidate, Metrics, Outcome};
use lapidary_data::{Split, class_weights};
use rand_core::RngCore;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use super::checks::probe_points;
use super::data::{DataSettings, OpenData};
use super::gauge::Gauge;
use crate::measure;

/// The registry's entry.
pub static ENTRY: Entry = Entry {
    info: Info {
        name: "train",
        summary: "trains models of a family and measures them on the validation part of the data",
        docs: "Settings of the family and of the training stand here where they are the same for all trials, else they are axes. A \
               fidelity below 1 is the beginning of the same run; every epoch is reported. Measured are quality, sizes, the last \
               loss, and latency and seconds where the goal reads them.",
        settings: Schema::of::<Listed>(),
        promises: &[
            Promise::TakesFidelity,
            Promise::Reports,
            Promise::LeavesModel,
        ],
    },
    factory: Factory::Evaluator {
        make: &make,
        axes: &axes,
    },
};

inventory::submit! { Linked(&ENTRY) }

/// The sizes that are known before the first epoch.
const SIZES: [&str; 3] = ["params", "macs", "bytes"];

/// Another word for `learning_rate`.
pub(crate) const LEARNING_RATE_ALIAS: &str = "lr";

/// How a model is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Training {
    /// Peak learning rate.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    #[serde(alias = "lr")]
    pub learning_rate: f32,
    /// Update rule.
    pub optimizer: Rule,
    /// Momentum of `sgd`.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub momentum: f32,
    /// Weight decay.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f32,
    /// Learning-rate schedule.
    pub schedule: Schedule,
    /// Passes over the training samples at full fidelity.
    #[schemars(range(min = 1))]
    pub epochs: usize,
    /// Samples in a step.
    #[schemars(range(min = 1))]
    pub batch: usize,
    /// Label smoothing.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0), example = 0.1)]
    pub smoothing: f32,
    /// How classes are weighted.
    pub class_weights: ClassWeights,
    /// Epochs without a better validation metric before it stops; null trains to the end.
    #[schemars(example = 3)]
    pub patience: Option<usize>,
}

impl settings::Settings for Training {}

/// The update rules by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// Stochastic gradient descent with momentum.
    Sgd,
    /// AdamW.
    AdamW,
}

/// How classes are weighted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// The epochs at `fidelity`: that share of all, rounded up.
    fn epochs_at(&self, fidelity: f64) -> usize {
        ((self.epochs as f64 * fidelity).ceil() as usize).clamp(1, self.epochs)
    }

    fn plan(&self, data: &Split, seed: u64) -> FitPlan {
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
            epochs: self.epochs,
            batch: self.batch,
            patience: self.patience,
            seed,
            ..FitPlan::default()
        }
    }
}

/// The settings of `train` that no axis can be.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TrainSettings {
    /// Family of the models. All keys that do not stand here are settings of the family or of the training that are the same
    /// for all trials.
    #[schemars(extend("x-entry" = "family"), example = &"mlp")]
    pub family: String,
    #[serde(flatten)]
    pub data: DataSettings,
}

/// The settings of `train` but for those of the family.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Listed {
    #[serde(flatten)]
    own: TrainSettings,
    #[serde(flatten)]
    training: Training,
}

impl settings::Settings for TrainSettings {}
impl settings::Settings for Listed {}

impl TrainSettings {
    /// Reads the settings, and all others, which are to be fixed; whether these fit the family is not looked at.
    ///
    /// # Errors
    /// When one is missing or of another type.
    pub fn read(settings: &Json) -> Result<(Checked<Self>, Map<String, Json>), BuildError> {
        let mut fixed = settings.as_object().cloned().unwrap_or_default();
        let own = Self::keys();
        let own: Map<String, Json> = (own.iter())
            .filter_map(|key| fixed.shift_remove_entry(key))
            .collect();
        Ok((ENTRY.info.read_settings(&own.into())?, fixed))
    }

    fn keys() -> Vec<String> {
        Schema::of::<Self>().names()
    }
}

/// The family's own axes, but for those that are fixed.
fn axes(settings: &Json, source: &EvalSource<'_>) -> Result<Vec<Axis>, BuildError> {
    let (own, _) = TrainSettings::read(settings)?;
    let axes = source.installed.family_axes(&own.family);
    let mut axes = axes.unwrap_or_default();
    axes.retain(|axis| settings.get(&axis.name).is_none());
    Ok(axes)
}

fn make<'a>(settings: &Json, init: &EvalInit<'a>) -> Result<Box<dyn Evaluator + 'a>, BuildError> {
    let (own, fixed) = TrainSettings::read(settings)?;
    Ok(Box::new(Train::new(&own, fixed, init)?))
}

/// Trains models of a family.
struct Train<'a> {
    registry: &'a Registry,
    family: String,
    family_settings: Vec<String>,
    training_settings: Vec<String>,
    fixed: Map<String, Json>,
    data: OpenData,
    shape: TaskShape,
    gauge: Gauge,
    /// Whether the goal reads the time of training.
    seconds: bool,
    checkpoints: Arc<dyn Checkpoints>,
}

/// A trained model.
struct Trained {
    model: Box<dyn Model>,
    /// Mean training loss of the last epoch.
    loss: Option<f64>,
    paused: Option<Checkpoint>,
}

/// What a candidate's training is a part of: one run, of which its trials are the stages.
struct TrainingRun {
    settings: Settings,
    /// The trials whose training it goes on with, the first of the run first.
    stages: Vec<Candidate>,
    /// The seed and the id of the first trial, which key what is drawn.
    key: (u64, u64),
    /// The model before the first epoch.
    model: Box<dyn Model>,
    /// Seed of the shuffling.
    shuffle: u64,
}

impl TrainingRun {
    /// The epochs that a stage before a trial of `epochs` epochs has trained: what the trial itself does not report.
    fn trained_before(&self, epochs: usize) -> usize {
        let stages = self.stages.iter().map(|stage| self.epochs_of(stage));
        stages.filter(|before| *before <= epochs).max().unwrap_or(0)
    }

    fn epochs_of(&self, stage: &Candidate) -> usize {
        self.settings.training.epochs_at(stage.fidelity)
    }
}

/// What a point and the fixed values say.
struct Settings {
    family: Json,
    training: Checked<Training>,
}

impl<'a> Train<'a> {
    /// The evaluator of these settings, others of family and training being `fixed`.
    ///
    /// # Errors
    /// When the data cannot be read, the family is unknown, an axis or a fixed value is no setting of family or training, or
    /// no model can be built.
    fn new(
        own: &TrainSettings,
        fixed: Map<String, Json>,
        init: &EvalInit<'a>,
    ) -> Result<Self, BuildError> {
        let info = &ENTRY.info;
        let registry = init.source.installed;
        let entry = registry
            .entry(Kind::Family, &own.family)
            .map_err(|error| info.refuse_at(&["family"], error.to_string()))?;
        let (data, dataset) = OpenData::open(&own.data, &init.source, info, None)?;
        let shape = dataset.task_shape();
        let train = Self {
            registry,
            family: own.family.clone(),
            family_settings: entry.info.settings.names(),
            training_settings: Schema::of::<Training>().names(),
            fixed,
            data,
            shape: shape.map_err(|error| info.refuse_at(&["data"], error.to_string()))?,
            gauge: Gauge::new(init)?,
            seconds: init.goal.metrics().contains(&"seconds"),
            checkpoints: init.checkpoints.clone(),
        };
        let known = train.known();
        let axes = init.space.axes();
        for key in train.fixed.keys() {
            if !train.is_setting(key) {
                return Err(train.refuse(&[key], format!("`{key}` is no setting")));
            }
            if let Some(axis) = axes.iter().find(|a| canonical(&a.name) == canonical(key)) {
                let reason = format!(
                    "`{key}` is fixed here, but `{}` is an axis of the space",
                    axis.name
                );
                return Err(train.refuse(&[key], reason));
            }
        }
        for axis in axes {
            if !train.is_setting(&axis.name) {
                let reason = format!(
                    "axis `{}` is no setting of the family `{}` ({}) nor of the training ({}){}",
                    axis.name,
                    train.family,
                    listed(&train.family_settings),
                    listed(&train.training_settings),
                    did_you_mean(&axis.name, &known)
                );
                return Err(info.refuse_axis(&axis.name, reason));
            }
        }
        let fits = |point: &Point| {
            let settings = train.settings(point)?;
            let built = train.build(&settings.family, 0);
            built.map(|_| ()).map_err(|e| e.to_string())
        };
        probe_points(init, fits)
            .map_err(|reason| train.refuse(&[], format!("no model can be built: {reason}")))?;
        Ok(train)
    }

    /// The error that a setting, of the family maybe, is not as it must be.
    fn refuse(&self, path: &[&str], reason: String) -> BuildError {
        BuildError::Settings {
            name: ENTRY.info.name,
            reason,
            known: (TrainSettings::keys().into_iter())
                .chain(self.known().into_iter().map(str::to_owned))
                .collect(),
            path: path.iter().map(|part| (*part).to_owned()).collect(),
        }
    }

    fn known(&self) -> Vec<&str> {
        let all = self.family_settings.iter().chain(&self.training_settings);
        all.map(String::as_str).collect()
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
            let part = if self.family_settings.contains(name) {
                &mut family
            } else {
                &mut training
            };
            part.insert(name.clone(), value.clone());
        }
        let training = settings::read(&training.into())
            .map_err(|e| format!("settings of the training: {e}"))?;
        Ok(Settings {
            family: family.into(),
            training,
        })
    }

    fn build(&self, settings: &Json, seed: u64) -> Result<Box<dyn Model>, BuildError> {
        self.registry
            .family(&self.family, settings, &self.shape, seed)
    }

    /// The run that `candidate` is a stage of: those trials of its `lineage` that trained the same point belong to it.
    fn run(
        &self,
        candidate: &Candidate,
        lineage: &[Candidate],
        seed: u64,
    ) -> Result<TrainingRun, String> {
        let same = |stage: &&Candidate| stage.point == candidate.point;
        let stages = lineage.iter().rev().take_while(same).count();
        let stages = lineage[lineage.len() - stages..].to_vec();
        let settings = self.settings(&candidate.point)?;
        let first = stages.first().unwrap_or(candidate).id;
        let mut rng = Rng::keyed(seed, first, "train");
        let (weights, shuffle) = (rng.next_u64(), rng.next_u64());
        let model = self.build(&settings.family, weights);
        Ok(TrainingRun {
            settings,
            stages,
            key: (seed, first),
            model: model.map_err(|e| e.to_string())?,
            shuffle,
        })
    }

    /// Trains the first `epochs` epochs of `run`, what its stages kept being used.
    fn train(
        &self,
        run: &TrainingRun,
        epochs: usize,
        cancel: &Cancel,
        epoch: &(dyn Fn(&Epoch) -> Verdict + Sync),
    ) -> Result<Trained, String> {
        let trainable = run
            .model
            .trainable()
            .ok_or_else(|| format!("a model of the family `{}` cannot be trained", self.family))?;
        let plan = FitPlan {
            pause: Some(epochs),
            from: self.kept(run, epochs).map(Arc::new),
            ..run.settings.training.plan(&self.data.split, run.shuffle)
        };
        let (train, valid) = (&self.data.split.train, &self.data.split.valid);
        let fitted = trainable
            .fit(&plan, train, Some(valid), &FitContext { cancel, epoch })
            .map_err(|e| e.to_string())?;
        Ok(Trained {
            model: fitted.model,
            loss: fitted.history.last().map(|last| last.loss),
            paused: fitted.paused,
        })
    }

    /// The furthest state of `run` that was kept and is not beyond `epochs`.
    fn kept(&self, run: &TrainingRun, epochs: usize) -> Option<Checkpoint> {
        let stages = run.stages.iter().rev();
        let mut usable = stages.filter(|stage| run.epochs_of(stage) <= epochs);
        usable
            .find_map(|stage| self.checkpoints.load(stage.id, &self.origin(run, stage)))
            .map(Checkpoint)
    }

    /// All that the state of a stage came from, in a line.
    fn origin(&self, run: &TrainingRun, stage: &Candidate) -> String {
        json!({
            "family": self.family,
            "fixed": self.fixed,
            "point": stage.point.to_json(),
            "samples": [self.data.split.train.len(), self.data.split.valid.len()],
            "key": [run.key.0, run.key.1],
            "epochs": run.epochs_of(stage),
        })
        .to_string()
    }

    /// Keeps the state of `candidate` for a later stage, and drops that of the stage before, which was gone on from.
    fn keep(&self, run: &TrainingRun, candidate: &Candidate, paused: Option<&Checkpoint>) {
        if let Some(paused) = paused.filter(|_| candidate.fidelity < 1.0) {
            let origin = self.origin(run, candidate);
            self.checkpoints.save(candidate.id, &origin, &paused.0);
        }
        if let Some(before) = run.stages.last() {
            self.checkpoints.forget(before.id);
        }
    }

    /// What an epoch is reported as: what it gave, and the sizes, which are known from the start.
    fn report(&self, epoch: &Epoch, sizes: &Metrics) -> Metrics {
        let mut metrics = sizes.clone();
        metrics.insert("loss".to_owned(), epoch.loss);
        if let Some(valid) = epoch.valid {
            let (metric, sign) = self.validated();
            metrics.insert(metric.name().into(), sign * valid);
        }
        metrics
    }

    /// What the trainer measures after each epoch, and the sign it has there: the trainer's measure rises with quality.
    fn validated(&self) -> (Metric, f64) {
        match self.data.task {
            Task::Classification { .. } => (Metric::Accuracy, 1.0),
            Task::Regression { .. } => (Metric::Mse, -1.0),
        }
    }

    /// Trains and measures `candidate`; with the epoch at which it was stopped, 0 where it was not.
    fn evaluated(
        &self,
        candidate: &Candidate,
        cx: &EvalContext<'_>,
    ) -> Result<(Metrics, usize), String> {
        let began = Instant::now();
        let busy = self.gauge.busy();
        let stopped = AtomicUsize::new(0);
        let run = self.run(candidate, cx.lineage, cx.seed)?;
        let epochs = run.epochs_of(candidate);
        let before = run.trained_before(epochs);
        let sizes = sizes(run.model.as_ref())?;
        let trained = self.train(&run, epochs, cx.cancel, &|epoch| {
            // Where the state of the stage before was lost, its epochs come again.
            if epoch.epoch <= before {
                return Verdict::Continue;
            }
            let verdict = (cx.report)(epoch.epoch as u64, &self.report(epoch, &sizes));
            if verdict == Verdict::Stop {
                stopped.store(epoch.epoch, Ordering::Relaxed);
            }
            verdict
        })?;
        let seconds = began.elapsed().as_secs_f64();
        let valid = &self.data.split.valid;
        let mut metrics = self.gauge.measure(busy, trained.model.as_ref(), valid)?;
        metrics.extend(trained.loss.map(|loss| ("loss".into(), loss)));
        if self.seconds {
            metrics.insert("seconds".into(), seconds);
        }
        self.data.keep(trained.model.as_ref(), cx);
        self.keep(&run, candidate, trained.paused.as_ref());
        Ok((metrics, stopped.into_inner()))
    }
}

/// The sizes of a model that training does not change.
fn sizes(model: &dyn Model) -> Result<Metrics, String> {
    let mut sizes = measure::sizes(model).map_err(|e| e.to_string())?;
    sizes.retain(|name, _| SIZES.contains(&name.as_str()));
    Ok(sizes)
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
        match self.evaluated(candidate, cx) {
            Err(reason) => Outcome::Failed { reason },
            Ok((metrics, 0)) => Outcome::Measured { metrics },
            Ok((metrics, epoch)) => Outcome::Stopped {
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
                stepwise: false,
            });
        }
        let validated = self.validated().0.name();
        for metric in &mut metrics {
            let name = metric.name.as_str();
            metric.stepwise = name == validated || name == "loss" || SIZES.contains(&name);
        }
        Some(metrics)
    }

    fn test(&self, _: &Candidate, model: &dyn Model) -> Result<Option<Metrics>, ModelError> {
        self.data.test(model, self.gauge.runtime())
    }
}
