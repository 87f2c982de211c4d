use std::time::Duration;

use super::*;
use crate::budget::WallClock;
use crate::cancel::Cancel;
use crate::evaluator::{EvalContext, Evaluator, MetricInfo};
use crate::goal::{Constraint, Direction, Objective};
use crate::ledger::Ledger;
use crate::log::Log;
use crate::rng::Rng;
use crate::searcher::Searcher;
use crate::space::{Axis, AxisValue, Domain};
use crate::trial::{Origin, Report};

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
            // Besides the starting point.
            trials: Some(trials.saturating_add(1)),
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

/// Asks for every point of a finite space once.
struct Once {
    space: Arc<Space>,
    ledger: Ledger,
}

impl Searcher for Once {
    fn ask(&mut self, _: usize) -> Result<Vec<Candidate>, SearchError> {
        let next = self.ledger.next();
        if Some(next) == self.space.cardinality() {
            return Ok(vec![]);
        }
        let id = self.ledger.ask();
        Ok(vec![Candidate {
            id,
            point: self.space.nth(id),
            fidelity: 1.0,
            parent: None,
        }])
    }

    fn tell(&mut self, trial: &Trial) -> Result<(), SearchError> {
        assert_eq!(trial.origin, Origin::Own);
        self.ledger.tell("once", trial.candidate.id)
    }
}

#[test]
fn noisy_points_of_an_exhausted_space_are_evaluated_again_in_turn() {
    let options = (0..3).map(Into::into).collect();
    let mut study = study(Domain::Choice { options }, 10);
    study.start.clear();
    let run = |study: &Study, jobs: usize, log: &mut dyn Log| {
        let mut searcher = Once {
            space: study.space.clone(),
            ledger: Ledger::default(),
        };
        let clock = WallClock::start();
        let evaluator = Square;
        study
            .run(&mut searcher, &evaluator, jobs, log, &clock, &Cancel::new())
            .unwrap()
    };
    let once = run(&study, 1, &mut ());
    assert_eq!((once.trials.len(), once.end), (3, End::Exhausted));
    study.repeats = true;
    let again = run(&study, 1, &mut ());
    assert_eq!((again.trials.len(), again.end), (11, End::Trials));
    for (i, trial) in again.trials.iter().enumerate() {
        assert_eq!(trial.candidate.point, study.space.nth(i as u64 % 3));
        assert_eq!((trial.origin, trial.repeats), (Origin::Own, None));
    }
    let mut tape = Tape::default();
    assert_eq!(run(&study, 4, &mut tape).trials, again.trials);
    // As a kill leaves it: up to the window is asked beyond what is told.
    tape.told.truncate(6);
    tape.asked.truncate(9);
    tape.waiting.clear();
    assert_eq!(run(&study, 2, &mut tape).trials, again.trials);
    // Nothing would end it.
    study.budget.trials = None;
    assert_eq!(run(&study, 1, &mut ()).end, End::Exhausted);
}

#[test]
fn starting_points_are_among_the_trials_of_the_budget() {
    let mut study = study(REAL, 4);
    assert_eq!(run(&study, 2).unwrap().trials.len(), 5);
    let middle = study.space.middle();
    let other = study.space.at_unit(&[0.1]);
    study.start = vec![middle, other.clone(), other];
    study.budget.trials = Some(2);
    let finished = study
        .run(
            &mut Follower::new(&study.space),
            &Square,
            1,
            &mut (),
            &WallClock::start(),
            &Cancel::new(),
        )
        .unwrap();
    assert_eq!((finished.trials.len(), finished.end), (2, End::Trials));
    assert!(finished.trials.iter().all(|t| t.origin == Origin::Foreign));
}
