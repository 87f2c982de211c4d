//! Goals: what to minimise or maximise, and what to keep.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::trial::{Metrics, Outcome, Score};
use crate::units;

/// Which way an objective is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Smaller is better.
    Minimize,
    /// Larger is better.
    Maximize,
}

/// A metric to make small or large.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objective {
    /// Name of the metric.
    pub metric: String,
    /// Which way is better.
    pub direction: Direction,
}

/// How a constraint compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the variants are the relations' names")]
pub enum Relation {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// A bound on a metric, as `latency_ms <= 2`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Constraint {
    /// Name of the metric.
    pub metric: String,
    /// How it compares.
    pub relation: Relation,
    /// The bound.
    pub bound: f64,
}

/// Objectives and constraints.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Goal {
    /// What to minimise or maximise, at least one in a study.
    pub objectives: Vec<Objective>,
    /// What to keep.
    pub constraints: Vec<Constraint>,
    /// A study ends when one feasible trial meets all of these; never where empty.
    pub stop_at: Vec<Constraint>,
}

/// What can be wrong with a goal.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum GoalError {
    #[error(
        "`{text}` is not a constraint; write for example `accuracy >= 0.97` or `bytes <= 200KB`{}",
        detail(reason)
    )]
    Constraint { text: String, reason: String },
    #[error("a goal needs at least one metric to minimize or maximize")]
    Empty,
    #[error("metric `{metric}` is an objective twice")]
    Twice { metric: String },
    #[error(
        "no metric `{metric}` is reported; there are {}",
        crate::text::listed(known)
    )]
    Unreported { metric: String, known: Vec<String> },
}

fn detail(reason: &str) -> String {
    if reason.is_empty() {
        String::new()
    } else {
        format!(" ({reason})")
    }
}

impl Constraint {
    /// Reads `metric <= bound`, `<`, `>=` or `>`; the bound may have a unit.
    ///
    /// # Errors
    /// When the text is of another form.
    pub fn parse(text: &str) -> Result<Self, GoalError> {
        let refuse = |reason: String| GoalError::Constraint {
            text: text.to_owned(),
            reason,
        };
        let (sign, relation) = [
            ("<=", Relation::LessEqual),
            (">=", Relation::GreaterEqual),
            ("<", Relation::Less),
            (">", Relation::Greater),
        ]
        .into_iter()
        .find(|(sign, _)| text.contains(sign))
        .ok_or_else(|| refuse(String::new()))?;
        let (metric, bound) = text.split_once(sign).ok_or_else(|| refuse(String::new()))?;
        let metric = metric.trim();
        if metric.is_empty() || metric.contains(char::is_whitespace) {
            return Err(refuse("the left side is the name of a metric".into()));
        }
        Ok(Self {
            metric: metric.to_owned(),
            relation,
            bound: units::number(bound).map_err(refuse)?,
        })
    }

    /// Whether `value` keeps the bound.
    pub fn holds(&self, value: f64) -> bool {
        match self.relation {
            Relation::Less => value < self.bound,
            Relation::LessEqual => value <= self.bound,
            Relation::Greater => value > self.bound,
            Relation::GreaterEqual => value >= self.bound,
        }
    }

    /// How far `value` is beyond the bound, relative to the bound's size (at least 1e-12 when it fails); 0 when it holds.
    pub fn violation(&self, value: f64) -> f64 {
        if self.holds(value) {
            return 0.0;
        }
        let scale = if self.bound == 0.0 {
            1.0
        } else {
            self.bound.abs()
        };
        let beyond = ((value - self.bound) / scale).abs();
        if beyond.is_nan() {
            f64::MAX
        } else {
            beyond.max(1e-12)
        }
    }
}

impl std::fmt::Display for Constraint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = match self.relation {
            Relation::Less => "<",
            Relation::LessEqual => "<=",
            Relation::Greater => ">",
            Relation::GreaterEqual => ">=",
        };
        write!(f, "{} {sign} {}", self.metric, self.bound)
    }
}

