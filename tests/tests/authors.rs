//! What the author of a strategy of one's own does: new projects, the examples, and all that the guide says.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::model::Model;
use lapidary_core::registry::{Entry, SearchInit};
use lapidary_core::space::{Axis, Domain, Space};
use lapidary_core::trial::{Score, Trial};
use lapidary_model::GraphModel;
use lapidary_plugin_host::{Host, Isolation, Limits};
use lapidary_tests::{Answer, blocks, files, lapidary, root, run, run_in};
use tempfile::TempDir;

/// Where all projects are built, so that they share what they have in common.
fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("authors")
}

/// Runs a shell script in `folder`, in which `lapidary` is the program under test, and returns what it printed.
#[track_caller]
fn shell(folder: &Path, script: &str) -> String {
    let program = lapidary().get_program().to_owned();
    let programs = Path::new(&program).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("LAPIDARY", root())
        .env("CARGO", env!("CARGO"))
        .env("CARGO_TARGET_DIR", target())
        .env("XDG_DATA_HOME", folder.join(".local/share"))
        .env_remove("LAPIDARY_PLUGINS")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let stdout = text(output.stdout);
    assert!(
        output.status.success(),
        "{script}\n{stdout}\n{}",
        text(output.stderr)
    );
    stdout
}

/// `lapidary plugin new` with these arguments in `folder`.
fn new(folder: &Path, args: &[&str]) -> Answer {
    run_in(folder, &[&["plugin", "new"], args].concat())
}

#[test]
fn a_new_project_appears_whole_and_names_the_checkout() {
    let folder = TempDir::new().unwrap();
    let checkout = root().to_str().unwrap();
    for (name, more) in [
        ("in-rust", vec!["--lapidary", checkout, "--json"]),
        (
            "of-models",
            vec!["--kind", "optimizer", "--lapidary", checkout, "--json"],
        ),
        ("in-c", vec!["--lang", "c", "--json"]),
        (
            "of-models-in-c",
            vec!["--kind", "optimizer", "--lang", "c", "--json"],
        ),
    ] {
        let answer = new(folder.path(), &[&[name], &more[..]].concat()).done();
        assert_eq!(answer.json["name"], name);
        let listed = answer.json["files"].as_array().unwrap();
        let mut listed: Vec<&str> = listed.iter().map(|f| f.as_str().unwrap()).collect();
        listed.sort_unstable();
        let found = files(&folder.path().join(name));
        let found: Vec<String> = found.iter().map(|f| format!("{name}/{f}")).collect();
        assert_eq!(listed, found);
    }
    let manifest = std::fs::read_to_string(folder.path().join("in-rust/Cargo.toml")).unwrap();
    assert!(manifest.contains(&format!("path = \"{checkout}/core\"")));
}

