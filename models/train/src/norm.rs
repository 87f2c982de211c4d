//! Batch normalization in training (Ioffe and Szegedy, "Batch Normalization", 2015), with a backward pass of its own:
//! one pass over the data for the sums, one for the result.

use lapidary_graph::tape::Statistics;
use rayon::prelude::*;

use super::sums::{dot_around, sum};

/// Gradients by the inputs of a batch normalization.
pub(super) struct NormGradients {
    pub x: Vec<f32>,
    pub scale: Vec<f32>,
    pub bias: Vec<f32>,
}

/// Values of a channel in one sample, for shape `[batch, channels, …]`.
fn plane(shape: &[usize]) -> usize {
    shape[2..].iter().product()
}

/// `(x − mean) / √(variance + ε) · scale + bias` for `x` of shape `[batch, channels, …]`, and the statistics used.
pub(super) fn forward(
    x: &[f32],
    shape: &[usize],
    scale: &[f32],
    bias: &[f32],
    epsilon: f32,
) -> (Vec<f32>, Statistics) {
    let statistics = statistics(x, shape);
    let (channels, plane) = (shape[1], plane(shape));
    let factors: Vec<(f32, f32)> = (0..channels)
        .map(|c| {
            let factor = scale[c] / (statistics.variance[c] + epsilon).sqrt();
            (factor, bias[c] - statistics.mean[c] * factor)
        })
        .collect();
    let mut out = vec![0.0; x.len()];
    if plane > 0 {
        out.par_chunks_mut(channels * plane)
            .zip(x.par_chunks(channels * plane))
            .for_each(|(out, x)| {
                for (c, (out, x)) in out.chunks_mut(plane).zip(x.chunks(plane)).enumerate() {
                    let (factor, offset) = factors[c];
                    out.iter_mut()
                        .zip(x)
                        .for_each(|(out, &x)| *out = x * factor + offset);
                }
            });
    }
    (out, statistics)
}

fn statistics(x: &[f32], shape: &[usize]) -> Statistics {
    let (channels, plane) = (shape[1], plane(shape));
    let count = (shape[0] * plane).max(1) as f64;
    let (mean, variance) = (0..channels)
        .into_par_iter()
        .map(|c| {
            let planes = || (0..shape[0]).map(|s| &x[(s * channels + c) * plane..][..plane]);
            let mean = planes().map(|p| f64::from(sum(p))).sum::<f64>() / count;
            // Around the mean, so that nothing cancels where the mean is large.
            let centre = mean as f32;
            let squares = planes()
                .map(|p| f64::from(dot_around(p, centre, p, centre)))
                .sum::<f64>()
                / count;
            (centre, squares as f32)
        })
        .unzip();
    Statistics { mean, variance }
}

/// Gradients given the gradient by the output.
pub(super) fn backward(
    x: &[f32],
    shape: &[usize],
    scale: &[f32],
    statistics: &Statistics,
    epsilon: f32,
    grad: &[f32],
) -> NormGradients {
    let (channels, plane) = (shape[1], plane(shape));
    let count = (shape[0] * plane).max(1) as f32;
    let inverse: Vec<f32> = statistics
        .variance
        .iter()
        .map(|v| 1.0 / (v + epsilon).sqrt())
        .collect();
    let (bias_grad, scale_grad): (Vec<f32>, Vec<f32>) = (0..channels)
        .into_par_iter()
        .map(|c| {
            let planes = || (0..shape[0]).map(|s| (s * channels + c) * plane);
            let bias = planes()
                .map(|at| f64::from(sum(&grad[at..][..plane])))
                .sum::<f64>();
            let scale = planes()
                .map(|at| {
                    f64::from(dot_around(
                        &x[at..][..plane],
                        statistics.mean[c],
                        &grad[at..][..plane],
                        0.0,
                    ))
                })
                .sum::<f64>();
            (bias as f32, scale as f32 * inverse[c])
        })
        .unzip();
    // ∂x = scale/σ · (∂y − mean(∂y) − x̂ · mean(∂y·x̂)), written as a·∂y + b·x + c.
    let factors: Vec<[f32; 3]> = (0..channels)
        .map(|c| {
            let a = scale[c] * inverse[c];
            let b = -a * inverse[c] * scale_grad[c] / count;
            [a, b, -a * bias_grad[c] / count - b * statistics.mean[c]]
        })
        .collect();
    let mut x_grad = vec![0.0; x.len()];
    if plane > 0 {
        let sample = channels * plane;
        x_grad
            .par_chunks_mut(sample)
            .zip(x.par_chunks(sample))
            .zip(grad.par_chunks(sample))
            .for_each(|((out, x), grad)| {
                for (c, ((out, x), grad)) in out
                    .chunks_mut(plane)
                    .zip(x.chunks(plane))
                    .zip(grad.chunks(plane))
                    .enumerate()
                {
                    let [a, b, offset] = factors[c];
                    for ((out, &x), &grad) in out.iter_mut().zip(x).zip(grad) {
                        *out = a * grad + b * x + offset;
                    }
                }
            });
    }
    NormGradients {
        x: x_grad,
        scale: scale_grad,
        bias: bias_grad,
    }
}
