//! `Slice`.

use lapidary_core::tensor::Tensor;
use ndarray::Axis;

use super::Operator;
use crate::error::GraphError;
use crate::fold::{Constants, moved};
use crate::graph::{Attribute, Node};
use crate::opset::{Change, Rewriting};
use crate::shape::{Extents, Ints, Known, axis_of, extent};
use crate::structure::{Flow, Layouts};
use crate::tape::{Call, Cut, Outputs, Value, axis, one};

pub static SLICE: Operator = Operator {
    fold: Some(fold_slice),
    shape,
    ints,
    channels,
    changes: &[Change {
        version: 10,
        rewrite: bounds_to_inputs,
    }],
    forward: Some(slice),
    ..Operator::standard("Slice")
};

fn shape(known: &Known<'_>) -> Option<Extents> {
    let mut shape = known.shape(0)?.clone();
    let rank = shape.len();
    let axes = match known.list("axes", 3) {
        Some(axes) => axes,
        None if known.given(3) => return Some(vec![None; rank]),
        None => (0..rank as i64).collect(),
    };
    let starts = bounds(known, "starts", 1);
    let ends = bounds(known, "ends", 2);
    for (i, &axis) in axes.iter().enumerate() {
        let axis = axis_of(axis, rank)?;
        let step = match (known.given(4), known.ints(4)) {
            (false, _) => Some(1),
            (true, Some(steps)) => steps.get(i).copied(),
            (true, None) => None,
        };
        let bound = |list: &Option<Ints>| *list.as_ref()?.get(i)?;
        shape[axis] = (|| {
            let n = shape[axis]?;
            Some(range(n, bound(&starts)?, bound(&ends)?, step?)?.1)
        })();
    }
    Some(shape)
}

/// Bounds of a slice, each where known.
fn bounds(known: &Known<'_>, name: &str, i: usize) -> Option<Ints> {
    match known.node.ints(name) {
        Some(list) => Some(list.iter().map(|&v| Some(v)).collect()),
        None => known.partial(i).cloned(),
    }
}

/// The first index and the number of indices that a slice takes of an axis of extent `n`; `None` for a step of zero.
fn range(n: usize, start: i64, end: i64, step: i64) -> Option<(usize, usize)> {
    let n = i64::try_from(n).ok()?;
    let from_front = |v: i64| if v < 0 { v.saturating_add(n) } else { v };
    let (at, room) = match step {
        0 => return None,
        _ if n == 0 => (0, 0),
        1.. => {
            let at = from_front(start).clamp(0, n);
            (at, from_front(end).clamp(0, n) - at)
        }
        _ => {
            let at = from_front(start).clamp(0, n - 1);
            (at, at - from_front(end).clamp(-1, n - 1))
        }
    };
    let count = room.max(0).unsigned_abs().div_ceil(step.unsigned_abs());
    Some((extent(at)?, usize::try_from(count).ok()?))
}

fn ints(known: &Known<'_>) -> Option<Ints> {
    let mut array = known.array()?;
    let (starts, ends) = (known.list("starts", 1)?, known.list("ends", 2)?);
    let axes = match known.node.ints("axes").is_some() || known.given(3) {
        true => known.list("axes", 3)?,
        false => (0..starts.len() as i64).collect(),
    };
    let steps = match known.given(4) {
        true => known.ints(4)?,
        false => vec![1; starts.len()],
    };
    for (i, &axis) in axes.iter().enumerate() {
        let axis = axis_of(axis, array.ndim())?;
        let step = *steps.get(i)?;
        let extent = array.len_of(Axis(axis));
        let (from, count) = range(extent, *starts.get(i)?, *ends.get(i)?, step)?;
        let step = isize::try_from(step).ok()?;
        let mut indices = Vec::with_capacity(count);
        let mut at = from;
        for _ in 0..count {
            indices.push(at);
            at = at.wrapping_add_signed(step);
        }
        if indices.iter().any(|&i| i >= extent) {
            return None;
        }
        array = array.select(Axis(axis), &indices);
    }
    Some(array.iter().copied().collect())
}

fn fold_slice(c: &Constants<'_>) -> Option<Tensor> {
    let (starts, ends) = (c.list("starts", 1)?, c.list("ends", 2)?);
    let axes = c
        .list("axes", 3)
        .unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = c.ints(4).unwrap_or_else(|| vec![1; starts.len()]);
    let cut = moved(c.dense(0)?, |mut places| {
        for (i, &axis) in axes.iter().enumerate() {
            let axis = axis_of(axis, places.ndim())?;
            let step = *steps.get(i)?;
            let (from, count) = range(
                places.len_of(Axis(axis)),
                *starts.get(i)?,
                *ends.get(i)?,
                step,
            )?;
            let indices: Vec<usize> = (0..count as i64)
                .map(|n| extent(from as i64 + n * step))
                .collect::<Option<_>>()?;
            places = places.select(Axis(axis), &indices);
        }
        Some(places)
    })?;
    Some(cut.into())
}

/// Slices along other axes than the channels'.
fn channels<'g>(flow: &mut Flow<'g>, node: &'g Node) -> Option<Layouts> {
    if !flow.rest_untouched(node, 1) {
        return None;
    }
    let Some(x) = flow.at(node, 0) else {
        return Some(vec![None]);
    };
    let mut axes = flow.axes(node, 3, flow.rank(node.input(0)?)?)?;
    if axes.is_empty() {
        axes = (0..flow.list(node, "starts", 1)?.len()).collect();
    }
    (!axes.contains(&x.axis)).then(|| vec![Some(x)])
}

