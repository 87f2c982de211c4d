//! Models as a whole: files, runs, edits.

use std::collections::BTreeMap;
use std::sync::Arc;

use lapidary_core::model::{Affine, Dim, Edit, Model, Tap, check_finite};
use lapidary_core::rng::Rng;
use lapidary_core::samples::Inputs;
use lapidary_core::tensor::{DType, Dense, Granularity, Quantized, Tensor};
use ndarray::{ArcArray, ArrayD, IxDyn};

use lapidary_graph::Attribute;
use lapidary_graph::build::GraphBuilder;

use crate::GraphModel;

fn random(shape: &[usize], seed: u64) -> Dense {
    let mut rng = Rng::keyed(seed, 0, "test");
    let data = (0..shape.iter().product())
        .map(|_| rng.normal() as f32)
        .collect();
    Dense::f32(shape, data).unwrap()
}

/// A small convolutional network over [batch, 2, 6, 6] with every kind of attribute that matters.
fn convnet(opset: i64) -> GraphModel {
    let mut b = GraphBuilder::new("convnet");
    let x = b.input("x", DType::F32, &[2, 6, 6]);
    let w = b.weight("conv.weight", random(&[4, 2, 3, 3], 1));
    let bias = b.weight("conv.bias", random(&[4], 2));
    let y = b.node(
        "Conv",
        "conv",
        &[&x, &w, &bias],
        [("pads", [1, 1, 1, 1].into())],
    );
    let y = b.node("Relu", "relu", &[&y], []);
    let y = b.node(
        "MaxPool",
        "pool",
        &[&y],
        [("kernel_shape", [2, 2].into()), ("strides", [2, 2].into())],
    );
    let y = b.node("Flatten", "flat", &[&y], []);
    let w = b.weight("fc.weight", random(&[32, 36], 3));
    let bias = b.weight("fc.bias", random(&[32], 4));
    let y = b.node("Gemm", "fc", &[&y, &w, &bias], [("transB", 1.into())]);
    let w = b.weight("head.weight", random(&[32, 3], 5));
    let y = b.node("MatMul", "head", &[&y, &w], []);
    b.output(&y, DType::F32, &[3]);
    GraphModel::from_graph(b.finish(opset).unwrap()).unwrap()
}

fn inputs(samples: usize) -> Inputs {
    BTreeMap::from([("x".to_owned(), random(&[samples, 2, 6, 6], 9))])
}

fn reread(model: &GraphModel) -> GraphModel {
    GraphModel::from_bytes(&model.to_bytes().unwrap(), None).unwrap()
}

