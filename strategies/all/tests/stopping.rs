//! Stop rules and continued trials in whole studies: the number of jobs, and who evaluates, changes no trial.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lapidary_core::budget::{Budget, WallClock};
use lapidary_core::cancel::Cancel;
use lapidary_core::evaluator::{EvalContext, Evaluator, MetricInfo};
use lapidary_core::fit::Verdict;
use lapidary_core::goal::{Direction, Goal, Objective};
use lapidary_core::json::Json;
use lapidary_core::registry::{Registry, SearchInit};
use lapidary_core::session::Session;
use lapidary_core::space::{Axis, Domain, Space};
use lapidary_core::stop::{Rule, StopRule};
use lapidary_core::study::{End, Finished, Study};
use lapidary_core::trial::{Candidate, Metrics, Outcome, Report, Trial};
use lapidary_strategies::ENTRIES;
use serde_json::json;

/// Steps of a full evaluation.
const STEPS: u64 = 18;

/// Losses that fall towards the point's own; some trials take longer than others, so that outcomes come out of order.
#[derive(Default)]
struct Descent {
    running: AtomicUsize,
}

/// The steps of a candidate: those of its fidelity that no trial before it made.
fn steps(candidate: &Candidate, lineage: &[Candidate]) -> std::ops::RangeInclusive<u64> {
    let upto = |c: &Candidate| (c.fidelity * STEPS as f64).ceil() as u64;
    lineage.last().map_or(0, upto) + 1..=upto(candidate)
}

fn metrics(candidate: &Candidate, step: u64) -> Metrics {
    let u: Vec<f64> = candidate.point.to_unit().into_iter().flatten().collect();
    let loss = (u[0] - 0.3).abs() + (-(step as f64) * (0.1 + u[1])).exp();
    [("loss".to_owned(), loss), ("size".to_owned(), u[1])].into()
}

impl Evaluator for Descent {
    fn evaluate(&self, candidate: &Candidate, cx: &EvalContext<'_>) -> Outcome {
        check_lineage(candidate, cx.lineage);
        let busy = self.running.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_micros(
            300 * ((candidate.id * 7) % 5 + busy as u64),
        ));
        let mut outcome = None;
        for step in steps(candidate, cx.lineage) {
            let metrics = metrics(candidate, step);
            let verdict = (cx.report)(step, &metrics);
            outcome = Some(Outcome::Measured {
                metrics: metrics.clone(),
            });
            if verdict == Verdict::Stop {
                let reason = "as told".into();
                outcome = Some(Outcome::Stopped { metrics, reason });
                break;
            }
        }
        self.running.fetch_sub(1, Ordering::SeqCst);
        outcome.unwrap_or(Outcome::Failed {
            reason: "no step".into(),
        })
    }

    fn metrics(&self) -> Option<Vec<MetricInfo>> {
        None
    }
}

/// The lineage is the chain of parents, each of the same point at a lower fidelity.
fn check_lineage(candidate: &Candidate, lineage: &[Candidate]) {
    let mut next = candidate;
    for before in lineage.iter().rev() {
        assert_eq!(next.parent, Some(before.id));
        assert_eq!(next.point, before.point);
        assert!(before.fidelity < next.fidelity);
        next = before;
    }
    assert_eq!(next.parent, None);
}

fn study(rule: Rule, objectives: &[&str], window: usize) -> Study {
    let float = Domain::Float {
        low: 0.0,
        high: 1.0,
        log: false,
        step: None,
    };
    let axes = ["a", "b"].map(|name| Axis::new(name, float.clone()));
    let objectives: Vec<Objective> = objectives
        .iter()
        .map(|metric| Objective {
            metric: (*metric).into(),
            direction: Direction::Minimize,
        })
        .collect();
    Study {
        space: Arc::new(Space::new(axes.into()).unwrap()),
        goal: Goal::new(objectives.clone(), vec![], vec![]).unwrap(),
        budget: Budget {
            trials: Some(60),
            time: None,
        },
        seed: 5,
        window,
        repeats: false,
        start: Vec::new(),
        stop: Some(StopRule {
            rule,
            warmup: 2,
            metrics: objectives,
        }),
    }
}

fn searcher(
    study: &Study,
    strategy: &str,
    settings: &Json,
) -> Box<dyn lapidary_core::searcher::Searcher> {
    let registry = Registry::new(ENTRIES).unwrap();
    let init = SearchInit {
        space: study.space.clone(),
        seed: study.seed,
        objectives: study.goal.objectives.len(),
        trials: study.budget.trials,
        installed: None,
    };
    registry.searcher(strategy, settings, &init).unwrap()
}

fn run(study: &Study, strategy: &str, settings: &Json, jobs: usize) -> Finished {
    let mut searcher = searcher(study, strategy, settings);
    let evaluator = Descent::default();
    let clock = WallClock::start();
    study
        .run(
            searcher.as_mut(),
            &evaluator,
            jobs,
            &mut (),
            &clock,
            &Cancel::new(),
        )
        .unwrap()
}

