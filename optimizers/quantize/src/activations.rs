//! Ranges of activations, seen on calibration samples.

use std::collections::BTreeMap;

use lapidary_core::model::{Affine, Model, Tap, ValueId};
use lapidary_core::optimizer::{OptimizeContext, OptimizeError};
use lapidary_core::samples::Samples;
use lapidary_core::tensor::Dense;

use crate::config::Calibration;
use crate::error::QuantizeError;
use crate::weights::{affine, nearest};

/// Samples run at once.
const BATCH: usize = 32;

/// Bins of a histogram: eight for each code.
const BINS: usize = 2048;

/// Largest code of an activation.
const TOP: f64 = 255.0;

/// What the values of one activation were, over all calibration samples.
#[derive(Debug, Clone, Default)]
struct Seen {
    lo: f64,
    hi: f64,
    /// How many values are exactly zero: they are in no bin, as no quantizer moves them.
    zeros: u64,
    /// Counts of the other values in equal parts of [lo, hi]; empty until the second pass.
    bins: Vec<u64>,
}

/// Activations of a model, watched on calibration samples.
pub(crate) struct Activations {
    seen: BTreeMap<ValueId, Seen>,
}

impl Activations {
    /// Runs the model on `samples` and keeps the range of each value of `values` that holds floats.
    pub(crate) fn observe(
        model: &dyn Model,
        samples: &Samples,
        values: &[ValueId],
        cx: &OptimizeContext<'_>,
    ) -> Result<Self, OptimizeError> {
        let mut ranges = Ranges::default();
        run(model, samples, values, &mut ranges, cx)?;
        match ranges.wrong {
            Some(error) => Err(error.into()),
            None => Ok(Self { seen: ranges.seen }),
        }
    }

    /// Runs the model a second time to count values within their ranges, for the histogram methods.
    pub(crate) fn count(
        &mut self,
        model: &dyn Model,
        samples: &Samples,
        cx: &OptimizeContext<'_>,
    ) -> Result<(), OptimizeError> {
        if self.seen.values().all(|s| !s.bins.is_empty()) {
            return Ok(());
        }
        for seen in self.seen.values_mut() {
            seen.bins = vec![0; BINS];
        }
        let values: Vec<ValueId> = self.seen.keys().cloned().collect();
        run(model, samples, &values, &mut Counts(&mut self.seen), cx)
    }

    /// The quantizer of a value, where it was seen. Histogram methods need [`Activations::count`] first.
    pub(crate) fn quantizer(
        &self,
        value: &str,
        method: Calibration,
        percentile: f64,
    ) -> Option<Affine> {
        let seen = self.seen.get(value)?;
        let (lo, hi) = match method {
            Calibration::MinMax => (seen.lo, seen.hi),
            Calibration::Percentile => seen.percentile(percentile),
            Calibration::Mse => seen.least_error(),
        };
        let (scale, zero_point) = affine(lo, hi, TOP);
        Some(Affine {
            scale,
            zero_point: zero_point as u8,
        })
    }
}

fn run(
    model: &dyn Model,
    samples: &Samples,
    values: &[ValueId],
    tap: &mut dyn Tap,
    cx: &OptimizeContext<'_>,
) -> Result<(), OptimizeError> {
    let n = samples.len();
    for start in (0..n).step_by(BATCH) {
        cx.check_cancel()?;
        (cx.progress)(start as f64 / n as f64, "calibrating");
        let batch = samples
            .rows(start..(start + BATCH).min(n))
            .map_err(lapidary_core::model::ModelError::from)?;
        model.observe(&batch.inputs, values, tap)?;
    }
    Ok(())
}

/// First pass: the range of each value.
#[derive(Default)]
struct Ranges {
    seen: BTreeMap<ValueId, Seen>,
    wrong: Option<QuantizeError>,
}

impl Tap for Ranges {
    fn value(&mut self, id: &str, value: &Dense) {
        let Some(array) = value.to_f32() else {
            return;
        };
        let (mut lo, mut hi, mut sum) = (0f32, 0f32, 0f32);
        for &v in &array {
            lo = lo.min(v);
            hi = hi.max(v);
            // NaN is neither smaller nor larger, but sticks to a sum.
            sum += 0.0 * v;
        }
        if sum != 0.0 {
            let found = array
                .iter()
                .copied()
                .find(|v| !v.is_finite())
                .map_or(f64::NAN, f64::from);
            self.wrong.get_or_insert(QuantizeError::Activation {
                value: id.to_owned(),
                found,
            });
        }
        let seen = self.seen.entry(id.to_owned()).or_default();
        seen.lo = seen.lo.min(f64::from(lo));
        seen.hi = seen.hi.max(f64::from(hi));
    }
}

/// Second pass: counts within the ranges.
struct Counts<'a>(&'a mut BTreeMap<ValueId, Seen>);

impl Tap for Counts<'_> {
    fn value(&mut self, id: &str, value: &Dense) {
        let (Some(array), Some(seen)) = (value.to_f32(), self.0.get_mut(id)) else {
            return;
        };
        let width = (seen.hi - seen.lo) / BINS as f64;
        for &v in &array {
            if v == 0.0 {
                seen.zeros += 1;
            } else if width > 0.0 {
                // A batch split otherwise may round otherwise: the index is kept within the bins.
                let bin = ((f64::from(v) - seen.lo) / width) as usize;
                seen.bins[bin.min(BINS - 1)] += 1;
            }
        }
    }
}

