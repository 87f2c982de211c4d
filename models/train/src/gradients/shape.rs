//! Shapes.

use lapidary_core::model::Dim;
use lapidary_core::tensor::Dense;

use crate::check::{gradients, graph, ints, node, numbers, output};
use lapidary_graph::Attribute;

fn list(values: &[i64]) -> Dense {
    Dense::i64(&[values.len()], values.to_vec()).unwrap()
}

#[test]
fn gradients_of_views_and_permutations() {
    let weights = [
        ("shape", list(&[0, -1])),
        ("axes", list(&[1])),
        ("w", numbers(&[2, 3, 1, 4], 2)),
    ];
    for nodes in [
        vec![node("y = Reshape x shape", &[])],
        vec![node("y = Flatten x", &[("axis", Attribute::Int(2))])],
        vec![node("y = Transpose x", &[("perm", ints(&[2, 0, 3, 1]))])],
        vec![node("y = Squeeze x", &[("axes", ints(&[2]))])],
        vec![node("y = Unsqueeze x axes", &[])],
        vec![node("y = Concat x w x", &[("axis", Attribute::Int(2))])],
        vec![node(
            "y = Pad x",
            &[("pads", ints(&[0, 0, 1, 2, 0, 0, 0, 1]))],
        )],
        vec![node(
            "y = Slice x",
            &[
                ("starts", ints(&[1, -3])),
                ("ends", ints(&[9, -1])),
                ("axes", ints(&[1, 3])),
            ],
        )],
        vec![
            node("a, b = Split x", &[("axis", Attribute::Int(3))]),
            node("y = Mul a b", &[]),
        ],
        vec![node("y = Identity x", &[])],
    ] {
        gradients(
            &graph(&[3, 1, 4], nodes, &weights),
            &numbers(&[2, 3, 1, 4], 1),
            false,
        )
        .unwrap();
    }
}

#[test]
fn gradients_of_a_cut_by_steps() {
    let nodes = vec![node("y = Slice x s e a n", &[])];
    let weights = [
        ("s", list(&[0, 1])),
        ("e", list(&[i64::MAX, 5])),
        ("a", list(&[1, 2])),
        ("n", list(&[2, 3])),
    ];
    let graph = graph(&[5, 6], nodes, &weights);
    gradients(&graph, &numbers(&[2, 5, 6], 1), false).unwrap();
    let y = output(&graph, &numbers(&[2, 5, 6], 1)).unwrap();
    assert_eq!(y.shape(), [2, 3, 2]);
    let x = numbers(&[2, 5, 6], 1);
    let (x, y) = (x.as_f32().unwrap(), y.as_f32().unwrap());
    assert_eq!(y[[1, 2, 1]], x[[1, 4, 4]]);
}

#[test]
fn integers_are_cut_backwards_too() {
    // As PyTorch writes padding: pairs in reverse order.
    let nodes = vec![
        node("p = Reshape pads pairs", &[]),
        node("r = Slice p last first zero back", &[]),
        node("t = Transpose r", &[("perm", ints(&[1, 0]))]),
        node("f = Reshape t flat", &[]),
        node("y = Pad x f", &[]),
    ];
    let weights = [
        ("pads", list(&[1, 2, 3, 4, 0, 0])),
        ("pairs", list(&[-1, 2])),
        ("last", list(&[-1])),
        ("first", list(&[-i64::MAX])),
        ("zero", list(&[0])),
        ("back", list(&[-1])),
        ("flat", list(&[-1])),
    ];
    let y = output(&graph(&[5, 6], nodes, &weights), &numbers(&[2, 5, 6], 1)).unwrap();
    assert_eq!(y.shape(), [2, 5 + 3 + 4, 6 + 1 + 2]);
}

#[test]
fn gradient_of_an_embedding() {
    let indices = Dense::i64(&[2, 2], vec![0, 2, 2, -1]).unwrap();
    let nodes = vec![
        node("e = Gather table indices", &[]),
        node("y = Mul e x", &[]),
    ];
    gradients(
        &graph(
            &[2, 3],
            nodes,
            &[("table", numbers(&[4, 3], 2)), ("indices", indices)],
        ),
        &numbers(&[2, 2, 3], 1),
        false,
    )
    .unwrap();
}

#[test]
fn shapes_computed_in_the_graph() {
    let nodes = vec![
        node("s = Shape x", &[]),
        node("b = Gather s zero", &[]),
        node("bs = Unsqueeze b zero", &[]),
        node("t = Concat bs rest", &[("axis", Attribute::Int(0))]),
        node("y = Reshape x t", &[]),
    ];
    let graph = graph(
        &[3, 4],
        nodes,
        &[("zero", list(&[0])), ("rest", list(&[-1]))],
    );
    let error = output(&graph, &numbers(&[2, 3, 4], 1)).unwrap_err();
    // Gather by a list of one keeps its axis, so that the second Unsqueeze makes a matrix.
    assert!(error.to_string().contains("(Concat)"), "{error}");
    let scalar = Dense::i64(&[], vec![0]).unwrap();
    let mut graph = graph;
    graph.nodes[1].inputs[1] = "scalar".into();
    graph
        .weights
        .insert("scalar".into(), std::sync::Arc::new(scalar.into()));
    assert_eq!(
        output(&graph, &numbers(&[2, 3, 4], 1)).unwrap().shape(),
        [2, 12]
    );
}

#[test]
fn a_batch_the_graph_fixes_is_free() {
    for target in [vec![1, 12], vec![1, -1], vec![1, 6, 2]] {
        let mut graph = graph(
            &[3, 4],
            vec![node("y = Reshape x shape", &[])],
            &[("shape", list(&target))],
        );
        graph.inputs[0].shape.as_mut().unwrap()[0] = Dim::Fixed(1);
        let y = output(&graph, &numbers(&[5, 3, 4], 1)).unwrap();
        assert_eq!(
            (y.shape()[0], y.shape()[1]),
            (
                5,
                if target[1] < 0 {
                    12
                } else {
                    target[1] as usize
                }
            )
        );
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = |nodes, weights: &[(&str, Dense)]| {
        let error = output(&graph(&[3, 4], nodes, weights), &numbers(&[2, 3, 4], 1));
        error.unwrap_err().to_string()
    };
    let message = refused(
        vec![node("y = Reshape x shape", &[])],
        &[("shape", list(&[5, -1]))],
    );
    assert!(message.contains("does not fit shape [5, -1]"), "{message}");
    let message = refused(
        vec![node("y = Transpose x", &[("perm", ints(&[0, 1, 1]))])],
        &[],
    );
    assert!(message.contains("not an order"), "{message}");
    let message = refused(vec![node("y = Gather x i", &[])], &[("i", list(&[7]))]);
    assert!(message.contains("index 7 is outside axis 0"), "{message}");
    let message = refused(vec![node("y = Squeeze x", &[("axes", ints(&[1]))])], &[]);
    assert!(message.contains("is not 1 long"), "{message}");
    let message = refused(
        vec![node(
            "y = Pad x",
            &[("mode", crate::check::text("reflect"))],
        )],
        &[],
    );
    assert!(message.contains("`reflect`"), "{message}");
}
