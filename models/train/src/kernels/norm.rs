//! Normalization in training: of batches (Ioffe and Szegedy, "Batch Normalization", 2015) and of rows, with backward passes of their own:
//! one pass over the data for the sums, one for the result.

use lapidary_graph::tape::Statistics;
use rayon::prelude::*;

use super::rows_of;
use super::sums::{dot_around, sum};

/// Values of a channel in one sample, for shape `[batch, channels, …]`.
fn plane(shape: &[usize]) -> usize {
    shape[2..].iter().product()
}

/// `(x − mean) / √(variance + ε) · scale + bias` for `x` of shape `[batch, channels, …]`, written to `out`; the statistics used.
pub(crate) fn forward(
    x: &[f32],
    shape: &[usize],
    scale: &[f32],
    bias: &[f32],
    epsilon: f32,
    out: &mut [f32],
) -> Statistics {
    let statistics = statistics(x, shape);
    let (channels, plane) = (shape[1], plane(shape));
    let factors: Vec<(f32, f32)> = (0..channels)
        .map(|c| {
            let factor = scale[c] / (statistics.variance[c] + epsilon).sqrt();
            (factor, bias[c] - statistics.mean[c] * factor)
        })
        .collect();
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
    statistics
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

/// Gradients of [`forward`] by scale and bias; `grad` holds that by the output and gets that by `x`.
pub(crate) fn backward(
    x: &[f32],
    shape: &[usize],
    scale: &[f32],
    statistics: &Statistics,
    epsilon: f32,
    grad: &mut [f32],
) -> (Vec<f32>, Vec<f32>) {
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
    if plane > 0 {
        let sample = channels * plane;
        grad.par_chunks_mut(sample)
            .zip(x.par_chunks(sample))
            .for_each(|(grad, x)| {
                for (c, (grad, x)) in grad.chunks_mut(plane).zip(x.chunks(plane)).enumerate() {
                    let [a, b, offset] = factors[c];
                    for (grad, &x) in grad.iter_mut().zip(x) {
                        *grad = a * *grad + b * x + offset;
                    }
                }
            });
    }
    (scale_grad, bias_grad)
}

/// Mean and inverse standard deviation of a row.
fn of_row(row: &[f32], epsilon: f32) -> (f32, f32) {
    let count = row.len().max(1) as f32;
    let mean = sum(row) / count;
    let variance = dot_around(row, mean, row, mean) / count;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

/// Layer normalization (Ba et al., "Layer Normalization", 2016) of rows as wide as `scale`; `out` holds `x` and gets the result.
pub(crate) fn rows(out: &mut [f32], scale: &[f32], bias: Option<&[f32]>, epsilon: f32) {
    let width = scale.len();
    if width == 0 {
        return;
    }
    out.par_chunks_mut(rows_of(width) * width).for_each(|rows| {
        for row in rows.chunks_exact_mut(width) {
            let (mean, inverse) = of_row(row, epsilon);
            for (v, scale) in row.iter_mut().zip(scale) {
                *v = (*v - mean) * inverse * scale;
            }
            if let Some(bias) = bias {
                row.iter_mut().zip(bias).for_each(|(v, bias)| *v += bias);
            }
        }
    });
}

/// Gradients of [`rows`] by scale and bias; `grad` holds that by the output and gets that by `x`.
pub(crate) fn rows_back(
    grad: &mut [f32],
    x: &[f32],
    scale: &[f32],
    epsilon: f32,
) -> (Vec<f32>, Vec<f32>) {
    let width = scale.len();
    if width == 0 {
        return (Vec::new(), Vec::new());
    }
    let piece = rows_of(width) * width;
    let parts: Vec<(Vec<f32>, Vec<f32>)> = grad
        .par_chunks_mut(piece)
        .zip(x.par_chunks(piece))
        .map(|(grad, x)| {
            let (mut by_scale, mut by_bias) = (vec![0.0; width], vec![0.0; width]);
            let mut scaled = vec![0.0; width];
            for (grad, x) in grad.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
                let (mean, inverse) = of_row(x, epsilon);
                for (i, (&g, &x)) in grad.iter().zip(x).enumerate() {
                    by_scale[i] += g * (x - mean) * inverse;
                    by_bias[i] += g;
                    scaled[i] = g * scale[i];
                }
                // ∂x = (s − mean(s) − x̂ · mean(s·x̂)) / σ with s = ∂y · scale.
                let count = width as f32;
                let centre = sum(&scaled) / count;
                let along = dot_around(&scaled, 0.0, x, mean) * inverse / count;
                for ((grad, s), x) in grad.iter_mut().zip(&scaled).zip(x) {
                    *grad = (s - centre - (x - mean) * inverse * along) * inverse;
                }
            }
            (by_scale, by_bias)
        })
        .collect();
    let (mut by_scale, mut by_bias) = (vec![0.0; width], vec![0.0; width]);
    for (scales, biases) in parts {
        by_scale.iter_mut().zip(scales).for_each(|(a, b)| *a += b);
        by_bias.iter_mut().zip(biases).for_each(|(a, b)| *a += b);
    }
    (by_scale, by_bias)
}
