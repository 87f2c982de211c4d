//! `kind = "models"`: measures ONNX files; the axis is the file.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use lapidary_core::cancel::Cancel;
use lapidary_core::evaluator::{EvalContext, Evaluator, MetricInfo};
use lapidary_core::json::Json;
use lapidary_core::model::{Model, ModelError};
use lapidary_core::registry::Registry;
use lapidary_core::samples::Samples;
use lapidary_core::space::Domain;
use lapidary_core::trial::{Candidate, Metrics, Outcome, Trial};
use lapidary_data::Encoder;

use super::StudyEvaluator;
use super::data::OpenData;
use super::gauge::Gauge;
use crate::error::StudyFileError;
use crate::file::{DataSource, MODEL_AXIS, ModelsSection, StudyFile};
use crate::models;

/// Measures model files.
pub struct Models<'a> {
    registry: &'a Registry,
    files: Vec<(String, PathBuf)>,
    data: OpenData,
    source: DataSource,
    gauge: Gauge,
}

impl<'a> Models<'a> {
    /// The evaluator of `section` for the study `file`.
    ///
    /// # Errors
    /// When the data cannot be read, or the space is anything else than a choice of the files.
    pub fn new(
        file: &StudyFile,
        section: &ModelsSection,
        registry: &'a Registry,
    ) -> Result<Self, StudyFileError> {
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
            registry,
            files: section.files.clone(),
            data: OpenData::open(&section.data, None)?.0,
            source: section.data.clone(),
            gauge: Gauge::new(file, registry)?,
        })
    }

    fn path(&self, candidate: &Candidate) -> Result<&Path, ModelError> {
        let json = candidate.point.to_json();
        let name = json
            .get(MODEL_AXIS)
            .and_then(Json::as_str)
            .unwrap_or_default();
        self.files
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, path)| path.as_path())
            .ok_or_else(|| ModelError::Measure(format!("there is no model `{name}`")))
    }

    /// The validation samples as the model at `path` takes them: a table through the encoder kept beside the model.
    fn samples(&self, path: &Path) -> Result<Cow<'_, Samples>, StudyFileError> {
        let beside = Encoder::beside(path);
        if self.data.encoder.is_none() || !beside.exists() {
            return Ok(Cow::Borrowed(&self.data.split.valid));
        }
        let encoder = Encoder::load(&beside)?;
        let (data, _) = OpenData::open(&self.source, Some(encoder))?;
        Ok(Cow::Owned(data.split.valid))
    }

    fn measure(&self, candidate: &Candidate) -> Result<Metrics, String> {
        let busy = self.gauge.busy();
        let path = self.path(candidate).map_err(|e| e.to_string())?;
        let model = models::open(self.registry, path).map_err(|e| e.to_string())?;
        let samples = self.samples(path).map_err(|e| e.to_string())?;
        self.gauge.measure(busy, model.as_ref(), &samples)
    }
}

impl Evaluator for Models<'_> {
    fn evaluate(&self, candidate: &Candidate, _: &EvalContext<'_>) -> Outcome {
        match self.measure(candidate) {
            Ok(metrics) => Outcome::Measured { metrics },
            Err(reason) => Outcome::Failed { reason },
        }
    }

    fn metrics(&self) -> Option<Vec<MetricInfo>> {
        Some(Gauge::metrics(&self.data.task))
    }
}

impl StudyEvaluator for Models<'_> {
    fn model(
        &self,
        trial: &Trial,
        _: &[Candidate],
        _: u64,
        _: &Cancel,
    ) -> Result<Option<Box<dyn Model>>, ModelError> {
        models::open(self.registry, self.path(&trial.candidate)?).map(Some)
    }

    fn data(&self) -> Option<&OpenData> {
        Some(&self.data)
    }
}
