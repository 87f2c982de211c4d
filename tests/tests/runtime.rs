//! Formats and runtimes from the command line: what there is, and what is said of what is not.

mod common;

use std::path::Path;

use common::{Model, Study};
use lapidary_core::json::Json;
use lapidary_core::registry::Registry;
use lapidary_core::rng::Rng;
use lapidary_core::runtime::Runtime;
use lapidary_core::tensor::{DType, Dense, Granularity, Quantized, Tensor};
use lapidary_graph::build::GraphBuilder;
use lapidary_model::GraphModel;
use lapidary_tests::{run, run_in};
use ndarray::{Array1, ArrayD, IxDyn};
use ndarray_npy::NpzWriter;
use serde_json::json;

fn rten() -> Box<dyn Runtime> {
    let registry = Registry::new(lapidary_model::ENTRIES).unwrap();
    registry.runtime("rten", &Json::Null).unwrap()
}

/// A file in a folder of its own.
fn file(name: &str, content: &[u8]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

fn random(shape: &[usize], seed: u64) -> Dense {
    let mut rng = Rng::keyed(seed, 0, "tests: runtime");
    let data = (0..shape.iter().product()).map(|_| 0.3 * rng.normal() as f32);
    Dense::f32(shape, data.collect()).unwrap()
}

#[test]
fn rten_keeps_what_every_runtime_keeps() {
    let runtime = rten();
    for (name, property) in lapidary_testkit::runtime::PROPERTIES {
        println!("{name}");
        property(runtime.as_ref());
    }
}

#[test]
fn formats_and_runtimes_are_listed_with_what_they_need() {
    let folder = tempfile::tempdir().unwrap();
    let list = |kind: &str| {
        let mut program = lapidary_tests::lapidary();
        program
            .env_remove("ORT_DYLIB_PATH")
            .env_remove("VIRTUAL_ENV");
        let program = program
            .current_dir(folder.path())
            .args(["list", kind, "--json"]);
        let output = program.output().unwrap();
        assert!(output.status.success());
        serde_json::from_slice::<Json>(&output.stdout).unwrap()
    };
    let formats = list("formats");
    assert_eq!(formats[0]["name"], "onnx");
    assert_eq!(formats[0]["kind"], "format");
    let runtimes = list("runtimes");
    let found: Vec<_> = (runtimes.as_array().unwrap().iter())
        .map(|r| (r["name"].as_str().unwrap(), r["found"].as_bool().unwrap()))
        .collect();
    assert_eq!(found, [("ort", false), ("rten", true)]);
    // The library of the Python package in ./.venv is found.
    let capi = folder
        .path()
        .join(".venv/lib/python3.12/site-packages/onnxruntime/capi");
    std::fs::create_dir_all(&capi).unwrap();
    std::fs::write(capi.join("libonnxruntime.so.1.32.0"), "").unwrap();
    let ort = &list("runtimes")[0];
    assert_eq!(ort["found"], true, "{ort}");
    let library = ort["library"].as_str().unwrap();
    assert!(library.ends_with("libonnxruntime.so.1.32.0"), "{library}");
    let settings = run(&["info", "ort", "--json"]).done().json;
    assert_eq!(settings["settings"][0]["name"], "library");
}

#[test]
fn runtimes_that_cannot_be_had_are_refused() {
    let model = Model::digits().path();
    let eval = ["eval", model, "--data", "digits"];
    let refused = |more: &[&str]| run(&[&eval[..], more].concat()).refused();
    let message = refused(&["--runtime", "tvm"]);
    assert!(
        message.contains("tvm") && message.contains("ort, rten"),
        "{message}"
    );
    let message = refused(&["--runtime", "ort", "--ort-lib", "no/such.so"]);
    for part in ["no/such.so", "--ort-lib", "ORT_DYLIB_PATH", "onnxruntime"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let (_folder, path) = file("library.so", b"no library");
    let message = refused(&["--runtime", "ort", "--ort-lib", &path]);
    assert!(
        message.contains("library.so") && message.contains("onnxruntime"),
        "{message}"
    );
    let message = refused(&["--runtime", "rten", "--ort-lib", &path]);
    assert!(
        message.contains("library") && message.contains("threads"),
        "{message}"
    );
    refused(&["--threads", "0"]);
    let study = Study::new(
        r#"
        [goal]
        maximize = ["accuracy"]
        [budget]
        trials = 1
        [runtime]
        name = "tvm"
        [evaluate]
        kind = "train"
        family = "mlp"
        data = "digits"
        epochs = 1
        [space]
        depth = { int = [1, 2] }
        "#,
    );
    let message = run(&["search", &study.path()]).refused();
    assert!(
        message.contains("study.toml:7") && message.contains("rten"),
        "{message}"
    );
    let message = run(&[
        "search",
        &study.path(),
        "--runtime",
        "ort",
        "--ort-lib",
        "none.so",
    ]);
    let message = message.refused();
    assert!(
        message.contains("none.so") && message.contains("--ort-lib"),
        "{message}"
    );
}

#[test]
fn what_ran_a_model_is_said_and_threads_change_nothing() {
    let model = Model::digits().path();
    let eval = |more: &[&str]| {
        let args = [&["eval", model, "--data", "digits", "--json"], more].concat();
        run(&args).done().json
    };
    let usual = eval(&[]);
    assert_eq!(usual["runtime"], "rten");
    let one = eval(&["--runtime", "rten", "--threads", "1"]);
    assert_eq!(one["metrics"], usual["metrics"]);
    let folder = tempfile::tempdir().unwrap();
    let args = [
        "optimize", model, "--with", "prune", "--data", "digits", "-o", "out.onnx",
    ];
    let done = run_in(
        folder.path(),
        &[&args[..], &["--threads", "1", "--json"]].concat(),
    );
    let latency = &done.done().json["stages"][0]["latency"];
    assert_eq!(latency["runtime"], "rten");
    assert_eq!(latency["threads"], 1);
}

#[test]
fn a_file_of_no_format_is_answered_with_those_there_are() {
    let (_folder, path) = file("model.bin", b"\x7fELF");
    let message = run(&["inspect", &path]).refused();
    assert!(
        message.contains("model.bin") && message.contains("onnx"),
        "{message}"
    );
    // What a file holds counts, whatever it is called.
    let (_folder, path) = file("model.bin", &Model::digits().bytes());
    assert!(run(&["inspect", &path, "--json"]).done().json["params"].as_u64() > Some(0));
}

/// A transformer block as onnxruntime's optimizer leaves one, over samples of 4 × 16, its head giving 3 classes.
pub fn merged_transformer() -> GraphModel {
    let mut b = GraphBuilder::new("merged");
    let x = b.input("x", DType::F32, &[4, 16]);
    let codes = random(&[16, 16], 1)
        .as_f32()
        .unwrap()
        .mapv(|v| (8.0 + 10.0 * v).clamp(0.0, 15.0) as i16);
    let blocks = Tensor::Quantized(Quantized {
        codes: codes.into_shared(),
        bits: 4,
        signed: false,
        granularity: Granularity::Block { axis: 0, size: 16 },
        scales: ArrayD::from_elem(IxDyn(&[1, 16]), 0.05),
        zero_points: ArrayD::from_elem(IxDyn(&[1, 16]), 8),
    });
    let blocks = b.weight("query.weight", blocks);
    let query = b.node("MatMul", "query", &[&x, &blocks], []);
    let product = |b: &mut GraphBuilder, x: &str, name: &str, seed| {
        let w = b.weight(&format!("{name}.weight"), random(&[16, 16], seed));
        b.node("MatMul", name, &[x, &w], [])
    };
    let key = product(&mut b, &x, "key", 2);
    let value = product(&mut b, &x, "value", 3);
    let y = b.node(
        "MultiHeadAttention",
        "attention",
        &[&query, &key, &value],
        [("num_heads", 2.into())],
    );
    let gamma = b.weight("gamma", random(&[16], 4));
    let beta = b.weight("beta", random(&[16], 5));
    let y = b.node(
        "SkipLayerNormalization",
        "norm",
        &[&y, &x, &gamma, &beta],
        [("epsilon", 1e-5.into())],
    );
    let bias = b.weight("bias", random(&[16], 6));
    let y = product(&mut b, &y, "up", 7);
    let y = b.node("BiasGelu", "bias_gelu", &[&y, &bias], []);
    let y = product(&mut b, &y, "down", 8);
    let y = b.node("FastGelu", "fast_gelu", &[&y, &bias], []);
    let y = b.node("Flatten", "flat", &[&y], []);
    let w = b.weight("logits.weight", random(&[64, 3], 9));
    let y = b.node("MatMul", "logits", &[&y, &w], []);
    b.output(&y, DType::F32, &[3]);
    let mut graph = b.finish(17).unwrap();
    let own = [
        "MultiHeadAttention",
        "SkipLayerNormalization",
        "BiasGelu",
        "FastGelu",
    ];
    for node in graph
        .nodes
        .iter_mut()
        .filter(|n| own.contains(&n.op.as_str()))
    {
        node.domain = "com.microsoft".into();
    }
    graph.opsets.insert("com.microsoft".into(), 1);
    GraphModel::from_graph(graph).unwrap()
}

/// Writes the merged transformer and 30 samples for it; gives the two paths.
fn merged_files(folder: &Path) -> [String; 2] {
    let paths = ["merged.onnx", "samples.npz"].map(|n| folder.join(n));
    merged_transformer().save(&paths[0]).unwrap();
    let mut npz = NpzWriter::new(std::fs::File::create(&paths[1]).unwrap());
    let x = random(&[30, 4, 16], 10);
    npz.add_array("x", x.as_f32().unwrap()).unwrap();
    let y: Array1<i64> = (0..30).map(|i| i % 3).collect();
    npz.add_array("y", &y).unwrap();
    npz.finish().unwrap();
    paths.map(|path| path.to_str().unwrap().to_owned())
}

#[test]
fn operators_that_onnxruntime_makes_of_several_run_and_are_inspected() {
    let folder = tempfile::tempdir().unwrap();
    let [model, samples] = merged_files(folder.path());
    let inspected = run(&["inspect", &model, "--json"]).done().json;
    let bits = |name: &str| {
        let layers = inspected["layers"].as_array().unwrap();
        let layer = layers.iter().find(|l| l["name"] == name);
        layer.unwrap_or_else(|| panic!("{name}: {inspected}"))["bits"].clone()
    };
    assert_eq!([bits("query"), bits("key")], [json!(4), json!(32)]);
    let eval = run(&["eval", &model, "--data", &samples, "--json"])
        .done()
        .json;
    assert_eq!(eval["samples"], 30);
    assert!(eval["metrics"]["log_loss"].as_f64().is_some(), "{eval}");
}

mod onnxruntime {
    //! What needs the library of onnxruntime: that beside the Python of the foreign checks.

    use std::path::PathBuf;

    use lapidary_core::samples::Inputs;

    use super::*;

    fn library() -> String {
        let python = std::env::var_os("LAPIDARY_PYTHON")
            .expect("LAPIDARY_PYTHON names a Python with onnx and onnxruntime");
        let environment = PathBuf::from(python);
        let environment = environment.parent().and_then(Path::parent).unwrap();
        let found = glob(environment);
        found.to_str().unwrap().to_owned()
    }

    fn glob(environment: &Path) -> PathBuf {
        let versions = std::fs::read_dir(environment.join("lib"))
            .unwrap()
            .flatten();
        let capi = versions.map(|v| v.path().join("site-packages/onnxruntime/capi"));
        let files = capi.filter_map(|capi| std::fs::read_dir(capi).ok());
        (files.flatten().flatten().map(|entry| entry.path()))
            .find(|path| {
                path.file_name()
                    .unwrap()
                    .to_string_lossy()
                    .starts_with("libonnxruntime.")
            })
            .expect("the environment has onnxruntime")
    }

    fn ort() -> Box<dyn Runtime> {
        let registry = Registry::new(lapidary_model::ENTRIES).unwrap();
        let settings = json!({"library": library(), "threads": 2});
        registry.runtime("ort", &settings).unwrap()
    }

    fn largest_difference(a: &[Dense], b: &[Dense]) -> f32 {
        assert_eq!(a.len(), b.len());
        let pairs = a.iter().zip(b);
        pairs
            .flat_map(|(a, b)| {
                let (a, b) = (a.as_f32().unwrap(), b.as_f32().unwrap());
                assert_eq!(a.shape(), b.shape());
                a.iter()
                    .zip(b)
                    .map(|(a, b)| (a - b).abs())
                    .collect::<Vec<_>>()
            })
            .fold(0.0, f32::max)
    }

    #[test]
    #[ignore = "needs the library of onnxruntime; run by cargo xtask test"]
    fn it_keeps_what_every_runtime_keeps() {
        let runtime = ort();
        for (name, property) in lapidary_testkit::runtime::PROPERTIES {
            println!("{name}");
            property(runtime.as_ref());
        }
    }

    #[test]
    #[ignore = "needs the library of onnxruntime; run by cargo xtask test"]
    fn it_gives_the_numbers_of_rten_and_tells_what_it_runs() {
        let model = merged_transformer();
        let inputs = Inputs::from([("x".to_owned(), random(&[5, 4, 16], 11))]);
        let (mut ours, mut theirs) = (
            rten().load(&model, &[]).unwrap(),
            ort().load(&model, &[]).unwrap(),
        );
        let (a, b) = (ours.run(&inputs).unwrap(), theirs.run(&inputs).unwrap());
        let difference = largest_difference(&a, &b);
        assert!(difference < 1e-4, "{difference}");
        let operators = theirs.operators(&inputs).unwrap();
        for name in [
            "MatMulNBits",
            "MultiHeadAttention",
            "SkipLayerNormalization",
            "FastGelu",
        ] {
            assert!(operators.iter().any(|o| o == name), "{name}: {operators:?}");
        }
        let nodes = theirs.profile(&inputs, 5).unwrap();
        assert!(
            nodes.iter().any(|n| n.node == "attention" && n.ms > 0.0),
            "{nodes:?}"
        );
    }

    #[test]
    #[ignore = "needs the library of onnxruntime; run by cargo xtask test"]
    fn metrics_and_latencies_are_its_own_where_it_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let model = Model::digits().path();
        let library = library();
        let by_ort = ["--runtime", "ort", "--ort-lib", &library, "--threads", "1"];
        let eval = |more: &[&str]| {
            let args = [&["eval", model, "--data", "digits", "--json"], more].concat();
            run(&args).done().json
        };
        let (ours, theirs) = (eval(&[]), eval(&by_ort));
        assert_eq!(theirs["runtime"], "ort");
        for metric in ["accuracy", "log_loss"] {
            let [a, b] = [&ours, &theirs].map(|e| e["metrics"][metric].as_f64().unwrap());
            assert!((a - b).abs() < 1e-5, "{metric}: {a} {b}");
        }
        let args = [
            "optimize", model, "--with", "quantize", "--data", "digits", "-o", "out.onnx", "--json",
        ];
        let done = run_in(folder.path(), &[&args[..], &by_ort].concat())
            .done()
            .json;
        for stage in done["stages"].as_array().unwrap() {
            assert!(stage["latency_ms"].as_f64().unwrap() > 0.0, "{stage}");
            assert_eq!(stage["latency"]["runtime"], "ort");
            assert_eq!(stage["latency"]["threads"], 1);
        }
        let study = Study::new(&format!(
            r#"
            [goal]
            minimize = ["latency_ms"]
            subject_to = ["accuracy >= 0.5"]
            [budget]
            trials = 2
            [evaluate]
            kind = "compress"
            model = {model:?}
            data = "digits"
            [[evaluate.recipe]]
            name = "quantize"
            scheme = "{{scheme}}"
            [space]
            scheme = {{ choice = ["static", "weight_only"] }}
            "#
        ));
        let found = run(&[&["search", &study.path(), "--json"], &by_ort[..]].concat());
        let found = found.done().json;
        assert_eq!(found["failed"], 0, "{found}");
        assert!(found["best"]["metrics"]["latency_ms"].as_f64().unwrap() > 0.0);
    }

    #[test]
    #[ignore = "needs the library of onnxruntime; run by cargo xtask test"]
    fn files_that_onnxruntime_has_optimized_give_its_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let [model, samples] = merged_files(folder.path());
        let library = library();
        let eval = |more: &[&str]| {
            let args = [&["eval", &model, "--data", &samples, "--json"], more].concat();
            run(&args).done().json["metrics"]["log_loss"]
                .as_f64()
                .unwrap()
        };
        let (ours, theirs) = (
            eval(&[]),
            eval(&["--runtime", "ort", "--ort-lib", &library]),
        );
        assert!((ours - theirs).abs() < 1e-4, "{ours} {theirs}");
    }
}