impl Seen {
    /// Middle of a bin.
    fn middle(&self, bin: usize) -> f64 {
        self.lo + (self.hi - self.lo) * ((bin as f64 + 0.5) / BINS as f64)
    }

    /// The narrowest range outside of which on either side lie at most 100 − `percentile` percent of all values.
    fn percentile(&self, percentile: f64) -> (f64, f64) {
        let total = self.zeros + self.bins.iter().sum::<u64>();
        let outside = (total as f64 * (1.0 - percentile / 100.0)).floor() as u64;
        let edge = |bin: usize| self.lo + (self.hi - self.lo) * (bin as f64 / BINS as f64);
        // Zero always lies within the range, so counting from either end stops there at the latest.
        let (mut left, mut lo) = (0, self.lo);
        for (bin, &count) in self.bins.iter().enumerate() {
            left += count;
            if left > outside || edge(bin + 1) > 0.0 {
                break;
            }
            lo = edge(bin + 1);
        }
        let (mut right, mut hi) = (0, self.hi);
        for (bin, &count) in self.bins.iter().enumerate().rev() {
            right += count;
            if right > outside || edge(bin) < 0.0 {
                break;
            }
            hi = edge(bin);
        }
        (lo, hi)
    }

    /// The range, among the observed one made smaller in steps of 1 %, with the least sum of squared errors.
    fn least_error(&self) -> (f64, f64) {
        let error = |(lo, hi): (f64, f64)| {
            let (scale, zero) = affine(lo, hi, TOP);
            let (scale, zero) = (f64::from(scale), f64::from(zero));
            self.bins
                .iter()
                .enumerate()
                .filter(|&(_, &count)| count > 0)
                .map(|(bin, &count)| {
                    let value = self.middle(bin);
                    let code = nearest(value / scale, -zero, TOP - zero);
                    let off = value - f64::from(code) * scale;
                    count as f64 * off * off
                })
                .sum::<f64>()
        };
        let mut best = (self.lo, self.hi);
        let mut least = error(best);
        for percent in (20..100).rev() {
            let share = f64::from(percent) / 100.0;
            let range = (self.lo * share, self.hi * share);
            let found = error(range);
            if found < least {
                (best, least) = (range, found);
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(values: &[f32]) -> Activations {
        let dense = Dense::f32(&[values.len()], values.to_vec()).unwrap();
        let mut ranges = Ranges::default();
        ranges.value("x", &dense);
        let mut seen = ranges.seen;
        seen.values_mut().for_each(|s| s.bins = vec![0; BINS]);
        Counts(&mut seen).value("x", &dense);
        Activations { seen }
    }

    /// A thousand values in [0, 1] and one far away.
    fn with_outlier() -> Vec<f32> {
        let mut values: Vec<f32> = (0..10_000).map(|i| i as f32 / 10_000.0).collect();
        values.push(20.0);
        values
    }

    fn error(values: &[f32], q: Affine) -> f64 {
        let (scale, zero) = (f64::from(q.scale), f64::from(q.zero_point));
        let off = |v: f64| v - (f64::from(nearest(v / scale, -zero, TOP - zero))) * scale;
        values.iter().map(|&v| off(f64::from(v)).powi(2)).sum()
    }

    #[test]
    fn histogram_methods_cut_outliers_where_that_helps() {
        let values = with_outlier();
        let seen = seen(&values);
        let range = |m| seen.quantizer("x", m, 99.9).unwrap();
        let minmax = range(Calibration::MinMax);
        assert!((f64::from(minmax.scale) - 20.0 / 255.0).abs() < 1e-6);
        assert_eq!(minmax.zero_point, 0);
        assert!(range(Calibration::Percentile).scale < 0.06 * minmax.scale);
        assert!(error(&values, range(Calibration::Mse)) <= error(&values, minmax));
    }

    #[test]
    fn without_outliers_all_methods_keep_the_range() {
        let values: Vec<f32> = (-500..=1000).map(|i| i as f32 / 1000.0).collect();
        let seen = seen(&values);
        for method in Calibration::ALL {
            let q = seen.quantizer("x", method, 100.0).unwrap();
            assert!(
                (f64::from(q.scale) - 1.5 / 255.0).abs() < 1e-4,
                "{method:?}: {q:?}"
            );
            assert!((84..=86).contains(&q.zero_point));
        }
    }

    #[test]
    fn constant_and_extreme_activations_have_sound_quantizers() {
        for values in [
            vec![0.0f32; 3],
            vec![-5.0; 3],
            vec![f32::MAX, -f32::MAX],
            vec![1e-40, 0.0],
        ] {
            let seen = seen(&values);
            for method in Calibration::ALL {
                let q = seen.quantizer("x", method, 99.0).unwrap();
                assert!(
                    q.scale >= f32::MIN_POSITIVE && q.scale.is_finite(),
                    "{values:?} {q:?}"
                );
            }
        }
    }

    #[test]
    fn values_that_are_not_finite_are_named() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut ranges = Ranges::default();
            ranges.value("relu_out", &Dense::f32(&[2], vec![1.0, bad]).unwrap());
            assert!(
                ranges
                    .wrong
                    .unwrap()
                    .to_string()
                    .contains("`relu_out` became")
            );
        }
    }
}
