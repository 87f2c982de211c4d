//! Recipes: optimizers to apply one after the other, read from the command line or a file, run, and measured by the host.

use std::path::Path;
use std::str::FromStr;

use lapidary_core::cancel::Cancel;
use lapidary_core::json::Json;
use lapidary_core::metrics::Metric;
use lapidary_core::model::{Dim, Model, ModelError, ModelSpec, Size, TaskShape};
use lapidary_core::optimizer::{OptimizeContext, OptimizeError, Optimizer, Recipe, Step};
use lapidary_core::outputs;
use lapidary_core::registry::{BuildError, Registry};
use lapidary_core::runtime::Runtime;
use lapidary_core::samples::{Samples, Task};
use lapidary_core::trial::Metrics;
use lapidary_core::units;
use thiserror::Error;

use crate::error::StudyFileError;
use crate::file::Place;
use crate::file::tree::{Item, Table};
use crate::measure::{self, Latency};
use crate::models;

/// Reads a step as `NAME` or `NAME:key=value,key=value`, as given behind `--with`. Keys may be dotted; values are TOML, or
/// else texts.
///
/// # Errors
/// When the text is of another form.
pub fn parse_step(text: &str) -> Result<Step, StudyFileError> {
    let refuse = |reason: &str| StudyFileError::Step {
        text: text.to_owned(),
        reason: reason.to_owned(),
    };
    let (name, settings) = text.split_once(':').unwrap_or((text, ""));
    let name = name.trim();
    if name.is_empty() {
        return Err(refuse(
            "write NAME:key=value,key=value, for example quantize:bits=8",
        ));
    }
    let mut table = Table::empty(Place::Override(text.into()));
    for pair in split_commas(settings) {
        put(&mut table, text, pair, "quantize:bits=8").map_err(|reason| refuse(&reason))?;
    }
    Ok(Step {
        name: name.to_owned(),
        settings: table.to_json(),
    })
}

/// Reads an optimizer's settings as `key=value` each, as given behind `--set`; keys and values are those of [`parse_step`].
///
/// # Errors
/// When a text is of another form.
pub fn parse_settings(sets: &[String]) -> Result<Json, StudyFileError> {
    let mut table = Table::empty(Place::Override(sets.join(" ").into()));
    for text in sets {
        let refuse = |reason| StudyFileError::Override {
            text: text.clone(),
            reason,
        };
        put(&mut table, text, text, "bits=8").map_err(refuse)?;
    }
    Ok(table.to_json())
}

/// Puts the `pair` of a key and a value, which is a part of `text`, into a table.
fn put(table: &mut Table, text: &str, pair: &str, example: &str) -> Result<(), String> {
    let (key, value) = (pair.split_once('='))
        .ok_or_else(|| format!("`{pair}` is not key=value; write for example {example}"))?;
    let path: Vec<&str> = key.trim().split('.').collect();
    table.set(&path, Item::from_override(text, value.trim()))
}

/// Cuts at commas outside of quotes and brackets; no text gives no part.
fn split_commas(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut depth, mut quote) = (0, 0usize, None);
    for (i, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                parts.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// Reads the recipe file at `path`: `[[step]]` tables with a `name`; all other keys are settings.
///
/// # Errors
/// When the file cannot be read or has a mistake; the error says where.
pub fn load_recipe(path: &Path) -> Result<Recipe, StudyFileError> {
    let text = std::fs::read_to_string(path).map_err(|source| StudyFileError::Read {
        path: path.to_path_buf(),
        source,
    })?;
    let document = Table::parse(path, &text)?;
    document.check_keys(&["step"])?;
    let Some(steps) = document.get("step") else {
        return Err(StudyFileError::at(
            &document.place,
            "a recipe needs at least one [[step]] with a name, for example name = \"quantize\"",
        ));
    };
    let steps = steps
        .elements()
        .iter()
        .map(|item| step_of(item.as_table()?))
        .collect::<Result<_, StudyFileError>>()?;
    Ok(Recipe { steps })
}

/// The step that a table with a `name` stands for; all other keys are settings.
fn step_of(table: &Table) -> Result<Step, StudyFileError> {
    let name = table.required("name", "name = \"quantize\"")?;
    let mut settings = table.clone();
    settings.remove("name");
    Ok(Step {
        name,
        settings: settings.to_json(),
    })
}

/// How much worse a metric may become.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MaxDrop {
    /// By this much, in the metric's unit.
    Absolute(f64),
    /// By this share of the original's value.
    Relative(f64),
}

