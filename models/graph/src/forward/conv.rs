//! Convolutions.

use crate::tape::{Call, Outputs, one, sized};
use crate::window::{Convolution, Window};

/// Convolution over one or two spatial axes.
pub fn conv(call: &mut Call<'_>) -> Outputs {
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
