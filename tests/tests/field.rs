//! What users' reports about tools of this kind broke: small models whose right answers are known, through the program.

use std::path::Path;
use std::sync::Arc;

use lapidary_core::model::Dim;
use lapidary_core::rng::Rng;
use lapidary_core::tensor::{DType, Dense, array};
use lapidary_graph::build::GraphBuilder;
use lapidary_graph::{Graph, ValueInfo, ops};
use lapidary_model::GraphModel;
use lapidary_tests::{Answer, files, run_in};
use ndarray::Array1;
use ndarray_npy::NpzWriter;
use serde_json::Value;

/// A folder with `model.onnx` and `data.npz` in it.
struct Case(tempfile::TempDir);

impl Case {
    fn new(graph: Graph, x: &Dense, y: &[i64]) -> Self {
        let case = Self(tempfile::tempdir().unwrap());
        let model = GraphModel::from_graph(graph).unwrap();
        model.save(case.0.path().join("model.onnx")).unwrap();
        case.data("data.npz", x, |npz| {
            npz.add_array("y", &Array1::from(y.to_vec())).unwrap();
        });
        case
    }

    fn data(&self, name: &str, x: &Dense, more: impl FnOnce(&mut NpzWriter<std::fs::File>)) {
        let file = std::fs::File::create(self.0.path().join(name)).unwrap();
        let mut npz = NpzWriter::new(file);
        let x = x.as_f32().unwrap().to_owned().into_owned();
        npz.add_array("x", &x).unwrap();
        more(&mut npz);
        npz.finish().unwrap();
    }

