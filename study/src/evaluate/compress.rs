//! `kind = "compress"`: runs a recipe, whose settings the point fills in, on a model.
//!
//! In a text among the settings `{axis}` is replaced by the value of the axis: by the value itself where the text holds
//! nothing else, by its text within others. A setting that is nothing but an inactive axis is left out.

use lapidary_core::cancel::Cancel;
use lapidary_core::evaluator::{EvalContext, Evaluator, MetricInfo};
use lapidary_core::inventory;
use lapidary_core::json::Json;
use lapidary_core::model::{Model, ModelError};
use lapidary_core::optimizer::{Recipe, Step};
use lapidary_core::registry::{
    BuildError, Entry, EvalInit, EvalSource, Factory, Info, Linked, Promise, Registry,
};
use lapidary_core::rng::Rng;
use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::settings::{Checked, Schema, Settings};
use lapidary_core::space::{Axis, Point};
use lapidary_core::text::{did_you_mean, listed};
use lapidary_core::trial::{Candidate, Metrics, Outcome};
use rand_core::RngCore;
use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::checks::{probe_points, read_settings};
use super::data::{DataSettings, OpenData};
use super::gauge::Gauge;
use super::template::{fill, placeholders};
use crate::file::section::OneOrMany;
use crate::measure;
use crate::models;
use crate::recipe::{RecipeContext, RecipeError, optimizers, parse_step, run_recipe};

/// The registry's entry.
pub static ENTRY: Entry = Entry {
    info: Info {
        name: "compress",
        summary: "runs a recipe of optimizers on a model, the point filling in its settings",
        docs: "In the texts of the recipe `{axis}` stands for the axis's value. The optimizers fit on the training part of the data and \
               decide on the validation part, on which the result is measured; sizes too, and the latency where the goal reads it.",
        settings: Schema::of::<CompressSettings>(),
        promises: &[Promise::LeavesModel],
    },
    factory: Factory::Evaluator {
        make: &make,
        axes: &axes,
    },
};

inventory::submit! { Linked(&ENTRY) }

/// Settings of `compress`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct CompressSettings {
    /// The model's ONNX file.
    #[schemars(example = &"model.onnx")]
    model: String,
    /// Optimizers with their settings, applied in order; `{axis}` in a setting's text stands for the axis's value.
    #[schemars(extend("examples" = [["prune:sparsity={sparsity}", "quantize"]]))]
    recipe: OneOrMany<RecipeStep>,
    #[serde(flatten)]
    data: DataSettings,
}

/// A step of a recipe: a text as behind `--with`, or a table with a name and settings.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum RecipeStep {
    Text(String),
    Table(Map<String, Json>),
}

impl Settings for CompressSettings {}

/// Runs recipes on a model.
struct Compress<'a> {
    registry: &'a Registry,
    model: Box<dyn Model>,
    recipe: Recipe,
    data: OpenData,
    gauge: Gauge,
}

/// The settings, and the recipe that they say.
fn read(settings: &Json) -> Result<(Checked<CompressSettings>, Recipe), BuildError> {
    let settings: Checked<CompressSettings> = read_settings(&ENTRY.info, settings)?;
    let steps = settings.recipe.as_slice().iter().enumerate();
    let steps = steps.map(|(i, written)| {
        step(written).map_err(|reason| {
            let reason = format!("`evaluate.recipe`: {reason}");
            ENTRY.info.refuse_at(&["recipe", &i.to_string()], reason)
        })
    });
    let steps = steps.collect::<Result<_, _>>()?;
    Ok((settings, Recipe { steps }))
}

/// The step that is written.
fn step(written: &RecipeStep) -> Result<Step, String> {
    match written {
        RecipeStep::Text(text) => parse_step(text).map_err(|error| error.to_string()),
        RecipeStep::Table(table) => {
            let mut settings = table.clone();
            let name = settings.shift_remove("name");
            let name = name.as_ref().and_then(Json::as_str);
            Ok(Step {
                name: name
                    .ok_or("`name` is missing; write for example name = \"quantize\"")?
                    .to_owned(),
                settings: settings.into(),
            })
        }
    }
}

fn axes(settings: &Json, _: &EvalSource<'_>) -> Result<Vec<Axis>, BuildError> {
    read(settings).map(|_| Vec::new())
}