impl FromStr for MaxDrop {
    type Err = StudyFileError;

    /// Reads `0.01` (absolute) or `0.5%` (relative).
    fn from_str(text: &str) -> Result<Self, StudyFileError> {
        let refuse = |reason: String| StudyFileError::MaxDrop {
            text: text.to_owned(),
            reason,
        };
        let value = units::number(text).map_err(refuse)?;
        if value < 0.0 {
            return Err(refuse("it must be at least 0".into()));
        }
        Ok(if text.trim_end().ends_with('%') {
            Self::Relative(value)
        } else {
            Self::Absolute(value)
        })
    }
}

/// A metric that must not become much worse than the original's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// The metric.
    pub metric: Metric,
    /// By how much it may worsen.
    pub max_drop: MaxDrop,
}

impl Limit {
    /// Whether `value` is close enough to `original`.
    pub fn holds(&self, original: f64, value: f64) -> bool {
        let worse = if self.metric.higher_is_better() {
            original - value
        } else {
            value - original
        };
        let allowed = match self.max_drop {
            MaxDrop::Absolute(by) => by,
            MaxDrop::Relative(share) => share * original.abs(),
        };
        // Forgiving the rounding of the difference, not a sample more.
        worse <= allowed + 1e-12
    }
}

/// What running a recipe may use.
pub struct RecipeContext<'a> {
    /// Where optimizers and families come from.
    pub registry: &'a Registry,
    /// What runs the models when they are measured.
    pub runtime: &'a dyn Runtime,
    /// Samples to fit on.
    pub train: Option<&'a Samples>,
    /// Samples to decide on.
    pub valid: Option<&'a Samples>,
    /// Samples that only the reported metrics see.
    pub test: Option<&'a Samples>,
    /// Samples to calibrate activations with; a part of `train` where there are none.
    pub calibration: Option<&'a Samples>,
    /// Samples in one run of a model when its quality is measured.
    pub batch: usize,
    /// Name of the output that is measured; the one that fits the targets where none is named.
    pub output: Option<&'a str>,
    /// What must be kept, on `valid`.
    pub limit: Option<Limit>,
    /// Samples in a run when latencies are taken (nothing else of ours may run then); `None` takes none.
    pub latency: Option<usize>,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Ends the work early.
    pub cancel: &'a Cancel,
    /// Takes progress: share done in [0, 1] and what is being done.
    pub progress: &'a (dyn Fn(f64, &str) + Sync),
}

/// A model on its way through a recipe, as the host measured it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// `original`, or the name of the step that gave the model.
    pub name: String,
    /// Quality on the test samples; empty where there are none.
    pub metrics: Metrics,
    /// Parameters, MACs and sparsity.
    pub size: Size,
    /// Bytes of the model as a file.
    pub bytes: u64,
    /// Latency, where it was taken.
    pub latency: Option<Latency>,
    /// What the optimizer has to say.
    pub notes: Vec<String>,
}

/// What running a recipe gave.
pub struct RecipeRun {
    /// The model before the first and after every step.
    pub stages: Vec<Stage>,
    /// The models of the stages, in the same order.
    pub models: Vec<Box<dyn Model>>,
    /// Whether the last model keeps the limit; true where there is none.
    pub goal_met: bool,
}

impl RecipeRun {
    /// The model after the last step.
    pub fn model(&self) -> &dyn Model {
        self.models
            .last()
            .expect("the original is always there")
            .as_ref()
    }
}

/// What can go wrong when a recipe is run.
#[derive(Debug, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum RecipeError {
    #[error("step {number}: {source}", number = index + 1)]
    Build { index: usize, source: BuildError },
    #[error("step {number} ({name}): {source}", number = index + 1)]
    Step {
        index: usize,
        name: String,
        source: OptimizeError,
    },
    #[error("the model {stage}: {source}")]
    Measure { stage: String, source: ModelError },
    #[error("a limit on {metric} needs data to measure it on")]
    NoData { metric: Metric },
    #[error("interrupted")]
    Cancelled,
}

/// Makes the optimizers of `recipe`.
///
/// # Errors
/// When a name is not installed or settings do not fit; the error says which there are.
pub fn optimizers(
    registry: &Registry,
    recipe: &Recipe,
) -> Result<Vec<Box<dyn Optimizer>>, RecipeError> {
    recipe
        .steps
        .iter()
        .enumerate()
        .map(|(index, step)| {
            registry
                .optimizer(&step.name, &step.settings)
                .map_err(|source| RecipeError::Build { index, source })
        })
        .collect()
}

