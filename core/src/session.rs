//! A session: a study whose candidates someone else evaluates, whenever and in whatever order it likes.
//!
//! Candidate k is taken from the searcher exactly when all outcomes up to k − W are told, W being the study's window, and
//! outcomes are told in the order of ids. So when and how many candidates are asked for, and in which order they are
//! answered, changes no trial: a session has the trials that [`Study::run`] has, which is a session that answers itself. No
//! more than W candidates are in flight at a time; whoever asks for more gets fewer. A caller that takes one candidate after the
//! other and wants each to know all outcomes before it gives its study a window of 1.
//!
//! A candidate is noted in the log when it is handed out, and an outcome when it comes in. A session that was killed stands
//! where it stood when it is begun again over its log: what had been handed out and not answered is [`Session::pending`].

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use thiserror::Error;

use crate::evaluator::Artefacts;
use crate::fit::Verdict;
use crate::goal::Goal;
use crate::log::Log;
use crate::scorer::{Scored, Scorer};
use crate::searcher::Searcher;
use crate::space::Point;
use crate::stop::{Courses, Watch};
use crate::study::{End, Study, StudyError};
use crate::trial::{Candidate, Origin, Outcome, Report, Trial};

/// A searcher that answers this many repeated points in a row has nothing new to offer.
const REPEATS_IN_A_ROW: u32 = 1000;

/// A running study: what is asked, what is told.
///
/// ```
/// # mod draws { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/draws.rs")); }
/// # use std::sync::Arc;
/// # use lapidary_core::budget::Budget;
/// use lapidary_core::budget::{Clock, WallClock};
/// # use lapidary_core::goal::{Direction, Goal, Objective};
/// # use lapidary_core::json::Json;
/// # use lapidary_core::registry::{Registry, SearchInit};
/// use lapidary_core::session::Session;
/// # use lapidary_core::space::{Axis, Domain, Space};
/// use lapidary_core::space::AxisValue;
/// # use lapidary_core::study::Study;
/// use lapidary_core::study::best;
/// use lapidary_core::trial::Outcome;
///
/// // A study over one axis, `x`, that minimises `value` in 30 trials, and its searcher: see `Study`.
/// # let domain = Domain::Float { low: -1.0, high: 1.0, log: false, step: None };
/// # let smallest = Objective { metric: "value".to_owned(), direction: Direction::Minimize };
/// # let study = Study {
/// #     space: Arc::new(Space::new(vec![Axis::new("x", domain)])?),
/// #     goal: Goal::new(vec![smallest], vec![], vec![])?,
/// #     budget: Budget { trials: Some(30), time: None },
/// #     seed: 7,
/// #     window: 4,
/// #     repeats: false,
/// #     start: vec![],
/// #     stop: None,
/// # };
/// # let init = SearchInit { space: study.space.clone(), seed: 7, objectives: 1, trials: None, installed: None };
/// # let mut searcher = Registry::new(&[&draws::ENTRY])?.searcher("draws", &Json::Null, &init)?;
/// let (clock, mut log) = (WallClock::start(), ());
/// let mut session = Session::new(&study, searcher.as_mut(), &mut log, clock.now());
/// while session.end().is_none() {
///     for candidate in session.ask(2, clock.now())? {
///         let outcome = match candidate.point.get("x") {
///             Some(AxisValue::Float(x)) => Outcome::Measured { metrics: [("value".to_owned(), x * x)].into() },
///             _ => Outcome::Failed { reason: "the space has no axis x".to_owned() },
///         };
///         session.tell(candidate.id, outcome, vec![], clock.now())?;
///     }
/// }
/// assert_eq!(session.trials().len(), 30);
/// assert!(best(session.trials()).is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Session<'a> {
    study: &'a Study,
    searcher: &'a mut dyn Searcher,
    log: &'a mut dyn Log,
    began: Duration,
    /// Asked of the searcher and not told yet, by id.
    in_flight: VecDeque<InFlight>,
    /// How many of them, from the front, are noted in the log.
    noted: usize,
    trials: Vec<Trial>,
    end: Option<End>,
    /// Starting points asked so far.
    started: usize,
    /// Own candidates asked so far.
    asked: u64,
    /// Study ids of the searcher's ids.
    ids: BTreeMap<u64, u64>,
    /// First trial of every point and fidelity, by their bits' hash.
    first: HashMap<(u128, u64), u64>,
    scorer: Scorer<'a>,
    repeats_in_a_row: u32,
    /// The points of an exhausted searcher, which are evaluated again in turn, and how many were, where noise wants that.
    again: Option<(Vec<Candidate>, u64)>,
    /// What running trials are compared with, where there is a stop rule.
    courses: Option<Arc<RwLock<Courses>>>,
    /// Whether what is noted waits for the caller to commit.
    buffered: bool,
}

