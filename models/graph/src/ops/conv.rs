//! Convolutions.

use std::rc::Rc;

use lapidary_core::model::{ModelError, Product};
use lapidary_core::tensor::DType;

use super::quantize::lower_codes;
use super::window::{covered, is_same, lower_dilated, slid, spatial};
use super::{ADD, CAST, Operator, PAD, RESHAPE, SLICE, SQUEEZE, SUB, Slots, TRANSPOSE};
use crate::graph::{Attribute, Node};
use crate::layers::{Work, volume};
use crate::lower::{Lowering, refusal};
use crate::shape::{Extents, Known, extent};
use crate::structure::{Count, Flow, Layout, Layouts, Unit};
use crate::tape::{Call, Outputs, one, sized};
use crate::types::Alike;
use crate::window::{Convolution, Window};

pub static CONV: Operator = Operator {
    weights: &[Slots::behind_input(Some(2), &[1, 2])],
    product: Some(Product::Convolution),
    own_vectors: Some(0),
    alike: Alike::All,
    misfit: |known| apart(known, 1),
    shape: |known| shape(known, 1),
    macs,
    channels,
    lower: Some(lower),
    forward: Some(conv),
    ..Operator::standard("Conv")
};

pub static CONV_INTEGER: Operator = Operator {
    codes: &[1],
    quantized: true,
    types: |_| vec![Some(DType::I32)],
    misfit: |known| apart(known, 1),
    lower: Some(lower_integer),
    shape: |known| shape(known, 1),
    macs,
    ..Operator::standard("ConvInteger")
};

pub static Q_LINEAR_CONV: Operator = Operator {
    codes: &[3, 8],
    quantized: true,
    types: |typed| vec![typed.input(7)],
    misfit: |known| apart(known, 3),
    lower: Some(|lowering, node| lower_codes(lowering, node, &CONV, &[8])),
    shape: |known| shape(known, 3),
    macs,
    ..Operator::standard("QLinearConv")
};

pub static CONV_TRANSPOSE: Operator = Operator {
    weights: &[Slots::behind_input(Some(2), &[1, 2])],
    channel_axis: |_, _, _| 1,
    alike: Alike::All,
    shape: transposed_shape,
    macs: transposed_macs,
    channels: transposed_channels,
    lower: Some(lower_dilated),
    ..Operator::standard("ConvTranspose")
};

/// The shape behind a convolution whose kernel is input `weight`.
fn shape(known: &Known<'_>, weight: usize) -> Option<Extents> {
    let (x, w) = (known.shape(0)?, known.shape(weight)?);
    let kernel: Vec<usize> = w.get(2..)?.iter().copied().collect::<Option<_>>()?;
    let maps = x.get(2..).filter(|s| s.len() == kernel.len())?;
    let mut shape = vec![x[0], w[0]];
    shape.extend(slid(known, maps, &kernel)?);
    Some(shape)
}

/// Channels of the input that the kernel, input `weight`, does not read.
fn apart(known: &Known<'_>, weight: usize) -> Option<String> {
    let channels = (*known.shape(0)?.get(1)?)?;
    let each = (*known.shape(weight)?.get(1)?)?;
    let groups = extent(known.node.int("group", 1))?;
    (each.checked_mul(groups) != Some(channels))
        .then(|| format!("{channels} channels meet a kernel of {each} in {groups} groups"))
}

fn macs(work: &Work<'_>) -> Option<u64> {
    work.output()?.checked_mul(volume(work.weight.get(1..)?)?)
}

fn channels<'g>(flow: &mut Flow<'g>, node: &'g Node) -> Option<Layouts> {
    let x = flow.at(node, 0);
    if !flow.rest_untouched(node, 1) || x.as_ref().is_some_and(|x| x.axis != 1) {
        return None;
    }
    let Some(weight) = flow.weight(node, 1).filter(|w| w.shape().len() >= 3) else {
        return x.is_none().then(|| vec![None]);
    };
    let (outputs, each) = (weight.shape()[0], weight.shape()[1]);
    let groups = usize::try_from(node.int("group", 1))
        .ok()
        .filter(|&g| g > 0)?;
    if groups == 1 {
        if let Some(x) = x {
            flow.stand(node, 1, 1, &x.units, false)?;
        }
        let units = flow.write(outputs)?;
        flow.stand(node, 1, 0, &units, true)?;
        flow.stand_vector(node, 2, &units, true)?;
        return Some(vec![Some(Layout { axis: 1, units })]);
    }
    let Some(x) = x else { return Some(vec![None]) };
    if outputs % groups != 0 || each == 0 || groups.checked_mul(each)? != x.units.len() {
        return None;
    }
    // All channels of a group of the convolution go together: its inputs with its outputs.
    let written = outputs / groups;
    for block in x.units.chunks(each) {
        for &unit in &block[1..] {
            flow.units.union(block[0], unit);
        }
    }
    let units: Rc<[Unit]> = (0..outputs).map(|o| x.units[o / written * each]).collect();
    flow.stand(node, 1, 0, &units, true)?;
    flow.stand_vector(node, 2, &units, true)?;
    flow.writers.push((flow.at, units.clone()));
    flow.counts.push(Count::Groups {
        node: flow.at,
        units: x.units,
        each,
    });
    Some(vec![Some(Layout { axis: 1, units })])
}

