//! Weights as integer codes.

use std::ops::Range;

use lapidary_core::tensor::{Granularity, Quantized, Shared};
use ndarray::{ArrayD, IxDyn};

/// Largest code of a symmetric 8-bit weight. −128 is not used: codes then have a negative, and products of two such
/// weights with activations stay within what 8-bit kernels accumulate.
const MAX_CODE: f64 = 127.0;

/// `weight` in symmetric signed 8-bit codes within [−127, 127], with one scale for each index of `axis`, or one for
/// all where that is `None`. Values must be finite.
///
/// ```
/// use lapidary_core::tensor::Dense;
/// let w = Dense::f32(&[2, 2], vec![1.0, -4.0, 100.0, 30.0]).unwrap();
/// let q = lapidary_quantize::quantize_symmetric(w.as_f32().unwrap(), Some(0));
/// assert_eq!(q.codes.iter().copied().collect::<Vec<_>>(), [32, -127, 127, 38]);
/// ```
pub fn quantize_symmetric(weight: &Shared<f32>, axis: Option<usize>) -> Quantized {
    let axis = axis.filter(|&a| a < weight.ndim());
    let cut = match axis {
        Some(axis) => Cut::along(weight.shape(), axis),
        None => Cut {
            outer: 1,
            n: 1,
            inner: weight.len(),
        },
    };
    let values = weight.as_standard_layout();
    let values = values.as_slice().expect("standard layout is one slice");

    let mut largest = vec![0f32; cut.n];
    cut.runs(|_, c, run| {
        let most = values[run].iter().fold(0f32, |m, v| m.max(v.abs()));
        largest[c] = largest[c].max(most);
    });
    let scales: Vec<f32> = largest
        .iter()
        .map(|&m| symmetric_scale(f64::from(m)))
        .collect();
    let mut codes = vec![0i16; values.len()];
    cut.runs(|_, c, run| {
        let scale = f64::from(scales[c]);
        for (code, &value) in codes[run.clone()].iter_mut().zip(&values[run]) {
            *code = nearest(f64::from(value) / scale, -MAX_CODE, MAX_CODE);
        }
    });
    let scale_shape: &[usize] = if axis.is_some() { &[cut.n] } else { &[] };
    Quantized {
        codes: array(weight.shape(), codes).into_shared(),
        bits: 8,
        signed: true,
        granularity: axis.map_or(Granularity::Tensor, Granularity::Axis),
        scales: array(scale_shape, scales),
        zero_points: ArrayD::zeros(IxDyn(scale_shape)),
    }
}

/// The matrix `weight` in unsigned codes of `bits` bits with one scale and zero point for each run of `block` elements
/// along `axis`. Values must be finite.
///
/// # Panics
/// When `weight` has no such axis or `block` is 0.
pub fn quantize_blocks(weight: &Shared<f32>, axis: usize, block: usize, bits: u8) -> Quantized {
    let cut = Cut::along(weight.shape(), axis);
    let blocks = cut.n.div_ceil(block);
    let values = weight.as_standard_layout();
    let values = values.as_slice().expect("standard layout is one slice");
    let top = f64::from(Quantized::code_range(bits, false).1);

    // A run has one slot for each of its elements.
    let first = |o: usize, c: usize| (o * blocks + c / block) * cut.inner;
    let mut ranges = vec![(0f32, 0f32); cut.outer * blocks * cut.inner];
    cut.runs(|o, c, run| {
        for ((lo, hi), &v) in ranges[first(o, c)..].iter_mut().zip(&values[run]) {
            *lo = lo.min(v);
            *hi = hi.max(v);
        }
    });
    let (scales, zeros): (Vec<f32>, Vec<i16>) = ranges
        .iter()
        .map(|&(lo, hi)| affine(f64::from(lo), f64::from(hi), top))
        .unzip();
    let mut codes = vec![0i16; values.len()];
    cut.runs(|o, c, run| {
        let slots = scales[first(o, c)..].iter().zip(&zeros[first(o, c)..]);
        for ((code, &value), (&scale, &zero)) in
            codes[run.clone()].iter_mut().zip(&values[run]).zip(slots)
        {
            let (scale, shift) = (f64::from(scale), f64::from(zero));
            *code = zero + nearest(f64::from(value) / scale, -shift, top - shift);
        }
    });
    let mut scale_shape = weight.shape().to_vec();
    scale_shape[axis] = blocks;
    Quantized {
        codes: array(weight.shape(), codes).into_shared(),
        bits,
        signed: false,
        granularity: Granularity::Block { axis, size: block },
        scales: array(&scale_shape, scales),
        zero_points: array(&scale_shape, zeros),
    }
}

