//! Element by element: sums, products, powers, roots, with ONNX broadcasting.

use burn_backend::tensor::{BoolTensor, FloatTensor};
use burn_backend::{BoolDType, Scalar};

use super::{Call, dims, one, reshaped, sized};
use crate::engine::{Engine, Value};

type Out<B> = Result<Vec<Value<B>>, String>;

/// The shape two shapes broadcast to (ONNX, "Broadcasting in ONNX").
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let at =
        |shape: &[usize], i: usize| (i + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    let shape: Vec<usize> = (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => Err(format!("shapes {a:?} and {b:?} do not broadcast")),
        })
        .collect::<Result<_, _>>()?;
    sized(&shape)?;
    Ok(shape)
}

/// A view with ones before its first axis, up to `rank` axes.
pub(super) fn of_rank<B: Engine>(tensor: FloatTensor<B>, rank: usize) -> FloatTensor<B> {
    let shape = dims(&tensor);
    if shape.len() >= rank {
        return tensor;
    }
    let mut wide = vec![1; rank - shape.len()];
    wide.extend(shape);
    reshaped::<B>(tensor, &wide)
}

/// Brings two tensors to one rank, so that burn broadcasts them.
pub(super) fn aligned<B: Engine>(
    a: FloatTensor<B>,
    b: FloatTensor<B>,
) -> Result<(FloatTensor<B>, FloatTensor<B>), String> {
    let rank = broadcast(&dims(&a), &dims(&b))?.len();
    Ok((of_rank::<B>(a, rank), of_rank::<B>(b, rank)))
}

fn binary<B: Engine>(
    call: &mut Call<'_, B>,
    floats: fn(FloatTensor<B>, FloatTensor<B>) -> FloatTensor<B>,
    ints: fn(i64, i64) -> Option<i64>,
) -> Out<B> {
    match (call.value(0)?, call.value(1)?) {
        (Value::Float(a), Value::Float(b)) => {
            let (a, b) = aligned::<B>(a, b)?;
            one(floats(a, b))
        }
        (Value::Int(a), Value::Int(b)) => {
            let shape = broadcast(a.shape(), b.shape())?;
            let (a, b) = (a.broadcast(shape.clone()), b.broadcast(shape.clone()));
            let (Some(a), Some(b)) = (a, b) else {
                return Err("shapes do not broadcast".into());
            };
            let values: Option<Vec<i64>> =
                a.iter().zip(b.iter()).map(|(&a, &b)| ints(a, b)).collect();
            let values = values.ok_or("integer overflow or division by zero")?;
            let array =
                ndarray::ArrayD::from_shape_vec(shape, values).map_err(|e| e.to_string())?;
            Ok(vec![Value::Int(array)])
        }
        _ => Err("one input holds floats, the other integers".into()),
    }
}

pub(super) fn add<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    binary(call, B::float_add, i64::checked_add)
}

pub(super) fn sub<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    binary(call, B::float_sub, i64::checked_sub)
}

pub(super) fn mul<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    binary(call, B::float_mul, i64::checked_mul)
}

pub(super) fn div<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    binary(call, B::float_div, i64::checked_div)
}

/// The sum of any number of tensors.
pub(super) fn sum<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let mut total = call.float(0)?;
    for i in 1..call.inputs.len() {
        let (a, b) = aligned::<B>(total, call.float(i)?)?;
        total = B::float_add(a, b);
    }
    one(total)
}

/// The largest, element by element; of equal ones, the later.
pub(super) fn max<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    extreme(call, B::float_greater)
}

/// The smallest, element by element; of equal ones, the later.
pub(super) fn min<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    extreme(call, B::float_lower)
}

type Comparison<B> = fn(FloatTensor<B>, FloatTensor<B>, BoolDType) -> BoolTensor<B>;

fn extreme<B: Engine>(call: &mut Call<'_, B>, wins: Comparison<B>) -> Out<B> {
    let mut found = call.float(0)?;
    for i in 1..call.inputs.len() {
        let other = call.float(i)?;
        let shape = broadcast(&dims(&found), &dims(&other))?;
        let wide = |x| B::float_expand(of_rank::<B>(x, shape.len()), shape.clone().into());
        let (a, b) = (wide(found), wide(other));
        let first = wins(a.clone(), b.clone(), BoolDType::Native);
        found = B::float_mask_where(b, first, a);
    }
    one(found)
}

/// A power with a constant exponent.
pub(super) fn pow<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let x = call.float(0)?;
    let exponent = match call.inputs.get(1) {
        Some(Some(Value::Int(a))) if a.len() == 1 => a.iter().map(|&v| v as f32).sum(),
        _ => call.scalar(1)?.ok_or("input 1 is missing")?,
    };
    one(match exponent {
        2.0 => B::float_mul(x.clone(), x),
        0.5 => B::float_sqrt(x),
        other => B::float_powf_scalar(x, Scalar::Float(f64::from(other))),
    })
}

pub(super) fn sqrt<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    one(B::float_sqrt(call.float(0)?))
}

pub(super) fn exp<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    one(B::float_exp(call.float(0)?))
}

pub(super) fn log<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    one(B::float_log(call.float(0)?))
}

pub(super) fn erf<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    one(B::float_erf(call.float(0)?))
}

pub(super) fn neg<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    one(B::float_neg(call.float(0)?))
}

pub(super) fn abs<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    one(B::float_abs(call.float(0)?))
}

pub(super) fn reciprocal<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    one(B::float_recip(call.float(0)?))
}

#[cfg(test)]
mod tests {
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
}
