//! Edits of a graph, and what files make of them.

use std::sync::Arc;

use lapidary_core::model::{Affine, Edit, Model};
use lapidary_core::tensor::{DType, Dense, Granularity, Quantized, Tensor};
use lapidary_graph::build::GraphBuilder;
use lapidary_graph::edit::apply;
use lapidary_model::GraphModel;
use ndarray::{ArcArray, ArrayD, IxDyn};

/// x → a → (b, c) → sum, all by the same weight.
fn model(opset: i64) -> GraphModel {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", DType::F32, &[2]);
    let w = b.weight("w", Dense::f32(&[2, 2], vec![1.0, 0.0, 0.0, 1.0]).unwrap());
    let a = b.node("MatMul", "a", &[&x, &w], []);
    let left = b.node("MatMul", "b", &[&a, &w], []);
    let right = b.node("MatMul", "c", &[&a, &w], []);
    let y = b.node("Add", "sum", &[&left, &right], []);
    b.output(&y, DType::F32, &[2]);
    GraphModel::from_graph(b.finish(opset).unwrap()).unwrap()
}

fn per_channel() -> Tensor {
    Tensor::Quantized(Quantized {
        codes: ArcArray::from_shape_vec(IxDyn(&[2, 2]), vec![127, 0, 0, 127]).unwrap(),
        bits: 8,
        signed: true,
        granularity: Granularity::Axis(1),
        scales: ArrayD::from_elem(IxDyn(&[2]), 1.0 / 127.0),
        zero_points: ArrayD::zeros(IxDyn(&[2])),
    })
}

#[test]
fn nodes_share_a_pair_of_the_same_quantizer() {
    let quantize = |node: &str, scale| Edit::QuantizeValue {
        node: node.into(),
        value: "a".into(),
        affine: Affine {
            scale,
            zero_point: 3,
        },
    };
    let graph = apply(model(13).graph(), &[quantize("c", 0.5), quantize("b", 0.5)]).unwrap();
    let pairs = graph
        .nodes
        .iter()
        .filter(|n| n.op == "QuantizeLinear")
        .count();
    assert_eq!(pairs, 1);
    let graph = apply(
        model(13).graph(),
        &[quantize("c", 0.5), quantize("b", 0.25)],
    )
    .unwrap();
    let pairs = graph
        .nodes
        .iter()
        .filter(|n| n.op == "QuantizeLinear")
        .count();
    assert_eq!(pairs, 2);
    let old = apply(model(9).graph(), &[quantize("c", 0.5)]).unwrap();
    assert_eq!(old.opset(), 13);
}

#[test]
fn channels_need_a_newer_operator_set() {
    let edit = Edit::SetWeight {
        name: "w".into(),
        tensor: Arc::new(per_channel()),
    };
    let changed = model(11).apply(&[edit]).unwrap();
    let changed = GraphModel::of(changed.as_ref()).unwrap();
    assert_eq!(changed.graph().opset(), 13);
    let read = GraphModel::from_bytes(&changed.to_bytes().unwrap(), None).unwrap();
    assert_eq!(read.weights()["w"].as_ref(), &per_channel());
    assert_eq!(read.graph().nodes, changed.graph().nodes);
}

#[test]
fn renamed_values_keep_their_readers() {
    let rename = |from: &str, to: &str| Edit::RenameValue {
        from: from.into(),
        to: to.into(),
    };
    let renamed = model(13)
        .apply(&[rename("x", "pixels"), rename("sum", "logits")])
        .unwrap();
    assert_eq!(renamed.signature().inputs[0].name, "pixels");
    assert_eq!(renamed.signature().outputs[0].name, "logits");
    assert_eq!(renamed.topology().nodes[0].inputs[0], "pixels");
    let error = model(13)
        .apply(&[rename("x", "w")])
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("taken"), "{error}");
}

#[test]
fn wrong_edits_say_what_is_wrong() {
    let m = model(13);
    let set = |name: &str, tensor: Tensor| {
        let tensor = Arc::new(tensor);
        let name = name.into();
        m.apply(&[Edit::SetWeight { name, tensor }])
            .err()
            .unwrap()
            .to_string()
    };
    let flat = || Tensor::from(Dense::f32(&[4], vec![0.0; 4]).unwrap());
    assert!(set("v", flat()).contains("there are w"));
    assert!(set("w", flat()).contains("[2, 2]"));
    let Tensor::Quantized(mut q) = per_channel() else {
        unreachable!()
    };
    q.codes[[0, 0]] = 128;
    assert!(set("w", Tensor::Quantized(q)).contains("128"));
}
