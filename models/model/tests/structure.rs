//! Operators one by one: their channels are found, and cutting silent ones changes nothing.

use std::sync::Arc;

use lapidary_core::model::{ChannelGroup, Edit, Model, Structural};
use lapidary_core::rng::Rng;
use lapidary_core::samples::Inputs;
use lapidary_core::tensor::{DType, Dense, Granularity, Quantized, Tensor};
use ndarray::{ArrayD, Axis, IxDyn};

use lapidary_graph::build::GraphBuilder;
use lapidary_model::GraphModel;

/// A weight with values in [0.1, 1.1], so that none is zero by chance and divisors and variances are positive.
fn drawn(b: &mut GraphBuilder, name: &str, shape: &[usize]) -> String {
    let mut rng = Rng::keyed(1, shape.iter().product::<usize>() as u64, name);
    let data = (0..shape.iter().product())
        .map(|_| rng.unit() as f32 + 0.1)
        .collect();
    b.weight(name, Dense::f32(shape, data).unwrap())
}

fn conv(b: &mut GraphBuilder, name: &str, x: &str, shape: [usize; 4], group: i64) -> String {
    let w = drawn(b, &format!("{name}.w"), &shape);
    let bias = drawn(b, &format!("{name}.b"), &shape[..1]);
    let pad = (shape[2] / 2) as i64;
    b.node(
        "Conv",
        name,
        &[x, &w, &bias],
        [("group", group.into()), ("pads", [pad; 4].into())],
    )
}

/// A model of `x` `[batch, sample…]` with one output.
fn model(sample: &[usize], build: impl FnOnce(&mut GraphBuilder, &str) -> String) -> GraphModel {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", DType::F32, sample);
    let y = build(&mut b, &x);
    b.output(&y, DType::F32, &[]);
    let mut graph = b.finish(17).unwrap();
    graph.outputs[0].shape = None;
    GraphModel::from_graph(graph).unwrap()
}

fn run(model: &dyn Model) -> ArrayD<f32> {
    let mut shape = vec![2];
    for dim in &model.signature().inputs[0].shape[1..] {
        let lapidary_core::model::Dim::Fixed(d) = dim else {
            panic!("open shape")
        };
        shape.push(*d);
    }
    let mut rng = Rng::keyed(9, 0, "x");
    let data = (0..shape.iter().product())
        .map(|_| rng.normal() as f32)
        .collect();
    let inputs = Inputs::from([("x".into(), Dense::f32(&shape, data).unwrap())]);
    model.forward(&inputs).unwrap()[0]
        .as_f32()
        .unwrap()
        .to_owned()
}

fn silenced(model: &GraphModel, group: &ChannelGroup, cut: &[usize]) -> GraphModel {
    let mut graph = model.graph().clone();
    for slice in group.slices.iter().filter(|s| s.produces) {
        let tensor = graph.weights.get_mut(&slice.weight).unwrap();
        let mut values = tensor.to_f32().unwrap().to_owned();
        for i in cut
            .iter()
            .flat_map(|c| c * slice.repeat..(c + 1) * slice.repeat)
        {
            values
                .index_axis_mut(Axis(slice.axis), slice.offset + i)
                .fill(0.0);
        }
        *tensor = Arc::new(Tensor::Dense(values.into()));
    }
    GraphModel::from_graph(graph).unwrap()
}

/// Channels and producers of each group, after checking that every second channel of each can be silenced and cut.
fn groups(model: &GraphModel) -> Vec<(usize, Vec<String>)> {
    for group in model.groups() {
        let (cut, keep): (Vec<_>, Vec<_>) = (0..group.channels).partition(|c| c % 2 == 1);
        let silent = silenced(model, &group, &cut);
        let edit = Edit::CutChannels {
            group: group.id,
            keep,
        };
        let small = silent.apply(&[edit]).unwrap();
        let (a, b) = (run(&silent), run(small.as_ref()));
        assert_eq!(a.shape(), b.shape(), "{group:?}");
        let most = a.iter().fold(1.0f32, |m, v| m.max(v.abs()));
        let apart = a
            .iter()
            .zip(&b)
            .fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
        assert!(apart <= 1e-5 * most, "{group:?}: {apart}");
        if !cut.is_empty() {
            assert!(
                small.file_bytes().unwrap() < model.file_bytes().unwrap(),
                "{group:?}"
            );
        }
    }
    model
        .groups()
        .into_iter()
        .map(|g| (g.channels, g.producers))
        .collect()
}

