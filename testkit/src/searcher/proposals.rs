//! What a searcher proposes.

use std::collections::HashSet;

use lapidary_core::registry::{Entry, Promise};
use lapidary_core::trial::Candidate;
use proptest::prelude::*;

use super::world::{
    Driver, World, check, continuum, count, essence, extremes, finite_worlds, played, worlds,
};

/// A searcher that has asked so often on one real axis will not end.
const ENDLESS: usize = 20_000;

/// Every candidate has a value of the domain for exactly the active axes, and a fidelity in (0, 1].
pub fn values_are_in_the_space(entry: &Entry) {
    check(48, &worlds(), |world| {
        for candidate in Driver::new(entry, &world).play(60) {
            assert_inside(&world, &candidate);
        }
    });
}

fn assert_inside(world: &World, candidate: &Candidate) {
    let values = candidate.point.values();
    for (axis, value) in world.space.axes().iter().zip(values) {
        if let Some(value) = value {
            assert!(
                axis.domain.contains(*value),
                "candidate {}: {value:?} of axis `{}` is not {}",
                candidate.id,
                axis.name,
                axis.domain
            );
        }
    }
    assert_eq!(
        candidate.point,
        world.space.point(values.to_vec()),
        "candidate {}: active axes have values, inactive ones have none",
        candidate.id
    );
    assert!(
        candidate.fidelity > 0.0 && candidate.fidelity <= 1.0,
        "candidate {}: fidelity {}",
        candidate.id,
        candidate.fidelity
    );
}

/// `ask(n)` gives at most `n`.
pub fn asks_keep_to_their_number(entry: &Entry) {
    let plan = prop::collection::vec((0usize..9, 0usize..9), 1..12);
    check(24, &(worlds(), plan), |(world, plan)| {
        let mut driver = Driver::new(entry, &world);
        for (n, tells) in plan {
            let got = driver.ask(n).len();
            assert!(got <= n, "ask({n}) gave {got}");
            for _ in 0..tells {
                driver.tell();
            }
        }
    });
}

/// Ids rise over all asks, so none comes twice.
pub fn ids_are_fresh_and_rise(entry: &Entry) {
    check(24, &worlds(), |world| {
        let ids: Vec<u64> = Driver::new(entry, &world)
            .play(60)
            .iter()
            .map(|c| c.id)
            .collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "ids {ids:?}");
    });
}

/// `ask(0)` gives nothing and changes nothing.
pub fn asking_for_none_changes_nothing(entry: &Entry) {
    check(16, &worlds(), |world| {
        let wanted = played(entry, &world, 40);
        let mut driver = Driver::new(entry, &world);
        let mut found = Vec::new();
        for _ in 0..wanted.len() {
            let before = driver.snapshot();
            assert!(driver.ask(0).is_empty());
            let after = driver.snapshot();
            assert_eq!(before, after);
            found.extend(driver.play(1).iter().map(essence));
        }
        assert_eq!(found, wanted);
    });
}

/// With no tell between, `ask(n)` gives what `n` times `ask(1)` gives.
pub fn asking_at_once_equals_asking_one_by_one(entry: &Entry) {
    let plan = prop::collection::vec((1usize..9, 0usize..9), 1..16);
    check(24, &(worlds(), plan), |(world, plan)| {
        let mut once = Driver::new(entry, &world);
        let mut one_by_one = Driver::new(entry, &world);
        for (n, tells) in plan {
            let a: Vec<_> = once.ask(n).iter().map(essence).collect();
            let b: Vec<_> = (0..n)
                .flat_map(|_| one_by_one.ask(1))
                .map(|c| essence(&c))
                .collect();
            assert_eq!(a, b, "ask({n}) and {n} times ask(1)");
            for _ in 0..tells {
                once.tell();
                one_by_one.tell();
            }
        }
    });
}

/// A searcher that gave nothing while no trial was pending gives nothing ever after.
pub fn exhausted_stays_exhausted(entry: &Entry) {
    check(24, &finite_worlds(), |world| {
        let mut driver = Driver::new(entry, &world);
        let most = 2 * count(&world.space) + 200;
        if driver.play(most).len() < most {
            for n in [1, 7, 1, 100] {
                assert!(driver.ask(n).is_empty(), "exhausted, then not");
            }
        }
    });
}

/// Where [`Promise::NeverRepeats`] is declared, a finite space is searched without repeats until every point was proposed,
/// whatever the outcomes.
pub fn never_repeats_where_promised(entry: &Entry) {
    if !entry.promises(Promise::NeverRepeats) {
        return;
    }
    check(48, &finite_worlds(), |world| {
        let points = count(&world.space);
        let asked = Driver::new(entry, &world).play(points + 1);
        let different: HashSet<_> = asked.iter().map(|c| c.point.key()).collect();
        assert_eq!(different.len(), asked.len(), "a point came twice");
        assert_eq!(
            asked.len(),
            points,
            "proposals in a space of {points} points"
        );
    });
}

/// The number of threads changes no bit.
pub fn threads_change_nothing(entry: &Entry) {
    check(6, &worlds(), |world| {
        let under = |threads| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .expect("a pool of threads")
                .install(|| played(entry, &world, 60))
        };
        let one = under(1);
        assert_eq!(one, under(2), "1 and 2 threads");
        assert_eq!(one, under(5), "1 and 5 threads");
    });
}

/// The same seed gives the same sequence, another seed another.
pub fn seeds_decide(entry: &Entry) {
    let with = |seed| {
        let world = World {
            seed,
            ..World::smooth(continuum())
        };
        played(entry, &world, 100)
    };
    assert_eq!(with(1), with(1));
    assert_ne!(with(1), with(2));
}

/// Spaces of no axis, one point, one axis, huge spans, whole `i64` and chained conditions are searched like any other. One
/// real axis is never exhausted, or is in the end where [`Promise::Ends`] is declared.
pub fn extreme_spaces_work(entry: &Entry) {
    for (what, space) in extremes() {
        for objectives in [1, 2] {
            let world = World {
                objectives,
                ..World::smooth(space.clone())
            };
            let asked = Driver::new(entry, &world).play(80);
            assert!(!asked.is_empty(), "{what}: nothing was asked");
            for candidate in &asked {
                assert_inside(&world, candidate);
            }
            if !space.is_finite() && !entry.promises(Promise::Ends) {
                assert!(
                    what == "neighbouring floats" || asked.len() == 80,
                    "{what}: it ended"
                );
            }
            if what == "one real axis" && entry.promises(Promise::Ends) {
                let asked = Driver::new(entry, &world).play(ENDLESS).len();
                assert!(asked < ENDLESS, "{what}: it does not end");
            }
        }
    }
}