/// The same study, answered by a caller that lets trials run side by side, the last asked first at each step.
fn by_session(study: &Study, strategy: &str, settings: &Json) -> Vec<Trial> {
    let mut searcher = searcher(study, strategy, settings);
    let mut log = ();
    let now = Duration::ZERO;
    let mut session = Session::new(study, searcher.as_mut(), &mut log, now);
    let mut running: Vec<(Candidate, u64, u64)> = Vec::new();
    while session.end().is_none() {
        for candidate in session.ask(9, now).unwrap() {
            let lineage = lapidary_core::study::lineage(session.trials(), &candidate);
            let steps = steps(&candidate, &lineage);
            running.push((candidate, *steps.start(), *steps.end()));
        }
        for at in (0..running.len()).rev() {
            let (candidate, step, last) = &mut running[at];
            let metrics = metrics(candidate, *step);
            let report = Report {
                step: *step,
                metrics: metrics.clone(),
            };
            let verdict = session.report(candidate.id, report).unwrap();
            if verdict == Verdict::Stop || step == last {
                let outcome = Outcome::Measured { metrics };
                session
                    .tell(candidate.id, outcome, Vec::new(), now)
                    .unwrap();
                running.remove(at);
            } else {
                *step += 1;
            }
        }
    }
    session.into_trials()
}

fn stopped(trials: &[Trial]) -> usize {
    let stopped = |t: &&Trial| matches!(t.outcome, Outcome::Stopped { .. });
    trials.iter().filter(stopped).count()
}

const MEDIAN: Rule = Rule::Median { min_trials: 4 };
const PERCENTILE: Rule = Rule::Percentile {
    percentile: 25.0,
    min_trials: 4,
};
const PATIENCE: Rule = Rule::Patience { steps: 3 };

#[test]
fn jobs_and_sessions_have_the_same_trials_under_every_rule() {
    let around = |inner: &str| json!({"searcher": inner, "min_fidelity": 0.1});
    for (strategy, settings) in [
        ("random", Json::Null),
        ("genetic", Json::Null),
        ("adaptive", Json::Null),
        ("halving", around("random")),
        ("halving", around("genetic")),
    ] {
        for rule in [MEDIAN, PERCENTILE] {
            for (objectives, window) in [(&["loss"][..], 5), (&["loss", "size"], 3)] {
                let study = study(rule, objectives, window);
                let one = run(&study, strategy, &settings, 1);
                assert_eq!((one.end, one.trials.len()), (End::Trials, 60));
                let what = format!("{strategy} {settings} {rule:?} {objectives:?}");
                // Of several objectives most trials beat each other in one.
                let wanted = strategy != "halving" && objectives.len() == 1;
                assert!(!wanted || stopped(&one.trials) > 2, "{what}");
                for jobs in [2, 5] {
                    assert_eq!(
                        run(&study, strategy, &settings, jobs).trials,
                        one.trials,
                        "{what}"
                    );
                }
                assert_eq!(
                    by_session(&study, strategy, &settings),
                    one.trials,
                    "{what}"
                );
            }
        }
    }
}

#[test]
fn stopped_trials_are_scored_as_measured_and_say_which_rule_stopped_them() {
    let finished = run(&study(MEDIAN, &["loss"], 4), "random", &Json::Null, 2);
    assert_eq!(finished.failed(), 0);
    let mut full = 0;
    for trial in &finished.trials {
        let last = trial.curve.last().unwrap();
        assert_eq!(trial.outcome.metrics(), Some(&last.metrics));
        assert_eq!(
            trial.score.as_ref().unwrap().objectives,
            [last.metrics["loss"]]
        );
        match &trial.outcome {
            Outcome::Stopped { reason, .. } => {
                assert!(
                    reason.starts_with("median: ")
                        && reason.ends_with(&format!("at step {}", last.step))
                );
                assert!((2..=STEPS).contains(&last.step));
            }
            _ => {
                assert_eq!(last.step, STEPS);
                full += 1;
            }
        }
    }
    assert!((5..50).contains(&full), "{full}");
    // Every step counted, stopping spends fewer of them and finds as much.
    let spent = |f: &Finished| f.trials.iter().map(|t| t.curve.len()).sum::<usize>();
    let whole = Study {
        stop: None,
        ..study(MEDIAN, &["loss"], 4)
    };
    let whole = run(&whole, "random", &Json::Null, 2);
    assert!(
        spent(&finished) * 4 < spent(&whole) * 3,
        "{} of {}",
        spent(&finished),
        spent(&whole)
    );
    assert_eq!(
        finished.best().unwrap().candidate,
        whole.best().unwrap().candidate
    );
}

#[test]
fn patience_stops_what_gets_no_better() {
    // Each loss only falls, but the size never changes: nothing better of it after the first step.
    let mut study = study(PATIENCE, &["size"], 4);
    study.goal = Goal::new(study.goal.objectives, vec![], vec![]).unwrap();
    let finished = run(&study, "random", &Json::Null, 5);
    assert_eq!(stopped(&finished.trials), 60);
    assert!(finished.trials.iter().all(|t| t.curve.len() == 4));
    assert!(finished.best().is_some());
}

#[test]
fn a_searcher_never_goes_on_with_a_stopped_trial() {
    let settings = json!({"reduction": 2, "min_fidelity": 0.2});
    let study = study(Rule::Median { min_trials: 1 }, &["loss"], 4);
    let finished = run(&study, "halving", &settings, 3);
    assert!(stopped(&finished.trials) > 5);
    let continued = finished.trials.iter().filter_map(|t| t.candidate.parent);
    for parent in continued {
        let parent = &finished.trials[parent as usize];
        assert!(matches!(parent.outcome, Outcome::Measured { .. }));
    }
}
