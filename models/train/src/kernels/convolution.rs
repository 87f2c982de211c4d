//! Convolution as matrix products over sliding windows.
//!
//! Convolutions are computed in chunks of samples whose unfolded input (im2col: Chellapilla et al., "High Performance
//! Convolutional Neural Networks for Document Processing", 2006) stays in a core's cache. The chunks depend on the shapes only
//! and their weight gradients are added in order, so results do not depend on the number of threads.

use std::cell::RefCell;

use lapidary_graph::window::{Convolution, Window};
use rayon::prelude::*;

use super::product::{Side, multiply, multiply_onto};
use super::sums::{dot_around, sum};

/// Columns of a product from which on a sample is a chunk of its own: narrower products leave the kernel's registers empty.
const COLUMNS: usize = 192;

/// Parts of a batch whose weight gradients are summed apart: as many threads have work.
const PARTS: usize = 16;

thread_local! {
    /// Room for an unfolded chunk, and for one more matrix of a chunk.
    static ROOM: RefCell<[Vec<f32>; 2]> = RefCell::default();
}

/// Gradients of a convolution by its weight and bias.
pub(crate) struct ConvolutionGradients {
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
}

/// Samples of a chunk.
fn chunk(by: &Convolution) -> usize {
    COLUMNS
        .div_ceil(by.window.outputs().max(1))
        .clamp(1, by.batch.max(1))
}

/// Whether each output reads the one input at its place, so that a sample is its own unfolded form.
fn is_pointwise(window: &Window) -> bool {
    window.kernel == [1; 2]
        && window.stride == [1; 2]
        && window.before == [0; 2]
        && window.after == [0; 2]
}

/// Calls `f` with the thread's room. It is taken out for the while: a thread that waits for others within a product may begin with
/// another chunk.
fn with_room<R>(f: impl FnOnce(&mut [Vec<f32>; 2]) -> R) -> R {
    let mut room = ROOM.take();
    let result = f(&mut room);
    ROOM.set(room);
    result
}

/// `len` elements of a thread's room, of any value.
fn room(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}

/// The output `[batch, filters, height, width]`, row by row.
pub(crate) fn forward(
    by: &Convolution,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    out: &mut [f32],
) {
    if out.is_empty() {
        return;
    }
    if x.is_empty() {
        return out.fill(0.0);
    }
    let runs = runs(&by.window);
    if by.is_depthwise() {
        return forward_depthwise(by, x, weight, bias.unwrap_or_default(), &runs, out);
    }
    let (samples, outputs, depth) = (chunk(by), by.window.outputs(), by.depth());
    let per_group = by.filters / by.groups;
    out.par_chunks_mut(samples * by.sample_out())
        .zip(x.par_chunks(samples * by.sample_in()))
        .for_each(|(out, x)| {
            let n = out.len() / by.sample_out();
            with_room(|[unfolded, product]| {
                for group in 0..by.groups {
                    let filters = group * per_group..(group + 1) * per_group;
                    let kernels = &weight[filters.start * depth..filters.end * depth];
                    let kernels = Side::new(kernels, per_group, depth);
                    let bias = bias.map(|bias| &bias[filters.clone()]);
                    let columns = columns(by, x, n, group, &runs, unfolded);
                    if n == 1 {
                        let out = &mut out[filters.start * outputs..filters.end * outputs];
                        multiply(out, kernels, columns, bias);
                        continue;
                    }
                    let product = room(product, per_group * n * outputs);
                    multiply(product, kernels, columns, bias);
                    for (filter, product) in filters.zip(product.chunks_exact(n * outputs)) {
                        for (s, from) in product.chunks_exact(outputs).enumerate() {
                            out[s * by.sample_out() + filter * outputs..][..outputs]
                                .copy_from_slice(from);
                        }
                    }
                }
            });
        });
}

/// Gradients by weight and bias, given the gradient by the output; that by `x` is added to the zeros of `x_grad`, where it is wanted.
pub(crate) fn backward(
    by: &Convolution,
    x: &[f32],
    weight: &[f32],
    grad: &[f32],
    x_grad: Option<&mut [f32]>,
) -> ConvolutionGradients {
    let runs = runs(&by.window);
    let mut sums = ConvolutionGradients {
        weight: vec![0.0; by.filters * by.depth()],
        bias: vec![0.0; by.filters],
    };
    if !x.is_empty() && !grad.is_empty() {
        if by.is_depthwise() {
            let x_grad = x_grad.unwrap_or_default();
            backward_depthwise(by, x, weight, grad, &runs, x_grad, &mut sums);
        } else {
            let samples = by.batch.div_ceil(PARTS).next_multiple_of(chunk(by));
            // Empty where the gradient by the input is not wanted.
            let mut x_grads: Vec<&mut [f32]> = match x_grad {
                Some(x_grad) => x_grad.chunks_mut(samples * by.sample_in()).collect(),
                None => (0..by.batch.div_ceil(samples))
                    .map(|_| Default::default())
                    .collect(),
            };
            let parts: Vec<(Vec<f32>, Vec<f32>)> = x_grads
                .par_iter_mut()
                .zip(x.par_chunks(samples * by.sample_in()))
                .zip(grad.par_chunks(samples * by.sample_out()))
                .map(|((x_grad, x), grad)| backward_part(by, x, weight, grad, &runs, x_grad))
                .collect();
            for (weight, bias) in parts {
                sums.weight
                    .iter_mut()
                    .zip(weight)
                    .for_each(|(sum, part)| *sum += part);
                sums.bias
                    .iter_mut()
                    .zip(bias)
                    .for_each(|(sum, part)| *sum += part);
            }
        }
    }
    sums
}