fn largest_difference(a: &[Dense], b: &[Dense]) -> f32 {
    let (a, b) = (a[0].as_f32().unwrap(), b[0].as_f32().unwrap());
    assert_eq!(a.shape(), b.shape());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

/// A weight in 4- or 8-bit blocks of 16 along `axis`, close to `dense`.
fn blocks(dense: &Dense, axis: usize, bits: u8, signed: bool) -> Tensor {
    let values = dense.as_f32().unwrap();
    let mut shape = values.shape().to_vec();
    shape[axis] = shape[axis].div_ceil(16);
    let (low, high) = Quantized::code_range(bits, signed);
    let middle = if signed { 0 } else { 1 << (bits - 1) };
    let scale = 4.0 / f32::from(high - middle);
    let codes = values.mapv(|v| ((v / scale).round() as i16 + middle).clamp(low, high));
    Tensor::Quantized(Quantized {
        codes: codes.into_shared(),
        bits,
        signed,
        granularity: Granularity::Block { axis, size: 16 },
        scales: ArrayD::from_elem(IxDyn(&shape), scale),
        zero_points: ArrayD::from_elem(IxDyn(&shape), middle),
    })
}

fn set(model: &GraphModel, name: &str, tensor: Tensor) -> GraphModel {
    let changed = model
        .apply(&[Edit::SetWeight {
            name: name.into(),
            tensor: Arc::new(tensor),
        }])
        .unwrap();
    GraphModel::of(changed.as_ref()).unwrap().clone()
}

#[test]
fn a_written_model_reads_back_equal() {
    let model = convnet(17);
    let read = reread(&model);
    assert_eq!(read.graph().nodes, model.graph().nodes);
    assert_eq!(read.weights(), model.weights());
    assert_eq!(read.signature(), model.signature());
    assert_eq!(read.to_bytes().unwrap(), model.to_bytes().unwrap());
    assert_eq!(
        model.file_bytes().unwrap(),
        model.to_bytes().unwrap().len() as u64
    );
}

#[test]
fn blocks_become_matmul_nbits_and_come_back() {
    let model = convnet(17);
    for (bits, signed) in [(4, false), (4, true), (8, false), (8, true)] {
        let dense = |name: &str| model.weights()[name].as_dense().unwrap().clone();
        let changed = set(
            &model,
            "head.weight",
            blocks(&dense("head.weight"), 0, bits, signed),
        );
        let changed = set(
            &changed,
            "fc.weight",
            blocks(&dense("fc.weight"), 1, bits, signed),
        );
        assert_eq!(changed.graph().opset(), 17);
        let message = String::from_utf8_lossy(&changed.to_bytes().unwrap()).into_owned();
        assert_eq!(message.matches("MatMulNBits").count(), 2);
        let read = reread(&changed);
        let values = |m: &GraphModel, name: &str| m.weights()[name].to_f32().unwrap();
        assert_eq!(
            values(&read, "head.weight"),
            values(&changed, "head.weight")
        );
        // As a product the weight stands the other way round.
        assert_eq!(
            values(&read, "fc.weight"),
            values(&changed, "fc.weight").reversed_axes()
        );
        let (a, b) = (
            changed.forward(&inputs(3)).unwrap(),
            read.forward(&inputs(3)).unwrap(),
        );
        assert!(largest_difference(&a, &b) < 1e-4);
        assert_eq!(reread(&read).weights(), read.weights());
    }
}

#[test]
fn blocks_of_a_convolution_need_operator_set_21() {
    let model = convnet(13);
    let dense = model.weights()["conv.bias"].as_dense().unwrap().clone();
    let changed = set(&model, "conv.bias", blocks(&dense, 0, 4, true));
    assert_eq!(changed.graph().opset(), 21);
    let read = reread(&changed);
    assert_eq!(read.weights(), changed.weights());
    let (a, b) = (
        changed.forward(&inputs(2)).unwrap(),
        model.forward(&inputs(2)).unwrap(),
    );
    assert!(largest_difference(&a, &b) < 10.0);
}

#[test]
fn rounded_activations_stay_near() {
    let model = convnet(9);
    let edit = Edit::QuantizeValue {
        node: "fc".into(),
        value: "flat".into(),
        affine: Affine {
            scale: 0.1,
            zero_point: 0,
        },
    };
    let changed = model.apply(&[edit]).unwrap();
    let (a, b) = (
        model.forward(&inputs(4)).unwrap(),
        changed.forward(&inputs(4)).unwrap(),
    );
    let difference = largest_difference(&a, &b);
    assert!(difference > 0.0 && difference < 20.0, "{difference}");
    assert_eq!(model.graph().opset(), 9);
}

#[derive(Default)]
struct Seen(Vec<(String, Vec<usize>)>);

impl Tap for Seen {
    fn value(&mut self, id: &str, value: &Dense) {
        self.0.push((id.to_owned(), value.shape().to_vec()));
    }
}

#[test]
fn observed_values_are_those_inside() {
    let model = convnet(17);
    let mut seen = Seen::default();
    let values = ["conv", "x", "relu", "fc.bias"].map(str::to_owned);
    model.observe(&inputs(3), &values, &mut seen).unwrap();
    let shapes: Vec<_> = seen
        .0
        .iter()
        .map(|(id, shape)| (id.as_str(), shape.clone()))
        .collect();
    assert_eq!(
        shapes,
        [
            ("conv", vec![3, 4, 6, 6]),
            ("x", vec![3, 2, 6, 6]),
            ("relu", vec![3, 4, 6, 6]),
            ("fc.bias", vec![32])
        ]
    );
    let error = model
        .observe(&inputs(3), &["none".into()], &mut seen)
        .unwrap_err();
    assert!(error.to_string().contains("`none`"), "{error}");
}

/// A graph fixed to one sample: free to be run on more where `reshape` keeps samples apart.
fn fixed(target: [i64; 2]) -> GraphModel {
    let mut b = GraphBuilder::new("fixed");
    let x = b.input("x", DType::F32, &[2, 3]);
    let t = b.weight("target", Dense::i64(&[2], target.to_vec()).unwrap());
    let y = b.node("Reshape", "flat", &[&x, &t], []);
    let w = b.weight("w", random(&[6, 2], 1));
    let y = b.node("MatMul", "y", &[&y, &w], []);
    let y = b.node("Softmax", "p", &[&y], [("axis", 0.into())]);
    b.output(&y, DType::F32, &[2]);
    let mut graph = b.finish(13).unwrap();
    for port in graph.inputs.iter_mut().chain(&mut graph.outputs) {
        port.shape.as_mut().unwrap()[0] = Dim::Fixed(1);
    }
    GraphModel::from_graph(graph).unwrap()
}

#[test]
fn a_fixed_batch_takes_any_number_of_samples() {
    // The softmax runs over samples: freed, it would mix them.
    let model = fixed([1, -1]);
    let x = random(&[5, 2, 3], 7);
    let all = model
        .forward(&BTreeMap::from([("x".to_owned(), x.clone())]))
        .unwrap();
    assert_eq!(all[0].shape(), [5, 2]);
    assert!(all[0].as_f32().unwrap().iter().all(|&p| p == 1.0));

    let mut graph = fixed([1, 6]).graph().clone();
    graph
        .nodes
        .last_mut()
        .unwrap()
        .attributes
        .insert("axis".into(), Attribute::Int(1));
    let model = GraphModel::from_graph(graph).unwrap();
    let all = model
        .forward(&BTreeMap::from([("x".to_owned(), x.clone())]))
        .unwrap();
    for i in 0..5 {
        let one = x.select(0, &[i]).unwrap();
        let one = model
            .forward(&BTreeMap::from([("x".to_owned(), one)]))
            .unwrap();
        assert!(largest_difference(&[all[0].select(0, &[i]).unwrap()], &one) < 1e-6);
    }
}

#[test]
fn inputs_that_do_not_fit_are_named() {
    let model = convnet(17);
    let error = model.forward(&Inputs::new()).unwrap_err().to_string();
    assert!(error.contains("`x`"), "{error}");
    let wrong = BTreeMap::from([("x".to_owned(), random(&[2, 3, 6, 6], 1))]);
    let error = model.forward(&wrong).unwrap_err().to_string();
    assert!(error.contains("[batch, 2, 6, 6]"), "{error}");
}

#[test]
fn a_missing_operator_is_named_with_its_node() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", DType::F32, &[2]);
    let y = b.node("Hardmax", "winner", &[&x], []);
    b.output(&y, DType::F32, &[2]);
    let model = GraphModel::from_graph(b.finish(13).unwrap()).unwrap();
    let x = BTreeMap::from([("x".to_owned(), random(&[1, 2], 1))]);
    let error = model.forward(&x).unwrap_err().to_string();
    assert!(
        error.contains("winner") && error.contains("Hardmax"),
        "{error}"
    );
}