fn bounds_to_inputs(rewriting: &mut Rewriting<'_>, node: &mut Node) -> Result<(), GraphError> {
    let axes = node.ints("starts").map_or(0, <[i64]>::len) as i64;
    let all = || Attribute::Ints((0..axes).collect());
    node.attributes.entry("axes".into()).or_insert_with(all);
    rewriting.list_to_input(node, "starts", 1);
    rewriting.list_to_input(node, "ends", 2);
    rewriting.list_to_input(node, "axes", 3);
    Ok(())
}

/// A cut from `starts` to `ends` along `axes`, by `steps`; only integers can be cut backwards.
fn slice(call: &mut Call<'_>) -> Outputs {
    let starts = call.list("starts", 1)?.ok_or("the starts are missing")?;
    let ends = call.list("ends", 2)?.ok_or("the ends are missing")?;
    let count = starts.len();
    let along = call.list("axes", 3)?;
    let along = along.unwrap_or_else(|| (0..count as i64).collect());
    let steps = call.list("steps", 4)?.unwrap_or_else(|| vec![1; count]);
    let x = call.value(0)?;
    let shape = x.shape().to_vec();
    if [ends.len(), along.len(), steps.len()] != [count; 3] {
        return Err("starts, ends, axes and steps differ in number".into());
    }
    // First index, number of indices and step of each axis.
    let mut cuts: Vec<(i64, i64, i64)> = shape.iter().map(|&e| (0, e as i64, 1)).collect();
    for i in 0..count {
        let at = axis(along[i], shape.len())?;
        let (extent, step) = (shape[at] as i64, steps[i]);
        let from_end = |index: i64| {
            if index < 0 {
                index.saturating_add(extent)
            } else {
                index
            }
        };
        let (start, end) = (from_end(starts[i]), from_end(ends[i]));
        cuts[at] = match step {
            1.. => {
                let (start, end) = (start.clamp(0, extent), end.clamp(0, extent));
                (start, steps_over(end - start, step), step)
            }
            0 => return Err("a step of 0 leads nowhere".into()),
            _ => {
                let (start, end) = (start.clamp(-1, extent - 1), end.clamp(-1, extent - 1));
                (start, steps_over(start - end, step.saturating_neg()), step)
            }
        };
    }
    match x {
        Value::Float(x) => {
            let cuts = cuts.iter().map(|&(start, count, step)| {
                (count > 0 && step > 0).then(|| Cut {
                    start: start as usize,
                    end: (start + (count - 1) * step + 1) as usize,
                    step: step as usize,
                })
            });
            let cuts: Option<Vec<Cut>> = cuts.collect();
            let cuts = cuts.ok_or("a cut of floats must keep something and go forwards")?;
            one(call.tape.slice(x, &cuts))
        }
        Value::Int(mut a) => {
            for (at, &(start, count, step)) in cuts.iter().enumerate() {
                let indices: Vec<usize> = (0..count).map(|i| (start + i * step) as usize).collect();
                a = a.select(Axis(at), &indices);
            }
            Ok(vec![Value::Int(a)])
        }
    }
}

/// Steps of `step` within `length`, the last one possibly shorter.
fn steps_over(length: i64, step: i64) -> i64 {
    length.max(0) / step + i64::from(length.max(0) % step != 0)
}

#[cfg(test)]
mod tests {
    use lapidary_core::tensor::{DType, Dense};

    use crate::build::GraphBuilder;
    use crate::shape::Shapes;

    /// PyTorch states pads from the last axis to the first; its exporter turns the list around as a matrix.
    #[test]
    fn a_list_reordered_through_a_matrix_is_followed() {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", DType::F32, &[3, 5, 6]);
        let ints = |b: &mut GraphBuilder, name: &str, list: &[i64]| {
            b.weight(name, Dense::i64(&[list.len()], list.to_vec()).unwrap())
        };
        let pads = ints(&mut b, "pads", &[1, 2, 3, 4, 5, 6, 0, 0]);
        let pairs = ints(&mut b, "pairs", &[-1, 2]);
        let (last, first) = (
            ints(&mut b, "last", &[-1]),
            ints(&mut b, "first", &[i64::MIN + 1]),
        );
        let zero = ints(&mut b, "zero", &[0]);
        let matrix = b.node("Reshape", "matrix", &[&pads, &pairs], []);
        let turned = b.node(
            "Slice",
            "turned",
            &[&matrix, &last, &first, &zero, &last],
            [],
        );
        let across = b.node("Transpose", "across", &[&turned], [("perm", [1, 0].into())]);
        let list = b.node("Reshape", "list", &[&across, &last], []);
        let y = b.node("Pad", "y", &[&x, &list], []);
        b.output(&y, DType::F32, &[14, 12, 9]);
        let mut graph = b.finish(13).unwrap();
        graph.outputs[0].shape = None;
        let shapes = Shapes::infer(&graph, 1);
        assert_eq!(shapes.known(&y).unwrap(), [1, 14, 12, 9]);
    }
}
