//! Weights as inputs: the same bits as with constants, and nothing loaded twice.

use std::collections::BTreeSet;
use std::sync::Arc;

use lapidary_core::model::Dim;
use lapidary_core::rng::Rng;
use lapidary_core::tensor::{DType, Dense, Granularity, Quantized, Tensor, array};
use lapidary_graph::Graph;
use lapidary_graph::build::GraphBuilder;
use lapidary_graph::lower::lower;
use ndarray::{ArrayD, IxDyn};
use rten::RunOptions;

use super::Rten;
use super::pool::Pool;
use super::program::Program;
use crate::engine::{Engine, InferenceSession};

fn random(shape: &[usize], seed: u64) -> Dense {
    let mut rng = Rng::keyed(seed, 0, "runtime: test");
    let data = (0..shape.iter().product()).map(|_| rng.normal() as f32);
    Dense::f32(shape, data.collect()).unwrap()
}

/// Values for the inputs of a graph: two samples, symbols of extent 2, integers 0 and 1.
fn inputs(graph: &Graph) -> Vec<Dense> {
    let mut rng = Rng::keyed(7, 0, "runtime: test inputs");
    let ports = graph.inputs.iter().enumerate();
    ports
        .map(|(i, port)| {
            let dims = port.shape.iter().flatten().map(|d| match d {
                Dim::Fixed(n) => *n,
                Dim::Symbol(_) => 2,
            });
            let shape: Vec<usize> = dims.collect();
            let mut bits = || {
                (0..shape.iter().product())
                    .map(|_| rng.below(2))
                    .collect::<Vec<_>>()
            };
            match port.dtype {
                DType::F32 => random(&shape, i as u64),
                DType::I64 => {
                    Dense::i64(&shape, bits().into_iter().map(|b| b as i64).collect()).unwrap()
                }
                _ => Dense::I32(
                    array(&shape, bits().into_iter().map(|b| b as i32).collect()).unwrap(),
                ),
            }
        })
        .collect()
}

fn bits(values: &[Dense]) -> Vec<Vec<u32>> {
    let floats = values.iter().filter_map(Dense::as_f32);
    floats
        .map(|a| a.iter().map(|v| v.to_bits()).collect())
        .collect()
}

/// Checks that a graph gives the same bits with weights as inputs as with constants only, and says which are inputs.
fn lifted(graph: &Graph) -> Vec<String> {
    let given = inputs(graph);
    let pool = Pool::default();
    let program = pool.program(graph, &graph.outputs).unwrap();
    let weights = program.weights(graph, &pool).unwrap();
    let options = RunOptions::default();
    let mut lowered = lower(graph).unwrap();
    lowered.outputs.clone_from(&graph.outputs);
    let constant = Program::lifting(graph, &graph.outputs, lowered, &BTreeSet::new()).unwrap();
    let expected = constant.run(&given, &[], &options).unwrap();
    assert_eq!(
        bits(&program.run(&given, &weights, &options).unwrap()),
        bits(&expected)
    );
    program.lifted().map(str::to_owned).collect()
}

