//! What comes of evaluations.

use std::sync::Arc;

use lapidary_core::cancel::Cancel;
use lapidary_core::fit::Verdict;
use lapidary_core::space::Space;
use lapidary_core::trial::{Candidate, Outcome};

use super::case::{Case, Evaluated, evaluate, run};

/// Points that are drawn to find one that breaks it.
const MANY: u64 = 12;

/// A measured outcome has the metrics that are declared, all that are not volatile, and no others; all are named once.
pub fn metrics_are_as_declared(case: &Case) {
    let Some(declared) = case.declared() else {
        return;
    };
    for (i, metric) in declared.iter().enumerate() {
        let name = &metric.name;
        assert!(!name.is_empty(), "a metric has no name");
        let before = &declared[..i];
        assert!(
            before.iter().all(|other| other.name != *name),
            "the metric `{name}` is declared twice"
        );
    }
    let mut measured = 0;
    case.made(|evaluator| {
        for candidate in case.candidates() {
            let Outcome::Measured { metrics } = evaluate(evaluator, &candidate).outcome else {
                continue;
            };
            measured += 1;
            let at = candidate.point.to_json();
            for name in metrics.keys() {
                assert!(
                    declared.iter().any(|metric| metric.name == *name),
                    "`{name}` at {at} is not declared"
                );
            }
            for metric in declared.iter().filter(|metric| !metric.volatile) {
                let name = &metric.name;
                assert!(
                    metrics.contains_key(name),
                    "`{name}` is declared, but not measured at {at}"
                );
            }
        }
    });
    assert!(measured > 0, "no candidate was measured");
}

/// Metrics that are declared as volatile are measured where the goal reads them.
pub fn volatile_metrics_are_measured_where_the_goal_reads_them(case: &Case) {
    let declared = case.declared().unwrap_or_default();
    let volatile = declared.into_iter().filter(|metric| metric.volatile);
    let volatile: Vec<String> = volatile.map(|metric| metric.name).collect();
    if volatile.is_empty() {
        return;
    }
    case.made_for(&volatile, |evaluator| {
        let mut outcomes = (case.candidates().into_iter())
            .map(|candidate| evaluate(evaluator, &candidate).outcome);
        let measured = outcomes.find_map(|outcome| match outcome {
            Outcome::Measured { metrics } => Some(metrics),
            _ => None,
        });
        let metrics = measured.expect("some candidate is measured");
        for name in &volatile {
            assert!(metrics.contains_key(name), "the goal reads `{name}`");
        }
    });
}

/// One candidate under one seed has one outcome, whatever was evaluated before or is evaluated meanwhile, by whichever evaluator
/// of these settings.
pub fn the_same_candidate_gives_the_same_outcome(case: &Case) {
    let candidates = case.candidates();
    let all = |evaluator: &dyn lapidary_core::evaluator::Evaluator| -> Vec<Evaluated> {
        candidates.iter().map(|c| evaluate(evaluator, c)).collect()
    };
    let wanted = case.made(|evaluator| {
        let first = all(evaluator);
        for (one, two) in first.iter().zip(all(evaluator)) {
            case.assert_same(one, &two, "once more");
        }
        first
    });
    case.made(|evaluator| {
        for (i, candidate) in candidates.iter().enumerate().rev() {
            let found = evaluate(evaluator, candidate);
            case.assert_same(&wanted[i], &found, "in another order");
        }
        let together: Vec<Evaluated> = std::thread::scope(|scope| {
            let running = candidates.iter();
            let running: Vec<_> = running
                .map(|candidate| scope.spawn(move || evaluate(evaluator, candidate)))
                .collect();
            let ended = running.into_iter();
            ended
                .map(|one| one.join().expect("it does not panic"))
                .collect()
        });
        for (one, two) in wanted.iter().zip(&together) {
            case.assert_same(one, two, "several at a time");
        }
    });
}

/// The number of threads changes no bit.
pub fn threads_change_nothing(case: &Case) {
    let under = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("a pool of threads").install(|| {
            case.made(|evaluator| {
                let candidates = case.candidates();
                let all = candidates.iter().map(|c| evaluate(evaluator, c));
                all.collect::<Vec<_>>()
            })
        })
    };
    let one = under(1);
    for threads in [2, 5] {
        for (one, several) in one.iter().zip(under(threads)) {
            case.assert_same(one, &several, &format!("1 and {threads} threads"));
        }
    }
}

/// A point that cannot be evaluated is a failed outcome with a reason: at the corners of the space, and of another space.
pub fn no_point_makes_it_panic(case: &Case) {
    let space = case.space();
    let axes = space.axes().len();
    let corners = [0.0, 1.0].map(|end| space.at_unit(&vec![end; axes]));
    let drawn = (0..MANY).map(|id| {
        let mut rng = lapidary_core::rng::Rng::keyed(6, id, "points");
        space.sample(&mut rng)
    });
    let nothing = Arc::new(Space::new(vec![]).expect("a space of no axis"));
    let points = corners.into_iter().chain(drawn).chain([nothing.first()]);
    case.made(|evaluator| {
        for (id, point) in points.enumerate() {
            let candidate = Candidate {
                id: id as u64,
                point,
                fidelity: 1.0,
                parent: None,
            };
            // One step is enough to see.
            let stop = |_: &_| Verdict::Stop;
            let outcome = run(evaluator, &candidate, &[], &Cancel::new(), &stop).outcome;
            if let Outcome::Failed { reason } = outcome {
                let at = candidate.point.to_json();
                assert!(!reason.trim().is_empty(), "{at} failed for no reason");
            }
        }
    });
}