/// A candidate in flight: asked of the searcher and not told yet.
struct InFlight {
    candidate: Candidate,
    origin: Origin,
    /// The searcher's id of it, where it asked for it.
    own: Option<u64>,
    /// The earlier trial of the same point that answers it.
    repeats: Option<u64>,
    curve: Vec<Report>,
    outcome: Option<Outcome>,
    /// What the stop rule makes of its reports.
    watch: Option<Watch>,
}

impl InFlight {
    /// Whether only an answer from outside will do.
    fn waits(&self) -> bool {
        self.repeats.is_none() && self.outcome.is_none()
    }
}

/// What points are told apart by, with their fidelity.
fn key(candidate: &Candidate) -> (u128, u64) {
    (candidate.point.fingerprint(), candidate.fidelity.to_bits())
}

/// Why an answer was not taken.
#[derive(Debug, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum AnswerError {
    #[error("candidate {id} was never handed out")]
    Unknown { id: u64 },
    #[error("candidate {id} is answered already")]
    Answered { id: u64 },
    #[error("the study has ended ({})", end.name())]
    Ended { end: End },
    #[error("step {step} does not follow step {previous} of candidate {id}")]
    Step { id: u64, step: u64, previous: u64 },
    #[error(transparent)]
    Study(#[from] StudyError),
}

impl<'a> Session<'a> {
    /// A session that begins at `now`; over the log of an earlier one it goes on where that one stood.
    pub fn new(
        study: &'a Study,
        searcher: &'a mut dyn Searcher,
        log: &'a mut dyn Log,
        now: Duration,
    ) -> Self {
        Self {
            study,
            searcher,
            log,
            began: now,
            in_flight: VecDeque::new(),
            noted: 0,
            trials: Vec::new(),
            end: None,
            started: 0,
            asked: 0,
            ids: BTreeMap::new(),
            first: HashMap::new(),
            scorer: Scorer::new(&study.goal, study.repeats),
            repeats_in_a_row: 0,
            again: None,
            courses: (study.stop.clone()).map(|rule| Arc::new(RwLock::new(Courses::new(rule)))),
            buffered: false,
        }
    }

    /// Buffers what is asked and told from now on until [`Session::commit`] makes it durable, so that several requests share one
    /// transaction. The caller shows nothing of it to anyone before that.
    pub fn buffer(&mut self) {
        self.buffered = true;
    }

    /// Makes durable what was asked and told since the last time.
    ///
    /// # Errors
    /// When the log fails; none of it is durable then.
    pub fn commit(&mut self) -> Result<(), StudyError> {
        Ok(self.log.commit()?)
    }

    /// At most `n` candidates that were not handed out before, by id; fewer where the window is full, none where the study
    /// has ended.
    ///
    /// # Errors
    /// When the searcher breaks its contract or fails, or the log fails.
    pub fn ask(&mut self, n: usize, now: Duration) -> Result<Vec<Candidate>, StudyError> {
        let mut handed = Vec::new();
        self.hand_out(n, &mut handed)?;
        self.advance(n, now, &mut handed)?;
        if self.end.is_some() {
            handed.clear();
        }
        Ok(handed)
    }

