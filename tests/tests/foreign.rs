//! Every ONNX file that is written passes `onnx.checker`, runs in ONNX Runtime and gives our numbers.

mod common;

use std::path::{Path, PathBuf};

use common::Model;
use lapidary_core::json::Json;
use lapidary_core::model::Model as _;
use lapidary_core::registry::Registry;
use lapidary_core::samples::{Samples, Targets};
use lapidary_core::tensor::{DType, Dense};
use lapidary_data::{Encoder, Options, Part, fit_inputs};
use lapidary_model::GraphModel;
use lapidary_tests::{data, python, run};
use ndarray::{Array1, ArrayD, Axis, IxDyn};
use ndarray_npy::{NpzReader, NpzWriter};
use serde_json::json;

/// Samples in one run of ours: fewer than there are, so that batches are joined.
const BATCH: usize = 100;

/// Files to check, collected for one run of `tests/foreign/check.py`.
struct Checks {
    folder: tempfile::TempDir,
    entries: Vec<Json>,
}

/// Whether numbers or decisions have to agree.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Float,
    Quantized,
}

impl Checks {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            entries: Vec::new(),
        }
    }

    /// A path in the folder of the checks.
    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Runs the model at `path` on `samples` and notes inputs and outputs for the comparison.
    fn add(&mut self, path: &str, samples: &Samples, kind: Kind) {
        let model = GraphModel::open(path).unwrap();
        let samples = fit_inputs(samples, model.signature()).unwrap();
        let values = self.path(&format!("values{}.npz", self.entries.len()));
        let mut npz = NpzWriter::new(std::fs::File::create(&values).unwrap());
        for (name, array) in &samples.inputs {
            write(&mut npz, &format!("in:{name}"), array);
        }
        for (i, output) in outputs(&model, &samples).iter().enumerate() {
            write(&mut npz, &format!("out:{i}"), output);
        }
        if kind == Kind::Quantized {
            let Some(Targets::Classes { labels, .. }) = &samples.targets else {
                panic!("{path}: decisions need classes")
            };
            let labels: Array1<i64> = labels.iter().map(|&l| l as i64).collect();
            npz.add_array("labels", &labels).unwrap();
        }
        npz.finish().unwrap();
        self.entries.push(json!({
            "model": path, "values": values, "quantized": kind == Kind::Quantized,
        }));
    }

    /// Reads the model at `original`, writes it back, and notes it with its `samples`, where there are any.
    fn round_trip(&mut self, original: &Path, samples: Option<&Samples>) {
        let model = GraphModel::open(original).unwrap();
        let copy = self.path(&format!("copy{}.onnx", self.entries.len()));
        model.save(&copy).unwrap();
        match samples {
            Some(samples) => self.add(&copy, samples, Kind::Float),
            None => self.entries.push(json!({"model": copy})),
        }
        let entry = self.entries.last_mut().expect("it was just added");
        entry["original"] = original.to_str().unwrap().into();
    }

    /// Runs `optimize` with `steps` on the model at `path` and notes what it wrote.
    fn optimized(
        &mut self,
        path: &str,
        steps: &[&str],
        reading: &[&str],
        samples: &Samples,
        kind: Kind,
    ) {
        let out = self.path(&format!("optimized{}.onnx", self.entries.len()));
        let with: Vec<&str> = steps.iter().flat_map(|step| ["--with", step]).collect();
        run(&[&["optimize", path, "-o", &out], &with[..], reading].concat()).done();
        self.add(&out, samples, kind);
    }

    fn run(self) {
        let manifest = self.path("manifest.json");
        std::fs::write(&manifest, Json::from(self.entries).to_string()).unwrap();
        python("check.py", &[&manifest]);
    }
}

fn write(npz: &mut NpzWriter<std::fs::File>, name: &str, array: &Dense) {
    match array {
        Dense::F32(a) => npz.add_array(name, a),
        Dense::F64(a) => npz.add_array(name, a),
        Dense::I8(a) => npz.add_array(name, a),
        Dense::U8(a) => npz.add_array(name, a),
        Dense::I32(a) => npz.add_array(name, a),
        Dense::I64(a) => npz.add_array(name, a),
        Dense::Bool(a) => npz.add_array(name, a),
        Dense::Raw { dtype, .. } => panic!("{name} is {dtype}"),
    }
    .unwrap();
}

/// All outputs, run in batches and joined.
fn outputs(model: &GraphModel, samples: &Samples) -> Vec<Dense> {
    let rows: Vec<usize> = (0..samples.len()).collect();
    let parts: Vec<Vec<Dense>> = rows
        .chunks(BATCH)
        .map(|rows| {
            model
                .forward(&samples.select(rows).unwrap().inputs)
                .unwrap()
        })
        .collect();
    (0..parts[0].len())
        .map(|i| {
            let views: Vec<_> = parts
                .iter()
                .map(|p| p[i].as_f32().expect("outputs are floats").view())
                .collect();
            Dense::F32(ndarray::concatenate(Axis(0), &views).unwrap().into_shared())
        })
        .collect()
}

fn digits() -> Samples {
    let data = lapidary_data::open("digits", &Options::default()).unwrap();
    data.part(Part::Test, None).unwrap()
}

#[test]
#[ignore = "needs Python with onnx and onnxruntime; run by cargo xtask test"]
fn what_a_small_demo_writes() {
    let mut checks = Checks::new();
    let out = checks.path("demo");
    run(&["demo", "--trials", "2", "--out", &out]).done();
    let samples = digits();
    for stage in ["searched", "distilled", "pruned"] {
        checks.add(&format!("{out}/{stage}.onnx"), &samples, Kind::Float);
    }
    checks.add(&format!("{out}/quantized.onnx"), &samples, Kind::Quantized);
    checks.run();
}

