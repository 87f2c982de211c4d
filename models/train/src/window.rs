//! Sliding windows: where a kernel stands on its input, and convolution as matrix products over it.
//!
//! Convolutions are computed in chunks of samples whose unfolded input (im2col: Chellapilla et al., "High Performance
//! Convolutional Neural Networks for Document Processing", 2006) stays in a core's cache. The chunks depend on the shapes only
//! and their weight gradients are added in order, so results do not depend on the number of threads.

use burn_backend::ops::FloatTensorOps;
use burn_flex::{Flex, FlexTensor};
use rayon::prelude::*;

use super::engine::{data, tensor};
use super::sums::{dot_around, sum};
use lapidary_graph::Node;

/// Unfolded elements of a chunk: half a mebibyte of `f32`.
const CHUNK: usize = 1 << 17;

/// A kernel moving over two axes, `[height, width]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    pub input: [usize; 2],
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    /// Zeros before the first element of each axis.
    pub before: [usize; 2],
    /// Zeros behind the last element of each axis.
    pub after: [usize; 2],
    pub output: [usize; 2],
}

impl Window {
    /// Reads `strides`, `dilations`, `pads`, `auto_pad` and `ceil_mode` of a convolution or pooling node (ONNX, operator Conv) for an input
    /// of one or two spatial axes; one axis becomes the width of a height of 1.
    pub(super) fn of(node: &Node, spatial: &[usize], kernel: &[usize]) -> Result<Self, String> {
        let rank = spatial.len();
        if !(1..=2).contains(&rank) {
            return Err(format!("{rank} spatial axes; 1 or 2 can be trained"));
        }
        let sizes = |name: &str, default: i64, count: usize| -> Result<Vec<usize>, String> {
            let values = node
                .ints(name)
                .map_or_else(|| vec![default; count], <[i64]>::to_vec);
            let sizes: Option<Vec<usize>> =
                values.iter().map(|&v| usize::try_from(v).ok()).collect();
            sizes
                .filter(|s| s.len() == count && s.iter().all(|&v| v < 1 << 24))
                .ok_or_else(|| {
                    format!(
                        "`{name}` is {values:?}; needed are {count} numbers from 0 to {}",
                        1 << 24
                    )
                })
        };
        let strides = sizes("strides", 1, rank)?;
        let dilations = sizes("dilations", 1, rank)?;
        let mut pads = sizes("pads", 0, 2 * rank)?;
        if strides.contains(&0)
            || dilations.contains(&0)
            || kernel.contains(&0)
            || kernel.len() != rank
        {
            return Err(format!(
                "kernel {kernel:?}, strides {strides:?} and dilations {dilations:?} must be positive, one for each of {rank} axes"
            ));
        }
        let extent = |i: usize| dilations[i] * (kernel[i] - 1) + 1;
        let auto = node.text("auto_pad").unwrap_or("NOTSET");
        match auto {
            "NOTSET" | "" => {}
            "VALID" => pads.fill(0),
            "SAME_UPPER" | "SAME_LOWER" => {
                for i in 0..rank {
                    let outputs = spatial[i].div_ceil(strides[i]);
                    let total =
                        ((outputs.max(1) - 1) * strides[i] + extent(i)).saturating_sub(spatial[i]);
                    let small = total / 2;
                    let (before, after) = if auto == "SAME_UPPER" {
                        (small, total - small)
                    } else {
                        (total - small, small)
                    };
                    (pads[i], pads[rank + i]) = (before, after);
                }
            }
            other => return Err(format!("unknown auto_pad `{other}`")),
        }
        let ceil = node.int("ceil_mode", 0) != 0;
        let mut window = Self {
            input: [1; 2],
            kernel: [1; 2],
            stride: [1; 2],
            dilation: [1; 2],
            before: [0; 2],
            after: [0; 2],
            output: [1; 2],
        };
        for i in 0..rank {
            let at = 2 - rank + i;
            let padded = spatial[i] + pads[i] + pads[rank + i];
            let room = padded.checked_sub(extent(i)).ok_or_else(|| {
                format!("the kernel {kernel:?} is larger than the padded input {spatial:?}")
            })?;
            let mut output = room / strides[i] + 1;
            // A window that would begin in the padding behind the input is dropped, as in ONNX.
            if ceil && room % strides[i] != 0 && output * strides[i] < spatial[i] + pads[i] {
                output += 1;
            }
            window.input[at] = spatial[i];
            window.kernel[at] = kernel[i];
            window.stride[at] = strides[i];
            window.dilation[at] = dilations[i];
            window.before[at] = pads[i];
            window.after[at] = pads[rank + i];
            window.output[at] = output;
        }
        Ok(window)
    }

    /// Elements of a kernel.
    fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    fn inputs(&self) -> usize {
        self.input.iter().product()
    }

    fn outputs(&self) -> usize {
        self.output.iter().product()
    }

