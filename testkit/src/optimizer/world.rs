//! Models, samples and the host that the properties run optimizers with.

use std::sync::OnceLock;

use lapidary_core::cancel::Cancel;
use lapidary_core::fit::{FitContext, FitPlan, Verdict};
use lapidary_core::json::Json;
use lapidary_core::metrics::{Metric, evaluate};
use lapidary_core::model::{Model, ModelError, ModelSpec, Size, TaskShape, predict};
use lapidary_core::optimizer::{OptimizeContext, OptimizeError, Optimized, Optimizer};
use lapidary_core::registry::{Entry, Factory, Registry};
use lapidary_core::samples::Samples;
use lapidary_core::trial::Metrics;
use lapidary_data::Split;
use lapidary_model::GraphModel;
use serde_json::json;

/// Training and validation samples that most properties use; more say no more and take longer.
const FEW: usize = 192;

/// The bundled digits, split, and what a model for them takes and gives.
pub fn digits() -> &'static (Split, TaskShape) {
    static DIGITS: OnceLock<(Split, TaskShape)> = OnceLock::new();
    DIGITS.get_or_init(|| {
        let data = lapidary_data::open("digits", &lapidary_data::Options::default())
            .expect("the digits are bundled");
        (
            data.split().expect("they split"),
            data.task_shape().expect("they have classes"),
        )
    })
}

/// A family's model for the digits, its weights drawn from `seed`.
///
/// # Errors
/// When the zoo has no such family, or the settings do not fit.
pub fn family(name: &str, settings: &Json, seed: u64) -> Result<Box<dyn Model>, ModelError> {
    let registry =
        Registry::new(lapidary_zoo::ENTRIES).map_err(|e| ModelError::Graph(e.to_string()))?;
    (registry.family(name, settings, &digits().1, seed))
        .map_err(|e| ModelError::Graph(e.to_string()))
}

/// A family's model, trained on the training digits for some epochs.
///
/// # Panics
/// When the model is no better than 90 % on the test digits: nothing could be told from it.
pub fn trained(name: &str, settings: &Json, epochs: usize) -> Box<dyn Model> {
    let split = &digits().0;
    let model = family(name, settings, 0).expect("the zoo builds it");
    let plan = FitPlan {
        learning_rate: 3e-3,
        epochs,
        ..FitPlan::default()
    };
    let context = FitContext {
        cancel: &Cancel::new(),
        epoch: &|_| Verdict::Continue,
    };
    let trainable = model.trainable().expect("the zoo's models can be trained");
    let trained = trainable
        .fit(&plan, &split.train, None, &context)
        .expect("training works")
        .model;
    let reached = accuracy(trained.as_ref(), &split.test).expect("the model runs");
    assert!(
        reached > 0.9,
        "an accuracy of {reached} after {epochs} epochs"
    );
    trained
}

