//! Cutting channels out of the families' models (and real ones): what is cut runs, is smaller, and computes what it should.

use std::collections::BTreeSet;
use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::model::{ChannelGroup, Edit, Model, Size, TaskShape};
use lapidary_core::registry::Registry;
use lapidary_core::rng::Rng;
use lapidary_core::samples::{Inputs, Task};
use lapidary_core::tensor::{Dense, Tensor};
use lapidary_model::GraphModel;
use lapidary_zoo::ENTRIES;
use ndarray::{ArrayD, Axis};
use serde_json::json;

/// Settings that together reach every way in which the families join channels.
fn cases() -> Vec<(&'static str, Json, Vec<usize>)> {
    let mlp = |settings: Json| ("mlp", settings, vec![1, 4, 4]);
    let net = |settings: Json| ("convnet", settings, vec![2, 9, 8]);
    vec![
        mlp(json!({"depth": 2, "width": 8})),
        mlp(json!({"depth": 3, "width": 8, "skip": true, "normalization": "batch"})),
        mlp(json!({"depth": 3, "width": 8, "activation": "gelu", "normalization": "batch"})),
        net(json!({"width": 6, "depth": 2, "normalization": "none", "activation": "leaky_relu"})),
        net(json!({"width": 6, "depth": 2, "activation": "hardswish"})),
        net(json!({"width": 6, "depth": 2, "skip": true, "activation": "silu"})),
        net(json!({"width": 6, "skip": true, "separable": true, "normalization": "none"})),
        net(json!({"width": 6, "separable": true, "pooling": "flatten"})),
        net(json!({"width": 6, "skip": true, "separable": true, "pooling": "flatten"})),
    ]
}

fn build(family: &str, settings: &Json, sample: &[usize]) -> GraphModel {
    let task = TaskShape {
        input: "x".into(),
        sample: sample.to_vec(),
        task: Task::Classification { classes: 5 },
    };
    let model = Registry::new(ENTRIES)
        .unwrap()
        .family(family, settings, &task, 1)
        .unwrap();
    let model = GraphModel::of(model.as_ref()).unwrap();
    jittered(model)
}

/// The model with every float weight moved a little, so that biases, scales and statistics are told apart.
fn jittered(model: &GraphModel) -> GraphModel {
    let mut graph = model.graph().clone();
    for (i, tensor) in graph.weights.values_mut().enumerate() {
        let Some(values) = tensor.to_f32() else {
            continue;
        };
        let mut rng = Rng::keyed(2, i as u64, "jitter");
        let moved = values.mapv(|v| v + 0.3 * rng.unit() as f32).into_dyn();
        *tensor = Arc::new(Tensor::Dense(moved.into()));
    }
    GraphModel::from_graph(graph).unwrap()
}

fn noise(model: &dyn Model, n: usize) -> Inputs {
    let port = &model.signature().inputs[0];
    let mut shape: Vec<usize> = vec![n];
    for dim in &port.shape[1..] {
        match dim {
            lapidary_core::model::Dim::Fixed(d) => shape.push(*d),
            lapidary_core::model::Dim::Symbol(s) => panic!("input axis `{s}` is open"),
        }
    }
    let mut rng = Rng::keyed(3, 0, "noise");
    let data = (0..shape.iter().product())
        .map(|_| rng.normal() as f32)
        .collect();
    Inputs::from([(port.name.clone(), Dense::f32(&shape, data).unwrap())])
}

fn run(model: &dyn Model) -> ArrayD<f32> {
    let outputs = model.forward(&noise(model, 3)).unwrap();
    outputs[0].as_f32().unwrap().to_owned().into_dyn()
}

fn groups(model: &dyn Model) -> Vec<ChannelGroup> {
    model.structure().unwrap().groups()
}

/// The channels without those in `cut`.
fn without(group: &ChannelGroup, cut: &BTreeSet<usize>) -> Edit {
    Edit::CutChannels {
        group: group.id,
        keep: (0..group.channels).filter(|c| !cut.contains(c)).collect(),
    }
}

