//! Products with weights.

use lapidary_core::tensor::Dense;

use crate::check::{gradients, graph, ints, node, numbers, output, text};
use lapidary_graph::Attribute;

#[test]
fn gradients_of_gemm() {
    for (b, trans) in [([4, 3], 0), ([3, 4], 1)] {
        let attributes = [
            ("transB", Attribute::Int(trans)),
            ("alpha", Attribute::Float(0.5)),
            ("beta", Attribute::Float(2.0)),
        ];
        let graph = graph(
            &[4],
            vec![node("y = Gemm x w b", &attributes)],
            &[("w", numbers(&b, 2)), ("b", numbers(&[3], 3))],
        );
        gradients(&graph, &numbers(&[2, 4], 1), false).unwrap();
    }
}

#[test]
fn gradients_of_matmul() {
    for (x, w) in [
        (vec![2, 4], vec![4, 3]),
        (vec![2, 3, 4], vec![4, 2]),
        (vec![2, 3, 4], vec![1, 4, 2]),
        (vec![2, 4], vec![4]),
    ] {
        let graph = graph(
            &x[1..],
            vec![node("y = MatMul x w", &[])],
            &[("w", numbers(&w, 2))],
        );
        gradients(&graph, &numbers(&x, 1), false).unwrap();
    }
    let squares = graph(
        &[3, 2],
        vec![
            node("t = Transpose x", &[("perm", ints(&[0, 2, 1]))]),
            node("y = MatMul x t", &[]),
        ],
        &[],
    );
    gradients(&squares, &numbers(&[2, 3, 2], 1), false).unwrap();
}

#[test]
fn gradients_of_convolutions() {
    // Input channels, height, width; weight shape; attributes.
    let group = |n| ("group", Attribute::Int(n));
    type Case = ([usize; 3], [usize; 4], Vec<(&'static str, Attribute)>);
    let cases: Vec<Case> = vec![
        ([2, 4, 5], [3, 2, 3, 3], vec![("pads", ints(&[1, 1, 1, 1]))]),
        (
            [2, 5, 4],
            [2, 2, 3, 2],
            vec![("strides", ints(&[2, 1])), ("pads", ints(&[0, 1, 1, 0]))],
        ),
        (
            [2, 5, 5],
            [2, 2, 2, 2],
            vec![("dilations", ints(&[2, 1])), ("strides", ints(&[1, 2]))],
        ),
        (
            [4, 3, 3],
            [4, 2, 2, 2],
            vec![group(2), ("auto_pad", text("SAME_UPPER"))],
        ),
        (
            [3, 4, 4],
            [3, 1, 3, 3],
            vec![
                group(3),
                ("pads", ints(&[1, 1, 1, 1])),
                ("strides", ints(&[2, 2])),
            ],
        ),
        (
            [2, 3, 4],
            [4, 1, 2, 2],
            vec![group(2), ("auto_pad", text("SAME_LOWER"))],
        ),
        ([3, 3, 2], [2, 3, 1, 1], vec![]),
        ([2, 5, 3], [2, 2, 1, 1], vec![("strides", ints(&[2, 2]))]),
    ];
    for (x, w, attributes) in cases {
        let weights = [("w", numbers(&w, 2)), ("b", numbers(&[w[0]], 3))];
        let graph = graph(&x, vec![node("y = Conv x w b", &attributes)], &weights);
        gradients(&graph, &numbers(&[3, x[0], x[1], x[2]], 1), false).unwrap();
    }
}

#[test]
fn gradients_of_a_convolution_along_one_axis() {
    let attributes = [("strides", ints(&[2])), ("pads", ints(&[1, 2]))];
    let graph = graph(
        &[2, 7],
        vec![node("y = Conv x w", &attributes)],
        &[("w", numbers(&[3, 2, 3], 2))],
    );
    gradients(&graph, &numbers(&[2, 2, 7], 1), false).unwrap();
    assert_eq!(
        output(&graph, &numbers(&[2, 2, 7], 1)).unwrap().shape(),
        [2, 3, 4]
    );
}

#[test]
fn a_convolution_by_hand() {
    // Sums of 2×2 windows plus a bias.
    let graph = graph(
        &[1, 2, 3],
        vec![node("y = Conv x w b", &[])],
        &[
            ("w", Dense::f32(&[1, 1, 2, 2], vec![1.0; 4]).unwrap()),
            ("b", Dense::f32(&[1], vec![0.5]).unwrap()),
        ],
    );
    let x = Dense::f32(&[1, 1, 2, 3], vec![1., 2., 3., 4., 5., 6.]).unwrap();
    assert_eq!(
        output(&graph, &x).unwrap(),
        Dense::f32(&[1, 1, 1, 2], vec![12.5, 16.5]).unwrap()
    );
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let weights = [("w", numbers(&[2, 3, 3, 3], 1))];
    let error = output(
        &graph(&[2, 4, 4], vec![node("y = Conv x w", &[])], &weights),
        &numbers(&[1, 2, 4, 4], 1),
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        "node `node_y` (Conv): 2 channels in 1 groups do not fit a weight of shape [2, 3, 3, 3]"
    );
    let small = output(
        &graph(&[3, 2, 2], vec![node("y = Conv x w", &[])], &weights),
        &numbers(&[1, 3, 2, 2], 1),
    );
    assert!(
        small
            .unwrap_err()
            .to_string()
            .contains("larger than the padded input")
    );
}