    /// All stretches in which neighbouring outputs read neighbouring inputs, stride apart, for the same tap.
    fn runs(&self) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        // Positions `p` of an axis for which tap `k` reads inside the input: before ≤ p·stride + k·dilation < before + input.
        let inside = |axis: usize, k: usize| {
            let shift = k * self.dilation[axis];
            let first = self.before[axis]
                .saturating_sub(shift)
                .div_ceil(self.stride[axis]);
            let end = (self.before[axis] + self.input[axis])
                .saturating_sub(shift)
                .div_ceil(self.stride[axis]);
            first..end.min(self.output[axis]).max(first)
        };
        for ky in 0..self.kernel[0] {
            for kx in 0..self.kernel[1] {
                let columns = inside(1, kx);
                if columns.is_empty() {
                    continue;
                }
                for y in inside(0, ky) {
                    let row = y * self.stride[0] + ky * self.dilation[0] - self.before[0];
                    let column =
                        columns.start * self.stride[1] + kx * self.dilation[1] - self.before[1];
                    let run = Run {
                        tap: ky * self.kernel[1] + kx,
                        output: y * self.output[1] + columns.start,
                        input: row * self.input[1] + column,
                        len: columns.len(),
                    };
                    match runs.last_mut() {
                        Some(last) if self.stride[1] == 1 && last.continues_with(&run) => {
                            last.len += run.len
                        }
                        _ => runs.push(run),
                    }
                }
            }
        }
        runs
    }
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

/// A convolution of `[batch, channels, height, width]` by `[filters, channels / groups, height, width]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Convolution {
    pub window: Window,
    pub batch: usize,
    pub channels: usize,
    pub filters: usize,
    pub groups: usize,
}

/// Gradients of a convolution's inputs, those that were asked for.
pub(super) struct ConvolutionGradients {
    pub x: Option<Vec<f32>>,
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
}

impl Convolution {
    fn sample_in(&self) -> usize {
        self.channels * self.window.inputs()
    }

    fn sample_out(&self) -> usize {
        self.filters * self.window.outputs()
    }

    /// Elements of a filter.
    fn depth(&self) -> usize {
        self.channels / self.groups * self.window.taps()
    }

    fn is_depthwise(&self) -> bool {
        self.channels == self.groups
    }

    /// Samples of a chunk: what fits the cache, and at most a quarter of the batch so that there is work for several threads.
    fn chunk(&self) -> usize {
        let unfolded = self.depth() * self.window.outputs();
        (CHUNK / unfolded.max(1)).clamp(1, self.batch.div_ceil(4).max(1))
    }

