//! The evaluator.

use std::sync::Arc;

use lapidary_core::evaluator::{Artefact, EvalContext, Evaluator, MetricInfo};
use lapidary_core::fit::Verdict;
use lapidary_core::json::Json;
use lapidary_core::metrics;
use lapidary_core::model::{Edit, Model, ModelError, TaskShape, predict};
use lapidary_core::registry::{BuildError, EvalInit, EvalSource, Registry};
use lapidary_core::samples::{Samples, Targets};
use lapidary_core::space::{Axis, Domain};
use lapidary_core::tensor::Dense;
use lapidary_core::trial::{Candidate, Metrics, Outcome};
use lapidary_data::{Dataset, Encoder, Options, Part};
use nalgebra::{DMatrix, DVector};
use serde::Deserialize;
use serde_json::json;

use crate::ENTRY;
use crate::config::Config;
use crate::regression::{LinearFit, Rows};

/// Name of the axis.
const PENALTY: &str = "penalty";
/// Rows in one run of a model.
const BATCH: usize = 256;

/// Measures penalties on a table.
struct Ridge<'a> {
    registry: &'a Registry,
    rows: Rows,
    /// Rows that no evaluation sees.
    test: Samples,
    shape: TaskShape,
    encoder: Option<Vec<u8>>,
    folds: usize,
}

/// What a point says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    penalty: f64,
}

/// Checks the settings, and offers the penalty as the axis.
pub fn axes(settings: &Json, _: &EvalSource<'_>) -> Result<Vec<Axis>, BuildError> {
    ENTRY.info.read_settings::<Config>(settings)?;
    let domain = Domain::Float {
        low: 1e-6,
        high: 1e2,
        log: true,
        step: None,
    };
    Ok(vec![Axis::new(PENALTY, domain)])
}

/// Makes the evaluator: reads the table and looks at the space.
pub fn make<'a>(
    settings: &Json,
    init: &EvalInit<'a>,
) -> Result<Box<dyn Evaluator + 'a>, BuildError> {
    let info = &ENTRY.info;
    let config = info.read_settings::<Config>(settings)?;
    if let Some(axis) = init.space.axes().iter().find(|axis| axis.name != PENALTY) {
        let reason = format!(
            "`{}` is no axis here; the only one is `{PENALTY}`",
            axis.name
        );
        return Err(info.refuse_axis(&axis.name, reason));
    }
    let path = init.source.paths.path(&["data"], &config.data);
    let options = Options {
        target: config.target.clone(),
        ..Options::default()
    };
    let refuse = |reason: String| info.refuse_at(&["data"], reason);
    let data = lapidary_data::open(&path.to_string_lossy(), &options);
    let data = data.map_err(|error| refuse(error.to_string()))?;
    let part = |part| data.part(part, None).map_err(|e| refuse(e.to_string()));
    let known = [part(Part::Train)?, part(Part::Valid)?];
    let rows = rows(&known).ok_or_else(|| {
        refuse(format!(
            "{}: one number is wanted to be predicted",
            path.display()
        ))
    })?;
    if rows.y.len() < config.folds {
        let reason = format!("there are only {} rows to cut into parts", rows.y.len());
        return Err(info.refuse_at(&["folds"], reason));
    }
    Ok(Box::new(Ridge {
        registry: init.source.installed,
        rows,
        test: part(Part::Test)?,
        shape: data.task_shape().map_err(|e| refuse(e.to_string()))?,
        encoder: encoder(&data),
        folds: config.folds,
    }))
}

/// The encoder of the table, as the content of its file.
fn encoder(data: &Dataset) -> Option<Vec<u8>> {
    data.encoder().and_then(|encoder| encoder.to_bytes().ok())
}

/// Samples as rows; `None` where they do not stand for one number each.
fn rows(parts: &[Samples]) -> Option<Rows> {
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for part in parts {
        let input = part.inputs.values().next()?.as_f32()?;
        let Some(Targets::Values(targets)) = &part.targets else {
            return None;
        };
        x.extend(input.iter().map(|v| f64::from(*v)));
        y.extend(targets.iter().map(|v| f64::from(*v)));
        if targets.len() != part.len() {
            return None;
        }
    }
    let columns = x.len() / y.len().max(1);
    Some(Rows {
        x: DMatrix::from_row_slice(y.len(), columns, &x),
        y: DVector::from_vec(y),
    })
}