/// A model of each kind: matrices; convolutions with normalisation, and with skips. Their weights are random.
pub(crate) fn models() -> &'static [(&'static str, Box<dyn Model>)] {
    static MODELS: OnceLock<Vec<(&'static str, Box<dyn Model>)>> = OnceLock::new();
    MODELS.get_or_init(|| {
        let make = |family_name, settings: Json| {
            (
                family_name,
                family(family_name, &settings, 5).expect("the zoo builds it"),
            )
        };
        vec![
            make("mlp", json!({"depth": 2, "width": 40})),
            make("convnet", json!({"width": 8})),
            make("convnet", json!({"width": 6, "skip": true})),
        ]
    })
}

/// The host of an optimizer: what it may see, and what it is told.
#[derive(Clone)]
pub struct World {
    /// Training samples, where given.
    pub train: Option<Samples>,
    /// Validation samples, where given.
    pub valid: Option<Samples>,
    /// Calibration samples, where given.
    pub calibration: Option<Samples>,
    /// Seed of the optimizer.
    pub seed: u64,
    /// Ends the work.
    pub cancel: Cancel,
    /// Whether the flag is set once the optimizer first tells of its progress.
    pub cancels_at_work: bool,
}

impl World {
    /// Some digits to train, calibrate and decide on.
    pub fn digits() -> Self {
        let split = &digits().0;
        Self {
            train: Some(split.train.head(FEW)),
            valid: Some(split.valid.head(FEW)),
            calibration: None,
            seed: 1,
            cancel: Cancel::new(),
            cancels_at_work: false,
        }
    }

    /// Digits to calibrate and decide on, none to train on.
    pub fn without_training() -> Self {
        let world = Self::digits();
        Self {
            calibration: world.train.clone(),
            train: None,
            ..world
        }
    }

    /// Runs the optimizer of an entry without a goal.
    ///
    /// # Errors
    /// What the optimizer gives.
    pub fn run(
        &self,
        entry: &Entry,
        settings: &Json,
        model: &dyn Model,
    ) -> Result<Optimized, OptimizeError> {
        self.run_with(entry, settings, model, &|_| true)
    }

    /// Runs the optimizer of an entry under a goal.
    ///
    /// # Errors
    /// What the optimizer gives.
    pub fn run_with(
        &self,
        entry: &Entry,
        settings: &Json,
        model: &dyn Model,
        accept: &(dyn Fn(&Metrics) -> bool + Sync),
    ) -> Result<Optimized, OptimizeError> {
        let build = |spec: &ModelSpec| match spec {
            ModelSpec::Family { name, settings } => family(name, settings, self.seed),
            ModelSpec::File(path) => Ok(Box::new(GraphModel::open(path)?) as Box<dyn Model>),
        };
        let cx = OptimizeContext {
            train: self.train.as_ref(),
            valid: self.valid.as_ref(),
            calibration: self.calibration.as_ref(),
            measure: &|model| self.measure(model),
            accept,
            build: &build,
            seed: self.seed,
            cancel: &self.cancel,
            progress: &|share, _| {
                assert!(
                    (0.0..=1.0).contains(&share),
                    "progress is a share, not {share}"
                );
                if self.cancels_at_work && share < 1.0 {
                    self.cancel.cancel();
                }
            },
        };
        optimizer(entry, settings).optimize(model, &cx)
    }

    /// Runs the optimizer of an entry without a goal, on a model it has to be able to handle.
    ///
    /// # Panics
    /// When the optimizer gives an error.
    pub fn optimized(&self, entry: &Entry, settings: &Json, model: &dyn Model) -> Box<dyn Model> {
        match self.run(entry, settings, model) {
            Ok(optimized) => optimized.model,
            Err(error) => panic!("`{}` with {settings}: {error}", entry.info.name),
        }
    }

    /// Sizes, and with validation samples accuracy.
    pub(crate) fn measure(&self, model: &dyn Model) -> Result<Metrics, ModelError> {
        let size = Size::of(model);
        let mut metrics = Metrics::from([
            ("bytes".to_owned(), model.file_bytes()? as f64),
            ("params".to_owned(), size.params as f64),
            ("macs".to_owned(), size.macs as f64),
            ("sparsity".to_owned(), size.sparsity),
        ]);
        if let Some(valid) = &self.valid {
            metrics.insert("accuracy".into(), accuracy(model, valid)?);
        }
        Ok(metrics)
    }
}

/// The optimizer of an entry.
///
/// # Panics
/// When the entry is no optimizer, or refuses the settings.
pub(crate) fn optimizer(entry: &Entry, settings: &Json) -> Box<dyn Optimizer> {
    let Factory::Optimizer(make) = entry.factory else {
        panic!("`{}` is not an optimizer", entry.info.name);
    };
    make(settings).unwrap_or_else(|e| panic!("{settings}: {e}"))
}

/// Share of samples whose class has the largest output.
///
/// # Errors
/// When the model cannot be run.
///
/// # Panics
/// When the samples have no classes.
pub fn accuracy(model: &dyn Model, samples: &Samples) -> Result<f64, ModelError> {
    let targets = samples
        .targets
        .as_ref()
        .expect("the properties use samples with classes");
    let predicted = predict(model, samples, 64)?;
    let activation = model.signature().activation(&predicted.output);
    let metrics = evaluate(&predicted.values, targets, activation, &[Metric::Accuracy]);
    let metrics = metrics.map_err(|e| ModelError::Measure(e.to_string()))?;
    Ok(metrics[Metric::Accuracy.name()])
}

/// The model as the bytes of a file: everything about it.
pub(crate) fn file(model: &dyn Model) -> Vec<u8> {
    let model = GraphModel::of(model).expect("the models here are of graphs");
    model.to_bytes().expect("the model can be written")
}
