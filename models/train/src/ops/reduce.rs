//! Sums, means and maxima along axes.

use burn_backend::tensor::FloatTensor;

use super::{Call, axes, dims, one, reshaped};
use crate::engine::{Engine, Value};

type Out<B> = Result<Vec<Value<B>>, String>;

pub(super) fn mean<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    reduce(call, B::float_mean_dim)
}

pub(super) fn sum<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    reduce(call, B::float_sum_dim)
}

pub(super) fn max<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    reduce(call, B::float_max_dim)
}

/// Axis by axis, so that no call reduces the whole of a large tensor: burn groups such sums by how threads steal work.
fn reduce<B: Engine>(
    call: &mut Call<'_, B>,
    along: fn(FloatTensor<B>, usize) -> FloatTensor<B>,
) -> Out<B> {
    let mut x = call.float(0)?;
    let shape = dims(&x);
    let given = call.list("axes", 1)?.filter(|a| !a.is_empty());
    let reduced = match given {
        Some(indices) => axes(&indices, shape.len())?,
        None if call.node.int("noop_with_empty_axes", 0) != 0 => return one(x),
        None => (0..shape.len()).collect(),
    };
    for &axis in &reduced {
        x = along(x, axis);
    }
    if call.node.int("keepdims", 1) != 0 {
        return one(x);
    }
    let kept: Vec<usize> = (0..shape.len())
        .filter(|i| !reduced.contains(i))
        .map(|i| shape[i])
        .collect();
    one(reshaped::<B>(x, &kept))
}

#[cfg(test)]
mod tests {
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
}
