//! A stored trial: time to ask, tell and store one with ten mixed axes, in one transaction and in one for each half, in a file
//! that lies in memory where the system has such a folder, after 1,000 and 10,000 trials.

use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lapidary_benches::{mixed, numbers, searcher};
use lapidary_core::budget::{Clock, WallClock};
use lapidary_core::registry::Registry;
use lapidary_core::session::Session;
use lapidary_core::trial::Outcome;
use lapidary_study::file::{Overrides, StudyFile};
use lapidary_study::store::Store;

/// Trials that are timed together at least.
const STRETCH: u64 = 1000;
const STUDY: &str = include_str!("../peers/mixed.toml");

fn stored_trial(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stored_trial");
    group.throughput(Throughput::Elements(1));
    for together in [true, false] {
        let name = if together {
            "one_transaction"
        } else {
            "two_transactions"
        };
        for told in [1_000, 10_000] {
            group.bench_function(format!("{name}/{told}"), |bencher| {
                bencher.iter_custom(|iterations| {
                    // Never a few alone: each would bear what comes once in hundreds.
                    let trials = iterations.max(STRETCH);
                    run(told, trials, together).mul_f64(iterations as f64 / trials as f64)
                });
            });
        }
    }
    group.finish();
}

/// Time of `trials` trials after `told` others.
fn run(told: u64, trials: u64, together: bool) -> Duration {
    let memory = Path::new("/dev/shm");
    let folder = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    let folder = folder.expect("a folder for the store");
    let registry = Registry::new(&[&lapidary_random::ENTRY]).expect("the entry is sound");
    let path = Path::new("mixed.toml");
    let file = StudyFile::parse(path, STUDY, &Overrides::default(), &registry);
    let file = file.expect("the study is sound");
    let mut searcher = searcher(&registry, "random", &file.space);
    let mut log = Store::create(&folder.path().join("studies.db"))
        .and_then(|store| store.begin(&file.name, &file.identity(), None, false))
        .expect("a new store");
    let (study, clock) = (file.study(), WallClock::start());
    let mut session = Session::new(&study, searcher.as_mut(), &mut log, clock.now());
    if together {
        session.buffer();
    }
    let mut trial = || {
        let candidates = session.ask(1, clock.now()).expect("asking works");
        for candidate in candidates {
            let metrics = [("value".to_owned(), mixed(&numbers(&candidate)))].into();
            session
                .tell(
                    candidate.id,
                    Outcome::Measured { metrics },
                    Vec::new(),
                    clock.now(),
                )
                .expect("telling works");
        }
        session.commit().expect("storing works");
    };
    for _ in 0..told {
        trial();
    }
    let start = Instant::now();
    for _ in 0..trials {
        trial();
    }
    start.elapsed()
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = stored_trial
}
criterion_main!(benches);
