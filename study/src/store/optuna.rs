//! Rows of Optuna's tables: how its program sees our trials, and how we see its.

use lapidary_core::goal::{Direction, Goal, Relation};
use lapidary_core::json::Json;
use lapidary_core::space::{Axis, AxisValue, Domain, Point, Space};
use lapidary_core::trial::{Metrics, Outcome, Report};
use rusqlite::{Connection, params};
use serde_json::json;
use std::sync::Arc;

use super::{StoreError, record};

/// The studies' directions and metric names.
pub fn describe_study(connection: &Connection, study: i64, goal: &Goal) -> Result<(), StoreError> {
    for (i, objective) in goal.objectives.iter().enumerate() {
        let direction = match objective.direction {
            Direction::Minimize => "MINIMIZE",
            Direction::Maximize => "MAXIMIZE",
        };
        connection.execute(
            "INSERT INTO study_directions (direction, study_id, objective) VALUES (?1, ?2, ?3)",
            params![direction, study, i as i64],
        )?;
    }
    let names: Vec<&str> = goal.objectives.iter().map(|o| o.metric.as_str()).collect();
    connection.execute(
        "INSERT INTO study_system_attributes (study_id, key, value_json) VALUES (?1, 'study:metric_names', ?2)",
        params![study, json!(names).to_string()],
    )?;
    Ok(())
}

/// An axis as Optuna describes a distribution.
pub fn distribution(axis: &Axis) -> String {
    match &axis.domain {
        Domain::Float { low, high, log, step } => json!({
            "name": "FloatDistribution",
            "attributes": {"step": step, "low": low, "high": high, "log": log}
        }),
        Domain::Int { low, high, log, step } => json!({
            "name": "IntDistribution",
            "attributes": {"log": log, "step": step, "low": low, "high": high}
        }),
        Domain::Choice { options } => json!({
            "name": "CategoricalDistribution",
            "attributes": {"choices": options}
        }),
    }
    .to_string()
}

/// A running trial with its parameters; returns its row.
pub fn insert_trial(
    connection: &Connection,
    study: i64,
    point: &Point,
    distributions: &[String],
    now: &str,
) -> Result<i64, StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO trials (number, study_id, state, datetime_start) VALUES \
             ((SELECT coalesce(max(number) + 1, 0) FROM trials WHERE study_id = ?1 AND trial_id = \
             (SELECT max(trial_id) FROM trials WHERE study_id = ?1)), ?1, 'RUNNING', ?2)",
        )?
        .execute(params![study, now])?;
    let trial = connection.last_insert_rowid();
    let mut insert = connection.prepare_cached(
        "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) VALUES (?1, ?2, ?3, ?4)",
    )?;
    let axes = point.space().axes();
    for ((axis, value), distribution) in axes.iter().zip(point.values()).zip(distributions) {
        let value = match value {
            None => continue,
            Some(AxisValue::Float(v)) => *v,
            Some(AxisValue::Int(v)) => *v as f64,
            Some(AxisValue::Choice(v)) => *v as f64,
        };
        insert.execute(params![trial, axis.name, value, distribution])?;
    }
    Ok(trial)
}

/// The end of a trial.
pub fn finish_trial(
    connection: &Connection,
    trial: i64,
    goal: &Goal,
    outcome: &Outcome,
    curve: &[Report],
    now: &str,
) -> Result<(), StoreError> {
    let state = match outcome {
        Outcome::Measured { .. } => "COMPLETE",
        Outcome::Failed { .. } => "FAIL",
        Outcome::Stopped { .. } => "PRUNED",
    };
    connection
        .prepare_cached("UPDATE trials SET state = ?2, datetime_complete = ?3 WHERE trial_id = ?1")?
        .execute(params![trial, state, now])?;
    if let Outcome::Failed { reason } | Outcome::Stopped { reason, .. } = outcome {
        attribute(connection, trial, "reason", &json!(reason))?;
    }
    if let Some(metrics) = outcome.metrics() {
        values(connection, trial, goal, metrics)?;
    }
    if let [objective] = goal.objectives.as_slice() {
        let mut insert = connection.prepare_cached(
            "INSERT OR REPLACE INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type) \
             VALUES (?1, ?2, ?3, ?4)",
        )?;
        for report in curve {
            if let Some(&value) = report.metrics.get(&objective.metric) {
                let (value, kind) = stored(value, "NAN");
                insert.execute(params![trial, report.step as i64, value, kind])?;
            }
        }
    }
    Ok(())
}

