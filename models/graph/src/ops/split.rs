//! `Split`.

use std::rc::Rc;

use super::Operator;
use crate::error::GraphError;
use crate::graph::Node;
use crate::opset::{Change, Rewriting};
use crate::shape::{Extents, Known, axis_of, extent};
use crate::structure::{Count, Flow, Layout, Layouts, Unit};

pub static SPLIT: Operator = Operator {
    shape: |known| parts(known)?.into_iter().next(),
    other_shapes: |known| Some(parts(known)?.into_iter().skip(1).collect()),
    channels,
    changes: &[
        Change {
            version: 13,
            rewrite: |rewriting, node| {
                rewriting.list_to_input(node, "split", 1);
                Ok(())
            },
        },
        Change {
            version: 18,
            rewrite: count_parts,
        },
    ],
    ..Operator::standard("Split")
};

fn parts(known: &Known<'_>) -> Option<Vec<Extents>> {
    let x = known.shape(0)?;
    let axis = axis_of(known.node.int("axis", 0), x.len())?;
    let parts = known.node.outputs.len();
    let sizes: Extents = match known.list("split", 1) {
        Some(sizes) => sizes.iter().map(|&s| extent(s)).collect(),
        None if known.given(1) => vec![None; parts],
        // Equal parts, the last one smaller where it does not come out even.
        None => {
            let part = x[axis].map(|n| n.div_ceil(parts));
            let start = |i: usize| Some(part? * i);
            (0..parts)
                .map(|i| Some(x[axis]?.saturating_sub(start(i)?).min(part?)))
                .collect()
        }
    };
    let with = |&size: &Option<usize>| {
        let mut shape = x.clone();
        shape[axis] = size;
        shape
    };
    Some(sizes.iter().map(with).collect())
}

fn channels<'g>(flow: &mut Flow<'g>, node: &'g Node) -> Option<Layouts> {
    if flow.untouched(node) {
        return Some(vec![None; node.outputs.len()]);
    }
    let x = flow.at(node, 0)?;
    let axis = axis_of(node.int("axis", 0), flow.rank(node.input(0)?)?)?;
    if axis != x.axis {
        return Some(vec![Some(x); node.outputs.len()]);
    }
    let sizes = node.outputs.iter().map(|name| flow.extent(name, axis));
    let sizes: Vec<usize> = sizes.collect::<Option<_>>()?;
    let sum = sizes.iter().try_fold(0usize, |sum, &n| sum.checked_add(n));
    if sum != Some(x.units.len()) {
        return None;
    }
    let mut from = 0;
    let parts: Vec<Rc<[Unit]>> = (sizes.iter())
        .map(|size| {
            from += size;
            x.units[from - size..from].into()
        })
        .collect();
    flow.counts.push(Count::Parts {
        node: flow.at,
        parts: parts.clone(),
    });
    Some(
        parts
            .into_iter()
            .map(|units| Some(Layout { axis, units }))
            .collect(),
    )
}

/// Equal parts have to be counted.
fn count_parts(_: &mut Rewriting<'_>, node: &mut Node) -> Result<(), GraphError> {
    if node.input(1).is_none() {
        let parts = node.outputs.len() as i64;
        node.attributes.insert("num_outputs".into(), parts.into());
    }
    Ok(())
}