/// Runs `recipe` on `model`. All names and settings are checked before anything is run.
///
/// # Errors
/// When a step is unknown or fails, a model cannot be measured, or the work is cancelled.
pub fn run_recipe(
    model: &dyn Model,
    recipe: &Recipe,
    cx: &RecipeContext<'_>,
) -> Result<RecipeRun, RecipeError> {
    let optimizers = optimizers(cx.registry, recipe)?;
    // Every optimizer returns a model of the same signature: the samples are fitted to it once.
    let fit = |samples: Option<&Samples>| {
        let fitted = samples.map(|s| measure::fitted(model, s)).transpose();
        measured("and the data", fitted)
    };
    let (train, valid) = (fit(cx.train)?, fit(cx.valid)?);
    let (test, calibration) = (fit(cx.test)?, fit(cx.calibration)?);
    let cx = &RecipeContext {
        train: train.as_ref(),
        valid: valid.as_ref(),
        test: test.as_ref(),
        calibration: calibration.as_ref(),
        ..*cx
    };
    let original = cx.baseline(model)?;
    let accept = |metrics: &Metrics| match (&cx.limit, original) {
        (Some(limit), Some(original)) => metrics
            .get(limit.metric.name())
            .is_some_and(|value| limit.holds(original, *value)),
        _ => true,
    };
    let measure = |model: &dyn Model| cx.decide(model);
    let build = |spec: &ModelSpec| cx.build(model, spec);

    let bare = |samples: &Option<&Samples>| samples.is_some_and(|s| s.targets.is_none());
    let notes = match bare(&cx.test) || bare(&cx.valid) {
        true => vec!["the data has no targets: sizes are told, and no quality".to_owned()],
        false => Vec::new(),
    };
    let mut run = RecipeRun {
        stages: vec![cx.stage("original", model, notes)?],
        models: vec![model.share()],
        goal_met: true,
    };
    let total = optimizers.len() as f64;
    for (index, (step, optimizer)) in recipe.steps.iter().zip(&optimizers).enumerate() {
        let progress = |share: f64, what: &str| {
            let done = (index as f64 + share.clamp(0.0, 1.0)) / total;
            (cx.progress)(done, &format!("{}: {what}", step.name));
        };
        let optimized = optimizer
            .optimize(
                run.model(),
                &OptimizeContext {
                    train: cx.train,
                    valid: cx.valid,
                    calibration: cx.calibration,
                    measure: &measure,
                    accept: &accept,
                    build: &build,
                    seed: cx.seed,
                    cancel: cx.cancel,
                    progress: &progress,
                },
            )
            .map_err(|source| match source {
                OptimizeError::Cancelled => RecipeError::Cancelled,
                source => RecipeError::Step {
                    index,
                    name: step.name.clone(),
                    source,
                },
            })?;
        let stage = cx.stage(&step.name, optimized.model.as_ref(), optimized.notes)?;
        run.stages.push(stage);
        run.models.push(optimized.model);
    }
    if cx.limit.is_some() {
        run.goal_met = accept(&measured("after the last step", measure(run.model()))?);
    }
    Ok(run)
}

fn measured<T>(stage: &str, result: Result<T, ModelError>) -> Result<T, RecipeError> {
    result.map_err(|source| match source {
        ModelError::Cancelled => RecipeError::Cancelled,
        source => RecipeError::Measure {
            stage: stage.to_owned(),
            source,
        },
    })
}