/// rten slides over one or two axes; a third is the sum over the slices of the kernel along it.
fn lower(lowering: &mut Lowering<'_>, node: Node) -> Result<(), ModelError> {
    match lowering.rank(&node, 1) {
        Some(5) => lower_volume(lowering, node),
        _ => lower_dilated(lowering, node),
    }
}

/// rten gives other sums; those of floats are the same numbers.
fn lower_integer(lowering: &mut Lowering<'_>, node: Node) -> Result<(), ModelError> {
    let around = node.name.clone();
    let to_float = [("to", Attribute::Int(1))];
    let mut inputs = Vec::new();
    for i in [0, 1] {
        let Some(codes) = node.input(i).map(str::to_owned) else {
            return Err(refusal(&node, "convolution of codes in such a form"));
        };
        let fact = lowering.shapes.fact(&codes);
        let mut values = lowering.step(&around, &CAST, &[&codes], &to_float);
        if let Some(zeros) = node.input(i + 2).map(str::to_owned) {
            let mut shift = lowering.step(&around, &CAST, &[&zeros], &to_float);
            if lowering.rank(&node, i + 2) == Some(1) && i == 1 {
                // One for each kernel.
                let behind = fact.shape.as_ref().map_or(3, |s| s.len().saturating_sub(1));
                let wide = lowering.list(&around, [vec![-1], vec![1; behind]].concat());
                shift = lowering.step(&around, &RESHAPE, &[&shift, &wide], &[]);
            }
            values = lowering.step(&around, &SUB, &[&values, &shift], &[]);
        }
        lowering.shapes.learn(&values, fact);
        inputs.push(values);
    }
    let sums = lowering.name(&around, "sums");
    let mut part = CONV.node(lowering.name(&around, "float"), inputs, vec![sums.clone()]);
    part.attributes.clone_from(&node.attributes);
    if let Some(out) = node.outputs.first() {
        let fact = lowering.shapes.fact(out);
        lowering.shapes.learn(&sums, fact);
    }
    lower(lowering, part)?;
    let name = lowering.name(&around, "cast");
    let mut cast = CAST.node(name, vec![sums], node.outputs);
    cast.attributes.insert("to".into(), Attribute::Int(6));
    lowering.push(cast);
    Ok(())
}

