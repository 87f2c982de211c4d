//! `search` through the program: every trial the same at any number of jobs, goals, and what is written.

mod common;

use common::{Study, keys};
use lapidary_tests::run;
use serde_json::Value;

/// A study of a test function that no seed solves at once.
fn function(strategy: &str) -> Study {
    Study::new(&format!(
        r#"
[study]
name = "valley"
seed = 5
strategy = "{strategy}"
[budget]
trials = 60
[goal]
minimize = ["value"]
[evaluate]
kind = "function"
name = "rosenbrock"
[space]
x = {{ float = [-2.0, 2.0] }}
y = {{ float = [-1.0, 3.0] }}
z = {{ int = [-2, 3] }}
"#
    ))
}

/// A study that trains networks, with a conditional axis and two objectives.
fn training() -> Study {
    Study::new(
        r#"
[study]
seed = 3
strategy = "genetic"
[strategy]
population = 4
[budget]
trials = 10
[goal]
maximize = ["accuracy"]
minimize = ["bytes"]
[evaluate]
kind = "train"
family = "mlp"
data = "digits"
limit = 300
epochs = 2
[space]
width = { int = [4, 16] }
optimizer = { choice = ["sgd", "adamw"] }
momentum = { float = [0.0, 0.9], when = "optimizer == sgd" }
[[start]]
width = 4
optimizer = "adamw"
"#,
    )
}

/// All trials of a study, as `--log` writes them.
fn trials(study: &Study, more: &[&str]) -> Vec<Value> {
    let log = study.beside("log.jsonl");
    let path = study.path();
    let args = [&["search", &path, "--log", &log], more].concat();
    run(&args).done();
    std::fs::read_to_string(log)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn every_trial_is_the_same_at_any_number_of_jobs() {
    for strategy in ["random", "greedy", "genetic"] {
        let study = function(strategy);
        let one = trials(&study, &["--jobs", "1"]);
        assert_eq!(one.len(), 60, "{strategy}");
        for jobs in ["2", "5"] {
            assert_eq!(
                trials(&study, &["--jobs", jobs]),
                one,
                "{strategy}, {jobs} jobs"
            );
        }
        assert_ne!(trials(&study, &["--seed", "6"]), one, "{strategy}");
    }
    let study = training();
    let one = trials(&study, &["--jobs", "1"]);
    assert_eq!(one.len(), 10, "a starting point among them");
    for jobs in ["2", "5"] {
        assert_eq!(trials(&study, &["--jobs", jobs]), one, "{jobs} jobs");
    }
}

#[test]
fn a_search_says_what_it_found() {
    let study = training();
    let (out, path) = (study.beside("best.onnx"), study.path());
    let answer = run(&["search", &path, "-o", &out, "--jobs", "9", "--json"]).done();
    assert!(
        answer
            .stderr
            .contains("--jobs 9 helps no more than --jobs 4")
    );
    let json = answer.json;
    assert_eq!(json["study"], "study");
    assert_eq!(json["strategy"], "genetic");
    assert_eq!(json["seed"], 3);
    assert_eq!(json["trials"], 10);
    assert_eq!(json["failed"], 0);
    assert_eq!(json["goal_met"], true);
    assert_eq!(json["reproducible"], true);
    assert!(json["seconds"].as_f64().unwrap() > 0.0);
    let best = &json["best"];
    let front = json["front"].as_array().unwrap();
    assert!(front.contains(best), "{json}");
    // No trial of the front is beaten by another.
    let value = |t: &Value, m: &str| t["metrics"][m].as_f64().unwrap();
    for a in front {
        for b in front {
            assert!(
                a == b
                    || value(a, "accuracy") > value(b, "accuracy")
                    || value(a, "bytes") < value(b, "bytes"),
                "{a} {b}"
            );
        }
    }
    // The file holds the very model that was measured.
    let split = ["--split", "valid", "--limit", "300", "--json"];
    let eval = run(&[&["eval", &out, "--data", "digits"], &split[..]].concat()).done();
    for metric in keys(&eval.json["metrics"]) {
        assert_eq!(
            eval.json["metrics"][metric], best["metrics"][metric],
            "{metric}"
        );
    }
    assert_eq!(
        value(best, "bytes") as u64,
        std::fs::metadata(&out).unwrap().len()
    );
}

#[test]
fn a_goal_that_is_not_reached_is_told_by_the_exit_code() {
    let study = function("random");
    let path = study.path();
    let search = |more: &[&str]| run(&[&["search", &path, "--json"], more].concat());
    let infeasible = search(&["--set", "goal.subject_to=[\"value < 0\"]"]);
    assert_eq!(infeasible.code, 3, "{}", infeasible.stderr);
    assert_eq!(infeasible.json["goal_met"], false);
    assert_eq!(infeasible.json["best"]["feasible"], false);
    let missed = search(&["--set", "goal.stop_at=\"value <= 1e-9\""]);
    assert_eq!((missed.code, &missed.json["end"]), (3, &"trials".into()));
    let reached = search(&["--set", "goal.stop_at=\"value <= 1000\""]).done();
    assert_eq!(reached.json["end"], "reached");
    assert!(reached.json["trials"].as_u64().unwrap() < 60);
}

#[test]
fn a_finite_space_is_searched_without_a_budget_and_an_endless_one_is_refused() {
    let study = function("random");
    let path = study.path();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("trials = 60", "")).unwrap();
    let message = run(&["search", &path]).refused();
    assert!(message.contains("--trials"), "{message}");
    let finite = [
        "--set",
        "space.x={ int = [0, 2] }",
        "--set",
        "space.y={ int = [0, 1] }",
        "--json",
    ];
    let json = run(&[&["search", &path], &finite[..]].concat()).done().json;
    assert_eq!(
        (&json["trials"], &json["end"]),
        (&36.into(), &"exhausted".into())
    );
}