    /// The output `[batch, filters, height, width]`, row by row.
    pub(super) fn forward(&self, x: &[f32], weight: &FlexTensor, bias: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; self.batch * self.sample_out()];
        if out.is_empty() || x.is_empty() {
            return out;
        }
        let runs = self.window.runs();
        if self.is_depthwise() {
            self.forward_depthwise(x, data(weight), bias, &runs, &mut out);
            return out;
        }
        let (samples, outputs) = (self.chunk(), self.window.outputs());
        let per_group = self.filters / self.groups;
        let weight = weight.reshape(vec![self.filters, self.depth()].into());
        out.par_chunks_mut(samples * self.sample_out())
            .zip(x.par_chunks(samples * self.sample_in()))
            .for_each(|(out, x)| {
                let n = out.len() / self.sample_out();
                for group in 0..self.groups {
                    let columns = self.unfold(x, n, group, &runs);
                    let product =
                        Flex::float_matmul(weight.narrow(0, group * per_group, per_group), columns);
                    let product = data(&product);
                    for f in 0..per_group {
                        let filter = group * per_group + f;
                        let offset = bias.get(filter).copied().unwrap_or(0.0);
                        for s in 0..n {
                            let from = &product[(f * n + s) * outputs..][..outputs];
                            let to =
                                &mut out[s * self.sample_out() + filter * outputs..][..outputs];
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
        &self,
        x: &[f32],
        weight: &FlexTensor,
        grad: &[f32],
        wants_x: bool,
    ) -> ConvolutionGradients {
        let runs = self.window.runs();
        let (samples, outputs) = (self.chunk(), self.window.outputs());
        let mut x_grad = vec![0.0; if wants_x { x.len() } else { 0 }];
        let mut sums = ConvolutionGradients {
            x: None,
            weight: vec![0.0; self.filters * self.depth()],
            bias: vec![0.0; self.filters],
        };
        if !x.is_empty() && !grad.is_empty() {
            if self.is_depthwise() {
                self.backward_depthwise(x, data(weight), grad, &runs, &mut x_grad, &mut sums);
            } else {
                let per_group = self.filters / self.groups;
                let weight = weight.reshape(vec![self.filters, self.depth()].into());
                let mut x_chunks: Vec<&mut [f32]> = if wants_x {
                    x_grad.chunks_mut(samples * self.sample_in()).collect()
                } else {
                    (0..self.batch.div_ceil(samples))
                        .map(|_| Default::default())
                        .collect()
                };
                let parts: Vec<(Vec<FlexTensor>, Vec<f32>)> = x_chunks
                    .par_iter_mut()
                    .zip(x.par_chunks(samples * self.sample_in()))
                    .zip(grad.par_chunks(samples * self.sample_out()))
                    .map(|((x_grad, x), grad)| {
                        let n = grad.len() / self.sample_out();
                        let mut weight_grads = Vec::with_capacity(self.groups);
                        let mut bias_grad = vec![0.0; self.filters];
                        for group in 0..self.groups {
                            let mut gathered = vec![0.0; per_group * n * outputs];
                            for f in 0..per_group {
                                let filter = group * per_group + f;
                                for s in 0..n {
                                    let from = &grad[s * self.sample_out() + filter * outputs..]
                                        [..outputs];
                                    gathered[(f * n + s) * outputs..][..outputs]
                                        .copy_from_slice(from);
                                }
                                bias_grad[filter] =
                                    sum(&gathered[f * n * outputs..][..n * outputs]);
                            }
                            let gathered = tensor(gathered, &[per_group, n * outputs]);
                            let columns = self.unfold(x, n, group, &runs);
                            weight_grads.push(Flex::float_matmul(
                                gathered.clone(),
                                columns.transpose(0, 1),
                            ));
                            if wants_x {
                                let filters = weight
                                    .narrow(0, group * per_group, per_group)
                                    .transpose(0, 1);
                                self.fold(
                                    data(&Flex::float_matmul(filters, gathered)),
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
                    let parts = weights.iter().flat_map(data);
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
    fn unfold(&self, x: &[f32], n: usize, group: usize, runs: &[Run]) -> FlexTensor {
        let (inputs, outputs, taps) = (
            self.window.inputs(),
            self.window.outputs(),
            self.window.taps(),
        );
        let channels = self.channels / self.groups;
        let mut columns = vec![0.0; self.depth() * n * outputs];
        let stride = self.window.stride[1];
        for c in 0..channels {
            let rows = &mut columns[c * taps * n * outputs..][..taps * n * outputs];
            for s in 0..n {
                let plane = &x[s * self.sample_in() + (group * channels + c) * inputs..][..inputs];
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
        tensor(columns, &[self.depth(), n * outputs])
    }

    /// Adds a gradient by the unfolded input to the gradient by the input: the transpose of [`Self::unfold`].
    fn fold(&self, columns: &[f32], n: usize, group: usize, runs: &[Run], x_grad: &mut [f32]) {
        let (inputs, outputs, taps) = (
            self.window.inputs(),
            self.window.outputs(),
            self.window.taps(),
        );
        let channels = self.channels / self.groups;
        for c in 0..channels {
            let rows = &columns[c * taps * n * outputs..][..taps * n * outputs];
            for s in 0..n {
                let plane =
                    &mut x_grad[s * self.sample_in() + (group * channels + c) * inputs..][..inputs];
                for run in runs {
                    let from = &rows[(run.tap * n + s) * outputs + run.output..][..run.len];
                    add_strided(plane, run.input, self.window.stride[1], from, 1.0);
                }
            }
        }
    }

    fn forward_depthwise(
        &self,
        x: &[f32],
        weight: &[f32],
        bias: &[f32],
        runs: &[Run],
        out: &mut [f32],
    ) {
        let (inputs, outputs, taps) = (
            self.window.inputs(),
            self.window.outputs(),
            self.window.taps(),
        );
        let copies = self.filters / self.channels;
        let stride = self.window.stride[1];
        out.par_chunks_mut(outputs)
            .enumerate()
            .for_each(|(at, out)| {
                let (sample, filter) = (at / self.filters, at % self.filters);
                let plane = &x[sample * self.sample_in() + filter / copies * inputs..][..inputs];
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
        &self,
        x: &[f32],
        weight: &[f32],
        grad: &[f32],
        runs: &[Run],
        x_grad: &mut [f32],
        sums: &mut ConvolutionGradients,
    ) {
        let (inputs, outputs, taps) = (
            self.window.inputs(),
            self.window.outputs(),
            self.window.taps(),
        );
        let copies = self.filters / self.channels;
        let stride = self.window.stride[1];
        // Empty where the gradient by the input is not wanted.
        x_grad
            .par_chunks_mut(inputs)
            .enumerate()
            .for_each(|(at, plane)| {
                let (sample, channel) = (at / self.channels, at % self.channels);
                for filter in channel * copies..(channel + 1) * copies {
                    let grad = &grad[sample * self.sample_out() + filter * outputs..][..outputs];
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
                for sample in 0..self.batch {
                    let plane =
                        &x[sample * self.sample_in() + filter / copies * inputs..][..inputs];
                    let grad = &grad[sample * self.sample_out() + filter * outputs..][..outputs];
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
