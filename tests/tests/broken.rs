//! Broken input gives exit code 2, one clear message, and no half-written file.

mod common;

use std::path::Path;

use common::{Model, Study};
use lapidary_tests::{data, files, run};

/// A folder with one regular file in it, `file`.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "x").unwrap();
    folder
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Runs `optimize` on `model` and expects that it is refused and that nothing is written.
fn optimize_refused(model: &str, more: &[&str]) -> String {
    let folder = folder();
    let out = text(&folder.path().join("out.onnx"));
    let message = run(&[&["optimize", model, "-o", &out], more].concat()).refused();
    assert_eq!(files(folder.path()), ["file"], "{message}");
    message
}

const STUDY: &str = r#"
[study]
strategy = "random"
[budget]
trials = 2
[goal]
minimize = ["value"]
[evaluate]
kind = "function"
name = "sphere"
[space]
x = { float = [-1.0, 1.0] }
"#;

/// The message of the study that comes of `STUDY` by replacing `from` by `to`.
fn study_refused(from: &str, to: &str) -> String {
    assert!(STUDY.contains(from), "{from}");
    let study = Study::new(&STUDY.replacen(from, to, 1));
    let message = run(&["search", &study.path()]).refused();
    let folder = Path::new(&study.path()).parent().unwrap().to_owned();
    assert_eq!(files(&folder), ["study.toml"]);
    message
}

#[test]
fn a_truncated_model_is_refused_wherever_it_ends() {
    let folder = folder();
    let bytes = Model::digits().bytes();
    let path = text(&folder.path().join("cut.onnx"));
    for end in [0, 1, 10, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..end]).unwrap();
        for args in [
            vec!["inspect", &path],
            vec!["eval", &path, "--data", "digits"],
        ] {
            let message = run(&args).refused();
            assert!(message.contains("cut.onnx"), "{end}: {message}");
        }
        optimize_refused(&path, &["--with", "quantize:scheme=weight_only"]);
    }
    let message = run(&["inspect", "no/such.onnx"]).refused();
    assert!(message.contains("no/such.onnx"), "{message}");
}

#[test]
fn weights_that_are_not_finite_are_refused_by_name() {
    let folder = folder();
    let good = Model::digits().bytes();
    let weight = largest_weight(&good);
    for (value, word) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        let mut bytes = good.clone();
        let at = weight.offset + 4 * 5;
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        let path = text(&folder.path().join("bad.onnx"));
        std::fs::write(&path, bytes).unwrap();
        let eval = run(&["eval", &path, "--data", "digits"]).refused();
        let optimize = optimize_refused(&path, &["--with", "quantize:scheme=weight_only"]);
        for message in [eval, optimize] {
            for part in ["bad.onnx", &weight.name, word, "5"] {
                assert!(message.contains(part), "{part}: {message}");
            }
        }
    }
}

struct Weight {
    name: String,
    offset: usize,
}

/// The largest weight of a model that keeps its weights as raw bytes, and where these stand in the file.
fn largest_weight(file: &[u8]) -> Weight {
    use lapidary_core::model::Model as _;
    use lapidary_core::tensor::Tensor;

    let model = lapidary_model::GraphModel::from_bytes(file, None).unwrap();
    let (name, tensor) = model
        .weights()
        .iter()
        .max_by_key(|(_, tensor)| tensor.len())
        .unwrap();
    let Tensor::Dense(dense) = &**tensor else {
        panic!("{name} is not dense")
    };
    let values = dense.as_f32().unwrap();
    let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let offset = file
        .windows(raw.len())
        .position(|window| window == raw)
        .unwrap();
    Weight {
        name: name.clone(),
        offset,
    }
}

