//! An evaluator of ours in child processes, so that limits of single trials can be kept: the same program runs once more as a
//! worker ([`crate::worker`]) and is killed when a trial exceeds them.
//!
//! A worker takes one trial after the other, unless memory is limited: what a trial leaves behind would count for the next.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command as Program;
use std::sync::{Mutex, PoisonError};

use lapidary_core::cancel::Cancel;
use lapidary_core::evaluator::{EvalContext, Evaluator, MetricInfo};
use lapidary_core::model::{Model, ModelError};
use lapidary_core::trial::{Candidate, Outcome, Report, Trial};

use super::StudyEvaluator;
use super::data::OpenData;
use crate::file::StudyFile;
use crate::process::{Event, Limits, Process};
use crate::worker::{Answer, Request, first_line, line};

/// Runs the trials of an evaluator in child processes.
pub struct Isolated<'a> {
    /// What makes the models again, in this process.
    inner: Box<dyn StudyEvaluator + 'a>,
    program: PathBuf,
    args: Vec<OsString>,
    first_line: String,
    limits: Limits,
    idle: Mutex<Vec<Process>>,
    /// Held by a trial that measures time, which other processes would disturb.
    alone: Option<Mutex<()>>,
}

impl<'a> Isolated<'a> {
    /// Runs the trials of `inner`, which is the evaluator of `file`, in workers that `program` is started as with `args`.
    pub(crate) fn new(
        inner: Box<dyn StudyEvaluator + 'a>,
        file: &StudyFile,
        program: &Path,
        args: Vec<OsString>,
        checkpoints: Option<&Path>,
    ) -> Self {
        let goal = file.goal.metrics();
        let metrics = inner.metrics().unwrap_or_default();
        let volatile = |metric: &MetricInfo| metric.volatile && goal.contains(&&*metric.name);
        Self {
            alone: metrics.iter().any(volatile).then(Mutex::default),
            inner,
            program: program.to_owned(),
            args,
            first_line: first_line(file, checkpoints),
            limits: file.limits,
            idle: Mutex::default(),
        }
    }

    fn run(&self, candidate: &Candidate, cx: &EvalContext<'_>) -> Result<Outcome, String> {
        let idle = self.idle().pop();
        let mut worker = idle.map_or_else(|| self.start(cx.cancel), Ok)?;
        worker.begin(self.limits.time);
        worker.send(&line(&Request::of(candidate, cx)));
        loop {
            let event = worker.next(cx.cancel);
            match answer(&event) {
                Some(Answer::Report(Report { step, metrics })) => {
                    let verdict = (cx.report)(step, &metrics);
                    worker.send(&line(&Request::verdict(verdict)));
                }
                Some(Answer::Outcome(outcome)) => {
                    if self.limits.memory.is_none() {
                        worker.begin(None);
                        self.idle().push(worker);
                    }
                    return Ok(outcome);
                }
                _ => return Err(worker.failure(&event)),
            }
        }
    }

    /// A worker that is ready.
    fn start(&self, cancel: &Cancel) -> Result<Process, String> {
        let mut program = Program::new(&self.program);
        program.args(&self.args);
        let mut worker = Process::start(program, self.limits.memory, Some(&self.program))
            .map_err(|e| format!("{} cannot be started: {e}", self.program.display()))?;
        worker.send(&self.first_line);
        let event = worker.next(cancel);
        match answer(&event) {
            Some(Answer::Ready) => Ok(worker),
            _ => Err(worker.failure(&event)),
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Process>> {
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
}

impl StudyEvaluator for Isolated<'_> {
    fn model(
        &self,
        trial: &Trial,
        lineage: &[Candidate],
        seed: u64,
        cancel: &Cancel,
    ) -> Result<Option<Box<dyn Model>>, ModelError> {
        self.inner.model(trial, lineage, seed, cancel)
    }

    fn takes_fidelity(&self) -> bool {
        self.inner.takes_fidelity()
    }

    fn data(&self) -> Option<&OpenData> {
        self.inner.data()
    }
}
