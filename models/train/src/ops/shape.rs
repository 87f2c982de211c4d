//! Shapes: views, permutations, joins and cuts, and the integer arithmetic exporters write around them.

use burn_backend::ops::PadMode;
use burn_backend::{Slice, TensorData};
use burn_flex::FlexTensor;
use ndarray::{ArrayD, Axis, IxDyn};

use super::{Call, axes, axis, dims, one, reshaped, sized};
use crate::engine::{Engine, Value};
use lapidary_graph::Attribute;

type Out<B> = Result<Vec<Value<B>>, String>;

/// The value under another shape of as many elements.
fn viewed<B: Engine>(value: Value<B>, shape: &[usize]) -> Out<B> {
    let (from, to): (usize, usize) = (value.shape().iter().product(), shape.iter().product());
    if from != to {
        return Err(format!(
            "a tensor of shape {:?} does not fit shape {shape:?}",
            value.shape()
        ));
    }
    Ok(vec![match value {
        Value::Float(x) => Value::Float(reshaped::<B>(x, shape)),
        Value::Int(a) => Value::Int(
            a.into_shape_with_order(IxDyn(shape))
                .map_err(|e| e.to_string())?,
        ),
    }])
}

fn vector<B: Engine>(values: Vec<i64>) -> Out<B> {
    Ok(vec![Value::Int(
        ArrayD::from_shape_vec(IxDyn(&[values.len()]), values).map_err(|e| e.to_string())?,
    )])
}

pub(super) fn identity<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    Ok(vec![call.value(0)?])
}

/// A view of another shape: 0 keeps an extent, −1 stands for the rest. A batch that the graph fixes is taken as free where the first extent has to follow it.
pub(super) fn reshape<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let target = call.list("shape", 1)?.ok_or("the shape is missing")?;
    let x = call.value(0)?;
    let from = x.shape();
    let keep = call.node.int("allowzero", 0) == 0;
    let mut shape = Vec::with_capacity(target.len());
    let mut rest = None;
    for (i, &extent) in target.iter().enumerate() {
        shape.push(match extent {
            -1 if rest.replace(i).is_none() => 1,
            0 if keep => *from
                .get(i)
                .ok_or_else(|| format!("shape {target:?} keeps axis {i} of {from:?}"))?,
            n => usize::try_from(n).map_err(|_| format!("a shape cannot be {target:?}"))?,
        });
    }
    let elements: usize = from.iter().product();
    let count = |shape: &[usize]| shape.iter().try_fold(1usize, |n, &e| n.checked_mul(e));
    let fits = |shape: &[usize]| match (count(shape), rest) {
        (Some(0) | None, Some(_)) => false,
        (Some(n), Some(_)) => elements.is_multiple_of(n),
        (n, None) => n == Some(elements),
    };
    let (batch, fixed) = call.batch;
    if let (Some(fixed), Some(&first)) = (fixed, shape.first())
        && fixed != batch
        && rest != Some(0)
        && target[0] > 0
        && fixed > 0
        && first % fixed == 0
    {
        let free = first / fixed * batch;
        let wide: Vec<usize> = std::iter::once(free)
            .chain(shape[1..].iter().copied())
            .collect();
        // With the rest open, both may fit; what follows the batch is meant.
        if fits(&wide) {
            shape = wide;
        }
    }
    if !fits(&shape) {
        return Err(format!(
            "a tensor of shape {from:?} does not fit shape {target:?}"
        ));
    }
    if let (Some(i), Some(n)) = (rest, count(&shape)) {
        shape[i] = elements / n;
    }
    viewed(x, &shape)
}

/// A matrix: the axes before `axis`, and those from it on.
pub(super) fn flatten<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let x = call.value(0)?;
    let shape = x.shape();
    let at = match call.node.int("axis", 1) {
        end if end == shape.len() as i64 => shape.len(),
        index => axis(index, shape.len())?,
    };
    viewed(
        x,
        &[shape[..at].iter().product(), shape[at..].iter().product()],
    )
}

pub(super) fn squeeze<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let x = call.value(0)?;
    let shape = x.shape();
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
    viewed(x, &kept)
}

pub(super) fn unsqueeze<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let indices = call.list("axes", 1)?.ok_or("the axes are missing")?;
    let x = call.value(0)?;
    let mut shape = x.shape();
    for at in axes(&indices, shape.len() + indices.len())? {
        if at > shape.len() {
            return Err(format!("axes {indices:?} are not distinct"));
        }
        shape.insert(at, 1);
    }
    viewed(x, &shape)
}

