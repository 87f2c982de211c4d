//! What greedy search achieves, through its entry.

use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::rank;
use lapidary_core::registry::{Entry, Factory, SearchInit};
use lapidary_core::space::{Axis, AxisValue, Domain, Point, Space};
use lapidary_core::trial::{Score, Trial};
use lapidary_testkit::searcher::{Manner, World, run};

const ENTRY: Entry = lapidary_greedy::ENTRY;

fn init(domains: Vec<Domain>, seed: u64, objectives: usize) -> SearchInit<'static> {
    let axes = domains
        .into_iter()
        .enumerate()
        .map(|(i, domain)| Axis::new(format!("x{i}"), domain))
        .collect();
    SearchInit {
        space: Arc::new(Space::new(axes).unwrap()),
        seed,
        objectives,
        trials: None,
        installed: None,
    }
}

fn real() -> Domain {
    Domain::Float {
        low: -5.0,
        high: 5.0,
        log: false,
        step: None,
    }
}

fn options(n: usize) -> Domain {
    Domain::Choice {
        options: (0..n).map(Json::from).collect(),
    }
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
fn it_starts_in_the_middle_and_moves_one_axis_at_a_time() {
    let init = init(vec![real(), real(), options(3)], 1, 1);
    let trials = run(&ENTRY, &Json::Null, &init, 1, 10, |p| {
        feasible(vec![-numbers(p)[0]])
    });
    assert_eq!(trials[0].candidate.point, init.space.middle());
    let changed = |t: &Trial| {
        let pairs = t
            .candidate
            .point
            .values()
            .iter()
            .zip(trials[0].candidate.point.values());
        pairs.filter(|(a, b)| a != b).count()
    };
    assert_eq!(changed(&trials[1]), 1);
}

#[test]
fn a_separable_table_is_solved_in_one_pass_whatever_the_window() {
    for (window, enough) in [(1, 22), (4, 40)] {
        for seed in 0..5 {
            let init = init(vec![options(4); 6], seed, 1);
            let trials = run(&ENTRY, &Json::Null, &init, window, enough, |point| {
                let x = numbers(point);
                feasible(vec![
                    x.iter()
                        .enumerate()
                        .map(|(i, v)| (v - (i % 4) as f64).abs())
                        .sum(),
                ])
            });
            assert_eq!(
                best(&trials).objectives[0],
                0.0,
                "window {window}, seed {seed}"
            );
        }
    }
}

#[test]
fn steps_become_fine_enough_for_a_narrow_optimum() {
    let trials = run(
        &ENTRY,
        &Json::Null,
        &init(vec![real(); 3], 2, 1),
        4,
        800,
        |point| {
            let x = numbers(point);
            feasible(vec![x.iter().map(|v| (v - 1.234_567).powi(2)).sum()])
        },
    );
    assert!(best(&trials).objectives[0] < 1e-6, "{:?}", best(&trials));
}

#[test]
fn a_deceptive_basin_is_left_again() {
    // The middle lies in a wide basin that ends at 1; the optimum is in a narrow one.
    let trials = run(
        &ENTRY,
        &Json::Null,
        &init(vec![real(); 2], 3, 1),
        4,
        600,
        |point| {
            let x = numbers(point);
            let wide = 1.0 + x.iter().map(|v| v * v).sum::<f64>() / 10.0;
            let narrow = 0.6 * x.iter().map(|v| (v - 3.0).powi(2)).sum::<f64>();
            feasible(vec![wide.min(narrow)])
        },
    );
    assert!(best(&trials).objectives[0] < 0.5, "{:?}", best(&trials));
}

#[test]
fn two_objectives_give_a_wide_front() {
    let trials = run(
        &ENTRY,
        &Json::Null,
        &init(vec![real(); 4], 3, 2),
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
    let near: Vec<f64> = rank::best_front(&scores)
        .into_iter()
        .map(|i| &scores[i].objectives)
        .filter(|f| f[0].sqrt() + f[1].sqrt() < 4.2)
        .map(|f| f[0])
        .collect();
    let low = near.iter().copied().fold(f64::INFINITY, f64::min);
    let high = near.iter().copied().fold(0.0, f64::max);
    assert!(
        near.len() > 20 && low < 1.0 && high > 12.0,
        "{} {low} {high}",
        near.len()
    );
}

#[test]
fn the_constraint_is_kept_where_the_optimum_breaks_it() {
    let trials = run(
        &ENTRY,
        &Json::Null,
        &init(vec![real(); 3], 1, 1),
        4,
        300,
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
    assert!(best.objectives[0] < 9.1, "{best:?}");
}

#[test]
fn it_climbs_from_the_best_foreign_trial() {
    let init = init(vec![real(); 2], 1, 1);
    let Factory::Searcher(make) = ENTRY.factory else {
        unreachable!("it is a searcher")
    };
    let mut searcher = make(&Json::Null, &init).unwrap();
    let world = World {
        space: init.space.clone(),
        seed: 1,
        objectives: 1,
        manner: Manner::Smooth,
    };
    let start = init.space.at_unit(&[0.9, 0.1]);
    searcher.tell(&world.foreign(start.clone(), 0)).unwrap();
    let first = searcher.ask(1).unwrap().remove(0);
    let pairs = first.point.values().iter().zip(start.values());
    assert_eq!(
        pairs.filter(|(a, b)| a == b).count(),
        1,
        "one axis moved from the start"
    );
}
