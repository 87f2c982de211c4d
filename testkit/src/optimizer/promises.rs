//! What entries promise. Without the promise a property holds, whatever comes.

use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::model::Model;
use lapidary_core::registry::{Entry, Promise};
use lapidary_core::tensor::{Quantized, Shared, Tensor};

use super::world::{World, file, models};

/// Applied to its own result, the optimizer changes nothing.
pub fn a_second_time_changes_nothing_where_promised(entry: &Entry, settings: &Json) {
    if !holds(entry, settings, Promise::Idempotent) {
        return;
    }
    let world = World::without_training();
    for (name, model) in models() {
        let once = world.optimized(entry, settings, model.as_ref());
        let twice = world.optimized(entry, settings, once.as_ref());
        assert!(file(twice.as_ref()) == file(once.as_ref()), "{name}");
    }
}

/// A weight w stored as code and scale is at most half a scale from what it was, and zero is exact.
pub fn weights_are_rounded_to_nearest_where_promised(entry: &Entry, settings: &Json) {
    if !holds(entry, settings, Promise::RoundToNearest) {
        return;
    }
    for (name, model) in models() {
        let result = World::without_training().optimized(entry, settings, model.as_ref());
        let mut codes = 0;
        for (weight, old, new) in pairs(model.as_ref(), result.as_ref()) {
            if let Tensor::Quantized(q) = new.as_ref() {
                rounded_to_nearest(&old, q, &format!("{name}: {weight}"));
                codes += q.codes.len();
            }
        }
        assert!(
            codes > 0,
            "{name}: it promises how it rounds, but rounded nothing"
        );
    }
}

/// Weights that are not removed keep their bits.
pub fn kept_weights_keep_their_bits_where_promised(entry: &Entry, settings: &Json) {
    if !holds(entry, settings, Promise::KeepsWeights) {
        return;
    }
    for (name, model) in models() {
        let result = World::without_training().optimized(entry, settings, model.as_ref());
        for (weight, old, new) in pairs(model.as_ref(), result.as_ref()) {
            let new = new.to_f32().expect("it is a float weight as before");
            let kept = old.iter().zip(&new).filter(|(_, new)| **new != 0.0);
            for (old, new) in kept {
                assert_eq!(
                    old.to_bits(),
                    new.to_bits(),
                    "{name}: {weight}: {old} became {new}"
                );
            }
        }
    }
}

/// In no weight is a kept element smaller than a removed one.
pub fn no_kept_weight_is_smaller_than_a_removed_one_where_promised(entry: &Entry, settings: &Json) {
    if !holds(entry, settings, Promise::Magnitude) {
        return;
    }
    for (name, model) in models() {
        let result = World::without_training().optimized(entry, settings, model.as_ref());
        let mut removed_any = false;
        for (weight, old, new) in pairs(model.as_ref(), result.as_ref()) {
            let new = new.to_f32().expect("it is a float weight as before");
            let magnitudes = |removed: bool| {
                let of = move |(old, new): (&f32, &f32)| {
                    ((*new == 0.0 && *old != 0.0) == removed).then(|| old.abs())
                };
                old.iter()
                    .zip(&new)
                    .filter(|(old, _)| **old != 0.0)
                    .filter_map(of)
            };
            let largest = magnitudes(true).fold(0f32, f32::max);
            let smallest = magnitudes(false).fold(f32::INFINITY, f32::min);
            removed_any |= largest > 0.0;
            assert!(
                smallest >= largest,
                "{name}: {weight} keeps {smallest} and removes {largest}"
            );
        }
        assert!(removed_any, "{name}: nothing was removed");
    }
}

/// Whether the promise is made. Where settings change the shapes of weights there is nothing to compare: promises are
/// for the default settings, and for others as far as they hold there too.
fn holds(entry: &Entry, settings: &Json, promise: Promise) -> bool {
    let shapes_stay = || {
        let (_, model) = &models()[0];
        let result = World::without_training().run(entry, settings, model.as_ref());
        result.is_ok_and(|r| {
            (model.weights().iter()).all(|(name, old)| {
                r.model
                    .weights()
                    .get(name)
                    .is_some_and(|new| new.shape() == old.shape())
            })
        })
    };
    entry.promises(promise) && shapes_stay()
}

/// The float weights that model and result have in common: before and after.
fn pairs(model: &dyn Model, result: &dyn Model) -> Vec<(String, Shared<f32>, Arc<Tensor>)> {
    let pair = |(name, old): (&String, &Arc<Tensor>)| {
        let old = old.as_dense()?.as_f32()?.clone();
        let new = result.weights().get(name)?.clone();
        (new.shape() == old.shape()).then(|| (name.clone(), old, new))
    };
    model.weights().iter().filter_map(pair).collect()
}

pub(crate) fn rounded_to_nearest(old: &Shared<f32>, q: &Quantized, what: &str) {
    let (lo, hi) = Quantized::code_range(q.bits, q.signed);
    for (index, &w) in old.indexed_iter() {
        let index = ndarray::Dimension::slice(&index);
        let at = q.scale_index(index);
        let (code, zero) = (q.codes[index], q.zero_points[&at]);
        let scale = f64::from(q.scales[&at]);
        assert!(
            scale >= f64::from(f32::MIN_POSITIVE) && scale.is_finite(),
            "{what}: scale {scale}"
        );
        assert!(
            (lo..=hi).contains(&code) && (lo..=hi).contains(&zero),
            "{what}: code {code}, zero point {zero}"
        );
        let error = (f64::from(w) - f64::from(code - zero) * scale).abs();
        // A scale is itself rounded to f32, which the largest code multiplies.
        let slack = scale * f64::from(hi - lo) * f64::from(f32::EPSILON);
        assert!(
            error <= 0.5 * scale + slack,
            "{what} at {index:?}: {w} is off by {error}, the scale is {scale}"
        );
        assert!(
            w != 0.0 || code == zero,
            "{what} at {index:?}: zero became code {code}"
        );
    }
}
