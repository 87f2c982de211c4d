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

#[test]
fn a_training_that_diverges_is_a_failed_trial() {
    let script = r#"for s in 1 2; do echo "{\"step\": $s, \"loss\": 0.$s}"; done; echo '{"step": 3, "loss": NaN}'"#;
    for last in [
        "",
        "; echo '{\"loss\": NaN}'",
        "; echo '{\"loss\": -Infinity}'",
        "; echo '{\"loss\": null}'",
    ] {
        let answer = run(&["search", &shell(&format!("{script}{last}"), "").path()]);
        assert_eq!(answer.code, 1, "{last}: {}", answer.stdout);
        let reason = "objective `loss` is ";
        assert!(answer.stderr.contains(reason), "{last}: {}", answer.stderr);
    }
}

#[test]
fn a_later_object_mixes_with_no_earlier_one() {
    let last = |script: &str| {
        let study = shell(script, "");
        let log = study.beside("log.jsonl");
        let code = run(&["search", &study.path(), "--log", &log]).code;
        let log = std::fs::read_to_string(log).unwrap();
        let first: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
        (code, first["outcome"].clone())
    };
    let (_, outcome) = last(r#"echo '{"loss": 5, "acc": 1}'; echo '{"loss": 2}'; echo bye"#);
    assert_eq!(outcome["metrics"], json!({"loss": 2.0}));
    let (code, outcome) = last(r#"echo '{"loss": 5}'; echo '{"ts": 169}'"#);
    let reason = "no metric `loss` was reported; there are ts";
    assert_eq!((code, &outcome["reason"]), (1, &json!(reason)));
}

#[test]
fn names_of_axes_may_hold_anything_and_unknown_ones_are_refused() {
    let study = |args: &str| {
        Study::new(&format!(
            r#"
[study]
strategy = "random"
[budget]
trials = 2
[goal]
minimize = ["loss"]
[evaluate]
kind = "command"
program = "sh"
args = ["-c", 'echo "{{\"loss\": $1}}"', "sh", {args}]
[space]
"model.lr" = {{ float = [0, 1] }}
"opt/wd" = {{ int = [1, 9] }}
"with space" = {{ choice = ["plain", "$(odd)"] }}
"#
        ))
    };
    let found = run(&[
        "search",
        &study(r#""{model.lr}", "{opt/wd}", "{with space}""#).path(),
        "--json",
    ])
    .done();
    let best = &found.json["best"];
    assert_eq!(best["metrics"]["loss"], best["point"]["model.lr"]);
    assert_eq!(
        found.json["reproducible"], false,
        "nobody knows it of a program"
    );
    for unknown in ["{model.lrr}", "{opt/w}", "{model.lr:.3f}", "{ model.lr }"] {
        let message = run(&["search", &study(&format!("\"{unknown}\"")).path()]).refused();
        assert!(
            message.contains(&format!("`{unknown}` is no axis of the space")),
            "{message}"
        );
    }
    let script = study(r#""1""#);
    let text = std::fs::read_to_string(script.path()).unwrap();
    std::fs::write(script.path(), text.replace("$1", "1$(: {with space})")).unwrap();
    let answer = run(&["search", &script.path()]);
    let note = "note: `{with space}` is filled into a script as it is";
    assert!(answer.stderr.contains(note), "{}", answer.stderr);
}

#[test]
fn noisy_points_of_a_small_space_are_evaluated_as_often_as_the_budget_says() {
    let study = shell(r#"echo run >> runs; echo "{\"loss\": {x}}""#, "");
    let args = [
        "search",
        &study.path(),
        "--set",
        "study.repeats=true",
        "--trials",
        "7",
        "--json",
    ];
    let found = run(&args).done().json;
    assert_eq!(
        (&found["trials"], &found["end"]),
        (&json!(7), &json!("trials"))
    );
    let runs = std::fs::read_to_string(study.beside("runs")).unwrap();
    assert_eq!(runs.lines().count(), 7);
}
