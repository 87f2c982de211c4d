//! `Pad`.

use std::rc::Rc;

use super::Operator;
use crate::graph::Attribute;
use crate::graph::Node;
use crate::opset::Change;
use crate::shape::{Extents, Known, axes_of, extent};
use crate::structure::{Count, Flow, Layout, Layouts, Unit};
use crate::tape::{Call, Outputs, axis, one, sized};
use crate::types::Alike;

pub static PAD: Operator = Operator {
    alike: Alike::Of(&[0, 2]),
    shape,
    channels,
    changes: &[
        Change {
            version: 2,
            rewrite: |_, node| {
                if let Some(pads) = node.attributes.remove("paddings") {
                    node.attributes.insert("pads".into(), pads);
                }
                Ok(())
            },
        },
        Change {
            version: 11,
            rewrite: |rewriting, node| {
                rewriting.list_to_input(node, "pads", 1);
                rewriting.number_to_input(node, "value", 2)
            },
        },
    ],
    forward: Some(pad),
    ..Operator::standard("Pad")
};

fn shape(known: &Known<'_>) -> Option<Extents> {
    let x = known.shape(0)?;
    let pads = match known.list("pads", 1) {
        Some(pads) => pads,
        None => return Some(vec![None; x.len()]),
    };
    let axes: Vec<usize> = match known.ints(3) {
        Some(axes) => axes_of(&axes, x.len())?,
        None if known.given(3) => return Some(vec![None; x.len()]),
        None => (0..x.len()).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return None;
    }
    let mut shape = x.clone();
    for (i, &axis) in axes.iter().enumerate() {
        let both = pads[i].checked_add(pads[axes.len() + i])?;
        shape[axis] = shape[axis].and_then(|d| extent((d as i64).checked_add(both)?));
    }
    Some(shape)
}

fn channels<'g>(flow: &mut Flow<'g>, node: &'g Node) -> Option<Layouts> {
    if !flow.rest_untouched(node, 1) {
        return None;
    }
    let Some(x) = flow.at(node, 0) else {
        return Some(vec![None]);
    };
    let rank = flow.rank(node.input(0)?)?;
    if node.input(3).is_some() {
        // Pads for some axes only: passed where the channels' are not among them.
        let axes = flow.axes(node, 3, rank)?;
        return (!axes.contains(&x.axis)).then(|| vec![Some(x)]);
    }
    let pads = flow.list(node, "pads", 1).filter(|p| p.len() == 2 * rank)?;
    let (before, behind) = (pads[x.axis], pads[rank + x.axis]);
    if (before, behind) == (0, 0) {
        return Some(vec![Some(x)]);
    }
    if node.text("mode").is_some_and(|mode| mode != "constant") {
        return None;
    }
    let mut padding =
        |n: i64| -> Option<Rc<[Unit]>> { Some(flow.units.fresh(usize::try_from(n).ok()?)?.into()) };
    let (before, behind) = (padding(before)?, padding(behind)?);
    let units = (before.iter())
        .chain(x.units.iter())
        .chain(behind.iter())
        .copied()
        .collect();
    flow.counts.push(Count::Pads {
        node: flow.at,
        pads,
        axis: x.axis,
        before,
        behind,
    });
    Some(vec![Some(Layout { units, ..x })])
}

/// Padding with a constant; negative pads, which cut, are refused.
fn pad(call: &mut Call<'_>) -> Outputs {
    let mode = call.node.text("mode").unwrap_or("constant");
    if mode != "constant" {
        return Err(format!(
            "padding by `{mode}` is not supported; `constant` is"
        ));
    }
    let value = match call.node.attributes.get("value") {
        Some(Attribute::Float(v)) => *v,
        _ => call.scalar(2)?.unwrap_or(0.0),
    };
    let pads = call.list("pads", 1)?.ok_or("the pads are missing")?;
    let along = call.ints(3)?;
    let x = call.float(0)?;
    let rank = x.shape().len();
    let along = match along {
        Some(indices) => indices
            .iter()
            .map(|&i| axis(i, rank))
            .collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).collect(),
    };
    if pads.len() != 2 * along.len() {
        return Err(format!("{} pads for {} axes", pads.len(), along.len()));
    }
    let mut sizes = vec![(0, 0); rank];
    for (i, &at) in along.iter().enumerate() {
        let size = |pad: i64| usize::try_from(pad).ok().filter(|&p| p < 1 << 24);
        sizes[at] = size(pads[i])
            .zip(size(pads[along.len() + i]))
            .ok_or_else(|| format!("pads {pads:?} must be from 0 to {}", 1 << 24))?;
    }
    let wide: Vec<usize> = (x.shape().iter())
        .zip(&sizes)
        .map(|(extent, (before, after))| extent + before + after)
        .collect();
    sized(&wide)?;
    one(call.tape.pad(x, &sizes, value))
}
