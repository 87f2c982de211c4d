//! The loop: a session that answers itself.

use std::sync::{Arc, Mutex, PoisonError, RwLock, mpsc};
use std::time::Duration;

use crate::budget::Clock;
use crate::cancel::Cancel;
use crate::evaluator::{Artefacts, EvalContext, Evaluator, Keeping, attempt};
use crate::fit::Verdict;
use crate::goal::GoalError;
use crate::log::Log;
use crate::searcher::Searcher;
use crate::session::Session;
use crate::stop::{Courses, Watch};
use crate::study::{End, Finished, Study, StudyError, lineage};
use crate::trial::{Candidate, Metrics, Outcome, Report};

/// How often the study looks whether it was cancelled or its time is over.
const WAKE: Duration = Duration::from_millis(20);

impl Study {
    /// Runs the study with `jobs` evaluations at a time. Those that still run when the study has ended are cancelled, and
    /// nothing is told of them: a log has them as asked, and a run over it evaluates them again.
    ///
    /// # Errors
    /// When the goal reads a metric the evaluator does not report, the searcher breaks its contract or fails, or the log fails.
    /// A failed evaluation is not an error: it is a failed trial.
    pub fn run(
        &self,
        searcher: &mut dyn Searcher,
        evaluator: &dyn Evaluator,
        jobs: usize,
        log: &mut dyn Log,
        clock: &dyn Clock,
        cancel: &Cancel,
    ) -> Result<Finished, StudyError> {
        if let Some(reported) = evaluator.metrics() {
            let names: Vec<String> = reported.into_iter().map(|m| m.name).collect();
            for metric in self.goal.metrics() {
                if !names.iter().any(|n| n == metric) {
                    return Err(GoalError::Unreported {
                        metric: metric.to_owned(),
                        known: names,
                    }
                    .into());
                }
            }
        }
        // Work that the study drops is cancelled without touching the caller's flag.
        let running = cancel.child();
        let mut session = Session::new(self, searcher, log, clock.now());
        let mut first = true;
        let mut next = |session: &mut Session<'_>| -> Result<Vec<Task>, StudyError> {
            let mut fresh = session.ask(usize::MAX, clock.now())?;
            // What an earlier run has handed out already comes with the first candidates.
            if std::mem::take(&mut first) {
                fresh = session.pending().cloned().collect();
            }
            let task = |candidate: Candidate| Task {
                lineage: lineage(session.trials(), &candidate),
                watch: session.watch(candidate.id),
                candidate,
            };
            Ok(fresh.into_iter().map(task).collect())
        };

        let end = std::thread::scope(|scope| {
            let (send_work, work) = mpsc::channel::<Task>();
            let work = Arc::new(Mutex::new(work));
            let (send_done, done) = mpsc::channel();
            for _ in 0..jobs.clamp(1, self.window.max(1)) {
                let (work, send_done, running) = (work.clone(), send_done.clone(), &running);
                scope.spawn(move || {
                    loop {
                        let next = work.lock().map(|queue| queue.recv());
                        let Ok(Ok(task)) = next else { return };
                        let evaluated = evaluate(self.seed, evaluator, &task, running);
                        if send_done.send((task.candidate, evaluated)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(send_done);
            let mut run = || loop {
                if cancel.is_cancelled() {
                    return Ok(End::Cancelled);
                }
                // The workers outlive this loop: the queue is open.
                for task in next(&mut session)? {
                    let _ = send_work.send(task);
                }
                if let Some(end) = session.end() {
                    return Ok(end);
                }
                if session.is_overdue(clock.now()) {
                    return Ok(End::Time);
                }
                // Woken now and then to see what no outcome announces.
                if let Ok((candidate, Some(evaluated))) = done.recv_timeout(WAKE) {
                    let Evaluated {
                        outcome,
                        curve,
                        artefacts,
                    } = evaluated;
                    if !artefacts.is_empty() {
                        session.left(&candidate, &outcome, &artefacts);
                    }
                    session.finish(candidate.id, outcome, curve)?;
                }
            };
            let end: Result<End, StudyError> = run();
            running.cancel();
            drop(send_work);
            end
        })?;
        Ok(Finished {
            end,
            trials: session.into_trials(),
        })
    }
}

/// A candidate to evaluate.
struct Task {
    candidate: Candidate,
    /// The trials it goes on from.
    lineage: Vec<Candidate>,
    /// What the stop rule makes of its reports.
    watch: Option<(Watch, Arc<RwLock<Courses>>)>,
}

/// What came of an evaluation.
struct Evaluated {
    outcome: Outcome,
    curve: Vec<Report>,
    artefacts: Artefacts,
}

/// Runs one evaluation; `None` where it was cut short.
fn evaluate(
    seed: u64,
    evaluator: &dyn Evaluator,
    task: &Task,
    cancel: &Cancel,
) -> Option<Evaluated> {
    if cancel.is_cancelled() {
        return None;
    }
    let left = Keeping::default();
    let reported = Mutex::new((Vec::new(), task.watch.clone()));
    let report = |step: u64, metrics: &Metrics| {
        let mut reported = reported.lock().unwrap_or_else(PoisonError::into_inner);
        reported.0.push(Report {
            step,
            metrics: metrics.clone(),
        });
        let stopped = reported.1.as_mut().is_some_and(|(watch, courses)| {
            let courses = courses.read().unwrap_or_else(PoisonError::into_inner);
            watch.report(step, metrics, &courses).is_some()
        });
        if stopped || cancel.is_cancelled() {
            Verdict::Stop
        } else {
            Verdict::Continue
        }
    };
    let cx = EvalContext {
        seed,
        cancel,
        lineage: &task.lineage,
        report: &report,
        keep: &|name, artefact| left.keep(name, artefact),
    };
    let mut outcome = attempt(evaluator, &task.candidate, &cx);
    let (curve, watch) = reported
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    if let Outcome::Stopped { reason, .. } = &mut outcome
        && let Some(rule) = watch.as_ref().and_then(|(watch, _)| watch.reason())
    {
        *reason = rule.to_owned();
    }
    // An outcome that a cancellation cut short says nothing about the point.
    (!cancel.is_cancelled()).then(|| Evaluated {
        outcome,
        curve,
        artefacts: left.into_artefacts(),
    })
}
