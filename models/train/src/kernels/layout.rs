//! Moving elements: permuting, cutting, padding and gathering.

use lapidary_graph::tape::Cut;

use super::PIECE;
use crate::array::{Array, around, resized};
use rayon::prelude::*;

/// The distance in a row-major tensor between neighbours along each axis.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// Where each row along the last axis of a view begins: calls `f` with the number of the row and its place.
fn rows(extents: &[usize], strides: &[usize], start: usize, mut f: impl FnMut(usize, usize)) {
    let outer = &extents[..extents.len().saturating_sub(1)];
    let mut index = vec![0; outer.len()];
    let mut at = start;
    for row in 0..outer.iter().product() {
        f(row, at);
        for axis in (0..outer.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < outer[axis] {
                break;
            }
            at -= strides[axis] * outer[axis];
            index[axis] = 0;
        }
    }
}

/// A view on a row-major tensor.
struct View {
    extents: Vec<usize>,
    strides: Vec<usize>,
    start: usize,
}

impl View {
    /// A view along one more axis where there is none, so that there is a last one.
    fn new(extents: &[usize], strides: &[usize], start: usize) -> Self {
        let (mut extents, mut strides) = (extents.to_vec(), strides.to_vec());
        if extents.is_empty() {
            (extents, strides) = (vec![1], vec![1]);
        }
        Self {
            extents,
            strides,
            start,
        }
    }

    fn last(&self) -> (usize, usize) {
        let last = self.extents.len() - 1;
        (self.extents[last], self.strides[last])
    }

    /// The elements seen, row by row.
    fn read(&self, from: &[f32], out: &mut [f32]) {
        if out.is_empty() {
            return;
        }
        let (len, stride) = self.last();
        let copy = |out: &mut [f32], at: usize| {
            if stride == 1 {
                out.copy_from_slice(&from[at..][..len]);
            } else {
                let from = from[at..].iter().step_by(stride);
                out.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            }
        };
        let outer: usize = self.extents[0];
        if out.len() <= 2 * PIECE || self.extents.len() == 1 || outer == 1 {
            rows(&self.extents, &self.strides, self.start, |row, at| {
                copy(&mut out[row * len..][..len], at);
            });
            return;
        }
        let inner = out.len() / outer;
        out.par_chunks_mut(inner)
            .enumerate()
            .for_each(|(index, out)| {
                let start = self.start + index * self.strides[0];
                rows(&self.extents[1..], &self.strides[1..], start, |row, at| {
                    copy(&mut out[row * len..][..len], at);
                });
            });
    }

    /// Writes `from`, row by row, to the elements seen.
    fn write(&self, from: &[f32], out: &mut [f32]) {
        if from.is_empty() {
            return;
        }
        let (len, stride) = self.last();
        rows(&self.extents, &self.strides, self.start, |row, at| {
            let from = &from[row * len..][..len];
            if stride == 1 {
                out[at..][..len].copy_from_slice(from);
            } else {
                let to = out[at..].iter_mut().step_by(stride);
                to.zip(from).for_each(|(to, from)| *to = *from);
            }
        });
    }
}

/// Axis `order[i]` of `x` becomes axis `i`.
pub(crate) fn permuted(x: Array, order: &[usize]) -> Array {
    if order.is_sorted() {
        return x;
    }
    let own = strides(x.shape());
    let shape: Vec<usize> = order.iter().map(|&axis| x.shape()[axis]).collect();
    let strides: Vec<usize> = order.iter().map(|&axis| own[axis]).collect();
    let view = View::new(&shape, &strides, 0);
    Array::written(&shape, |out| view.read(x.values(), out))
}

/// The order that takes a permutation back.
pub(crate) fn reversed(order: &[usize]) -> Vec<usize> {
    let mut back = vec![0; order.len()];
    for (to, &from) in order.iter().enumerate() {
        back[from] = to;
    }
    back
}

/// What is kept of a tensor of the given shape, as a view and its shape.
fn cut_view(shape: &[usize], cuts: &[Cut]) -> (View, Vec<usize>) {
    let own = strides(shape);
    let kept: Vec<usize> = cuts
        .iter()
        .map(|cut| cut.end.saturating_sub(cut.start).div_ceil(cut.step))
        .collect();
    let strides: Vec<usize> = own.iter().zip(cuts).map(|(s, cut)| s * cut.step).collect();
    let start = own.iter().zip(cuts).map(|(s, cut)| s * cut.start).sum();
    (View::new(&kept, &strides, start), kept)
}

/// A cut along each axis of `x`.
pub(crate) fn cut(x: &Array, cuts: &[Cut]) -> Array {
    let (view, shape) = cut_view(x.shape(), cuts);
    Array::written(&shape, |out| view.read(x.values(), out))
}

/// The gradient by `x`, of the given shape, of [`cut`].
pub(crate) fn cut_back(gradient: &Array, shape: &[usize], cuts: &[Cut]) -> Array {
    let mut out = Array::filled(shape, 0.0);
    cut_view(shape, cuts)
        .0
        .write(gradient.values(), out.values_mut());
    out
}

/// The cuts that take off `(before, behind)` elements around each axis of a tensor of the given shape with them.
pub(crate) fn inside(shape: &[usize], sizes: &[(usize, usize)]) -> Vec<Cut> {
    let cut = |(&extent, &(before, behind)): (&usize, &(usize, usize))| Cut {
        start: before,
        end: extent - behind,
        step: 1,
    };
    shape.iter().zip(sizes).map(cut).collect()
}

