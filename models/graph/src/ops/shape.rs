//! Shapes: views, permutations, joins and cuts, and the integer arithmetic exporters write around them.

use ndarray::{ArrayD, Axis, IxDyn};

use crate::graph::Attribute;
use crate::tape::{Call, Cut, Outputs, Tape, Value, axes, axis, one, sized};

/// The value under another shape of as many elements.
fn viewed(tape: &dyn Tape, value: Value, shape: &[usize]) -> Outputs {
    let (from, to): (usize, usize) = (value.shape().iter().product(), shape.iter().product());
    if from != to {
        return Err(format!(
            "a tensor of shape {:?} does not fit shape {shape:?}",
            value.shape()
        ));
    }
    Ok(vec![match value {
        Value::Float(x) => Value::Float(tape.reshape(x, shape)),
        Value::Int(a) => Value::Int(
            a.into_shape_with_order(IxDyn(shape))
                .map_err(|e| e.to_string())?,
        ),
    }])
}

fn vector(values: Vec<i64>) -> Outputs {
    Ok(vec![Value::Int(
        ArrayD::from_shape_vec(IxDyn(&[values.len()]), values).map_err(|e| e.to_string())?,
    )])
}

pub fn identity(call: &mut Call<'_>) -> Outputs {
    Ok(vec![call.value(0)?])
}

/// A view of another shape: 0 keeps an extent, −1 stands for the rest. A batch that the graph fixes is taken as free where the first extent has to follow it.
pub fn reshape(call: &mut Call<'_>) -> Outputs {
    let target = call.list("shape", 1)?.ok_or("the shape is missing")?;
    let x = call.value(0)?;
    let from = x.shape().to_vec();
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
    viewed(call.tape, x, &shape)
}

/// A matrix: the axes before `axis`, and those from it on.
pub fn flatten(call: &mut Call<'_>) -> Outputs {
    let x = call.value(0)?;
    let shape = x.shape().to_vec();
    let at = match call.node.int("axis", 1) {
        end if end == shape.len() as i64 => shape.len(),
        index => axis(index, shape.len())?,
    };
    viewed(
        call.tape,
        x,
        &[shape[..at].iter().product(), shape[at..].iter().product()],
    )
}

pub fn squeeze(call: &mut Call<'_>) -> Outputs {
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
    viewed(call.tape, x, &kept)
}

pub fn unsqueeze(call: &mut Call<'_>) -> Outputs {
    let indices = call.list("axes", 1)?.ok_or("the axes are missing")?;
    let x = call.value(0)?;
    let mut shape = x.shape().to_vec();
    for at in axes(&indices, shape.len() + indices.len())? {
        if at > shape.len() {
            return Err(format!("axes {indices:?} are not distinct"));
        }
        shape.insert(at, 1);
    }
    viewed(call.tape, x, &shape)
}

pub fn transpose(call: &mut Call<'_>) -> Outputs {
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

pub fn concat(call: &mut Call<'_>) -> Outputs {
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
        return one(call.tape.concat(floats, axis));
    }
    if !floats.is_empty() {
        return Err("floats and integers do not join".into());
    }
    let views: Vec<_> = ints.iter().map(|a| a.view()).collect();
    Ok(vec![Value::Int(
        ndarray::concatenate(Axis(axis), &views).map_err(|e| e.to_string())?,
    )])
}

pub fn split(call: &mut Call<'_>) -> Outputs {
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

/// A cut from `starts` to `ends` along `axes`, by `steps`; only integers can be cut backwards.
pub fn slice(call: &mut Call<'_>) -> Outputs {
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

/// The slices at the given indices: rows of an embedding, or entries of a shape.
pub fn gather(call: &mut Call<'_>) -> Outputs {
    let indices = call.ints(1)?.ok_or("the indices are missing")?;
    let x = call.value(0)?;
    let shape = x.shape().to_vec();
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
    let at: Vec<usize> = flat.iter().map(|&i| i as usize).collect();
    match x {
        Value::Float(x) => {
            let rows = call.tape.gather(x, axis, &at);
            viewed(call.tape, Value::Float(rows), &out)
        }
        Value::Int(a) => viewed(call.tape, Value::Int(a.select(Axis(axis), &at)), &out),
    }
}

/// The extents, of the axes from `start` to `end`.
pub fn shape(call: &mut Call<'_>) -> Outputs {
    let x = call.value(0)?;
    let shape = x.shape();
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
pub fn pad(call: &mut Call<'_>) -> Outputs {
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
