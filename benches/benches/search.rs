//! Ask and tell: time per trial with ten mixed axes, after 1,000 and 10,000 trials.

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lapidary_benches::{Loop, mixed_space, numbers};
use lapidary_core::json::Json;
use lapidary_core::registry::Registry;
use lapidary_core::searcher::SearchInit;

/// Trials timed before the history is made anew, so that it keeps about its length.
const STRETCH: u64 = 1000;

fn ask_and_tell(criterion: &mut Criterion) {
    let registry = Registry::new(lapidary_strategies::ENTRIES).expect("the entries are sound");
    let mut group = criterion.benchmark_group("ask_and_tell");
    group.throughput(Throughput::Elements(1));
    for entry in lapidary_strategies::ENTRIES {
        for history in [1_000, 10_000] {
            let id = format!("{}/{history}", entry.info.name);
            group.bench_function(id, |bencher| {
                bencher.iter_custom(|iterations| {
                    let mut spent = Duration::ZERO;
                    let mut left = iterations;
                    while left > 0 {
                        let mut study = study(&registry, entry.info.name);
                        for _ in 0..history {
                            study.trial();
                        }
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

/// A study whose evaluations cost next to nothing.
fn study(
    registry: &Registry,
    name: &str,
) -> Loop<impl FnMut(&lapidary_core::trial::Candidate) -> Vec<f64>> {
    let init = SearchInit {
        space: mixed_space(),
        seed: 1,
        objectives: 1,
        trials: None,
        installed: None,
    };
    let searcher = registry
        .searcher(name, &Json::Null, &init)
        .expect("the defaults work");
    Loop::new(searcher, 4, |candidate| {
        let p = numbers(candidate);
        vec![(p[0] - 1.0) * (p[0] - 1.0) + p[5] * 0.01]
    })
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = ask_and_tell
}
criterion_main!(benches);