#[test]
fn a_table_without_a_column_is_refused() {
    let model = Model::census();
    let folder = folder();
    let table = std::fs::read_to_string(data("census-test.csv")).unwrap();
    let cut: Vec<String> = table
        .lines()
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            [&cells[..1], &cells[2..]].concat().join(",")
        })
        .collect();
    let path = text(&folder.path().join("cut.csv"));
    std::fs::write(&path, cut.join("\n")).unwrap();
    let message = run(&["eval", model.path(), "--data", &path, "--target", "income"]).refused();
    assert!(
        message.contains("`work`") && message.contains("education") && message.contains("cut.csv"),
        "{message}"
    );
    let message = run(&["eval", model.path(), "--data", &path, "--target", "wages"]).refused();
    assert!(message.contains("wages"), "{message}");
}

#[test]
fn mistakes_in_a_study_file_are_named_with_their_place() {
    for (from, to, parts) in [
        (
            "trials = 2",
            "trails = 2",
            &["study.toml:5:1", "trails", "trials"][..],
        ),
        ("[space]", "[spaec]", &["spaec", "space"]),
        (
            "trials = 2",
            "trials = \"two\"",
            &["study.toml:5:10", "trials"],
        ),
        (
            "strategy = \"random\"",
            "strategy = \"randm\"",
            &["randm", "random", "genetic"],
        ),
        (
            "name = \"sphere\"",
            "name = \"spere\"",
            &["spere", "sphere"],
        ),
        (
            "minimize = [\"value\"]",
            "minimize = [\"accuracy\"]",
            &["accuracy", "value"],
        ),
        ("x = {", "x = [", &["study.toml:"]),
        ("[-1.0, 1.0]", "[1.0, -1.0]", &["study.toml:12", "`x`"]),
        (
            "[-1.0, 1.0]",
            "[-1.0, 1.0], when = \"z == 1\"",
            &["study.toml:12", "`z`"],
        ),
        (
            "[goal]",
            "[strategy]\nspeed = 3\n[goal]",
            &["speed", "sampling"],
        ),
    ] {
        let message = study_refused(from, to);
        for part in parts {
            assert!(message.contains(part), "{to}: {part} is not in: {message}");
        }
    }
    assert!(
        run(&["search", "no/such.toml"])
            .refused()
            .contains("no/such.toml")
    );
}

#[test]
fn unknown_names_are_answered_with_the_known() {
    let study = Study::new(STUDY);
    let path = study.path();
    let model = Model::digits().path();
    for (args, parts) in [
        (
            vec!["search", &path, "--strategy", "annealing"],
            &["annealing", "genetic"][..],
        ),
        (
            vec!["search", &path, "--set", "speed=3"],
            &["speed", "sampling"],
        ),
        (
            vec!["search", &path, "--set", "nonsense"],
            &["nonsense", "key=value"],
        ),
        (
            vec![
                "eval", model, "--data", "digits", "--metric", "recall", "--json",
            ],
            &["recall", "accuracy"],
        ),
        (
            vec!["eval", model, "--data", "digits", "--metric", "mse"],
            &["mse", "accuracy"],
        ),
        (
            vec!["eval", model, "--data", "digits", "--split", "dev"],
            &["dev", "valid"],
        ),
        (
            vec!["eval", model, "--data", "no/such.npz"],
            &["no/such.npz"],
        ),
        (vec!["eval", model, "--data", "digitz"], &["digitz"]),
    ] {
        let message = run(&args).refused();
        for part in parts {
            assert!(message.contains(part), "{args:?}: {message}");
        }
    }
    for (with, parts) in [
        ("shrink", &["shrink", "quantize", "prune", "distill"][..]),
        ("quantize:bit=8", &["bit", "bits"]),
        ("quantize:bits", &["bits", "key=value"]),
        ("prune:sparsity=1.5", &["sparsity"]),
        ("prune:layers=[\"conv*\"]", &["conv*", "hidden1"]),
    ] {
        let message = optimize_refused(model, &["--with", with]);
        for part in parts {
            assert!(message.contains(part), "{with}: {message}");
        }
    }
}

