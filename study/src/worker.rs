//! A worker: this program once more, evaluating single trials of a study for another process that may kill it.
//!
//! JSON lines on stdin and stdout, with candidates, reports and outcomes in the form of [`lapidary_core::wire`]. The first line
//! is the work: the study, where it keeps checkpoints, and where to lay down what trials leave; `"ready"` answers it. Each further
//! line is a [`Request`], answered by intermediate metrics, each of which waits for a verdict, the hashes of what the trial left,
//! and an outcome ([`Answer`]).

use std::borrow::Cow;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use lapidary_core::cancel::Cancel;
use lapidary_core::evaluator::{EvalContext, Keeping, attempt};
use lapidary_core::fit::Verdict;
use lapidary_core::registry::Registry;
use lapidary_core::trial::{Candidate, Metrics, Outcome, Report};
use lapidary_core::wire::{self, CandidateForm, Row};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::artefacts::{Files, lay_down};
use crate::error::StudyFileError;
use crate::evaluate::{Host, evaluator};
use crate::file::{Overrides, StudyFile};

/// The argument that makes a program with [`serve`] a worker.
pub const WORKER: &str = "worker";

/// What can go wrong with a worker.
#[derive(Debug, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum WorkerError {
    #[error("the lines of the worker: {0}")]
    Lines(#[from] io::Error),
    #[error("the worker does not understand: {line}")]
    Line { line: String },
    #[error(transparent)]
    Study(#[from] StudyFileError),
}

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
struct WorkLine<'a> {
    path: Cow<'a, str>,
    text: Cow<'a, str>,
    strategy: Option<String>,
    set: Vec<String>,
    checkpoints: Option<Cow<'a, str>>,
    artefacts: Option<Cow<'a, str>>,
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
    fn read(file: &StudyFile, line: &str) -> Option<Self> {
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

/// Reads what a worker is for.
///
/// # Errors
/// When the line is not what a study's own process writes.
pub fn read_work(input: &mut impl BufRead, registry: &Registry) -> Result<Work, WorkerError> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let work: WorkLine<'_> =
        serde_json::from_str(&line).map_err(|_| WorkerError::Line { line: line.clone() })?;
    let overrides = Overrides {
        strategy: work.strategy,
        set: work.set,
    };
    let path = Path::new(&*work.path);
    let folder = |path: Option<Cow<'_, str>>| path.map(|path| PathBuf::from(&*path));
    Ok(Work {
        file: StudyFile::parse(path, &work.text, &overrides, registry)?,
        checkpoints: folder(work.checkpoints),
        artefacts: folder(work.artefacts),
    })
}

/// Evaluates the candidates of `input` until there are no more.
///
/// # Errors
/// When there is nothing to evaluate by, or lines cannot be read, understood or written.
pub fn serve(
    work: &Work,
    registry: &Registry,
    input: &mut (impl BufRead + Send),
    output: &mut (impl Write + Send),
) -> Result<(), WorkerError> {
    let file = &work.file;
    let host = Host {
        program: None,
        worker_args: &[],
        checkpoints: work.checkpoints.as_deref(),
        artefacts: None,
    };
    let evaluator = evaluator(file, registry, host)?;
    let lines = Mutex::new(Lines { input, output });
    let lines = || lines.lock().unwrap_or_else(PoisonError::into_inner);
    lines().say(&Answer::Ready)?;
    let cancel = Cancel::new();
    loop {
        let heard = lines().hear()?;
        if heard.is_empty() {
            return Ok(());
        }
        let Some(Request::Evaluate {
            candidate,
            lineage,
            seed,
        }) = Request::read(file, &heard)
        else {
            return Err(WorkerError::Line { line: heard });
        };
        let report = |step: u64, metrics: &Metrics| {
            let mut lines = lines();
            let metrics = metrics.clone();
            let said = lines.say(&Answer::Report(Report { step, metrics }));
            let heard = said.and_then(|()| lines.hear()).unwrap_or_default();
            match Request::read(file, &heard) {
                Some(Request::Stop(true)) => Verdict::Stop,
                Some(Request::Stop(false)) => Verdict::Continue,
                // Nobody waits for the outcome any more.
                _ => {
                    cancel.cancel();
                    Verdict::Stop
                }
            }
        };
        let left = Keeping::default();
        let cx = EvalContext {
            seed,
            cancel: &cancel,
            lineage: &lineage,
            report: &report,
            keep: &|name, artefact| left.keep(name, artefact),
        };
        let outcome = attempt(evaluator.as_ref(), &candidate, &cx);
        if let (Some(folder), Some(_)) = (&work.artefacts, outcome.metrics()) {
            // What cannot be handed over is made again where it is wanted.
            let files = lay_down(folder, &left.into_artefacts(), registry);
            lines().say(&Answer::Left(files.unwrap_or_default()))?;
        }
        lines().say(&Answer::Outcome(outcome))?;
    }
}

/// The lines to and from a study's own process.
struct Lines<'a, I, O> {
    input: &'a mut I,
    output: &'a mut O,
}

impl<I: BufRead, O: Write> Lines<'_, I, O> {
    fn say(&mut self, answer: &Answer) -> io::Result<()> {
        self.output.write_all(line(answer).as_bytes())?;
        self.output.flush()
    }

    /// The next line; empty where there is none.
    fn hear(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.input.read_line(&mut line)?;
        Ok(line)
    }
}
