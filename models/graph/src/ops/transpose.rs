//! `Transpose`.

use lapidary_core::tensor::{Granularity, Tensor};

use super::Operator;
use crate::fold::{Constants, moved};
use crate::graph::Node;
use crate::shape::{Extents, Ints, Known, axes_of};
use crate::structure::{Flow, Layout, Layouts};
use crate::tape::{Call, Outputs, Value, axis};
use ndarray::IxDyn;

pub static TRANSPOSE: Operator = Operator {
    hands_on: true,
    fold: Some(fold_transpose),
    shape,
    ints,
    channels,
    forward: Some(transpose),
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

/// Codes of a quantized weight keep their scales.
fn fold_transpose(c: &Constants<'_>) -> Option<Tensor> {
    let order = order(c.node, c.tensor(0)?.shape().len())?;
    if (0..order.len()).any(|axis| !order.contains(&axis)) {
        return None;
    }
    let to = |axis: usize| order.iter().position(|&from| from == axis);
    match c.tensor(0)? {
        Tensor::Dense(dense) => {
            Some(moved(dense, |places| Some(places.permuted_axes(order)))?.into())
        }
        Tensor::Quantized(q) => {
            let mut turned = q.clone();
            turned.codes = q.codes.clone().permuted_axes(order.clone());
            turned.granularity = match q.granularity {
                Granularity::Tensor => Granularity::Tensor,
                Granularity::Axis(axis) => Granularity::Axis(to(axis)?),
                Granularity::Block { axis, size } => {
                    turned.scales = q.scales.clone().permuted_axes(order.clone());
                    turned.zero_points = q.zero_points.clone().permuted_axes(order.clone());
                    let axis = to(axis)?;
                    Granularity::Block { axis, size }
                }
            };
            Some(Tensor::Quantized(turned))
        }
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

fn transpose(call: &mut Call<'_>) -> Outputs {
    let x = call.value(0)?;
    let rank = x.shape().len();
    let order = match call.node.ints("perm") {
        Some(order) => order
            .iter()
            .map(|&i| axis(i, rank))
            .collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).rev().collect(),
    };
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..rank) {
        return Err(format!("perm {order:?} is not an order of {rank} axes"));
    }
    Ok(vec![match x {
        Value::Float(x) => Value::Float(call.tape.permute(x, &order)),
        Value::Int(a) => Value::Int(
            a.permuted_axes(IxDyn(&order))
                .as_standard_layout()
                .into_owned(),
        ),
    }])
}