fn values(connection: &Connection, trial: i64, goal: &Goal, metrics: &Metrics) -> Result<(), StoreError> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for (i, objective) in goal.objectives.iter().enumerate() {
        if let Some(&value) = metrics.get(&objective.metric) {
            let (value, kind) = stored(value, "FINITE");
            insert.execute(params![trial, i as i64, value, kind])?;
        }
    }
    for (name, value) in metrics {
        if goal.objectives.iter().all(|o| o.metric != *name) {
            attribute(connection, trial, name, &record::number(*value))?;
        }
    }
    if !goal.constraints.is_empty() {
        // Optuna's constraints are kept where they are at most 0.
        let kept: Vec<Json> = (goal.constraints.iter())
            .map(|c| {
                let value = metrics.get(&c.metric).copied().unwrap_or(f64::NAN);
                let beyond = match c.relation {
                    Relation::Less | Relation::LessEqual => value - c.bound,
                    Relation::Greater | Relation::GreaterEqual => c.bound - value,
                };
                let beyond = if c.holds(value) { beyond.min(0.0) } else { beyond.max(1e-12) };
                if beyond.is_finite() { beyond.into() } else { f64::MAX.into() }
            })
            .collect();
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO trial_system_attributes (trial_id, key, value_json) VALUES (?1, 'constraints', ?2)",
            )?
            .execute(params![trial, Json::from(kept).to_string()])?;
    }
    Ok(())
}

fn attribute(connection: &Connection, trial: i64, key: &str, value: &Json) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO trial_user_attributes (trial_id, key, value_json) VALUES (?1, ?2, ?3)")?
        .execute(params![trial, key, value.to_string()])?;
    Ok(())
}

/// A number as Optuna stores it: infinities, and for intermediate values NaN, by their type.
fn stored(value: f64, nan: &'static str) -> (Option<f64>, &'static str) {
    if value.is_nan() {
        (None, nan)
    } else if value == f64::INFINITY {
        (None, "INF_POS")
    } else if value == f64::NEG_INFINITY {
        (None, "INF_NEG")
    } else {
        (Some(value), "FINITE")
    }
}

/// The complete trials of a study whose rows are not in `known`, with those that do not fit the space counted.
pub fn foreign_trials(
    connection: &Connection,
    study: i64,
    space: &Arc<Space>,
    goal: &Goal,
) -> Result<(Vec<(i64, Point, Outcome)>, usize), StoreError> {
    let mut trials = connection.prepare(
        "SELECT trial_id FROM trials WHERE study_id = ?1 AND state = 'COMPLETE' AND trial_id NOT IN \
         (SELECT trial_id FROM lapidary_log WHERE study_id = ?1 AND trial_id IS NOT NULL) ORDER BY trial_id",
    )?;
    let ids = trials
        .query_map([study], |row| row.get(0))?
        .collect::<Result<Vec<i64>, _>>()?;
    let (mut found, mut unfit) = (Vec::new(), 0);
    for trial in ids {
        match (
            read_point(connection, trial, space)?,
            read_values(connection, trial, goal)?,
        ) {
            (Some(point), Some(metrics)) => found.push((trial, point, Outcome::Measured { metrics })),
            _ => unfit += 1,
        }
    }
    Ok((found, unfit))
}

fn read_point(connection: &Connection, trial: i64, space: &Arc<Space>) -> Result<Option<Point>, StoreError> {
    let mut rows = connection
        .prepare_cached("SELECT param_name, param_value, distribution_json FROM trial_params WHERE trial_id = ?1")?;
    let mut point = serde_json::Map::new();
    let mut rows = rows.query([trial])?;
    while let Some(row) = rows.next()? {
        let (name, value, distribution): (String, f64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let distribution: Json = serde_json::from_str(&distribution).unwrap_or_default();
        // A choice is stored as an index into the options its own program gave.
        let value = match distribution["attributes"]["choices"].as_array() {
            Some(options) => options.get(value as usize).cloned().unwrap_or_default(),
            None => value.into(),
        };
        point.insert(name, value);
    }
    Ok(space.point_from_json(&point.into()).ok())
}

fn read_values(connection: &Connection, trial: i64, goal: &Goal) -> Result<Option<Metrics>, StoreError> {
    let mut metrics = Metrics::new();
    let mut rows = connection
        .prepare_cached("SELECT key, value_json FROM trial_user_attributes WHERE trial_id = ?1")?;
    let mut rows = rows.query([trial])?;
    while let Some(row) = rows.next()? {
        let (name, value): (String, String) = (row.get(0)?, row.get(1)?);
        if let Some(value) = serde_json::from_str(&value).ok().and_then(|v| record::read_number(&v)) {
            metrics.insert(name, value);
        }
    }
    let mut rows = connection
        .prepare_cached("SELECT value FROM trial_values WHERE trial_id = ?1 AND value_type = 'FINITE' ORDER BY objective")?;
    let values = rows
        .query_map([trial], |row| row.get(0))?
        .collect::<Result<Vec<f64>, _>>()?;
    if values.len() != goal.objectives.len() {
        return Ok(None);
    }
    for (objective, value) in goal.objectives.iter().zip(values) {
        metrics.insert(objective.metric.clone(), value);
    }
    Ok(Some(metrics))
}
