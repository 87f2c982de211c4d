//! The evaluator: turns a candidate into an outcome.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::cancel::Cancel;
use crate::fit::Verdict;
use crate::trial::{Candidate, Metrics, Outcome};

/// A metric an evaluator reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricInfo {
    /// Name of the metric.
    pub name: String,
    /// Whether another run may give another value (latency, wall time).
    pub volatile: bool,
    /// Whether intermediate reports have it too.
    pub stepwise: bool,
}

/// What an evaluation may use of its host.
pub struct EvalContext<'a> {
    /// Seed of the study; random numbers are keyed by it, the candidate's id and a purpose.
    pub seed: u64,
    /// Ends the evaluation early.
    pub cancel: &'a Cancel,
    /// The trials whose work the candidate goes on from, its parent last; empty where it has none. What an evaluator kept of
    /// them is only a short cut: the outcome is the same where it was lost.
    pub lineage: &'a [Candidate],
    /// Takes an intermediate report (step, metrics) and says whether to go on.
    pub report: &'a (dyn Fn(u64, &Metrics) -> Verdict + Sync),
}

/// Measures candidates. Called from several threads at once.
pub trait Evaluator: Sync {
    /// Measures one candidate. Does not panic on a bad point: it returns a failed outcome with the reason.
    fn evaluate(&self, candidate: &Candidate, cx: &EvalContext<'_>) -> Outcome;

    /// The metrics a measured outcome has; `None` where only a run will tell.
    fn metrics(&self) -> Option<Vec<MetricInfo>>;
}

/// Measures one candidate; where the evaluator panics, the outcome is failed.
pub fn attempt(evaluator: &dyn Evaluator, candidate: &Candidate, cx: &EvalContext<'_>) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| evaluator.evaluate(candidate, cx))).unwrap_or_else(|panic| {
        Outcome::Failed {
            reason: format!(
                "the evaluator panicked: {}",
                crate::text::panic_text(&*panic)
            ),
        }
    })
}
