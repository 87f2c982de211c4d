//! A worker: this program once more, evaluating single trials of a study for another process that may kill it.
//!
//! JSON lines on stdin and stdout. The first line is the work: the study and where it keeps checkpoints; `{"ready":true}` answers it. Each further line is a
//! candidate, answered by its intermediate metrics, each of which waits for a verdict, and its outcome.

use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use lapidary_core::cancel::Cancel;
use lapidary_core::evaluator::{EvalContext, attempt};
use lapidary_core::fit::Verdict;
use lapidary_core::json::Json;
use lapidary_core::registry::Registry;
use lapidary_core::trial::{Candidate, Metrics, Outcome};
use serde_json::json;
use thiserror::Error;

use crate::error::StudyFileError;
use crate::evaluate::{Host, evaluator};
use crate::file::{Overrides, StudyFile};
use crate::store::record;

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

/// What a worker is told.
pub(crate) enum Request {
    Evaluate {
        candidate: Candidate,
        lineage: Vec<Candidate>,
        seed: u64,
    },
    Verdict(Verdict),
}

/// What a worker says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    Ready,
    Step(u64, Metrics),
    Outcome(Outcome),
}

/// What a worker is for.
#[derive(Debug)]
pub struct Work {
    /// The study.
    pub file: StudyFile,
    /// Where its trials keep what later stages of them go on from.
    pub checkpoints: Option<PathBuf>,
}

/// The line that tells a worker its work.
pub(crate) fn first_line(file: &StudyFile, checkpoints: Option<&Path>) -> String {
    let (text, overrides) = file.written();
    let line = json!({
        "path": file.path.to_string_lossy(),
        "text": text,
        "strategy": overrides.strategy,
        "set": overrides.set,
        "checkpoints": checkpoints.map(Path::to_string_lossy),
    });
    format!("{line}\n")
}

fn candidate(candidate: &Candidate) -> Json {
    json!({ "id": candidate.id, "ask": record::ask(candidate) })
}

fn read_candidate(file: &StudyFile, json: &Json) -> Option<Candidate> {
    record::read_ask(&file.space, json["id"].as_u64()?, json["ask"].as_str()?)
}

impl Request {
    pub fn of(candidate: &Candidate, cx: &EvalContext<'_>) -> Self {
        Self::Evaluate {
            candidate: candidate.clone(),
            lineage: cx.lineage.to_vec(),
            seed: cx.seed,
        }
    }

    pub fn line(&self) -> String {
        let json = match self {
            Self::Evaluate {
                candidate: asked,
                lineage,
                seed,
            } => json!({
                "candidate": candidate(asked),
                "lineage": lineage.iter().map(candidate).collect::<Json>(),
                "seed": seed,
            }),
            Self::Verdict(verdict) => json!({ "stop": *verdict == Verdict::Stop }),
        };
        format!("{json}\n")
    }

    fn read(file: &StudyFile, line: &str) -> Option<Self> {
        let json: Json = serde_json::from_str(line).ok()?;
        if let Some(stop) = json["stop"].as_bool() {
            return Some(Self::Verdict(if stop {
                Verdict::Stop
            } else {
                Verdict::Continue
            }));
        }
        let before = json["lineage"].as_array()?.iter();
        Some(Self::Evaluate {
            candidate: read_candidate(file, &json["candidate"])?,
            lineage: before
                .map(|c| read_candidate(file, c))
                .collect::<Option<_>>()?,
            seed: json["seed"].as_u64()?,
        })
    }
}

impl Answer {
    fn line(&self) -> String {
        let json = match self {
            Self::Ready => json!({ "ready": true }),
            Self::Step(step, metrics) => {
                json!({ "step": step, "metrics": record::metrics(metrics) })
            }
            Self::Outcome(outcome) => json!({ "tell": record::tell(outcome, &[], None) }),
        };
        format!("{json}\n")
    }

    pub fn read(line: &[u8]) -> Option<Self> {
        let json: Json = serde_json::from_slice(line).ok()?;
        if json["ready"] == true {
            return Some(Self::Ready);
        }
        if let Some(tell) = json["tell"].as_str() {
            let (outcome, _, _) = record::read_tell(tell)?;
            return Some(Self::Outcome(outcome));
        }
        let metrics = record::read_metrics(&json["metrics"])?;
        Some(Self::Step(json["step"].as_u64()?, metrics))
    }
}

/// Reads what a worker is for.
///
/// # Errors
/// When the line is not what a study's own process writes.
pub fn read_work(input: &mut impl BufRead) -> Result<Work, WorkerError> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let read = || {
        let json: Json = serde_json::from_str(&line).ok()?;
        let set = json["set"].as_array()?.iter();
        let overrides = Overrides {
            strategy: json["strategy"].as_str().map(str::to_owned),
            set: set
                .map(|s| s.as_str().map(str::to_owned))
                .collect::<Option<_>>()?,
        };
        let path = PathBuf::from(json["path"].as_str()?);
        let checkpoints = json["checkpoints"].as_str().map(PathBuf::from);
        Some((
            path,
            json["text"].as_str()?.to_owned(),
            overrides,
            checkpoints,
        ))
    };
    let (path, text, overrides, checkpoints) =
        read().ok_or_else(|| WorkerError::Line { line: line.clone() })?;
    let file = StudyFile::parse(&path, &text, &overrides)?;
    Ok(Work { file, checkpoints })
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
            let said = lines.say(&Answer::Step(step, metrics.clone()));
            let heard = said.and_then(|()| lines.hear()).unwrap_or_default();
            match Request::read(file, &heard) {
                Some(Request::Verdict(verdict)) => verdict,
                // Nobody waits for the outcome any more.
                _ => {
                    cancel.cancel();
                    Verdict::Stop
                }
            }
        };
        let cx = EvalContext {
            seed,
            cancel: &cancel,
            lineage: &lineage,
            report: &report,
        };
        let outcome = attempt(evaluator.as_ref(), &candidate, &cx);
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
        self.output.write_all(answer.line().as_bytes())?;
        self.output.flush()
    }

    /// The next line; empty where there is none.
    fn hear(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.input.read_line(&mut line)?;
        Ok(line)
    }
}
