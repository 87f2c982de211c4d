//! Who goes on, and what it is good for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::registry::SearchInit;
use lapidary_core::space::{Axis, Domain, Space};
use lapidary_core::trial::{Candidate, Metrics, Origin, Outcome, Score, Trial};
use lapidary_halving::ENTRY;
use lapidary_testkit::searcher::make;
use serde_json::json;

fn reals(n: usize) -> Arc<Space> {
    let domain = Domain::Float {
        low: 0.0,
        high: 1.0,
        log: false,
        step: None,
    };
    let axes = (0..n).map(|i| Axis::new(format!("x{i}"), domain.clone()));
    Arc::new(Space::new(axes.collect()).unwrap())
}

fn score(objectives: &[f64], violation: f64) -> Option<Score> {
    Some(Score {
        objectives: objectives.to_vec(),
        violation,
    })
}

fn trial(candidate: Candidate, score: Option<Score>) -> Trial {
    let outcome = match &score {
        Some(_) => Outcome::Measured {
            metrics: Metrics::new(),
        },
        None => Outcome::Failed {
            reason: "it fails".into(),
        },
    };
    Trial {
        candidate,
        origin: Origin::Own,
        outcome,
        score,
        curve: Vec::new(),
        repeats: None,
    }
}

/// Runs it under a window until so much evaluation is spent, or it is exhausted.
fn spend(
    settings: &Json,
    space: &Arc<Space>,
    seed: u64,
    objectives: usize,
    window: usize,
    cost: f64,
    outcome: impl Fn(&Candidate) -> Trial,
) -> Vec<Trial> {
    let init = SearchInit {
        space: space.clone(),
        seed,
        objectives,
        trials: None,
        installed: None,
    };
    let mut searcher = make(&ENTRY, settings, &init).unwrap();
    let (mut open, mut all, mut spent) = (VecDeque::new(), Vec::new(), 0.0);
    while spent < cost {
        let asked = if open.len() < window {
            searcher.ask(1).unwrap().pop()
        } else {
            None
        };
        match asked {
            Some(candidate) => {
                spent += candidate.fidelity;
                open.push_back(outcome(&candidate));
            }
            None => {
                let Some(trial) = open.pop_front() else { break };
                searcher.tell(&trial).unwrap();
                all.push(trial);
            }
        }
    }
    all.extend(open);
    all
}

fn by_fidelity(trials: &[Trial]) -> Vec<(u64, usize)> {
    let mut counts = BTreeMap::new();
    for trial in trials {
        let parts = (1.0 / trial.candidate.fidelity).round() as u64;
        *counts.entry(parts).or_insert(0) += 1;
    }
    counts.into_iter().rev().collect()
}

fn first_axis(candidate: &Candidate) -> f64 {
    candidate.point.to_unit()[0].unwrap()
}

fn plain(candidate: &Candidate) -> Trial {
    trial(candidate.clone(), score(&[first_axis(candidate)], 0.0))
}

/// Every trial above the first rung continues one of the same point at the rung below, each once.
fn check_parents(trials: &[Trial], reduction: f64) {
    let mut continued = std::collections::BTreeSet::new();
    for trial in trials {
        let Some(parent) = trial.candidate.parent else {
            continue;
        };
        let parent = &trials[parent as usize].candidate;
        assert!(continued.insert(parent.id), "{} went on twice", parent.id);
        assert_eq!(parent.point, trial.candidate.point);
        let ratio = trial.candidate.fidelity / parent.fidelity;
        assert!((ratio - reduction).abs() < 1e-9, "{ratio}");
    }
}

#[test]
fn a_bracket_of_successive_halving_keeps_the_best_third_of_each_rung() {
    let settings = json!({"variant": "successive"});
    for window in [1, 4] {
        let trials = spend(&settings, &reals(2), 3, 1, window, 3.99, plain);
        let bracket: Vec<_> = trials.iter().take(40).cloned().collect();
        if window == 1 {
            assert_eq!(by_fidelity(&bracket), [(27, 27), (9, 9), (3, 3), (1, 1)]);
            let mut entered: Vec<f64> = trials[..27]
                .iter()
                .map(|t| first_axis(&t.candidate))
                .collect();
            let went: Vec<f64> = trials[27..36]
                .iter()
                .map(|t| first_axis(&t.candidate))
                .collect();
            entered.sort_by(f64::total_cmp);
            assert_eq!(went, entered[..9]);
            assert_eq!(first_axis(&trials[39].candidate), entered[0]);
        }
        check_parents(&trials, 3.0);
    }
}

#[test]
fn hyperband_s_brackets_take_turns() {
    let settings = json!({"variant": "hyperband"});
    let trials = spend(&settings, &reals(2), 3, 1, 1, 15.6, plain);
    // 27 → 9 → 3 → 1, 12 → 4 → 1, 6 → 2, 4: four brackets from four rungs.
    let entries = |parts: f64| {
        let entered = trials.iter().filter(|t| t.candidate.parent.is_none());
        entered
            .filter(|t| (t.candidate.fidelity * parts - 1.0).abs() < 1e-9)
            .count()
    };
    assert_eq!([27.0, 9.0, 3.0, 1.0].map(entries), [27, 12, 6, 4]);
    assert_eq!(by_fidelity(&trials), [(27, 27), (9, 21), (3, 13), (1, 8)]);
    check_parents(&trials, 3.0);
}

