//! Reductions.

use crate::check::{gradients, graph, ints, node, numbers, output};
use lapidary_graph::Attribute;

#[test]
fn gradients_of_sums_means_and_maxima() {
    for op in ["ReduceMean", "ReduceSum", "ReduceMax"] {
        for attributes in [
            vec![("axes", ints(&[-1])), ("keepdims", Attribute::Int(0))],
            vec![("axes", ints(&[1, 2]))],
            vec![],
        ] {
            let graph = graph(
                &[3, 4],
                vec![node(&format!("y = {op} x"), &attributes)],
                &[],
            );
            gradients(&graph, &numbers(&[2, 3, 4], 1), false).unwrap();
        }
    }
}

#[test]
fn axes_may_be_an_input() {
    let axes = lapidary_core::tensor::Dense::i64(&[1], vec![1]).unwrap();
    let nodes = vec![node(
        "y = ReduceMean x axes",
        &[("keepdims", Attribute::Int(0))],
    )];
    let y = output(
        &graph(&[3, 4], nodes, &[("axes", axes)]),
        &numbers(&[2, 3, 4], 1),
    )
    .unwrap();
    assert_eq!(y.shape(), [2, 4]);
}
