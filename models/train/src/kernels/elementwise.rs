//! Element by element: maps of one array, and of two whose axes of extent 1 broadcast.

use rayon::prelude::*;
use rten_simd::SimdUnaryOp;
use rten_vecmath::{Erf, Exp};

use super::PIECE;
use super::reduce::sum_to;
use crate::array::Array;

/// `change` applied to pieces of the elements of `x`.
pub(crate) fn changed(mut x: Array, change: impl Fn(&mut [f32]) + Sync + Send) -> Array {
    let values = x.values_mut();
    if values.len() <= 2 * PIECE {
        change(values);
    } else {
        values.par_chunks_mut(PIECE).for_each(&change);
    }
    x
}

/// `f(x)`.
pub(crate) fn map(mut x: Array, f: impl Fn(f32) -> f32 + Sync) -> Array {
    if x.alone().is_some() {
        return changed(x, |piece| piece.iter_mut().for_each(|v| *v = f(*v)));
    }
    let from = x.values();
    Array::written(x.shape(), |out| {
        pieces(out, from, |out, from| {
            out.iter_mut().zip(from).for_each(|(out, v)| *out = f(*v));
        });
    })
}

/// `f(x, y)` for arrays of one shape.
pub(crate) fn zip(mut x: Array, y: &Array, f: impl Fn(f32, f32) -> f32 + Sync) -> Array {
    let from = y.values();
    if let Some(values) = x.alone() {
        pieces(values, from, |x, y| {
            x.iter_mut().zip(y).for_each(|(x, y)| *x = f(*x, *y));
        });
        return x;
    }
    let left = x.values();
    Array::written(x.shape(), |out| {
        pieces2(out, left, from, |out, x, y| {
            for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
                *out = f(*x, *y);
            }
        });
    })
}

/// `sum + part` for arrays of one shape.
pub(crate) fn add_to(sum: Array, part: &Array) -> Array {
    zip(sum, part, |a, b| a + b)
}

fn pieces(out: &mut [f32], from: &[f32], f: impl Fn(&mut [f32], &[f32]) + Sync) {
    if out.len() <= 2 * PIECE {
        f(out, from);
    } else {
        let from = from.par_chunks(PIECE);
        out.par_chunks_mut(PIECE)
            .zip(from)
            .for_each(|(out, from)| f(out, from));
    }
}

fn pieces2(out: &mut [f32], x: &[f32], y: &[f32], f: impl Fn(&mut [f32], &[f32], &[f32]) + Sync) {
    if out.len() <= 2 * PIECE {
        f(out, x, y);
    } else {
        let from = x.par_chunks(PIECE).zip(y.par_chunks(PIECE));
        out.par_chunks_mut(PIECE)
            .zip(from)
            .for_each(|(out, (x, y))| f(out, x, y));
    }
}

/// The shape that two shapes of one rank broadcast to.
pub(crate) fn joined(a: &[usize], b: &[usize]) -> Vec<usize> {
    a.iter()
        .zip(b)
        .map(|(&a, &b)| if a == 1 { b } else { a })
        .collect()
}

/// `f(a, b)` for arrays of one rank, whose axes of extent 1 broadcast.
pub(crate) fn broadcast(a: Array, b: &Array, f: impl Fn(f32, f32) -> f32 + Sync) -> Array {
    if a.shape() == b.shape() {
        return zip(a, b, f);
    }
    let shape = joined(a.shape(), b.shape());
    let runs = Runs::new(&shape, a.shape(), b.shape());
    if a.shape() == shape {
        // In place, where nothing else reads it.
        let mut a = a;
        runs.each(a.values_mut(), |out, _, at| {
            runs.second.of(b.values(), at, out, &f);
        });
        return a;
    }
    Array::written(&shape, |out| {
        runs.each(out, |out, first, second| {
            runs.first.of(a.values(), first, out, |_, x| x);
            runs.second.of(b.values(), second, out, &f);
        });
    })
}

/// `x` repeated along its axes of extent 1 up to `shape`.
pub(crate) fn expanded(x: &Array, shape: &[usize]) -> Array {
    let runs = Runs::new(shape, x.shape(), x.shape());
    Array::written(shape, |out| {
        runs.each(out, |out, at, _| {
            runs.first.of(x.values(), at, out, |_, x| x)
        });
    })
}