/// The model with all weights that write the channels `cut` of `group` set to zero.
fn silenced(model: &GraphModel, group: &ChannelGroup, cut: &BTreeSet<usize>) -> GraphModel {
    let mut graph = model.graph().clone();
    for slice in group.slices.iter().filter(|s| s.produces) {
        let tensor = graph.weights.get_mut(&slice.weight).unwrap();
        let mut values = tensor.to_f32().unwrap().to_owned();
        for channel in cut {
            for i in 0..slice.repeat {
                let index = slice.offset + channel * slice.repeat + i;
                values.index_axis_mut(Axis(slice.axis), index).fill(0.0);
            }
        }
        *tensor = Arc::new(Tensor::Dense(values.into_dyn().into()));
    }
    GraphModel::from_graph(graph).unwrap()
}

fn some_channels(group: &ChannelGroup, rng: &mut Rng) -> BTreeSet<usize> {
    let n = 1 + rng.index(group.channels - 1);
    (0..n).map(|_| rng.index(group.channels)).collect()
}

/// Every stated shape of a weight or value is the one the graph has.
fn same_after_saving(model: &dyn Model) -> GraphModel {
    let model = GraphModel::of(model).unwrap();
    let bytes = model.to_bytes().unwrap();
    let again = GraphModel::from_bytes(&bytes, None).unwrap();
    assert_eq!(again.weights(), model.weights());
    assert_eq!(again.signature(), model.signature());
    assert_eq!(again.topology(), model.topology());
    again
}

#[test]
fn channels_that_are_zero_can_go_without_a_trace() {
    let mut rng = Rng::keyed(5, 0, "cut");
    for (family, settings, sample) in cases() {
        let model = build(family, &settings, &sample);
        for group in groups(&model) {
            let cut = some_channels(&group, &mut rng);
            let silent = silenced(&model, &group, &cut);
            let small = silent.apply(&[without(&group, &cut)]).unwrap();
            let (a, b) = (run(&silent), run(small.as_ref()));
            let most = b.iter().fold(1.0f32, |m, v| m.max(v.abs()));
            let apart = (&a - &b).iter().fold(0.0f32, |m, d| m.max(d.abs()));
            assert!(
                apart <= 1e-5 * most,
                "{family} {settings} group {group:?}: {apart}"
            );
            assert_ne!(
                run(&model),
                a,
                "{family} {settings} group {group:?} does nothing"
            );
        }
    }
}

#[test]
fn cut_models_run_and_are_smaller() {
    let mut rng = Rng::keyed(6, 0, "cut");
    for (family, settings, sample) in cases() {
        let model = build(family, &settings, &sample);
        let edits: Vec<Edit> = (groups(&model).iter())
            .map(|group| without(group, &some_channels(group, &mut rng)))
            .collect();
        let small = model.apply(&edits).unwrap();
        let (before, after) = (Size::of(&model), Size::of(small.as_ref()));
        assert!(after.params < before.params, "{family} {settings}");
        assert!(after.macs < before.macs, "{family} {settings}");
        assert!(small.file_bytes().unwrap() < model.file_bytes().unwrap());
        assert_eq!(small.signature(), model.signature());
        let again = same_after_saving(small.as_ref());
        assert_eq!(run(small.as_ref()).shape(), [3, 5]);
        assert_eq!(run(&again), run(small.as_ref()));
        // Cut together or one by one: the same.
        let mut one_by_one = model.share();
        for edit in &edits {
            one_by_one = one_by_one.apply(std::slice::from_ref(edit)).unwrap();
        }
        assert_eq!(one_by_one.weights(), small.weights());
    }
}

