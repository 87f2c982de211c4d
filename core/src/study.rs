//! The study: the one loop that joins a searcher, an evaluator and a budget.
//!
//! Candidate k is asked exactly when all outcomes up to k − W are told, W being the window, and outcomes are told in the
//! order of ids. So what a searcher sees, and with it every trial, is the same at any number of jobs.

mod run;

use std::collections::HashMap;
use std::sync::Arc;

use thiserror::Error;

use crate::budget::Budget;
use crate::goal::{Goal, GoalError};
use crate::log::LogError;
use crate::rank;
use crate::searcher::SearchError;
use crate::space::{Point, PointKey, Space};
use crate::stop::StopRule;
use crate::trial::{Candidate, Outcome, Score, Trial};

/// A study's fixed settings.
///
/// ```
/// # mod draws { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/draws.rs")); }
/// use std::sync::Arc;
///
/// use lapidary_core::budget::{Budget, WallClock};
/// use lapidary_core::cancel::Cancel;
/// use lapidary_core::evaluator::{EvalContext, Evaluator, MetricInfo};
/// use lapidary_core::goal::{Direction, Goal, Objective};
/// use lapidary_core::json::Json;
/// use lapidary_core::registry::{Registry, SearchInit};
/// use lapidary_core::space::{Axis, AxisValue, Domain, Space};
/// use lapidary_core::study::{End, Study};
/// use lapidary_core::trial::{Candidate, Outcome};
///
/// /// What is to be minimised.
/// struct Square;
///
/// impl Evaluator for Square {
///     fn evaluate(&self, candidate: &Candidate, _: &EvalContext<'_>) -> Outcome {
///         match candidate.point.get("x") {
///             Some(AxisValue::Float(x)) => Outcome::Measured { metrics: [("value".to_owned(), x * x)].into() },
///             _ => Outcome::Failed { reason: "the space has no axis x".to_owned() },
///         }
///     }
///
///     fn metrics(&self) -> Option<Vec<MetricInfo>> {
///         Some(vec![MetricInfo { name: "value".to_owned(), volatile: false, stepwise: false }])
///     }
/// }
///
/// let domain = Domain::Float { low: -1.0, high: 1.0, log: false, step: None };
/// let smallest = Objective { metric: "value".to_owned(), direction: Direction::Minimize };
/// let study = Study {
///     space: Arc::new(Space::new(vec![Axis::new("x", domain)])?),
///     goal: Goal::new(vec![smallest], vec![], vec![])?,
///     budget: Budget { trials: Some(30), time: None },
///     seed: 7,
///     window: 4,
///     repeats: false,
///     start: vec![],
///     stop: None,
/// };
/// let init = SearchInit {
///     space: study.space.clone(),
///     seed: study.seed,
///     objectives: 1,
///     trials: study.budget.trials,
///     installed: None,
/// };
/// // Of a program with the built-in strategies `genetic` would do as well.
/// let mut searcher = Registry::new(&[&draws::ENTRY])?.searcher("draws", &Json::Null, &init)?;
///
/// let jobs = 2; // The trials are the same at any number.
/// let finished = study.run(searcher.as_mut(), &Square, jobs, &mut (), &WallClock::start(), &Cancel::new())?;
/// assert_eq!((finished.trials.len(), finished.end), (30, End::Trials));
/// let best = finished.best().ok_or("all trials failed")?;
/// assert!(best.outcome.metrics().is_some_and(|metrics| metrics["value"] < 0.1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Study {
    /// Where to search.
    pub space: Arc<Space>,
    /// What is good.
    pub goal: Goal,
    /// What may be spent.
    pub budget: Budget,
    /// Seed of the evaluations.
    pub seed: u64,
    /// Trials that may be in flight at once, at least 1; part of the study's identity, since it decides what a searcher knows when.
    pub window: usize,
    /// Whether a repeated point is evaluated again (noisy evaluators: it is scored by the mean of its metrics so far) rather
    /// than answered from its first trial.
    pub repeats: bool,
    /// Points to evaluate before the searcher's own, told to it as foreign trials.
    pub start: Vec<Point>,
    /// When to stop running trials.
    pub stop: Option<StopRule>,
}