/// How an operand is read along the innermost run of a broadcast.
#[derive(Clone, Copy, PartialEq)]
enum Reading {
    /// Its elements in turn.
    Along,
    /// One element all the time.
    Still,
}

impl Reading {
    fn of(self, values: &[f32], at: usize, out: &mut [f32], f: impl Fn(f32, f32) -> f32) {
        match self {
            Self::Along => {
                let from = &values[at..][..out.len()];
                out.iter_mut().zip(from).for_each(|(x, y)| *x = f(*x, *y));
            }
            Self::Still => {
                let y = values[at];
                out.iter_mut().for_each(|x| *x = f(*x, y));
            }
        }
    }
}

/// A broadcast as runs along which both operands are read one way; neighbouring axes that are read alike are one.
struct Runs {
    /// Extents outside the innermost run, with the strides of both operands.
    outer: Vec<(usize, [usize; 2])>,
    len: usize,
    first: Reading,
    second: Reading,
}

impl Runs {
    fn new(shape: &[usize], a: &[usize], b: &[usize]) -> Self {
        // Backwards, axes of extent 1 left out: extent, and whether each operand moves along.
        let mut axes: Vec<(usize, [bool; 2])> = Vec::new();
        for axis in (0..shape.len()).rev().filter(|&axis| shape[axis] != 1) {
            let moves = [a[axis] != 1, b[axis] != 1];
            match axes.last_mut() {
                Some((extent, before)) if *before == moves => *extent *= shape[axis],
                _ => axes.push((shape[axis], moves)),
            }
        }
        let mut axes = axes.into_iter();
        let (len, moves) = axes.next().unwrap_or((1, [false; 2]));
        let reading = |moves| {
            if moves {
                Reading::Along
            } else {
                Reading::Still
            }
        };
        let mut strides = moves.map(|moves| if moves { len } else { 1 });
        let mut outer: Vec<_> = axes
            .map(|(extent, moves)| {
                let own = std::array::from_fn(|i| if moves[i] { strides[i] } else { 0 });
                for (stride, moves) in strides.iter_mut().zip(moves) {
                    *stride *= if moves { extent } else { 1 };
                }
                (extent, own)
            })
            .collect();
        outer.reverse();
        Self {
            outer,
            len,
            first: reading(moves[0]),
            second: reading(moves[1]),
        }
    }

    /// Calls `f` for each run of `out`, with where it begins in both operands.
    fn each(&self, out: &mut [f32], f: impl Fn(&mut [f32], usize, usize) + Sync) {
        if self.len == 0 || out.is_empty() {
            return;
        }
        let some = |first: usize, out: &mut [f32]| {
            for (i, out) in out.chunks_exact_mut(self.len).enumerate() {
                let (mut row, mut at) = (first + i, [0; 2]);
                for (extent, strides) in self.outer.iter().rev() {
                    let index = row % extent;
                    row /= extent;
                    at = [at[0] + index * strides[0], at[1] + index * strides[1]];
                }
                f(out, at[0], at[1]);
            }
        };
        if out.len() <= 2 * PIECE {
            return some(0, out);
        }
        let rows = super::rows_of(self.len);
        out.par_chunks_mut(rows * self.len)
            .enumerate()
            .for_each(|(piece, out)| some(piece * rows, out));
    }
}

/// The gradient by an operand of a broadcast: `f(gradient, other)`, summed over the axes along which the operand of the given shape was
/// repeated.
pub(crate) fn broadcast_back(
    gradient: &Array,
    other: &Array,
    shape: &[usize],
    f: impl Fn(f32, f32) -> f32 + Sync,
) -> Array {
    sum_to(broadcast(gradient.clone(), other, f), shape)
}

