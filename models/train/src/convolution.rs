//! Convolution as matrix products over sliding windows.
//!
//! Convolutions are computed in chunks of samples whose unfolded input (im2col: Chellapilla et al., "High Performance
//! Convolutional Neural Networks for Document Processing", 2006) stays in a core's cache. The chunks depend on the shapes only
//! and their weight gradients are added in order, so results do not depend on the number of threads.

use burn_backend::ops::FloatTensorOps;
use burn_flex::{Flex, FlexTensor};
use lapidary_graph::window::{Convolution, Window};
use rayon::prelude::*;

use super::engine::{slice, tensor};
use super::sums::{dot_around, sum};

/// Unfolded elements of a chunk: half a mebibyte of `f32`.
const CHUNK: usize = 1 << 17;

/// Gradients of a convolution's inputs, those that were asked for.
pub(super) struct ConvolutionGradients {
    pub x: Option<Vec<f32>>,
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
}

/// Samples of a chunk: what fits the cache, and at most a quarter of the batch so that there is work for several threads.
fn chunk(by: &Convolution) -> usize {
    let unfolded = by.depth() * by.window.outputs();
    (CHUNK / unfolded.max(1)).clamp(1, by.batch.div_ceil(4).max(1))
}

/// The output `[batch, filters, height, width]`, row by row.
pub(super) fn forward(by: &Convolution, x: &[f32], weight: &FlexTensor, bias: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; by.batch * by.sample_out()];
    if out.is_empty() || x.is_empty() {
        return out;
    }
    let runs = runs(&by.window);
    if by.is_depthwise() {
        forward_depthwise(by, x, slice(weight), bias, &runs, &mut out);
        return out;
    }
    let (samples, outputs) = (chunk(by), by.window.outputs());
    let per_group = by.filters / by.groups;
    let weight = weight.reshape(vec![by.filters, by.depth()].into());
    out.par_chunks_mut(samples * by.sample_out())
        .zip(x.par_chunks(samples * by.sample_in()))
        .for_each(|(out, x)| {
            let n = out.len() / by.sample_out();
            for group in 0..by.groups {
                let columns = unfold(by, x, n, group, &runs);
                let product =
                    Flex::float_matmul(weight.narrow(0, group * per_group, per_group), columns);
                let product = slice(&product);
                for f in 0..per_group {
                    let filter = group * per_group + f;
                    let offset = bias.get(filter).copied().unwrap_or(0.0);
                    for s in 0..n {
                        let from = &product[(f * n + s) * outputs..][..outputs];
                        let to = &mut out[s * by.sample_out() + filter * outputs..][..outputs];
                        for (to, &from) in to.iter_mut().zip(from) {
                            *to = from + offset;
                        }
                    }
                }
            }
        });
    out
}

/// Gradients by `x` (where wanted), weight and bias, given the gradient by the output.
pub(super) fn backward(
    by: &Convolution,
    x: &[f32],
    weight: &FlexTensor,
    grad: &[f32],
    wants_x: bool,
) -> ConvolutionGradients {
    let runs = runs(&by.window);
    let (samples, outputs) = (chunk(by), by.window.outputs());
    let mut x_grad = vec![0.0; if wants_x { x.len() } else { 0 }];
    let mut sums = ConvolutionGradients {
        x: None,
        weight: vec![0.0; by.filters * by.depth()],
        bias: vec![0.0; by.filters],
    };
    if !x.is_empty() && !grad.is_empty() {
        if by.is_depthwise() {
            backward_depthwise(by, x, slice(weight), grad, &runs, &mut x_grad, &mut sums);
        } else {
            let per_group = by.filters / by.groups;
            let weight = weight.reshape(vec![by.filters, by.depth()].into());
            let mut x_chunks: Vec<&mut [f32]> = if wants_x {
                x_grad.chunks_mut(samples * by.sample_in()).collect()
            } else {
                (0..by.batch.div_ceil(samples))
                    .map(|_| Default::default())
                    .collect()
            };
            let parts: Vec<(Vec<FlexTensor>, Vec<f32>)> = x_chunks
                .par_iter_mut()
                .zip(x.par_chunks(samples * by.sample_in()))
                .zip(grad.par_chunks(samples * by.sample_out()))
                .map(|((x_grad, x), grad)| {
                    let n = grad.len() / by.sample_out();
                    let mut weight_grads = Vec::with_capacity(by.groups);
                    let mut bias_grad = vec![0.0; by.filters];
                    for group in 0..by.groups {
                        let mut gathered = vec![0.0; per_group * n * outputs];
                        for f in 0..per_group {
                            let filter = group * per_group + f;
                            for s in 0..n {
                                let from =
                                    &grad[s * by.sample_out() + filter * outputs..][..outputs];
                                gathered[(f * n + s) * outputs..][..outputs].copy_from_slice(from);
                            }
                            bias_grad[filter] = sum(&gathered[f * n * outputs..][..n * outputs]);
                        }
                        let gathered = tensor(gathered, &[per_group, n * outputs]);
                        let columns = unfold(by, x, n, group, &runs);
                        weight_grads.push(Flex::float_matmul(
                            gathered.clone(),
                            columns.transpose(0, 1),
                        ));
                        if wants_x {
                            let filters = weight
                                .narrow(0, group * per_group, per_group)
                                .transpose(0, 1);
                            fold(
                                by,
                                slice(&Flex::float_matmul(filters, gathered)),
                                n,
                                group,
                                &runs,
                                x_grad,
                            );
                        }
                    }
                    (weight_grads, bias_grad)
                })
                .collect();
            for (weights, bias) in parts {
                let parts = weights.iter().flat_map(slice);
                sums.weight
                    .iter_mut()
                    .zip(parts)
                    .for_each(|(sum, part)| *sum += part);
                sums.bias
                    .iter_mut()
                    .zip(bias)
                    .for_each(|(sum, part)| *sum += part);
            }
        }
    }
    sums.x = wants_x.then_some(x_grad);
    sums
}