fn found(list: &[(usize, &[&str])]) -> Vec<(usize, Vec<String>)> {
    list.iter()
        .map(|(n, names)| (*n, names.iter().map(|s| s.to_string()).collect()))
        .collect()
}

#[test]
fn concatenated_channels_keep_their_places() {
    let m = model(&[2, 4, 4], |b, x| {
        let a = conv(b, "a", x, [4, 2, 3, 3], 1);
        let c = conv(b, "c", x, [6, 2, 1, 1], 1);
        let all = b.node("Concat", "all", &[&a, x, &c, &a], [("axis", 1.into())]);
        conv(b, "y", &all, [3, 16, 1, 1], 1)
    });
    assert_eq!(groups(&m), found(&[(4, &["a"]), (6, &["c"])]));
}

#[test]
fn groups_of_a_convolution_go_as_a_whole() {
    let m = model(&[2, 4, 4], |b, x| {
        let a = conv(b, "a", x, [8, 2, 3, 3], 1);
        let c = conv(b, "c", &a, [12, 2, 3, 3], 4);
        let d = conv(b, "d", &c, [24, 1, 3, 3], 12);
        conv(b, "y", &d, [3, 24, 1, 1], 1)
    });
    assert_eq!(groups(&m), found(&[(4, &["a", "c", "d"])]));
}

#[test]
fn split_channels_are_counted_anew() {
    let m = model(&[2, 4, 4], |b, x| {
        let a = conv(b, "a", x, [7, 2, 3, 3], 1);
        let parts = b.weight("parts", Dense::i64(&[2], vec![4, 3]).unwrap());
        let halves = b.node_with_outputs("Split", "s", &[&a, &parts], 2, [("axis", 1.into())]);
        let left = conv(b, "left", &halves[0], [3, 4, 3, 3], 1);
        let all = b.node("Concat", "all", &[&left, &halves[1]], [("axis", 1.into())]);
        conv(b, "y", &all, [3, 6, 1, 1], 1)
    });
    assert_eq!(
        groups(&m),
        found(&[(4, &["a"]), (3, &["a"]), (3, &["left"])])
    );
}

#[test]
fn flattened_maps_are_followed_in_either_order() {
    let m = model(&[2, 4, 3], |b, x| {
        let a = conv(b, "a", x, [4, 2, 3, 3], 1);
        let target = b.weight("target", Dense::i64(&[2], vec![-1, 48]).unwrap());
        let flat = b.node("Reshape", "flat", &[&a, &target], []);
        let w = drawn(b, "w", &[48, 6]);
        let h = b.node("MatMul", "h", &[&flat, &w], []);
        let c = drawn(b, "c", &[6]);
        let h = b.node("Add", "bias", &[&h, &c], []);
        let v = drawn(b, "v", &[6, 2]);
        b.node("MatMul", "y", &[&h, &v], [])
    });
    assert_eq!(groups(&m), found(&[(4, &["a"]), (6, &["h"])]));
    let last = model(&[2, 4, 3], |b, x| {
        let a = conv(b, "a", x, [4, 2, 3, 3], 1);
        let a = b.node("Transpose", "t", &[&a], [("perm", [0, 2, 3, 1].into())]);
        let flat = b.node("Flatten", "flat", &[&a], []);
        let w = drawn(b, "w", &[48, 6]);
        b.node("MatMul", "y", &[&flat, &w], [])
    });
    assert_eq!(groups(&last), found(&[(4, &["a"])]));
    let slices = last.groups()[0]
        .slices
        .iter()
        .filter(|s| s.weight == "w")
        .count();
    assert_eq!(slices, 12);
}

#[test]
fn shapes_computed_from_other_axes_do_not_hold_channels() {
    let reshaped = |index: i64| {
        model(&[2, 4, 3], move |b, x| {
            let a = conv(b, "a", x, [4, 2, 3, 3], 1);
            let dims = b.node("Shape", "dims", &[&a], []);
            let at = b.weight("at", Dense::i64(&[1], vec![index]).unwrap());
            let first = b.node("Gather", "first", &[&dims, &at], []);
            let rest = b.weight("rest", Dense::i64(&[1], vec![-1]).unwrap());
            let order = match index {
                0 => [first, rest],
                _ => [rest, first],
            };
            let target = b.node(
                "Concat",
                "target",
                &[&order[0], &order[1]],
                [("axis", 0.into())],
            );
            let flat = b.node("Reshape", "flat", &[&a, &target], []);
            let w = drawn(b, "w", &[if index == 0 { 48 } else { 4 }, 6]);
            b.node("MatMul", "y", &[&flat, &w], [])
        })
    };
    assert_eq!(groups(&reshaped(0)), found(&[(4, &["a"])]));
    assert_eq!(groups(&reshaped(1)), found(&[]));
}

