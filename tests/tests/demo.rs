//! `demo` through the program, with a tiny search.

mod common;

use std::path::Path;

use common::keys;
use lapidary_tests::{files, run};
use serde_json::Value;

fn demo(folder: &Path) -> Value {
    let out = folder.to_str().unwrap();
    run(&["demo", "--trials", "2", "--out", out, "--json"])
        .done()
        .json
}

#[test]
fn the_demo_searches_distills_prunes_and_quantizes() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    let json = demo(&a);
    let stages = json["stages"].as_array().unwrap();
    let names: Vec<&str> = stages.iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["searched", "distilled", "pruned", "quantized"]);
    let size = |i: usize, field: &str| stages[i][field].as_f64().unwrap();
    for field in ["bytes", "macs", "params"] {
        assert!(size(1, field) < size(0, field), "{field}: {json}");
        assert!(size(2, field) < size(1, field), "{field}: {json}");
    }
    assert!(size(3, "bytes") < size(2, "bytes"), "{json}");
    for (i, stage) in stages.iter().enumerate() {
        assert!(
            stage["metrics"]["accuracy"].as_f64().unwrap() > 0.8,
            "{stage}"
        );
        assert_eq!(stage["latency_ms"].is_f64(), i < 3, "{stage}");
    }
    assert_eq!(json["search"]["trials"], 2);
    assert_eq!(
        files(&a),
        [
            "distilled.onnx",
            "pruned.onnx",
            "quantized.onnx",
            "searched.onnx",
            "study.toml"
        ]
    );
    // The study file finds the same winner.
    let study = a.join("study.toml");
    let search = run(&["search", study.to_str().unwrap(), "--json"])
        .done()
        .json;
    assert_eq!(search["best"], json["search"]["best"]);

    // Same seed, same table but for latency, and the same files.
    let again = demo(&b);
    for (one, two) in stages.iter().zip(again["stages"].as_array().unwrap()) {
        for field in keys(one) {
            if !field.starts_with("latency") {
                assert_eq!(one[field], two[field], "{field}");
            }
        }
    }
    for name in files(&a) {
        assert_eq!(
            std::fs::read(a.join(&name)).unwrap(),
            std::fs::read(b.join(&name)).unwrap(),
            "{name}"
        );
    }
}
