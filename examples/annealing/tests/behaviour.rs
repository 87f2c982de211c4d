//! What simulated annealing achieves, through its entry.

use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::rank;
use lapidary_core::registry::SearchInit;
use lapidary_core::rng::Rng;
use lapidary_core::space::{Axis, AxisValue, Domain, Point, Space};
use lapidary_core::trial::{Score, Trial};
use lapidary_testkit::searcher::run;

/// Numbers with and without steps, and options, two of each.
fn init(seed: u64, objectives: usize) -> SearchInit<'static> {
    let domains = [
        Domain::Float {
            low: -4.0,
            high: 6.0,
            log: false,
            step: None,
        },
        Domain::Int {
            low: 1,
            high: 1000,
            log: true,
            step: 1,
        },
        Domain::Choice {
            options: (0..5).map(Json::from).collect(),
        },
    ];
    let axes = (0..6).map(|i| Axis::new(format!("x{i}"), domains[i % 3].clone()));
    SearchInit {
        space: Arc::new(Space::new(axes.collect()).unwrap()),
        seed,
        objectives,
        trials: None,
        installed: None,
    }
}

/// Deviations from the best value of each axis, in units of the axis.
fn deviations(point: &Point) -> Vec<f64> {
    let deviation = |value: AxisValue| match value {
        AxisValue::Float(v) => v / 10.0,
        AxisValue::Int(v) => (v as f64 / 30.0).log10() / 3.0,
        AxisValue::Choice(v) => f64::from(v != 3) / 2.0,
    };
    point
        .values()
        .iter()
        .flatten()
        .map(|v| deviation(*v))
        .collect()
}

fn score(objectives: Vec<f64>, violation: f64) -> Option<Score> {
    Some(Score {
        objectives,
        violation,
    })
}

fn best(trials: &[Trial]) -> &Score {
    let scores = trials.iter().filter_map(|t| t.score.as_ref());
    scores.min_by(|a, b| rank::compare(a, b)).unwrap()
}

/// Many local minima along the numbers.
fn rugged(point: &Point) -> f64 {
    let waves = |d: f64| d * d + 0.02 * (1.0 - (40.0 * d).cos());
    deviations(point).into_iter().map(waves).sum()
}

#[test]
fn a_rugged_function_is_searched_far_better_than_at_random() {
    let (mut walked, mut drawn) = (Vec::new(), Vec::new());
    for seed in 0..10 {
        let init = init(seed, 1);
        let trials = run(&annealing::ENTRY, &Json::Null, &init, 4, 400, |point| {
            score(vec![rugged(point)], 0.0)
        });
        walked.push(best(&trials).objectives[0]);
        let mut rng = Rng::keyed(seed, 0, "random points");
        let random = (0..400).map(|_| rugged(&init.space.sample(&mut rng)));
        drawn.push(random.fold(f64::MAX, f64::min));
    }
    walked.sort_by(f64::total_cmp);
    drawn.sort_by(f64::total_cmp);
    assert!(walked[5] < drawn[5] / 4.0, "{walked:?}, {drawn:?}");
}

#[test]
fn constraints_come_first() {
    let trials = run(
        &annealing::ENTRY,
        &Json::Null,
        &init(1, 1),
        4,
        400,
        |point| {
            let d = deviations(point);
            score(vec![rugged(point)], (0.3 - d[0]).max(0.0))
        },
    );
    let best = best(&trials);
    assert!(
        best.violation == 0.0 && best.objectives[0] < 0.2,
        "{best:?}"
    );
}

#[test]
fn two_objectives_give_a_wide_front() {
    let settings = serde_json::json!({"cooling": 50});
    let trials = run(&annealing::ENTRY, &settings, &init(2, 2), 4, 600, |point| {
        let d = deviations(point);
        let rest: f64 = d[1..].iter().map(|d| d * d).sum();
        score(
            vec![(d[0] - 0.4).powi(2) + rest, (d[0] + 0.2).powi(2) + rest],
            0.0,
        )
    });
    let scores: Vec<&Score> = trials.iter().filter_map(|t| t.score.as_ref()).collect();
    let front = rank::best_front(&scores);
    let first = front.iter().map(|&i| scores[i].objectives[0]);
    let (low, high) = first.fold((f64::MAX, 0.0f64), |(l, h), v| (l.min(v), h.max(v)));
    assert!(
        front.len() > 8 && low < 0.05 && high > 0.25,
        "{} {low} {high}",
        front.len()
    );
}