#[test]
fn padded_channels_follow_the_sum_they_are_part_of() {
    let m = model(&[2, 4, 4], |b, x| {
        let a = conv(b, "a", x, [4, 2, 3, 3], 1);
        let c = conv(b, "c", &a, [10, 4, 3, 3], 1);
        let pads = b.weight(
            "pads",
            Dense::i64(&[8], vec![0, 3, 0, 0, 0, 3, 0, 0]).unwrap(),
        );
        let wide = b.node("Pad", "wide", &[&a, &pads], []);
        let sum = b.node("Add", "sum", &[&c, &wide], []);
        let r = b.node("Relu", "r", &[&sum], []);
        conv(b, "y", &r, [3, 10, 1, 1], 1)
    });
    assert_eq!(
        groups(&m),
        found(&[(4, &["a", "c"]), (3, &["c"]), (3, &["c"])])
    );
}

#[test]
fn resized_maps_keep_their_channels() {
    let resized = |scale: f32| {
        model(&[2, 4, 4], move |b, x| {
            let a = conv(b, "a", x, [4, 2, 3, 3], 1);
            let scales = Dense::f32(&[4], vec![1.0, scale, 2.0, 2.0]).unwrap();
            let scales = b.weight("scales", scales);
            let mode = [("mode", "nearest".into())];
            let a = b.node("Resize", "large", &[&a, "", &scales], mode);
            conv(b, "y", &a, [3, 4 * scale as usize, 1, 1], 1)
        })
    };
    assert_eq!(groups(&resized(1.0)), found(&[(4, &["a"])]));
    assert!(resized(2.0).groups().is_empty());
}

#[test]
fn one_channel_scales_many() {
    let m = model(&[2, 4, 4], |b, x| {
        let a = conv(b, "a", x, [4, 2, 3, 3], 1);
        let mask = conv(b, "mask", &a, [1, 4, 1, 1], 1);
        let pooled = b.node("GlobalAveragePool", "pool", &[&a], []);
        let squeezed = conv(b, "squeezed", &pooled, [2, 4, 1, 1], 1);
        let gate = conv(b, "gate", &squeezed, [4, 2, 1, 1], 1);
        let a = b.node("Mul", "masked", &[&mask, &a], []);
        let a = b.node("Mul", "gated", &[&a, &gate], []);
        let slope = drawn(b, "slope", &[4, 1, 1]);
        let a = b.node("PRelu", "p", &[&a, &slope], []);
        let mean = b.node(
            "ReduceMean",
            "m",
            &[&a],
            [("axes", [2, 3].into()), ("keepdims", 0.into())],
        );
        let w = drawn(b, "w", &[3, 4]);
        b.node("Gemm", "y", &[&mean, &w], [("transB", 1.into())])
    });
    assert_eq!(
        groups(&m),
        found(&[(4, &["a", "gate"]), (2, &["squeezed"])])
    );
}

#[test]
fn a_transformers_inner_layer_is_free_and_its_stream_is_not() {
    let m = model(&[5, 4], |b, x| {
        let (w, v) = (drawn(b, "w", &[4, 6]), drawn(b, "v", &[6, 4]));
        let (scale, shift) = (drawn(b, "scale", &[6]), drawn(b, "shift", &[6]));
        let h = b.node("MatMul", "up", &[x, &w], []);
        let h = b.node("Tanh", "act", &[&h], []);
        let half = b.weight("half", Dense::f32(&[], vec![0.5]).unwrap());
        let h = b.node("Mul", "halved", &[&h, &half], []);
        let h = b.node("Mul", "scaled", &[&h, &scale], []);
        let h = b.node("Add", "shifted", &[&h, &shift], []);
        let h = b.node("MatMul", "down", &[&h, &v], []);
        b.node("Add", "y", &[&h, x], [])
    });
    assert_eq!(groups(&m), found(&[(6, &["up"])]));
}

