//! What genetic search achieves, through its entry.

use std::sync::Arc;

use lapidary_core::condition::Condition;
use lapidary_core::json::Json;
use lapidary_core::rank;
use lapidary_core::registry::{Entry, SearchInit};
use lapidary_core::searcher::SearchError;
use lapidary_core::space::{Axis, AxisValue, Domain, Point, Space};
use lapidary_core::trial::{Candidate, Origin, Outcome, Score, Trial};
use lapidary_testkit::searcher::run;

const ENTRY: Entry = lapidary_genetic::ENTRY;

fn init(axes: Vec<Axis>, seed: u64, objectives: usize) -> SearchInit<'static> {
    SearchInit {
        space: Arc::new(Space::new(axes).unwrap()),
        seed,
        objectives,
        trials: None,
        installed: None,
    }
}

fn reals(n: usize) -> Vec<Axis> {
    let domain = Domain::Float {
        low: -5.0,
        high: 5.0,
        log: false,
        step: None,
    };
    (0..n)
        .map(|i| Axis::new(format!("x{i}"), domain.clone()))
        .collect()
}

fn numbers(point: &Point) -> Vec<f64> {
    let values = point.values().iter().flatten();
    values
        .map(|v| match *v {
            AxisValue::Float(v) => v,
            AxisValue::Int(v) => v as f64,
            AxisValue::Choice(v) => v as f64,
        })
        .collect()
}

fn feasible(objectives: Vec<f64>) -> Option<Score> {
    Some(Score {
        objectives,
        violation: 0.0,
    })
}

fn best(trials: &[Trial]) -> &Score {
    let scores = trials.iter().filter_map(|t| t.score.as_ref());
    scores.min_by(|a, b| rank::compare(a, b)).unwrap()
}

#[test]
fn a_sphere_is_come_close_to_for_any_seed() {
    for seed in 0..5 {
        let trials = run(
            &ENTRY,
            &Json::Null,
            &init(reals(6), seed, 1),
            4,
            600,
            |point| {
                let x = numbers(point);
                feasible(vec![
                    x.iter()
                        .enumerate()
                        .map(|(i, v)| (v - 0.7 * i as f64 + 1.3).powi(2))
                        .sum(),
                ])
            },
        );
        let best = best(&trials).objectives[0];
        assert!(best < 0.05, "seed {seed}: {best}");
    }
}

#[test]
fn two_objectives_give_a_wide_front() {
    let trials = run(
        &ENTRY,
        &Json::Null,
        &init(reals(4), 3, 2),
        4,
        800,
        |point| {
            let x = numbers(point);
            let rest: f64 = x[1..].iter().map(|v| (v - 0.5).powi(2)).sum();
            feasible(vec![
                (x[0] + 2.0).powi(2) + rest,
                (x[0] - 2.0).powi(2) + rest,
            ])
        },
    );
    let scores: Vec<&Score> = trials.iter().filter_map(|t| t.score.as_ref()).collect();
    let front = rank::best_front(&scores);
    // The front runs from (0, 16) to (16, 0), √f1 + √f2 = 4 on it.
    let near: Vec<f64> = front
        .iter()
        .map(|&i| &scores[i].objectives)
        .filter(|f| f[0].sqrt() + f[1].sqrt() < 4.2)
        .map(|f| f[0])
        .collect();
    let low = near.iter().copied().fold(f64::INFINITY, f64::min);
    let high = near.iter().copied().fold(0.0, f64::max);
    assert!(
        near.len() > 40 && low < 1.0 && high > 12.0,
        "{} {low} {high}",
        near.len()
    );
}

#[test]
fn the_constraint_is_kept_where_the_optimum_breaks_it() {
    let trials = run(
        &ENTRY,
        &Json::Null,
        &init(reals(3), 1, 1),
        4,
        400,
        |point| {
            let x = numbers(point);
            Some(Score {
                objectives: vec![x.iter().map(|v| v * v).sum()],
                violation: (3.0 - x[0]).max(0.0),
            })
        },
    );
    let best = best(&trials);
    assert_eq!(best.violation, 0.0);
    assert!(best.objectives[0] < 9.3, "{best:?}");
}

#[test]
fn a_branch_of_a_conditional_space_is_found() {
    let float = Domain::Float {
        low: 0.0,
        high: 1.0,
        log: false,
        step: None,
    };
    let choice = Domain::Choice {
        options: ["a", "b", "c"].map(Json::from).to_vec(),
    };
    let axes = vec![
        Axis::new("kind", choice),
        Axis {
            when: Some(Condition::parse("kind == c").unwrap()),
            ..Axis::new("depth", float)
        },
    ];
    let trials = run(&ENTRY, &Json::Null, &init(axes, 1, 1), 4, 120, |point| {
        let depth = match point.get("depth") {
            Some(AxisValue::Float(v)) => (v - 0.9).abs(),
            _ => 1.0,
        };
        feasible(vec![depth])
    });
    // Two points of the space have no depth; both are proposed once at most.
    let without = trials
        .iter()
        .filter(|t| t.candidate.point.get("depth").is_none())
        .count();
    assert!(without <= 2, "{without}");
    assert!(best(&trials).objectives[0] < 0.01);
}

#[test]
fn a_score_of_another_number_of_objectives_is_refused() {
    let init = init(reals(2), 1, 2);
    let lapidary_core::registry::Factory::Searcher(make) = ENTRY.factory else {
        unreachable!("it is a searcher")
    };
    let mut searcher = make(&Json::Null, &init).unwrap();
    let candidate: Candidate = searcher.ask(1).unwrap().remove(0);
    let mut trial = Trial {
        candidate,
        origin: Origin::Own,
        outcome: Outcome::Measured {
            metrics: Default::default(),
        },
        score: feasible(vec![1.0]),
        curve: Vec::new(),
        repeats: None,
    };
    let error = searcher.tell(&trial).unwrap_err();
    assert!(
        matches!(
            error,
            SearchError::Objectives {
                found: 1,
                wanted: 2,
                ..
            }
        ),
        "{error}"
    );
    trial.score = feasible(vec![1.0, 2.0]);
    searcher.tell(&trial).unwrap();
}
