//! The study: the one loop that joins a searcher, an evaluator and a budget.
//!
//! Candidate k is asked exactly when all outcomes up to k − W are told, W being the window, and outcomes are told in the
//! order of ids. So what a searcher sees, and with it every trial, is the same at any number of jobs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, mpsc};
use std::time::Duration;

use thiserror::Error;

use crate::budget::{Budget, Clock};
use crate::cancel::Cancel;
use crate::evaluator::{Artefacts, EvalContext, Evaluator, Keeping, attempt};
use crate::fit::Verdict;
use crate::goal::{Goal, GoalError};
use crate::rank;
use crate::searcher::{SearchError, Searcher};
use crate::session::Session;
use crate::space::{Point, PointKey, Space};
use crate::stop::{Courses, StopRule, Watch};
use crate::trial::{Candidate, Metrics, Outcome, Report, Score, Trial};

/// How often the study looks whether it was cancelled or its time is over.
const WAKE: Duration = Duration::from_millis(20);

/// A study's fixed settings.
///
/// ```
/// # mod draws { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/draws.rs")); }
/// use std::sync::Arc;
///
/// use lapidary_core::budget::{Budget, WallClock};
/// use lapidary_core::cancel::Cancel;
/// use lapidary_core::evaluator::{EvalContext, Evaluator, MetricInfo};
/// use lapidary_core::goal::{Direction, Goal, Objective};
/// use lapidary_core::json::Json;
/// use lapidary_core::registry::Registry;
/// use lapidary_core::searcher::SearchInit;
/// use lapidary_core::space::{Axis, AxisValue, Domain, Space};
/// use lapidary_core::study::{End, Study};
/// use lapidary_core::trial::{Candidate, Outcome};
///
/// /// What is to be minimised.
/// struct Square;
///
/// impl Evaluator for Square {
///     fn evaluate(&self, candidate: &Candidate, _: &EvalContext<'_>) -> Outcome {
///         match candidate.point.get("x") {
///             Some(AxisValue::Float(x)) => Outcome::Measured { metrics: [("value".to_owned(), x * x)].into() },
///             _ => Outcome::Failed { reason: "the space has no axis x".to_owned() },
///         }
///     }
///
///     fn metrics(&self) -> Option<Vec<MetricInfo>> {
///         Some(vec![MetricInfo { name: "value".to_owned(), volatile: false, stepwise: false }])
///     }
/// }
///
/// let domain = Domain::Float { low: -1.0, high: 1.0, log: false, step: None };
/// let smallest = Objective { metric: "value".to_owned(), direction: Direction::Minimize };
/// let study = Study {
///     space: Arc::new(Space::new(vec![Axis::new("x", domain)])?),
///     goal: Goal::new(vec![smallest], vec![], vec![])?,
///     budget: Budget { trials: Some(30), time: None },
///     seed: 7,
///     window: 4,
///     repeats: false,
///     start: vec![],
///     stop: None,
/// };
/// let init = SearchInit {
///     space: study.space.clone(),
///     seed: study.seed,
///     objectives: 1,
///     trials: study.budget.trials,
///     installed: None,
/// };
/// // Of a program with the built-in strategies `genetic` would do as well.
/// let mut searcher = Registry::new(&[&draws::ENTRY])?.searcher("draws", &Json::Null, &init)?;
///
/// let jobs = 2; // The trials are the same at any number.
/// let finished = study.run(searcher.as_mut(), &Square, jobs, &mut (), &WallClock::start(), &Cancel::new())?;
/// assert_eq!((finished.trials.len(), finished.end), (30, End::Trials));
/// let best = finished.best().ok_or("all trials failed")?;
/// assert!(best.outcome.metrics().is_some_and(|metrics| metrics["value"] < 0.1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Study {
    /// Where to search.
    pub space: Arc<Space>,
    /// What is good.
    pub goal: Goal,
    /// What may be spent.
    pub budget: Budget,
    /// Seed of the evaluations.
    pub seed: u64,
    /// Trials that may be open at once, at least 1; part of the study's identity, since it decides what a searcher knows when.
    pub window: usize,
    /// Whether a repeated point is evaluated again (noisy evaluators: it is scored by the mean of its metrics so far) rather
    /// than answered from its first trial.
    pub repeats: bool,
    /// Points to evaluate before the searcher's own, told to it as foreign trials.
    pub start: Vec<Point>,
    /// When to stop running trials.
    pub stop: Option<StopRule>,
}