#[test]
fn a_normalisation_over_channels_is_cut_with_them() {
    let m = model(&[5], |b, x| {
        let (w, v) = (drawn(b, "w", &[6, 5]), drawn(b, "v", &[2, 6]));
        let (scale, shift) = (drawn(b, "scale", &[6]), drawn(b, "shift", &[6]));
        let h = b.node("Gemm", "h", &[x, &w], [("transB", 1.into())]);
        let h = b.node("LayerNormalization", "norm", &[&h, &scale, &shift], []);
        b.node("Gemm", "y", &[&h, &v], [("transB", 1.into())])
    });
    let group = m.groups().remove(0);
    let names: Vec<&str> = group.slices.iter().map(|s| s.weight.as_str()).collect();
    assert_eq!(names, ["w", "scale", "shift", "v"]);
    let small = m
        .apply(&[Edit::CutChannels {
            group: 0,
            keep: vec![0, 5],
        }])
        .unwrap();
    assert_eq!(run(small.as_ref()).shape(), [2, 2]);
}

#[test]
fn what_has_no_rule_or_shares_weights_is_left_alone() {
    let softmax = model(&[5], |b, x| {
        let (w, v) = (drawn(b, "w", &[5, 6]), drawn(b, "v", &[6, 2]));
        let h = b.node("MatMul", "h", &[x, &w], []);
        let h = b.node("Softmax", "s", &[&h], []);
        b.node("MatMul", "y", &[&h, &v], [])
    });
    assert_eq!(groups(&softmax), found(&[]));
    let shuffled = model(&[2, 4, 4], |b, x| {
        let a = conv(b, "a", x, [4, 2, 3, 3], 1);
        let target = b.weight("target", Dense::i64(&[5], vec![0, 2, 2, 4, 4]).unwrap());
        let a = b.node("Reshape", "apart", &[&a, &target], []);
        let a = b.node(
            "Transpose",
            "swap",
            &[&a],
            [("perm", [0, 2, 1, 3, 4].into())],
        );
        let target = b.weight("target2", Dense::i64(&[4], vec![0, 4, 4, 4]).unwrap());
        let a = b.node("Reshape", "together", &[&a, &target], []);
        conv(b, "y", &a, [3, 4, 1, 1], 1)
    });
    assert_eq!(groups(&shuffled), found(&[]));
    // One weight in two layers: it would have to be cut in two ways.
    let tied = model(&[6], |b, x| {
        let (w, v) = (drawn(b, "w", &[6, 6]), drawn(b, "v", &[6, 2]));
        let h = b.node("MatMul", "a", &[x, &w], []);
        let h = b.node("MatMul", "b", &[&h, &w], []);
        b.node("MatMul", "y", &[&h, &v], [])
    });
    assert_eq!(groups(&tied), found(&[]));
    // One vector added twice to the same channels: it is cut once for both.
    let twice = model(&[5], |b, x| {
        let (w, v, c) = (
            drawn(b, "w", &[5, 6]),
            drawn(b, "v", &[6, 2]),
            drawn(b, "c", &[6]),
        );
        let h = b.node("MatMul", "h", &[x, &w], []);
        let h = b.node("Add", "p", &[&h, &c], []);
        let h = b.node("Add", "q", &[&h, &c], []);
        b.node("MatMul", "y", &[&h, &v], [])
    });
    assert_eq!(groups(&twice), found(&[(6, &["h"])]));
}

fn quantized(shape: &[usize], granularity: Granularity, scales: &[usize]) -> Tensor {
    let n: usize = shape.iter().product();
    let codes = (0..n).map(|i| (i * 7 % 15) as i16 - 7).collect();
    Tensor::Quantized(Quantized {
        codes: ArrayD::from_shape_vec(IxDyn(shape), codes)
            .unwrap()
            .into_shared(),
        bits: 8,
        signed: true,
        granularity,
        scales: ArrayD::from_shape_fn(IxDyn(scales), |i| {
            0.1 + 0.1 * ndarray::Dimension::slice(&i).iter().sum::<usize>() as f32
        }),
        zero_points: ArrayD::zeros(IxDyn(scales)),
    })
}