/// A convolution with `bias`, and what `behind` puts behind it.
fn conv(bias: bool, behind: impl FnOnce(&mut GraphBuilder, String) -> String) -> Graph {
    let mut b = GraphBuilder::new("conv");
    let x = b.input("x", DType::F32, &[8, 9, 9]);
    let kernel = b.weight("kernel", random(&[16, 8, 3, 3], 1));
    let mut names = vec![x, kernel];
    if bias {
        names.push(b.weight("bias", random(&[16], 2)));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let y = b.node("Conv", "conv", &names, []);
    let y = behind(&mut b, y);
    let y = b.node("Relu", "relu", &[&y], []);
    b.output(&y, DType::F32, &[16, 7, 7]);
    b.finish(13).unwrap()
}

fn norm(b: &mut GraphBuilder, x: &str) -> String {
    let positive = |dense: Dense| Dense::F32(dense.as_f32().unwrap().mapv(f32::abs).into_shared());
    let scale = b.weight("scale", random(&[16], 3));
    let shift = b.weight("shift", random(&[16], 4));
    let mean = b.weight("mean", random(&[16], 5));
    let variance = b.weight("variance", positive(random(&[16], 6)));
    let epsilon = [("epsilon", 1e-3.into())];
    b.node(
        "BatchNormalization",
        "norm",
        &[x, &scale, &shift, &mean, &variance],
        epsilon,
    )
}

#[test]
fn kernels_are_inputs_with_the_same_bits_unless_merged_with_what_follows() {
    for bias in [false, true] {
        assert_eq!(lifted(&conv(bias, |_, y| y)), ["kernel"]);
        assert_eq!(lifted(&conv(bias, |b, y| norm(b, &y))), ["kernel"]);
        for op in ["Add", "Mul"] {
            let behind = |b: &mut GraphBuilder, y: String| {
                let each = b.weight("each", random(&[1, 16, 1, 1], 7));
                b.node(op, "by", &[&y, &each], [])
            };
            assert!(lifted(&conv(bias, behind)).is_empty(), "{op}");
            let after_norm = |b: &mut GraphBuilder, y: String| {
                let y = norm(b, &y);
                behind(b, y)
            };
            assert!(lifted(&conv(bias, after_norm)).is_empty(), "{op}");
        }
        let both = |b: &mut GraphBuilder, y: String| {
            let scale = b.weight("s", random(&[1, 16, 1, 1], 7));
            let shift = b.weight("t", random(&[1, 16, 1, 1], 8));
            let y = b.node("Mul", "scaled", &[&y, &scale], []);
            b.node("Add", "shifted", &[&y, &shift], [])
        };
        assert!(lifted(&conv(bias, both)).is_empty());
        let skip = |b: &mut GraphBuilder, y: String| {
            let z = b.node("Sigmoid", "gate", &[&y], []);
            b.node("Mul", "gated", &[&y, &z], [])
        };
        assert_eq!(lifted(&conv(bias, skip)), ["kernel"]);
    }
}

#[test]
fn matrices_and_tables_are_inputs_with_the_same_bits() {
    let mut b = GraphBuilder::new("matrices");
    let ids = b.input("ids", DType::I64, &[5]);
    let table = b.weight("table", random(&[40, 32], 1));
    let x = b.node("Gather", "words", &[&table, &ids], []);
    let w = b.weight("w", random(&[32, 48], 2));
    let bias = b.weight("b", random(&[48], 3));
    let y = b.node("MatMul", "product", &[&x, &w], []);
    let y = b.node("Add", "added", &[&y, &bias], []);
    // Computed from constants alone, so rten turns it once.
    let turned = b.weight("turned", random(&[64, 48], 4));
    let turned = b.node("Transpose", "turn", &[&turned], [("perm", [1, 0].into())]);
    let y = b.node("MatMul", "second", &[&y, &turned], []);
    let y = b.node("Flatten", "flat", &[&y], []);
    let w = b.weight("gemm", random(&[7, 320], 5));
    let y = b.node("Gemm", "head", &[&y, &w], [("transB", 1.into())]);
    b.output(&y, DType::F32, &[7]);
    let graph = b.finish(13).unwrap();
    assert_eq!(lifted(&graph), ["gemm", "table", "w"]);
}

/// What a graph gives for its inputs.
fn ran(graph: &Graph, given: &[Dense]) -> Vec<Vec<f32>> {
    let session = Rten::default().load(graph, &graph.outputs).unwrap();
    let values = session.run(given).unwrap();
    (values.iter())
        .map(|v| v.as_f32().unwrap().iter().copied().collect())
        .collect()
}

fn near(a: &[Vec<f32>], b: &[Vec<f32>]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert_eq!(a.len(), b.len());
        assert!(
            a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5),
            "{a:?} {b:?}"
        );
    }
}

