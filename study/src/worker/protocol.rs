//! The lines between a study's own process and a worker.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use lapidary_core::evaluator::EvalContext;
use lapidary_core::fit::Verdict;
use lapidary_core::trial::{Candidate, Outcome, Report};
use lapidary_core::wire::{self, CandidateForm, Row};
use serde::{Deserialize, Serialize};

use crate::artefacts::Files;
use crate::file::StudyFile;

/// The argument that makes a program with [`serve`](super::serve) a worker.
pub const WORKER: &str = "worker";

/// What a worker is told, candidates being written or read as `C`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Request<C> {
    /// To evaluate a candidate.
    Evaluate {
        /// The candidate.
        candidate: C,
        /// The earlier trials that it goes on from, the first one first.
        lineage: Vec<C>,
        /// The study's seed.
        #[serde(with = "wire::whole")]
        seed: u64,
    },
    /// Whether to stop at the report that was made last.
    Stop(bool),
}

/// What a worker says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It has understood its work.
    Ready,
    /// Intermediate metrics; it waits to hear whether to stop.
    Report(Report),
    /// What the candidate left, and was laid down; an outcome follows.
    Left(Files),
    /// What came out of the candidate.
    Outcome(Outcome),
}

/// What a worker is for.
#[derive(Debug)]
pub struct Work {
    /// The study.
    pub file: StudyFile,
    /// Where its trials keep what later stages of them go on from.
    pub checkpoints: Option<PathBuf>,
    /// Where this worker lays down what its trials leave, where that is kept.
    pub artefacts: Option<PathBuf>,
}

/// The line that tells a worker its work.
#[derive(Serialize, Deserialize)]
pub(super) struct WorkLine<'a> {
    pub path: Cow<'a, str>,
    pub text: Cow<'a, str>,
    pub strategy: Option<String>,
    pub set: Vec<String>,
    pub checkpoints: Option<Cow<'a, str>>,
    pub artefacts: Option<Cow<'a, str>>,
}

/// `form` as a line, with its end.
pub fn line(form: &impl Serialize) -> String {
    let mut line = serde_json::to_string(form).expect("every line is JSON");
    line.push('\n');
    line
}

impl Work {
    /// The line that tells a worker its work.
    pub(crate) fn line(&self) -> String {
        let (text, overrides) = self.file.written();
        line(&WorkLine {
            path: self.file.path.to_string_lossy(),
            text: text.into(),
            strategy: overrides.strategy.clone(),
            set: overrides.set.clone(),
            checkpoints: self.checkpoints.as_deref().map(Path::to_string_lossy),
            artefacts: self.artefacts.as_deref().map(Path::to_string_lossy),
        })
    }
}

impl<'a> Request<&'a Candidate> {
    /// To evaluate `candidate` in its context.
    pub fn of(candidate: &'a Candidate, cx: &EvalContext<'a>) -> Self {
        Self::Evaluate {
            candidate,
            lineage: cx.lineage.iter().collect(),
            seed: cx.seed,
        }
    }

    /// What to do after a report.
    pub fn verdict(verdict: Verdict) -> Self {
        Self::Stop(verdict == Verdict::Stop)
    }
}

impl Request<Candidate> {
    /// What `line` says to a worker for the study `file`.
    pub(super) fn read(file: &StudyFile, line: &str) -> Option<Self> {
        let of_space = |form: CandidateForm<Row>| form.candidate(&file.space).ok();
        Some(match serde_json::from_str(line).ok()? {
            Request::Stop(stop) => Self::Stop(stop),
            Request::Evaluate {
                candidate,
                lineage,
                seed,
            } => Self::Evaluate {
                candidate: of_space(candidate)?,
                lineage: lineage.into_iter().map(of_space).collect::<Option<_>>()?,
                seed,
            },
        })
    }
}

impl Answer {
    /// What a line of a worker's says.
    pub(crate) fn read(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}
