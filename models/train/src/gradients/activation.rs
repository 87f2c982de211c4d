//! Activations.

use lapidary_core::tensor::Dense;

use crate::check::{gradients, graph, node, numbers, output, text};
use lapidary_graph::Attribute;

fn float(value: f32) -> Attribute {
    Attribute::Float(value)
}

#[test]
fn gradients_of_activations() {
    for (op, attributes) in [
        ("Relu", vec![]),
        ("LeakyRelu", vec![("alpha", float(0.2))]),
        ("Elu", vec![("alpha", float(0.7))]),
        ("Sigmoid", vec![]),
        ("Tanh", vec![]),
        ("Softplus", vec![]),
        ("Gelu", vec![]),
        ("Gelu", vec![("approximate", text("tanh"))]),
        ("HardSigmoid", vec![("alpha", float(0.3))]),
        ("HardSwish", vec![]),
        ("Celu", vec![("alpha", float(0.7))]),
        ("Selu", vec![]),
        ("Mish", vec![]),
        ("Softsign", vec![]),
        ("ThresholdedRelu", vec![("alpha", float(0.52))]),
        ("Swish", vec![("alpha", float(1.5))]),
        ("Clip", vec![("min", float(-0.3)), ("max", float(0.52))]),
        ("Softmax", vec![]),
        ("Softmax", vec![("axis", Attribute::Int(1))]),
        ("LogSoftmax", vec![]),
    ] {
        let graph = graph(
            &[3, 4],
            vec![node(&format!("y = {op} x"), &attributes)],
            &[],
        );
        gradients(&graph, &numbers(&[2, 3, 4], 1), false).unwrap();
    }
}

#[test]
fn gradient_of_a_learned_slope() {
    let graph = graph(
        &[3, 4],
        vec![node("y = PRelu x s", &[])],
        &[("s", numbers(&[3, 1], 4))],
    );
    gradients(&graph, &numbers(&[2, 3, 4], 1), false).unwrap();
}

#[test]
fn gradient_of_gelu_written_out() {
    let constant = |name: &str, value| {
        node(
            &format!("{name} = Constant"),
            &[("value_float", float(value))],
        )
    };
    let nodes = vec![
        constant("root", std::f32::consts::SQRT_2),
        constant("one", 1.0),
        constant("half", 0.5),
        node("a = Div x root", &[]),
        node("b = Erf a", &[]),
        node("c = Add b one", &[]),
        node("d = Mul x c", &[]),
        node("y = Mul d half", &[]),
    ];
    let x = numbers(&[2, 6], 1);
    let written = graph(&[6], nodes, &[]);
    gradients(&written, &x, false).unwrap();
    let (a, b) = (
        output(&written, &x).unwrap(),
        output(&graph(&[6], vec![node("y = Gelu x", &[])], &[]), &x).unwrap(),
    );
    for (a, b) in a.as_f32().unwrap().iter().zip(b.as_f32().unwrap()) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
}

#[test]
fn values_by_hand() {
    let x = Dense::f32(&[1, 3], vec![-4.0, 0.0, 1.5]).unwrap();
    for (op, expected) in [
        ("HardSwish", [0.0, 0.0, 1.125]),
        ("HardSigmoid", [0.0, 0.5, 0.8]),
        ("Relu", [0.0, 0.0, 1.5]),
        ("LeakyRelu", [-0.04, 0.0, 1.5]),
    ] {
        let y = output(
            &graph(&[3], vec![node(&format!("y = {op} x"), &[])], &[]),
            &x,
        )
        .unwrap();
        for (y, e) in y.as_f32().unwrap().iter().zip(expected) {
            assert!((y - e).abs() < 1e-6, "{op}: {y} {e}");
        }
    }
}

#[test]
fn softmax_of_an_old_operator_set_runs_over_all_axes_behind() {
    let mut graph = graph(&[2, 2], vec![node("y = Softmax x", &[])], &[]);
    graph.opsets.insert(String::new(), 12);
    let y = output(&graph, &Dense::f32(&[1, 2, 2], vec![0.0; 4]).unwrap()).unwrap();
    assert_eq!(y, Dense::f32(&[1, 2, 2], vec![0.25; 4]).unwrap());
}
