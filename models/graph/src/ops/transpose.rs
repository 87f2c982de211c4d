//! `Transpose`.

use super::Operator;
use crate::graph::Node;
use crate::shape::{Extents, Ints, Known, axes_of};
use crate::structure::{Flow, Layout, Layouts};

pub static TRANSPOSE: Operator = Operator {
    hands_on: true,
    shape,
    ints,
    channels,
    ..Operator::standard("Transpose")
};

fn shape(known: &Known<'_>) -> Option<Extents> {
    let x = known.shape(0)?;
    let order = order(known.node, x.len())?;
    Some(order.into_iter().map(|axis| x[axis]).collect())
}

/// The axis of the input that each axis of the output is.
fn order(node: &Node, rank: usize) -> Option<Vec<usize>> {
    match node.ints("perm") {
        Some(perm) => axes_of(perm, rank),
        None => Some((0..rank).rev().collect()),
    }
}

fn ints(known: &Known<'_>) -> Option<Ints> {
    let array = known.array()?;
    let order = order(known.node, array.ndim())?;
    let mut seen = order.clone();
    seen.sort_unstable();
    if !seen.into_iter().eq(0..array.ndim()) {
        return None;
    }
    Some(array.permuted_axes(order).iter().copied().collect())
}

fn channels<'g>(flow: &mut Flow<'g>, node: &'g Node) -> Option<Layouts> {
    let Some(x) = flow.at(node, 0) else {
        return Some(vec![None]);
    };
    let rank = flow.rank(node.input(0)?)?;
    let axis = match node.ints("perm") {
        Some(perm) => perm.iter().position(|&p| p == x.axis as i64)?,
        None => rank.checked_sub(1 + x.axis)?,
    };
    Some(vec![Some(Layout { axis, ..x })])
}
