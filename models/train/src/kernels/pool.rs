//! Pooling: the largest element and the mean of each window.

use lapidary_graph::window::Window;
use rayon::prelude::*;

use super::rows_of;
use crate::array::Array;

/// Marks an output whose window lies in the padding alone.
const NOWHERE: u32 = u32::MAX;

/// Taps along one axis of window number `output`, as the inputs they fall on.
fn inputs(window: &Window, axis: usize, output: usize) -> impl Iterator<Item = usize> {
    let (before, extent) = (window.before[axis], window.input[axis]);
    let start = output * window.stride[axis];
    let dilation = window.dilation[axis];
    (0..window.kernel[axis])
        .map(move |tap| start + tap * dilation)
        .filter(move |&at| at >= before && at < before + extent)
        .map(move |at| at - before)
}

/// The inputs that the taps of each window fall on, window by window.
fn windows(window: &Window) -> impl Iterator<Item = impl Iterator<Item = usize>> {
    let place = |row: usize, column: usize| row * window.input[1] + column;
    (0..window.output[0]).flat_map(move |y| {
        (0..window.output[1]).map(move |x| {
            inputs(window, 0, y)
                .flat_map(move |row| inputs(window, 1, x).map(move |column| place(row, column)))
        })
    })
}

/// The shape of `x` `[batch, channels, height, width]` behind the windows.
fn shape(x: &[usize], window: &Window) -> [usize; 4] {
    [x[0], x[1], window.output[0], window.output[1]]
}

/// Calls `f` with each plane of `out` and of `from`, several of them in a thread.
fn planes<T: Send, U: Sync>(
    (out, out_plane): (&mut [T], usize),
    (from, plane): (&[U], usize),
    f: impl Fn(&mut [T], &[U]) + Sync,
) {
    if out_plane == 0 || plane == 0 {
        return;
    }
    let count = rows_of(plane.max(out_plane));
    out.par_chunks_mut(count * out_plane)
        .zip(from.par_chunks(count * plane))
        .for_each(|(out, from)| {
            let from = from.chunks_exact(plane);
            out.chunks_exact_mut(out_plane)
                .zip(from)
                .for_each(|(out, from)| f(out, from));
        });
}

/// The largest element of each window, and where in its plane it is.
pub(crate) fn largest(x: &Array, window: &Window) -> (Array, Vec<u32>) {
    let shape = shape(x.shape(), window);
    let (inner, outer) = (window.inputs(), window.outputs());
    let mut places = vec![NOWHERE; shape.iter().product()];
    planes(
        (&mut places, outer),
        (x.values(), inner),
        |places, plane| {
            for (place, taps) in places.iter_mut().zip(windows(window)) {
                let mut best = f32::NEG_INFINITY;
                for at in taps {
                    if plane[at] > best || *place == NOWHERE || plane[at].is_nan() {
                        (best, *place) = (plane[at], at as u32);
                    }
                }
            }
        },
    );
    let values = x.values();
    let out = Array::written(&shape, |out| {
        for ((out, places), plane) in out
            .chunks_mut(outer.max(1))
            .zip(places.chunks(outer.max(1)))
            .zip(values.chunks(inner.max(1)))
        {
            for (out, &place) in out.iter_mut().zip(places) {
                *out = plane
                    .get(place as usize)
                    .copied()
                    .unwrap_or(f32::NEG_INFINITY);
            }
        }
    });
    (out, places)
}

/// The gradient by `x`, of the given shape, of [`largest`].
pub(crate) fn largest_back(
    gradient: &Array,
    places: &[u32],
    shape: &[usize],
    window: &Window,
) -> Array {
    let (inner, outer) = (window.inputs(), window.outputs());
    let mut out = Array::filled(shape, 0.0);
    let each = out.values_mut().par_chunks_mut(inner.max(1));
    each.zip(gradient.values().par_chunks(outer.max(1)))
        .zip(places.par_chunks(outer.max(1)))
        .for_each(|((out, gradient), places)| {
            for (g, &place) in gradient.iter().zip(places) {
                if let Some(out) = out.get_mut(place as usize) {
                    *out += g;
                }
            }
        });
    out
}

/// The mean of each window, padding counted as zeros.
pub(crate) fn mean(x: &Array, window: &Window) -> Array {
    let share = 1.0 / window.taps() as f32;
    Array::written(&shape(x.shape(), window), |out| {
        planes(
            (out, window.outputs()),
            (x.values(), window.inputs()),
            |out, plane| {
                for (out, taps) in out.iter_mut().zip(windows(window)) {
                    *out = taps.map(|at| plane[at]).sum::<f32>() * share;
                }
            },
        );
    })
}

/// The gradient by `x`, of the given shape, of [`mean`].
pub(crate) fn mean_back(gradient: &Array, shape: &[usize], window: &Window) -> Array {
    let share = 1.0 / window.taps() as f32;
    let mut out = Array::filled(shape, 0.0);
    planes(
        (out.values_mut(), window.inputs()),
        (gradient.values(), window.outputs()),
        |out, gradient| {
            for (g, taps) in gradient.iter().zip(windows(window)) {
                taps.for_each(|at| out[at] += g * share);
            }
        },
    );
    out
}
