//! Evaluators of other crates, chosen by name in a program of one's own, and what trials leave: kept, and not made a second time.

mod common;

use std::path::Path;
use std::process::{Command, Stdio};

use common::Study;
use lapidary_tests::{Answer, files, own_program, root, run, run_by};
use serde_json::Value;

/// The conformance of the evaluator among the examples, here so that the engine it needs is not built once more.
#[path = "../../examples/ridge/tests/conformance.rs"]
mod ridge_conformance;

/// Runs the program that has `ridge` and `noted` among its evaluators.
fn own(args: &[&str]) -> Answer {
    run_by(own_program(), Path::new("."), args)
}

/// A study of networks whose evaluations are noted in `notes.txt`.
fn noted(more: &str) -> Study {
    Study::new(&format!(
        r#"
[study]
name = "nets"
seed = 2
strategy = "random"
[budget]
trials = 6
{more}
[goal]
maximize = ["accuracy"]
minimize = ["bytes"]
[evaluate]
kind = "noted"
notes = "notes.txt"
evaluator = "train"
settings = {{ family = "mlp", data = "digits", limit = 100, epochs = 2 }}
[space]
width = {{ int = [4, 16] }}
"#
    ))
}

/// The numbers of the candidates that were evaluated, in order.
fn notes(study: &Study) -> Vec<u64> {
    let notes = std::fs::read_to_string(study.beside("notes.txt")).unwrap_or_default();
    let mut notes: Vec<u64> = notes.lines().map(|line| line.parse().unwrap()).collect();
    notes.sort_unstable();
    notes
}

fn bytes(path: &str) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[test]
fn an_evaluator_of_ones_own_is_chosen_by_name() {
    let listed = own(&["list", "evaluators", "--json"]).done().json;
    let origin = |name: &str| {
        let listed = listed.as_array().unwrap().iter();
        let entry = listed.clone().find(|entry| entry["name"] == name);
        entry.map(|entry| entry["origin"].clone())
    };
    assert_eq!(origin("train"), Some("builtin".into()));
    assert_eq!(origin("ridge"), Some("linked".into()));
    assert_eq!(origin("noted"), Some("linked".into()));
    let info = own(&["info", "ridge", "--json"]).done().json;
    assert_eq!(info["settings"][2]["name"], "folds");

    let example = root().join("examples/ridge/ridge.toml");
    let example = example.to_str().unwrap();
    let message = run(&["search", example]).refused();
    assert!(
        message.contains("ridge.toml:17:8: `evaluate.kind`: no kind \"ridge\""),
        "{message}"
    );
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("ridge.onnx");
    let out = out.to_str().unwrap();
    let found = own(&["search", example, "-o", out, "--json"]).done().json;
    let penalty = found["best"]["point"]["penalty"].as_f64().unwrap();
    assert!((1e-6..1e2).contains(&penalty), "{found}");
    assert_eq!(files(folder.path()), ["ridge.encoder.json", "ridge.onnx"]);
    // What it left is a model as any.
    let table = root().join("tests/data/diabetes.csv");
    let eval = ["eval", out, "--data", table.to_str().unwrap(), "--json"];
    let eval = run(&[&eval[..], &["--split", "test"]].concat()).done().json;
    for metric in ["mse", "r2"] {
        let [one, two] = [&eval, &found].map(|json| {
            let metrics = json.get("metrics").unwrap_or(&json["test"]);
            metrics[metric].as_f64().unwrap()
        });
        assert!(
            (one - two).abs() <= 1e-5 * one.abs(),
            "{metric}: {one}, {two}"
        );
    }

    for (set, wanted) in [
        ("evaluate.folds=1", "`folds` must be"),
        (
            "evaluate.fold=3",
            "has no key `fold` (did you mean `folds`?)",
        ),
        ("evaluate.data=none.csv", "none.csv"),
        ("evaluate.target=\"weight\"", "weight"),
        ("space.x={ int = [1, 2] }", "`x` is no axis here"),
        ("goal.minimize=[\"rmse\"]", "no metric `rmse`"),
    ] {
        let message = own(&["search", example, "--set", set]).refused();
        assert!(message.contains(wanted), "{set}: {message}");
    }
    // It reports, so its trials can be stopped, and takes fidelities, so they can be sent up rungs.
    let stop = [
        "--set",
        "stop.rule=\"median\"",
        "--set",
        "stop.min_trials=1",
    ];
    own(&[&["search", example][..], &stop].concat()).done();
    own(&["search", example, "--strategy", "halving", "--trials", "80"]).done();
}