fn make<'a>(settings: &Json, init: &EvalInit<'a>) -> Result<Box<dyn Evaluator + 'a>, BuildError> {
    let info = &ENTRY.info;
    let (settings, recipe) = read(settings)?;
    let registry = init.source.installed;
    let refuse = |i: usize, reason: String| info.refuse_at(&["recipe", &i.to_string()], reason);
    let axes: Vec<&str> = init.space.axes().iter().map(|a| a.name.as_str()).collect();
    let mut used = Vec::new();
    for (i, written) in recipe.steps.iter().enumerate() {
        for name in placeholders(&written.settings, &axes) {
            if !axes.contains(&name.as_str()) {
                let hint = did_you_mean(&name, &axes);
                let reason = format!(
                    "`{{{name}}}` is no axis of the space{hint}; there are {}",
                    listed(&axes)
                );
                return Err(refuse(i, reason));
            }
            used.push(name);
        }
    }
    if let Some(idle) = axes.iter().find(|a| !used.iter().any(|u| u == *a)) {
        let reason = format!(
            "no setting of the recipe reads `{{{idle}}}`, so the axis `{idle}` changes nothing"
        );
        return Err(info.refuse_axis(idle, reason));
    }
    let fits = |point: &Point| optimizers(registry, &filled(&recipe, point)).map(|_| ());
    if let Err(error) = probe_points(init, fits) {
        let index = match &error {
            RecipeError::Build { index, .. } => *index,
            _ => 0,
        };
        return Err(refuse(index, error.to_string()));
    }
    let path = init.source.paths.path(&["model"], &settings.model);
    let refuse = |reason: String| info.refuse_at(&["model"], reason);
    let encoder = models::encoder_of(&path).map_err(|error| refuse(error.to_string()))?;
    Ok(Box::new(Compress {
        registry,
        model: models::open(registry, &path).map_err(|error| refuse(error.to_string()))?,
        data: OpenData::open(&settings.data, &init.source, info, encoder)?.0,
        recipe,
        gauge: Gauge::new(init)?,
    }))
}

impl Compress<'_> {
    fn compress(
        &self,
        candidate: &Candidate,
        seed: u64,
        cancel: &Cancel,
    ) -> Result<Box<dyn Model>, RecipeError> {
        let context = RecipeContext {
            registry: self.registry,
            runtime: self.gauge.runtime(),
            train: Some(&self.data.split.train),
            valid: Some(&self.data.split.valid),
            test: None,
            calibration: None,
            batch: measure::BATCH,
            output: None,
            limit: None,
            latency: None,
            seed: Rng::keyed(seed, candidate.id, "compress").next_u64(),
            cancel,
            progress: &|_, _| {},
        };
        let recipe = filled(&self.recipe, &candidate.point);
        let run = run_recipe(self.model.as_ref(), &recipe, &context)?;
        Ok(run.model().share())
    }
}

impl Evaluator for Compress<'_> {
    fn evaluate(&self, candidate: &Candidate, cx: &EvalContext<'_>) -> Outcome {
        let busy = self.gauge.busy();
        let measured = self
            .compress(candidate, cx.seed, cx.cancel)
            .map_err(|e| e.to_string())
            .and_then(|model| {
                let valid = &self.data.split.valid;
                let metrics = self.gauge.measure(busy, model.as_ref(), valid)?;
                self.data.keep(model.as_ref(), cx);
                Ok(metrics)
            });
        match measured {
            Ok(metrics) => Outcome::Measured { metrics },
            Err(reason) => Outcome::Failed { reason },
        }
    }

    fn metrics(&self) -> Option<Vec<MetricInfo>> {
        Some(Gauge::metrics(&self.data.task))
    }

    fn test(&self, _: &Candidate, model: &dyn Model) -> Result<Option<Metrics>, ModelError> {
        self.data.test(model, self.gauge.runtime())
    }
}

/// The recipe at a point.
fn filled(recipe: &Recipe, point: &Point) -> Recipe {
    let values = point.to_json();
    let axes = point.space().axes().iter();
    let axes: Vec<&str> = axes.map(|axis| axis.name.as_str()).collect();
    let steps = recipe.steps.iter().map(|step| Step {
        name: step.name.clone(),
        settings: fill(&step.settings, &axes, &values)
            .unwrap_or_else(|| Json::Object(Default::default())),
    });
    Recipe {
        steps: steps.collect(),
    }
}
