//! `Gemm`: a matrix product with a bias.

use lapidary_core::model::Product;

use super::{Operator, Slots};
use crate::graph::Node;
use crate::layers::Work;
use crate::opset::Change;
use crate::shape::{Extents, Known};
use crate::structure::{Flow, Layout, Layouts};
use crate::tape::{Call, Outputs, Var, aligned, one, sized};
use crate::types::Alike;

pub static GEMM: Operator = Operator {
    weights: &[Slots::behind_input(Some(2), &[1, 2])],
    channel_axis: |node, _, rank| match inputs_axis(node) {
        1 => 0,
        _ => rank.saturating_sub(1),
    },
    product: Some(Product::Matrix),
    own_vectors: Some(0),
    alike: Alike::All,
    misfit: apart,
    changes: &[Change {
        version: 7,
        rewrite: |_, node| {
            node.attributes.remove("broadcast");
            Ok(())
        },
    }],
    shape,
    macs,
    channels,
    forward: Some(gemm),
    ..Operator::standard("Gemm")
};

/// The axis of the weight along which inputs lie.
fn inputs_axis(node: &Node) -> usize {
    usize::from(node.int("transB", 0) != 0)
}

fn shape(known: &Known<'_>) -> Option<Extents> {
    let (a, b) = (known.shape(0)?, known.shape(1)?);
    if a.len() != 2 || b.len() != 2 {
        return None;
    }
    let rows = a[usize::from(known.node.int("transA", 0) != 0)];
    Some(vec![rows, b[1 - inputs_axis(known.node)]])
}

/// Inner extents that differ.
fn apart(known: &Known<'_>) -> Option<String> {
    let (a, b) = (known.shape(0)?, known.shape(1)?);
    let turned = known.node.int("transA", 0) != 0;
    let depth = (*a.get(usize::from(!turned))?)?;
    let other = (*b.get(inputs_axis(known.node))?)?;
    (depth != other).then(|| format!("the inner extents are {depth} and {other}"))
}

fn macs(work: &Work<'_>) -> Option<u64> {
    let k = work.weight.get(inputs_axis(work.node))?;
    work.output()?.checked_mul(*k as u64)
}

fn channels<'g>(flow: &mut Flow<'g>, node: &'g Node) -> Option<Layouts> {
    let x = flow.at(node, 0);
    let Some(weight) = flow.weight(node, 1).filter(|w| w.shape().len() == 2) else {
        return flow.untouched(node).then(|| vec![None]);
    };
    if !flow.rest_untouched(node, 1) {
        return None;
    }
    let read = inputs_axis(node);
    if let Some(x) = x {
        (x.axis == 1 && node.int("transA", 0) == 0).then_some(())?;
        flow.stand(node, 1, read, &x.units, false)?;
    }
    let units = flow.write(weight.shape()[1 - read])?;
    flow.stand(node, 1, 1 - read, &units, true)?;
    let layout = Layout { axis: 1, units };
    if node.input(2).is_some() {
        flow.broadcast(node, 2, &layout, 2, true)?;
    }
    Some(vec![Some(layout)])
}

/// `alpha · A · B + beta · C`, with either factor transposed where asked for.
fn gemm(call: &mut Call<'_>) -> Outputs {
    let (node, tape) = (call.node, call.tape);
    let scaled = |x: Var, name: &str| match node.float(name, 1.0) {
        1.0 => x,
        factor => tape.scale(x, factor),
    };
    let (a, b) = (call.float(0)?, call.float(1)?);
    if a.shape().len() != 2 || b.shape().len() != 2 {
        return Err(format!(
            "matrices are needed, given are shapes {:?} and {:?}",
            a.shape(),
            b.shape()
        ));
    }
    let turned = ["transA", "transB"].map(|name| node.int(name, 0) != 0);
    let extents = |x: &Var, turned: bool| match (x.shape(), turned) {
        (&[rows, columns], false) | (&[columns, rows], true) => [rows, columns],
        _ => unreachable!("two axes, as asked for above"),
    };
    let ([rows, depth], [same, columns]) = (extents(&a, turned[0]), extents(&b, turned[1]));
    if depth != same {
        return Err(format!(
            "inner sizes of {:?} and {:?} differ",
            [rows, depth],
            [same, columns]
        ));
    }
    sized(&[rows, columns])?;
    let product = scaled(tape.matmul(a, b, turned), "alpha");
    let Some(c) = call.optional(2)? else {
        return one(product);
    };
    let (product, c) = aligned(tape, product, scaled(c, "beta"))?;
    one(tape.add(product, c))
}
