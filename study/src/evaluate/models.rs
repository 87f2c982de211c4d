//! `kind = "models"`: measures ONNX files; the axis is the file.

use std::path::PathBuf;
use std::sync::RwLock;

use lapidary_core::cancel::Cancel;
use lapidary_core::evaluator::{EvalContext, Evaluator, MetricInfo};
use lapidary_core::json::Json;
use lapidary_core::model::{Model, ModelError};
use lapidary_core::space::Domain;
use lapidary_core::trial::{Candidate, Outcome};
use lapidary_onnx::OnnxModel;

use super::data::OpenData;
use super::{StudyEvaluator, cost_metrics, measure_candidate};
use crate::error::StudyFileError;
use crate::file::{MODEL_AXIS, ModelsSection, StudyFile};

/// Measures model files.
pub struct Models {
    files: Vec<(String, PathBuf)>,
    data: OpenData,
    latency: bool,
    /// See [`super::quiet_latency`].
    quiet: RwLock<()>,
}

impl Models {
    /// The evaluator of `section` for the study `file`.
    ///
    /// # Errors
    /// When the data cannot be read, or the space is anything else than a choice of the files.
    pub fn new(file: &StudyFile, section: &ModelsSection) -> Result<Self, StudyFileError> {
        let names: Vec<Json> = section
            .files
            .iter()
            .map(|(n, _)| n.as_str().into())
            .collect();
        for axis in file.space.axes() {
            let fits = axis.name == MODEL_AXIS
                && matches!(&axis.domain, Domain::Choice { options } if options.iter().all(|o| names.contains(o)));
            if !fits {
                return Err(StudyFileError::at(
                    &section.place,
                    format!(
                        "with these models the only axis is `{MODEL_AXIS}`, a choice among {}; leave [space] out, or name some of them",
                        lapidary_core::text::listed(
                            &section.files.iter().map(|(n, _)| n).collect::<Vec<_>>()
                        )
                    ),
                ));
            }
        }
        Ok(Self {
            files: section.files.clone(),
            data: OpenData::open(&section.data)?,
            latency: file.goal.metrics().contains(&"latency_ms"),
            quiet: RwLock::new(()),
        })
    }

    fn open(&self, candidate: &Candidate) -> Result<OnnxModel, ModelError> {
        let json = candidate.point.to_json();
        let name = json
            .get(MODEL_AXIS)
            .and_then(Json::as_str)
            .unwrap_or_default();
        let (_, path) = self
            .files
            .iter()
            .find(|(n, _)| n == name)
            .ok_or_else(|| ModelError::Measure(format!("there is no model `{name}`")))?;
        OnnxModel::open(path).map_err(|e| ModelError::File {
            path: path.clone(),
            reason: e.to_string(),
        })
    }
}

impl Evaluator for Models {
    fn evaluate(&self, candidate: &Candidate, _: &EvalContext<'_>) -> Outcome {
        let busy = self.quiet.read();
        let measured = self.open(candidate).and_then(|model| {
            let metrics = measure_candidate(&model, &self.data.split.valid)?;
            Ok((model, metrics))
        });
        drop(busy);
        let (model, mut metrics) = match measured {
            Ok(measured) => measured,
            Err(error) => {
                return Outcome::Failed {
                    reason: error.to_string(),
                };
            }
        };
        if self.latency {
            match super::quiet_latency(&self.quiet, &model, &self.data.split.valid) {
                Ok(ms) => metrics.insert("latency_ms".into(), ms),
                Err(reason) => return Outcome::Failed { reason },
            };
        }
        Outcome::Measured { metrics }
    }

    fn metrics(&self) -> Option<Vec<MetricInfo>> {
        Some(cost_metrics(&self.data.task.task))
    }
}

impl StudyEvaluator for Models {
    fn model(
        &self,
        candidate: &Candidate,
        _: u64,
        _: &Cancel,
    ) -> Result<Option<Box<dyn Model>>, ModelError> {
        Ok(Some(Box::new(self.open(candidate)?)))
    }

    fn data(&self) -> Option<&OpenData> {
        Some(&self.data)
    }
}