#[test]
fn damaged_files_are_errors() {
    let bytes = convnet(17).to_bytes().unwrap();
    for length in (0..bytes.len()).step_by(7) {
        let _ = GraphModel::from_bytes(&bytes[..length], None);
    }
    let mut rng = Rng::keyed(1, 0, "damage");
    for _ in 0..2000 {
        let mut damaged = bytes.clone();
        for _ in 0..3 {
            // The graph's structure stands at both ends; elements of weights in between tell little.
            let at = rng.index(damaged.len().min(800));
            damaged[at] = rng.below(256) as u8;
        }
        if let Ok(model) = GraphModel::from_bytes(&damaged, None) {
            let _ = (model.topology(), model.to_bytes());
        }
    }
    assert!(GraphModel::from_bytes(b"no model at all", None).is_err());
    assert!(GraphModel::from_bytes(&[], None).is_err());
}

#[test]
fn files_appear_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let model = convnet(17);
    model.save(&path).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), model.to_bytes().unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let error = model
        .save(folder.path().join("missing/model.onnx"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("model.onnx"), "{error}");
    let error = GraphModel::open(folder.path().join("none.onnx"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("none.onnx"), "{error}");
}

#[test]
fn external_data_stays_external() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let mut graph = convnet(17).graph().clone();
    lapidary_onnx::keep_external(&mut graph);
    let model = GraphModel::from_graph(graph).unwrap();
    model.save(&path).unwrap();
    let data = folder.path().join("model.onnx.data");
    let sizes = [&path, &data].map(|p| std::fs::metadata(p).unwrap().len());
    assert_eq!(model.file_bytes().unwrap(), sizes.iter().sum::<u64>());
    let read = GraphModel::open(&path).unwrap();
    assert_eq!(read.weights(), model.weights());
    // Written over itself the model keeps its old data until the new is there.
    read.save(&path).unwrap();
    assert_eq!(GraphModel::open(&path).unwrap().weights(), model.weights());
}