    fn run(&self, args: &str) -> Answer {
        let args: Vec<&str> = args.split_whitespace().collect();
        run_in(self.0.path(), &args)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

fn random(shape: &[usize], seed: u64) -> Dense {
    let mut rng = Rng::keyed(seed, 0, "tests: field");
    let data = (0..shape.iter().product()).map(|_| rng.normal() as f32);
    Dense::f32(shape, data.collect()).unwrap()
}

fn metric(answer: &Answer, name: &str) -> f64 {
    answer.json["metrics"][name].as_f64().unwrap()
}

/// Classes that go round.
fn classes(n: usize, of: i64) -> Vec<i64> {
    (0..n as i64).map(|i| i % of).collect()
}

#[test]
fn the_first_of_equal_elements_is_the_largest() {
    for (op, value) in [("ArgMax", 1.0), ("ArgMin", -1.0)] {
        let mut b = GraphBuilder::new("ties");
        let x = b.input("x", DType::F32, &[3]);
        let at = b.node(op, "at", &[&x], [("axis", 1.into())]);
        let y = b.node("Cast", "y", &[&at], [("to", 1.into())]);
        b.output(&y, DType::F32, &[1]);
        let rows = [
            [0.0, value, value],
            [value, value, value],
            [0.0, 0.0, value],
        ];
        let x = Dense::f32(&[3, 3], rows.concat()).unwrap();
        let case = Case::new(b.finish(17).unwrap(), &x, &[0, 0, 0]);
        case.data("numbers.npz", &x, |npz| {
            npz.add_array("y", &Array1::from(vec![1.0f32, 0.0, 2.0]))
                .unwrap();
        });
        let answer = case
            .run("eval model.onnx --data numbers.npz --split all --json")
            .done();
        assert_eq!(metric(&answer, "mse"), 0.0, "{op}");
    }
}

/// An embedding in front of the logits of three classes.
fn embedding_first() -> Graph {
    let mut b = GraphBuilder::new("two");
    let x = b.input("x", DType::F32, &[6]);
    let w = b.weight("w", random(&[6, 8], 1));
    let h = b.node(&ops::MAT_MUL, "product", &[&x, &w], []);
    let h = b.node(&ops::TANH, "embedding", &[&h], []);
    let v = b.weight("v", random(&[8, 3], 2));
    let y = b.node(&ops::MAT_MUL, "logits", &[&h, &v], []);
    b.output(&h, DType::F32, &[8]);
    b.output(&y, DType::F32, &[3]);
    b.finish(17).unwrap()
}

#[test]
fn the_output_that_fits_the_classes_is_measured() {
    let x = random(&[60, 6], 3);
    let case = Case::new(embedding_first(), &x, &classes(60, 3));
    let answer = case.run("eval model.onnx --data data.npz --json").done();
    assert_eq!(answer.json["output"], "logits");
    let named = case
        .run("eval model.onnx --data data.npz --output embedding --json")
        .done();
    assert_eq!(named.json["output"], "embedding");
    let wrong = case
        .run("eval model.onnx --data data.npz --output logit --json")
        .refused();
    assert!(wrong.contains("embedding, logits"), "{wrong}");
    case.run("optimize model.onnx --with quantize --data data.npz -o q.onnx")
        .done();
    // With two of the three classes either could be meant.
    let case = Case::new(embedding_first(), &x, &classes(60, 2));
    let unclear = case.run("eval model.onnx --data data.npz --json").refused();
    assert!(
        unclear.contains("embedding") && unclear.contains("--output"),
        "{unclear}"
    );
}

#[test]
fn what_only_a_label_needs_is_not_run() {
    let mut graph = embedding_first();
    graph.outputs.remove(0);
    let mut label = ops::ARG_MAX.node("best".into(), vec!["logits".into()], vec!["best".into()]);
    label.attributes.insert("axis".into(), 1.into());
    let mut picked = ops::IDENTITY.node("picked".into(), vec!["best".into()], vec!["label".into()]);
    (picked.op, picked.domain) = ("Unheard".into(), "example".into());
    graph.nodes.extend([label, picked]);
    graph.opsets.insert("example".into(), 1);
    let label = ValueInfo {
        name: "label".into(),
        dtype: DType::I64,
        shape: Some(vec![Dim::Symbol("batch".into()), Dim::Fixed(1)]),
    };
    graph.outputs.insert(0, label);
    let case = Case::new(graph, &random(&[60, 6], 3), &classes(60, 3));
    case.run("eval model.onnx --data data.npz --json").done();
    case.run("optimize model.onnx --with quantize --data data.npz -o q.onnx")
        .done();
    let trained = case.run(
        "optimize model.onnx --with prune:sparsity=0.5,finetune_epochs=1 --data data.npz -o p.onnx",
    );
    assert!(!trained.done().stderr.contains("not fine-tuned"));
}

#[test]
fn a_mask_of_infinities_is_no_broken_weight() {
    let mut b = GraphBuilder::new("masked");
    let x = b.input("x", DType::F32, &[4, 6]);
    let w = b.weight("w", random(&[6, 4], 1));
    let s = b.node(&ops::MAT_MUL, "scores", &[&x, &w], []);
    let inf = f32::NEG_INFINITY;
    let mask = (0..16).map(|i| if i % 4 > i / 4 { inf } else { 0.0 });
    let mask = b.weight("mask", Dense::f32(&[4, 4], mask.collect()).unwrap());
    let s = b.node(&ops::ADD, "masked", &[&s, &mask], []);
    let p = b.node(&ops::SOFTMAX, "shares", &[&s], [("axis", (-1).into())]);
    let m = b.node(
        "ReduceMean",
        "mean",
        &[&p],
        [("axes", [1].into()), ("keepdims", 0.into())],
    );
    let v = b.weight("v", random(&[4, 3], 2));
    let y = b.node(&ops::MAT_MUL, "y", &[&m, &v], []);
    b.output(&y, DType::F32, &[3]);
    let case = Case::new(
        b.finish(17).unwrap(),
        &random(&[60, 4, 6], 3),
        &classes(60, 3),
    );
    for step in ["quantize", "prune:sparsity=0.5,finetune_epochs=1"] {
        let args = format!("optimize model.onnx --with {step} --data data.npz -o o.onnx --json");
        let done = case.run(&args).done();
        assert!(!done.stderr.contains("NaN"), "{}", done.stderr);
    }
}

#[test]
fn data_need_not_have_what_is_not_used() {
    let mut b = GraphBuilder::new("unused");
    let x = b.input("x", DType::F32, &[6]);
    b.input("mask", DType::Bool, &[6]);
    let w = b.weight("w", random(&[6, 3], 1));
    let y = b.node(&ops::MAT_MUL, "y", &[&x, &w], []);
    b.output(&y, DType::F32, &[3]);
    let mut graph = b.finish(17).unwrap();
    let scalar = ValueInfo {
        name: "length".into(),
        dtype: DType::I64,
        shape: Some(vec![]),
    };
    graph.inputs.push(scalar);
    let spare = Arc::new(random(&[5], 9).into());
    graph.weights.insert("spare".into(), spare);
    let case = Case::new(graph, &random(&[60, 6], 3), &classes(60, 3));
    case.run("eval model.onnx --data data.npz --json").done();
    case.run("optimize model.onnx --with quantize --data data.npz -o q.onnx")
        .done();
    let inspected = case.run("inspect model.onnx --json").done().json;
    assert_eq!(inspected["unused"], Value::from(vec!["spare"]));
}

#[test]
fn a_model_with_nothing_to_do_is_written_as_it_was() {
    let case = Case::new(embedding_first(), &random(&[60, 6], 3), &classes(60, 3));
    case.run("optimize model.onnx --with quantize --data data.npz -o q.onnx")
        .done();
    let again = case
        .run("optimize q.onnx --with quantize --data data.npz -o again.onnx --json")
        .done();
    let read = |name: &str| std::fs::read(case.path().join(name)).unwrap();
    assert_eq!(read("again.onnx"), read("q.onnx"));
    let stages = again.json["stages"].as_array().unwrap();
    let bytes: Vec<u64> = stages
        .iter()
        .map(|s| s["bytes"].as_u64().unwrap())
        .collect();
    assert_eq!(bytes, [read("q.onnx").len() as u64; 2]);
    // And what a table says of one that was changed is what its file takes.
    let pruned = case.run("optimize q.onnx --with prune:structure=channels,sparsity=0.5,finetune_epochs=0 -o p.onnx --json");
    let said = pruned.done().json["stages"][1]["bytes"].as_u64().unwrap();
    assert_eq!(said, read("p.onnx").len() as u64);
}

#[test]
fn data_files_of_earlier_runs_do_not_pile_up() {
    let mut b = GraphBuilder::new("external");
    let x = b.input("x", DType::F32, &[64]);
    let w = b.weight("w", random(&[64, 200], 1));
    let h = b.node(&ops::MAT_MUL, "h", &[&x, &w], []);
    let v = b.weight("v", random(&[200, 3], 2));
    let y = b.node(&ops::MAT_MUL, "y", &[&h, &v], []);
    b.output(&y, DType::F32, &[3]);
    let mut graph = b.finish(17).unwrap();
    lapidary_onnx::keep_external(&mut graph);
    let case = Case::new(graph, &random(&[60, 64], 3), &classes(60, 3));
    let mut data = Vec::new();
    for _ in 0..3 {
        case.run("optimize model.onnx --with quantize:scheme=weight_only -o q.onnx")
            .done();
        let beside = |name: &String| name.starts_with("q.onnx") && name.contains("data");
        data.push(files(case.path()).into_iter().filter(beside).count());
    }
    assert_eq!(data, [1; 3]);
    // The model's own data is not touched, nor a file that merely looks like one of ours.
    std::fs::write(case.path().join("q.onnx.9.data"), "mine").unwrap();
    case.run("optimize model.onnx --with quantize:scheme=weight_only -o q.onnx")
        .done();
    assert!(files(case.path()).contains(&"q.onnx.9.data".to_owned()));
    case.run("eval model.onnx --data data.npz --json").done();
    case.run("eval q.onnx --data data.npz --json").done();
}

#[test]
fn models_of_narrow_floats_are_quantized_and_pruned() {
    for dtype in [DType::F16, DType::F64] {
        let number = if dtype == DType::F16 { 10 } else { 11 };
        let mut b = GraphBuilder::new("narrow");
        let x = b.input("x", DType::F32, &[6]);
        let narrow = b.node("Cast", "narrow", &[&x], [("to", number.into())]);
        let weight = |b: &mut GraphBuilder, name: &str, shape: &[usize], seed| {
            let values = random(shape, seed);
            let values = values.as_f32().unwrap().iter().map(|&v| f64::from(v));
            b.weight(name, Dense::floats(dtype, shape, values).unwrap())
        };
        let w = weight(&mut b, "w", &[6, 16], 1);
        let h = b.node(&ops::MAT_MUL, "h", &[&narrow, &w], []);
        let h = b.node(&ops::RELU, "r", &[&h], []);
        let v = weight(&mut b, "v", &[16, 3], 2);
        let y = b.node(&ops::MAT_MUL, "y", &[&h, &v], []);
        let y = b.node("Cast", "wide", &[&y], [("to", 1.into())]);
        b.output(&y, DType::F32, &[3]);
        let case = Case::new(b.finish(17).unwrap(), &random(&[60, 6], 3), &classes(60, 3));
        let size = dtype.size().unwrap() as u64;
        let inspected = case.run("inspect model.onnx --json").done();
        assert_eq!(
            inspected.json["layers"][0]["bytes"].as_u64(),
            Some(96 * size)
        );
        let plain = case.run("eval model.onnx --data data.npz --json").done();
        for step in [
            "quantize",
            "quantize:bits=4",
            "prune:sparsity=0.5,finetune_epochs=0",
            "prune:structure=channels,sparsity=0.25,finetune_epochs=0",
        ] {
            let args =
                format!("optimize model.onnx --with {step} --data data.npz -o o.onnx --json");
            let done = case.run(&args).done();
            assert!(!done.stderr.contains("left alone"), "{}", done.stderr);
            let layers = case.run("inspect o.onnx --json").done().json["layers"].clone();
            let bits: Vec<&Value> = layers
                .as_array()
                .unwrap()
                .iter()
                .map(|l| &l["bits"])
                .collect();
            let wanted = match step {
                "quantize" => 8,
                "quantize:bits=4" => 4,
                _ => 8 * size,
            };
            assert_eq!(bits, [&Value::from(wanted); 2], "{step}");
            let found = case.run("eval o.onnx --data data.npz --json").done();
            if step == "quantize" {
                let (was, is) = (metric(&plain, "auc"), metric(&found, "auc"));
                assert!((was - is).abs() < 0.05, "{was} {is}");
            }
        }
    }
}

#[test]
fn a_total_says_what_it_lacks() {
    let mut b = GraphBuilder::new("open");
    let x = b.input("x", DType::F32, &[4, 6]);
    let y = b.node("Transpose", "turned", &[&x], [("perm", [0, 2, 1].into())]);
    let y = b.node(&ops::MAT_MUL, "y", &[&x, &y], []);
    b.output(&y, DType::F32, &[4, 4]);
    let mut graph = b.finish(17).unwrap();
    graph.inputs[0].shape.as_mut().unwrap()[1] = Dim::Symbol("length".into());
    graph.outputs[0].shape = None;
    let case = Case::new(graph, &random(&[6, 4, 6], 3), &classes(6, 2));
    let inspected = case.run("inspect model.onnx --json").done().json;
    assert_eq!(inspected["macs_partial"], true);
    assert_eq!(inspected["layers"][0]["macs"], Value::Null);
    let text = case.run("inspect model.onnx").done().stdout;
    assert!(text.contains("without those of 1 layers"), "{text}");
}

#[test]
fn words_say_what_to_do() {
    let x = random(&[60, 6], 3);
    let case = Case::new(embedding_first(), &x, &classes(60, 3));
    case.data("bare.npz", &x, |_| {});
    let bare = case
        .run("optimize model.onnx --with quantize --data bare.npz -o q.onnx")
        .done()
        .stderr;
    assert!(bare.contains("no targets"), "{bare}");
    let bare = case.run("eval model.onnx --data bare.npz").refused();
    assert!(bare.contains("--calibration"), "{bare}");
    let none = case
        .run("optimize model.onnx --with quantize -o q.onnx")
        .refused();
    assert!(none.contains("--calibration"), "{none}");
    case.run("optimize model.onnx --with quantize --calibration bare.npz -o q.onnx")
        .done();
    // Quotes that a shell took away.
    let args = [
        "optimize",
        "model.onnx",
        "--with",
        "quantize:layers=[product,logits]",
        "-o",
        "q.onnx",
    ];
    run_in(
        case.path(),
        &[&args[..], &["--calibration", "bare.npz"]].concat(),
    )
    .done();

    let mut b = GraphBuilder::new("scalar");
    let x = b.input("x", DType::F32, &[6]);
    let y = b.node("ReduceMean", "y", &[&x], [("keepdims", 0.into())]);
    b.output(&y, DType::F32, &[]);
    let mut graph = b.finish(17).unwrap();
    graph.outputs[0].shape = Some(vec![]);
    let x = Dense::F32(array(&[4, 6], vec![0.5; 24]).unwrap());
    let case = Case::new(graph, &x, &[0, 1, 0, 1]);
    let scalar = case
        .run("eval model.onnx --data data.npz --split all --json")
        .refused();
    assert!(scalar.contains("no axis of samples"), "{scalar}");
}
