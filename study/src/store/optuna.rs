//! Rows of Optuna's tables: how its program sees our trials, and how we see its.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use lapidary_core::goal::{Direction, Goal, Relation};
use lapidary_core::json::Json;
use lapidary_core::space::{Axis, AxisValue, Domain, Point, Space};
use lapidary_core::trial::{Candidate, Metrics, Outcome, Report};
use lapidary_core::wire::Number;
use rusqlite::{Connection, ToSql, params};
use serde_json::json;

use super::error::StoreError;
use super::history::Noted;

/// A trial of another program: its row, its point, what came out.
pub type ForeignTrial = (i64, Point, Outcome);

/// System attribute of a study: names of its objectives.
pub const METRIC_NAMES: &str = "study:metric_names";
/// System attribute of a trial: its constraints, each kept where it is at most 0.
pub const CONSTRAINTS: &str = "constraints";
/// User attribute of a trial: why it failed or was stopped.
pub const REASON: &str = "reason";
/// User attribute of a trial: its fidelity, where that is not 1.
const FIDELITY: &str = "fidelity";

/// Bytes of a choice's distribution beyond which its options are many.
const MANY_OPTIONS: usize = 1024;

/// Parameters that one statement writes: SQLite starts statements less quickly than it adds rows.
const PARAMETERS_AT_ONCE: usize = 16;

/// State of a trial that has no outcome yet.
pub const RUNNING: &str = "RUNNING";

/// The state of a trial that came out so.
pub fn state(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Measured { .. } => "COMPLETE",
        Outcome::Failed { .. } => "FAIL",
        Outcome::Stopped { .. } => "PRUNED",
    }
}

/// A time as Optuna writes it, without zone. It is UTC, so that what one machine began another may end, and summer time changes
/// nothing.
pub fn time(at: i64) -> String {
    Timestamp::from_microsecond(at)
        .unwrap_or_default()
        .strftime("%Y-%m-%d %H:%M:%S%.6f")
        .to_string()
}

/// Inserts `n` parameters of the trial ?1, at least one.
fn insert_parameters(n: usize) -> String {
    let first = "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) \
                 VALUES (?1, ?, ?, ?)";
    first.to_owned() + &", (?1, ?, ?, ?)".repeat(n - 1)
}

/// The rows of one study.
pub struct Rows<'a> {
    /// The store.
    pub connection: &'a Connection,
    /// The study.
    pub study: i64,
    /// Its goal.
    pub goal: &'a Goal,
    /// Its axes, as [`distribution`] describes them.
    pub distributions: &'a [String],
}

