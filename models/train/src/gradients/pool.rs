//! Pooling.

use lapidary_core::tensor::Dense;

use crate::check::{gradients, graph, ints, node, numbers, output};
use lapidary_graph::Attribute;

#[test]
fn gradients_of_pooling() {
    let cases = [
        vec![("kernel_shape", ints(&[2, 2])), ("strides", ints(&[2, 2]))],
        vec![
            ("kernel_shape", ints(&[3, 2])),
            ("pads", ints(&[1, 0, 1, 1])),
        ],
        vec![
            ("kernel_shape", ints(&[2, 2])),
            ("strides", ints(&[2, 2])),
            ("ceil_mode", Attribute::Int(1)),
        ],
        vec![
            ("kernel_shape", ints(&[3, 3])),
            ("pads", ints(&[1, 1, 1, 1])),
            ("count_include_pad", Attribute::Int(1)),
        ],
    ];
    for attributes in cases {
        for op in ["MaxPool", "AveragePool"] {
            let graph = graph(
                &[2, 5, 5],
                vec![node(&format!("y = {op} x"), &attributes)],
                &[],
            );
            gradients(&graph, &numbers(&[2, 2, 5, 5], 1), false).unwrap();
        }
    }
    for op in ["GlobalAveragePool", "GlobalMaxPool"] {
        let graph = graph(&[2, 3, 3], vec![node(&format!("y = {op} x"), &[])], &[]);
        gradients(&graph, &numbers(&[2, 2, 3, 3], 1), false).unwrap();
    }
}

#[test]
fn padding_counts_only_where_asked_for() {
    let pool = |extra: &[(&str, Attribute)]| {
        let mut attributes = vec![("kernel_shape", ints(&[2])), ("pads", ints(&[1, 0]))];
        attributes.extend(extra.iter().cloned());
        output(
            &graph(&[1, 2], vec![node("y = AveragePool x", &attributes)], &[]),
            &Dense::f32(&[1, 1, 2], vec![2.0, 4.0]).unwrap(),
        )
    };
    assert_eq!(
        pool(&[]).unwrap(),
        Dense::f32(&[1, 1, 2], vec![2.0, 3.0]).unwrap()
    );
    let counted = pool(&[("count_include_pad", Attribute::Int(1))]).unwrap();
    assert_eq!(counted, Dense::f32(&[1, 1, 2], vec![1.0, 3.0]).unwrap());
}

#[test]
fn the_last_window_of_ceil_mode_holds_what_is_left() {
    let attributes = [
        ("kernel_shape", ints(&[2])),
        ("strides", ints(&[2])),
        ("ceil_mode", Attribute::Int(1)),
    ];
    for (op, expected) in [("MaxPool", [2.0, 3.0]), ("AveragePool", [1.5, 3.0])] {
        let graph = graph(
            &[1, 3],
            vec![node(&format!("y = {op} x"), &attributes)],
            &[],
        );
        let y = output(
            &graph,
            &Dense::f32(&[1, 1, 3], vec![1.0, 2.0, 3.0]).unwrap(),
        )
        .unwrap();
        assert_eq!(y, Dense::f32(&[1, 1, 2], expected.to_vec()).unwrap());
    }
}
