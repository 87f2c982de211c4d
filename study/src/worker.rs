//! A worker: this program once more, evaluating single trials of a study for another process that may kill it.
//!
//! JSON lines on stdin and stdout, with candidates, reports and outcomes in the form of [`lapidary_core::wire`]. The first line
//! is the work: the study, where it keeps checkpoints, and where to lay down what trials leave; `"ready"` answers it. Each further
//! line is a [`Request`], answered by intermediate metrics, each of which waits for a verdict, the hashes of what the trial left,
//! and an outcome ([`Answer`]).

mod protocol;

use std::borrow::Cow;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use lapidary_core::cancel::Cancel;
use lapidary_core::evaluator::{EvalContext, Keeping, attempt};
use lapidary_core::fit::Verdict;
use lapidary_core::registry::Registry;
use lapidary_core::trial::{Metrics, Report};
use thiserror::Error;

use self::protocol::WorkLine;
pub use self::protocol::{Answer, Request, WORKER, Work, line};
use crate::artefacts::lay_down;
use crate::error::StudyFileError;
use crate::evaluate::{Host, evaluator};
use crate::file::{Overrides, StudyFile};

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