/// A layer over five steps of three numbers, with five hidden units in both directions.
fn recurrent(
    op: &str,
    gates: usize,
    more: &[(&str, i64)],
    peepholes: Option<f32>,
    state: f32,
) -> Graph {
    let mut b = GraphBuilder::new("recurrent");
    let x = b.input("x", DType::F32, &[5, 3]);
    let x = b.node("Transpose", "steps", &[&x], [("perm", [1, 0, 2].into())]);
    let w = b.weight("w", random(&[2, gates * 5, 3], 1));
    let mut r = random(&[2, gates * 5, 5], 2).as_f32().unwrap().to_owned();
    // The rows of the last gate, times a factor.
    for i in (gates - 1) * 5..gates * 5 {
        r.index_axis_mut(ndarray::Axis(1), i)
            .mapv_inplace(|v| v * state);
    }
    let r = b.weight("r", Dense::from(r));
    let mut bias = random(&[2, 2 * gates * 5], 3).as_f32().unwrap().to_owned();
    for i in (2 * gates - 1) * 5..2 * gates * 5 {
        bias.index_axis_mut(ndarray::Axis(1), i)
            .mapv_inplace(|v| v * state);
    }
    let bias = b.weight("b", Dense::from(bias));
    let mut names = vec![x, w, r, bias];
    if let Some(value) = peepholes {
        let p = Dense::f32(&[2, 15], vec![value; 30]).unwrap();
        names.extend([
            String::new(),
            String::new(),
            String::new(),
            b.weight("p", p),
        ]);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut attributes: Vec<(&str, lapidary_graph::Attribute)> = vec![
        ("hidden_size", 5.into()),
        ("direction", "bidirectional".into()),
    ];
    attributes.extend(more.iter().map(|&(name, v)| (name, v.into())));
    let outputs = b.node_with_outputs(op, "layer", &names, 2, attributes);
    let y = b.node(
        "Transpose",
        "y",
        &[&outputs[0]],
        [("perm", [2, 0, 1, 3].into())],
    );
    let h = b.node(
        "Transpose",
        "h",
        &[&outputs[1]],
        [("perm", [1, 0, 2].into())],
    );
    b.output(&y, DType::F32, &[5, 2, 5]);
    b.output(&h, DType::F32, &[2, 5]);
    b.finish(17).unwrap()
}

#[test]
fn recurrent_layers_that_rten_lacks_are_put_together() {
    let given = [random(&[2, 5, 3], 7)];
    // Peepholes of zero see nothing.
    near(
        &ran(&recurrent("LSTM", 4, &[], Some(0.0), 1.0), &given),
        &ran(&recurrent("LSTM", 4, &[], None, 1.0), &given),
    );
    // Where the state gives nothing to the new value, it does not matter when it is reset.
    near(
        &ran(&recurrent("GRU", 3, &[], None, 0.0), &given),
        &ran(
            &recurrent("GRU", 3, &[("linear_before_reset", 1)], None, 0.0),
            &given,
        ),
    );
    let differ = ran(&recurrent("GRU", 3, &[], None, 1.0), &given);
    assert_ne!(
        differ,
        ran(
            &recurrent("GRU", 3, &[("linear_before_reset", 1)], None, 1.0),
            &given
        )
    );
}

#[test]
fn a_convolution_over_three_axes_is_the_sum_over_one() {
    // A kernel of one slice is a convolution of each slice of the input.
    let mut b = GraphBuilder::new("volume");
    let x = b.input("x", DType::F32, &[2, 4, 5, 6]);
    let values = random(&[3, 2, 2, 3, 3], 1);
    let w = b.weight("w", values.clone());
    let bias = b.weight("b", random(&[3], 2));
    let pads = [
        ("pads", [1, 1, 1, 0, 1, 1].into()),
        ("strides", [2, 1, 2].into()),
    ];
    let y = b.node("Conv", "y", &[&x, &w, &bias], pads);
    b.output(&y, DType::F32, &[3, 2, 5, 3]);
    let x = random(&[2, 2, 4, 5, 6], 3);
    let found = ran(&b.finish(17).unwrap(), std::slice::from_ref(&x));
    let (x, w) = (x.as_f32().unwrap(), values.as_f32().unwrap());
    let bias = random(&[3], 2);
    let at = |i: usize, pad: usize, extent: usize| i.checked_sub(pad).filter(|&i| i < extent);
    let mut wanted = Vec::new();
    for n in 0..2 {
        for f in 0..3 {
            for (d, h, v) in
                (0..2).flat_map(|d| (0..5).flat_map(move |h| (0..3).map(move |v| (d, h, v))))
            {
                let mut sum = bias.as_f32().unwrap()[[f]];
                for (c, k, i, j) in (0..2).flat_map(|c| {
                    (0..2).flat_map(move |k| {
                        (0..3).flat_map(move |i| (0..3).map(move |j| (c, k, i, j)))
                    })
                }) {
                    let place = (at(2 * d + k, 1, 4), at(h + i, 1, 5), at(2 * v + j, 1, 6));
                    if let (Some(z), Some(y), Some(u)) = place {
                        sum += x[[n, c, z, y, u]] * w[[f, c, k, i, j]];
                    }
                }
                wanted.push(sum);
            }
        }
    }
    near(&found, &[wanted]);
}

#[test]
fn codes_are_rounded_by_dividing() {
    // 0.45 / 0.1 is 4.5 and rounds to the even 4; 0.45 · (1 / 0.1) is a little more.
    let mut b = GraphBuilder::new("codes");
    let x = b.input("x", DType::F32, &[4]);
    let scale = b.weight("scale", Dense::f32(&[], vec![0.1]).unwrap());
    let zero = b.weight(
        "zero",
        Dense::Raw {
            dtype: DType::U16,
            shape: vec![],
            bytes: 1000u16.to_le_bytes().as_slice().into(),
        },
    );
    let q = b.node("QuantizeLinear", "q", &[&x, &scale, &zero], []);
    let y = b.node("DequantizeLinear", "y", &[&q, &scale, &zero], []);
    let dynamic = b.node_with_outputs("DynamicQuantizeLinear", "d", &[&x], 3, []);
    let z = b.node(
        "DequantizeLinear",
        "z",
        &[&dynamic[0], &dynamic[1], &dynamic[2]],
        [],
    );
    b.output(&y, DType::F32, &[4]);
    b.output(&z, DType::F32, &[4]);
    let x = [0.45f32, -30.0, 25.5, 0.2];
    let found = ran(
        &b.finish(17).unwrap(),
        &[Dense::f32(&[1, 4], x.to_vec()).unwrap()],
    );
    let wanted = x.map(|v| (v / 0.1).round_ties_even() * 0.1);
    near(&found[..1], &[wanted.to_vec()]);
    let step = 55.5f32 / 255.0;
    assert!(
        found[1]
            .iter()
            .zip(x)
            .all(|(a, b)| (a - b).abs() <= 0.51 * step),
        "{found:?}"
    );
}

#[test]
fn convolutions_of_codes_give_the_sums_of_their_values() {
    let codes = [250u8, 3, 128, 77, 12, 200, 131, 9, 64];
    let kernel = [100i8, -127, 5, 88];
    let mut b = GraphBuilder::new("codes");
    let x = b.input("x", DType::U8, &[1, 3, 3]);
    let w = Dense::I8(array(&[1, 1, 2, 2], kernel.to_vec()).unwrap());
    let w = b.weight("w", w);
    let zero = b.weight("zero", Dense::U8(array(&[], vec![120]).unwrap()));
    let pads = [("pads", [1, 1, 0, 0].into())];
    let y = b.node("ConvInteger", "y", &[&x, &w, &zero], pads);
    let y = b.node("Cast", "f", &[&y], [("to", 1.into())]);
    b.output(&y, DType::F32, &[1, 3, 3]);
    let x = Dense::U8(array(&[1, 1, 3, 3], codes.to_vec()).unwrap());
    let found = ran(&b.finish(17).unwrap(), &[x]);
    let at = |i: i32, j: i32| match (i, j) {
        (0.., 0..) => f32::from(codes[(3 * i + j) as usize]) - 120.0,
        _ => 0.0,
    };
    let sum = |i: i32, j: i32| -> f32 {
        (0..4)
            .map(|k| at(i - 1 + k / 2, j - 1 + k % 2) * f32::from(kernel[k as usize]))
            .sum()
    };
    let wanted = (0..9).map(|i| sum(i / 3, i % 3)).collect();
    near(&found, &[wanted]);
}

#[test]
fn what_is_lacking_names_what_may_run_it() {
    let mut b = GraphBuilder::new("boxes");
    let boxes = b.input("boxes", DType::F32, &[3, 4]);
    let scores = b.input("scores", DType::F32, &[2, 3]);
    let y = b.node("NonMaxSuppression", "chosen", &[&boxes, &scores], []);
    b.output(&y, DType::I64, &[3]);
    let graph = b.finish(17).unwrap();
    let error = Rten::default()
        .load(&graph, &graph.outputs)
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("`chosen`") && error.contains("--runtime ort"),
        "{error}"
    );
}