/// Takes note of what happens, in order, and answers what an earlier run of the same study has noted: since a study asks and
/// tells in one fixed order, it is resumed by running it again over its log.
pub trait Log {
    /// A candidate was asked. It is evaluated after the next [`Log::commit`].
    ///
    /// # Errors
    /// When it could not be noted, or an earlier run noted another candidate under this id; the study ends.
    fn asked(&mut self, candidate: &Candidate) -> Result<(), LogError>;
    /// A trial was told to the searcher.
    ///
    /// # Errors
    /// When it could not be noted; the study ends.
    fn told(&mut self, trial: &Trial) -> Result<(), LogError>;
    /// Makes what was noted since the last time durable, before any of it has an effect.
    ///
    /// # Errors
    /// When that fails; the study ends.
    fn commit(&mut self) -> Result<(), LogError> {
        Ok(())
    }
    /// The outcome that an earlier run noted for a candidate, where there is one.
    fn recall(&mut self, _id: u64) -> Option<(Outcome, Vec<Report>)> {
        None
    }
    /// The trial of another program that stands under this id, where there is one. All lower ids are noted then.
    fn foreign(&mut self, _id: u64) -> Option<(Point, Outcome)> {
        None
    }
    /// Whether an earlier run noted a candidate under this id.
    fn has(&self, _id: u64) -> bool {
        false
    }
    /// How long earlier runs of the study took.
    fn spent(&self) -> Duration {
        Duration::ZERO
    }
    /// An evaluation left something besides its metrics; [`Log::waits`] or [`Log::told`] follows.
    fn left(&mut self, _candidate: &Candidate, _outcome: &Outcome, _artefacts: &Artefacts) {}
    /// An outcome came in that cannot be told yet, since one with a lower id is awaited; [`Log::told`] follows.
    ///
    /// # Errors
    /// When it could not be noted; the study ends.
    fn waits(
        &mut self,
        _candidate: &Candidate,
        _outcome: &Outcome,
        _curve: &[Report],
    ) -> Result<(), LogError> {
        Ok(())
    }
}

/// A log that notes nothing.
impl Log for () {
    fn asked(&mut self, _: &Candidate) -> Result<(), LogError> {
        Ok(())
    }
    fn told(&mut self, _: &Trial) -> Result<(), LogError> {
        Ok(())
    }
}

/// Two logs that both take note; the first is asked first what an earlier run noted.
impl<A: Log, B: Log> Log for (A, B) {
    fn asked(&mut self, candidate: &Candidate) -> Result<(), LogError> {
        self.0.asked(candidate)?;
        self.1.asked(candidate)
    }
    fn told(&mut self, trial: &Trial) -> Result<(), LogError> {
        self.0.told(trial)?;
        self.1.told(trial)
    }
    fn commit(&mut self) -> Result<(), LogError> {
        self.0.commit()?;
        self.1.commit()
    }
    fn recall(&mut self, id: u64) -> Option<(Outcome, Vec<Report>)> {
        self.0.recall(id).or_else(|| self.1.recall(id))
    }
    fn foreign(&mut self, id: u64) -> Option<(Point, Outcome)> {
        self.0.foreign(id).or_else(|| self.1.foreign(id))
    }
    fn has(&self, id: u64) -> bool {
        self.0.has(id) || self.1.has(id)
    }
    fn spent(&self) -> Duration {
        self.0.spent().max(self.1.spent())
    }
    fn left(&mut self, candidate: &Candidate, outcome: &Outcome, artefacts: &Artefacts) {
        self.0.left(candidate, outcome, artefacts);
        self.1.left(candidate, outcome, artefacts);
    }
    fn waits(
        &mut self,
        candidate: &Candidate,
        outcome: &Outcome,
        curve: &[Report],
    ) -> Result<(), LogError> {
        self.0.waits(candidate, outcome, curve)?;
        self.1.waits(candidate, outcome, curve)
    }
}

/// A log that is lent.
impl<L: Log + ?Sized> Log for &mut L {
    fn asked(&mut self, candidate: &Candidate) -> Result<(), LogError> {
        (**self).asked(candidate)
    }
    fn told(&mut self, trial: &Trial) -> Result<(), LogError> {
        (**self).told(trial)
    }
    fn commit(&mut self) -> Result<(), LogError> {
        (**self).commit()
    }
    fn recall(&mut self, id: u64) -> Option<(Outcome, Vec<Report>)> {
        (**self).recall(id)
    }
    fn foreign(&mut self, id: u64) -> Option<(Point, Outcome)> {
        (**self).foreign(id)
    }
    fn has(&self, id: u64) -> bool {
        (**self).has(id)
    }
    fn spent(&self) -> Duration {
        (**self).spent()
    }
    fn left(&mut self, candidate: &Candidate, outcome: &Outcome, artefacts: &Artefacts) {
        (**self).left(candidate, outcome, artefacts);
    }
    fn waits(
        &mut self,
        candidate: &Candidate,
        outcome: &Outcome,
        curve: &[Report],
    ) -> Result<(), LogError> {
        (**self).waits(candidate, outcome, curve)
    }
}