#[test]
fn asynchronous_halving_never_waits_and_sends_on_a_third_of_each_rung() {
    let init = SearchInit {
        space: reals(2),
        seed: 1,
        objectives: 1,
        trials: None,
        installed: None,
    };
    let mut searcher = make(&ENTRY, &Json::Null, &init).unwrap();
    assert_eq!(searcher.ask(500).unwrap().len(), 500);

    for window in [1, 7] {
        let trials = spend(&Json::Null, &reals(2), 2, 1, window, 100.0, plain);
        let counts = by_fidelity(&trials);
        for pair in counts.windows(2) {
            let third = pair[0].1 as f64 / 3.0;
            assert!((pair[1].1 as f64 - third).abs() < 4.0, "{counts:?}");
        }
        check_parents(&trials, 3.0);
    }
}

#[test]
fn failed_and_stopped_trials_do_not_go_on() {
    for settings in [Json::Null, json!({"variant": "successive"})] {
        let outcome = |candidate: &Candidate| {
            let mut trial = plain(candidate);
            if candidate.id.is_multiple_of(3) {
                trial.score = None;
            } else if candidate.id % 3 == 1 {
                trial.outcome = Outcome::Stopped {
                    metrics: Metrics::new(),
                    reason: "a rule".into(),
                };
            }
            trial
        };
        let trials = spend(&settings, &reals(1), 5, 1, 4, 20.0, outcome);
        let went: Vec<u64> = trials.iter().filter_map(|t| t.candidate.parent).collect();
        assert!(went.len() > 10, "{went:?}");
        assert!(went.iter().all(|parent| parent % 3 == 2), "{went:?}");
    }
}

#[test]
fn a_finite_space_ends_with_one_at_full_fidelity_at_least() {
    let options = (0..5).map(Json::from).collect();
    let space = Arc::new(Space::new(vec![Axis::new("x0", Domain::Choice { options })]).unwrap());
    for variant in ["asynchronous", "successive"] {
        let settings = json!({"variant": variant});
        let trials = spend(&settings, &space, 5, 1, 4, f64::INFINITY, plain);
        assert_eq!(by_fidelity(&trials), [(27, 5), (9, 1), (3, 1), (1, 1)]);
        // The best of all, where a rung is complete before any goes on.
        let last = first_axis(&trials.last().unwrap().candidate);
        assert!(last == 0.1 || variant == "asynchronous", "{last}");
    }
}

#[test]
fn several_objectives_go_on_all_along_their_front_and_constraints_count() {
    let outcome = |candidate: &Candidate| {
        let x = first_axis(candidate);
        let off = candidate.point.to_unit()[1].unwrap();
        let violation = if x > 0.8 { x } else { 0.0 };
        trial(
            candidate.clone(),
            score(&[x + off, 1.0 - x + off], violation),
        )
    };
    let trials = spend(&Json::Null, &reals(2), 6, 2, 4, 60.0, outcome);
    let full: Vec<&Trial> = trials
        .iter()
        .filter(|t| t.candidate.fidelity == 1.0)
        .collect();
    assert!(full.len() >= 8);
    assert!(full.iter().all(|t| t.is_feasible()));
    let mean_off = |trials: &[&Trial]| {
        let off = trials
            .iter()
            .map(|t| t.candidate.point.to_unit()[1].unwrap());
        off.sum::<f64>() / trials.len() as f64
    };
    assert!(mean_off(&full) < 0.3, "{}", mean_off(&full));
    let places: Vec<f64> = full.iter().map(|t| first_axis(&t.candidate)).collect();
    let spread =
        places.iter().copied().fold(0.0, f64::max) - places.iter().copied().fold(1.0, f64::min);
    assert!(spread > 0.5, "{places:?}");
}

/// A curve that starts high and falls towards the value of the point, some faster than others.
fn loss(candidate: &Candidate) -> f64 {
    let u: Vec<f64> = candidate.point.to_unit().into_iter().flatten().collect();
    let target: f64 = u.iter().map(|v| (v - 0.3) * (v - 0.3)).sum();
    let speed = 2.0 + 6.0 * u[0];
    target + (-speed * candidate.fidelity).exp()
}

#[test]
fn at_equal_cost_it_finds_better_than_full_evaluations_do() {
    let median = |settings: &Json| {
        let mut best: Vec<f64> = (0..15)
            .map(|seed| {
                let outcome = |c: &Candidate| trial(c.clone(), score(&[loss(c)], 0.0));
                let trials = spend(settings, &reals(4), seed, 1, 4, 40.0, outcome);
                let full = trials.iter().filter(|t| t.candidate.fidelity == 1.0);
                full.map(|t| t.score.as_ref().unwrap().objectives[0])
                    .fold(f64::INFINITY, f64::min)
            })
            .collect();
        best.sort_by(f64::total_cmp);
        best[best.len() / 2]
    };
    // With a single rung it is the inner searcher alone.
    let alone = median(&json!({"min_fidelity": 1.0}));
    for variant in ["asynchronous", "successive", "hyperband"] {
        let found = median(&json!({"variant": variant}));
        assert!(found < 0.85 * alone, "{variant}: {found} against {alone}");
    }
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let init = SearchInit {
        space: reals(1),
        seed: 1,
        objectives: 1,
        trials: None,
        installed: None,
    };
    let refused = |settings: Json| match make(&ENTRY, &settings, &init) {
        Ok(_) => panic!("{settings} is accepted"),
        Err(error) => error.to_string(),
    };
    assert!(refused(json!({"searcher": "halving"})).contains("must be another one"));
    let unknown = refused(json!({"searcher": "rndom"}));
    assert!(
        unknown.contains("no searcher `rndom` (did you mean `random`?); there are halving, random"),
        "{unknown}"
    );
    assert!(refused(json!({"settings": {"sampling": "x"}})).contains("sampling"));
    assert!(refused(json!({"reduction": 1})).contains("`reduction` must be in 2..=100, found 1"));
    assert!(refused(json!({"min_fidelity": 0.0})).contains("found 0"));
}