#[test]
fn bad_names_and_places_are_refused_and_leave_nothing() {
    let folder = TempDir::new().unwrap();
    let checkout = root().to_str().unwrap();
    std::fs::create_dir(folder.path().join("taken")).unwrap();
    for (args, reason) in [
        (vec!["Hill", "--lapidary", checkout], "lower-case"),
        (vec!["../hill", "--lapidary", checkout], "lower-case"),
        (vec!["match", "--lapidary", checkout], "package"),
        (
            vec!["genetic", "--lapidary", checkout],
            "searcher called `genetic`",
        ),
        (
            vec!["prune", "--kind", "optimizer", "--lapidary", checkout],
            "optimizer called `prune`",
        ),
        (vec!["taken", "--lapidary", checkout], "exists"),
        (vec!["hill"], "--lapidary"),
        (vec!["hill", "--lapidary", "/nowhere"], "no checkout"),
    ] {
        let error = new(folder.path(), &args).refused();
        assert!(error.contains(reason), "{args:?}: {error}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
#[ignore = "builds projects of their own; run by cargo xtask test"]
fn the_guide_to_strategies_does_what_it_says() {
    follow("docs/writing-a-strategy.md");
}

#[test]
#[ignore = "builds the example's program; run by cargo xtask test"]
fn the_guide_to_evaluators_does_what_it_says() {
    lock(&root().join("examples/ridge"));
    follow("docs/writing-an-evaluator.md");
}

/// What the guide to evaluators shows is what the example has.
#[test]
fn the_guide_to_evaluators_shows_the_example() {
    let guide = std::fs::read_to_string(root().join("docs/writing-an-evaluator.md")).unwrap();
    let shown = blocks(&guide).into_iter();
    let shown = shown.filter_map(|(header, body)| {
        let (_, file) = header.split_once(" file=")?;
        Some((file.to_owned(), body))
    });
    let mut compared = 0;
    for (file, body) in shown {
        let text = std::fs::read_to_string(root().join(&file)).unwrap();
        assert!(text.contains(&body), "{file} has no\n{body}");
        compared += 1;
    }
    assert!(compared > 3, "{compared} blocks were compared");
}

/// Runs what a guide says, and compares what it shows.
fn follow(guide: &str) {
    let guide = std::fs::read_to_string(root().join(guide)).unwrap();
    let folder = TempDir::new().unwrap();
    // The project that the guide is at.
    let mut project = String::new();
    let mut compared = 0;
    for (header, body) in blocks(&guide) {
        if header == "console" {
            let script = script(&body);
            shell(folder.path(), &script);
            let made = body.split_once("plugin new ");
            project = made.map_or(project, |(_, rest)| {
                rest.split_whitespace().next().unwrap().to_owned()
            });
        } else if header != "toml dependencies" {
            let (_, file) = header.split_once(" file=").expect("a block names its file");
            let place = match file.starts_with("examples/") {
                true => root().to_owned(),
                false => folder.path().join(&project),
            };
            let text = std::fs::read_to_string(place.join(file)).unwrap();
            assert!(text.contains(&body), "{project}/{file} has no\n{body}");
            compared += 1;
        }
    }
    assert!(compared > 3, "{compared} blocks were compared");
}

/// The commands of a console block. Projects are built in the folder they share instead of their own, from the versions that
/// the workspace is locked to.
fn script(block: &str) -> String {
    let own = |word: &str| match word.split_once("target/release/") {
        Some((_, file)) => format!("\"$CARGO_TARGET_DIR\"/release/{file}"),
        None => word.replace("~/", "./"),
    };
    // A study that ends without its goal is no failure here.
    let mut script = "lapidary() { command lapidary \"$@\" || test $? = 3; }\n".to_owned();
    for line in block.lines().filter_map(|line| line.strip_prefix("$ ")) {
        let words: Vec<String> = line.split(' ').map(own).collect();
        script += &words.join(" ");
        if line.starts_with("cd ") {
            script += "\ncp \"$LAPIDARY/Cargo.lock\" .";
        }
        script.push('\n');
    }
    script
}

/// Builds the project in `folder` as a release and returns the plug-in called `name`.
#[track_caller]
fn built(folder: &Path, name: &str) -> PathBuf {
    lock(folder);
    shell(folder, "cargo build --release --quiet");
    target()
        .join("release")
        .join(format!("lib{name}_plugin.so"))
}

/// Lets a project start from the versions that the workspace is locked to, so that nothing else has to be fetched.
fn lock(folder: &Path) {
    let lock = folder.join("Cargo.lock");
    if !lock.exists() {
        std::fs::copy(root().join("Cargo.lock"), lock).unwrap();
    }
}

/// All that a strategy proposes in a search over numbers and options.
fn searched(entry: &Entry) -> Vec<Trial> {
    let float = |log| Domain::Float {
        low: 0.001,
        high: 4.0,
        log,
        step: None,
    };
    let options = Domain::Choice {
        options: (0..5).map(Json::from).collect(),
    };
    let axes = [
        Axis::new("a", float(false)),
        Axis::new("b", float(true)),
        Axis::new("c", options),
    ];
    let init = SearchInit {
        space: Arc::new(Space::new(axes.into()).unwrap()),
        seed: 3,
        objectives: 1,
        trials: None,
        installed: None,
    };
    lapidary_testkit::searcher::run(entry, &Json::Null, &init, 4, 300, |point| {
        let places = point.to_unit();
        let distances = places.iter().flatten().map(|u| (u - 0.3).abs());
        Some(Score {
            objectives: vec![distances.sum()],
            violation: 0.0,
        })
    })
}

/// The best that a plug-in's strategy finds of the example's function.
fn best_found(plugin: &Path, strategy: &str, trials: &str, more: &[&str]) -> Json {
    let study = root().join("examples/function.toml");
    let (study, plugin) = (study.to_str().unwrap(), plugin.to_str().unwrap());
    let args = [
        "search",
        study,
        "--plugin",
        plugin,
        "--strategy",
        strategy,
        "--trials",
        trials,
        "--json",
    ];
    run(&[&args, more].concat()).json["best"].clone()
}

#[test]
#[ignore = "needs clippy and rustfmt; run by cargo xtask test"]
fn new_projects_and_examples_are_formatted_and_without_warnings() {
    let folder = TempDir::new().unwrap();
    let checkout = root().to_str().unwrap();
    let made = ["searcher", "optimizer"].map(|kind| {
        let name = format!("two-words-{kind}");
        new(
            folder.path(),
            &[&name, "--kind", kind, "--lapidary", checkout],
        )
        .done();
        folder.path().join(name)
    });
    let examples =
        ["annealing", "clustering", "ridge"].map(|name| root().join("examples").join(name));
    for project in made.iter().chain(&examples) {
        lock(project);
        shell(
            project,
            "cargo fmt --all --check && cargo clippy --quiet --workspace --lib -- -D warnings",
        );
    }
    // The tests of optimizers are one line, and need engines.
    for project in [&made[0], &examples[0]] {
        shell(project, "cargo clippy --quiet --tests -- -D warnings");
    }
}

#[test]
#[ignore = "builds the example; run by cargo xtask test"]
fn the_searcher_among_the_examples_is_the_same_linked_and_as_a_plug_in() {
    let folder = root().join("examples/annealing");
    let plugin = built(&folder, "annealing");
    shell(&folder, "cargo test --quiet");
    let file = plugin.to_str().unwrap();
    run(&["plugin", "check", file]).done();
    let host = Host {
        isolation: Isolation::InProcess,
        limits: Limits::default(),
    };
    let loaded = host.load(&plugin).unwrap();
    let trials = searched(&loaded.entry);
    assert_eq!(trials.len(), 300);
    assert_eq!(trials, searched(&annealing::ENTRY));
    let search = |more: &[&str]| best_found(&plugin, "annealing", "300", more);
    let best = search(&[]);
    assert!(best["metrics"]["value"].as_f64().unwrap() < 10.0, "{best}");
    assert_eq!(best, search(&["--in-process"]));
}

#[test]
#[ignore = "builds the example; run by cargo xtask test"]
fn the_optimizer_among_the_examples_makes_the_same_model_in_both_places() {
    let plugin = built(&root().join("examples/clustering"), "clustering");
    optimized_in_both_places(&plugin, "clustering");
}

/// A model for the digits before and after the optimizer called `name`, which is the same in both places where it may run.
#[track_caller]
fn optimized_in_both_places(plugin: &Path, name: &str) -> [GraphModel; 2] {
    let file = plugin.to_str().unwrap();
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (model, child, here) = (at("model.onnx"), at("child.onnx"), at("here.onnx"));
    let digits = root().join("examples/digits.toml");
    let search = ["search", digits.to_str().unwrap(), "--trials", "1"];
    let answer = run(&[&search[..], &["-o", &model]].concat());
    assert!(matches!(answer.code, 0 | 3), "{}", answer.stderr);
    let optimize = |out: &str, more: &[&str]| {
        let args = ["optimize", &model, "--with", name, "--plugin", file];
        run(&[&args[..], &["-o", out], more].concat()).done();
        std::fs::read(out).unwrap()
    };
    let changed = optimize(&child, &[]);
    assert_eq!(changed, optimize(&here, &["--in-process"]));
    assert_ne!(changed, std::fs::read(&model).unwrap());
    [&model, &child].map(|file| GraphModel::open(Path::new(file)).unwrap())
}

/// Makes and checks a project in C, and returns its plug-in, `two_words.so`.
fn made_in_c(folder: &Path, kind: &str) -> PathBuf {
    new(folder, &["two-words", "--kind", kind, "--lang", "c"]).done();
    let project = folder.join("two-words");
    shell(
        &project,
        "make CFLAGS='-O2 -Wall -Wextra -Wpedantic -Werror' check",
    );
    project.join("two_words.so")
}

#[test]
#[ignore = "needs a C compiler; run by cargo xtask test"]
fn a_searcher_in_c_is_built_with_make_and_searches() {
    let folder = TempDir::new().unwrap();
    let plugin = made_in_c(folder.path(), "searcher");
    let search = |more: &[&str]| best_found(&plugin, "two-words", "400", more);
    let best = search(&[]);
    assert!(best["metrics"]["value"].as_f64().unwrap() < 10.0, "{best}");
    assert_eq!(best, search(&["--in-process"]));
}

#[test]
#[ignore = "needs a C compiler; run by cargo xtask test"]
fn an_optimizer_in_c_is_built_with_make_and_leaves_eight_bits() {
    let folder = TempDir::new().unwrap();
    let plugin = made_in_c(folder.path(), "optimizer");
    let [before, after] = optimized_in_both_places(&plugin, "two-words");
    let weights = |model: &GraphModel| -> Vec<Vec<f64>> {
        let names = model
            .topology()
            .layers
            .iter()
            .filter_map(|l| l.weight.clone());
        let floats = |name| model.weights()[&name].to_f32().unwrap().mapv(f64::from);
        names
            .map(|name| floats(name).into_iter().collect())
            .collect()
    };
    let (before, after) = (weights(&before), weights(&after));
    assert!(!before.is_empty());
    for (was, is) in before.iter().zip(&after) {
        let largest = was.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        // Seven bits and a sign.
        let step = 2f64.powi(largest.log2().floor() as i32 - 6);
        for (was, is) in was.iter().zip(is) {
            assert_eq!((is / step).fract(), 0.0, "{is} is no multiple of {step}");
            let saturated = (is / step).abs() == 127.0;
            assert!((was - is).abs() <= step * if saturated { 1.0 } else { 0.5 });
        }
    }
}

#[test]
#[ignore = "needs a C compiler; run by cargo xtask test"]
fn the_examples_in_c_are_what_new_projects_are() {
    let folder = TempDir::new().unwrap();
    let here = root().join("examples/c");
    let text = |path: PathBuf| std::fs::read_to_string(path).unwrap();
    for (name, kind) in [("hill-climb", "searcher"), ("fixed-point", "optimizer")] {
        new(folder.path(), &[name, "--kind", kind, "--lang", "c"]).done();
        let file = name.replace('-', "_");
        for same in [&format!("{file}.c"), "json.h"] {
            let project = folder.path().join(name);
            assert_eq!(text(here.join(same)), text(project.join(same)));
        }
        let out = folder.path().join(format!("{file}.so"));
        let out = out.to_str().unwrap();
        shell(&here, &format!("make -B {file}.so && mv {file}.so {out}"));
        run(&["plugin", "check", out]).done();
    }
}

/// The example's own test, here so that the engine it needs is not built once more.
#[path = "../../examples/clustering/tests/conformance.rs"]
mod clustering_conformance;