/// `x` with `(before, behind)` elements of `value` around each axis.
pub(crate) fn padded(x: &Array, sizes: &[(usize, usize)], value: f32) -> Array {
    let shape: Vec<usize> = x
        .shape()
        .iter()
        .zip(sizes)
        .map(|(extent, (before, behind))| extent + before + behind)
        .collect();
    let mut out = Array::filled(&shape, value);
    cut_view(&shape, &inside(&shape, sizes))
        .0
        .write(x.values(), out.values_mut());
    out
}

/// Arrays one behind the other along `axis`.
pub(crate) fn concatenated(parts: &[Array], axis: usize) -> Array {
    let extent = parts.iter().map(|part| part.shape()[axis]).sum();
    let shape = resized(parts[0].shape(), axis, extent);
    let (before, _, behind) = around(&shape, axis);
    Array::written(&shape, |out| {
        let mut rest = out;
        for plane in 0..before {
            for part in parts {
                let len = part.shape()[axis] * behind;
                let (to, after) = rest.split_at_mut(len);
                to.copy_from_slice(&part.values()[plane * len..][..len]);
                rest = after;
            }
        }
    })
}

/// The parts of a tensor that [`concatenated`] put one behind the other, with the given extents along `axis`.
pub(crate) fn parted(x: &Array, axis: usize, extents: &[usize]) -> Vec<Array> {
    let mut start = 0;
    let whole = |&extent: &usize| Cut {
        start: 0,
        end: extent,
        step: 1,
    };
    extents
        .iter()
        .map(|extent| {
            let mut cuts: Vec<Cut> = x.shape().iter().map(whole).collect();
            cuts[axis] = Cut {
                start,
                end: start + extent,
                step: 1,
            };
            start += extent;
            cut(x, &cuts)
        })
        .collect()
}

/// The slices of `x` at `indices` along `axis`.
pub(crate) fn gathered(x: &Array, axis: usize, indices: &[usize]) -> Array {
    let (before, along, behind) = around(x.shape(), axis);
    let shape = resized(x.shape(), axis, indices.len());
    let values = x.values();
    Array::written(&shape, |out| {
        let mut to = out.chunks_exact_mut(behind.max(1));
        for plane in 0..before {
            for (index, to) in indices.iter().zip(to.by_ref()) {
                to.copy_from_slice(&values[(plane * along + index) * behind..][..behind]);
            }
        }
    })
}

/// The gradient by `x`, of the given shape, of [`gathered`]: slices read several times add up.
pub(crate) fn gathered_back(
    gradient: &Array,
    shape: &[usize],
    axis: usize,
    indices: &[usize],
) -> Array {
    let (before, along, behind) = around(shape, axis);
    let mut out = Array::filled(shape, 0.0);
    let values = out.values_mut();
    let mut from = gradient.values().chunks_exact(behind.max(1));
    for plane in 0..before {
        for (index, from) in indices.iter().zip(from.by_ref()) {
            let to = &mut values[(plane * along + index) * behind..][..behind];
            to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_and_its_reverse() {
        let x = Array::counted(&[2, 3, 4]);
        let turned = permuted(x.clone(), &[2, 0, 1]);
        assert_eq!(turned.shape(), [4, 2, 3]);
        assert_eq!(turned.values()[..6], [0., 4., 8., 12., 16., 20.]);
        let back = permuted(turned.clone(), &reversed(&[2, 0, 1]));
        assert_eq!(back.values(), x.values());
        let large = Array::counted(&[40, 30, 50]);
        let turned = permuted(large.clone(), &[1, 2, 0]);
        assert_eq!(
            permuted(turned.clone(), &[2, 0, 1]).values(),
            large.values()
        );
    }

    #[test]
    fn cuts_and_paddings_are_each_others_way_back() {
        let x = Array::counted(&[3, 5]);
        let cuts = [
            Cut {
                start: 1,
                end: 3,
                step: 1,
            },
            Cut {
                start: 0,
                end: 5,
                step: 2,
            },
        ];
        let kept = cut(&x, &cuts);
        assert_eq!(kept.values(), [5., 7., 9., 10., 12., 14.]);
        let back = cut_back(&kept, &[3, 5], &cuts);
        assert_eq!(back.values()[5..10], [5., 0., 7., 0., 9.]);
        let sizes = [(1, 0), (0, 2)];
        let wide = padded(&kept, &sizes, -1.0);
        assert_eq!(wide.shape(), [3, 5]);
        assert_eq!(wide.values()[5..10], [5., 7., 9., -1., -1.]);
        let inner = cut(&wide, &inside(wide.shape(), &sizes));
        assert_eq!(inner.values(), kept.values());
    }

    #[test]
    fn parts_are_joined_and_parted() {
        let (a, b) = (Array::counted(&[2, 1, 2]), Array::counted(&[2, 2, 2]));
        let joined = concatenated(&[a.clone(), b.clone()], 1);
        assert_eq!(joined.values()[..6], [0., 1., 0., 1., 2., 3.]);
        let parts = parted(&joined, 1, &[1, 2]);
        assert_eq!(parts[0].values(), a.values());
        assert_eq!(parts[1].values(), b.values());
    }

    #[test]
    fn slices_that_are_read_twice_add_up() {
        let x = Array::counted(&[2, 3]);
        let y = gathered(&x, 1, &[2, 0, 2]);
        assert_eq!(y.values(), [2., 0., 2., 5., 3., 5.]);
        let g = gathered_back(&Array::filled(&[2, 3], 1.0), &[2, 3], 1, &[2, 0, 2]);
        assert_eq!(g.values(), [1., 0., 2., 1., 0., 2.]);
    }

    #[test]
    fn a_scalar_is_a_view_too() {
        let x = Array::new(vec![7.0], &[]);
        assert_eq!(permuted(x.clone(), &[]).values(), [7.0]);
        assert_eq!(cut(&x, &[]).values(), [7.0]);
    }
}
