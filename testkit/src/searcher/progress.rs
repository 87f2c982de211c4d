//! Whether a searcher gets anywhere: what it makes of its own results over many seeds, compared with draws at random.
//!
//! A searcher that declares [`Promise::IgnoresOutcomes`] is held to that, and to nothing else here.

use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::registry::{Entry, Promise, SearchInit};
use lapidary_core::rng::Rng;
use lapidary_core::space::{Axis, Domain, Point, Space};
use lapidary_core::trial::{Score, Trial};

use super::uniform;
use super::world::{continuum, essence, run};

/// Seeds that a searcher is looked at under.
const SEEDS: u64 = 20;

/// Of [`SEEDS`] seeds, one side is favoured by so many or more in 0.6 % of cases where both are equal (sign test: P(X ≥ 16) for 20 tosses).
const CLEARLY: usize = 16;

/// Trials of a run.
const TRIALS: usize = 120;

/// A point's score in the world of a seed.
type Scored<'a> = &'a dyn Fn(&Goal, &Point) -> Option<Score>;

/// Where the best point of a world is, axis by axis on the unit scale.
struct Goal(Vec<f64>);

impl Goal {
    /// One of its own for each seed, so that no starting point is lucky; away from the borders.
    fn of(seed: u64, space: &Space) -> Self {
        let mut rng = Rng::keyed(seed, 0, "the best point");
        Self(
            (space.axes().iter())
                .map(|_| 0.15 + 0.7 * rng.unit())
                .collect(),
        )
    }

    fn distance(&self, point: &Point) -> f64 {
        let units = point.to_unit();
        let square = |(unit, target): (&Option<f64>, &f64)| (unit.unwrap_or(0.0) - target).powi(2);
        units.iter().zip(&self.0).map(square).sum()
    }
}

/// A run of the searcher of `entry` in the world of a seed.
fn play(
    entry: &Entry,
    space: &Arc<Space>,
    seed: u64,
    objectives: usize,
    trials: usize,
    score: Scored<'_>,
) -> Vec<Trial> {
    let goal = Goal::of(seed, space);
    let init = SearchInit {
        space: space.clone(),
        seed,
        objectives,
        trials: None,
        installed: None,
    };
    run(entry, &Json::Null, &init, 4, trials, |point| {
        score(&goal, point)
    })
}

/// The mean of `value` over the last third of the trials that were evaluated in full.
fn late(trials: &[Trial], value: impl Fn(&Trial) -> f64) -> f64 {
    let full: Vec<&Trial> = (trials.iter())
        .filter(|trial| trial.candidate.fidelity == 1.0)
        .collect();
    let last = &full[full.len() - full.len().div_ceil(3)..];
    last.iter().map(|trial| value(trial)).sum::<f64>() / last.len() as f64
}

fn ignores_outcomes(entry: &Entry) -> bool {
    entry.promises(Promise::IgnoresOutcomes)
}

fn score(objectives: Vec<f64>, violation: f64) -> Option<Score> {
    Some(Score {
        objectives,
        violation,
    })
}

/// Three axes over six decades each.
fn decades() -> Arc<Space> {
    let axis = |i| {
        let domain = Domain::Float {
            low: 1e-6,
            high: 1.0,
            log: true,
            step: None,
        };
        Axis::new(format!("x{i}"), domain)
    };
    Arc::new(Space::new((0..3).map(axis).collect()).expect("it is a space"))
}

/// Axes of all kinds.
fn mixed() -> Arc<Space> {
    let axes = [
        Domain::Float {
            low: -3.0,
            high: 1.0,
            log: false,
            step: None,
        },
        Domain::Float {
            low: 1e-4,
            high: 1e2,
            log: true,
            step: None,
        },
        Domain::Int {
            low: 0,
            high: 9,
            log: false,
            step: 1,
        },
        Domain::Choice {
            options: (0..4).map(|i| format!("o{i}").into()).collect(),
        },
    ];
    let axes = axes.into_iter().enumerate();
    let axes = axes.map(|(i, domain)| Axis::new(format!("x{i}"), domain));
    Arc::new(Space::new(axes.collect()).expect("it is a space"))
}

