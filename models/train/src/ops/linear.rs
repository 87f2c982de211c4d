//! Products with weights: fully connected layers and convolutions.

use burn_backend::Scalar;
use burn_backend::tensor::FloatTensor;

use super::arithmetic::{aligned, broadcast, of_rank};
use super::{Call, dims, one, reshaped, sized};
use crate::engine::{Engine, Value, tensor};
use crate::window::{Convolution, Window};

type Out<B> = Result<Vec<Value<B>>, String>;

/// Batched products; a vector becomes a row on the left and a column on the right, as in numpy.
pub(super) fn matmul<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let (a, b) = (call.float(0)?, call.float(1)?);
    let (mut left, mut right) = (dims(&a), dims(&b));
    if left.is_empty() || right.is_empty() {
        return Err("a scalar has no matrix product".into());
    }
    let (row, column) = (left.len() == 1, right.len() == 1);
    if row {
        left.insert(0, 1);
    }
    if column {
        right.push(1);
    }
    let depth = left[left.len() - 1];
    if depth != right[right.len() - 2] {
        return Err(format!("inner sizes of {left:?} and {right:?} differ"));
    }
    let mut out = broadcast(&left[..left.len() - 2], &right[..right.len() - 2])?;
    if !row {
        out.push(left[left.len() - 2]);
    }
    if !column {
        out.push(right[right.len() - 1]);
    }
    sized(&out)?;
    let (a, b) = (reshaped::<B>(a, &left), reshaped::<B>(b, &right));
    if right.len() == 2 && left.len() > 2 {
        // One weight for all: a single large product instead of many small ones.
        let rows = left[..left.len() - 1].iter().product();
        let product = B::float_matmul(reshaped::<B>(a, &[rows, depth]), b);
        return one(reshaped::<B>(product, &out));
    }
    let rank = left.len().max(right.len());
    let product = B::float_matmul(of_rank::<B>(a, rank), of_rank::<B>(b, rank));
    one(if dims(&product) == out {
        product
    } else {
        reshaped::<B>(product, &out)
    })
}

/// `alpha · A · B + beta · C`, with either factor transposed where asked for.
pub(super) fn gemm<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let node = call.node;
    let scaled = |tensor: FloatTensor<B>, name: &str| match node.float(name, 1.0) {
        1.0 => tensor,
        factor => B::float_mul_scalar(tensor, Scalar::Float(f64::from(factor))),
    };
    let (mut a, mut b) = (call.float(0)?, call.float(1)?);
    if dims(&a).len() != 2 || dims(&b).len() != 2 {
        return Err(format!(
            "matrices are needed, given are shapes {:?} and {:?}",
            dims(&a),
            dims(&b)
        ));
    }
    if node.int("transA", 0) != 0 {
        a = B::float_transpose(a);
    }
    if node.int("transB", 0) != 0 {
        b = B::float_transpose(b);
    }
    if dims(&a)[1] != dims(&b)[0] {
        return Err(format!(
            "inner sizes of {:?} and {:?} differ",
            dims(&a),
            dims(&b)
        ));
    }
    sized(&[dims(&a)[0], dims(&b)[1]])?;
    let product = scaled(B::float_matmul(a, b), "alpha");
    let Some(c) = call.optional(2)? else {
        return one(product);
    };
    let (product, c) = aligned::<B>(product, scaled(c, "beta"))?;
    one(B::float_add(product, c))
}

/// Convolution over one or two spatial axes.
pub(super) fn conv<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let (x, weight) = (call.float(0)?, call.float(1)?);
    let (shape, kernel) = (dims(&x), dims(&weight));
    if shape.len() < 3 || shape.len() != kernel.len() {
        return Err(format!(
            "an input of shape {shape:?} does not fit a weight of shape {kernel:?}"
        ));
    }
    let groups = usize::try_from(call.node.int("group", 1)).unwrap_or(0);
    let (channels, filters) = (shape[1], kernel[0]);
    if groups == 0
        || channels == 0
        || filters == 0
        || filters % groups != 0
        || kernel[1].checked_mul(groups) != Some(channels)
    {
        return Err(format!(
            "{channels} channels in {groups} groups do not fit a weight of shape {kernel:?}"
        ));
    }
    let window = Window::of(call.node, &shape[2..], &kernel[2..])?;
    let mut out = vec![shape[0], filters];
    out.extend(&window.output[4 - shape.len()..]);
    sized(&out)?;
    // A sample's unfolded input.
    sized(&[&kernel[1..], &out[2..]].concat())?;
    let bias = match call.optional(2)? {
        Some(bias) if dims(&bias) != [filters] => {
            return Err(format!(
                "a bias of shape {:?} does not fit {filters} filters",
                dims(&bias)
            ));
        }
        Some(bias) => bias,
        None => B::constant(tensor(vec![0.0; filters], &[filters])),
    };
    let by = Convolution {
        batch: shape[0],
        channels,
        filters,
        groups,
        window,
    };
    let [height, width] = by.window.input;
    let x = reshaped::<B>(x, &[shape[0], channels, height, width]);
    one(reshaped::<B>(B::convolve(x, weight, bias, by), &out))
}

#[cfg(test)]
mod tests {
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
}