/// Why a log could not take note.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct LogError(pub String);

/// Why a study ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All trials of the budget are spent.
    Trials,
    /// The time of the budget is spent.
    Time,
    /// The searcher has no further point.
    Exhausted,
    /// A trial is as good as `stop_at` asks.
    Reached,
    /// It was interrupted.
    Cancelled,
}

impl End {
    /// The reason in one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trials => "trials",
            Self::Time => "time",
            Self::Exhausted => "exhausted",
            Self::Reached => "reached",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A study that has ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// All trials told, by id.
    pub trials: Vec<Trial>,
    /// Why it ended.
    pub end: End,
}

/// What can go wrong with a study.
#[derive(Debug, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum StudyError {
    #[error(transparent)]
    Goal(#[from] GoalError),
    #[error(transparent)]
    Search(#[from] SearchError),
    #[error("the study's log: {0}")]
    Log(#[from] LogError),
    #[error("the searcher asked for trial {id} after {previous}: ids must rise")]
    Ids { id: u64, previous: u64 },
    #[error("trial {id} has fidelity {fidelity}, outside (0, 1]")]
    Fidelity { id: u64, fidelity: f64 },
    #[error("trial {id} is of another space")]
    Space { id: u64 },
}

impl Finished {
    /// See [`best`].
    pub fn best(&self) -> Option<&Trial> {
        best(&self.trials)
    }

    /// See [`front`].
    pub fn front(&self) -> Vec<&Trial> {
        front(&self.trials)
    }

    /// Number of failed trials.
    pub fn failed(&self) -> usize {
        let failed = |trial: &&Trial| matches!(trial.outcome, Outcome::Failed { .. });
        self.trials.iter().filter(failed).count()
    }
}

/// The trials of a study whose work a candidate goes on from, its parent last. One that was answered by an earlier trial of its
/// point is represented by that trial, which did the work.
pub fn lineage(trials: &[Trial], candidate: &Candidate) -> Vec<Candidate> {
    let before = |candidate: &Candidate| {
        let parent = candidate.parent.filter(|id| *id < candidate.id)?;
        let parent = trials.get(parent as usize)?;
        let worked = parent.repeats.unwrap_or(parent.candidate.id);
        trials.get(worked as usize).map(|trial| &trial.candidate)
    };
    let mut lineage: Vec<Candidate> = std::iter::successors(before(candidate), |c| before(c))
        .cloned()
        .collect();
    lineage.reverse();
    lineage
}

/// The best of a study's trials: for one objective the best by Deb's rules, for several the first of the front; `None` where
/// all failed.
pub fn best<'a>(trials: impl IntoIterator<Item = &'a Trial>) -> Option<&'a Trial> {
    let scored = scored(trials);
    let best = scored
        .iter()
        .min_by(|a, b| rank::compare(a.1, b.1).then(a.0.candidate.id.cmp(&b.0.candidate.id)))?;
    Some(best.0)
}

/// The trials of a study that no other beats, by id.
pub fn front<'a>(trials: impl IntoIterator<Item = &'a Trial>) -> Vec<&'a Trial> {
    let scored = scored(trials);
    let scores: Vec<&Score> = scored.iter().map(|(_, s)| *s).collect();
    rank::best_front(&scores)
        .into_iter()
        .map(|i| scored[i].0)
        .collect()
}