/// In how many of [`SEEDS`] worlds the late trials of a searcher are closer to the best point than those of draws at random.
fn ahead(entry: &Entry, space: &Arc<Space>, objectives: usize, score: Scored<'_>) -> usize {
    let distance = |entry: &Entry, seed| {
        let goal = Goal::of(seed, space);
        let trials = play(entry, space, seed, objectives, TRIALS, score);
        late(&trials, |trial| goal.distance(&trial.candidate.point))
    };
    let is_ahead = |seed: &u64| distance(entry, *seed) < distance(&uniform::ENTRY, *seed);
    (0..SEEDS).filter(is_ahead).count()
}

/// A searcher's own results change what it proposes, or nothing at all where [`Promise::IgnoresOutcomes`] is declared.
pub fn own_results_are_learnt_or_ignored_as_declared(entry: &Entry) {
    let space = continuum();
    let asked = |score: Scored<'_>| {
        let trials = play(entry, &space, 1, 1, 200, score);
        let asked = trials.iter().map(|trial| essence(&trial.candidate));
        asked.collect::<Vec<_>>()
    };
    let near = asked(&|goal, point| score(vec![goal.distance(point)], 0.0));
    let far = asked(&|goal, point| score(vec![-goal.distance(point)], 0.0));
    match ignores_outcomes(entry) {
        true => assert_eq!(near, far, "results changed the proposals"),
        false => assert_ne!(
            near, far,
            "results changed nothing: a searcher that is to be so promises `ignores_outcomes`"
        ),
    }
}

/// Late in a search on smooth worlds trials are better than those of random search, on plain and on logarithmic axes and where several
/// kinds of axes meet: under clearly more seeds than chance would have it.
pub fn better_than_random_on_smooth_worlds(entry: &Entry) {
    if ignores_outcomes(entry) {
        return;
    }
    for (what, space) in [
        ("real axes", continuum()),
        ("logarithmic axes", decades()),
        ("axes of all kinds", mixed()),
    ] {
        let ahead = ahead(entry, &space, 1, &|goal, point| {
            score(vec![goal.distance(point)], 0.0)
        });
        assert!(
            ahead >= CLEARLY,
            "{what}: late trials are better than random ones under {ahead} of {SEEDS} seeds"
        );
    }
}

/// Of two objectives the one that tells points apart is learnt from, whichever it is.
pub fn every_objective_is_learnt_from(entry: &Entry) {
    if ignores_outcomes(entry) {
        return;
    }
    for telling in 0..2 {
        let ahead = ahead(entry, &continuum(), 2, &|goal, point| {
            let mut objectives = vec![1.0; 2];
            objectives[telling] = goal.distance(point);
            score(objectives, 0.0)
        });
        assert!(
            ahead >= CLEARLY,
            "where only objective {telling} tells points apart, late trials are better than random ones under {ahead} of {SEEDS} seeds"
        );
    }
}

/// Where half of the space fails, late trials are rarely there.
pub fn failed_trials_are_shunned(entry: &Entry) {
    let failed = |point: &Point| point.to_unit()[0].is_some_and(|unit| unit > 0.5);
    shunned(entry, &failed, &|goal, point| {
        let goal = Goal(goal.0.iter().map(|target| target * 0.5).collect());
        let score = score(vec![goal.distance(point)], 0.0);
        score.filter(|_| !failed(point))
    });
}

/// Where half of the space violates a constraint, late trials are rarely far inside it, though all that is best lies there.
pub fn infeasible_trials_are_shunned(entry: &Entry) {
    let excess = |point: &Point| point.to_unit()[0].map_or(0.0, |unit| unit - 0.5);
    let deep = |point: &Point| excess(point) > 0.15;
    shunned(entry, &deep, &|goal, point| {
        let mut goal = Goal(goal.0.clone());
        goal.0[0] = 0.95;
        score(vec![goal.distance(point)], excess(point).max(0.0))
    });
}

/// Late trials lie `there` less often than half of what draws at random do.
fn shunned(entry: &Entry, there: &dyn Fn(&Point) -> bool, score: Scored<'_>) {
    if ignores_outcomes(entry) {
        return;
    }
    let space = continuum();
    let share = |entry: &Entry| {
        let share = |seed| {
            let trials = play(entry, &space, seed, 1, TRIALS, score);
            late(&trials, |trial| {
                f64::from(u8::from(there(&trial.candidate.point)))
            })
        };
        (0..SEEDS).map(share).sum::<f64>() / SEEDS as f64
    };
    let (own, random) = (share(entry), share(&uniform::ENTRY));
    assert!(
        own < 0.5 * random,
        "{:.0} % of late trials are where they should not be; of random ones {:.0} %",
        100.0 * own,
        100.0 * random
    );
}

