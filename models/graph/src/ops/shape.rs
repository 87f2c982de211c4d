//! Shapes as values.

use lapidary_core::tensor::DType;

use super::{GATHER, Operator};
use crate::graph::Node;
use crate::shape::{Ints, Known, axis_of, volume};
use crate::structure::{Flow, Layouts};
use crate::tape::{Call, Outputs, whole};
use ndarray::{ArrayD, IxDyn};

pub static SHAPE: Operator = Operator {
    types: |_| vec![Some(DType::I64)],
    shape: |known| {
        let (start, end) = told(known.node, known.shape(0)?.len());
        Some(vec![Some(end.saturating_sub(start))])
    },
    ints: shape_ints,
    channels,
    forward: Some(shape),
    ..Operator::standard("Shape")
};

pub static SIZE: Operator = Operator {
    types: |_| vec![Some(DType::I64)],
    shape: |_| Some(vec![]),
    ints: |known| Some(vec![volume(known.shape(0)?).map(|n| n as i64)]),
    ..Operator::standard("Size")
};

/// The first and last of `rank` axes that `Shape` tells of.
fn told(node: &Node, rank: usize) -> (usize, usize) {
    let all = rank as i64;
    let bound = |v: i64| (if v < 0 { v + all } else { v }).clamp(0, all) as usize;
    (bound(node.int("start", 0)), bound(node.int("end", all)))
}

fn shape_ints(known: &Known<'_>) -> Option<Ints> {
    let x = known.shape(0)?;
    let (start, end) = told(known.node, x.len());
    Some(
        x.get(start..end)?
            .iter()
            .map(|d| d.map(|d| d as i64))
            .collect(),
    )
}

/// A shape is read for an extent; where that cannot be the channels', they stay free.
fn channels<'g>(flow: &mut Flow<'g>, node: &'g Node) -> Option<Layouts> {
    let Some(x) = flow.at(node, 0) else {
        return Some(vec![None]);
    };
    let (start, end) = told(node, flow.rank(node.input(0)?)?);
    if !(start..end).contains(&x.axis) {
        return Some(vec![None]);
    }
    let name = node.outputs.first()?;
    if flow.graph.is_output(name) {
        return None;
    }
    for reader in (flow.graph.nodes.iter()).filter(|n| n.reads().contains(&name.as_str())) {
        // Where it only becomes part of targets of `Reshape`, these see to it.
        if flow.tells_targets_only(reader, name) {
            continue;
        }
        if !reader.is(&GATHER) || reader.input(0) != Some(name) {
            return None;
        }
        for index in flow.ints(reader.input(1)?)? {
            if axis_of(index, end - start)? + start == x.axis {
                return None;
            }
        }
    }
    Some(vec![None])
}

/// The extents, of the axes from `start` to `end`.
fn shape(call: &mut Call<'_>) -> Outputs {
    let x = call.value(0)?;
    let shape = x.shape();
    let rank = shape.len() as i64;
    let clamp = |index: i64| (if index < 0 { index + rank } else { index }).clamp(0, rank) as usize;
    let (start, end) = (
        clamp(call.node.int("start", 0)),
        clamp(call.node.int("end", rank)),
    );
    let extents: Vec<i64> = shape
        .get(start..end)
        .unwrap_or_default()
        .iter()
        .map(|&e| e as i64)
        .collect();
    whole(ArrayD::from_shape_vec(IxDyn(&[extents.len()]), extents).map_err(|e| e.to_string())?)
}

#[cfg(test)]
mod tests {
    use lapidary_core::tensor::Dense;

    use crate::ops::tests::{inferred, some};

    #[test]
    fn shapes_computed_in_the_graph_are_followed() {
        let shape = inferred(
            |b, x| {
                let dims = b.node("Shape", "dims", &[x], []);
                let zero = b.weight("zero", Dense::i64(&[], vec![0]).unwrap());
                let first = b.node("Gather", "first", &[&dims, &zero], []);
                let axes = b.weight("axes", Dense::i64(&[1], vec![0]).unwrap());
                let first = b.node("Unsqueeze", "first1", &[&first, &axes], []);
                let rest = b.weight("rest", Dense::i64(&[1], vec![-1]).unwrap());
                let target = b.node("Concat", "target", &[&first, &rest], [("axis", 0.into())]);
                b.node("Reshape", "flat", &[x, &target], [])
            },
            &[3, 4, 5],
        );
        assert_eq!(shape, some(&[1, 60]));
    }
}
