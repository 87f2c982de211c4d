//! The testkit itself: a sound searcher passes every property, and each broken one fails those it breaks.

use std::panic::catch_unwind;
use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::ledger::Ledger;
use lapidary_core::registry::{BuildError, Entry, Factory, Info, Promise, SearchInit};
use lapidary_core::rng::Rng;
use lapidary_core::searcher::{SearchError, Searcher, Snapshot};
use lapidary_core::settings::{NoSettings, Schema};
use lapidary_core::space::Space;
use lapidary_core::trial::{Candidate, Origin, Trial};
use lapidary_core::tried::Tried;
use lapidary_testkit::searcher::PROPERTIES;

/// What is wrong with a searcher.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    /// Nothing.
    None,
    /// It proposes a fidelity of 0.
    Fidelity,
    /// It gives one more than asked.
    Greedy,
    /// Its ids go round.
    Ids,
    /// `ask(0)` draws a number.
    Zero,
    /// A batch is ordered by something else than its draws.
    Batch,
    /// It forgets what it tried.
    Repeats,
    /// It takes the number of threads into account.
    Threads,
    /// It ignores the seed.
    Seed,
    /// It takes any id.
    Tells,
    /// It learns from foreign trials without saying so.
    Foreign,
    /// It ends after some failed trials.
    Failed,
    /// Its snapshot forgets how far it was.
    Snapshot,
    /// It restores anything.
    Restore,
    /// It takes unknown settings.
    Settings,
}

struct Sound<const FAULT: usize> {
    space: Arc<Space>,
    seed: u64,
    ledger: Ledger,
    draws: u64,
    tried: Tried,
    failed: u64,
}

const FAULTS: [Fault; 15] = [
    Fault::None,
    Fault::Fidelity,
    Fault::Greedy,
    Fault::Ids,
    Fault::Zero,
    Fault::Batch,
    Fault::Repeats,
    Fault::Threads,
    Fault::Seed,
    Fault::Tells,
    Fault::Foreign,
    Fault::Failed,
    Fault::Snapshot,
    Fault::Restore,
    Fault::Settings,
];

fn build<const FAULT: usize>(
    settings: &Json,
    init: &SearchInit,
) -> Result<Box<dyn Searcher>, BuildError> {
    let empty = settings.is_null() || settings.as_object().is_some_and(|s| s.is_empty());
    if !empty && FAULTS[FAULT] != Fault::Settings {
        return Err(info().refuse("it has none"));
    }
    Ok(Box::new(Sound::<FAULT> {
        space: init.space.clone(),
        seed: init.seed,
        ledger: Ledger::default(),
        draws: 0,
        tried: Tried::default(),
        failed: 0,
    }))
}

const fn info() -> Info {
    Info {
        name: "sound",
        summary: "draws points",
        docs: "Draws points.",
        settings: Schema::of::<NoSettings>(),
        promises: &[Promise::NeverRepeats],
    }
}

const fn entry<const FAULT: usize>() -> Entry {
    Entry {
        info: info(),
        factory: Factory::Searcher(&build::<FAULT>),
    }
}

impl<const FAULT: usize> Searcher for Sound<FAULT> {
    fn ask(&mut self, n: usize) -> Result<Vec<Candidate>, SearchError> {
        let fault = FAULTS[FAULT];
        if fault == Fault::Failed && self.failed > 20 {
            return Ok(Vec::new());
        }
        if fault == Fault::Zero && n == 0 {
            self.draws += 1;
        }
        let wanted = if fault == Fault::Greedy && n > 0 {
            n + 1
        } else {
            n
        };
        let mut candidates = Vec::new();
        while candidates.len() < wanted {
            let mut counter = self.draws;
            if fault == Fault::Threads {
                counter ^= (rayon::current_num_threads() as u64) << 32;
            }
            let seed = if fault == Fault::Seed { 0 } else { self.seed };
            let mut rng = Rng::keyed(seed, counter, "sound");
            self.draws = self.draws.wrapping_add(1);
            let mut point = self.space.sample(&mut rng);
            for _ in 0..50 {
                if fault == Fault::Repeats || !self.tried.contains(&point) {
                    break;
                }
                point = self.space.sample(&mut rng);
            }
            if fault != Fault::Repeats && self.tried.contains(&point) {
                match self.tried.first_left(&self.space) {
                    Some(left) => point = left,
                    None => break,
                }
            }
            self.tried.insert(&point);
            let mut id = self.ledger.ask();
            if fault == Fault::Ids {
                id %= 16;
            }
            candidates.push(Candidate {
                id,
                point,
                fidelity: if fault == Fault::Fidelity { 0.0 } else { 1.0 },
                parent: None,
            });
        }
        if fault == Fault::Batch && n > 1 {
            let ids: Vec<u64> = candidates.iter().map(|c| c.id).collect();
            candidates.reverse();
            for (candidate, id) in candidates.iter_mut().zip(ids) {
                candidate.id = id;
            }
        }
        Ok(candidates)
    }

    fn tell(&mut self, trial: &Trial) -> Result<(), SearchError> {
        let fault = FAULTS[FAULT];
        self.failed += u64::from(trial.score.is_none());
        match trial.origin {
            Origin::Own if fault == Fault::Tells => {}
            Origin::Own if fault == Fault::Ids => {}
            Origin::Own => self.ledger.tell("sound", trial.candidate.id)?,
            Origin::Foreign if fault == Fault::Foreign => self.draws += 100,
            Origin::Foreign => {}
        }
        Ok(())
    }

    fn snapshot(&self) -> Result<Snapshot, SearchError> {
        let draws = if FAULTS[FAULT] == Fault::Snapshot {
            0
        } else {
            self.draws
        };
        Snapshot::of("sound", 1, &(&self.ledger, draws, &self.tried))
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), SearchError> {
        let read = snapshot.read("sound", 1);
        if FAULTS[FAULT] == Fault::Restore && read.is_err() {
            return Ok(());
        }
        (self.ledger, self.draws, self.tried) = read?;
        Ok(())
    }
}

/// Names of the properties that a searcher does not keep.
fn broken<const FAULT: usize>() -> Vec<&'static str> {
    PROPERTIES
        .iter()
        .filter(|(_, property)| catch_unwind(|| property(&entry::<FAULT>())).is_err())
        .map(|(name, _)| *name)
        .collect()
}

#[test]
fn a_sound_searcher_passes() {
    assert_eq!(broken::<0>(), Vec::<&str>::new());
}

#[test]
fn each_fault_is_found() {
    let found = [
        (broken::<1>(), "values_are_in_the_space"),
        (broken::<2>(), "asks_keep_to_their_number"),
        (broken::<3>(), "ids_are_fresh_and_rise"),
        (broken::<4>(), "asking_for_none_changes_nothing"),
        (broken::<5>(), "asking_at_once_equals_asking_one_by_one"),
        (broken::<6>(), "never_repeats_where_promised"),
        (broken::<7>(), "threads_change_nothing"),
        (broken::<8>(), "seeds_decide"),
        (broken::<9>(), "wrong_tells_are_errors_that_change_nothing"),
        (
            broken::<10>(),
            "foreign_trials_are_learnt_or_ignored_as_declared",
        ),
        (broken::<11>(), "hard_histories_do_not_stop_it"),
        (broken::<12>(), "snapshots_restore_the_sequence"),
        (broken::<13>(), "foreign_snapshots_are_refused"),
        (broken::<14>(), "wrong_settings_are_refused"),
    ];
    for (broken, wanted) in found {
        assert!(broken.contains(&wanted), "{wanted} holds, not {broken:?}");
    }
}
