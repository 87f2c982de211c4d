//! Convolutions.

use std::rc::Rc;

use lapidary_core::model::Product;

use super::window::{covered, is_same, lower_dilated, slid, spatial};
use super::{Operator, Slots};
use crate::graph::Node;
use crate::layers::{Work, volume};
use crate::shape::{Extents, Known, extent};
use crate::structure::{Count, Flow, Layout, Layouts, Unit};
use crate::tape::{Call, Outputs, one, sized};
use crate::window::{Convolution, Window};

pub static CONV: Operator = Operator {
    weights: &[Slots::behind_input(Some(2), &[1, 2])],
    product: Some(Product::Convolution),
    own_vectors: Some(0),
    shape: |known| shape(known, 1),
    macs,
    channels,
    lower: Some(lower_dilated),
    forward: Some(conv),
    ..Operator::standard("Conv")
};

pub static CONV_INTEGER: Operator = Operator {
    codes: &[1],
    quantized: true,
    shape: |known| shape(known, 1),
    macs,
    ..Operator::standard("ConvInteger")
};

pub static Q_LINEAR_CONV: Operator = Operator {
    codes: &[3, 8],
    quantized: true,
    shape: |known| shape(known, 3),
    macs,
    ..Operator::standard("QLinearConv")
};

pub static CONV_TRANSPOSE: Operator = Operator {
    weights: &[Slots::behind_input(Some(2), &[1, 2])],
    channel_axis: |_, _, _| 1,
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
