//! What a plug-in costs, linked, behind the tables in this process, and in a child process: an ask and a tell by `random` with 16
//! axes, and a weight of 256 MiB that is read once. What the last two take more than the first is the border's.

use std::path::Path;
use std::process::Command;
use std::sync::Once;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lapidary_benches::{Loop, float, numbers, space};
use lapidary_builtin_plugins::heavy::Heavy;
use lapidary_builtin_plugins::{compiled, file, program};
use lapidary_core::json::Json;
use lapidary_core::registry::{Entry, Factory, SearchInit};
use lapidary_core::searcher::Searcher;
use lapidary_plugin_host::{Host, Isolation, Limits, Program};

/// Axes of the space.
const AXES: usize = 16;

/// Elements of the weight, eight bytes each.
const ELEMENTS: usize = 32 << 20;

/// The plug-in and the program that runs it are built for whichever group comes first.
static BUILT: Once = Once::new();

fn ask_and_tell(criterion: &mut Criterion) {
    BUILT.call_once(build);
    let mut group = criterion.benchmark_group("plugin");
    group.throughput(Throughput::Elements(1));
    for (place, entry) in [
        ("linked", lapidary_random::ENTRY),
        ("in_process", load(&file("random"), Isolation::InProcess)),
        ("child", load(&file("random"), child())),
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

fn weight(criterion: &mut Criterion) {
    BUILT.call_once(build);
    let folder = file("reader");
    let folder = folder.parent().expect("it is in a folder");
    let file = compiled(folder, "reader", &[]);
    let model = Heavy::new(ELEMENTS);
    let mut group = criterion.benchmark_group("tensor_256_mib");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(8 * ELEMENTS as u64));
    group.bench_function("linked", |bencher| bencher.iter(|| model.read()));
    for (place, isolation) in [("in_process", Isolation::InProcess), ("child", child())] {
        let reader = load(&file, isolation);
        group.bench_function(place, |bencher| bencher.iter(|| model.read_by(&reader)));
    }
    group.finish();
}

/// The entry of a plug-in.
fn load(file: &Path, isolation: Isolation) -> Entry {
    let host = Host {
        isolation,
        limits: Limits::default(),
    };
    host.load(file).unwrap_or_else(|e| panic!("{e}")).entry
}

/// A child process each.
fn child() -> Isolation {
    Isolation::Child(Program {
        path: program(),
        args: Vec::new(),
    })
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
    // As the whole workspace is built, so that no engine is built for one more choice of features.
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--workspace", "--bins", "--examples"])
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "the plug-in does not build"
    );
}

criterion_group!(benches, ask_and_tell, weight);
criterion_main!(benches);
