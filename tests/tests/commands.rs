//! `list`, `info`, `inspect`, `eval` and `optimize` through the program: what they print, and how they end.

mod common;

use common::{Model, keys};
use lapidary_tests::{data, files, run};
use serde_json::Value;

#[test]
fn list_shows_what_is_installed() {
    let all = run(&["list", "--json"]).done().json;
    let names: Vec<(&str, &str)> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            assert_eq!(entry["origin"], "builtin");
            assert!(!entry["summary"].as_str().unwrap().is_empty());
            (
                entry["kind"].as_str().unwrap(),
                entry["name"].as_str().unwrap(),
            )
        })
        .collect();
    for name in [
        ("searcher", "genetic"),
        ("searcher", "greedy"),
        ("searcher", "random"),
        ("optimizer", "distill"),
        ("optimizer", "prune"),
        ("optimizer", "quantize"),
        ("evaluator", "command"),
        ("evaluator", "train"),
        ("family", "convnet"),
        ("family", "mlp"),
    ] {
        assert!(names.contains(&name), "{name:?} is not among {names:?}");
    }
    for (argument, kind) in [
        ("searchers", "searcher"),
        ("optimizers", "optimizer"),
        ("evaluators", "evaluator"),
        ("families", "family"),
    ] {
        let some = run(&["list", argument, "--json"]).done().json;
        let count = names.iter().filter(|(k, _)| *k == kind).count();
        assert_eq!(some.as_array().unwrap().len(), count, "{kind}");
        for entry in some.as_array().unwrap() {
            assert_eq!(entry["kind"], kind);
        }
    }
    assert!(run(&["list"]).done().stdout.contains("genetic"));
}

#[test]
fn info_explains_every_entry_and_its_settings() {
    for entry in run(&["list", "--json"]).done().json.as_array().unwrap() {
        let name = entry["name"].as_str().unwrap();
        let info = run(&["info", name, "--json"]).done().json;
        assert_eq!(info["kind"], entry["kind"]);
        for setting in info["settings"].as_array().unwrap() {
            // One that has to be given has no default.
            let Some(default) = setting.get("default") else {
                assert_eq!(keys(setting), ["name", "kind", "doc", "example"]);
                continue;
            };
            assert_eq!(keys(setting), ["name", "kind", "default", "doc", "example"]);
            let default = default.as_str().unwrap();
            assert!(
                serde_json::from_str::<Value>(default).is_ok(),
                "{name}: the default {default} is no JSON"
            );
        }
        assert!(run(&["info", name]).done().stdout.contains(name));
    }
    let message = run(&["info", "simplex"]).refused();
    assert!(
        message.contains("simplex") && message.contains("genetic") && message.contains("convnet"),
        "{message}"
    );
}

#[test]
fn inspect_gives_sizes_and_layers() {
    let model = Model::digits();
    let json = run(&["inspect", model.path(), "--json"]).done().json;
    assert_eq!(
        json["bytes"],
        std::fs::metadata(model.path()).unwrap().len()
    );
    assert_eq!(json["inputs"][0]["name"], "input");
    assert_eq!(json["outputs"][0]["name"], "logits");
    let layers = json["layers"].as_array().unwrap();
    for field in [
        "name", "kind", "shape", "params", "bytes", "macs", "bits", "sparsity",
    ] {
        assert!(layers[0].get(field).is_some(), "{field}: {}", layers[0]);
    }
    for total in ["params", "macs"] {
        let sum: u64 = layers.iter().filter_map(|l| l[total].as_u64()).sum();
        assert_eq!(json[total], sum, "{total}");
    }
    assert!(
        run(&["inspect", model.path()])
            .done()
            .stdout
            .contains("Gemm")
    );
}