/// Scale and zero point for codes 0..=top over a range, widened to contain zero: with them every value of the range
/// is at most half a scale from a code.
pub(crate) fn affine(lo: f64, hi: f64, top: f64) -> (f32, i16) {
    let (lo, hi) = (lo.min(0.0), hi.max(0.0));
    if lo == hi {
        return (1.0, 0);
    }
    let scale = scale_for((hi - lo) / top);
    let zero = nearest(-lo / f64::from(scale), 0.0, top);
    let steps = f64::from(zero).max(top - f64::from(zero));
    (finite_steps(scale, steps), zero)
}

fn symmetric_scale(largest: f64) -> f32 {
    if largest == 0.0 {
        1.0
    } else {
        finite_steps(scale_for(largest / MAX_CODE), MAX_CODE)
    }
}

/// The smallest `f32` not below `exact`, at least the smallest normal one: rounding up keeps the ends of the range
/// within the codes.
fn scale_for(exact: f64) -> f32 {
    let scale = exact as f32;
    let scale = if f64::from(scale) < exact {
        scale.next_up()
    } else {
        scale
    };
    scale.max(f32::MIN_POSITIVE)
}

/// `scale`, made so much smaller that `steps` of it are still finite.
fn finite_steps(scale: f32, steps: f64) -> f32 {
    if (steps * f64::from(scale)) as f32 <= f32::MAX {
        return scale;
    }
    let mut scale = (f64::from(f32::MAX) / steps) as f32;
    while !(steps as f32 * scale).is_finite() {
        scale = scale.next_down();
    }
    scale
}

/// The integer nearest to `x`, ties to even, within bounds of absolute value below 2^15.
pub(crate) fn nearest(x: f64, lo: f64, hi: f64) -> i16 {
    // Adding 1.5 · 2^52 leaves no bits for a fraction, so the sum is rounded as IEEE 754 says: to nearest, ties to
    // even. Unlike `round_ties_even` this needs no instruction beyond the baseline of x86-64, and vectorises.
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    ((x.clamp(lo, hi) + SHIFT) - SHIFT) as i16
}

/// A row-major array seen as `[outer, n, inner]`, `n` being the axis of interest.
struct Cut {
    outer: usize,
    n: usize,
    inner: usize,
}

impl Cut {
    fn along(shape: &[usize], axis: usize) -> Self {
        Self {
            outer: shape[..axis].iter().product(),
            n: shape[axis],
            inner: shape[axis + 1..].iter().product(),
        }
    }

    /// Calls `each` with every outer index, index of the axis, and the elements there.
    fn runs(&self, mut each: impl FnMut(usize, usize, Range<usize>)) {
        for o in 0..self.outer {
            for c in 0..self.n {
                let start = (o * self.n + c) * self.inner;
                each(o, c, start..start + self.inner);
            }
        }
    }
}

fn array<T>(shape: &[usize], data: Vec<T>) -> ArrayD<T> {
    ArrayD::from_shape_vec(IxDyn(shape), data).expect("as many elements as the shape takes")
}

#[cfg(test)]
mod tests {
    use lapidary_core::tensor::Dense;
    use proptest::prelude::*;

    use super::*;

    fn tensor(shape: &[usize], data: Vec<f32>) -> Shared<f32> {
        Dense::f32(shape, data).unwrap().as_f32().unwrap().clone()
    }

