//! Integers, truth values and what is made of them.

use lapidary_core::tensor::Dense;

use crate::check::{gradients, graph, node, numbers, output};
use lapidary_graph::{Attribute, Graph};

fn list(values: &[i64]) -> Dense {
    Dense::i64(&[values.len()], values.to_vec()).unwrap()
}

fn float() -> [(&'static str, Attribute); 1] {
    [("to", Attribute::Int(1))]
}

/// `x` times what `nodes` make of the given integers, as floats.
fn masked(mut nodes: Vec<lapidary_graph::Node>, weights: &[(&str, Dense)]) -> Graph {
    let made = nodes.last().unwrap().outputs[0].clone();
    nodes.push(node(&format!("f = Cast {made}"), &float()));
    nodes.push(node("y = Mul x f", &[]));
    graph(&[3], nodes, weights)
}

#[test]
fn comparisons_by_hand() {
    let ones = Dense::f32(&[1, 3], vec![1.0; 3]).unwrap();
    for (op, expected) in [
        ("Equal", [0.0, 1.0, 0.0]),
        ("Less", [1.0, 0.0, 0.0]),
        ("LessOrEqual", [1.0, 1.0, 0.0]),
        ("Greater", [0.0, 0.0, 1.0]),
        ("GreaterOrEqual", [0.0, 1.0, 1.0]),
        ("And", [0.0, 1.0, 1.0]),
        ("Or", [1.0, 1.0, 1.0]),
    ] {
        let nodes = vec![node(&format!("c = {op} a b"), &[])];
        let weights = [("a", list(&[0, 2, 5])), ("b", list(&[2]))];
        let y = output(&masked(nodes, &weights), &ones).unwrap();
        assert_eq!(y, Dense::f32(&[1, 3], expected.to_vec()).unwrap(), "{op}");
    }
}

#[test]
fn ranges_and_constants_by_hand() {
    let ones = Dense::f32(&[1, 3], vec![1.0; 3]).unwrap();
    let scalar = |v| Dense::i64(&[], vec![v]).unwrap();
    for (start, limit, delta, expected) in [
        (0, 3, 1, [0.0, 1.0, 2.0]),
        (5, -1, -2, [5.0, 3.0, 1.0]),
        (1, 8, 3, [1.0, 4.0, 7.0]),
    ] {
        let weights = [
            ("a", scalar(start)),
            ("b", scalar(limit)),
            ("d", scalar(delta)),
        ];
        let y = output(&masked(vec![node("r = Range a b d", &[])], &weights), &ones).unwrap();
        assert_eq!(y, Dense::f32(&[1, 3], expected.to_vec()).unwrap());
    }
    let seven = [("value", Attribute::Tensor(list(&[7])))];
    let nodes = vec![
        node("c = ConstantOfShape s", &seven),
        node("n = Not c", &[]),
        node("m = Not n", &[]),
    ];
    let y = output(&masked(nodes, &[("s", list(&[3]))]), &ones).unwrap();
    assert_eq!(y, ones);
}

#[test]
fn gradients_of_choosing_and_expanding() {
    let nodes = vec![
        node("c = Less a b", &[]),
        node("e = Expand w s", &[]),
        node("y = Where c x e", &[]),
    ];
    let weights = [
        ("a", list(&[0, 2, 5])),
        ("b", list(&[2])),
        ("s", list(&[2, 1, 3])),
        ("w", numbers(&[2, 3, 1], 2)),
    ];
    gradients(
        &graph(&[3, 3], nodes, &weights),
        &numbers(&[2, 3, 3], 1),
        false,
    )
    .unwrap();
}

#[test]
fn floats_are_not_cast_to_integers() {
    let nodes = vec![node("y = Cast x", &[("to", Attribute::Int(7))])];
    let message = output(&graph(&[3], nodes, &[]), &numbers(&[1, 3], 1))
        .unwrap_err()
        .to_string();
    assert_eq!(
        message,
        "node `node_y` (Cast): a cast from floats to integers has no gradient"
    );
}