    /// Takes the outcome of a candidate; `curve` is what was not given to [`Session::report`]. What was measured of one that was
    /// to stop counts as stopped.
    ///
    /// # Errors
    /// When the candidate was never handed out or is answered, or the study has ended, nothing changes; otherwise as
    /// [`Session::ask`].
    pub fn tell(
        &mut self,
        id: u64,
        outcome: Outcome,
        curve: Vec<Report>,
        now: Duration,
    ) -> Result<(), AnswerError> {
        let open = self.handed_out(id)?;
        let reason = open.watch.as_ref().and_then(Watch::reason);
        let outcome = match (outcome, reason) {
            (Outcome::Measured { metrics }, Some(reason)) => Outcome::Stopped {
                metrics,
                reason: reason.to_owned(),
            },
            (outcome, _) => outcome,
        };
        self.finish(id, outcome, curve)?;
        Ok(self.advance(0, now, &mut Vec::new())?)
    }

    /// Takes an intermediate report of a candidate and says whether to go on with it.
    ///
    /// # Errors
    /// When the candidate was never handed out or is answered, or the step does not rise; nothing changes then.
    pub fn report(&mut self, id: u64, report: Report) -> Result<Verdict, AnswerError> {
        if self.end.is_some() {
            return Ok(Verdict::Stop);
        }
        let courses = self.courses.clone();
        let open = self.handed_out(id)?;
        if let Some(last) = open.curve.last()
            && last.step >= report.step
        {
            return Err(AnswerError::Step {
                id,
                step: report.step,
                previous: last.step,
            });
        }
        let mut verdict = Verdict::Continue;
        if let (Some(watch), Some(courses)) = (&mut open.watch, courses) {
            let courses = courses.read().unwrap_or_else(PoisonError::into_inner);
            if watch
                .report(report.step, &report.metrics, &courses)
                .is_some()
            {
                verdict = Verdict::Stop;
            }
        }
        open.curve.push(report);
        Ok(verdict)
    }

    /// Candidates that were handed out, in this session or an earlier one over the same log, and not answered; none where
    /// the study has ended.
    pub fn pending(&self) -> impl Iterator<Item = &Candidate> {
        let open = if self.end.is_some() { 0 } else { self.noted };
        let open = self.in_flight.iter().take(open);
        open.filter(|open| open.waits()).map(|o| &o.candidate)
    }