/// What each output reads, as a matrix `[depth, n · outputs]`.
fn unfold(by: &Convolution, x: &[f32], n: usize, group: usize, runs: &[Run]) -> FlexTensor {
    let (inputs, outputs, taps) = (by.window.inputs(), by.window.outputs(), by.window.taps());
    let channels = by.channels / by.groups;
    let mut columns = vec![0.0; by.depth() * n * outputs];
    let stride = by.window.stride[1];
    for c in 0..channels {
        let rows = &mut columns[c * taps * n * outputs..][..taps * n * outputs];
        for s in 0..n {
            let plane = &x[s * by.sample_in() + (group * channels + c) * inputs..][..inputs];
            for run in runs {
                let to = &mut rows[(run.tap * n + s) * outputs + run.output..][..run.len];
                if stride == 1 {
                    to.copy_from_slice(&plane[run.input..][..run.len]);
                } else {
                    let from = plane[run.input..].iter().step_by(stride);
                    to.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
                }
            }
        }
    }
    tensor(columns, &[by.depth(), n * outputs])
}

/// Adds a gradient by the unfolded input to the gradient by the input: the transpose of [`unfold`].
fn fold(
    by: &Convolution,
    columns: &[f32],
    n: usize,
    group: usize,
    runs: &[Run],
    x_grad: &mut [f32],
) {
    let (inputs, outputs, taps) = (by.window.inputs(), by.window.outputs(), by.window.taps());
    let channels = by.channels / by.groups;
    for c in 0..channels {
        let rows = &columns[c * taps * n * outputs..][..taps * n * outputs];
        for s in 0..n {
            let plane =
                &mut x_grad[s * by.sample_in() + (group * channels + c) * inputs..][..inputs];
            for run in runs {
                let from = &rows[(run.tap * n + s) * outputs + run.output..][..run.len];
                add_strided(plane, run.input, by.window.stride[1], from, 1.0);
            }
        }
    }
}

fn forward_depthwise(
    by: &Convolution,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    runs: &[Run],
    out: &mut [f32],
) {
    let (inputs, outputs, taps) = (by.window.inputs(), by.window.outputs(), by.window.taps());
    let copies = by.filters / by.channels;
    let stride = by.window.stride[1];
    out.par_chunks_mut(outputs)
        .enumerate()
        .for_each(|(at, out)| {
            let (sample, filter) = (at / by.filters, at % by.filters);
            let plane = &x[sample * by.sample_in() + filter / copies * inputs..][..inputs];
            let kernel = &weight[filter * taps..][..taps];
            out.fill(bias.get(filter).copied().unwrap_or(0.0));
            for run in runs {
                let factor = kernel[run.tap];
                let to = &mut out[run.output..][..run.len];
                if stride == 1 {
                    to.iter_mut()
                        .zip(&plane[run.input..][..run.len])
                        .for_each(|(to, &from)| *to += factor * from);
                } else {
                    let from = plane[run.input..].iter().step_by(stride);
                    to.iter_mut()
                        .zip(from)
                        .for_each(|(to, &from)| *to += factor * from);
                }
            }
        });
}