#[test]
fn non_finite_weights_are_named() {
    let model = convnet(17);
    assert!(check_finite(&model).is_ok());
    let mut bias = ArcArray::from_shape_vec(IxDyn(&[4]), vec![0.0f32; 4]).unwrap();
    bias[[2]] = f32::NAN;
    let broken = set(&model, "conv.bias", Tensor::Dense(Dense::F32(bias)));
    let error = check_finite(&reread(&broken)).unwrap_err().to_string();
    assert!(
        error.contains("conv.bias") && error.contains("index 2"),
        "{error}"
    );
}

#[test]
fn a_model_with_other_values_of_a_weight_loads_nothing() {
    let model = convnet(17);
    let before = model.forward(&inputs(3)).unwrap();
    assert_eq!(model.engine().pool().loads(), 1);
    let dense = random(&[32, 36], 11);
    for tensor in [dense.clone().into(), blocks(&dense, 1, 8, true)] {
        let changed = set(&model, "fc.weight", tensor);
        let after = changed.forward(&inputs(3)).unwrap();
        assert_ne!(after, before);
        assert_eq!(changed.forward(&inputs(3)).unwrap(), after);
        let alone = GraphModel::from_graph(changed.graph().clone()).unwrap();
        assert_eq!(after, alone.forward(&inputs(3)).unwrap());
        assert_eq!(model.engine().pool().loads(), 1);
    }
    assert_eq!(model.forward(&inputs(3)).unwrap(), before);
}

#[test]
fn results_do_not_depend_on_threads() {
    let model = convnet(17);
    let run = |threads| {
        let pool = rten::ThreadPool::with_num_threads(threads);
        let mut seen = Vec::new();
        pool.run(|| seen = model.forward(&inputs(50)).unwrap());
        seen
    };
    assert_eq!(run(1), run(3));
}

#[test]
#[ignore = "reads the models of LAPIDARY_DATA; run by cargo xtask measure"]
fn real_models_run_and_round_trip() {
    let folder =
        std::env::var("LAPIDARY_DATA").expect("LAPIDARY_DATA names the folder of real data");
    let params = [
        ("mnist-net_256x2", 269_322),
        ("resnet20", 269_034),
        ("minilm_l6", 22_565_376),
        ("ultraface_rfb320", 281_100),
        ("magika_v3_3", 784_214),
        ("dtln_1", 363_393),
    ];
    for (name, params) in params {
        let model = GraphModel::open(format!("{folder}/models/{name}.onnx")).unwrap();
        assert_eq!(reread(&model).graph(), model.graph(), "{name}");
        let counted: usize = model.topology().layers.iter().map(|l| l.params).sum();
        assert_eq!(counted, params, "{name}");
        let inputs: Inputs = (model.signature().inputs.iter())
            .map(|port| {
                let rest = port.shape.iter().skip(1).map(|d| match d {
                    Dim::Fixed(n) => *n,
                    Dim::Symbol(_) => 8,
                });
                let shape: Vec<usize> = std::iter::once(2).chain(rest).collect();
                let count: usize = shape.iter().product();
                let tensor = match port.dtype {
                    DType::F32 => random(&shape, 3),
                    DType::I64 => Dense::i64(&shape, vec![1; count]).unwrap(),
                    _ => Dense::I32(ArcArray::from_elem(IxDyn(&shape), 1)),
                };
                (port.name.clone(), tensor)
            })
            .collect();
        for output in model.forward(&inputs).unwrap() {
            assert_eq!(output.shape()[0], 2, "{name}");
            assert!(
                output.as_f32().unwrap().iter().all(|v| v.is_finite()),
                "{name}"
            );
        }
    }
}
