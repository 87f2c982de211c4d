//! `Split`.

use std::rc::Rc;

use super::Operator;
use crate::error::GraphError;
use crate::graph::Node;
use crate::opset::{Change, Rewriting};
use crate::shape::{Extents, Known, axis_of, extent};
use crate::structure::{Count, Flow, Layout, Layouts, Unit};
use crate::tape::{Call, Cut, Outputs, Value, axis};

pub static SPLIT: Operator = Operator {
    types: |typed| vec![typed.input(0); typed.node.outputs.len()],
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
    forward: Some(split),
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

fn split(call: &mut Call<'_>) -> Outputs {
    let sizes = call.list("split", 1)?;
    let x = call.float(0)?;
    let shape = x.shape().to_vec();
    let axis = axis(call.node.int("axis", 0), shape.len())?;
    let parts = call.node.outputs.len();
    let sizes: Vec<usize> = match sizes {
        Some(sizes) => sizes
            .iter()
            .map(|&s| usize::try_from(s).unwrap_or(usize::MAX))
            .collect(),
        // Equal parts, the last one smaller where they do not come out even.
        None => {
            let part = shape[axis].div_ceil(parts.max(1));
            (0..parts)
                .map(|i| part.min(shape[axis].saturating_sub(i * part)))
                .collect()
        }
    };
    if sizes.iter().try_fold(0usize, |n, &s| n.checked_add(s)) != Some(shape[axis]) {
        return Err(format!(
            "parts of {sizes:?} do not make up axis {axis} of {shape:?}"
        ));
    }
    let mut start = 0;
    Ok(sizes
        .into_iter()
        .map(|size| {
            let whole = |&end: &usize| Cut {
                start: 0,
                end,
                step: 1,
            };
            let mut cuts: Vec<Cut> = shape.iter().map(whole).collect();
            (cuts[axis].start, cuts[axis].end) = (start, start + size);
            start += size;
            Value::Float(call.tape.slice(x.clone(), &cuts))
        })
        .collect())
}
