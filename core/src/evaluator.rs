//! The evaluator: turns a candidate into an outcome.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::cancel::Cancel;
use crate::fit::Verdict;
use crate::model::{Model, ModelError};
use crate::trial::{Candidate, Metrics, Outcome, Trial};

/// Knows what the paths among settings count from.
pub trait Paths: Sync {
    /// The path that `text` stands for, which was written under the setting `under` (keys and positions in lists): in a study file
    /// it counts from the file's folder, on the command line from the working directory.
    fn path(&self, under: &[&str], text: &str) -> PathBuf;
}

/// Paths count from the working directory.
impl Paths for () {
    fn path(&self, _: &[&str], text: &str) -> PathBuf {
        text.into()
    }
}

/// What trials keep for later stages of them. It is a short cut only: anything may be lost at any time.
pub trait Checkpoints: Send + Sync {
    /// Keeps the state of trial `id`; `origin` is a line that says all that the state came from.
    fn save(&self, id: u64, origin: &str, state: &[u8]);
    /// The state of trial `id`, where it was kept and came from `origin`.
    fn load(&self, id: u64, origin: &str) -> Option<Vec<u8>>;
    /// Drops the state of trial `id`: a later stage has gone on from it.
    fn forget(&self, id: u64);
}

/// Keeps nothing.
impl Checkpoints for () {
    fn save(&self, _: u64, _: &str, _: &[u8]) {}
    fn load(&self, _: u64, _: &str) -> Option<Vec<u8>> {
        None
    }
    fn forget(&self, _: u64) {}
}

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
    /// Takes what the evaluation leaves besides its metrics, by name; of two of one name the later one counts.
    pub keep: &'a (dyn Fn(&str, Artefact) + Sync),
}

/// What an evaluation leaves besides its metrics. A study keeps that of the trials that no other beats.
pub enum Artefact {
    /// Any file.
    Bytes(Vec<u8>),
    /// A model; written to a file only where it is kept.
    Model(Box<dyn Model>),
}

impl Artefact {
    /// The name of the artefact that is the trial's model. Others are written beside a model `net.onnx` as `net.NAME`.
    pub const MODEL: &'static str = "model";
}

/// Artefacts by name.
pub type Artefacts = Vec<(String, Artefact)>;

/// Measures candidates. Called from several threads at once.
pub trait Evaluator: Send + Sync {
    /// Measures one candidate. Does not panic on a bad point: it returns a failed outcome with the reason.
    fn evaluate(&self, candidate: &Candidate, cx: &EvalContext<'_>) -> Outcome;

    /// The metrics a measured outcome has; `None` where only a run will tell.
    fn metrics(&self) -> Option<Vec<MetricInfo>>;

    /// Measures the model that the evaluation of `candidate` left, on samples that no evaluation sees; `None` where there are
    /// no such samples.
    ///
    /// # Errors
    /// When the model cannot be measured.
    fn test(
        &self,
        _candidate: &Candidate,
        _model: &dyn Model,
    ) -> Result<Option<Metrics>, ModelError> {
        Ok(None)
    }

    /// What whoever runs a study with it should know before, a sentence each.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
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

/// Evaluates `trial` again, up to the step where it was stopped, and gives what the evaluation leaves. `lineage` are the trials that
/// it continues, `seed` is the study's.
///
/// # Errors
/// The reason, where the evaluation fails this time.
pub fn evaluate_again(
    evaluator: &dyn Evaluator,
    trial: &Trial,
    lineage: &[Candidate],
    seed: u64,
    cancel: &Cancel,
) -> Result<Artefacts, String> {
    let last = match &trial.outcome {
        Outcome::Stopped { .. } => trial.curve.last().map(|report| report.step),
        _ => None,
    };
    let left = Keeping::default();
    let cx = EvalContext {
        seed,
        cancel,
        lineage,
        report: &|step, _| match last {
            Some(last) if step >= last => Verdict::Stop,
            _ => Verdict::Continue,
        },
        keep: &|name, artefact| left.keep(name, artefact),
    };
    match attempt(evaluator, &trial.candidate, &cx) {
        Outcome::Failed { reason } => Err(reason),
        _ => Ok(left.into_artefacts()),
    }
}

/// Collects what an evaluation leaves.
#[derive(Default)]
pub struct Keeping(Mutex<Artefacts>);

impl Keeping {
    /// Takes an artefact, in the place of one of the same name.
    pub fn keep(&self, name: &str, artefact: Artefact) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(other, _)| other != name);
        kept.push((name.to_owned(), artefact));
    }

    /// All that was left, in the order it came.
    pub fn into_artefacts(self) -> Artefacts {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