/// Gradients by weight and bias of some samples; that by `x` is written where there is room for it.
fn backward_part(
    by: &Convolution,
    x: &[f32],
    weight: &[f32],
    grad: &[f32],
    runs: &[Run],
    x_grad: &mut [f32],
) -> (Vec<f32>, Vec<f32>) {
    let (samples, outputs, depth) = (chunk(by), by.window.outputs(), by.depth());
    let per_group = by.filters / by.groups;
    let channels = by.channels / by.groups;
    let mut weight_grad = vec![0.0; by.filters * depth];
    let mut bias_grad = vec![0.0; by.filters];
    let mut x_grads = x_grad.chunks_mut(samples * by.sample_in());
    let chunks = x.chunks(samples * by.sample_in());
    for (x, grad) in chunks.zip(grad.chunks(samples * by.sample_out())) {
        let mut x_grad = x_grads.next();
        let n = grad.len() / by.sample_out();
        with_room(|[unfolded, gathered]| {
            for group in 0..by.groups {
                let filters = group * per_group..(group + 1) * per_group;
                let kernels = &weight[filters.start * depth..filters.end * depth];
                let grad = if n == 1 {
                    &grad[filters.start * outputs..filters.end * outputs]
                } else {
                    let gathered = room(gathered, per_group * n * outputs);
                    for (filter, to) in filters.clone().zip(gathered.chunks_exact_mut(n * outputs))
                    {
                        for (s, to) in to.chunks_exact_mut(outputs).enumerate() {
                            let from = &grad[s * by.sample_out() + filter * outputs..][..outputs];
                            to.copy_from_slice(from);
                        }
                    }
                    gathered
                };
                for (bias, grad) in bias_grad[filters.clone()]
                    .iter_mut()
                    .zip(grad.chunks_exact(n * outputs))
                {
                    *bias += sum(grad);
                }
                let grad = Side::new(grad, per_group, n * outputs);
                let unfolded_x = columns(by, x, n, group, runs, unfolded);
                let part = &mut weight_grad[filters.start * depth..filters.end * depth];
                multiply_onto(part, grad, unfolded_x.turned());
                let Some(x_grad) = x_grad.as_deref_mut() else {
                    continue;
                };
                let kernels = Side::new(kernels, per_group, depth).turned();
                if n == 1 && is_pointwise(&by.window) {
                    let inputs = by.window.inputs();
                    let x_grad = &mut x_grad[group * channels * inputs..][..channels * inputs];
                    multiply(x_grad, kernels, grad, None);
                } else {
                    let columns = room(unfolded, depth * n * outputs);
                    multiply(columns, kernels, grad, None);
                    fold(by, columns, n, group, runs, x_grad);
                }
            }
        });
    }
    (weight_grad, bias_grad)
}

/// What each output of `n` samples reads, as a matrix `[depth, n · outputs]`.
fn columns<'r>(
    by: &Convolution,
    x: &'r [f32],
    n: usize,
    group: usize,
    runs: &[Run],
    buffer: &'r mut Vec<f32>,
) -> Side<'r> {
    let (inputs, outputs) = (by.window.inputs(), by.window.outputs());
    let channels = by.channels / by.groups;
    if n == 1 && is_pointwise(&by.window) {
        let own = &x[group * channels * inputs..][..channels * inputs];
        return Side::new(own, channels, inputs);
    }
    let columns = room(buffer, by.depth() * n * outputs);
    unfold(by, x, n, group, runs, columns);
    Side::new(columns, by.depth(), n * outputs)
}

fn unfold(by: &Convolution, x: &[f32], n: usize, group: usize, runs: &[Run], columns: &mut [f32]) {
    let (inputs, outputs, taps) = (by.window.inputs(), by.window.outputs(), by.window.taps());
    let channels = by.channels / by.groups;
    let stride = by.window.stride[1];
    // Where windows reach into the padding, what is not copied is zero.
    if by.window.margins() != [(0, 0); 2] {
        columns.fill(0.0);
    }
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