#[test]
fn groups_are_the_paths_of_the_graph() {
    let net = |settings: Json| groups(&build("convnet", &settings, &[1, 8, 8]));
    let plain = net(json!({"width": 4, "stages": 2, "pooling": "flatten"}));
    let sizes: Vec<usize> = plain.iter().map(|g| g.channels).collect();
    assert_eq!(sizes, [4, 4, 8]);
    assert_eq!(plain[2].producers, ["stage2.block1.conv"]);
    let read = plain[2]
        .slices
        .iter()
        .find(|s| s.weight == "logits.weight")
        .unwrap();
    assert_eq!(
        (read.axis, read.offset, read.repeat, read.produces),
        (1, 0, 16, false)
    );
    // The stem, the ends of the first stage's blocks and nothing else share channels.
    let residual = net(json!({"width": 4, "stages": 2, "depth": 2, "skip": true}));
    let stem = &residual[0];
    assert_eq!(
        stem.producers,
        ["stem", "stage1.block1.conv2", "stage1.block2.conv2"]
    );
    let second = residual
        .iter()
        .find(|g| g.producers.len() == 3 && g.channels == 8)
        .unwrap();
    assert_eq!(
        second.producers,
        [
            "stage2.block1.conv2",
            "stage2.block1.skip",
            "stage2.block2.conv2"
        ]
    );
    assert_eq!(residual.len(), 6);
    // A depthwise convolution has the channels of the layer before it.
    let separable = net(json!({"width": 4, "stages": 1, "separable": true}));
    assert_eq!(
        separable[0].producers,
        ["stem", "stage1.block1.conv.depthwise"]
    );
    // Neither the input's pixels nor the logits are channels to cut.
    let mlp = groups(&build("mlp", &json!({"depth": 1, "width": 3}), &[1, 4, 4]));
    assert_eq!((mlp.len(), mlp[0].channels), (1, 3));
}

#[test]
fn wrong_cuts_are_refused_and_say_why() {
    let model = build("mlp", &json!({"depth": 2, "width": 4}), &[3]);
    let cut = |group: usize, keep: &[usize]| Edit::CutChannels {
        group,
        keep: keep.to_vec(),
    };
    for (edits, text) in [
        (
            vec![cut(2, &[0])],
            "channel group 2: there is no such group; the model has 2",
        ),
        (vec![cut(0, &[])], "no channel would be kept"),
        (vec![cut(0, &[1, 4])], "channel 4 is to be kept, it has 4"),
        (vec![cut(1, &[2, 1])], "must rise, found 2 before 1"),
        (vec![cut(1, &[1, 1])], "must rise, found 1 before 1"),
        (vec![cut(1, &[1]), cut(1, &[1])], "cut twice at once"),
    ] {
        let error = model.apply(&edits).err().unwrap().to_string();
        assert!(error.contains(text), "{error}");
    }
}

/// ResNet-20 for CIFAR: channels run through skips, strided slices and padded channels, and a computed reshape.
#[test]
fn a_real_residual_network_can_be_cut() {
    let Some(data) = std::env::var_os("LAPIDARY_DATA") else {
        eprintln!("skipped: LAPIDARY_DATA is not set");
        return;
    };
    let path = std::path::Path::new(&data).join("models/resnet20.onnx");
    let model = GraphModel::open(path).unwrap();
    let found = groups(&model);
    let inner: Vec<&ChannelGroup> = found.iter().filter(|g| g.producers.len() == 1).collect();
    let skips: Vec<&ChannelGroup> = found.iter().filter(|g| g.producers.len() > 1).collect();
    assert_eq!(inner.len(), 9);
    assert!(!skips.is_empty());
    for group in [inner[4], skips[0]] {
        let cut = (0..group.channels).filter(|c| c % 2 == 1).collect();
        let silent = silenced(&model, group, &cut);
        let small = silent.apply(&[without(group, &cut)]).unwrap();
        assert!(Size::of(small.as_ref()).macs < Size::of(&model).macs);
        let apart = (run(&silent) - run(&same_after_saving(small.as_ref())))
            .iter()
            .fold(0.0f32, |m, d| m.max(d.abs()));
        assert!(apart < 1e-4, "{apart}");
    }
}
