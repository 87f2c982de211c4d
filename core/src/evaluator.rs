//! The evaluator: turns a candidate into an outcome.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::budget::Limits;
use crate::cancel::Cancel;
use crate::fit::Verdict;
use crate::goal::Goal;
use crate::json::Json;
use crate::model::{Model, ModelError};
use crate::registry::{BuildError, Registry};
use crate::runtime::Runtime;
use crate::space::Space;
use crate::trial::{Candidate, Metrics, Outcome, Trial};

/// Where the settings of an evaluator come from.
#[derive(Clone, Copy)]
pub struct EvalSource<'a> {
    /// What is installed.
    pub installed: &'a Registry,
    /// What paths among the settings count from.
    pub paths: &'a dyn Paths,
}

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

/// What an evaluator is made for, and what it may use.
#[derive(Clone)]
pub struct EvalInit<'a> {
    /// Where its settings come from.
    pub source: EvalSource<'a>,
    /// Where candidates come from.
    pub space: &'a Arc<Space>,
    /// What is good: volatile metrics are only worth measuring where it reads them.
    pub goal: &'a Goal,
    /// Seed of the study.
    pub seed: u64,
    /// Name and settings of the runtime that measures models.
    pub runtime: (&'a str, &'a Json),
    /// Threads that an evaluation may use; all of the machine's where `None`.
    pub threads: Option<usize>,
    /// What a single trial may take, for an evaluator that [keeps it itself](crate::registry::Promise::KeepsLimits).
    pub limits: Limits,
    /// This program, where it may be started once more to look after a process.
    pub program: Option<&'a Path>,
    /// What trials keep for later stages of them.
    pub checkpoints: Arc<dyn Checkpoints>,
}

impl EvalInit<'_> {
    /// What measures models.
    ///
    /// # Errors
    /// [`BuildError::Runtime`], when there is none of that name, its settings do not fit, or what it needs is not on this machine.
    pub fn make_runtime(&self) -> Result<Box<dyn Runtime>, BuildError> {
        let (name, settings) = self.runtime;
        let runtime = self.source.installed.runtime(name, settings);
        runtime.map_err(|error| BuildError::Runtime(Box::new(error)))
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

/// What the evaluation of `trial` left, which went on from those of `lineage` under the study's `seed`: it is evaluated again, up to
/// the step where it was stopped.
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