/// Trials at full fidelity with their scores; of a point that was evaluated several times the last, which knows most.
fn scored<'a>(trials: impl IntoIterator<Item = &'a Trial>) -> Vec<(&'a Trial, &'a Score)> {
    let mut last: HashMap<PointKey, usize> = HashMap::new();
    let mut kept: Vec<Option<(&Trial, &Score)>> = Vec::new();
    for trial in trials
        .into_iter()
        .filter(|t| t.candidate.fidelity == 1.0 && t.repeats.is_none())
    {
        let Some(score) = &trial.score else { continue };
        if let Some(earlier) = last.insert(trial.candidate.point.key(), kept.len()) {
            kept[earlier] = None;
        }
        kept.push(Some((trial, score)));
    }
    kept.into_iter().flatten().collect()
}

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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::budget::WallClock;
    use crate::evaluator::MetricInfo;
    use crate::goal::{Constraint, Direction, Objective};
    use crate::ledger::Ledger;
    use crate::rng::Rng;
    use crate::space::{Axis, AxisValue, Domain};
    use crate::trial::Origin;

    /// Moves next to the best told so far, so that what it proposes depends on what it was told when.
    pub(crate) struct Follower {
        space: Arc<Space>,
        ledger: Ledger,
        best: Option<(f64, Point)>,
        foreign: usize,
    }

    impl Follower {
        pub(crate) fn new(space: &Arc<Space>) -> Self {
            Self {
                space: space.clone(),
                ledger: Ledger::default(),
                best: None,
                foreign: 0,
            }
        }
    }

    impl Searcher for Follower {
        fn ask(&mut self, n: usize) -> Result<Vec<Candidate>, SearchError> {
            Ok((0..n)
                .map(|_| {
                    let id = self.ledger.ask();
                    let mut rng = Rng::keyed(9, id, "follow");
                    let mut unit = vec![rng.unit()];
                    if let Some((_, best)) = &self.best {
                        unit[0] = 0.9 * best.to_unit()[0].unwrap_or(0.5) + 0.1 * unit[0];
                    }
                    Candidate {
                        id,
                        point: self.space.at_unit(&unit),
                        fidelity: 1.0,
                        parent: None,
                    }
                })
                .collect())
        }
        fn tell(&mut self, trial: &Trial) -> Result<(), SearchError> {
            if trial.origin == Origin::Own {
                self.ledger.tell("follower", trial.candidate.id)?;
            } else {
                self.foreign += 1;
            }
            if let Some(score) = &trial.score
                && self
                    .best
                    .as_ref()
                    .is_none_or(|(b, _)| score.objectives[0] < *b)
            {
                self.best = Some((score.objectives[0], trial.candidate.point.clone()));
            }
            Ok(())
        }
    }

    /// (x − 3)², slower for some points so that outcomes arrive out of order.
    struct Square;

    impl Evaluator for Square {
        fn evaluate(&self, candidate: &Candidate, _: &EvalContext<'_>) -> Outcome {
            let Some(AxisValue::Float(x)) = candidate.point.get("x") else {
                return Outcome::Failed {
                    reason: "no x".into(),
                };
            };
            if candidate.id.is_multiple_of(3) {
                std::thread::sleep(Duration::from_millis(2));
            }
            assert!(candidate.id % 7 != 5, "the evaluator breaks");
            Outcome::Measured {
                metrics: [("value".to_owned(), (x - 3.0) * (x - 3.0))].into(),
            }
        }
        fn metrics(&self) -> Option<Vec<MetricInfo>> {
            Some(vec![MetricInfo {
                name: "value".into(),
                volatile: false,
                stepwise: false,
            }])
        }
    }

    pub(crate) fn study(domain: Domain, trials: u64) -> Study {
        let space = Arc::new(Space::new(vec![Axis::new("x", domain)]).unwrap());
        Study {
            goal: Goal::new(
                vec![Objective {
                    metric: "value".into(),
                    direction: Direction::Minimize,
                }],
                vec![],
                vec![],
            )
            .unwrap(),
            budget: Budget {
                trials: Some(trials),
                time: None,
            },
            seed: 1,
            window: 4,
            repeats: false,
            start: vec![space.middle()],
            stop: None,
            space,
        }
    }

    fn run(study: &Study, jobs: usize) -> Result<Finished, StudyError> {
        let mut searcher = Follower::new(&study.space);
        let clock = WallClock::start();
        let finished = study.run(
            &mut searcher,
            &Square,
            jobs,
            &mut (),
            &clock,
            &Cancel::new(),
        );
        assert_eq!(searcher.foreign, study.start.len());
        finished
    }

    pub(crate) const REAL: Domain = Domain::Float {
        low: -10.0,
        high: 10.0,
        log: false,
        step: None,
    };

    #[test]
    fn every_trial_is_the_same_at_any_number_of_jobs() {
        std::panic::set_hook(Box::new(|_| {}));
        let study = study(REAL, 40);
        let one = run(&study, 1).unwrap();
        assert_eq!(one.trials.len(), 41);
        assert_eq!(one.end, End::Trials);
        assert_eq!(one.failed(), 6);
        for jobs in [2, 5] {
            assert_eq!(run(&study, jobs).unwrap().trials, one.trials);
        }
    }

    #[test]
    fn a_repeated_point_is_answered_from_its_first_trial_until_there_is_nothing_new() {
        let study = study(
            Domain::Choice {
                options: vec![1.into(), 2.into()],
            },
            10_000,
        );
        let finished = run(&study, 2).unwrap();
        assert_eq!(finished.end, End::Exhausted);
        let fresh = finished
            .trials
            .iter()
            .filter(|t| t.repeats.is_none())
            .count();
        assert_eq!(fresh, 2);
        assert!(finished.trials.len() > 1000);
    }

    #[test]
    fn stop_at_ends_the_study_at_the_same_trial_for_all_jobs() {
        let mut study = study(REAL, 500);
        study.goal.stop_at = vec![Constraint::parse("value <= 0.01").unwrap()];
        let one = run(&study, 1).unwrap();
        assert_eq!(one.end, End::Reached);
        assert_eq!(one.trials, run(&study, 4).unwrap().trials);
        assert_eq!(one.best().unwrap(), one.trials.last().unwrap());
    }

    #[test]
    fn an_objective_nobody_reports_is_refused_at_once() {
        let mut study = study(REAL, 5);
        study.goal.objectives[0].metric = "loss".into();
        let mut searcher = Follower::new(&study.space);
        let error = study
            .run(
                &mut searcher,
                &Square,
                1,
                &mut (),
                &WallClock::start(),
                &Cancel::new(),
            )
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "no metric `loss` is reported; there are value"
        );
    }

    #[test]
    fn a_cancelled_study_keeps_what_was_told() {
        let study = study(REAL, u64::MAX);
        let cancel = Cancel::new();
        struct After(Cancel);
        impl Log for After {
            fn asked(&mut self, _: &Candidate) -> Result<(), LogError> {
                Ok(())
            }
            fn told(&mut self, trial: &Trial) -> Result<(), LogError> {
                if trial.candidate.id == 9 {
                    self.0.cancel();
                }
                Ok(())
            }
        }
        for jobs in [1, 3] {
            let mut searcher = Follower::new(&study.space);
            let cancel = if jobs == 1 {
                cancel.clone()
            } else {
                Cancel::new()
            };
            let finished = study
                .run(
                    &mut searcher,
                    &Square,
                    jobs,
                    &mut After(cancel.clone()),
                    &WallClock::start(),
                    &cancel,
                )
                .unwrap();
            assert_eq!(finished.end, End::Cancelled);
            assert!(finished.trials.len() >= 10);
        }
    }

    /// Measures the middle of the space and works on anything else until it is cancelled.
    struct Endless;

    impl Evaluator for Endless {
        fn evaluate(&self, candidate: &Candidate, cx: &EvalContext<'_>) -> Outcome {
            while candidate.id > 0 && !cx.cancel.is_cancelled() {
                std::thread::sleep(Duration::from_millis(1));
            }
            Outcome::Measured {
                metrics: [("value".to_owned(), 0.0)].into(),
            }
        }
        fn metrics(&self) -> Option<Vec<MetricInfo>> {
            None
        }
    }

    #[test]
    fn running_trials_are_dropped_when_the_goal_is_reached_or_their_time_is_over() {
        let mut reached = study(REAL, u64::MAX);
        reached.goal.stop_at = vec![Constraint::parse("value <= 0").unwrap()];
        let mut late = study(REAL, u64::MAX);
        late.budget.time = Some(Duration::from_millis(50));
        for (study, end) in [(reached, End::Reached), (late, End::Time)] {
            for jobs in [1, 4] {
                let mut searcher = Follower::new(&study.space);
                let (cancel, clock) = (Cancel::new(), WallClock::start());
                let mut tape = Tape::default();
                let finished = study
                    .run(&mut searcher, &Endless, jobs, &mut tape, &clock, &cancel)
                    .unwrap();
                assert_eq!((finished.end, finished.trials.len()), (end, 1));
                assert!(!cancel.is_cancelled());
                assert!(tape.asked.len() > 1 && tape.waiting.is_empty());
            }
        }
    }

    #[test]
    fn a_line_goes_through_the_trials_that_did_the_work() {
        let space = study(REAL, 0).space;
        let candidate = |id: u64, parent: Option<u64>| Candidate {
            id,
            point: space.middle(),
            fidelity: 0.5,
            parent,
        };
        let trial = |candidate: Candidate, repeats: Option<u64>| Trial {
            candidate,
            origin: Origin::Own,
            outcome: Outcome::Failed { reason: "x".into() },
            score: None,
            curve: Vec::new(),
            repeats,
        };
        let trials = [
            trial(candidate(0, None), None),
            trial(candidate(1, None), Some(0)),
            trial(candidate(2, Some(1)), None),
        ];
        let ids = |candidate: &Candidate| -> Vec<u64> {
            lineage(&trials, candidate).iter().map(|c| c.id).collect()
        };
        assert_eq!(ids(&candidate(3, Some(2))), [0, 2]);
        assert_eq!(ids(&candidate(3, Some(1))), [0]);
        assert_eq!(ids(&candidate(3, Some(9))), Vec::<u64>::new());
    }

    /// A log in memory, with what an earlier run noted.
    #[derive(Default)]
    pub(crate) struct Tape {
        asked: Vec<Candidate>,
        told: Vec<Trial>,
        waiting: HashMap<u64, (Outcome, Vec<Report>)>,
        from_outside: Option<(u64, Point, Outcome)>,
        noted: usize,
    }

    impl Log for Tape {
        fn asked(&mut self, candidate: &Candidate) -> Result<(), LogError> {
            match self.asked.get(candidate.id as usize) {
                Some(earlier) if earlier == candidate => Ok(()),
                Some(_) => Err(LogError(format!("trial {} differs", candidate.id))),
                None => {
                    self.asked.push(candidate.clone());
                    Ok(())
                }
            }
        }
        fn told(&mut self, trial: &Trial) -> Result<(), LogError> {
            if trial.candidate.id as usize == self.told.len() {
                self.told.push(trial.clone());
            }
            self.noted += 1;
            Ok(())
        }
        fn recall(&mut self, id: u64) -> Option<(Outcome, Vec<Report>)> {
            match self.told.get(id as usize) {
                Some(trial) => Some((trial.outcome.clone(), trial.curve.clone())),
                None => self.waiting.get(&id).cloned(),
            }
        }
        fn has(&self, id: u64) -> bool {
            (id as usize) < self.asked.len()
        }
        fn waits(
            &mut self,
            candidate: &Candidate,
            outcome: &Outcome,
            curve: &[Report],
        ) -> Result<(), LogError> {
            self.waiting
                .insert(candidate.id, (outcome.clone(), curve.to_vec()));
            Ok(())
        }
        fn foreign(&mut self, id: u64) -> Option<(Point, Outcome)> {
            let (at, point, outcome) = self.from_outside.as_ref()?;
            if *at != id {
                return None;
            }
            let found = (point.clone(), outcome.clone());
            if self.asked.len() as u64 == id {
                self.asked.push(Candidate {
                    id,
                    point: point.clone(),
                    fidelity: 1.0,
                    parent: None,
                });
            }
            Some(found)
        }
    }

    fn run_logged(study: &Study, jobs: usize, tape: &mut Tape) -> Finished {
        let mut searcher = Follower::new(&study.space);
        let clock = WallClock::start();
        study
            .run(&mut searcher, &Square, jobs, tape, &clock, &Cancel::new())
            .unwrap()
    }

    #[test]
    fn a_study_run_again_over_a_part_of_its_log_goes_on_as_if_undisturbed() {
        let study = study(REAL, 30);
        let best = study.space.at_unit(&[0.65]);
        let from_outside = Some((
            12,
            best,
            Outcome::Measured {
                metrics: [("value".to_owned(), 0.0)].into(),
            },
        ));
        let mut whole = Tape {
            from_outside: from_outside.clone(),
            ..Tape::default()
        };
        let undisturbed = run_logged(&study, 1, &mut whole);
        assert_eq!(undisturbed.trials.len(), 32);
        assert_eq!(undisturbed.trials[12].origin, Origin::Foreign);
        for told in [0, 1, 11, 13, 20, 32] {
            let mut part = Tape {
                // Up to the window is asked beyond what is told.
                asked: whole.asked[..(told + 3).min(32)].to_vec(),
                told: whole.told[..told].to_vec(),
                waiting: HashMap::new(),
                from_outside: from_outside.clone(),
                noted: 0,
            };
            let resumed = run_logged(&study, 3, &mut part);
            assert_eq!(resumed.trials, undisturbed.trials);
            assert_eq!(part.told, whole.told);
            assert_eq!(part.noted, 32);
        }
    }
}
