//! Candidates, outcomes, trials and scores.

use std::ops::{Deref, DerefMut, Index};

use litemap::LiteMap;
use serde::{Deserialize, Serialize};

use crate::space::Point;

/// Measured numbers by name, in the order of names. A study keeps one for every trial, most of them with a number or two, so
/// it is a list and not a tree.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics(LiteMap<String, f64>);

impl Metrics {
    /// No numbers.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Deref for Metrics {
    type Target = LiteMap<String, f64>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Metrics {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Index<&str> for Metrics {
    type Output = f64;

    /// Panics where there is no such number.
    fn index(&self, name: &str) -> &f64 {
        self.0
            .get(name)
            .unwrap_or_else(|| panic!("no metric is named {name}"))
    }
}

impl<const N: usize> From<[(String, f64); N]> for Metrics {
    fn from(metrics: [(String, f64); N]) -> Self {
        metrics.into_iter().collect()
    }
}

impl FromIterator<(String, f64)> for Metrics {
    fn from_iter<I: IntoIterator<Item = (String, f64)>>(metrics: I) -> Self {
        let metrics = metrics.into_iter();
        let mut map = LiteMap::with_capacity(metrics.size_hint().0);
        map.extend(metrics);
        Self(map)
    }
}

impl IntoIterator for Metrics {
    type Item = (String, f64);
    type IntoIter = std::vec::IntoIter<(String, f64)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Metrics {
    type Item = (&'a String, &'a f64);
    type IntoIter = <&'a LiteMap<String, f64> as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        (&self.0).into_iter()
    }
}

/// A point to evaluate.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Id within the study, rising in the order candidates are asked.
    pub id: u64,
    /// The point.
    pub point: Point,
    /// Share of the full evaluation cost to spend, in (0, 1].
    pub fidelity: f64,
    /// The trial whose work this one continues, where there is one.
    pub parent: Option<u64>,
}

/// What an evaluation gave.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It ran to its end.
    Measured {
        /// What was measured.
        metrics: Metrics,
    },
    /// It gave no usable result.
    Failed {
        /// Why.
        reason: String,
    },
    /// It was stopped before its end, by a rule.
    Stopped {
        /// What was measured until then.
        metrics: Metrics,
        /// Which rule.
        reason: String,
    },
}

/// Where a trial comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The study's own searcher asked for it.
    Own,
    /// A user's starting point, an earlier study, or another program.
    Foreign,
}

/// What a searcher sees of an outcome. A trial that was stopped is scored by what was measured until then, like any other: on
/// the way to its end it was no better.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Objectives, all to be minimised, all finite.
    #[serde(with = "crate::wire::numbers")]
    pub objectives: Vec<f64>,
    /// How far the constraints are violated, ≥ 0; 0 is feasible.
    #[serde(with = "crate::wire::number")]
    pub violation: f64,
}

/// Metrics reported while an evaluation runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Step of the report, rising within a trial.
    #[serde(with = "crate::wire::whole")]
    pub step: u64,
    /// What was measured.
    pub metrics: Metrics,
}

/// A candidate together with its outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// What was evaluated.
    pub candidate: Candidate,
    /// Where it comes from.
    pub origin: Origin,
    /// What came out.
    pub outcome: Outcome,
    /// The outcome under the study's goal; `None` where the trial failed, or was stopped before it gave what the goal reads.
    pub score: Option<Score>,
    /// Intermediate reports, in order.
    pub curve: Vec<Report>,
    /// The earlier trial whose outcome answered this one, where the point was repeated.
    pub repeats: Option<u64>,
}

impl Outcome {
    /// What was measured, where anything was.
    pub fn metrics(&self) -> Option<&Metrics> {
        match self {
            Self::Measured { metrics } | Self::Stopped { metrics, .. } => Some(metrics),
            Self::Failed { .. } => None,
        }
    }
}

impl Trial {
    /// Whether there is a score without violation.
    pub fn is_feasible(&self) -> bool {
        self.score.as_ref().is_some_and(|s| s.violation == 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_a_map_by_name() {
        let metrics = Metrics::from([("b".to_owned(), 2.0), ("a".to_owned(), 1.0)]);
        assert_eq!(metrics.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(metrics["b"], 2.0);
    }
}
