//! Settings.

use lapidary_core::json::Json;
use lapidary_core::model::ModelSpec;
use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::settings::Settings;
use serde::{Deserialize, Serialize};
use serde_json::Map;

/// Settings of the optimizer, as in a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The student: a family of models, or the path of an ONNX file.
    #[schemars(
        extend("x-kind" = "name of a family, or path of an .onnx file", "x-entry" = "family", "x-open" = true),
        example = &"small.onnx"
    )]
    pub student: String,
    /// Settings of the student's family.
    #[schemars(
        with = "Option<Map<String, Json>>",
        extend("x-settings-of" = "student", "examples" = [{"depth": 1, "width": 32}])
    )]
    pub settings: Json,
    /// Temperature T that softens both outputs.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub temperature: f32,
    /// Weight of the teacher's outputs in the loss; the labels have the rest.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub alpha: f32,
    /// Label smoothing.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0), example = 0.1)]
    pub smoothing: f32,
    /// Passes over the training samples.
    #[schemars(range(min = 1))]
    pub epochs: usize,
    /// Samples in a training step.
    #[schemars(range(min = 1))]
    pub batch: usize,
    /// Peak learning rate (AdamW, cosine schedule).
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub learning_rate: f32,
    /// Epochs without a better validation result before training stops with the best; null trains to the end.
    #[schemars(range(min = 1), example = 5)]
    pub patience: Option<usize>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            student: "mlp".into(),
            settings: Json::Object(Map::new()),
            temperature: 4.0,
            alpha: 0.9,
            smoothing: 0.0,
            epochs: 30,
            batch: 64,
            learning_rate: 3e-3,
            patience: None,
        }
    }
}

impl Config {
    /// The student to build: a file where the name ends in `.onnx`.
    pub fn spec(&self) -> ModelSpec {
        if self.student.to_lowercase().ends_with(".onnx") {
            ModelSpec::File(self.student.clone().into())
        } else {
            ModelSpec::Family {
                name: self.student.clone(),
                settings: self.settings.clone(),
            }
        }
    }
}

impl Settings for Config {
    fn cross_check(&self) -> Result<(), String> {
        let given = self.settings.as_object().is_some_and(|s| !s.is_empty());
        match self.spec() {
            ModelSpec::File(_) if given => {
                Err("settings are given, but the student is a file".into())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_student_is_a_family_or_a_file() {
        let file = Config {
            student: "models/Small.ONNX".into(),
            ..Config::default()
        };
        file.clone().check().unwrap();
        assert_eq!(file.spec(), ModelSpec::File("models/Small.ONNX".into()));
        let both = Config {
            settings: serde_json::json!({"width": 8}),
            ..file
        };
        let error = both.check().unwrap_err().to_string();
        assert!(error.contains("is a file"));
        assert!(
            matches!(Config::default().spec(), ModelSpec::Family { name, .. } if name == "mlp")
        );
    }

    #[test]
    fn values_out_of_range_are_named() {
        let wrong = |config: Config| config.check().unwrap_err().to_string();
        let base = Config::default;
        assert!(
            wrong(Config {
                temperature: 0.0,
                ..base()
            })
            .contains("`temperature` must be above 0, found 0")
        );
        assert!(
            wrong(Config {
                alpha: 1.5,
                ..base()
            })
            .contains("`alpha` must be in [0, 1], found 1.5")
        );
        assert!(
            wrong(Config {
                smoothing: 1.0,
                ..base()
            })
            .contains("`smoothing` must be in [0, 1), found 1")
        );
        assert!(
            wrong(Config {
                learning_rate: f32::NAN,
                ..base()
            })
            .contains("learning_rate")
        );
        assert!(
            wrong(Config {
                patience: Some(0),
                ..base()
            })
            .contains("`patience` must be at least 1, found 0")
        );
        assert!(
            wrong(Config {
                settings: 3.into(),
                ..base()
            })
            .contains("`settings` must be a table, or null, found 3")
        );
    }
}
