//! Matrix products.

use lapidary_core::model::{ModelError, Product};
use lapidary_core::tensor::{DType, Dense};

use super::quantize::lower_codes;
use super::{Operator, RESHAPE, SQUEEZE, Slots};
use crate::graph::Node;
use crate::layers::Work;
use crate::lower::Lowering;
use crate::shape::{Extents, Known, combined, extent};
use crate::structure::{Flow, Layout, Layouts};
use crate::tape::{Call, Outputs, broadcast, of_rank, one, sized};
use crate::types::Alike;

pub static MAT_MUL: Operator = Operator {
    weights: &[
        Slots::behind_input(None, &[1]),
        // A product may have its constant matrix on the left.
        Slots {
            weight: 0,
            bias: None,
            all: &[0],
            input: 1,
        },
    ],
    channel_axis: |_, slots, rank| rank.saturating_sub(if slots.weight == 0 { 2 } else { 1 }),
    product: Some(Product::Matrix),
    bias_behind: true,
    alike: Alike::All,
    misfit: |known| apart(known, 0, 1),
    fold: Some(|c| {
        let two = |i: usize| c.floats(i)?.into_dimensionality::<ndarray::Ix2>().ok();
        let (a, b) = (two(0)?, two(1)?);
        (a.ncols() == b.nrows()).then(|| Dense::from(a.dot(&b).into_dyn()).into())
    }),
    shape: |known| shape(known.shape(0)?, known.shape(1)?),
    macs,
    channels,
    lower: Some(lower),
    forward: Some(matmul),
    ..Operator::standard("MatMul")
};

pub static MAT_MUL_INTEGER: Operator = Operator {
    codes: &[1],
    quantized: true,
    types: |_| vec![Some(DType::I32)],
    misfit: |known| apart(known, 0, 1),
    shape: |known| shape(known.shape(0)?, known.shape(1)?),
    macs,
    ..Operator::standard("MatMulInteger")
};

pub static Q_LINEAR_MAT_MUL: Operator = Operator {
    codes: &[3],
    quantized: true,
    types: |typed| vec![typed.input(7)],
    misfit: |known| apart(known, 0, 3),
    lower: Some(|lowering, node| lower_codes(lowering, node, &MAT_MUL, &[])),
    shape: |known| shape(known.shape(0)?, known.shape(3)?),
    macs,
    ..Operator::standard("QLinearMatMul")
};

/// A product by a matrix `[K, N]` whose columns are stored as blocks of codes.
pub static MAT_MUL_N_BITS: Operator = Operator {
    weights: &[Slots::behind_input(Some(5), &[1, 2, 3, 5])],
    bias_behind: true,
    quantized: true,
    shape: blocks_shape,
    macs: |work| {
        let k = u64::try_from(work.node.int("K", -1)).ok()?;
        work.output()?.checked_mul(k)
    },
    ..Operator::contributed("MatMulNBits")
};

/// Inner extents that differ.
fn apart(known: &Known<'_>, left: usize, right: usize) -> Option<String> {
    let (a, b) = (known.shape(left)?, known.shape(right)?);
    let depth = (*a.last()?)?;
    let other = b[b.len().saturating_sub(2)..].first().copied()??;
    (depth != other).then(|| format!("the inner extents are {depth} and {other}"))
}

fn shape(a: &Extents, b: &Extents) -> Option<Extents> {
    match (a.len(), b.len()) {
        (0, _) | (_, 0) => None,
        (1, 1) => Some(vec![]),
        (1, n) => Some([&b[..n - 2], &b[n - 1..]].concat()),
        (n, 1) => Some(a[..n - 1].to_vec()),
        (m, n) => {
            let mut shape = combined(&[&a[..m - 2].to_vec(), &b[..n - 2].to_vec()]);
            shape.extend([a[m - 2], b[n - 1]]);
            Some(shape)
        }
    }
}

fn blocks_shape(known: &Known<'_>) -> Option<Extents> {
    let mut shape = known.shape(0)?.clone();
    *shape.last_mut()? = extent(known.node.int("N", -1));
    Some(shape)
}

fn macs(work: &Work<'_>) -> Option<u64> {
    let left = work.node.input(0) == Some(work.name);
    let k = match (left, work.weight.len()) {
        (true, n) => work.weight.get(n.checked_sub(1)?)?,
        (false, 1) => work.weight.first()?,
        (false, n) => work.weight.get(n.checked_sub(2)?)?,
    };
    work.output()?.checked_mul(*k as u64)
}

fn channels<'g>(flow: &mut Flow<'g>, node: &'g Node) -> Option<Layouts> {
    let x = flow.at(node, 0);
    let Some(weight) = flow.weight(node, 1).filter(|w| w.shape().len() == 2) else {
        return flow.untouched(node).then(|| vec![None]);
    };
    let last = flow.rank(node.input(0)?)?.checked_sub(1)?;
    match x {
        // A product along another axis leaves the channels where they are.
        Some(x) if x.axis != last => return Some(vec![Some(x)]),
        Some(x) => flow.stand(node, 1, 0, &x.units, false)?,
        None => {}
    }
    let units = flow.write(weight.shape()[1])?;
    flow.stand(node, 1, 1, &units, true)?;
    Some(vec![Some(Layout { axis: last, units })])
}

/// A vector on the right is a column: rten takes one for matrices of two axes only, and leaves its axis standing.
fn lower(lowering: &mut Lowering<'_>, mut node: Node) -> Result<(), ModelError> {
    if lowering.rank(&node, 1) != Some(1) || lowering.rank(&node, 0) == Some(1) {
        lowering.push(node);
        return Ok(());
    }
    let around = node.name.clone();
    let column = lowering.list(&around, vec![-1, 1]);
    node.inputs[1] = lowering.step(&around, &RESHAPE, &[&node.inputs[1].clone(), &column], &[]);
    let last = lowering.list(&around, vec![-1]);
    let product = lowering.name(&around, "product");
    let outputs = std::mem::replace(&mut node.outputs, vec![product.clone()]);
    lowering.push(node);
    lowering.finish(&around, &SQUEEZE, vec![product, last], outputs);
    Ok(())
}

/// Batched products; a vector becomes a row on the left and a column on the right, as in numpy.
fn matmul(call: &mut Call<'_>) -> Outputs {
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
        let product = tape.matmul(tape.reshape(a, &[rows, depth]), b, [false; 2]);
        return one(tape.reshape(product, &out));
    }
    let rank = left.len().max(right.len());
    let product = tape.matmul(of_rank(tape, a, rank), of_rank(tape, b, rank), [false; 2]);
    one(if product.shape() == out {
        product
    } else {
        tape.reshape(product, &out)
    })
}

#[cfg(test)]
mod tests {
    use lapidary_core::tensor::Dense;

    use crate::ops::tests::{inferred, some};

    #[test]
    fn products_broadcasts_and_reductions() {
        let shape = inferred(
            |b, x| {
                let w = b.weight("w", Dense::f32(&[6, 2], vec![0.0; 12]).unwrap());
                let y = b.node("MatMul", "y", &[x, &w], []);
                let c = b.weight("c", Dense::f32(&[4, 1, 1], vec![0.0; 4]).unwrap());
                let y = b.node("Add", "z", &[&y, &c], []);
                b.node(
                    "ReduceMean",
                    "m",
                    &[&y],
                    [("axes", [-1].into()), ("keepdims", 0.into())],
                )
            },
            &[5, 6],
        );
        assert_eq!(shape, some(&[4, 5]));
    }
}
