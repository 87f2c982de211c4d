//! Ask and tell: time per trial with ten mixed axes, of the first 1,000 trials, and after 10,000 and 100,000.

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lapidary_benches::{Loop, mixed, mixed_space, numbers, searcher};
use lapidary_core::registry::Registry;

/// Trials timed before the searcher is set back, so that it has been told about as many all the time.
const STRETCH: u64 = 1000;

fn ask_and_tell(criterion: &mut Criterion) {
    let registry = Registry::new(lapidary_strategies::ENTRIES).expect("the entries are sound");
    let space = mixed_space();
    let mut group = criterion.benchmark_group("ask_and_tell");
    group.throughput(Throughput::Elements(1));
    for entry in lapidary_strategies::ENTRIES {
        let name = entry.info.name;
        for told in [0, 10_000, 100_000] {
            let mut snapshot = None;
            group.bench_function(format!("{name}/{told}"), |bencher| {
                let snapshot = snapshot.get_or_insert_with(|| {
                    let mut searcher = searcher(&registry, name, &space);
                    {
                        let mut study =
                            Loop::new(searcher.as_mut(), 1, |c| vec![mixed(&numbers(c))]);
                        for _ in 0..told {
                            study.trial();
                        }
                        study.tell_all();
                    }
                    searcher.snapshot().expect("snapshots work")
                });
                bencher.iter_custom(|iterations| {
                    let (mut spent, mut left) = (Duration::ZERO, iterations);
                    while left > 0 {
                        let mut searcher = searcher(&registry, name, &space);
                        searcher.restore(snapshot).expect("its own snapshot");
                        let mut study =
                            Loop::new(searcher.as_mut(), 1, |c| vec![mixed(&numbers(c))]);
                        let stretch = left.min(STRETCH);
                        let start = Instant::now();
                        for _ in 0..stretch {
                            study.trial();
                        }
                        spent += start.elapsed();
                        left -= stretch;
                    }
                    spent
                });
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = ask_and_tell
}
criterion_main!(benches);
