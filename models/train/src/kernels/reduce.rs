//! Sums, largest elements and softmax along an axis.

use rayon::prelude::*;
use rten_simd::SimdOp;
use rten_vecmath::{LogSoftmax, Softmax};

use super::layout::{permuted, reversed};
use super::sums::sum as sum_of;
use super::{PIECE, rows_of};
use crate::array::{Array, around, resized};

/// The sum along `axis`, whose extent becomes 1.
pub(crate) fn sum(x: &Array, axis: usize) -> Array {
    let (_, along, behind) = around(x.shape(), axis);
    let shape = resized(x.shape(), axis, 1);
    let values = x.values();
    Array::written(&shape, |out| sum_planes(values, along, behind, out))
}

/// Sums of the `along` rows of `behind` elements in each plane of `values`.
fn sum_planes(values: &[f32], along: usize, behind: usize, out: &mut [f32]) {
    if along == 0 || values.is_empty() {
        return out.fill(0.0);
    }
    if behind == 1 {
        let rows = rows_of(along);
        return out
            .par_chunks_mut(rows)
            .zip(values.par_chunks(rows * along))
            .for_each(|(out, values)| {
                for (out, row) in out.iter_mut().zip(values.chunks_exact(along)) {
                    *out = sum_of(row);
                }
            });
    }
    let plane = |out: &mut [f32], values: &[f32], from: usize| {
        out.copy_from_slice(&values[from..][..out.len()]);
        for row in values.chunks_exact(behind).skip(1) {
            out.iter_mut()
                .zip(&row[from..])
                .for_each(|(sum, v)| *sum += v);
        }
    };
    // Columns are summed apart, so that one large plane has work for several threads; each in the same order.
    let columns = rows_of(along).min(behind);
    out.par_chunks_mut(behind)
        .zip(values.par_chunks(along * behind))
        .for_each(|(out, values)| {
            if values.len() <= 2 * PIECE {
                plane(out, values, 0);
            } else {
                out.par_chunks_mut(columns)
                    .enumerate()
                    .for_each(|(i, out)| plane(out, values, i * columns));
            }
        });
}

/// `x` summed over the axes whose extent is 1 in `shape`.
pub(crate) fn sum_to(x: Array, shape: &[usize]) -> Array {
    let mut x = x;
    // Neighbouring axes are summed as one.
    let mut axis = shape.len();
    while axis > 0 {
        axis -= 1;
        if shape[axis] != 1 || x.shape()[axis] == 1 {
            continue;
        }
        let end = axis + 1;
        while axis > 0 && shape[axis - 1] == 1 {
            axis -= 1;
        }
        let before = x.shape().to_vec();
        let together: usize = before[axis..end].iter().product();
        let mut flat = before[..axis].to_vec();
        flat.push(together);
        flat.extend(&before[end..]);
        let mut after = before.clone();
        after[axis..end].fill(1);
        x = sum(&x.reshaped(&flat), axis).reshaped(&after);
    }
    x
}

/// The largest element along `axis`, whose extent becomes 1, and the index of the first of them.
pub(crate) fn largest(x: &Array, axis: usize) -> (Array, Vec<usize>) {
    let (before, along, behind) = around(x.shape(), axis);
    let values = x.values();
    let mut indices = vec![0; before * behind];
    let out = Array::written(&resized(x.shape(), axis, 1), |out| {
        for (plane, (out, indices)) in out
            .chunks_mut(behind.max(1))
            .zip(indices.chunks_mut(behind.max(1)))
            .enumerate()
        {
            let values = &values[plane * along * behind..][..along * behind];
            out.fill(f32::NEG_INFINITY);
            for (row, values) in values.chunks_exact(behind.max(1)).enumerate() {
                for ((out, index), &v) in out.iter_mut().zip(indices.iter_mut()).zip(values) {
                    if v > *out || v.is_nan() && !out.is_nan() {
                        (*out, *index) = (v, row);
                    }
                }
            }
        }
    });
    (out, indices)
}

/// The gradient by `x` of [`largest`].
pub(crate) fn largest_back(
    gradient: &Array,
    indices: &[usize],
    shape: &[usize],
    axis: usize,
) -> Array {
    let (_, along, behind) = around(shape, axis);
    let mut out = Array::filled(shape, 0.0);
    let values = out.values_mut();
    for (at, (&g, &row)) in gradient.values().iter().zip(indices).enumerate() {
        let (plane, column) = (at / behind, at % behind);
        values[(plane * along + row) * behind + column] = g;
    }
    out
}

/// `f` on each line along `axis` of `x`.
fn lines(x: Array, axis: usize, f: impl Fn(&mut [f32]) + Sync) -> Array {
    let order = last(x.shape().len(), axis);
    let mut x = permuted(x, &order);
    let (rows, along) = rows(x.shape());
    x.values_mut()
        .par_chunks_mut(rows * along)
        .for_each(|rows| rows.chunks_exact_mut(along).for_each(&f));
    permuted(x, &reversed(&order))
}