fn lower_volume(lowering: &mut Lowering<'_>, node: Node) -> Result<(), ModelError> {
    let refuse = || refusal(&node, "convolution over three axes of such a form");
    let known = |lowering: &Lowering<'_>, name: &str| -> Option<Vec<usize>> {
        let shape = lowering.shapes.shape(name)?.get(1..)?;
        shape.iter().copied().collect()
    };
    let names = node.input(0).zip(node.input(1)).zip(node.outputs.first());
    let ((x, w), out) = names.ok_or_else(refuse)?;
    let (x, w, out) = (x.to_owned(), w.to_owned(), out.to_owned());
    let maps = known(lowering, &x).ok_or_else(refuse)?;
    let kernel = known(lowering, &w).ok_or_else(refuse)?;
    let given = known(lowering, &out).ok_or_else(refuse)?;
    let plain = matches!(node.text("auto_pad"), None | Some("NOTSET" | "VALID"));
    let sizes = |name, n, default| spatial(&node, name, n, default);
    let (strides, dilations) = (sizes("strides", 3, 1), sizes("dilations", 3, 1));
    let pads = match node.text("auto_pad") {
        Some("VALID") => Some(vec![0; 6]),
        _ => sizes("pads", 6, 0),
    };
    let (Some(strides), Some(dilations), Some(pads), true) = (strides, dilations, pads, plain)
    else {
        return Err(refuse());
    };
    let around = node.name.clone();
    let int = |v: usize| v as i64;
    let ints = |list: &[usize]| -> Vec<i64> { list.iter().map(|&v| v as i64).collect() };
    // Padding along the first of the three axes comes before the rest.
    let edges = [0, 0, pads[0], 0, 0, 0, 0, pads[3], 0, 0];
    let x = match (pads[0], pads[3]) {
        (0, 0) => x,
        _ => {
            let edges = lowering.list(&around, ints(&edges));
            lowering.step(&around, &PAD, &[&x, &edges], &[])
        }
    };
    let [channels, _, height, width] = maps[..] else {
        return Err(refuse());
    };
    let (depth, filters) = (given[1], given[0]);
    let flat = [("kernel_shape", Attribute::Ints(ints(&kernel[2..])))];
    let mut attributes = flat.to_vec();
    attributes.push(("strides", Attribute::Ints(ints(&strides[1..]))));
    attributes.push(("dilations", Attribute::Ints(ints(&dilations[1..]))));
    let edges = [pads[1], pads[2], pads[4], pads[5]];
    attributes.push(("pads", Attribute::Ints(ints(&edges))));
    attributes.push(("group", Attribute::Int(node.int("group", 1))));
    let along = lowering.list(&around, vec![2]);
    let apart = lowering.list(&around, vec![-1, int(channels), int(height), int(width)]);
    let turn = [("perm", Attribute::Ints(vec![0, 2, 1, 3, 4]))];
    let mut sum: Option<String> = None;
    for k in 0..kernel[1] {
        let first = k * dilations[0];
        let list = |lowering: &mut Lowering<'_>, v: usize| lowering.list(&around, vec![int(v)]);
        let (from, step) = (list(lowering, first), list(lowering, strides[0]));
        let to = list(lowering, first + (depth.max(1) - 1) * strides[0] + 1);
        let part = lowering.step(&around, &SLICE, &[&x, &from, &to, &along, &step], &[]);
        let part = lowering.step(&around, &TRANSPOSE, &[&part], &turn);
        let part = lowering.step(&around, &RESHAPE, &[&part, &apart], &[]);
        let (k, next) = (list(lowering, k), list(lowering, k + 1));
        let slice = lowering.step(&around, &SLICE, &[&w, &k, &next, &along], &[]);
        let slice = lowering.step(&around, &SQUEEZE, &[&slice, &along], &[]);
        let mut inputs = vec![&part, &slice];
        let bias = node.input(2).map(str::to_owned).filter(|_| sum.is_none());
        inputs.extend(&bias);
        let product = lowering.step(&around, &CONV, &inputs, &attributes);
        sum = Some(match sum {
            Some(sum) => lowering.step(&around, &ADD, &[&sum, &product], &[]),
            None => product,
        });
    }
    let sum = sum.ok_or_else(refuse)?;
    let back = vec![-1, int(depth), int(filters), int(given[2]), int(given[3])];
    let back = lowering.list(&around, back);
    let joined = lowering.step(&around, &RESHAPE, &[&sum, &back], &[]);
    let name = lowering.name(&around, "transpose");
    let mut last = TRANSPOSE.node(name, vec![joined], vec![out]);
    last.attributes = turn.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    lowering.push(last);
    Ok(())
}

fn transposed_shape(known: &Known<'_>) -> Option<Extents> {
    let node = known.node;
    let (x, w) = (known.shape(0)?, known.shape(1)?);
    let kernel: Vec<usize> = w.get(2..)?.iter().copied().collect::<Option<_>>()?;
    let n = kernel.len();
    let maps = x.get(2..).filter(|s| s.len() == n)?;
    let group = extent(node.int("group", 1))?;
    let mut shape = vec![x[0], w[1]?.checked_mul(group)];
    if let Some(stated) = node.ints("output_shape") {
        let from = stated.len().checked_sub(n)?;
        shape.extend(stated[from..].iter().map(|&d| extent(d)));
        return Some(shape);
    }
    let strides = spatial(node, "strides", n, 1)?;
    let dilations = spatial(node, "dilations", n, 1)?;
    let pads = spatial(node, "pads", 2 * n, 0)?;
    let extra = spatial(node, "output_padding", n, 0)?;
    shape.extend((0..n).map(|i| {
        let x = maps[i]?;
        if is_same(node) {
            return x.checked_mul(strides[i]);
        }
        (strides[i]
            .checked_mul(x.checked_sub(1)?)?
            .checked_add(extra[i])?
            .checked_add(covered(kernel[i], dilations[i])?)?)
        .checked_sub(pads[i].checked_add(pads[n + i])?)
    }));
    Some(shape)
}