    /// What the study is after.
    pub fn goal(&self) -> &'a Goal {
        &self.study.goal
    }

    /// Why the study is over; `None` while it goes on.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// All trials told to the searcher, by id; later ones that are answered are [`Session::waiting`].
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// Trials that are answered and wait for one with a lower id, by id; scored by this answer alone.
    pub fn waiting(&self) -> Vec<Trial> {
        let answered = self.in_flight.iter().filter_map(|open| {
            let outcome = open.outcome.clone()?;
            Some(Trial {
                candidate: open.candidate.clone(),
                origin: open.origin,
                score: self.study.goal.score(&outcome).ok(),
                outcome,
                curve: open.curve.clone(),
                repeats: open.repeats,
            })
        });
        answered.collect()
    }

    /// All trials told, by id.
    pub fn into_trials(self) -> Vec<Trial> {
        self.trials
    }

    /// What a stop rule needs for a candidate that was handed out: what is made of its reports, and what they are compared
    /// with.
    pub(crate) fn watch(&self, id: u64) -> Option<(Watch, Arc<RwLock<Courses>>)> {
        let watch = self.in_flight[self.index(id)?].watch.clone()?;
        Some((watch, self.courses.clone()?))
    }

    /// Whether even running trials have had their time.
    pub(crate) fn is_overdue(&self, now: Duration) -> bool {
        self.study.budget.is_overdue(self.spent(now))
    }

    /// How long this run and earlier ones took.
    fn spent(&self, now: Duration) -> Duration {
        self.log.spent() + now.saturating_sub(self.began)
    }

    /// Hands the log what an evaluation left besides its metrics, before its outcome is noted.
    pub(crate) fn left(&mut self, candidate: &Candidate, outcome: &Outcome, artefacts: &Artefacts) {
        self.log.left(candidate, outcome, artefacts);
    }

    /// Takes the outcome of a candidate without telling it yet.
    pub(crate) fn finish(
        &mut self,
        id: u64,
        outcome: Outcome,
        curve: Vec<Report>,
    ) -> Result<(), StudyError> {
        let Some(index) = self.index(id) else {
            return Ok(());
        };
        let open = &mut self.in_flight[index];
        open.curve.extend(curve);
        if index > 0 {
            self.log.waits(&open.candidate, &outcome, &open.curve)?;
        }
        open.outcome = Some(outcome);
        Ok(())
    }

    /// Where the candidate `id` in flight stands.
    fn index(&self, id: u64) -> Option<usize> {
        let index = usize::try_from(id.checked_sub(self.trials.len() as u64)?).ok()?;
        (index < self.in_flight.len()).then_some(index)
    }

    /// The candidate `id`, which waits for an answer.
    fn handed_out(&mut self, id: u64) -> Result<&mut InFlight, AnswerError> {
        if let Some(end) = self.end {
            return Err(AnswerError::Ended { end });
        }
        if id < self.trials.len() as u64 {
            return Err(AnswerError::Answered { id });
        }
        let index = self.index(id).filter(|index| *index < self.noted);
        let open = index.map(|index| &mut self.in_flight[index]);
        match open {
            Some(open) if open.waits() => Ok(open),
            Some(_) => Err(AnswerError::Answered { id }),
            None => Err(AnswerError::Unknown { id }),
        }
    }

    /// Tells what can be told and takes from the searcher what may be taken; `handed` grows up to `n` candidates.
    fn advance(
        &mut self,
        n: usize,
        now: Duration,
        handed: &mut Vec<Candidate>,
    ) -> Result<(), StudyError> {
        if self.end.is_some() {
            return Ok(());
        }
        self.end = loop {
            let ended = self.fill(n, now, handed)?;
            let Some(first) = self.in_flight.front() else {
                break Some(ended.unwrap_or(End::Exhausted));
            };
            if first.waits() {
                break None;
            }
            if self.tell_first()? {
                break Some(End::Reached);
            }
            if self.repeats_in_a_row >= REPEATS_IN_A_ROW {
                break Some(End::Exhausted);
            }
        };
        if self.buffered { Ok(()) } else { self.commit() }
    }

    /// Takes candidates from the searcher until the window is full; says why no more may be taken where the budget forbids it.
    fn fill(
        &mut self,
        n: usize,
        now: Duration,
        handed: &mut Vec<Candidate>,
    ) -> Result<Option<End>, StudyError> {
        while self.in_flight.len() < self.study.window.max(1) {
            if self.noted == self.in_flight.len()
                && let Some((point, outcome)) = self.log.foreign(self.next_id())
            {
                self.in_flight.push_back(InFlight {
                    candidate: self.outside(point),
                    origin: Origin::Foreign,
                    own: None,
                    repeats: None,
                    curve: Vec::new(),
                    outcome: Some(outcome),
                    watch: None,
                });
                self.noted += 1;
                continue;
            }
            // What an earlier run was allowed to ask is asked again, whatever the budget is now.
            let known = self.log.has(self.next_id());
            if !known && self.study.budget.is_over(self.spent(now)) {
                return Ok(Some(End::Time));
            }
            if let Some(failed) = self.log.retry(self.next_id()) {
                let candidate = Candidate {
                    id: self.next_id(),
                    ..self.candidate(failed).clone()
                };
                self.first.insert(key(&candidate), candidate.id);
                self.open(candidate, Origin::Foreign, None)?;
                self.hand_out(n, handed)?;
                continue;
            }
            let spent = self.asked + self.started as u64;
            if !known && (self.study.budget.trials).is_some_and(|trials| spent >= trials) {
                return Ok(Some(End::Trials));
            }
            if let Some(point) = self.study.start.get(self.started) {
                let candidate = self.outside(point.clone());
                self.started += 1;
                self.open(candidate, Origin::Foreign, None)?;
                self.hand_out(n, handed)?;
                continue;
            }
            if let Some(candidate) = self.next_again() {
                self.asked += 1;
                self.open(candidate, Origin::Own, None)?;
                self.hand_out(n, handed)?;
                continue;
            }
            // One at a time, so that a trial of another program stands under its id whatever the budget was then.
            let candidates = self.searcher.ask(1)?;
            if candidates.is_empty() {
                if self.begin_again() {
                    continue;
                }
                return Ok(None);
            }
            for candidate in candidates {
                self.check(&candidate)?;
                let own = candidate.id;
                let id = self.next_id();
                self.ids.insert(own, id);
                self.asked += 1;
                let candidate = Candidate {
                    id,
                    parent: candidate.parent.and_then(|p| self.ids.get(&p).copied()),
                    ..candidate
                };
                self.open(candidate, Origin::Own, Some(own))?;
                self.hand_out(n, handed)?;
            }
        }
        Ok(None)
    }

    /// A candidate that no searcher asked for.
    fn outside(&self, point: Point) -> Candidate {
        Candidate {
            id: self.next_id(),
            point,
            fidelity: 1.0,
            parent: None,
        }
    }

    /// Where a searcher has no further point and all are told: whether its points are to be evaluated again, as `repeats` wants as
    /// long as there is a budget.
    fn begin_again(&mut self) -> bool {
        let budget = &self.study.budget;
        let endless = budget.trials.is_none() && budget.time.is_none();
        if !self.study.repeats || endless || !self.in_flight.is_empty() {
            return false;
        }
        let mut seen = HashSet::new();
        let full = self.trials.iter().map(|trial| &trial.candidate);
        let full = full.filter(|candidate| candidate.fidelity == 1.0);
        let points: Vec<Candidate> = full
            .filter(|candidate| seen.insert(candidate.point.key()))
            .cloned()
            .collect();
        let any = !points.is_empty();
        self.again = any.then_some((points, 0));
        any
    }

    /// The next of the points that are evaluated again, each as often as any other.
    fn next_again(&mut self) -> Option<Candidate> {
        let id = self.next_id();
        let (points, turns) = self.again.as_mut()?;
        let candidate = points[(*turns % points.len() as u64) as usize].clone();
        *turns += 1;
        Some(Candidate { id, ..candidate })
    }

    /// The candidate `id`, which was asked before.
    fn candidate(&self, id: u64) -> &Candidate {
        match self.trials.get(id as usize) {
            Some(trial) => &trial.candidate,
            None => &self.in_flight[id as usize - self.trials.len()].candidate,
        }
    }

    fn next_id(&self) -> u64 {
        self.trials.len() as u64 + self.in_flight.len() as u64
    }

    /// Refuses a candidate that breaks the searcher's contract.
    fn check(&self, candidate: &Candidate) -> Result<(), StudyError> {
        let id = candidate.id;
        if let Some((&previous, _)) = self.ids.last_key_value()
            && id <= previous
        {
            return Err(StudyError::Ids { id, previous });
        }
        if !(candidate.fidelity > 0.0 && candidate.fidelity <= 1.0) {
            return Err(StudyError::Fidelity {
                id,
                fidelity: candidate.fidelity,
            });
        }
        if !Arc::ptr_eq(candidate.point.space(), &self.study.space)
            && candidate.point.space() != &self.study.space
        {
            return Err(StudyError::Space { id });
        }
        Ok(())
    }

    /// Puts a candidate in flight; `own` is the searcher's id of it, where it asked for it.
    fn open(
        &mut self,
        candidate: Candidate,
        origin: Origin,
        own: Option<u64>,
    ) -> Result<(), StudyError> {
        let id = candidate.id;
        let repeats = self.first_of(&candidate).filter(|_| !self.study.repeats);
        let recalled = match repeats {
            None => self.log.recall(id),
            Some(_) => None,
        };
        let (outcome, curve) = recalled.unzip();
        // Told so far is all that it will ever be compared with.
        let watch = self.courses.as_ref().map(|courses| {
            let courses = courses.read().unwrap_or_else(PoisonError::into_inner);
            courses.watch(candidate.fidelity)
        });
        self.in_flight.push_back(InFlight {
            candidate,
            origin,
            own,
            repeats,
            curve: curve.unwrap_or_default(),
            outcome,
            watch,
        });
        if self.log.has(id) {
            self.note_next()?;
        }
        Ok(())
    }

    /// The earlier trial of the same point and fidelity, where there is one.
    fn first_of(&mut self, candidate: &Candidate) -> Option<u64> {
        let first = *self.first.entry(key(candidate)).or_insert(candidate.id);
        // A hash may be shared.
        let is_same = first != candidate.id && self.candidate(first).point == candidate.point;
        is_same.then_some(first)
    }

    /// Notes the next candidate that is not noted yet; ids are noted in their order.
    fn note_next(&mut self) -> Result<&InFlight, StudyError> {
        let open = &self.in_flight[self.noted];
        self.log.asked(&open.candidate)?;
        self.noted += 1;
        Ok(open)
    }

    /// Hands out candidates that were not handed out before, until `handed` holds `n`.
    fn hand_out(&mut self, n: usize, handed: &mut Vec<Candidate>) -> Result<(), StudyError> {
        while handed.len() < n && self.noted < self.in_flight.len() {
            let open = self.note_next()?;
            if open.waits() {
                handed.push(open.candidate.clone());
            }
        }
        Ok(())
    }

    /// Tells the first candidate in flight; whether it ends the study as good enough.
    fn tell_first(&mut self) -> Result<bool, StudyError> {
        if self.noted == 0 {
            self.note_next()?;
        }
        self.noted -= 1;
        let open = self.in_flight.pop_front().expect("the caller saw it");
        let outcome = match open.repeats {
            Some(id) => {
                self.repeats_in_a_row += 1;
                self.trials[id as usize].outcome.clone()
            }
            None => {
                self.repeats_in_a_row = 0;
                open.outcome.expect("the caller saw it")
            }
        };
        let Scored {
            outcome,
            score,
            reached,
        } = self.scorer.score(&open.candidate.point, outcome);
        let mut trial = Trial {
            candidate: open.candidate,
            origin: open.origin,
            outcome,
            score,
            curve: open.curve,
            repeats: open.repeats,
        };
        let id = trial.candidate.id;
        if let Some(own) = open.own {
            trial.candidate.id = own;
            self.searcher.tell(&trial)?;
            trial.candidate.id = id;
        } else if trial.origin == Origin::Foreign {
            self.searcher.tell(&trial)?;
        }
        self.log.told(&trial)?;
        if let Some(courses) = &self.courses {
            let mut courses = courses.write().unwrap_or_else(PoisonError::into_inner);
            courses.tell(&trial);
        }
        let reached = reached && trial.candidate.fidelity == 1.0;
        self.trials.push(trial);
        Ok(reached)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::AxisValue;
    use crate::study::tests::{Follower, REAL, Tape, study};

    const NOW: Duration = Duration::ZERO;

    fn square(candidate: &Candidate) -> Outcome {
        let Some(AxisValue::Float(x)) = candidate.point.get("x") else {
            panic!("the space has an axis x");
        };
        Outcome::Measured {
            metrics: [("value".to_owned(), (x - 3.0) * (x - 3.0))].into(),
        }
    }

    /// Runs a whole session; `drive` takes a step until the study has ended.
    fn run(
        window: usize,
        log: &mut dyn Log,
        mut drive: impl FnMut(&mut Session<'_>),
    ) -> Vec<Trial> {
        let mut study = study(REAL, 40);
        study.window = window;
        let mut searcher = Follower::new(&study.space);
        let mut session = Session::new(&study, &mut searcher, log, NOW);
        while session.end().is_none() {
            drive(&mut session);
        }
        assert_eq!(session.end(), Some(End::Trials));
        session.into_trials()
    }

    /// Asks for one candidate at a time and answers it at once.
    fn one_by_one(session: &mut Session<'_>) {
        if let Some(candidate) = session.ask(1, NOW).unwrap().pop() {
            session
                .tell(candidate.id, square(&candidate), Vec::new(), NOW)
                .unwrap();
        }
    }

    #[test]
    fn how_a_caller_asks_and_answers_changes_no_trial() {
        let whole = run(4, &mut (), one_by_one);
        assert_eq!(whole.len(), 41);
        let all_at_once = run(4, &mut (), |session| {
            let asked = session.ask(100, NOW).unwrap();
            assert!(asked.len() <= 4);
            // The last one first.
            for candidate in asked.iter().rev() {
                let outcome = square(candidate);
                session
                    .tell(candidate.id, outcome, Vec::new(), NOW)
                    .unwrap();
            }
        });
        assert_eq!(all_at_once, whole);
        assert_ne!(run(1, &mut (), one_by_one), whole);
    }

    #[test]
    fn a_bad_answer_is_refused_and_changes_nothing() {
        let study = study(REAL, 2);
        let mut searcher = Follower::new(&study.space);
        let mut log = ();
        let mut session = Session::new(&study, &mut searcher, &mut log, NOW);
        let asked = session.ask(2, NOW).unwrap();
        let ids = |session: &Session<'_>| -> Vec<u64> { session.pending().map(|c| c.id).collect() };
        assert_eq!(ids(&session), [0, 1]);
        let tell = |session: &mut Session<'_>, id: u64| {
            session
                .tell(id, square(&asked[0]), Vec::new(), NOW)
                .map_err(|e| e.to_string())
        };
        let unknown = |id| Err(format!("candidate {id} was never handed out"));
        let answered = |id| Err(format!("candidate {id} is answered already"));
        // Candidate 2 is taken from the searcher, but not handed out.
        for id in [2, 3, u64::MAX] {
            assert_eq!(tell(&mut session, id), unknown(id));
        }
        let report = |step| Report {
            step,
            metrics: Default::default(),
        };
        assert_eq!(session.report(1, report(3)).unwrap(), Verdict::Continue);
        let error = session.report(1, report(3)).unwrap_err().to_string();
        assert_eq!(error, "step 3 does not follow step 3 of candidate 1");
        tell(&mut session, 1).unwrap();
        assert_eq!(tell(&mut session, 1), answered(1));
        assert!(session.report(1, report(4)).is_err());
        assert!(session.trials().is_empty());
        tell(&mut session, 0).unwrap();
        assert_eq!(tell(&mut session, 0), answered(0));
        assert_eq!(session.trials()[1].curve, [report(3)]);
        assert_eq!(session.ask(9, NOW).unwrap()[0].id, 2);
        assert_eq!(ids(&session), [2]);
        tell(&mut session, 2).unwrap();
        assert_eq!(session.end(), Some(End::Trials));
        assert_eq!(
            tell(&mut session, 2),
            Err("the study has ended (trials)".into())
        );
    }

    #[test]
    fn a_session_over_the_log_of_a_killed_one_stands_where_that_one_stood() {
        let whole = run(4, &mut (), one_by_one);
        let study = study(REAL, 40);
        let mut tape = Tape::default();
        let mut searcher = Follower::new(&study.space);
        let mut session = Session::new(&study, &mut searcher, &mut tape, NOW);
        for _ in 0..7 {
            one_by_one(&mut session);
        }
        let open = session.ask(3, NOW).unwrap();
        // An outcome that others with lower ids hold up is kept too.
        session.tell(9, square(&open[2]), Vec::new(), NOW).unwrap();
        let mut searcher = Follower::new(&study.space);
        let mut session = Session::new(&study, &mut searcher, &mut tape, NOW);
        let next = session.ask(1, NOW).unwrap();
        assert_eq!(
            next[0].id, 10,
            "what was handed out is not handed out again"
        );
        let pending: Vec<Candidate> = session.pending().cloned().collect();
        assert_eq!(pending, [&open[..2], &next].concat());
        for candidate in &pending {
            let outcome = square(candidate);
            session
                .tell(candidate.id, outcome, Vec::new(), NOW)
                .unwrap();
        }
        while session.end().is_none() {
            one_by_one(&mut session);
        }
        assert_eq!(session.trials(), whole);
    }
}