/// As [`lines`], with the same lines of `other`.
fn lines2(x: Array, other: &Array, axis: usize, f: impl Fn(&mut [f32], &[f32]) + Sync) -> Array {
    let order = last(x.shape().len(), axis);
    let (mut x, other) = (permuted(x, &order), permuted(other.clone(), &order));
    let (rows, along) = rows(x.shape());
    x.values_mut()
        .par_chunks_mut(rows * along)
        .zip(other.values().par_chunks(rows * along))
        .for_each(|(rows, other)| {
            let other = other.chunks_exact(along);
            rows.chunks_exact_mut(along)
                .zip(other)
                .for_each(|(row, other)| f(row, other));
        });
    permuted(x, &reversed(&order))
}

/// The order of `rank` axes in which `axis` is the last.
fn last(rank: usize, axis: usize) -> Vec<usize> {
    (0..rank).filter(|&i| i != axis).chain([axis]).collect()
}

/// How many lines along the last axis of a shape are worth a thread's while, and their length.
fn rows(shape: &[usize]) -> (usize, usize) {
    let along = shape[shape.len() - 1].max(1);
    (rows_of(along), along)
}

/// `eˣ / Σ eˣ` along `axis`.
pub(crate) fn softmax(x: Array, axis: usize) -> Array {
    lines(x, axis, |line| {
        Softmax::new_mut(line).dispatch();
    })
}

/// The gradient by `x` of [`softmax`], whose result was `y`: `y · (g − Σ g·y)`.
pub(crate) fn softmax_back(gradient: Array, y: &Array, axis: usize) -> Array {
    lines2(gradient, y, axis, |g, y| {
        let product = super::sums::dot_around(g, 0.0, y, 0.0);
        g.iter_mut()
            .zip(y)
            .for_each(|(g, y)| *g = y * (*g - product));
    })
}

/// `x − log Σ eˣ` along `axis`.
pub(crate) fn log_softmax(x: Array, axis: usize) -> Array {
    lines(x, axis, |line| {
        LogSoftmax::new_mut(line).dispatch();
    })
}

/// The gradient by `x` of [`log_softmax`], whose result was `y`: `g − eʸ · Σ g`.
pub(crate) fn log_softmax_back(gradient: Array, y: &Array, axis: usize) -> Array {
    lines2(gradient, y, axis, |g, y| {
        let sum = sum_of(g);
        g.iter_mut().zip(y).for_each(|(g, y)| *g -= y.exp() * sum);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_along_each_axis() {
        let x = Array::counted(&[2, 3, 2]);
        assert_eq!(sum(&x, 0).values(), [6., 8., 10., 12., 14., 16.]);
        assert_eq!(sum(&x, 1).values(), [6., 9., 24., 27.]);
        assert_eq!(sum(&x, 2).values(), [1., 5., 9., 13., 17., 21.]);
        assert_eq!(sum_to(x.clone(), &[1, 3, 1]).values(), [14., 22., 30.]);
        assert_eq!(sum_to(x.clone(), &[1, 1, 2]).values(), [30., 36.]);
        assert_eq!(sum_to(x.clone(), &[1, 1, 1]).values(), [66.]);
        assert_eq!(sum_to(x.clone(), &[2, 3, 2]).values(), x.values());
        assert_eq!(sum(&Array::counted(&[2, 0, 2]), 1).values(), [0.; 4]);
    }

    #[test]
    fn sums_of_large_planes_are_those_of_their_rows() {
        let x = Array::counted(&[300, 400]);
        let columns: Vec<f32> = (0..400)
            .map(|c| (0..300).map(|r| x.values()[r * 400 + c]).sum())
            .collect();
        assert_eq!(sum(&x, 0).values(), columns);
    }

    #[test]
    fn the_first_of_the_largest_gets_the_gradient() {
        let x = Array::new(vec![1., 3., 3., 2., 2., 0.], &[2, 3]);
        let (y, indices) = largest(&x, 1);
        assert_eq!((y.values(), &indices[..]), (&[3., 2.][..], &[1, 0][..]));
        let g = largest_back(&Array::new(vec![5., 7.], &[2, 1]), &indices, &[2, 3], 1);
        assert_eq!(g.values(), [0., 5., 0., 7., 0., 0.]);
        let (y, _) = largest(&x, 0);
        assert_eq!(y.values(), [2., 3., 3.]);
    }

    #[test]
    fn softmax_works_along_any_axis() {
        let x = Array::new(vec![0., 3f32.ln(), 0., 0.], &[2, 2]);
        let close = |found: &[f32], expected: [f32; 4]| {
            let close = found
                .iter()
                .zip(expected)
                .all(|(a, b)| (a - b).abs() < 1e-6);
            assert!(close, "{found:?}");
        };
        close(softmax(x.clone(), 1).values(), [0.25, 0.75, 0.5, 0.5]);
        close(softmax(x, 0).values(), [0.5, 0.75, 0.5, 0.25]);
    }
}
