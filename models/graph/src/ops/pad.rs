//! `Pad`.

use std::rc::Rc;

use super::Operator;
use crate::graph::Node;
use crate::opset::Change;
use crate::shape::{Extents, Known, axes_of, extent};
use crate::structure::{Count, Flow, Layout, Layouts, Unit};

pub static PAD: Operator = Operator {
    shape,
    channels,
    changes: &[Change {
        version: 11,
        rewrite: |rewriting, node| {
            rewriting.list_to_input(node, "pads", 1);
            rewriting.float_to_input(node, "value", 2);
            Ok(())
        },
    }],
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
