//! `kind = "compress"`: runs a recipe, whose settings the point fills in, on a model.
//!
//! In a text among the settings `{axis}` is replaced by the value of the axis: by the value itself where the text holds
//! nothing else, by its text within others. A setting that is nothing but an inactive axis is left out.

use lapidary_core::cancel::Cancel;
use lapidary_core::evaluator::{EvalContext, Evaluator, MetricInfo};
use lapidary_core::json::Json;
use lapidary_core::model::{Model, ModelError};
use lapidary_core::optimizer::{Recipe, Step};
use lapidary_core::registry::Registry;
use lapidary_core::rng::Rng;
use lapidary_core::space::Point;
use lapidary_core::text::listed;
use lapidary_core::trial::{Candidate, Outcome, Trial};
use rand_core::RngCore;

use super::data::OpenData;
use super::gauge::Gauge;
use super::template::{fill, placeholders};
use super::{StudyEvaluator, probe_points};
use crate::error::StudyFileError;
use crate::file::tree::did_you_mean;
use crate::file::{CompressSection, StudyFile};
use crate::measure;
use crate::models;
use crate::recipe::{RecipeContext, RecipeError, optimizers, run_recipe};

/// Runs recipes on a model.
pub struct Compress<'a> {
    registry: &'a Registry,
    model: Box<dyn Model>,
    recipe: Recipe,
    data: OpenData,
    gauge: Gauge,
}

impl<'a> Compress<'a> {
    /// The evaluator of `section` for the study `file`.
    ///
    /// # Errors
    /// When model or data cannot be read, a placeholder names no axis, an axis stands in no placeholder, or no point gives
    /// a recipe that is installed.
    pub fn new(
        file: &StudyFile,
        section: &CompressSection,
        registry: &'a Registry,
    ) -> Result<Self, StudyFileError> {
        let axes: Vec<&str> = file.space.axes().iter().map(|a| a.name.as_str()).collect();
        let mut used = Vec::new();
        for (step, place) in section.recipe.steps.iter().zip(&section.places) {
            for name in placeholders(&step.settings) {
                if !axes.contains(&name.as_str()) {
                    return Err(StudyFileError::at(
                        place,
                        format!(
                            "`{{{name}}}` is no axis of the space{}; there are {}",
                            did_you_mean(&name, &axes),
                            listed(&axes)
                        ),
                    ));
                }
                used.push(name);
            }
        }
        if let Some(idle) = axes.iter().find(|a| !used.iter().any(|u| u == *a)) {
            let reason = format!(
                "no setting of the recipe reads `{{{idle}}}`, so the axis `{idle}` changes nothing"
            );
            return Err(file.axis_mistake(idle, &[], &reason));
        }
        let recipe = &section.recipe;
        let fits = |point: &Point| optimizers(registry, &filled(recipe, point)).map(|_| ());
        if let Err(error) = probe_points(file, fits) {
            let index = match &error {
                RecipeError::Build { index, .. } => *index,
                _ => 0,
            };
            return Err(StudyFileError::at(
                &section.places[index],
                error.to_string(),
            ));
        }
        let encoder = models::encoder_of(&section.model)?;
        Ok(Self {
            registry,
            model: models::open(registry, &section.model).map_err(StudyFileError::Model)?,
            recipe: section.recipe.clone(),
            data: OpenData::open(&section.data, encoder)?.0,
            gauge: Gauge::new(file, registry)?,
        })
    }

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
                self.gauge.measure(busy, model.as_ref(), valid)
            });
        match measured {
            Ok(metrics) => Outcome::Measured { metrics },
            Err(reason) => Outcome::Failed { reason },
        }
    }

    fn metrics(&self) -> Option<Vec<MetricInfo>> {
        Some(Gauge::metrics(&self.data.task))
    }
}

impl StudyEvaluator for Compress<'_> {
    fn model(
        &self,
        trial: &Trial,
        _: &[Candidate],
        seed: u64,
        cancel: &Cancel,
    ) -> Result<Option<Box<dyn Model>>, ModelError> {
        match self.compress(&trial.candidate, seed, cancel) {
            Ok(model) => Ok(Some(model)),
            Err(RecipeError::Cancelled) => Err(ModelError::Cancelled),
            Err(error) => Err(ModelError::Measure(error.to_string())),
        }
    }

    fn data(&self) -> Option<&OpenData> {
        Some(&self.data)
    }
}

/// The recipe at a point.
fn filled(recipe: &Recipe, point: &Point) -> Recipe {
    let values = point.to_json();
    let steps = recipe.steps.iter().map(|step| Step {
        name: step.name.clone(),
        settings: fill(&step.settings, &values).unwrap_or_else(|| Json::Object(Default::default())),
    });
    Recipe {
        steps: steps.collect(),
    }
}