#[test]
fn models_are_candidates_too() {
    let small = common::Model::digits();
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.onnx", "b.onnx"] {
        std::fs::copy(small.path(), folder.path().join(name)).unwrap();
    }
    let study = Study::new(&format!(
        r#"
[study]
strategy = "random"
[goal]
maximize = ["accuracy"]
[evaluate]
kind = "models"
models = "{}/*.onnx"
data = "digits"
"#,
        folder.path().display()
    ));
    let out = study.beside("best.onnx");
    let json = run(&["search", &study.path(), "-o", &out, "--json"])
        .done()
        .json;
    assert_eq!(json["trials"], 2);
    assert_eq!(
        std::fs::metadata(out).unwrap().len(),
        small.bytes().len() as u64
    );
}

#[test]
fn an_interrupted_search_keeps_what_it_found() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    let study = training();
    let log = study.beside("log.jsonl");
    let program = lapidary_tests::lapidary().get_program().to_owned();
    let mut child = Command::new(program)
        .args(["search", &study.path(), "--log", &log, "--json"])
        .args(["--set", "evaluate.epochs=20", "--trials", "10000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The first line of progress comes with the first trial.
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    // Read on, so that the program never waits for us.
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{rest:?}");
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["end"], "cancelled");
    let kept = std::fs::read_to_string(log).unwrap().lines().count();
    assert!(kept >= 1 && json["trials"] == kept, "{json}");
}

#[test]
fn what_breaks_a_constraint_is_said() {
    let study = function("random");
    let (path, store) = (study.path(), study.beside("s.db"));
    let bound = "goal.subject_to=\"value <= -1\"";
    let answer = run(&["search", &path, "--set", bound, "--store", &store]);
    assert_eq!(answer.code, 3, "{}", answer.stderr);
    let said = "no trial keeps all constraints; the one that breaks them least breaks value <= -1";
    assert!(answer.stdout.contains(said), "{}", answer.stdout);
    let show = run(&["study", "show", "valley", "--store", &store]).done();
    assert!(show.stdout.contains(said), "{}", show.stdout);
    let list = run(&["study", "list", "--store", &store]).done();
    assert!(
        list.stdout.contains("(breaks value <= -1)"),
        "{}",
        list.stdout
    );
}

#[test]
fn a_strategy_that_is_not_there_is_told_with_its_place_and_what_was_meant() {
    let study = function("genetik");
    let message = run(&["search", &study.path()]).refused();
    assert!(
        message.contains("no searcher `genetik` (did you mean `genetic`?)"),
        "{message}"
    );
    assert!(message.contains("study.toml:"), "{message}");
}

#[test]
fn steps_that_do_not_divide_their_range_are_noted() {
    let axis = "space.x={ float = [0, 1], step = 0.3 }";
    let study = function("grid");
    let log = study.beside("log.jsonl");
    let answer = run(&["search", &study.path(), "--set", axis, "--log", &log]).done();
    let note = "note: axis `x`: the last value is 0.9, as its steps do not divide its range";
    assert!(answer.stderr.contains(note), "{}", answer.stderr);
    let log = std::fs::read_to_string(log).unwrap();
    assert!(
        log.contains("\"x\":0.9") && log.contains("\"x\":0.3"),
        "{log}"
    );
}
