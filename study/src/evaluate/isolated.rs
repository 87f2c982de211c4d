//! An evaluator of ours in child processes, so that limits of single trials can be kept: the same program runs once more as a
//! worker ([`crate::worker`]) and is killed when a trial exceeds them.
//!
//! A worker takes one trial after the other, unless memory is limited: what one trial leaves allocated would count against the next.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command as Program;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use lapidary_core::budget::Limits;
use lapidary_core::cancel::Cancel;
use lapidary_core::evaluator::{EvalContext, Evaluator, MetricInfo};
use lapidary_core::model::{Model, ModelError};
use lapidary_core::trial::{Candidate, Metrics, Outcome, Report};

use super::host::Host;
use crate::artefacts::{handed, remove_handed, take};
use crate::file::StudyFile;
use crate::process::{Event, Process};
use crate::worker::{Answer, Request, Work, line};

/// Runs the trials of an evaluator in child processes.
pub struct Isolated<'a> {
    /// What says in this process what is evaluated in the others.
    inner: Box<dyn Evaluator + 'a>,
    program: PathBuf,
    args: Vec<OsString>,
    file: StudyFile,
    checkpoints: Option<PathBuf>,
    artefacts: Option<PathBuf>,
    limits: Limits,
    idle: Mutex<Vec<Worker>>,
    /// Workers started so far.
    started: AtomicUsize,
    /// Held by a trial that measures time, which other processes would disturb.
    alone: Option<Mutex<()>>,
}

/// A process that evaluates.
struct Worker {
    process: Process,
    /// Where it lays down what its trials leave.
    handed: Option<PathBuf>,
}

impl<'a> Isolated<'a> {
    /// Runs the trials of `inner`, which is the evaluator of `file`, in workers that `program` is started as with `args`.
    pub(crate) fn new(
        inner: Box<dyn Evaluator + 'a>,
        file: &StudyFile,
        program: &Path,
        args: Vec<OsString>,
        host: Host<'_>,
    ) -> Self {
        let goal = file.goal.metrics();
        let metrics = inner.metrics().unwrap_or_default();
        let volatile = |metric: &MetricInfo| metric.volatile && goal.contains(&&*metric.name);
        Self {
            alone: metrics.iter().any(volatile).then(Mutex::default),
            inner,
            program: program.to_owned(),
            args,
            file: file.clone(),
            checkpoints: host.checkpoints.map(Path::to_owned),
            artefacts: host.artefacts.map(Path::to_owned),
            limits: file.limits,
            idle: Mutex::default(),
            started: AtomicUsize::new(0),
        }
    }

    fn run(&self, candidate: &Candidate, cx: &EvalContext<'_>) -> Result<Outcome, String> {
        let idle = self.idle().pop();
        let mut worker = idle.map_or_else(|| self.start(cx.cancel), Ok)?;
        let process = &mut worker.process;
        process.begin(self.limits.time);
        process.send(&line(&Request::of(candidate, cx)));
        loop {
            let event = process.next(cx.cancel);
            match answer(&event) {
                Some(Answer::Report(Report { step, metrics })) => {
                    let verdict = (cx.report)(step, &metrics);
                    process.send(&line(&Request::verdict(verdict)));
                }
                Some(Answer::Left(files)) => {
                    let taken = worker.handed.as_ref().map(|folder| take(folder, &files));
                    for (name, artefact) in taken.flatten().into_iter().flatten() {
                        (cx.keep)(&name, artefact);
                    }
                }
                Some(Answer::Outcome(outcome)) => {
                    if self.limits.memory.is_none() {
                        process.begin(None);
                        self.idle().push(worker);
                    }
                    return Ok(outcome);
                }
                _ => return Err(process.failure(&event)),
            }
        }
    }

    /// A worker that is ready.
    fn start(&self, cancel: &Cancel) -> Result<Worker, String> {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let work = Work {
            file: self.file.clone(),
            checkpoints: self.checkpoints.clone(),
            artefacts: (self.artefacts.as_ref()).map(|folder| handed(folder, number)),
        };
        let mut program = Program::new(&self.program);
        program.args(&self.args);
        let mut process = Process::start(program, self.limits.memory, Some(&self.program))
            .map_err(|e| format!("{} cannot be started: {e}", self.program.display()))?;
        process.send(&work.line());
        let event = process.next(cancel);
        match answer(&event) {
            Some(Answer::Ready) => Ok(Worker {
                process,
                handed: work.artefacts,
            }),
            _ => Err(process.failure(&event)),
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Worker>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn answer(event: &Event) -> Option<Answer> {
    match event {
        Event::Line(line) => Answer::read(line),
        _ => None,
    }
}

impl Evaluator for Isolated<'_> {
    fn evaluate(&self, candidate: &Candidate, cx: &EvalContext<'_>) -> Outcome {
        let alone = self.alone.as_ref();
        let _alone = alone.map(|lock| lock.lock().unwrap_or_else(PoisonError::into_inner));
        self.run(candidate, cx)
            .unwrap_or_else(|reason| Outcome::Failed { reason })
    }

    fn metrics(&self) -> Option<Vec<MetricInfo>> {
        self.inner.metrics()
    }

    fn test(
        &self,
        candidate: &Candidate,
        model: &dyn Model,
    ) -> Result<Option<Metrics>, ModelError> {
        self.inner.test(candidate, model)
    }

    fn notes(&self) -> Vec<String> {
        self.inner.notes()
    }
}

impl Drop for Isolated<'_> {
    fn drop(&mut self) {
        if let Some(folder) = &self.artefacts {
            remove_handed(folder);
        }
    }
}