pub(super) fn transpose<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
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
        Value::Float(x) => Value::Float(B::float_permute(x, &order)),
        Value::Int(a) => Value::Int(
            a.permuted_axes(IxDyn(&order))
                .as_standard_layout()
                .into_owned(),
        ),
    }])
}

pub(super) fn concat<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let parts = (0..call.inputs.len())
        .map(|i| call.value(i))
        .collect::<Result<Vec<_>, _>>()?;
    let first = parts.first().ok_or("there is nothing to join")?.shape();
    let axis = axis(call.node.int("axis", 0), first.len())?;
    for part in &parts {
        let shape = part.shape();
        let differs = shape.len() != first.len()
            || (0..first.len()).any(|i| i != axis && shape[i] != first[i]);
        if differs {
            return Err(format!(
                "shapes {first:?} and {shape:?} do not join along axis {axis}"
            ));
        }
    }
    let (mut floats, mut ints) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Value::Float(x) => floats.push(x),
            Value::Int(a) => ints.push(a),
        }
    }
    if ints.is_empty() {
        return one(B::float_cat(floats, axis));
    }
    if !floats.is_empty() {
        return Err("floats and integers do not join".into());
    }
    let views: Vec<_> = ints.iter().map(|a| a.view()).collect();
    Ok(vec![Value::Int(
        ndarray::concatenate(Axis(axis), &views).map_err(|e| e.to_string())?,
    )])
}

pub(super) fn split<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let sizes = call.list("split", 1)?;
    let x = call.float(0)?;
    let shape = dims(&x);
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
            let mut cut: Vec<Slice> = shape.iter().map(|&e| Slice::from(0..e)).collect();
            cut[axis] = Slice::from(start..start + size);
            start += size;
            Value::Float(B::float_slice(x.clone(), &cut))
        })
        .collect())
}

/// A cut from `starts` to `ends` along `axes`, by `steps`; only integers can be cut backwards.
pub(super) fn slice<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let starts = call.list("starts", 1)?.ok_or("the starts are missing")?;
    let ends = call.list("ends", 2)?.ok_or("the ends are missing")?;
    let count = starts.len();
    let along = call.list("axes", 3)?;
    let along = along.unwrap_or_else(|| (0..count as i64).collect());
    let steps = call.list("steps", 4)?.unwrap_or_else(|| vec![1; count]);
    let x = call.value(0)?;
    let shape = x.shape();
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
            let cut = cuts.iter().map(|&(start, count, step)| {
                let end = (start + count * step).min(start + (count - 1) * step + 1);
                (count > 0 && step > 0)
                    .then(|| Slice::new(start as isize, Some(end as isize), step as isize))
            });
            let cut: Option<Vec<Slice>> = cut.collect();
            let cut = cut.ok_or("a cut of floats must keep something and go forwards")?;
            one(B::float_slice(x, &cut))
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

/// The slices at the given indices: rows of an embedding, or entries of a shape.
pub(super) fn gather<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let indices = call.ints(1)?.ok_or("the indices are missing")?;
    let x = call.value(0)?;
    let shape = x.shape();
    let axis = axis(call.node.int("axis", 0), shape.len())?;
    let extent = shape[axis] as i64;
    let flat: Vec<i64> = indices
        .iter()
        .map(|&i| if i < 0 { i + extent } else { i })
        .collect();
    if let Some(bad) = flat.iter().find(|&&i| !(0..extent).contains(&i)) {
        return Err(format!("index {bad} is outside axis {axis} of {shape:?}"));
    }
    let mut out = shape[..axis].to_vec();
    out.extend(indices.shape());
    out.extend(&shape[axis + 1..]);
    sized(&out)?;
    match x {
        Value::Float(x) => {
            let count = flat.len();
            let at = FlexTensor::from_data(TensorData::new(flat, vec![count]));
            viewed(Value::Float(B::float_select(x, axis, at)), &out)
        }
        Value::Int(a) => {
            let at: Vec<usize> = flat.iter().map(|&i| i as usize).collect();
            viewed(Value::Int(a.select(Axis(axis), &at)), &out)
        }
    }
}

