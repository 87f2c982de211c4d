//! Products with weights: fully connected layers and convolutions.

use crate::tape::{Call, Outputs, Var, aligned, broadcast, of_rank, one, sized};
use crate::window::{Convolution, Window};

/// Batched products; a vector becomes a row on the left and a column on the right, as in numpy.
pub fn matmul(call: &mut Call<'_>) -> Outputs {
    let tape = call.tape;
    let (a, b) = (call.float(0)?, call.float(1)?);
    let (mut left, mut right) = (a.shape().to_vec(), b.shape().to_vec());
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
    let (a, b) = (tape.reshape(a, &left), tape.reshape(b, &right));
    if right.len() == 2 && left.len() > 2 {
        // One weight for all: a single large product instead of many small ones.
        let rows = left[..left.len() - 1].iter().product();
        let product = tape.matmul(tape.reshape(a, &[rows, depth]), b);
        return one(tape.reshape(product, &out));
    }
    let rank = left.len().max(right.len());
    let product = tape.matmul(of_rank(tape, a, rank), of_rank(tape, b, rank));
    one(if product.shape() == out {
        product
    } else {
        tape.reshape(product, &out)
    })
}

/// `alpha · A · B + beta · C`, with either factor transposed where asked for.
pub fn gemm(call: &mut Call<'_>) -> Outputs {
    let (node, tape) = (call.node, call.tape);
    let scaled = |x: Var, name: &str| match node.float(name, 1.0) {
        1.0 => x,
        factor => tape.scale(x, factor),
    };
    let (mut a, mut b) = (call.float(0)?, call.float(1)?);
    if a.shape().len() != 2 || b.shape().len() != 2 {
        return Err(format!(
            "matrices are needed, given are shapes {:?} and {:?}",
            a.shape(),
            b.shape()
        ));
    }
    if node.int("transA", 0) != 0 {
        a = tape.permute(a, &[1, 0]);
    }
    if node.int("transB", 0) != 0 {
        b = tape.permute(b, &[1, 0]);
    }
    if a.shape()[1] != b.shape()[0] {
        return Err(format!(
            "inner sizes of {:?} and {:?} differ",
            a.shape(),
            b.shape()
        ));
    }
    sized(&[a.shape()[0], b.shape()[1]])?;
    let product = scaled(tape.matmul(a, b), "alpha");
    let Some(c) = call.optional(2)? else {
        return one(product);
    };
    let (product, c) = aligned(tape, product, scaled(c, "beta"))?;
    one(tape.add(product, c))
}

/// Convolution over one or two spatial axes.
pub fn conv(call: &mut Call<'_>) -> Outputs {
    let tape = call.tape;
    let (x, weight) = (call.float(0)?, call.float(1)?);
    let (shape, kernel) = (x.shape().to_vec(), weight.shape());
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
    let bias = call.optional(2)?;
    if let Some(bias) = &bias
        && bias.shape() != [filters]
    {
        return Err(format!(
            "a bias of shape {:?} does not fit {filters} filters",
            bias.shape()
        ));
    }
    let by = Convolution {
        batch: shape[0],
        channels,
        filters,
        groups,
        window,
    };
    let [height, width] = by.window.input;
    let x = tape.reshape(x, &[shape[0], channels, height, width]);
    one(tape.reshape(tape.convolve(x, weight, bias, by), &out))
}
