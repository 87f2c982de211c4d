//! Integers and truth values (0 and 1), by which nothing is differentiated: what exporters compute shapes and masks with.

use burn_backend::TensorData;
use burn_flex::FlexTensor;
use ndarray::{ArrayD, IxDyn};

use super::arithmetic::{broadcast, of_rank};
use super::{Call, dims, one, sized};
use crate::engine::{Engine, Value, tensor};
use crate::program::dense_value;
use lapidary_graph::Attribute;

type Out<B> = Result<Vec<Value<B>>, String>;

fn whole<B: Engine>(array: ArrayD<i64>) -> Out<B> {
    Ok(vec![Value::Int(array)])
}

fn spread(array: &ArrayD<i64>, shape: &[usize]) -> Result<ArrayD<i64>, String> {
    array
        .broadcast(IxDyn(shape))
        .map(|view| view.to_owned())
        .ok_or_else(|| format!("shape {:?} does not broadcast to {shape:?}", array.shape()))
}

/// Combines two integer inputs element by element.
fn combine<B: Engine>(call: &mut Call<'_, B>, by: fn(i64, i64) -> bool) -> Out<B> {
    let (a, b) = (call.ints(0)?, call.ints(1)?);
    let (a, b) = a.zip(b).ok_or("two inputs are needed")?;
    let shape = broadcast(a.shape(), b.shape())?;
    let (mut a, b) = (spread(&a, &shape)?, spread(&b, &shape)?);
    a.zip_mut_with(&b, |a, &b| *a = i64::from(by(*a, b)));
    whole(a)
}

pub(super) fn equal<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    combine(call, |a, b| a == b)
}

pub(super) fn less<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    combine(call, |a, b| a < b)
}

pub(super) fn less_or_equal<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    combine(call, |a, b| a <= b)
}

pub(super) fn greater<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    combine(call, |a, b| a > b)
}

pub(super) fn greater_or_equal<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    combine(call, |a, b| a >= b)
}

pub(super) fn and<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    combine(call, |a, b| a != 0 && b != 0)
}

pub(super) fn or<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    combine(call, |a, b| a != 0 || b != 0)
}

pub(super) fn not<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let a = call.ints(0)?.ok_or("input 0 is missing")?;
    whole(a.mapv(|v| i64::from(v == 0)))
}

/// Between integers, from integers to floats, and between floats; from floats to integers there is no gradient.
pub(super) fn cast<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    // The numbers of ONNX's float types (`TensorProto.DataType`): float, float16, double, bfloat16; of its truth values.
    const FLOATS: [i64; 4] = [1, 10, 11, 16];
    const BOOL: i64 = 9;
    let to = call.node.int("to", 0);
    match (call.value(0)?, FLOATS.contains(&to)) {
        (Value::Float(x), true) => one(x),
        (Value::Float(_), false) => Err("a cast from floats to integers has no gradient".into()),
        (Value::Int(a), true) => {
            let values = a.iter().map(|&v| v as f32).collect();
            one(B::constant(tensor(values, a.shape())))
        }
        (Value::Int(a), false) if to == BOOL => whole(a.mapv(|v| i64::from(v != 0))),
        (Value::Int(a), false) => whole(a),
    }
}

/// A tensor of one repeated number, a float 0 where none is given.
pub(super) fn constant_of_shape<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let shape = call.ints(0)?.ok_or("the shape is missing")?;
    let shape: Vec<usize> = extents(shape.iter())?;
    let count = sized(&shape)?;
    let value = match call.node.attributes.get("value") {
        Some(Attribute::Tensor(dense)) => dense_value(dense)?,
        _ => Value::Float(tensor(vec![0.0], &[1])),
    };
    match value {
        Value::Int(a) => whole(ArrayD::from_elem(
            IxDyn(&shape),
            a.first().copied().unwrap_or(0),
        )),
        Value::Float(t) => {
            let value = t.storage::<f32>().first().copied().unwrap_or(0.0);
            one(B::constant(tensor(vec![value; count], &shape)))
        }
    }
}

fn extents<'a>(values: impl Iterator<Item = &'a i64>) -> Result<Vec<usize>, String> {
    values
        .map(|&v| usize::try_from(v).map_err(|_| format!("an extent cannot be {v}")))
        .collect()
}

/// The integers from a start to before a limit.
pub(super) fn range<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let mut next = |index| match call.ints(index)? {
        Some(a) if a.len() == 1 => Ok(a.iter().copied().sum::<i64>()),
        _ => Err(format!("input {index} must be one integer")),
    };
    let (start, limit, delta) = (next(0)?, next(1)?, next(2)?);
    if delta == 0 {
        return Err("a step of 0 leads nowhere".into());
    }
    let span = i128::from(limit) - i128::from(start);
    let count = (span + i128::from(delta) - i128::from(delta.signum())) / i128::from(delta);
    let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
    sized(&[count])?;
    whole(ArrayD::from_shape_fn(IxDyn(&[count]), |at| {
        start + at[0] as i64 * delta
    }))
}

/// Repeats along axes of extent 1.
pub(super) fn expand<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let shape = call.ints(1)?.ok_or("the shape is missing")?;
    let x = call.value(0)?;
    let shape = broadcast(&x.shape(), &extents(shape.iter())?)?;
    match x {
        Value::Int(a) => whole(spread(&a, &shape)?),
        Value::Float(x) => one(B::float_expand(of_rank::<B>(x, shape.len()), shape.into())),
    }
}

/// The second input where the first is true, else the third.
pub(super) fn choose<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let condition = call.ints(0)?.ok_or("the condition is missing")?;
    match (call.value(1)?, call.value(2)?) {
        (Value::Int(a), Value::Int(b)) => {
            let shape = broadcast(&broadcast(a.shape(), b.shape())?, condition.shape())?;
            let (a, mut b) = (spread(&a, &shape)?, spread(&b, &shape)?);
            let condition = spread(&condition, &shape)?;
            ndarray::Zip::from(&mut b)
                .and(&a)
                .and(&condition)
                .for_each(|b, &a, &c| {
                    if c != 0 {
                        *b = a;
                    }
                });
            whole(b)
        }
        (Value::Float(a), Value::Float(b)) => {
            let shape = broadcast(&broadcast(&dims(&a), &dims(&b))?, condition.shape())?;
            let mask: Vec<bool> = spread(&condition, &shape)?
                .iter()
                .map(|&c| c != 0)
                .collect();
            let mask = FlexTensor::from_data(TensorData::new(mask, shape.clone()));
            let wide = |x| B::float_expand(of_rank::<B>(x, shape.len()), shape.clone().into());
            one(B::float_mask_where(wide(b), mask, wide(a)))
        }
        _ => Err("one input holds floats, the other integers".into()),
    }
}

#[cfg(test)]
mod tests {
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
}