/// The normal distribution's Φ at `x` and, where asked for, the derivative of `x · Φ(x)`.
fn normal(x: &[f32], mut f: impl FnMut(usize, f32, f32)) {
    const STRETCH: usize = 256;
    for (stretch, x) in x.chunks(STRETCH).enumerate() {
        let (mut erf, mut density) = ([0.0; STRETCH], [0.0; STRETCH]);
        let (erf, density) = (&mut erf[..x.len()], &mut density[..x.len()]);
        for ((erf, density), x) in erf.iter_mut().zip(density.iter_mut()).zip(x) {
            *erf = x * std::f32::consts::FRAC_1_SQRT_2;
            *density = -0.5 * x * x;
        }
        Erf {}.map_mut(erf);
        Exp {}.map_mut(density);
        for (i, (erf, density)) in erf.iter().zip(density.iter()).enumerate() {
            const SCALE: f32 = 0.398_942_3; // 1 / √(2π)
            f(stretch * STRETCH + i, 0.5 * (1.0 + erf), SCALE * density);
        }
    }
}

/// `x · Φ(x)`.
pub(crate) fn gelu(x: &Array) -> Array {
    let from = x.values();
    Array::written(x.shape(), |out| {
        pieces(out, from, |out, x| {
            normal(x, |i, share, _| out[i] = x[i] * share);
        });
    })
}

/// The gradient by `x` of [`gelu`].
pub(crate) fn gelu_back(mut gradient: Array, x: &Array) -> Array {
    pieces(gradient.values_mut(), x.values(), |gradient, x| {
        normal(x, |i, share, density| gradient[i] *= share + x[i] * density);
    });
    gradient
}

/// The gradient by `x` of the error function: `gradient · 2/√π · e^(−x²)`.
pub(crate) fn erf_back(gradient: Array, x: &Array) -> Array {
    let slope = changed(map(x.clone(), |x| -x * x), |piece| Exp {}.map_mut(piece));
    zip(gradient, &slope, |g, s| {
        g * s * std::f32::consts::FRAC_2_SQRT_PI
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Broadcasting by the definition.
    fn slow(a: &Array, b: &Array) -> Vec<f32> {
        let shape = joined(a.shape(), b.shape());
        let at = |x: &Array, index: &[usize]| {
            let place = index.iter().zip(x.shape());
            let place = place.fold(0, |at, (&i, &extent)| at * extent + i.min(extent - 1));
            x.values()[place]
        };
        let mut out = Vec::new();
        for n in 0..shape.iter().product() {
            let (mut n, mut index) = (n, vec![0; shape.len()]);
            for axis in (0..shape.len()).rev() {
                (index[axis], n) = (n % shape[axis], n / shape[axis]);
            }
            out.push(at(a, &index) - 3.0 * at(b, &index));
        }
        out
    }

    #[test]
    fn operands_broadcast_along_any_axes() {
        for (a, b) in [
            (&[2, 3, 4][..], &[2, 3, 4][..]),
            (&[2, 3, 4], &[1, 1, 4]),
            (&[2, 3, 4], &[1, 3, 1]),
            (&[2, 1, 4], &[1, 3, 1]),
            (&[1, 3, 1], &[2, 1, 4]),
            (&[1, 1, 1], &[2, 3, 4]),
            (&[5, 1, 2, 1, 3], &[1, 4, 2, 6, 1]),
            (&[300, 200], &[300, 1]),
            (&[300, 200], &[1, 200]),
            (&[], &[]),
        ] {
            let (a, b) = (Array::counted(a), Array::counted(b));
            let expected = slow(&a, &b);
            let found = broadcast(a.clone(), &b, |x, y| x - 3.0 * y);
            assert_eq!(found.values(), expected, "{:?} {:?}", a.shape(), b.shape());
            assert_eq!(found.shape(), joined(a.shape(), b.shape()));
        }
    }

    #[test]
    fn a_shared_array_is_not_changed() {
        let x = Array::counted(&[4]);
        let doubled = map(x.clone(), |v| 2.0 * v);
        assert_eq!(x.values(), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(doubled.values(), [0.0, 2.0, 4.0, 6.0]);
    }

    #[test]
    fn expanded_rows_repeat() {
        let x = Array::new(vec![1.0, 2.0], &[2, 1]);
        assert_eq!(expanded(&x, &[2, 3]).values(), [1., 1., 1., 2., 2., 2.]);
    }
}