#[test]
fn data_that_does_not_fit_the_model_is_refused() {
    let model = Model::digits().path();
    let iris = data("iris.csv");
    let message = run(&["eval", model, "--data", iris.to_str().unwrap()]).refused();
    assert!(
        message.contains("input") && message.contains("[4]"),
        "{message}"
    );
    let fashion = data("fashion_mnist");
    let message = run(&["eval", model, "--data", fashion.to_str().unwrap()]).refused();
    assert!(message.contains("28"), "{message}");
}

#[test]
fn where_nothing_can_be_written_is_found_out_before_the_work() {
    let folder = folder();
    let through = text(&folder.path().join("file/out.onnx"));
    let missing = text(&folder.path().join("missing/out.onnx"));
    let itself = text(folder.path());
    let model = Model::digits();
    let study = Study::new(&STUDY.replace("trials = 2", "trials = 1000000000"));
    for bad in [&through, &missing, &itself] {
        let args = [
            "optimize",
            model.path(),
            "--with",
            "quantize:scheme=weight_only",
        ];
        let message = run(&[&args[..], &["-o", bad]].concat()).refused();
        assert!(message.contains(bad), "{message}");
        let message = run(&["search", &study.path(), "--log", bad]).refused();
        assert!(message.contains(bad), "{message}");
    }
    let under = text(&folder.path().join("file/sub"));
    let message = run(&["demo", "--out", &under]).refused();
    assert!(message.contains(&under), "{message}");
    assert_eq!(files(folder.path()), ["file"]);
    // A study of a function has no model to write.
    let message = run(&[
        "search",
        &study.path(),
        "-o",
        &text(&folder.path().join("a.onnx")),
    ])
    .refused();
    assert!(message.contains("no models"), "{message}");
}

#[test]
fn a_disk_that_is_full_fails_the_work_and_leaves_nothing_half_written() {
    let study = Study::new(&STUDY.replace("trials = 2", "trials = 100"));
    let folder = folder();
    let log = folder.path().join("log.jsonl");
    std::fs::write(&log, "of an earlier search").unwrap();
    // Files may have a block or two of 512 bytes; a write beyond them fails.
    let output = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$@\"", "sh"])
        .arg(lapidary_tests::lapidary().get_program())
        .args(["search", &study.path(), "--log", &text(&log)])
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("error: cannot write ") && stderr.contains("log.jsonl"));
    assert_eq!(
        std::fs::read_to_string(&log).unwrap(),
        "of an earlier search"
    );
    assert_eq!(files(folder.path()), ["file", "log.jsonl"]);
}

#[test]
fn usage_errors_end_with_2() {
    for args in [
        &["optimise"][..],
        &["eval"],
        &["optimize", "a.onnx", "-o", "b.onnx"],
        &["search", "a.toml", "--jobs", "0"],
        &["search", "a.toml", "--time", "soon"],
        &[
            "optimize",
            "a.onnx",
            "--with",
            "prune",
            "--max-drop",
            "0.1",
            "-o",
            "b.onnx",
        ],
    ] {
        let message = run(args).refused();
        assert!(message.len() > "error: ".len(), "{args:?}");
    }
}

#[test]
fn an_evaluation_that_always_fails_is_a_failure_of_the_work() {
    // Momentum 1 is out of bounds at every point but the one that is probed first.
    let study = Study::new(
        r#"
[study]
strategy = "random"
[budget]
trials = 3
[goal]
maximize = ["accuracy"]
[evaluate]
kind = "train"
family = "mlp"
data = "digits"
limit = 50
epochs = 1
optimizer = "sgd"
learning_rate = 1e30
[space]
width = { int = [4, 8] }
"#,
    );
    let answer = run(&["search", &study.path(), "--json"]);
    assert_eq!(answer.code, 1, "{}", answer.stderr);
    assert_eq!(answer.json["failed"], 3);
    assert!(answer.json["best"].is_null());
    assert!(
        answer.stderr.contains("error: all trials failed"),
        "{}",
        answer.stderr
    );
}