    /// Checks codes, scales, |w − ŵ| ≤ scale / 2 (exactly, in f64) and that ŵ is finite and zero is exact.
    fn check(weight: &Shared<f32>, q: &Quantized) {
        let (lo, hi) = Quantized::code_range(q.bits, q.signed);
        for (index, &w) in weight.indexed_iter() {
            let code = q.codes[&index];
            let at = q.scale_index(ndarray::Dimension::slice(&index));
            let (scale, zero) = (q.scales[&at], q.zero_points[&at]);
            assert!(scale >= f32::MIN_POSITIVE && scale.is_finite());
            assert!((lo..=hi).contains(&code) && (lo..=hi).contains(&zero));
            assert!(!q.signed || (code >= -127 && zero == 0));
            let exact = f64::from(code - zero) * f64::from(scale);
            let error = (f64::from(w) - exact).abs();
            // At the very end of f32 the scale is made smaller to keep ŵ finite: that much is clipped.
            let clipped = 1e-6 * f64::from(w.abs()) * f64::from(u8::from(w.abs() > 3.4e38));
            assert!(
                error <= 0.5 * f64::from(scale) + clipped,
                "{w} became {exact}, scale {scale}"
            );
            assert!(w != 0.0 || exact == 0.0);
        }
        assert!(q.dequantize().iter().all(|v| v.is_finite()));
    }

    fn any_weight() -> impl Strategy<Value = f32> {
        prop_oneof![
            4 => -3.0f32..3.0,
            1 => Just(0.0f32),
            1 => Just(f32::from_bits(1)),
            1 => Just(f32::MIN_POSITIVE),
            1 => prop::num::f32::NORMAL,
            1 => prop::num::f32::SUBNORMAL,
        ]
    }

    proptest! {
        #[test]
        fn weights_are_within_half_a_scale(data in prop::collection::vec(any_weight(), 2 * 5 * 3)) {
            let w = tensor(&[2, 5, 3], data);
            for axis in [None, Some(0), Some(1), Some(2)] {
                check(&w, &quantize_symmetric(&w, axis));
            }
            for axis in 0..3 {
                for bits in [4, 8] {
                    check(&w, &quantize_blocks(&w, axis, 2, bits));
                }
            }
        }
    }

    #[test]
    fn extreme_tensors_have_sound_scales() {
        for data in [
            vec![f32::MAX, -f32::MAX, 1.0, 0.0],
            vec![-f32::MAX; 4],
            vec![f32::from_bits(1); 4],
            vec![0.0; 4],
            vec![-2.5; 4],
        ] {
            let w = tensor(&[4], data.clone());
            check(&w, &quantize_symmetric(&w, None));
            let w = tensor(&[2, 2], data);
            check(&w, &quantize_symmetric(&w, Some(1)));
        }
        let scalar = tensor(&[], vec![-7.0]);
        check(&scalar, &quantize_symmetric(&scalar, Some(0)));
        let empty = tensor(&[0, 3], Vec::new());
        assert_eq!(quantize_symmetric(&empty, Some(1)).scales.len(), 3);
        assert_eq!(quantize_blocks(&empty, 0, 16, 4).scales.shape(), [0, 3]);
    }

    #[test]
    fn zero_stays_zero_where_the_whole_range_of_f32_is_used() {
        let (scale, zero) = affine(f64::from(f32::MIN), f64::from(f32::MAX), 255.0);
        let ends = [f32::from(-zero) * scale, f32::from(255 - zero) * scale];
        assert!(ends.iter().all(|e| e.is_finite()), "{ends:?}");
    }

    #[test]
    fn blocks_run_along_their_axis_and_the_last_may_be_short() {
        let w = tensor(&[3, 2], vec![0.0, 1.0, 15.0, 1.0, 30.0, -15.0]);
        let q = quantize_blocks(&w, 0, 2, 4);
        assert_eq!(q.scales.shape(), [2, 2]);
        let codes: Vec<i16> = q.codes.iter().copied().collect();
        assert_eq!(codes, [0, 15, 15, 15, 15, 0]);
        assert_eq!(
            q.zero_points.iter().copied().collect::<Vec<_>>(),
            [0, 0, 0, 15]
        );
    }

    #[test]
    fn ties_go_to_the_even_code() {
        let rounded: Vec<i16> = [0.5, 1.5, -0.5, -2.5, 126.6, 200.0]
            .iter()
            .map(|&x| nearest(x, -127.0, 127.0))
            .collect();
        assert_eq!(rounded, [0, 2, 0, -2, 127, 127]);
    }
}