impl Rows<'_> {
    /// Directions and metric names.
    pub fn describe(&self) -> Result<(), StoreError> {
        for (i, objective) in self.goal.objectives.iter().enumerate() {
            let direction = match objective.direction {
                Direction::Minimize => "MINIMIZE",
                Direction::Maximize => "MAXIMIZE",
            };
            self.connection.execute(
                "INSERT OR REPLACE INTO study_directions (direction, study_id, objective) VALUES (?1, ?2, ?3)",
                params![direction, self.study, i as i64],
            )?;
        }
        self.connection.execute(
            "INSERT OR REPLACE INTO study_system_attributes (study_id, key, value_json) VALUES (?1, ?2, ?3)",
            params![self.study, METRIC_NAMES, metric_names(self.goal).to_string()],
        )?;
        Ok(())
    }

    /// The number the next trial gets: trials are counted from 0 in the order of their rows.
    pub fn next_number(&self) -> Result<i64, StoreError> {
        Ok(self
            .connection
            .prepare_cached("SELECT coalesce(max(number) + 1, 0) FROM trials WHERE study_id = ?1")?
            .query_row([self.study], |row| row.get(0))?)
    }

    /// A running trial with its parameters, at the row `trial` or a new one; returns its row.
    pub fn insert(
        &self,
        trial: Option<i64>,
        number: i64,
        candidate: &Candidate,
        now: &str,
    ) -> Result<i64, StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO trials (trial_id, number, study_id, state, datetime_start) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![trial, number, self.study, RUNNING, now])?;
        let trial = trial.unwrap_or_else(|| self.connection.last_insert_rowid());
        let parameters = parameters(&candidate.point, self.distributions)
            .map(|(axis, value, distribution)| self.parameter(axis, value, distribution))
            .collect::<Result<Vec<_>, _>>()?;
        for parameters in parameters.chunks(PARAMETERS_AT_ONCE) {
            let mut values: Vec<&dyn ToSql> = vec![&trial];
            for (name, value, distribution) in parameters {
                values.extend([name as &dyn ToSql, value, distribution]);
            }
            self.connection
                .prepare_cached(&insert_parameters(parameters.len()))?
                .execute(values.as_slice())?;
        }
        Ok(trial)
    }

    /// A parameter as a row: its name, its value and its distribution. Many options stand in the first row of their axis only,
    /// which Optuna compares others with; later ones have the one that was taken.
    fn parameter<'a>(
        &self,
        axis: &'a Axis,
        value: AxisValue,
        distribution: &'a str,
    ) -> Result<(&'a str, f64, Cow<'a, str>), StoreError> {
        if let (Domain::Choice { options }, AxisValue::Choice(taken)) = (&axis.domain, value)
            && distribution.len() > MANY_OPTIONS
            && self.is_described(&axis.name)?
        {
            return Ok((&axis.name, 0.0, categorical(&options[taken..=taken]).into()));
        }
        Ok((&axis.name, stored_value(value), distribution.into()))
    }

    /// Whether a trial has a parameter of this name.
    fn is_described(&self, name: &str) -> Result<bool, StoreError> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT 1 FROM trials JOIN trial_params USING (trial_id) WHERE study_id = ?1 AND param_name = ?2",
            )?
            .exists(params![self.study, name])?)
    }

    /// The end of a trial.
    pub fn finish(
        &self,
        trial: i64,
        candidate: &Candidate,
        outcome: &Outcome,
        curve: &[Report],
        now: &str,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "UPDATE trials SET state = ?2, datetime_complete = ?3 WHERE trial_id = ?1",
            )?
            .execute(params![trial, state(outcome), now])?;
        if let Some(values) = values(self.goal, outcome) {
            let mut insert = self.connection.prepare_cached(
                "INSERT OR REPLACE INTO trial_values (trial_id, objective, value, value_type) \
                 VALUES (?1, ?2, ?3, 'FINITE')",
            )?;
            for (i, value) in values.into_iter().enumerate() {
                insert.execute(params![trial, i as i64, value])?;
            }
        }
        for (name, value) in user_attributes(candidate, self.goal, outcome) {
            self.user_attribute(trial, &name, &value)?;
        }
        if let Some(constraints) = constraints(self.goal, outcome) {
            self.connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO trial_system_attributes (trial_id, key, value_json) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![trial, CONSTRAINTS, constraints.to_string()])?;
        }
        for (step, value) in intermediate(self.goal, curve) {
            let (value, kind) = stored(value);
            self.connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO trial_intermediate_values \
                     (trial_id, step, intermediate_value, intermediate_value_type) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![trial, step, value, kind])?;
        }
        Ok(())
    }

    fn user_attribute(&self, trial: i64, key: &str, value: &Json) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO trial_user_attributes (trial_id, key, value_json) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![trial, key, value.to_string()])?;
        Ok(())
    }

    /// Whether every trial of `history` has its row, in the state its log says.
    pub fn agree(&self, history: &[Noted]) -> Result<bool, StoreError> {
        let mut state_of = self
            .connection
            .prepare("SELECT state FROM trials WHERE trial_id = ?1 AND study_id = ?2")?;
        for noted in history {
            let mut rows = state_of.query([noted.row, self.study])?;
            let wanted = noted.outcome.as_ref().map_or(RUNNING, state);
            match rows.next()? {
                Some(row) if row.get_ref(0)?.as_str().ok() == Some(wanted) => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Makes the rows of all trials of `history` again. The caller has a transaction open.
    pub fn rebuild(&self, history: &[Noted]) -> Result<(), StoreError> {
        self.describe()?;
        for noted in history {
            forget_trials(self.connection, "= ?1", noted.row)?;
        }
        for noted in history {
            let (asked, told) = (time(noted.asked), noted.told.map(time));
            self.insert(Some(noted.row), -1, &noted.candidate, &asked)?;
            if let (Some(outcome), Some(told)) = (&noted.outcome, told) {
                self.finish(noted.row, &noted.candidate, outcome, &noted.curve, &told)?;
            }
        }
        self.connection.execute(
            "UPDATE trials SET number = (SELECT count(*) FROM trials AS earlier WHERE earlier.study_id = ?1 \
             AND earlier.trial_id < trials.trial_id) WHERE study_id = ?1",
            [self.study],
        )?;
        Ok(())
    }

    /// The complete trials that another program added, as far as they fit the space and the goal, and how many do not.
    pub fn foreign(
        &self,
        space: &Arc<Space>,
        ours: &HashSet<i64>,
    ) -> Result<(Vec<ForeignTrial>, usize), StoreError> {
        let mut trials = self.connection.prepare(
            "SELECT trial_id FROM trials WHERE study_id = ?1 AND state = 'COMPLETE' ORDER BY trial_id",
        )?;
        let rows = trials
            .query_map([self.study], |row| row.get(0))?
            .collect::<Result<Vec<i64>, _>>()?;
        let (mut found, mut unfit) = (Vec::new(), 0);
        for trial in rows.into_iter().filter(|trial| !ours.contains(trial)) {
            let outcome = Outcome::Measured {
                metrics: self.read_metrics(trial)?,
            };
            match self.read_point(trial, space)? {
                Some(point) if self.goal.score(&outcome).is_ok() => {
                    found.push((trial, point, outcome));
                }
                _ => unfit += 1,
            }
        }
        Ok((found, unfit))
    }

    fn read_point(&self, trial: i64, space: &Arc<Space>) -> Result<Option<Point>, StoreError> {
        let mut rows = self.connection.prepare_cached(
            "SELECT param_name, param_value, distribution_json FROM trial_params WHERE trial_id = ?1",
        )?;
        let mut point = serde_json::Map::new();
        let mut rows = rows.query([trial])?;
        while let Some(row) = rows.next()? {
            let (name, value, distribution): (String, f64, String) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
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

    /// Numbers among the user attributes by their names, and the objectives' values.
    fn read_metrics(&self, trial: i64) -> Result<Metrics, StoreError> {
        let mut metrics = Metrics::new();
        let mut rows = self.connection.prepare_cached(
            "SELECT key, value_json FROM trial_user_attributes WHERE trial_id = ?1",
        )?;
        let mut rows = rows.query([trial])?;
        while let Some(row) = rows.next()? {
            let (name, value): (String, String) = (row.get(0)?, row.get(1)?);
            if let Ok(Number(value)) = serde_json::from_str(&value) {
                metrics.insert(name, value);
            }
        }
        let mut rows = self.connection.prepare_cached(
            "SELECT objective, value FROM trial_values WHERE trial_id = ?1 AND value_type = 'FINITE'",
        )?;
        let mut rows = rows.query([trial])?;
        while let Some(row) = rows.next()? {
            let (i, value): (u16, f64) = (row.get(0)?, row.get(1)?);
            if let Some(objective) = self.goal.objectives.get(usize::from(i)) {
                metrics.insert(objective.metric.clone(), value);
            }
        }
        Ok(metrics)
    }
}

/// Removes the trials whose row is `which` of `id`, with all that hangs on them.
pub fn forget_trials(connection: &Connection, which: &str, id: i64) -> Result<(), StoreError> {
    for table in [
        "trial_user_attributes",
        "trial_system_attributes",
        "trial_params",
        "trial_values",
        "trial_intermediate_values",
        "trial_heartbeats",
        "trials",
    ] {
        connection
            .prepare_cached(&format!("DELETE FROM {table} WHERE trial_id {which}"))?
            .execute([id])?;
    }
    Ok(())
}

/// The names of the objectives.
pub fn metric_names(goal: &Goal) -> Json {
    let names = goal.objectives.iter().map(|o| o.metric.as_str());
    names.map(Json::from).collect()
}

/// An axis as Optuna describes a distribution.
pub fn distribution(axis: &Axis) -> String {
    match &axis.domain {
        Domain::Float {
            low,
            high,
            log,
            step,
        } => json!({
            "name": "FloatDistribution",
            "attributes": {"step": step, "low": low, "high": high, "log": log}
        }),
        Domain::Int {
            low,
            high,
            log,
            step,
        } => json!({
            "name": "IntDistribution",
            "attributes": {"log": log, "step": step, "low": low, "high": high}
        }),
        Domain::Choice { options } => return categorical(options),
    }
    .to_string()
}

fn categorical(options: &[Json]) -> String {
    json!({
        "name": "CategoricalDistribution",
        "attributes": {"choices": options}
    })
    .to_string()
}

/// A value as Optuna's tables keep it: a choice by its index, and all as floats.
fn stored_value(value: AxisValue) -> f64 {
    match value {
        AxisValue::Float(v) => v,
        AxisValue::Int(v) => v as f64,
        AxisValue::Choice(v) => v as f64,
    }
}

/// The axes whose whole numbers Optuna's tables round: those with values beyond 2^53.
pub fn rounded_axes(space: &Space) -> Vec<&str> {
    let beyond = |domain: &Domain| match domain {
        Domain::Int { low, high, .. } => low.unsigned_abs().max(high.unsigned_abs()) > 1 << 53,
        _ => false,
    };
    let axes = space.axes().iter().filter(|axis| beyond(&axis.domain));
    axes.map(|axis| axis.name.as_str()).collect()
}

/// The active axes of a point with their values and their distributions.
pub fn parameters<'a>(
    point: &'a Point,
    distributions: &'a [String],
) -> impl Iterator<Item = (&'a Axis, AxisValue, &'a String)> {
    let axes = point.space().axes().iter().zip(point.values());
    axes.zip(distributions)
        .filter_map(|((axis, value), distribution)| Some((axis, (*value)?, distribution)))
}

/// The objectives' values, where all were measured; a trial that counts has them finite.
pub fn values(goal: &Goal, outcome: &Outcome) -> Option<Vec<f64>> {
    let metrics = outcome.metrics()?;
    let value = |metric: &String| metrics.get(metric).copied().filter(|v| v.is_finite());
    goal.objectives.iter().map(|o| value(&o.metric)).collect()
}

/// All that Optuna has no place for: a fidelity below 1, metrics that are no objectives, and reasons.
pub fn user_attributes(
    candidate: &Candidate,
    goal: &Goal,
    outcome: &Outcome,
) -> Vec<(String, Json)> {
    let mut attributes = Vec::new();
    if candidate.fidelity != 1.0 {
        attributes.push((FIDELITY.to_owned(), candidate.fidelity.into()));
    }
    if let Outcome::Failed { reason } | Outcome::Stopped { reason, .. } = outcome {
        attributes.push((REASON.to_owned(), reason.clone().into()));
    }
    for (name, value) in outcome.metrics().into_iter().flatten() {
        if goal.objectives.iter().all(|o| o.metric != *name) {
            attributes.push((name.clone(), json!(Number(*value))));
        }
    }
    attributes
}

/// How far each constraint is beyond its bound: at most 0 exactly where it is kept.
pub fn constraints(goal: &Goal, outcome: &Outcome) -> Option<Json> {
    let metrics = outcome.metrics().filter(|_| !goal.constraints.is_empty())?;
    let beyond = goal.constraints.iter().map(|c| {
        let value = metrics.get(&c.metric).copied().unwrap_or(f64::NAN);
        let beyond = match c.relation {
            Relation::Less | Relation::LessEqual => value - c.bound,
            Relation::Greater | Relation::GreaterEqual => c.bound - value,
        };
        let beyond = if c.holds(value) {
            beyond.min(0.0)
        } else if beyond.is_nan() {
            f64::MAX
        } else {
            beyond.max(1e-12)
        };
        Json::from(beyond.clamp(-f64::MAX, f64::MAX))
    });
    Some(beyond.collect())
}

/// The one objective's values while the trial ran.
pub fn intermediate<'a>(
    goal: &'a Goal,
    curve: &'a [Report],
) -> impl Iterator<Item = (i64, f64)> + 'a {
    let objective = match goal.objectives.as_slice() {
        [objective] => Some(&objective.metric),
        _ => None,
    };
    curve.iter().filter_map(move |report| {
        let value = report.metrics.get(objective?)?;
        Some((i64::try_from(report.step).ok()?, *value))
    })
}

/// An intermediate value as Optuna stores it: what is not finite by its type.
fn stored(value: f64) -> (Option<f64>, &'static str) {
    if value.is_nan() {
        (None, "NAN")
    } else if value == f64::INFINITY {
        (None, "INF_POS")
    } else if value == f64::NEG_INFINITY {
        (None, "INF_NEG")
    } else {
        (Some(value), "FINITE")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_no_zone() {
        assert_eq!(time(0), "1970-01-01 00:00:00.000000");
        assert_eq!(time(1_769_903_999_000_001), "2026-01-31 23:59:59.000001");
    }

    #[test]
    fn axes_that_are_rounded_are_named() {
        let int = |low, high| Domain::Int {
            low,
            high,
            log: false,
            step: 1,
        };
        let axes = vec![
            Axis::new("small", int(0, 1 << 53)),
            Axis::new("large", int(0, (1 << 53) + 1)),
            Axis::new("low", int(i64::MIN, 0)),
        ];
        assert_eq!(rounded_axes(&Space::new(axes).unwrap()), ["large", "low"]);
    }
}