#[test]
fn the_winner_is_not_evaluated_twice_whatever_keeps_it() {
    let mut models = Vec::new();
    for more in ["", "trial_time = \"10m\"", "memory = \"8GiB\""] {
        for stored in [false, true] {
            let study = noted(more);
            let (path, out, store) = (
                study.path(),
                study.beside("best.onnx"),
                study.beside("study.db"),
            );
            let mut args = vec!["search", &path, "-o", &out, "--json"];
            if stored {
                args.extend(["--store", &store]);
            }
            let found = own(&args).done().json;
            assert_eq!(
                notes(&study),
                [0, 1, 2, 3, 4, 5],
                "{more}, stored: {stored}"
            );
            assert!(found["test"]["accuracy"].is_f64(), "{found}");
            let kept = found["best"]["artefacts"]["model"]["bytes"].as_u64();
            assert_eq!(kept, Some(bytes(&out).len() as u64), "{found}");
            models.push(bytes(&out));
        }
    }
    assert!(models.iter().all(|model| *model == models[0]));
    // Without need nothing is kept.
    let study = noted("");
    let found = own(&["search", &study.path(), "--json"]).done().json;
    assert_eq!(found["best"].get("artefacts"), None);
}

#[test]
fn a_resumed_study_has_what_its_trials_left_and_makes_again_what_is_lost() {
    let study = noted("");
    let (path, store) = (study.path(), study.beside("study.db"));
    let (out, folder) = (
        study.beside("best.onnx"),
        study.beside("study.db.artefacts"),
    );
    let search = ["search", &path, "--store", &store, "--resume", "--json"];
    let first = own(&search).done().json;
    assert_eq!(notes(&study).len(), 6);
    let write = |out: &str| own(&[&search[..], &["-o", out]].concat()).done().json;
    let resumed = write(&out);
    assert_eq!(notes(&study).len(), 6, "the winner is there");
    assert_eq!(resumed["best"], first["best"]);

    let show = ["study", "show", "nets", "--store", &store, "--json"];
    let shown = run(&show).done().json;
    assert_eq!(shown["front"], first["front"]);
    let front = shown["front"].as_array().unwrap();
    let mut hashes: Vec<&str> = front
        .iter()
        .map(|found| found["artefacts"]["model"]["hash"].as_str().unwrap())
        .collect();
    hashes.sort_unstable();
    hashes.dedup();
    let kept = files(Path::new(&folder));
    assert_eq!(kept.len(), front.len() + hashes.len(), "{kept:?}");

    // Another file under the hash, and none at all.
    let hash = first["best"]["artefacts"]["model"]["hash"]
        .as_str()
        .unwrap();
    let file = format!("{folder}/nets/{hash}");
    assert_eq!(bytes(&file), bytes(&out));
    let model = bytes(&out);
    std::fs::write(&file, b"no model").unwrap();
    for evaluations in [7, 8] {
        write(&out);
        assert!(bytes(&out) == model);
        assert_eq!(notes(&study).len(), evaluations);
        let _ = std::fs::remove_dir_all(&folder);
    }
    run(&["study", "rm", "nets", "--store", &store, "--yes"]).done();
    assert!(!Path::new(&folder).exists());
}

#[test]
fn a_killed_study_has_what_its_trials_left() {
    let study = noted("");
    let (path, store) = (study.path(), study.beside("study.db"));
    let folder = study.beside("study.db.artefacts/nets");
    let search = ["search", &path, "--store", &store, "--resume"];
    for _ in 0..3 {
        let mut child = Command::new(own_program().get_program())
            .args(search)
            .args(["--jobs", "1"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let labels = || std::fs::read_dir(&folder).map_or(0, Iterator::count);
        let before = labels();
        while labels() == before && child.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    own(&search).done();
    let evaluations = notes(&study).len();
    // Of a run that was killed, the trial that had left its model may not have been told, and the next may have begun.
    assert!((6..=12).contains(&evaluations), "{evaluations}");
    let out = study.beside("best.onnx");
    let found = own(&[&search[..], &["-o", &out, "--json"]].concat())
        .done()
        .json;
    assert_eq!(
        notes(&study).len(),
        evaluations,
        "no evaluation for the model"
    );
    let undisturbed = noted("");
    let other = undisturbed.beside("best.onnx");
    let wanted = own(&["search", &undisturbed.path(), "-o", &other, "--json"]).done();
    assert_eq!(
        without_artefacts(&found["best"]),
        without_artefacts(&wanted.json["best"])
    );
    assert!(bytes(&out) == bytes(&other));
}

/// A trial that stands out, without what it left.
fn without_artefacts(found: &Value) -> Value {
    let mut found = found.clone();
    found.as_object_mut().unwrap().remove("artefacts");
    found
}

#[test]
fn a_study_whose_trials_leave_no_model_writes_none() {
    let study = Study::shell(2, "float = [0, 1]", "echo '{\"loss\": 1}'", "");
    let out = study.beside("best.onnx");
    let message = run(&["search", &study.path(), "-o", &out]).refused();
    assert!(message.contains("trials are no models"), "{message}");
    let function = root().join("examples/function.toml");
    let message = run(&["search", function.to_str().unwrap(), "-o", &out]).refused();
    assert!(message.contains("trials are no models"), "{message}");
    assert!(!Path::new(&out).exists());
}
