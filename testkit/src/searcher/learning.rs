//! What a searcher makes of outcomes.

use lapidary_core::registry::{Entry, Promise};
use lapidary_core::rng::Rng;

use super::world::{
    Driver, Essence, Manner, World, check, continuum, essence, finite_worlds, played, worlds,
};

/// Foreign trials change what is proposed where [`Promise::LearnsFromForeign`] is declared, and nothing otherwise; in no
/// case are their ids mistaken for own ones.
pub fn foreign_trials_are_learnt_or_ignored_as_declared(entry: &Entry) {
    let learns = entry.promises(Promise::LearnsFromForeign);
    let world = World::smooth(continuum());
    let told = |manner| {
        let teller = World {
            manner,
            ..world.clone()
        };
        let mut driver = Driver::new(entry, &world);
        let mut rng = Rng::keyed(5, 0, "foreign trials");
        let first = driver.ask(1);
        for id in 0..30 {
            let trial = teller.foreign(world.space.sample(&mut rng), id);
            driver
                .searcher
                .tell(&trial)
                .expect("foreign trials are accepted");
        }
        let rest = driver.play(199);
        let asked = first.iter().chain(&rest);
        asked.map(essence).collect::<Vec<_>>()
    };
    let alone = played(entry, &world, 200);
    for manner in [Manner::Smooth, Manner::Failed, Manner::Violating] {
        let found = told(manner);
        assert_eq!(found.len(), alone.len(), "foreign trials ended the search");
        if manner == Manner::Smooth && learns {
            assert_ne!(found, alone, "foreign trials changed nothing");
        } else if !learns {
            assert_eq!(found, alone, "foreign trials changed the proposals");
        }
    }
    check(16, &finite_worlds(), |world| {
        let mut driver = Driver::new(entry, &world);
        let trial = world.foreign(world.space.middle(), 0);
        for _ in 0..3 {
            driver
                .searcher
                .tell(&trial)
                .expect("a foreign trial may come again");
        }
        driver.play(20);
    });
}

/// Histories in which every trial fails, scores the same or violates the constraints do not end the search.
pub fn hard_histories_do_not_stop_it(entry: &Entry) {
    for manner in [
        Manner::Failed,
        Manner::Equal,
        Manner::Violating,
        Manner::Mixed,
    ] {
        for objectives in [1, 2] {
            let world = World {
                manner,
                objectives,
                ..World::smooth(continuum())
            };
            let asked = Driver::new(entry, &world).play(300);
            assert_eq!(asked.len(), 300, "{manner:?} with {objectives} objectives");
        }
    }
}

/// Telling an own id that was never asked, or telling one twice, is an error that changes nothing.
pub fn wrong_tells_are_errors_that_change_nothing(entry: &Entry) {
    check(24, &worlds(), |world| {
        let wanted = played(entry, &world, 40);
        let mut driver = Driver::new(entry, &world);
        let mut found: Vec<Essence> = Vec::new();
        let mut told = None;
        for _ in 0..wanted.len() {
            found.extend(driver.play(1).iter().map(essence));
            let before = driver.snapshot();
            let mut unknown = world.trial(driver.pending.back().expect("one was asked"));
            unknown.candidate.id += 1_000;
            assert!(
                driver.searcher.tell(&unknown).is_err(),
                "an unknown id was accepted"
            );
            if let Some(told) = &told {
                assert!(
                    driver.searcher.tell(told).is_err(),
                    "a trial was accepted twice"
                );
            }
            let after = driver.snapshot();
            assert_eq!(before, after, "a refused tell changed the state");
            if driver.pending.len() > 2 {
                told = driver.pending.front().map(|c| world.trial(c));
                driver.tell();
            }
        }
        // Tells come earlier here than under the window, so only what was asked before them is comparable.
        assert_eq!(found[..3.min(found.len())], wanted[..3.min(wanted.len())]);
    });
}
