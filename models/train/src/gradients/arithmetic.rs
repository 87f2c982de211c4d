//! Arithmetic element by element.

use lapidary_core::tensor::Dense;

use crate::check::{gradients, graph, ints, node, numbers, output, positive};
use lapidary_graph::Attribute;

#[test]
fn gradients_of_binary_operators_with_broadcasting() {
    for (op, other) in [("Add", vec![3, 4]), ("Mul", vec![4]), ("Mul", vec![3, 1])] {
        let nodes = vec![node(&format!("y = {op} x w"), &[])];
        let graph = graph(&[3, 4], nodes, &[("w", positive(&other, 2))]);
        gradients(&graph, &numbers(&[2, 3, 4], 1), false).unwrap();
    }
}

#[test]
fn gradients_of_operators_on_two_values() {
    for op in ["Sub", "Div", "Mul", "Add"] {
        let nodes = vec![
            node("a = Exp x", &[]),
            node("b = ReduceSum x", &[("axes", ints(&[1]))]),
            node(&format!("y = {op} b a"), &[]),
        ];
        gradients(&graph(&[3, 2], nodes, &[]), &numbers(&[2, 3, 2], 1), false).unwrap();
    }
}

#[test]
fn gradients_of_extremes() {
    for (op, expected) in [("Max", [2.0, 1.0]), ("Min", [-2.0, -1.0])] {
        let nodes = vec![node("a = Neg x", &[]), node(&format!("y = {op} x a"), &[])];
        let graph = graph(&[2], nodes, &[]);
        gradients(&graph, &numbers(&[3, 2], 1), false).unwrap();
        let x = Dense::f32(&[1, 2], vec![-2.0, 1.0]).unwrap();
        let y = output(&graph, &x).unwrap();
        assert_eq!(y, Dense::f32(&[1, 2], expected.to_vec()).unwrap());
    }
}

#[test]
fn gradients_of_unary_operators() {
    for op in ["Exp", "Erf", "Neg", "Abs", "Log", "Sqrt", "Reciprocal"] {
        let graph = graph(&[3], vec![node(&format!("y = {op} x"), &[])], &[]);
        gradients(&graph, &positive(&[2, 3], 3), false).unwrap();
    }
}

#[test]
fn gradients_of_powers() {
    for exponent in [2.0, 3.0, 0.5, -1.0] {
        let nodes = vec![
            node(
                "p = Constant",
                &[("value_float", Attribute::Float(exponent))],
            ),
            node("y = Pow x p", &[]),
        ];
        gradients(&graph(&[3], nodes, &[]), &positive(&[2, 3], 3), false).unwrap();
    }
}

#[test]
fn sums_of_several() {
    let graph = graph(
        &[3],
        vec![node("y = Sum x x w", &[])],
        &[("w", numbers(&[3], 5))],
    );
    gradients(&graph, &numbers(&[2, 3], 1), false).unwrap();
}

#[test]
fn shapes_that_do_not_broadcast_name_the_node() {
    let nodes = vec![node("y = Add x w", &[])];
    let error = output(
        &graph(&[3], nodes, &[("w", numbers(&[4], 1))]),
        &numbers(&[2, 3], 1),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "node `node_y` (Add): shapes [2, 3] and [4] do not broadcast"
    );
}
