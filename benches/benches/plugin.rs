//! What a plug-in costs: an ask and a tell by `random` with 16 axes, linked, behind the tables in this process, and in a child
//! process. What the last two take more than the first is the border's.

use std::process::Command;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lapidary_benches::{Loop, float, numbers, space};
use lapidary_builtin_plugins::{file, program};
use lapidary_core::json::Json;
use lapidary_core::registry::{Entry, Factory};
use lapidary_core::searcher::{SearchInit, Searcher};
use lapidary_plugin_host::{Host, Isolation, Limits, Program};

/// Axes of the space.
const AXES: usize = 16;

fn ask_and_tell(criterion: &mut Criterion) {
    build();
    let load = |isolation| {
        let host = Host {
            isolation,
            limits: Limits::default(),
        };
        host.load(&file("random"))
            .unwrap_or_else(|e| panic!("{e}"))
            .entry
    };
    let child = Program {
        path: program(),
        args: Vec::new(),
    };
    let mut group = criterion.benchmark_group("plugin");
    group.throughput(Throughput::Elements(1));
    for (place, entry) in [
        ("linked", lapidary_random::ENTRY),
        ("in_process", load(Isolation::InProcess)),
        ("child", load(Isolation::Child(child))),
    ] {
        group.bench_function(place, |bencher| {
            let mut searcher = searcher(&entry);
            // Evaluations cost next to nothing.
            let mut study = Loop::new(searcher.as_mut(), 1, |c| vec![numbers(c).iter().sum()]);
            bencher.iter(|| study.trial());
        });
    }
    group.finish();
}

/// A searcher over numbers.
fn searcher(entry: &Entry) -> Box<dyn Searcher> {
    let Factory::Searcher(make) = entry.factory else {
        panic!("it is a searcher");
    };
    let init = SearchInit {
        space: space(vec![float(-1.0, 1.0, false); AXES]),
        seed: 1,
        objectives: 1,
        trials: None,
        installed: None,
    };
    make(&Json::Null, &init).expect("the defaults work")
}

/// Builds the plug-in and the program that runs it in a child process.
fn build() {
    let status = Command::new(env!("CARGO"))
        .args([
            "build",
            "--release",
            "--package",
            "lapidary-builtin-plugins",
        ])
        .args(["--bins", "--example", "random"])
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "the plug-in does not build"
    );
}

criterion_group!(benches, ask_and_tell);
criterion_main!(benches);