impl Ridge<'_> {
    fn measured(&self, candidate: &Candidate, cx: &EvalContext<'_>) -> Result<Outcome, String> {
        let point = candidate.point.to_json();
        let Choice { penalty } = serde_json::from_value(point).map_err(|e| e.to_string())?;
        let all = self.folds as f64;
        let folds = ((all * candidate.fidelity).ceil() as usize).clamp(1, self.folds);
        let line = self.line(&self.rows, penalty)?;
        let (mut squared, mut predicted) = (0.0, 0);
        let mut stopped = None;
        for fold in 0..folds {
            if cx.cancel.is_cancelled() {
                return Err("interrupted".to_owned());
            }
            let left_out = self.rows.only(|row| row % self.folds == fold);
            let others = self.rows.only(|row| row % self.folds != fold);
            squared += self.line(&others, penalty)?.squared_error(&left_out);
            predicted += left_out.y.len();
            let step = fold as u64 + 1;
            let so_far = Metrics::from([("mse".to_owned(), squared / predicted as f64)]);
            if (cx.report)(step, &so_far) == Verdict::Stop {
                stopped = Some(format!("stopped after part {step}"));
                break;
            }
        }
        let metrics = Metrics::from([
            ("mse".to_owned(), squared / predicted as f64),
            ("norm".to_owned(), line.weights.norm()),
        ]);
        let model = self.model(&line).map_err(|e| e.to_string())?;
        (cx.keep)(Artefact::MODEL, Artefact::Model(model));
        if let Some(encoder) = &self.encoder {
            (cx.keep)(Encoder::EXTENSION, Artefact::Bytes(encoder.clone()));
        }
        Ok(match stopped {
            Some(reason) => Outcome::Stopped { metrics, reason },
            None => Outcome::Measured { metrics },
        })
    }

    fn line(&self, rows: &Rows, penalty: f64) -> Result<LinearFit, String> {
        LinearFit::through(rows, penalty)
            .ok_or_else(|| format!("no weights can be found with a penalty of {penalty}"))
    }

    /// The line as a model: a network without hidden layers, whose weights are set.
    fn model(&self, line: &LinearFit) -> Result<Box<dyn Model>, BuildError> {
        let settings = json!({ "depth": 0 });
        let model = self.registry.family("mlp", &settings, &self.shape, 0)?;
        let layer = model.topology().layers.first();
        let (weight, bias) = layer
            .and_then(|layer| Some((layer.weight.clone()?, layer.bias.clone()?)))
            .ok_or_else(|| ModelError::Graph("a network without a layer".into()))?;
        let set = |name: String, values: Vec<f32>| -> Result<Edit, ModelError> {
            let tensor = Dense::f32(model.weights()[&name].shape(), values)?;
            Ok(Edit::SetWeight {
                name,
                tensor: Arc::new(tensor.into()),
            })
        };
        let weights = line.weights.iter().map(|w| *w as f32).collect();
        let edits = [set(weight, weights)?, set(bias, vec![line.bias as f32])?];
        Ok(model.apply(&edits)?)
    }
}

impl Evaluator for Ridge<'_> {
    fn evaluate(&self, candidate: &Candidate, cx: &EvalContext<'_>) -> Outcome {
        self.measured(candidate, cx)
            .unwrap_or_else(|reason| Outcome::Failed { reason })
    }

    fn metrics(&self) -> Option<Vec<MetricInfo>> {
        let metric = |name: &str, stepwise| MetricInfo {
            name: name.to_owned(),
            volatile: false,
            stepwise,
        };
        Some(vec![metric("mse", true), metric("norm", false)])
    }

    fn test(&self, _: &Candidate, model: &dyn Model) -> Result<Option<Metrics>, ModelError> {
        let Some(targets) = &self.test.targets else {
            return Ok(None);
        };
        let predicted = predict(model, &self.test, BATCH)?.values;
        let measured = metrics::evaluate(&predicted, targets, None, &[]);
        measured
            .map(Some)
            .map_err(|error| ModelError::Measure(error.to_string()))
    }
}