#[test]
#[ignore = "needs Python with onnx and onnxruntime; run by cargo xtask test"]
fn what_optimize_makes_of_images() {
    let mut checks = Checks::new();
    let samples = digits();
    let reading = ["--data", "digits"];
    let model = Model::digits().path();
    checks.add(model, &samples, Kind::Float);
    let mut with = |steps: &[&str], kind| checks.optimized(model, steps, &reading, &samples, kind);
    with(&["prune:sparsity=0.6,finetune_epochs=1"], Kind::Float);
    with(&["prune:structure=channels,sparsity=0.5"], Kind::Float);
    with(
        &["distill:student=convnet,settings.width=6,settings.separable=true,epochs=4"],
        Kind::Float,
    );
    for quantize in [
        "quantize",
        "quantize:calibration=percentile",
        "quantize:per_channel=false",
        "quantize:scheme=weight_only",
        "quantize:bits=4,block=16",
    ] {
        with(&[quantize], Kind::Quantized);
        with(
            &[
                "distill:student=convnet,settings.width=4,settings.skip=true,epochs=10,learning_rate=0.02",
                quantize,
            ],
            Kind::Quantized,
        );
        with(
            &["prune:structure=channels,sparsity=0.3", quantize],
            Kind::Quantized,
        );
    }
    checks.run();
}

#[test]
#[ignore = "needs Python with onnx and onnxruntime; run by cargo xtask test"]
fn what_search_and_optimize_make_of_a_table() {
    let mut checks = Checks::new();
    let model = Model::census().path();
    let options = Options {
        target: Some("income".into()),
        encoder: Some(Encoder::load(&Encoder::beside(Path::new(model))).unwrap()),
        ..Options::default()
    };
    let test: PathBuf = data("census-test.csv");
    let samples = lapidary_data::open(test.to_str().unwrap(), &options)
        .and_then(|data| data.part(Part::All, None))
        .unwrap();
    checks.add(model, &samples, Kind::Float);
    let train = data("census-train.csv");
    let reading = ["--data", train.to_str().unwrap(), "--target", "income"];
    checks.optimized(model, &["prune"], &reading, &samples, Kind::Float);
    checks.optimized(model, &["quantize"], &reading, &samples, Kind::Quantized);
    checks.run();
}

#[test]
#[ignore = "needs Python with onnx and onnxruntime; run by cargo xtask test"]
fn every_architecture_of_the_zoo() {
    let mut checks = Checks::new();
    let samples = digits();
    let data = lapidary_data::open("digits", &Options::default()).unwrap();
    let task = data.task_shape().unwrap();
    let registry = Registry::new(lapidary_zoo::ENTRIES).unwrap();
    let mut all = Vec::new();
    for activation in [
        "relu",
        "leaky_relu",
        "tanh",
        "sigmoid",
        "gelu",
        "silu",
        "hardswish",
    ] {
        all.push((
            "mlp",
            json!({"activation": activation, "normalization": "layer"}),
        ));
        all.push(("convnet", json!({"activation": activation, "width": 4})));
    }
    for skip in [false, true] {
        for normalization in ["none", "batch", "layer"] {
            all.push((
                "mlp",
                json!({"skip": skip, "normalization": normalization, "width": 16, "depth": 3}),
            ));
        }
        for separable in [false, true] {
            for pooling in ["average", "flatten"] {
                for normalization in ["none", "batch"] {
                    all.push((
                        "convnet",
                        json!({
                            "skip": skip, "separable": separable, "pooling": pooling,
                            "normalization": normalization, "width": 5, "kernel": 5, "stages": 3,
                            "depth": 2,
                        }),
                    ));
                }
            }
        }
    }
    for (i, (family, settings)) in all.iter().enumerate() {
        let model = registry.family(family, settings, &task, 7).unwrap();
        let model = GraphModel::of(model.as_ref()).unwrap();
        let path = checks.path(&format!("zoo{i}.onnx"));
        model.save(&path).unwrap();
        checks.add(&path, &samples, Kind::Float);
    }
    checks.run();
}

#[test]
#[ignore = "needs Python with onnx and onnxruntime; run by cargo xtask test"]
fn files_of_other_programs_are_read_run_and_written_back() {
    let mut checks = Checks::new();
    let made = tempfile::tempdir().unwrap();
    python("make.py", &[made.path().to_str().unwrap()]);
    for name in lapidary_tests::files(made.path()) {
        let Some(stem) = name.strip_suffix(".onnx") else {
            continue;
        };
        let original = made.path().join(&name);
        if stem.starts_with("carried") {
            checks.round_trip(&original, None);
            continue;
        }
        let file = std::fs::File::open(made.path().join(format!("{stem}.npz"))).unwrap();
        let mut npz = NpzReader::new(file).unwrap();
        let inputs = GraphModel::open(&original)
            .unwrap()
            .signature()
            .inputs
            .iter()
            .map(|port| {
                let name = format!("{}.npy", port.name);
                let array = match port.dtype {
                    DType::I64 => Dense::I64(
                        npz.by_name::<_, IxDyn>(&name)
                            .map(ArrayD::into_shared)
                            .unwrap(),
                    ),
                    _ => Dense::F32(
                        npz.by_name::<_, IxDyn>(&name)
                            .map(ArrayD::into_shared)
                            .unwrap(),
                    ),
                };
                (port.name.clone(), array)
            })
            .collect();
        checks.round_trip(
            &original,
            Some(&Samples {
                inputs,
                targets: None,
            }),
        );
    }
    assert_eq!(checks.entries.len(), 7);
    checks.run();
}