/// Why a study ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All trials of the budget are spent.
    Trials,
    /// The time of the budget is spent.
    Time,
    /// The searcher has no further point.
    Exhausted,
    /// A trial is as good as `stop_at` asks.
    Reached,
    /// It was interrupted.
    Cancelled,
}

impl End {
    /// The reason in one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trials => "trials",
            Self::Time => "time",
            Self::Exhausted => "exhausted",
            Self::Reached => "reached",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A study that has ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// All trials told, by id.
    pub trials: Vec<Trial>,
    /// Why it ended.
    pub end: End,
}

/// What can go wrong with a study.
#[derive(Debug, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum StudyError {
    #[error(transparent)]
    Goal(#[from] GoalError),
    #[error(transparent)]
    Search(#[from] SearchError),
    #[error("the study's log: {0}")]
    Log(#[from] LogError),
    #[error("the searcher asked for trial {id} after {previous}: ids must rise")]
    Ids { id: u64, previous: u64 },
    #[error("trial {id} has fidelity {fidelity}, outside (0, 1]")]
    Fidelity { id: u64, fidelity: f64 },
    #[error("trial {id} is of another space")]
    Space { id: u64 },
}

impl Finished {
    /// See [`best`].
    pub fn best(&self) -> Option<&Trial> {
        best(&self.trials)
    }

    /// See [`front`].
    pub fn front(&self) -> Vec<&Trial> {
        front(&self.trials)
    }

    /// Number of failed trials.
    pub fn failed(&self) -> usize {
        let failed = |trial: &&Trial| matches!(trial.outcome, Outcome::Failed { .. });
        self.trials.iter().filter(failed).count()
    }
}

/// The trials of a study whose work a candidate goes on from, its parent last. One that was answered by an earlier trial of its
/// point is represented by that trial, which did the work.
pub fn lineage(trials: &[Trial], candidate: &Candidate) -> Vec<Candidate> {
    let before = |candidate: &Candidate| {
        let parent = candidate.parent.filter(|id| *id < candidate.id)?;
        let parent = trials.get(parent as usize)?;
        let worked = parent.repeats.unwrap_or(parent.candidate.id);
        trials.get(worked as usize).map(|trial| &trial.candidate)
    };
    let mut lineage: Vec<Candidate> = std::iter::successors(before(candidate), |c| before(c))
        .cloned()
        .collect();
    lineage.reverse();
    lineage
}

/// The best of a study's trials: for one objective the best by Deb's rules, for several the first of the front; `None` where
/// all failed.
pub fn best<'a>(trials: impl IntoIterator<Item = &'a Trial>) -> Option<&'a Trial> {
    let scored = scored(trials);
    let best = scored
        .iter()
        .min_by(|a, b| rank::compare(a.1, b.1).then(a.0.candidate.id.cmp(&b.0.candidate.id)))?;
    Some(best.0)
}

/// The trials of a study that no other beats, by id.
pub fn front<'a>(trials: impl IntoIterator<Item = &'a Trial>) -> Vec<&'a Trial> {
    let scored = scored(trials);
    let scores: Vec<&Score> = scored.iter().map(|(_, s)| *s).collect();
    rank::best_front(&scores)
        .into_iter()
        .map(|i| scored[i].0)
        .collect()
}

/// Trials at full fidelity with their scores; of a point that was evaluated several times the last, which knows most.
fn scored<'a>(trials: impl IntoIterator<Item = &'a Trial>) -> Vec<(&'a Trial, &'a Score)> {
    let mut last: HashMap<PointKey, usize> = HashMap::new();
    let mut kept: Vec<Option<(&Trial, &Score)>> = Vec::new();
    for trial in trials
        .into_iter()
        .filter(|t| t.candidate.fidelity == 1.0 && t.repeats.is_none())
    {
        let Some(score) = &trial.score else { continue };
        if let Some(earlier) = last.insert(trial.candidate.point.key(), kept.len()) {
            kept[earlier] = None;
        }
        kept.push(Some((trial, score)));
    }
    kept.into_iter().flatten().collect()
}

#[cfg(test)]
pub(crate) mod tests;