/// The extents, of the axes from `start` to `end`.
pub(super) fn shape<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let shape = call.value(0)?.shape();
    let rank = shape.len() as i64;
    let clamp = |index: i64| (if index < 0 { index + rank } else { index }).clamp(0, rank) as usize;
    let (start, end) = (
        clamp(call.node.int("start", 0)),
        clamp(call.node.int("end", rank)),
    );
    vector(
        shape
            .get(start..end)
            .unwrap_or_default()
            .iter()
            .map(|&e| e as i64)
            .collect(),
    )
}

/// Padding with a constant; negative pads, which cut, are refused.
pub(super) fn pad<B: Engine>(call: &mut Call<'_, B>) -> Out<B> {
    let mode = call.node.text("mode").unwrap_or("constant");
    let mode = match mode {
        "constant" => PadMode::Constant(match call.node.attributes.get("value") {
            Some(Attribute::Float(v)) => *v,
            _ => call.scalar(2)?.unwrap_or(0.0),
        }),
        other => {
            return Err(format!(
                "padding by `{other}` is not supported; `constant` is"
            ));
        }
    };
    let pads = call.list("pads", 1)?.ok_or("the pads are missing")?;
    let along = call.ints(3)?;
    let x = call.float(0)?;
    let rank = dims(&x).len();
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
    let wide: Vec<usize> = dims(&x)
        .iter()
        .zip(&sizes)
        .map(|(extent, (before, after))| extent + before + after)
        .collect();
    sized(&wide)?;
    one(B::float_pad(x, &sizes, mode))
}

#[cfg(test)]
mod tests {
    use lapidary_core::model::Dim;
    use lapidary_core::tensor::Dense;

    use crate::check::{gradients, graph, ints, node, numbers, output};
    use lapidary_graph::Attribute;

    fn list(values: &[i64]) -> Dense {
        Dense::i64(&[values.len()], values.to_vec()).unwrap()
    }

    #[test]
    fn gradients_of_views_and_permutations() {
        let weights = [
            ("shape", list(&[0, -1])),
            ("axes", list(&[1])),
            ("w", numbers(&[2, 3, 1, 4], 2)),
        ];
        for nodes in [
            vec![node("y = Reshape x shape", &[])],
            vec![node("y = Flatten x", &[("axis", Attribute::Int(2))])],
            vec![node("y = Transpose x", &[("perm", ints(&[2, 0, 3, 1]))])],
            vec![node("y = Squeeze x", &[("axes", ints(&[2]))])],
            vec![node("y = Unsqueeze x axes", &[])],
            vec![node("y = Concat x w x", &[("axis", Attribute::Int(2))])],
            vec![node(
                "y = Pad x",
                &[("pads", ints(&[0, 0, 1, 2, 0, 0, 0, 1]))],
            )],
            vec![node(
                "y = Slice x",
                &[
                    ("starts", ints(&[1, -3])),
                    ("ends", ints(&[9, -1])),
                    ("axes", ints(&[1, 3])),
                ],
            )],
            vec![
                node("a, b = Split x", &[("axis", Attribute::Int(3))]),
                node("y = Mul a b", &[]),
            ],
            vec![node("y = Identity x", &[])],
        ] {
            gradients(
                &graph(&[3, 1, 4], nodes, &weights),
                &numbers(&[2, 3, 1, 4], 1),
                false,
            )
            .unwrap();
        }
    }

    #[test]
    fn gradients_of_a_cut_by_steps() {
        let nodes = vec![node("y = Slice x s e a n", &[])];
        let weights = [
            ("s", list(&[0, 1])),
            ("e", list(&[i64::MAX, 5])),
            ("a", list(&[1, 2])),
            ("n", list(&[2, 3])),
        ];
        let graph = graph(&[5, 6], nodes, &weights);
        gradients(&graph, &numbers(&[2, 5, 6], 1), false).unwrap();
        let y = output(&graph, &numbers(&[2, 5, 6], 1)).unwrap();
        assert_eq!(y.shape(), [2, 3, 2]);
        let x = numbers(&[2, 5, 6], 1);
        let (x, y) = (x.as_f32().unwrap(), y.as_f32().unwrap());
        assert_eq!(y[[1, 2, 1]], x[[1, 4, 4]]);
    }

