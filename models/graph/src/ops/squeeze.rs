//! Axes of one index left out or put in.

use super::Operator;
use super::reduce::AXES_TO_INPUT_13;
use crate::fold::viewed;
use crate::graph::Node;
use crate::shape::{Extents, Known, axes_of, same_ints};
use crate::structure::{Flow, Layout, Layouts, rules};
use crate::tape::{self, Call, Outputs, axes};

pub static SQUEEZE: Operator = Operator {
    hands_on: true,
    fold: Some(|c| {
        viewed(c, |from| {
            let axes = match c.list("axes", 1) {
                Some(axes) => axes_of(&axes, from.len())?,
                None => (0..from.len()).filter(|&i| from[i] == 1).collect(),
            };
            let kept = (0..from.len()).filter(|i| !axes.contains(i));
            Some(kept.map(|i| from[i]).collect())
        })
    }),
    keeps_numbers: true,
    shape: squeezed,
    ints: same_ints,
    channels: squeezed_channels,
    changes: AXES_TO_INPUT_13,
    forward: Some(squeeze),
    ..Operator::standard("Squeeze")
};

pub static UNSQUEEZE: Operator = Operator {
    hands_on: true,
    fold: Some(|c| {
        viewed(c, |from| {
            let axes = c.list("axes", 1)?;
            let rank = from.len() + axes.len();
            let axes = axes_of(&axes, rank)?;
            let mut rest = from.iter().copied();
            let extent = |i: usize| match axes.contains(&i) {
                true => Some(1),
                false => rest.next(),
            };
            (0..rank).map(extent).collect()
        })
    }),
    keeps_numbers: true,
    shape: unsqueezed,
    ints: same_ints,
    channels: unsqueezed_channels,
    changes: AXES_TO_INPUT_13,
    forward: Some(unsqueeze),
    ..Operator::standard("Unsqueeze")
};

fn squeezed(known: &Known<'_>) -> Option<Extents> {
    let x = known.shape(0)?;
    match known.list("axes", 1) {
        Some(axes) => {
            let axes = axes_of(&axes, x.len())?;
            let left = (0..x.len()).filter(|i| !axes.contains(i));
            Some(left.map(|i| x[i]).collect())
        }
        None if known.given(1) || x.contains(&None) => None,
        None => Some(x.iter().copied().filter(|d| *d != Some(1)).collect()),
    }
}

fn unsqueezed(known: &Known<'_>) -> Option<Extents> {
    let x = known.shape(0)?;
    let axes = known.list("axes", 1)?;
    let rank = x.len() + axes.len();
    let axes = axes_of(&axes, rank)?;
    let mut rest = x.iter().copied();
    let one = |i: usize| {
        if axes.contains(&i) {
            Some(1)
        } else {
            rest.next().flatten()
        }
    };
    Some((0..rank).map(one).collect())
}

fn squeezed_channels<'g>(flow: &mut Flow<'g>, node: &'g Node) -> Option<Layouts> {
    if !flow.rest_untouched(node, 1) {
        return None;
    }
    let Some(x) = flow.at(node, 0) else {
        return Some(vec![None]);
    };
    let axes = flow.axes(node, 1, flow.rank(node.input(0)?)?)?;
    (!axes.is_empty()).then_some(())?;
    rules::without(x, &axes, false)
}

fn unsqueezed_channels<'g>(flow: &mut Flow<'g>, node: &'g Node) -> Option<Layouts> {
    if !flow.rest_untouched(node, 1) {
        return None;
    }
    let Some(x) = flow.at(node, 0) else {
        return Some(vec![None]);
    };
    let rank = flow.rank(node.input(0)?)? + flow.list(node, "axes", 1)?.len();
    let axes = flow.axes(node, 1, rank)?;
    let axis = (0..rank).filter(|a| !axes.contains(a)).nth(x.axis)?;
    Some(vec![Some(Layout { axis, ..x })])
}

fn squeeze(call: &mut Call<'_>) -> Outputs {
    let x = call.value(0)?;
    let shape = x.shape().to_vec();
    let removed = match call.list("axes", 1)? {
        Some(indices) => axes(&indices, shape.len())?,
        None => (0..shape.len()).filter(|&i| shape[i] == 1).collect(),
    };
    if let Some(&long) = removed.iter().find(|&&i| shape[i] != 1) {
        return Err(format!("axis {long} of {shape:?} is not 1 long"));
    }
    let kept: Vec<usize> = (0..shape.len())
        .filter(|i| !removed.contains(i))
        .map(|i| shape[i])
        .collect();
    tape::viewed(call.tape, x, &kept)
}

fn unsqueeze(call: &mut Call<'_>) -> Outputs {
    let indices = call.list("axes", 1)?.ok_or("the axes are missing")?;
    let x = call.value(0)?;
    let mut shape = x.shape().to_vec();
    for at in axes(&indices, shape.len() + indices.len())? {
        if at > shape.len() {
            return Err(format!("axes {indices:?} are not distinct"));
        }
        shape.insert(at, 1);
    }
    tape::viewed(call.tape, x, &shape)
}
