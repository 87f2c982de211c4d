//! Normalization and dropout.

use lapidary_core::tensor::Dense;

use crate::check::{gradients, graph, node, numbers, output, positive};
use lapidary_graph::Attribute;

#[test]
fn gradients_of_batch_normalization() {
    let weights = [
        ("scale", positive(&[3], 2)),
        ("bias", numbers(&[3], 3)),
        ("mean", numbers(&[3], 4)),
        ("variance", positive(&[3], 5)),
    ];
    for shape in [vec![2, 3, 2, 3], vec![5, 3], vec![3, 3, 4]] {
        let graph = graph(
            &shape[1..],
            vec![node(
                "y = BatchNormalization x scale bias mean variance",
                &[],
            )],
            &weights,
        );
        for training in [false, true] {
            gradients(&graph, &numbers(&shape, 1), training).unwrap();
        }
    }
}

#[test]
fn gradients_of_layer_normalization() {
    for (axis, width) in [(-1, vec![4]), (1, vec![3, 4])] {
        let weights = [("scale", positive(&width, 2)), ("bias", numbers(&width, 3))];
        let nodes = vec![node(
            "y = LayerNormalization x scale bias",
            &[("axis", Attribute::Int(axis))],
        )];
        gradients(
            &graph(&[3, 4], nodes, &weights),
            &numbers(&[2, 3, 4], 1),
            false,
        )
        .unwrap();
    }
}

#[test]
fn dropout_keeps_the_mean_and_does_nothing_in_evaluation() {
    let graph = graph(
        &[40],
        vec![node("y = Dropout x", &[("ratio", Attribute::Float(0.25))])],
        &[],
    );
    let x = Dense::f32(&[3, 40], vec![1.0; 120]).unwrap();
    assert_eq!(output(&graph, &x).unwrap(), x);
    gradients(&graph, &numbers(&[3, 8], 1), true).unwrap();
}

#[test]
fn evaluation_uses_the_running_statistics() {
    let vector = |v: f32| Dense::f32(&[1], vec![v]).unwrap();
    let weights = [
        ("s", vector(2.0)),
        ("b", vector(1.0)),
        ("m", vector(3.0)),
        ("v", vector(4.0)),
    ];
    let nodes = vec![node(
        "y = BatchNormalization x s b m v",
        &[("epsilon", Attribute::Float(0.0))],
    )];
    let y = output(
        &graph(&[1], nodes, &weights),
        &Dense::f32(&[2, 1], vec![3.0, 7.0]).unwrap(),
    )
    .unwrap();
    assert_eq!(y, Dense::f32(&[2, 1], vec![1.0, 5.0]).unwrap());
}