/// Every input element meets the kernel once for each output channel of its group.
fn transposed_macs(work: &Work<'_>) -> Option<u64> {
    volume(&work.input(0)?)?.checked_mul(volume(work.weight.get(1..)?)?)
}

fn transposed_channels<'g>(flow: &mut Flow<'g>, node: &'g Node) -> Option<Layouts> {
    let x = flow.at(node, 0);
    let weight = flow.weight(node, 1).filter(|w| w.shape().len() >= 3);
    let (Some(weight), 1) = (weight, node.int("group", 1)) else {
        return flow.untouched(node).then(|| vec![None]);
    };
    if !flow.rest_untouched(node, 1) {
        return None;
    }
    if let Some(x) = x {
        (x.axis == 1).then_some(())?;
        flow.stand(node, 1, 0, &x.units, false)?;
    }
    let units = flow.write(weight.shape()[1])?;
    flow.stand(node, 1, 1, &units, true)?;
    flow.stand_vector(node, 2, &units, true)?;
    Some(vec![Some(Layout { axis: 1, units })])
}

/// Convolution over one or two spatial axes.
fn conv(call: &mut Call<'_>) -> Outputs {
    let tape = call.tape;
    let (x, weight) = (call.float(0)?, call.float(1)?);
    let (shape, kernel) = (x.shape().to_vec(), weight.shape());
    if shape.len() < 3 || shape.len() != kernel.len() {
        return Err(format!(
            "an input of shape {shape:?} does not fit a weight of shape {kernel:?}"
        ));
    }
    let groups = usize::try_from(call.node.int("group", 1)).unwrap_or(0);
    let (channels, filters) = (shape[1], kernel[0]);
    if groups == 0
        || channels == 0
        || filters == 0
        || filters % groups != 0
        || kernel[1].checked_mul(groups) != Some(channels)
    {
        return Err(format!(
            "{channels} channels in {groups} groups do not fit a weight of shape {kernel:?}"
        ));
    }
    let window = Window::of(call.node, &shape[2..], &kernel[2..])?;
    let mut out = vec![shape[0], filters];
    out.extend(&window.output[4 - shape.len()..]);
    sized(&out)?;
    // A sample's unfolded input.
    sized(&[&kernel[1..], &out[2..]].concat())?;
    let bias = call.optional(2)?;
    if let Some(bias) = &bias
        && bias.shape() != [filters]
    {
        return Err(format!(
            "a bias of shape {:?} does not fit {filters} filters",
            bias.shape()
        ));
    }
    let by = Convolution {
        batch: shape[0],
        channels,
        filters,
        groups,
        window,
    };
    let [height, width] = by.window.input;
    let x = tape.reshape(x, &[shape[0], channels, height, width]);
    one(tape.reshape(tape.convolve(x, weight, bias, by), &out))
}

#[cfg(test)]
mod tests {
    use lapidary_core::tensor::Dense;

    use crate::ops::tests::{inferred, some};

    #[test]
    fn convolutions_and_pools_follow_their_formulas() {
        let shape = inferred(
            |b, x| {
                let w = b.weight("w", Dense::f32(&[8, 3, 3, 3], vec![0.0; 216]).unwrap());
                let c = b.node(
                    "Conv",
                    "c",
                    &[x, &w],
                    [("strides", [2, 2].into()), ("pads", [1, 1, 1, 1].into())],
                );
                b.node(
                    "MaxPool",
                    "p",
                    &[&c],
                    [
                        ("kernel_shape", [3, 3].into()),
                        ("strides", [2, 2].into()),
                        ("ceil_mode", 1.into()),
                    ],
                )
            },
            &[3, 32, 32],
        );
        assert_eq!(shape, some(&[1, 8, 8, 8]));
        let shape = inferred(
            |b, x| {
                let w = b.weight("w", Dense::f32(&[3, 8, 2, 2], vec![0.0; 96]).unwrap());
                b.node("ConvTranspose", "c", &[x, &w], [("strides", [2, 2].into())])
            },
            &[3, 5, 6],
        );
        assert_eq!(shape, some(&[1, 8, 10, 12]));
        let shape = inferred(
            |b, x| {
                let w = b.weight("w", Dense::f32(&[4, 3, 3, 3], vec![0.0; 108]).unwrap());
                b.node(
                    "Conv",
                    "c",
                    &[x, &w],
                    [
                        ("auto_pad", "SAME_UPPER".into()),
                        ("strides", [2, 2].into()),
                    ],
                )
            },
            &[3, 7, 9],
        );
        assert_eq!(shape, some(&[1, 4, 4, 5]));
    }
}