impl RecipeContext<'_> {
    /// The metrics of a model on samples; none where there are no targets and none is wanted by name.
    fn quality(
        &self,
        model: &dyn Model,
        samples: &Samples,
        wanted: &[Metric],
    ) -> Result<Metrics, ModelError> {
        if samples.targets.is_none() && wanted.is_empty() {
            return Ok(Metrics::new());
        }
        let output = self.output;
        let quality = measure::quality(self.runtime, model, samples, wanted, output, self.batch)?;
        Ok(quality.metrics)
    }

    /// The original's value of the limited metric.
    fn baseline(&self, model: &dyn Model) -> Result<Option<f64>, RecipeError> {
        let Some(limit) = self.limit else {
            return Ok(None);
        };
        let metric = limit.metric;
        let samples = self.valid.ok_or(RecipeError::NoData { metric })?;
        let quality = self.quality(model, samples, &[metric]);
        Ok(measured("before the first step", quality)?
            .get(metric.name())
            .copied())
    }

    /// What decisions may see: quality on the validation samples, and sizes.
    fn decide(&self, model: &dyn Model) -> Result<Metrics, ModelError> {
        let mut metrics = measure::sizes(model)?;
        if let Some(valid) = self.valid {
            metrics.extend(self.quality(model, valid, &[])?);
        }
        Ok(metrics)
    }

    fn stage(
        &self,
        name: &str,
        model: &dyn Model,
        notes: Vec<String>,
    ) -> Result<Stage, RecipeError> {
        let samples = self.test.or(self.valid).or(self.train);
        let measure = || {
            Ok(Stage {
                name: name.to_owned(),
                metrics: match self.test {
                    Some(test) => self.quality(model, test, &[])?,
                    None => Metrics::new(),
                },
                size: Size::of(model),
                bytes: model.file_bytes()?,
                latency: match (samples, self.latency) {
                    (Some(samples), Some(batch)) => {
                        measure::latency(self.runtime, model, samples, batch)?
                    }
                    _ => None,
                },
                notes,
            })
        };
        measured(&format!("of stage {name}"), measure())
    }

    /// Builds another model for the task of `model`.
    fn build(&self, model: &dyn Model, spec: &ModelSpec) -> Result<Box<dyn Model>, ModelError> {
        match spec {
            ModelSpec::Family { name, settings } => self
                .registry
                .family(name, settings, &task_of(model, self.train)?, self.seed)
                .map_err(|e| ModelError::Unsupported(e.to_string())),
            ModelSpec::File(path) => models::open(self.registry, path),
        }
    }
}

/// What `model` takes and predicts: its input's shape, fixed extents only, and the targets of `samples` (else its output).
fn task_of(model: &dyn Model, samples: Option<&Samples>) -> Result<TaskShape, ModelError> {
    let signature = model.signature();
    let [input] = &signature.inputs[..] else {
        return Err(ModelError::Unsupported(format!(
            "a student for {} inputs",
            signature.inputs.len()
        )));
    };
    let fixed = |shape: &[Dim]| -> Option<Vec<usize>> {
        let extents = shape.get(1..)?.iter().map(|dim| match dim {
            Dim::Fixed(extent) => Some(*extent),
            Dim::Symbol(_) => None,
        });
        extents.collect()
    };
    let sample = fixed(&input.shape)
        .or_else(|| {
            let samples = samples?;
            let array = samples.inputs.get(&input.name).or_else(|| {
                let mut arrays = samples.inputs.values();
                arrays.next().filter(|_| samples.inputs.len() == 1)
            })?;
            array.shape().get(1..).map(<[usize]>::to_vec)
        })
        .ok_or_else(|| ModelError::Unsupported("an input whose shape is not known".into()))?;
    let told = samples.and_then(|s| s.targets.as_ref()).map(|t| t.task());
    let names = outputs::candidates(signature, told.as_ref(), None)?;
    let output = signature
        .outputs
        .iter()
        .find(|o| names.first() == Some(&o.name));
    let columns = output
        .and_then(|o| fixed(&o.shape))
        .map(|shape| shape.iter().product());
    let task = match told {
        // The data may lack some of the classes that the model knows.
        Some(Task::Classification { classes }) => Task::Classification {
            classes: columns.unwrap_or(classes).max(classes),
        },
        Some(task) => task,
        None => {
            let outputs = output.and_then(|o| fixed(&o.shape));
            let values = outputs.map(|shape| shape.iter().product()).ok_or_else(|| {
                ModelError::Unsupported("an output whose shape is not known".into())
            })?;
            Task::Classification { classes: values }
        }
    };
    Ok(TaskShape {
        input: input.name.clone(),
        sample,
        task,
    })
}

/// The JSON form of the stages, as `--json` prints it.
pub fn stages_json(stages: &[Stage]) -> Json {
    stages
        .iter()
        .map(|stage| {
            serde_json::json!({
                "name": stage.name,
                "metrics": stage.metrics,
                "params": stage.size.params,
                "bytes": stage.bytes,
                "macs": stage.size.macs,
                "macs_partial": stage.size.macs_partial,
                "sparsity": stage.size.sparsity,
                "latency_ms": stage.latency.map(|l| l.ms),
                "latency": stage.latency,
                "notes": stage.notes,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
