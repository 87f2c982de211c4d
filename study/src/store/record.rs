//! The records of the log, as JSON text. Non-finite numbers are the texts "nan", "inf" and "-inf".

use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::space::{Point, Space};
use lapidary_core::trial::{Candidate, Metrics, Outcome, Report, Trial};
use serde_json::{Map, json};

/// What a record of the log is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A candidate was asked.
    Ask = 0,
    /// A trial was told.
    Tell = 1,
    /// A trial of another program was asked and told at once.
    Foreign = 2,
    /// The study was begun or gone on with.
    Run = 3,
}

impl Kind {
    /// The kind that is written as `number`.
    pub fn read(number: i64) -> Option<Self> {
        [Self::Ask, Self::Tell, Self::Foreign, Self::Run]
            .into_iter()
            .find(|kind| *kind as i64 == number)
    }
}

/// A number, whatever it is.
pub fn number(value: f64) -> Json {
    if value.is_finite() {
        value.into()
    } else if value.is_nan() {
        "nan".into()
    } else if value > 0.0 {
        "inf".into()
    } else {
        "-inf".into()
    }
}

/// The number that [`number`] wrote.
pub fn read_number(json: &Json) -> Option<f64> {
    match json.as_str() {
        None => json.as_f64(),
        Some("nan") => Some(f64::NAN),
        Some("inf") => Some(f64::INFINITY),
        Some("-inf") => Some(f64::NEG_INFINITY),
        Some(_) => None,
    }
}

/// Metrics as an object.
pub fn metrics(metrics: &Metrics) -> Json {
    let object: Map<String, Json> = metrics
        .iter()
        .map(|(name, v)| (name.clone(), number(*v)))
        .collect();
    object.into()
}

/// The metrics that [`metrics`] wrote.
pub fn read_metrics(json: &Json) -> Option<Metrics> {
    json.as_object()?
        .iter()
        .map(|(name, value)| Some((name.clone(), read_number(value)?)))
        .collect()
}

/// What was asked: the point's row, and fidelity and parent where they say something.
pub fn ask(candidate: &Candidate) -> String {
    let mut body = Map::new();
    body.insert("at".into(), candidate.point.to_row());
    if candidate.fidelity != 1.0 {
        body.insert("fidelity".into(), candidate.fidelity.into());
    }
    if let Some(parent) = candidate.parent {
        body.insert("parent".into(), parent.into());
    }
    Json::from(body).to_string()
}

/// The candidate that [`ask`] wrote.
pub fn read_ask(space: &Arc<Space>, id: u64, body: &str) -> Option<Candidate> {
    let body: Json = serde_json::from_str(body).ok()?;
    Some(Candidate {
        id,
        point: space.point_from_row(&body["at"]).ok()?,
        fidelity: match &body["fidelity"] {
            Json::Null => 1.0,
            fidelity => fidelity.as_f64()?,
        },
        parent: match &body["parent"] {
            Json::Null => None,
            parent => Some(parent.as_u64()?),
        },
    })
}

/// What came out.
pub fn tell(outcome: &Outcome, curve: &[Report], repeats: Option<u64>) -> String {
    let mut body = self::outcome(outcome);
    if !curve.is_empty() {
        let curve: Vec<Json> = curve
            .iter()
            .map(|r| json!([r.step, metrics(&r.metrics)]))
            .collect();
        body.insert("curve".into(), curve.into());
    }
    if let Some(id) = repeats {
        body.insert("repeats".into(), id.into());
    }
    Json::from(body).to_string()
}

/// What [`tell`] wrote.
pub fn read_tell(body: &str) -> Option<(Outcome, Vec<Report>, Option<u64>)> {
    let body: Json = serde_json::from_str(body).ok()?;
    let curve = match &body["curve"] {
        Json::Null => Vec::new(),
        curve => curve
            .as_array()?
            .iter()
            .map(|r| {
                Some(Report {
                    step: r[0].as_u64()?,
                    metrics: read_metrics(&r[1])?,
                })
            })
            .collect::<Option<_>>()?,
    };
    Some((read_outcome(&body)?, curve, body["repeats"].as_u64()))
}

/// A trial of another program.
pub fn foreign(point: &Point, outcome: &Outcome) -> String {
    let mut body = self::outcome(outcome);
    body.insert("at".into(), point.to_row());
    Json::from(body).to_string()
}

/// What [`foreign`] wrote.
pub fn read_foreign(space: &Arc<Space>, body: &str) -> Option<(Point, Outcome)> {
    let body: Json = serde_json::from_str(body).ok()?;
    Some((
        space.point_from_row(&body["at"]).ok()?,
        read_outcome(&body)?,
    ))
}

fn outcome(outcome: &Outcome) -> Map<String, Json> {
    let mut body = Map::new();
    match outcome {
        Outcome::Measured { metrics } => {
            body.insert("metrics".into(), self::metrics(metrics));
        }
        Outcome::Failed { reason } => {
            body.insert("failed".into(), reason.clone().into());
        }
        Outcome::Stopped { metrics, reason } => {
            body.insert("metrics".into(), self::metrics(metrics));
            body.insert("stopped".into(), reason.clone().into());
        }
    }
    body
}

fn read_outcome(body: &Json) -> Option<Outcome> {
    if let Some(reason) = body["failed"].as_str() {
        return Some(Outcome::Failed {
            reason: reason.to_owned(),
        });
    }
    let metrics = read_metrics(&body["metrics"])?;
    Some(match body["stopped"].as_str() {
        Some(reason) => Outcome::Stopped {
            metrics,
            reason: reason.to_owned(),
        },
        None => Outcome::Measured { metrics },
    })
}

/// A trial as a line of an export or of `--log`.
pub fn trial(trial: &Trial) -> Json {
    let curve: Vec<Json> = (trial.curve.iter())
        .map(|report| json!({"step": report.step, "metrics": metrics(&report.metrics)}))
        .collect();
    let (state, reason) = match &trial.outcome {
        Outcome::Measured { .. } => ("measured", None),
        Outcome::Failed { reason } => ("failed", Some(reason)),
        Outcome::Stopped { reason, .. } => ("stopped", Some(reason)),
    };
    let mut outcome = Map::new();
    outcome.insert("state".into(), state.into());
    if let Some(measured) = trial.outcome.metrics() {
        outcome.insert("metrics".into(), metrics(measured));
    }
    if let Some(reason) = reason {
        outcome.insert("reason".into(), reason.clone().into());
    }
    json!({
        "id": trial.candidate.id,
        "point": trial.candidate.point.to_json(),
        "fidelity": trial.candidate.fidelity,
        "origin": trial.origin,
        "repeats": trial.repeats,
        "outcome": outcome,
        "violation": trial.score.as_ref().map(|s| s.violation),
        "curve": curve,
    })
}