impl Goal {
    /// A goal of objectives and constraints.
    ///
    /// # Errors
    /// When there is no objective or a metric is an objective twice.
    pub fn new(
        objectives: Vec<Objective>,
        constraints: Vec<Constraint>,
        stop_at: Vec<Constraint>,
    ) -> Result<Self, GoalError> {
        if objectives.is_empty() {
            return Err(GoalError::Empty);
        }
        for (i, objective) in objectives.iter().enumerate() {
            if objectives[..i].iter().any(|o| o.metric == objective.metric) {
                return Err(GoalError::Twice {
                    metric: objective.metric.clone(),
                });
            }
        }
        Ok(Self {
            objectives,
            constraints,
            stop_at,
        })
    }

    /// Names of all metrics the goal reads, each once.
    pub fn metrics(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .objectives
            .iter()
            .map(|o| o.metric.as_str())
            .chain(self.constraints.iter().map(|c| c.metric.as_str()))
            .chain(self.stop_at.iter().map(|c| c.metric.as_str()))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The score of an outcome.
    ///
    /// # Errors
    /// The reason why the trial counts as failed: a metric the goal reads is missing, or an objective is not finite.
    pub fn score(&self, outcome: &Outcome) -> Result<Score, String> {
        let metrics = match outcome {
            Outcome::Measured { metrics } | Outcome::Stopped { metrics, .. } => metrics,
            Outcome::Failed { reason } => return Err(reason.clone()),
        };
        let read = |name: &str| {
            metrics.get(name).copied().ok_or_else(|| {
                let known: Vec<&str> = metrics.keys().map(String::as_str).collect();
                format!(
                    "no metric `{name}` was reported; there are {}",
                    crate::text::listed(&known)
                )
            })
        };
        let mut objectives = Vec::with_capacity(self.objectives.len());
        for objective in &self.objectives {
            let value = read(&objective.metric)?;
            if !value.is_finite() {
                return Err(format!("objective `{}` is {value}", objective.metric));
            }
            objectives.push(match objective.direction {
                Direction::Minimize => value,
                Direction::Maximize => -value,
            });
        }
        let mut violation = 0.0;
        for constraint in &self.constraints {
            violation += constraint.violation(read(&constraint.metric)?);
        }
        Ok(Score {
            objectives,
            violation: f64::min(violation, f64::MAX),
        })
    }

    /// Whether `metrics` keep all constraints.
    pub fn is_met(&self, metrics: &Metrics) -> bool {
        self.constraints
            .iter()
            .all(|c| metrics.get(&c.metric).is_some_and(|&v| c.holds(v)))
    }

    /// Whether `metrics` are good enough to end a study: constraints kept and every `stop_at` met.
    pub fn is_reached(&self, metrics: &Metrics) -> bool {
        !self.stop_at.is_empty()
            && self.is_met(metrics)
            && self
                .stop_at
                .iter()
                .all(|c| metrics.get(&c.metric).is_some_and(|&v| c.holds(v)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_read_units_and_say_what_is_wrong() {
        let c = Constraint::parse("bytes <= 200KB").unwrap();
        assert_eq!(c.bound, 200_000.0);
        assert!(c.holds(200_000.0) && !c.holds(200_001.0));
        assert_eq!(c.violation(300_000.0), 0.5);
        assert!(
            Constraint::parse("bytes = 3")
                .unwrap_err()
                .to_string()
                .contains("bytes <= 200KB")
        );
        assert!(
            Constraint::parse("bytes <= big")
                .unwrap_err()
                .to_string()
                .contains("units are")
        );
    }

    #[test]
    fn maximised_objectives_change_sign_and_non_finite_ones_fail() {
        let goal = Goal::new(
            vec![Objective {
                metric: "accuracy".into(),
                direction: Direction::Maximize,
            }],
            vec![Constraint::parse("bytes < 10").unwrap()],
            vec![],
        )
        .unwrap();
        let measured = |accuracy: f64, bytes: f64| Outcome::Measured {
            metrics: [
                ("accuracy".to_owned(), accuracy),
                ("bytes".to_owned(), bytes),
            ]
            .into(),
        };
        let score = goal.score(&measured(0.9, 10.0)).unwrap();
        assert_eq!(score.objectives, [-0.9]);
        assert!(score.violation > 0.0);
        assert!(
            goal.score(&measured(f64::NAN, 1.0))
                .unwrap_err()
                .contains("accuracy")
        );
        // A constraint metric that is not finite is a violation, not a failure.
        assert!(goal.score(&measured(0.9, f64::NAN)).unwrap().violation > 0.0);
    }
}