#[test]
fn eval_measures_what_is_asked_for_on_the_part_asked_for() {
    let model = Model::digits();
    let all = ["eval", model.path(), "--data", "digits", "--json"];
    let json = run(&all).done().json;
    assert_eq!(json["samples"], 1797);
    assert!(json["seconds"].as_f64().unwrap() > 0.0);
    let accuracy = json["metrics"]["accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.8, "{json}");
    assert!(json["metrics"]["log_loss"].is_f64(), "{json}");

    let with = |more: &[&str]| run(&[&all[..], more].concat()).done().json;
    // However the samples are batched, the metrics are the same.
    assert_eq!(with(&["--batch", "7"])["metrics"], json["metrics"]);
    let one = with(&["--metric", "f1", "--split", "test"]);
    assert_eq!(keys(&one["metrics"]), ["f1"]);
    assert_eq!(one["samples"], 269);
    assert_eq!(with(&["--split", "valid", "--limit", "5"])["samples"], 5);
    // The parts are all there is.
    let parts: u64 = ["train", "valid", "test"]
        .iter()
        .map(|part| with(&["--split", part])["samples"].as_u64().unwrap())
        .sum();
    assert_eq!(parts, 1797);
}

#[test]
fn a_table_is_read_by_the_encoder_beside_the_model() {
    let model = Model::census();
    let table = data("census-test.csv");
    let table = table.to_str().unwrap();
    let args = [
        "eval",
        model.path(),
        "--data",
        table,
        "--target",
        "income",
        "--json",
    ];
    let json = run(&args).done().json;
    assert_eq!(json["samples"], 160);
    assert!(json["metrics"]["balanced_accuracy"].is_f64(), "{json}");
    // The same as the search saw on its test part, which is this file.
    assert_eq!(json["metrics"], model.search["test"]);
}

#[test]
fn optimize_measures_every_stage_and_keeps_the_encoder() {
    let model = Model::census();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("small.onnx");
    let table = data("census-train.csv");
    let json = run(&[
        "optimize",
        model.path(),
        "--with",
        "prune:sparsity=0.3,steps=1,finetune_epochs=1",
        "--with",
        "quantize",
        "--data",
        table.to_str().unwrap(),
        "--target",
        "income",
        "-o",
        out.to_str().unwrap(),
        "--json",
    ])
    .done()
    .json;
    assert_eq!(json["goal_met"], true);
    assert_eq!(json["output"], out.to_str().unwrap());
    let stages = json["stages"].as_array().unwrap();
    let names: Vec<&str> = stages.iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["original", "prune", "quantize"]);
    for stage in stages {
        for field in ["params", "bytes", "macs"] {
            assert!(stage[field].as_u64().unwrap() > 0, "{field}: {stage}");
        }
        assert!(stage["metrics"]["accuracy"].is_f64(), "{stage}");
    }
    assert!(stages[1]["sparsity"].as_f64().unwrap() > 0.25, "{json}");
    assert!(stages[0]["latency_ms"].is_f64() && stages[0]["latency"]["runtime"].is_string());
    // Integers run as floats here, so there is nothing to time.
    assert!(stages[2]["latency_ms"].is_null(), "{json}");
    assert_eq!(stages[2]["bytes"], std::fs::metadata(&out).unwrap().len());
    assert_eq!(
        files(folder.path()),
        ["small.encoder.json", "small.onnx"],
        "nothing else is left"
    );
    // What was written is what was measured.
    let again = run(&["inspect", out.to_str().unwrap(), "--json"])
        .done()
        .json;
    for field in ["params", "bytes", "macs", "sparsity"] {
        assert_eq!(again[field], stages[2][field], "{field}");
    }
}

#[test]
fn weights_are_quantized_without_data_too_and_the_same_seed_gives_the_same_file() {
    let model = Model::digits();
    let folder = tempfile::tempdir().unwrap();
    let mut written = Vec::new();
    for name in ["a.onnx", "b.onnx"] {
        let out = folder.path().join(name);
        let json = run(&[
            "optimize",
            model.path(),
            "--with",
            "quantize:scheme=weight_only,bits=4",
            "-o",
            out.to_str().unwrap(),
            "--json",
        ])
        .done()
        .json;
        let stages = json["stages"].as_array().unwrap();
        assert!(
            stages[1]["bytes"].as_u64() < stages[0]["bytes"].as_u64(),
            "{json}"
        );
        assert_eq!(keys(&stages[1]["metrics"]), [""; 0]);
        written.push(std::fs::read(&out).unwrap());
    }
    assert_eq!(written[0], written[1]);
}

#[test]
fn a_recipe_file_does_what_the_same_steps_do_on_the_command_line() {
    let model = Model::digits();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(
        path("recipe.toml"),
        "[[step]]\nname = \"prune\"\nsparsity = 0.5\nfinetune_epochs = 0\n\n[[step]]\nname = \"quantize\"\nscheme = \"weight_only\"\n",
    )
    .unwrap();
    let (a, b) = (path("a.onnx"), path("b.onnx"));
    let recipe = path("recipe.toml");
    run(&["optimize", model.path(), "--recipe", &recipe, "-o", &a]).done();
    run(&[
        "optimize",
        model.path(),
        "--with",
        "prune:sparsity=0.5,finetune_epochs=0",
        "--with",
        "quantize:scheme=weight_only",
        "-o",
        &b,
    ])
    .done();
    assert_eq!(std::fs::read(a).unwrap(), std::fs::read(b).unwrap());
}

#[test]
fn a_goal_that_cannot_be_met_is_told_by_the_exit_code() {
    let model = Model::digits();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.onnx");
    let with = |max_drop: &str| {
        run(&[
            "optimize",
            model.path(),
            "--with",
            // A student of one neuron cannot tell ten digits apart.
            "distill:settings.depth=1,settings.width=1,epochs=1",
            "--data",
            "digits",
            "--max-drop",
            max_drop,
            "-o",
            out.to_str().unwrap(),
            "--json",
        ])
    };
    let missed = with("0.01");
    assert_eq!(missed.code, 3, "{}", missed.stderr);
    assert_eq!(missed.json["goal_met"], false);
    let met = with("100%").done();
    assert_eq!(met.json["goal_met"], true);
}
