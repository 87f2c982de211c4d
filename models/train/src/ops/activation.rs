//! Activations.

use burn_backend::Scalar;
use burn_backend::tensor::FloatTensor;

use super::arithmetic::{aligned, broadcast};
use super::{Call, axis, dims, one, reshaped};
use crate::engine::{Engine, Value};
use lapidary_graph::Attribute;

type Out<B> = Result<Vec<Value<B>>, String>;

fn number(value: f32) -> Scalar {
    Scalar::Float(f64::from(value))
}

pub(super) fn relu<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    one(B::relu(call.float(0)?))
}

/// `max(x, 0) + alpha · min(x, 0)`.
pub(super) fn leaky_relu<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let alpha = call.node.float("alpha", 0.01);
    let x = call.float(0)?;
    let below = B::float_sub(x.clone(), B::relu(x.clone()));
    one(B::float_add(
        B::relu(x),
        B::float_mul_scalar(below, number(alpha)),
    ))
}

/// As [`leaky_relu`], with a learned slope that broadcasts to the input.
pub(super) fn prelu<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let (x, slope) = (call.float(0)?, call.float(1)?);
    if broadcast(&dims(&x), &dims(&slope))? != dims(&x) {
        return Err(format!(
            "slope {:?} does not broadcast to {:?}",
            dims(&slope),
            dims(&x)
        ));
    }
    let positive = B::relu(x.clone());
    let below = B::float_sub(x, positive.clone());
    let (below, slope) = aligned::<B>(below, slope)?;
    one(B::float_add(positive, B::float_mul(below, slope)))
}

/// `x` where positive, else `alpha · (eˣ − 1)`.
pub(super) fn elu<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let alpha = call.node.float("alpha", 1.0);
    let x = call.float(0)?;
    let positive = B::relu(x.clone());
    let below = B::float_sub(x, positive.clone());
    let curve = B::float_sub_scalar(B::float_exp(below), number(1.0));
    one(B::float_add(
        positive,
        B::float_mul_scalar(curve, number(alpha)),
    ))
}

pub(super) fn sigmoid<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    one(B::sigmoid(call.float(0)?))
}

pub(super) fn tanh<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    one(B::float_tanh(call.float(0)?))
}

/// `log(1 + eˣ)`, as `−log σ(−x)`, which does not overflow.
pub(super) fn softplus<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    one(B::float_neg(B::log_sigmoid(B::float_neg(call.float(0)?))))
}

/// Gaussian error linear unit (Hendrycks and Gimpel, 2016), exact or by its tanh approximation.
pub(super) fn gelu<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let x = call.float(0)?;
    if call.node.text("approximate") != Some("tanh") {
        return one(B::gelu(x));
    }
    let cube = B::float_mul(B::float_mul(x.clone(), x.clone()), x.clone());
    let inner = B::float_add(x.clone(), B::float_mul_scalar(cube, number(0.044_715)));
    let scaled = B::float_mul_scalar(inner, Scalar::Float((2.0 / std::f64::consts::PI).sqrt()));
    let gate = B::float_add_scalar(B::float_tanh(scaled), number(1.0));
    one(B::float_mul_scalar(B::float_mul(x, gate), number(0.5)))
}

/// `clamp(alpha · x + beta, 0, 1)`.
pub(super) fn hard_sigmoid<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let (alpha, beta) = (call.node.float("alpha", 0.2), call.node.float("beta", 0.5));
    one(gate::<B>(call.float(0)?, alpha, beta))
}

/// `x · clamp(x / 6 + 1/2, 0, 1)` (Howard et al., "Searching for MobileNetV3", 2019).
pub(super) fn hard_swish<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let x = call.float(0)?;
    one(B::float_mul(x.clone(), gate::<B>(x, 1.0 / 6.0, 0.5)))
}

fn gate<B: Engine>(x: FloatTensor<B>, alpha: f32, beta: f32) -> FloatTensor<B> {
    let line = B::float_add_scalar(B::float_mul_scalar(x, number(alpha)), number(beta));
    B::float_clamp(line, number(0.0), number(1.0))
}

/// Bounds are attributes before operator set 11, inputs after.
pub(super) fn clip<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let bound = |call: &mut Call<'_, B>, name: &str, index| match call.node.attributes.get(name) {
        Some(Attribute::Float(v)) => Ok(Some(*v)),
        _ => call.scalar(index),
    };
    let (min, max) = (bound(call, "min", 1)?, bound(call, "max", 2)?);
    let mut x = call.float(0)?;
    if let Some(min) = min {
        x = B::float_clamp_min(x, number(min));
    }
    if let Some(max) = max {
        x = B::float_clamp_max(x, number(max));
    }
    one(x)
}

pub(super) fn softmax<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    along(call, B::softmax)
}

pub(super) fn log_softmax<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    along(call, B::log_softmax)
}

/// Runs `operation` along the node's axis; before operator set 13, along all axes from it on.
fn along<B: Engine>(
    call: &mut Call<'_, B>,
    operation: fn(FloatTensor<B>, usize) -> FloatTensor<B>,
) -> Out<B> {
    let x = call.float(0)?;
    let shape = dims(&x);
    if shape.is_empty() {
        return one(reshaped::<B>(operation(reshaped::<B>(x, &[1]), 0), &[]));
    }
    if call.opset >= 13 {
        let axis = axis(call.node.int("axis", -1), shape.len())?;
        return one(operation(x, axis));
    }
    let from = axis(call.node.int("axis", 1), shape.len())?;
    let (rows, width) = (
        shape[..from].iter().product(),
        shape[from..].iter().product(),
    );
    one(reshaped::<B>(
        operation(reshaped::<B>(x, &[rows, width]), 1),
        &shape,
    ))
}

#[cfg(test)]
mod tests {
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
}