#[test]
fn other_values_of_the_same_weights_are_not_loaded_again() {
    let engine = Rten::default();
    let graph = conv(true, |b, y| norm(b, &y));
    let given = inputs(&graph);
    let run = |engine: &Rten, graph: &Graph| {
        let session = engine.load(graph, &graph.outputs).unwrap();
        bits(&session.run(&given).unwrap())
    };
    let first = run(&engine, &graph);
    let set = |name: &str, tensor: Tensor| {
        let mut graph = graph.clone();
        graph.weights.insert(name.into(), Arc::new(tensor));
        graph
    };
    let kernel = set("kernel", random(&[16, 8, 3, 3], 9).into());
    let codes = random(&[16, 8, 3, 3], 10)
        .as_f32()
        .unwrap()
        .mapv(|v| (v * 9.0) as i16);
    let codes = set(
        "kernel",
        Tensor::Quantized(Quantized {
            codes: codes.into_shared(),
            bits: 8,
            signed: true,
            granularity: Granularity::Axis(0),
            scales: ArrayD::from_elem(IxDyn(&[16]), 0.1),
            zero_points: ArrayD::zeros(IxDyn(&[16])),
        }),
    );
    for other in [&kernel, &codes] {
        let changed = run(&engine, other);
        assert_ne!(changed, first);
        assert_eq!(changed, run(&Rten::default(), other));
        assert_eq!(engine.pool().loads(), 1);
    }
    assert_eq!(run(&engine, &graph), first);
    assert_eq!(engine.pool().loads(), 1);
    // What is merged into the kernel or small stays a constant.
    let mean = set("mean", random(&[16], 11).into());
    assert_eq!(run(&engine, &mean), run(&Rten::default(), &mean));
    assert_eq!(engine.pool().loads(), 2);
}

#[test]
fn each_operation_that_runs_has_its_time() {
    let graph = conv(false, |b, y| norm(b, &y));
    let nodes = Rten::default().profile(&graph, &inputs(&graph), 3).unwrap();
    let names: Vec<_> = nodes.iter().map(|n| (&*n.node, &*n.operator)).collect();
    assert_eq!(names, [("conv", "Conv"), ("relu", "Relu")]);
    assert!(nodes.iter().all(|n| n.ms > 0.0));
}

#[test]
#[ignore = "reads the models of LAPIDARY_DATA; run by cargo xtask measure"]
fn real_models_give_the_same_bits_with_weights_as_inputs() {
    let folder =
        std::env::var("LAPIDARY_DATA").expect("LAPIDARY_DATA names the folder of real data");
    for entry in std::fs::read_dir(format!("{folder}/models")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "onnx") {
            let (graph, _) = lapidary_onnx::open(&path).unwrap();
            println!("{}: {} inputs", path.display(), lifted(&graph).len());
        }
    }
}
