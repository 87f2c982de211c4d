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
use lapidary_core::trial::{Candidate, Outcome};
use lapidary_data::Encoder;
use lapidary_onnx::OnnxModel;
use rand_core::RngCore;

use super::data::OpenData;
use super::gauge::Gauge;
use super::{StudyEvaluator, probe_points};
use crate::error::StudyFileError;
use crate::file::tree::did_you_mean;
use crate::file::{CompressSection, StudyFile};
use crate::measure;
use crate::recipe::{RecipeContext, RecipeError, optimizers, run_recipe};

/// Runs recipes on a model.
pub struct Compress<'a> {
    registry: &'a Registry,
    model: OnnxModel,
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
        let beside = Encoder::beside(&section.model);
        let encoder = beside
            .exists()
            .then(|| Encoder::load(&beside))
            .transpose()?;
        Ok(Self {
            registry,
            model: super::models::open(&section.model).map_err(StudyFileError::Model)?,
            recipe: section.recipe.clone(),
            data: OpenData::open(&section.data, encoder)?.0,
            gauge: Gauge::new(&file.goal),
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
            train: Some(&self.data.split.train),
            valid: Some(&self.data.split.valid),
            test: None,
            calibration: None,
            batch: measure::BATCH,
            limit: None,
            latency: false,
            seed: Rng::keyed(seed, candidate.id, "compress").next_u64(),
            cancel,
            progress: &|_, _| {},
        };
        let recipe = filled(&self.recipe, &candidate.point);
        let run = run_recipe(&self.model, &recipe, &context)?;
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
        candidate: &Candidate,
        seed: u64,
        cancel: &Cancel,
    ) -> Result<Option<Box<dyn Model>>, ModelError> {
        match self.compress(candidate, seed, cancel) {
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

/// `template` with its placeholders filled in; `None` where it is nothing but an inactive axis.
fn fill(template: &Json, values: &Json) -> Option<Json> {
    Some(match template {
        Json::String(text) => {
            let names = placeholder_spans(text);
            if let [(name, span)] = &names[..]
                && span.len() == text.len()
            {
                return values.get(name).cloned();
            }
            let mut filled = String::new();
            let mut end = 0;
            for (name, span) in names {
                filled.push_str(&text[end..span.start]);
                match values.get(name) {
                    Some(Json::String(word)) => filled.push_str(word),
                    Some(value) => filled.push_str(&value.to_string()),
                    None => {}
                }
                end = span.end;
            }
            filled.push_str(&text[end..]);
            filled.into()
        }
        Json::Array(items) => items.iter().filter_map(|item| fill(item, values)).collect(),
        Json::Object(map) => map
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), fill(value, values)?)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    })
}

/// Names of all placeholders in `template`.
fn placeholders(template: &Json) -> Vec<String> {
    match template {
        Json::String(text) => placeholder_spans(text)
            .into_iter()
            .map(|(name, _)| name.to_owned())
            .collect(),
        Json::Array(items) => items.iter().flat_map(placeholders).collect(),
        Json::Object(map) => map.values().flat_map(placeholders).collect(),
        _ => Vec::new(),
    }
}

/// Names in braces with where they stand, braces included. What is no name, as `{a,b}` in a glob, is left alone.
fn placeholder_spans(text: &str) -> Vec<(&str, std::ops::Range<usize>)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(open) = text[at..].find('{').map(|i| at + i) {
        let inner = &text[open + 1..];
        let length = inner
            .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'))
            .unwrap_or(inner.len());
        if length > 0 && inner[length..].starts_with('}') {
            found.push((&inner[..length], open..open + length + 2));
        }
        at = open + 1 + length;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn placeholders_take_the_type_of_their_axis() {
        let values = json!({"bits": 4, "rate": 0.5, "kind": "conv", "on": true});
        let template = json!({
            "bits": "{bits}", "rate": "{rate}", "fast": "{on}", "left": "{inactive}",
            "layers": ["{kind}*", "{a,b}x", "{kind}-{bits}{"],
        });
        assert_eq!(
            fill(&template, &values).unwrap(),
            json!({
                "bits": 4, "rate": 0.5, "fast": true,
                "layers": ["conv*", "{a,b}x", "conv-4{"],
            })
        );
        assert_eq!(
            placeholders(&template),
            ["bits", "rate", "on", "inactive", "kind", "kind", "bits"]
        );
    }
}
