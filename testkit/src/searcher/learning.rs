//! What a searcher makes of outcomes.

use lapidary_core::registry::{Entry, Promise};
use lapidary_core::rng::Rng;

use super::world::{
    Essence, Manner, Session, World, check, continuum, essence, finite_worlds, played, worlds,
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
        let mut session = Session::new(entry, &world);
        let mut rng = Rng::keyed(5, 0, "foreign trials");
        let first = session.ask(1);
        for id in 0..30 {
            let trial = teller.foreign(world.space.sample(&mut rng), id);
            session
                .searcher
                .tell(&trial)
                .expect("foreign trials are accepted");
        }
        let rest = session.play(199);
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
        let mut session = Session::new(entry, &world);
        let trial = world.foreign(world.space.middle(), 0);
        for _ in 0..3 {
            session
                .searcher
                .tell(&trial)
                .expect("a foreign trial may come again");
        }
        session.play(20);
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
            let asked = Session::new(entry, &world).play(300);
            assert_eq!(asked.len(), 300, "{manner:?} with {objectives} objectives");
        }
    }
}

/// Telling an own id that was never asked, or telling one twice, is an error that changes nothing.
pub fn wrong_tells_are_errors_that_change_nothing(entry: &Entry) {
    check(24, &worlds(), |world| {
        let wanted = played(entry, &world, 40);
        let mut session = Session::new(entry, &world);
        let mut found: Vec<Essence> = Vec::new();
        let mut told = None;
        for _ in 0..wanted.len() {
            found.extend(session.play(1).iter().map(essence));
            let before = session.snapshot();
            let mut unknown = world.trial(session.pending.back().expect("one was asked"));
            unknown.candidate.id += 1_000;
            assert!(
                session.searcher.tell(&unknown).is_err(),
                "an unknown id was accepted"
            );
            if let Some(told) = &told {
                assert!(
                    session.searcher.tell(told).is_err(),
                    "a trial was accepted twice"
                );
            }
            let after = session.snapshot();
            assert_eq!(before, after, "a refused tell changed the state");
            if session.pending.len() > 2 {
                told = session.pending.front().map(|c| world.trial(c));
                session.tell();
            }
        }
        // Tells come earlier here than under the window, so only what was asked before them is comparable.
        assert_eq!(found[..3.min(found.len())], wanted[..3.min(wanted.len())]);
    });
}
