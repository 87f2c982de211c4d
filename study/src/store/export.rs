//! A stored study in formats that other programs read.

use std::collections::BTreeSet;

use jiff::Timestamp;
use lapidary_core::goal::Direction;
use lapidary_core::json::Json;
use lapidary_core::space::AxisValue;
use lapidary_core::trial::{Candidate, Metrics, Origin, Outcome, Report, Trial};
use lapidary_core::wire::{ByName, CandidateForm, Number, Whole};
use serde::Serialize;
use serde_json::{Map, json};

use super::{Stored, optuna};

/// Who writes an exported journal, as Optuna notes it.
const WORKER: &str = "lapidary";

/// A trial as a line of an export or of `--log`: a candidate with its point by name, and what came of it.
#[derive(Serialize)]
struct ExportedTrial<'a> {
    #[serde(flatten)]
    candidate: CandidateForm<ByName<'a>>,
    origin: Origin,
    repeats: Option<Whole<u64>>,
    outcome: Ended<'a>,
    violation: Option<Number>,
    curve: &'a [Report],
}

/// How a trial ended, in a word, with what was measured and why it came to no other end.
#[derive(Serialize)]
struct Ended<'a> {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<&'a Metrics>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl<'a> ExportedTrial<'a> {
    fn of(trial: &'a Trial) -> Self {
        let (state, reason) = match &trial.outcome {
            Outcome::Measured { .. } => ("measured", None),
            Outcome::Failed { reason } => ("failed", Some(reason.as_str())),
            Outcome::Stopped { reason, .. } => ("stopped", Some(reason.as_str())),
        };
        Self {
            candidate: CandidateForm::by_name(&trial.candidate),
            origin: trial.origin,
            repeats: trial.repeats.map(Whole),
            outcome: Ended {
                state,
                metrics: trial.outcome.metrics(),
                reason,
            },
            violation: trial.score.as_ref().map(|score| Number(score.violation)),
            curve: &trial.curve,
        }
    }
}

/// `trial` as a line of JSON, with its end.
pub fn line(trial: &Trial) -> String {
    let mut line = serde_json::to_string(&ExportedTrial::of(trial)).expect("every line is JSON");
    line.push('\n');
    line
}

/// All trials as CSV, a row each: `id`, `state`, `origin`, `fidelity`, `repeats`, `violation`, `reason`, `asked` and `told`
/// (UTC), `point.AXIS` of every axis and `metrics.NAME` of every metric; what a trial lacks is empty.
///
/// # Errors
/// None that memory does not give.
pub fn csv(study: &Stored) -> Result<String, csv::Error> {
    let axes = study.identity.space.axes();
    let metrics: BTreeSet<&String> = (study.trials.iter())
        .flat_map(|trial| trial.outcome.metrics().into_iter().flat_map(|m| m.keys()))
        .collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    let fixed = [
        "id",
        "state",
        "origin",
        "fidelity",
        "repeats",
        "violation",
        "reason",
        "asked",
        "told",
    ];
    let header = fixed.map(str::to_owned).into_iter();
    let header = header.chain(axes.iter().map(|axis| format!("point.{}", axis.name)));
    writer.write_record(header.chain(metrics.iter().map(|name| format!("metrics.{name}"))))?;
    for (trial, times) in study.trials.iter().zip(&study.times) {
        let line = json!(ExportedTrial::of(trial));
        let mut row: Vec<String> = ["id", "origin", "fidelity", "repeats", "violation"]
            .map(|key| text(&line[key]))
            .into();
        row.insert(1, text(&line["outcome"]["state"]));
        row.push(text(&line["outcome"]["reason"]));
        row.extend(times.map(utc));
        row.extend(axes.iter().map(|axis| text(&line["point"][&axis.name])));
        let measured = &line["outcome"]["metrics"];
        row.extend(metrics.iter().map(|name| text(&measured[*name])));
        writer.write_record(row)?;
    }
    let bytes = writer.into_inner().map_err(|e| e.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// All trials as JSON lines.
pub fn json_lines(study: &Stored) -> String {
    study.trials.iter().map(line).collect()
}

/// The study as a journal that Optuna's `JournalStorage` reads from a file: its tables say the same.
pub fn optuna_journal(study: &Stored) -> String {
    let goal = &study.identity.goal;
    let directions: Vec<u8> = (goal.objectives.iter())
        .map(|o| match o.direction {
            Direction::Minimize => 1,
            Direction::Maximize => 2,
        })
        .collect();
    let space = &study.identity.space;
    let distributions: Vec<String> = space.axes().iter().map(optuna::distribution).collect();
    let mut lines = vec![
        json!({"op_code": 0, "worker_id": WORKER, "study_name": study.name, "directions": directions}),
        json!({
            "op_code": 3, "worker_id": WORKER, "study_id": 0,
            "system_attr": {optuna::METRIC_NAMES: optuna::metric_names(goal)},
        }),
    ];
    let created = |candidate: &Candidate, state: u8| {
        let (mut params, mut kinds) = (Map::new(), Map::new());
        for (axis, value, distribution) in optuna::parameters(&candidate.point, &distributions) {
            let value: Json = match value {
                AxisValue::Float(v) => v.into(),
                AxisValue::Int(v) => v.into(),
                AxisValue::Choice(v) => v.into(),
            };
            params.insert(axis.name.clone(), value);
            kinds.insert(axis.name.clone(), distribution.clone().into());
        }
        let mut line = Map::new();
        line.insert("op_code".into(), 4.into());
        line.insert("worker_id".into(), WORKER.into());
        line.insert("study_id".into(), 0.into());
        line.insert("state".into(), state.into());
        line.insert("distributions".into(), kinds.into());
        line.insert("params".into(), params.into());
        line
    };
    for (trial, [asked, told]) in study.trials.iter().zip(&study.times) {
        let state = match trial.outcome {
            Outcome::Measured { .. } => 1,
            Outcome::Stopped { .. } => 2,
            Outcome::Failed { .. } => 3,
        };
        let mut line = created(&trial.candidate, state);
        let mut put = |key: &str, value: Json| line.insert(key.into(), value);
        put("datetime_start", utc(*asked).into());
        put("datetime_complete", utc(*told).into());
        let values = optuna::values(goal, &trial.outcome);
        match values.as_deref() {
            Some([value]) => put("value", (*value).into()),
            Some(values) => put("values", values.into()),
            None => put("value", Json::Null),
        };
        let attributes = optuna::user_attributes(&trial.candidate, goal, &trial.outcome);
        put("user_attrs", Map::from_iter(attributes).into());
        let constraints = optuna::constraints(goal, &trial.outcome);
        let constraints = constraints.map(|c| (optuna::CONSTRAINTS.to_owned(), c));
        put("system_attrs", Map::from_iter(constraints).into());
        // JSON has no word for what is not finite.
        let curve = optuna::intermediate(goal, &trial.curve)
            .filter(|(_, value)| value.is_finite())
            .map(|(step, value)| (step.to_string(), value.into()));
        put("intermediate_values", Map::from_iter(curve).into());
        lines.push(line.into());
    }
    for candidate in &study.pending {
        let mut line = created(candidate, 0);
        line.insert("datetime_start".into(), Json::Null);
        lines.push(line.into());
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// A value as a field of a table: nothing for what is missing, texts without quotes.
fn text(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A time as `2026-01-31T23:59:59.000000+00:00`, the form that every Python reads.
fn utc(at: i64) -> String {
    Timestamp::from_microsecond(at)
        .unwrap_or_default()
        .strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00")
        .to_string()
}
