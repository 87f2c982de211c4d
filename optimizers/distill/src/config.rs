//! Settings.

use lapidary_core::json::Json;
use lapidary_core::model::ModelSpec;
use serde::{Deserialize, Serialize};

/// Settings of the optimizer, as in a recipe; see the entry for what they mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name of a family, or path of an ONNX file.
    pub student: String,
    /// Settings of the family.
    pub settings: Json,
    /// Temperature T > 0.
    pub temperature: f32,
    /// Weight of the teacher's outputs in the loss, in [0, 1].
    pub alpha: f32,
    /// Label smoothing, in [0, 1).
    pub smoothing: f32,
    /// Passes over the training samples.
    pub epochs: usize,
    /// Samples in a training step.
    pub batch: usize,
    /// Peak learning rate.
    pub learning_rate: f32,
    /// Epochs without a better validation result before training stops.
    pub patience: Option<usize>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            student: "mlp".into(),
            settings: Json::Object(serde_json::Map::new()),
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

    /// Whether the settings make sense; the text says what does not.
    pub fn check(&self) -> Result<(), String> {
        let no_settings = match &self.settings {
            Json::Null => true,
            Json::Object(settings) => settings.is_empty(),
            other => return Err(format!("settings = {other} is no table")),
        };
        if matches!(self.spec(), ModelSpec::File(_)) && !no_settings {
            return Err("settings are given, but the student is a file".into());
        }
        let positive = |v: f32| v > 0.0 && v.is_finite();
        if !positive(self.temperature) {
            return Err(format!("temperature = {} is not above 0", self.temperature));
        }
        if !(0.0..=1.0).contains(&self.alpha) {
            return Err(format!("alpha = {} is not in [0, 1]", self.alpha));
        }
        if !(0.0..1.0).contains(&self.smoothing) {
            return Err(format!("smoothing = {} is not in [0, 1)", self.smoothing));
        }
        if !positive(self.learning_rate) {
            return Err(format!(
                "learning_rate = {} is not above 0",
                self.learning_rate
            ));
        }
        for (name, value) in [
            ("epochs", self.epochs),
            ("batch", self.batch),
            ("patience", self.patience.unwrap_or(1)),
        ] {
            if value == 0 {
                return Err(format!("{name} = 0; at least 1 is needed"));
            }
        }
        Ok(())
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
        file.check().unwrap();
        assert_eq!(file.spec(), ModelSpec::File("models/Small.ONNX".into()));
        let both = Config {
            settings: serde_json::json!({"width": 8}),
            ..file
        };
        assert!(both.check().unwrap_err().contains("is a file"));
        assert!(
            matches!(Config::default().spec(), ModelSpec::Family { name, .. } if name == "mlp")
        );
    }

    #[test]
    fn values_out_of_range_are_named() {
        let wrong = |config: Config| config.check().unwrap_err();
        let base = Config::default;
        assert!(
            wrong(Config {
                temperature: 0.0,
                ..base()
            })
            .contains("temperature = 0")
        );
        assert!(
            wrong(Config {
                alpha: 1.5,
                ..base()
            })
            .contains("alpha = 1.5")
        );
        assert!(
            wrong(Config {
                smoothing: 1.0,
                ..base()
            })
            .contains("smoothing = 1")
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
            .contains("patience = 0")
        );
        assert!(
            wrong(Config {
                settings: 3.into(),
                ..base()
            })
            .contains("no table")
        );
    }
}