fn backward_depthwise(
    by: &Convolution,
    x: &[f32],
    weight: &[f32],
    grad: &[f32],
    runs: &[Run],
    x_grad: &mut [f32],
    sums: &mut ConvolutionGradients,
) {
    let (inputs, outputs, taps) = (by.window.inputs(), by.window.outputs(), by.window.taps());
    let copies = by.filters / by.channels;
    let stride = by.window.stride[1];
    // Empty where the gradient by the input is not wanted.
    x_grad
        .par_chunks_mut(inputs)
        .enumerate()
        .for_each(|(at, plane)| {
            let (sample, channel) = (at / by.channels, at % by.channels);
            for filter in channel * copies..(channel + 1) * copies {
                let grad = &grad[sample * by.sample_out() + filter * outputs..][..outputs];
                let kernel = &weight[filter * taps..][..taps];
                for run in runs {
                    let from = &grad[run.output..][..run.len];
                    add_strided(plane, run.input, stride, from, kernel[run.tap]);
                }
            }
        });
    sums.weight
        .par_chunks_mut(taps)
        .zip(sums.bias.par_iter_mut())
        .enumerate()
        .for_each(|(filter, (kernel, bias))| {
            for sample in 0..by.batch {
                let plane = &x[sample * by.sample_in() + filter / copies * inputs..][..inputs];
                let grad = &grad[sample * by.sample_out() + filter * outputs..][..outputs];
                *bias += sum(grad);
                for run in runs {
                    let grad = &grad[run.output..][..run.len];
                    kernel[run.tap] += if stride == 1 {
                        dot_around(grad, 0.0, &plane[run.input..][..run.len], 0.0)
                    } else {
                        let from = plane[run.input..].iter().step_by(stride);
                        grad.iter().zip(from).map(|(g, x)| g * x).sum()
                    };
                }
            }
        });
}

/// All stretches in which neighbouring outputs read neighbouring inputs, stride apart, for the same tap.
fn runs(window: &Window) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    // Positions `p` of an axis for which tap `k` reads inside the input: before ≤ p·stride + k·dilation < before + input.
    let inside = |axis: usize, k: usize| {
        let shift = k * window.dilation[axis];
        let first = window.before[axis]
            .saturating_sub(shift)
            .div_ceil(window.stride[axis]);
        let end = (window.before[axis] + window.input[axis])
            .saturating_sub(shift)
            .div_ceil(window.stride[axis]);
        first..end.min(window.output[axis]).max(first)
    };
    for ky in 0..window.kernel[0] {
        for kx in 0..window.kernel[1] {
            let columns = inside(1, kx);
            if columns.is_empty() {
                continue;
            }
            for y in inside(0, ky) {
                let row = y * window.stride[0] + ky * window.dilation[0] - window.before[0];
                let column =
                    columns.start * window.stride[1] + kx * window.dilation[1] - window.before[1];
                let run = Run {
                    tap: ky * window.kernel[1] + kx,
                    output: y * window.output[1] + columns.start,
                    input: row * window.input[1] + column,
                    len: columns.len(),
                };
                match runs.last_mut() {
                    Some(last) if window.stride[1] == 1 && last.continues_with(&run) => {
                        last.len += run.len
                    }
                    _ => runs.push(run),
                }
            }
        }
    }
    runs
}

/// `len` outputs from `output` on that read, for one tap, every stride-th input from `input` on.
#[derive(Debug, Clone, Copy)]
struct Run {
    tap: usize,
    output: usize,
    input: usize,
    len: usize,
}

impl Run {
    fn continues_with(&self, next: &Self) -> bool {
        self.tap == next.tap
            && self.output + self.len == next.output
            && self.input + self.len == next.input
    }
}

/// Adds `factor · from` to every stride-th element of `plane` from `start` on.
fn add_strided(plane: &mut [f32], start: usize, stride: usize, from: &[f32], factor: f32) {
    if stride == 1 {
        let to = &mut plane[start..][..from.len()];
        to.iter_mut()
            .zip(from)
            .for_each(|(to, &from)| *to += factor * from);
    } else {
        let to = plane[start..].iter_mut().step_by(stride);
        to.zip(from).for_each(|(to, &from)| *to += factor * from);
    }
}