#[test]
fn quantized_weights_keep_the_scales_of_the_channels_that_stay() {
    let build = |first: Tensor, second: Tensor| {
        model(&[3], move |b, x| {
            let (w, v) = (b.weight("w", first), b.weight("v", second));
            let h = b.node("Gemm", "h", &[x, &w], [("transB", 1.into())]);
            b.node("Gemm", "y", &[&h, &v], [("transB", 1.into())])
        })
    };
    let keep = [0usize, 2, 3];
    let whole = Granularity::Axis(0);
    let block = |size| Granularity::Block { axis: 1, size };
    let m = build(
        quantized(&[4, 3], whole, &[4]),
        quantized(&[2, 4], Granularity::Tensor, &[]),
    );
    let edit = |keep: &[usize]| Edit::CutChannels {
        group: 0,
        keep: keep.to_vec(),
    };
    let small = m.apply(&[edit(&keep)]).unwrap();
    for (name, axis) in [("w", 0), ("v", 1)] {
        let before = m.weights()[name].to_f32().unwrap();
        let after = small.weights()[name].to_f32().unwrap();
        assert!(matches!(*small.weights()[name], Tensor::Quantized(_)));
        assert_eq!(before.select(Axis(axis), &keep), after);
    }
    // Blocks along the channels: whole ones can go, parts of one cannot.
    let m = build(
        quantized(&[4, 3], block(2), &[4, 2]),
        quantized(&[2, 4], block(2), &[2, 2]),
    );
    let error = m.apply(&[edit(&keep)]).err().unwrap().to_string();
    assert!(
        error.contains("weight `v`") && error.contains("cut first"),
        "{error}"
    );
    let small = m.apply(&[edit(&[2, 3])]).unwrap();
    let before = m.weights()["v"].to_f32().unwrap();
    assert_eq!(
        before.select(Axis(1), &[2, 3]),
        small.weights()["v"].to_f32().unwrap()
    );
}

#[test]
fn stated_shapes_follow() {
    let m = model(&[2, 4, 4], |b, x| {
        let a = conv(b, "a", x, [4, 2, 3, 3], 1);
        conv(b, "y", &a, [3, 4, 1, 1], 1)
    });
    let mut graph = m.graph().clone();
    graph.values.push(lapidary_graph::ValueInfo {
        name: "a".into(),
        dtype: DType::F32,
        shape: Some(graph.inputs[0].shape.clone().unwrap()),
    });
    let small = lapidary_graph::structure::cut(
        &graph,
        &[lapidary_graph::structure::Cut {
            group: 0,
            keep: &[1],
        }],
    )
    .unwrap();
    let shape = small.values[0].shape.as_ref().unwrap();
    assert_eq!(shape[1], lapidary_core::model::Dim::Fixed(1));
    assert_eq!(shape[2..], graph.inputs[0].shape.as_ref().unwrap()[2..]);
}

#[test]
fn graphs_that_contradict_themselves_do_not_panic() {
    let twice = model(&[2, 4, 4], |b, x| {
        let a = conv(b, "a", x, [4, 2, 3, 3], 1);
        b.node(
            "ReduceMean",
            "y",
            &[&a],
            [("axes", [0, 0].into()), ("keepdims", 0.into())],
        )
    });
    twice.groups();
    // A convolution whose output is said to have one axis.
    let flat = model(&[2, 4, 4], |b, x| {
        let a = conv(b, "a", x, [4, 9, 3, 3], 2);
        let t = b.node("Transpose", "t", &[&a], []);
        b.node("Add", "y", &[&t, &a], [])
    });
    let mut graph = flat.graph().clone();
    let one = Some(vec![lapidary_core::model::Dim::Fixed(4)]);
    for name in ["x", "a", "t"] {
        let shape = one.clone();
        graph.values.push(lapidary_graph::ValueInfo {
            name: name.into(),
            dtype: DType::F32,
            shape,
        });
    }
    graph.inputs[0].shape = None;
    lapidary_graph::structure::groups(&graph);
    // Channels doubled over and over.
    let doubled = model(&[2, 4, 4], |b, x| {
        let mut a = conv(b, "a", x, [4, 2, 3, 3], 1);
        for i in 0..60 {
            a = b.node("Concat", &format!("d{i}"), &[&a, &a], [("axis", 1.into())]);
        }
        b.node("GlobalAveragePool", "y", &[&a], [])
    });
    assert!(doubled.groups().is_empty());
}
