//! Programs as evaluators, limits on trials, and sessions, through the program.

mod common;

use common::Study;
use lapidary_tests::{lapidary, root, run};
use serde_json::{Value, json};

/// A study of three trials that run `script` in a shell.
fn shell(script: &str, budget: &str) -> Study {
    Study::shell(3, "int = [1, 3]", script, budget)
}

#[test]
fn the_example_tunes_a_shell_command() {
    let example = root().join("examples/command.toml");
    let found = run(&["search", example.to_str().unwrap(), "--json"]).done();
    let best = &found.json["best"];
    assert_eq!(best["point"]["n"], 7);
    assert!(best["metrics"]["loss"].as_f64().unwrap() < 0.1, "{best}");
    assert_eq!(found.json["failed"], 0);
}

#[test]
fn a_program_that_fails_is_a_failed_trial_with_the_end_of_its_stderr() {
    let script =
        r#"if [ {x} = 2 ]; then echo no such luck >&2; exit 4; fi; echo "{\"loss\": {x}}""#;
    let study = shell(script, "");
    let log = study.beside("log.jsonl");
    let found = run(&["search", &study.path(), "--json", "--log", &log]).done();
    assert_eq!(found.json["failed"], 1);
    assert_eq!(found.json["best"]["point"], json!({"x": 1}));
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("no such luck"), "{log}");
}

#[test]
fn an_endless_trial_is_ended() {
    let study = shell("sleep 1000 & sleep 1000", "trial_time = \"300ms\"");
    let answer = run(&["search", &study.path(), "--json"]);
    assert_eq!(answer.code, 1, "{}", answer.stderr);
    assert!(
        answer.stderr.contains("killed after 300ms"),
        "{}",
        answer.stderr
    );
}

#[test]
fn a_session_asks_and_is_told_in_json_lines() {
    let study = shell("", "");
    let lines = r#"{"ask": 2}
{"tell": {"id": 0, "metrics": {"loss": 2.5}}}
nonsense
{"tell": {"id": 1, "failed": "no luck"}}
{"best": true}
{"pending": true}
"#;
    let output = lapidary()
        .args(["session", &study.path(), "--no-store"])
        .write_stdin(lines)
        .output()
        .unwrap();
    assert!(output.status.success());
    let answers: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers[0]["candidates"][1]["id"], 1);
    assert_eq!(answers[1], json!({"ok": true}));
    assert!(answers[2]["error"].is_string());
    assert_eq!(answers[3], json!({"ok": true}));
    assert_eq!(answers[4]["best"]["metrics"]["loss"], 2.5);
    assert_eq!(answers[5], json!({"pending": []}));
}