/// Every axis takes several values.
pub fn every_axis_moves(entry: &Entry) {
    let space = mixed();
    let most = if entry.promises(Promise::Ends) {
        20_000
    } else {
        300
    };
    let trials = play(entry, &space, 1, 1, most, &|goal, point| {
        score(vec![goal.distance(point)], 0.0)
    });
    for (i, axis) in space.axes().iter().enumerate() {
        let mut values: Vec<_> = (trials.iter())
            .map(|trial| format!("{:?}", trial.candidate.point.values()[i]))
            .collect();
        values.sort_unstable();
        values.dedup();
        assert!(
            values.len() > 1,
            "axis `{}` ({}) has the value {} in all of {} trials",
            axis.name,
            axis.domain,
            values[0],
            trials.len()
        );
    }
}

/// A long search does not end and goes on learning nothing wrong: 1,200 trials, unless [`Promise::Ends`] is declared; and four
/// objectives are as good as one.
pub fn long_searches_and_many_objectives_work(entry: &Entry) {
    let ends = entry.promises(Promise::Ends);
    for (objectives, trials) in [(1, 1_200), (4, 150)] {
        let asked = play(
            entry,
            &continuum(),
            1,
            objectives,
            trials,
            &|goal, point| {
                let distance = goal.distance(point);
                let objectives = (0..objectives).map(|m| (distance - 0.1 * m as f64).abs());
                score(objectives.collect(), 0.0)
            },
        );
        assert!(
            asked.len() == trials || ends,
            "it ended after {} trials of {objectives} objectives",
            asked.len()
        );
    }
}

/// A searcher that ignores outcomes draws from axes evenly on their scale, logarithms of logarithmic ones: no gap to the even distribution
/// is wider than chance makes it in one case of a thousand (Kolmogorov and Smirnov). One that ends divides axes evenly instead.
pub fn draws_are_even_on_the_scale_of_an_axis(entry: &Entry) {
    if !ignores_outcomes(entry) || entry.promises(Promise::Ends) {
        return;
    }
    const DRAWS: usize = 1_000;
    let wide = Domain::Int {
        low: 1,
        high: 1 << 40,
        log: true,
        step: 1,
    };
    let mut axes = decades().axes().to_vec();
    axes.extend(continuum().axes().iter().cloned().map(|axis| Axis {
        name: format!("real {}", axis.name),
        ..axis
    }));
    axes.push(Axis::new("int", wide));
    let space = Arc::new(Space::new(axes).expect("it is a space"));
    let trials = play(entry, &space, 1, 1, DRAWS, &|_, _| score(vec![1.0], 0.0));
    for (i, axis) in space.axes().iter().enumerate() {
        let mut units: Vec<f64> = (trials.iter())
            .map(|trial| trial.candidate.point.to_unit()[i].unwrap_or(0.0))
            .collect();
        units.sort_unstable_by(f64::total_cmp);
        let gap = |(rank, unit): (usize, &f64)| {
            let [below, above] = [rank, rank + 1].map(|rank| rank as f64 / units.len() as f64);
            (unit - below).abs().max((above - unit).abs())
        };
        let gap = units.iter().enumerate().map(gap).fold(0.0, f64::max);
        let most = 1.95 / (units.len() as f64).sqrt();
        assert!(
            gap < most,
            "axis `{}` ({}): draws are {gap:.3} from an even distribution on its scale, more than {most:.3}",
            axis.name,
            axis.domain
        );
    }
}

/// Time that passes changes nothing.
pub fn time_changes_nothing(entry: &Entry) {
    let space = continuum();
    let asked = |pause: Option<usize>| {
        let count = std::cell::Cell::new(0);
        let trials = play(entry, &space, 1, 1, 30, &|goal, point| {
            count.set(count.get() + 1);
            if pause == Some(count.get()) {
                std::thread::sleep(std::time::Duration::from_millis(1_100));
            }
            score(vec![goal.distance(point)], 0.0)
        });
        let asked = trials.iter().map(|trial| essence(&trial.candidate));
        asked.collect::<Vec<_>>()
    };
    assert_eq!(asked(None), asked(Some(12)), "after a second of waiting");
}