    #[test]
    fn integers_are_cut_backwards_too() {
        // As PyTorch writes padding: pairs in reverse order.
        let nodes = vec![
            node("p = Reshape pads pairs", &[]),
            node("r = Slice p last first zero back", &[]),
            node("t = Transpose r", &[("perm", ints(&[1, 0]))]),
            node("f = Reshape t flat", &[]),
            node("y = Pad x f", &[]),
        ];
        let weights = [
            ("pads", list(&[1, 2, 3, 4, 0, 0])),
            ("pairs", list(&[-1, 2])),
            ("last", list(&[-1])),
            ("first", list(&[-i64::MAX])),
            ("zero", list(&[0])),
            ("back", list(&[-1])),
            ("flat", list(&[-1])),
        ];
        let y = output(&graph(&[5, 6], nodes, &weights), &numbers(&[2, 5, 6], 1)).unwrap();
        assert_eq!(y.shape(), [2, 5 + 3 + 4, 6 + 1 + 2]);
    }

    #[test]
    fn gradient_of_an_embedding() {
        let indices = Dense::i64(&[2, 2], vec![0, 2, 2, -1]).unwrap();
        let nodes = vec![
            node("e = Gather table indices", &[]),
            node("y = Mul e x", &[]),
        ];
        gradients(
            &graph(
                &[2, 3],
                nodes,
                &[("table", numbers(&[4, 3], 2)), ("indices", indices)],
            ),
            &numbers(&[2, 2, 3], 1),
            false,
        )
        .unwrap();
    }

    #[test]
    fn shapes_computed_in_the_graph() {
        let nodes = vec![
            node("s = Shape x", &[]),
            node("b = Gather s zero", &[]),
            node("bs = Unsqueeze b zero", &[]),
            node("t = Concat bs rest", &[("axis", Attribute::Int(0))]),
            node("y = Reshape x t", &[]),
        ];
        let graph = graph(
            &[3, 4],
            nodes,
            &[("zero", list(&[0])), ("rest", list(&[-1]))],
        );
        let error = output(&graph, &numbers(&[2, 3, 4], 1)).unwrap_err();
        // Gather by a list of one keeps its axis, so that the second Unsqueeze makes a matrix.
        assert!(error.to_string().contains("(Concat)"), "{error}");
        let scalar = Dense::i64(&[], vec![0]).unwrap();
        let mut graph = graph;
        graph.nodes[1].inputs[1] = "scalar".into();
        graph
            .weights
            .insert("scalar".into(), std::sync::Arc::new(scalar.into()));
        assert_eq!(
            output(&graph, &numbers(&[2, 3, 4], 1)).unwrap().shape(),
            [2, 12]
        );
    }

    #[test]
    fn a_batch_the_graph_fixes_is_free() {
        for target in [vec![1, 12], vec![1, -1], vec![1, 6, 2]] {
            let mut graph = graph(
                &[3, 4],
                vec![node("y = Reshape x shape", &[])],
                &[("shape", list(&target))],
            );
            graph.inputs[0].shape.as_mut().unwrap()[0] = Dim::Fixed(1);
            let y = output(&graph, &numbers(&[5, 3, 4], 1)).unwrap();
            assert_eq!(
                (y.shape()[0], y.shape()[1]),
                (
                    5,
                    if target[1] < 0 {
                        12
                    } else {
                        target[1] as usize
                    }
                )
            );
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |nodes, weights: &[(&str, Dense)]| {
            let error = output(&graph(&[3, 4], nodes, weights), &numbers(&[2, 3, 4], 1));
            error.unwrap_err().to_string()
        };
        let message = refused(
            vec![node("y = Reshape x shape", &[])],
            &[("shape", list(&[5, -1]))],
        );
        assert!(message.contains("does not fit shape [5, -1]"), "{message}");
        let message = refused(
            vec![node("y = Transpose x", &[("perm", ints(&[0, 1, 1]))])],
            &[],
        );
        assert!(message.contains("not an order"), "{message}");
        let message = refused(vec![node("y = Gather x i", &[])], &[("i", list(&[7]))]);
        assert!(message.contains("index 7 is outside axis 0"), "{message}");
        let message = refused(vec![node("y = Squeeze x", &[("axes", ints(&[1]))])], &[]);
        assert!(message.contains("is not 1 long"), "{message}");
        let message = refused(
            vec![node(
                "y = Pad x",
                &[("mode", crate::check::text("reflect"))],
            )],
            &[],
        );
        assert!(message.contains("`reflect`"), "{message}");
    }
}
