//! `kind = "models"`: measures ONNX files; the axis is the file.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use lapidary_core::evaluator::{EvalContext, Evaluator, MetricInfo};
use lapidary_core::inventory;
use lapidary_core::json::Json;
use lapidary_core::model::{Model, ModelError};
use lapidary_core::registry::{
    BuildError, Entry, EvalInit, EvalSource, Factory, Info, Linked, Promise,
};
use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::settings::{Checked, Schema, Settings};
use lapidary_core::space::{Axis, Domain};
use lapidary_core::text::listed;
use lapidary_core::trial::{Candidate, Metrics, Outcome};
use lapidary_data::Encoder;
use serde::{Deserialize, Serialize};

use super::checks::read_settings;
use super::data::{DataSettings, OpenData};
use super::gauge::Gauge;
use crate::file::section::OneOrMany;
use crate::models;

/// The registry's entry.
pub static ENTRY: Entry = Entry {
    info: Info {
        name: "models",
        summary: "measures ONNX files on data; the axis is the file",
        docs: "Every file that a glob matches is an option of the axis `model`, by its path from the study file. Quality is measured on \
               the validation part, a table going through the encoder that lies beside the model; sizes, and the latency where the \
               goal reads it.",
        settings: Schema::of::<ModelsSettings>(),
        promises: &[Promise::LeavesModel],
    },
    factory: Factory::Evaluator {
        make: &make,
        axes: &axes,
    },
};

inventory::submit! { Linked(&ENTRY) }

/// Name of the axis whose options are model files.
pub(crate) const MODEL_AXIS: &str = "model";

/// Settings of `models`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct ModelsSettings {
    /// Globs of the ONNX files.
    #[schemars(extend("examples" = [["models/*.onnx"]]))]
    models: OneOrMany<String>,
    #[serde(flatten)]
    data: DataSettings,
}

impl Settings for ModelsSettings {}

/// Measures model files.
struct Models<'a> {
    /// The files with the names they go by.
    files: Vec<(String, PathBuf)>,
    data: OpenData,
    settings: Checked<ModelsSettings>,
    source: EvalSource<'a>,
    gauge: Gauge,
}

fn axes(settings: &Json, source: &EvalSource<'_>) -> Result<Vec<Axis>, BuildError> {
    let settings: Checked<ModelsSettings> = read_settings(&ENTRY.info, settings)?;
    let files = find_files(settings.models.as_slice(), source)?;
    let options = files.into_iter().map(|(name, _)| name.into()).collect();
    Ok(vec![Axis::new(MODEL_AXIS, Domain::Choice { options })])
}

fn make<'a>(settings: &Json, init: &EvalInit<'a>) -> Result<Box<dyn Evaluator + 'a>, BuildError> {
    let settings: Checked<ModelsSettings> = read_settings(&ENTRY.info, settings)?;
    let files = find_files(settings.models.as_slice(), &init.source)?;
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let known = |option: &Json| option.as_str().is_some_and(|name| names.contains(&name));
    for axis in init.space.axes() {
        let fits = axis.name == MODEL_AXIS
            && matches!(&axis.domain, Domain::Choice { options } if options.iter().all(known));
        if !fits {
            return Err(ENTRY.info.refuse_at(&["models"], format!(
                "with these models the only axis is `{MODEL_AXIS}`, a choice among {}; leave [space] out, or name some of them",
                listed(&names)
            )));
        }
    }
    Ok(Box::new(Models {
        data: OpenData::open(&settings.data, &init.source, &ENTRY.info, None)?.0,
        files,
        settings,
        source: init.source,
        gauge: Gauge::new(init)?,
    }))
}

/// The files that globs match with the names they go by, sorted: relative to the study file's folder where they lie under it.
fn find_files(
    globs: &[String],
    source: &EvalSource<'_>,
) -> Result<Vec<(String, PathBuf)>, BuildError> {
    let folder = source.paths.path(&[], "");
    let mut files = Vec::new();
    for (i, text) in globs.iter().enumerate() {
        let under = ["models", &i.to_string()];
        let refuse = |reason: String| {
            let reason = format!("`evaluate.models`: {reason}");
            ENTRY.info.refuse_at(&under, reason)
        };
        // The folder itself may hold characters that a glob gives a meaning.
        let base = source.paths.path(&under, "");
        let whole = match Path::new(text).is_absolute() {
            true => PathBuf::from(text),
            false => PathBuf::from(glob::Pattern::escape(&base.to_string_lossy())).join(text),
        };
        let found = glob::glob(&whole.to_string_lossy()).map_err(|e| refuse(e.to_string()))?;
        let before = files.len();
        for path in found {
            let path = path.map_err(|e| refuse(e.to_string()))?;
            let name = path.strip_prefix(&folder).unwrap_or(&path);
            files.push((name.to_string_lossy().into_owned(), path));
        }
        if files.len() == before {
            return Err(refuse(format!("no file matches {}", whole.display())));
        }
    }
    files.sort();
    files.dedup();
    Ok(files)
}

impl Models<'_> {
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

    /// The data as the model at `path` takes it: a table through the encoder kept beside the model.
    fn data_of(&self, path: &Path) -> Result<Cow<'_, OpenData>, String> {
        let beside = Encoder::beside(path);
        if self.data.encoder.is_none() || !beside.exists() {
            return Ok(Cow::Borrowed(&self.data));
        }
        let encoder = Encoder::load(&beside).map_err(|e| e.to_string())?;
        let data = OpenData::open(
            &self.settings.data,
            &self.source,
            &ENTRY.info,
            Some(encoder),
        );
        Ok(Cow::Owned(data.map_err(|e| e.to_string())?.0))
    }

    fn measure(&self, candidate: &Candidate, cx: &EvalContext<'_>) -> Result<Metrics, String> {
        let busy = self.gauge.busy();
        let path = self.path(candidate).map_err(|e| e.to_string())?;
        let model = models::open(self.source.installed, path).map_err(|e| e.to_string())?;
        let data = self.data_of(path)?;
        let metrics = self
            .gauge
            .measure(busy, model.as_ref(), &data.split.valid)?;
        data.keep(model.as_ref(), cx);
        Ok(metrics)
    }
}

impl Evaluator for Models<'_> {
    fn evaluate(&self, candidate: &Candidate, cx: &EvalContext<'_>) -> Outcome {
        match self.measure(candidate, cx) {
            Ok(metrics) => Outcome::Measured { metrics },
            Err(reason) => Outcome::Failed { reason },
        }
    }

    fn metrics(&self) -> Option<Vec<MetricInfo>> {
        Some(Gauge::metrics(&self.data.task))
    }

    fn test(
        &self,
        candidate: &Candidate,
        model: &dyn Model,
    ) -> Result<Option<Metrics>, ModelError> {
        let data = self.data_of(self.path(candidate)?);
        data.map_err(ModelError::Measure)?
            .test(model, self.gauge.runtime())
    }
}
