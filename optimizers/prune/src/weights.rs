//! Single weights: which are the smallest, and zeroing them.

use std::collections::BTreeMap;
use std::sync::Arc;

use lapidary_core::model::{Edit, Model, Weights};
use lapidary_core::optimizer::OptimizeError;
use lapidary_core::select;
use lapidary_core::settings::Checked;
use lapidary_core::tensor::{Dense, Shared, Tensor};

use crate::algorithm::{Cut, Pruned};
use crate::config::{Config, Scope};

/// Zeroes single weights.
pub(crate) struct Unstructured {
    /// Names of the weights, in the order of the layers that read them.
    weights: Vec<String>,
    scope: Scope,
}

impl Unstructured {
    /// The main weights of the chosen layers, as far as they are float and have at least two axes: biases and the
    /// scales of normalisations are few and matter much.
    pub(crate) fn new(
        model: &dyn Model,
        config: &Checked<Config>,
        notes: &mut Vec<String>,
    ) -> Result<Self, OptimizeError> {
        let mut weights: Vec<String> = Vec::new();
        for layer in select::layers(model.topology(), &config.layers, &config.exclude)? {
            let Some(name) = layer.weight.as_ref().filter(|name| !weights.contains(name)) else {
                continue;
            };
            match model.weights().get(name).map(Arc::as_ref) {
                Some(Tensor::Dense(dense))
                    if dense.dtype().is_float() && dense.shape().len() >= 2 =>
                {
                    weights.push(name.clone());
                }
                Some(Tensor::Dense(dense)) if dense.dtype().is_float() => {}
                None => {}
                Some(Tensor::Quantized(_)) => notes.push(format!(
                    "{} left alone: its weight `{name}` is quantized (prune before quantizing)",
                    layer.name
                )),
                Some(Tensor::Dense(other)) => notes.push(format!(
                    "{} left alone: its weight `{name}` is {}",
                    layer.name,
                    other.dtype()
                )),
            }
        }
        Ok(Self {
            weights,
            scope: config.scope,
        })
    }
}

fn dense<'a>(weights: &'a Weights, name: &str) -> Option<&'a Dense> {
    weights.get(name)?.as_dense()
}

impl Cut for Unstructured {
    fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    fn cut(&self, model: &dyn Model, share: f64) -> Result<Pruned, OptimizeError> {
        let scopes: Vec<&[String]> = match self.scope {
            Scope::Global => vec![&self.weights],
            Scope::Layer => self.weights.chunks(1).collect(),
        };
        let mut edits = Vec::new();
        let mut masks = BTreeMap::new();
        for names in scopes {
            let found =
                (names.iter()).filter_map(|name| Some((name, dense(model.weights(), name)?)));
            let found: Vec<(&String, &Dense)> = found.collect();
            let arrays: Vec<Shared<f32>> = (found.iter())
                .filter_map(|(_, dense)| dense.to_f32())
                .collect();
            let arrays: Vec<&Shared<f32>> = arrays.iter().collect();
            let elements: usize = arrays.iter().map(|a| a.len()).sum();
            let count = (share * elements as f64).round() as usize;
            for ((name, dense), zeroed) in found.into_iter().zip(zero_smallest(&arrays, count)) {
                let kept = zeroed.mapv(|w| w != 0.0).into_shared();
                // What is kept stays as it was, in whatever type it is.
                let Some(pruned) = dense.masked(&kept) else {
                    continue;
                };
                masks.insert(name.clone(), Arc::new(kept));
                edits.push(Edit::SetWeight {
                    name: name.clone(),
                    tensor: Tensor::Dense(pruned).into(),
                });
            }
        }
        Ok(Pruned {
            model: model.apply(&edits)?,
            masks,
        })
    }
}

/// Copies of `arrays` in which the `count` elements of smallest magnitude are zero; of equal magnitudes the earlier
/// ones. Elements must be finite.
fn zero_smallest(arrays: &[&Shared<f32>], count: usize) -> Vec<Shared<f32>> {
    // Magnitudes of finite floats are ordered as their bits.
    let magnitude = |w: f32| w.abs().to_bits();
    let mut magnitudes: Vec<u32> = arrays
        .iter()
        .flat_map(|a| a.iter().map(|&w| magnitude(w)))
        .collect();
    if count == 0 {
        return arrays.iter().map(|&a| a.clone()).collect();
    }
    let last = count.min(magnitudes.len()) - 1;
    let (smaller, &mut limit, _) = magnitudes.select_nth_unstable(last);
    let mut ties = last + 1 - smaller.iter().filter(|&&m| m < limit).count();
    let zeroed = |array: &&Shared<f32>| {
        array
            .mapv(|w| {
                let m = magnitude(w);
                let tied = m == limit && ties > 0;
                ties -= usize::from(tied);
                if m < limit || tied { 0.0 } else { w }
            })
            .into_shared()
    };
    arrays.iter().map(zeroed).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn array(data: Vec<f32>) -> Shared<f32> {
        Dense::f32(&[data.len()], data)
            .unwrap()
            .as_f32()
            .unwrap()
            .clone()
    }

    proptest! {
        #[test]
        fn exactly_the_smallest_are_zero(
            first in prop::collection::vec(-4i8..5, 1..40),
            second in prop::collection::vec(-4i8..5, 1..40),
            share in 0.0f64..1.0,
        ) {
            // Few distinct values, so that ties are common.
            let float = |v: Vec<i8>| array(v.into_iter().map(f32::from).collect());
            let arrays = [float(first), float(second)];
            let n: usize = arrays.iter().map(|a| a.len()).sum();
            let count = (share * n as f64).round() as usize;
            let before: Vec<f32> = arrays.iter().flat_map(|a| a.iter().copied()).collect();
            let after: Vec<f32> = zero_smallest(&[&arrays[0], &arrays[1]], count)
                .iter()
                .flat_map(|a| a.iter().copied().collect::<Vec<_>>())
                .collect();
            let zeros = |v: &[f32]| v.iter().filter(|w| **w == 0.0).count();
            prop_assert_eq!(zeros(&after), count.max(zeros(&before)));
            let removed = before.iter().zip(&after).filter(|(b, a)| b != a).map(|(b, _)| b.abs());
            let largest_removed = removed.fold(0.0, f32::max);
            prop_assert!(after.iter().filter(|a| **a != 0.0).all(|a| a.abs() >= largest_removed));
            prop_assert!(before.iter().zip(&after).all(|(b, a)| *a == 0.0 || a.to_bits() == b.to_bits()));
        }
    }

    #[test]
    fn of_equal_magnitudes_the_earlier_go() {
        let w = array(vec![1.0, -1.0, 2.0, 1.0]);
        let zeroed = zero_smallest(&[&w], 2);
        assert_eq!(
            zeroed[0].iter().copied().collect::<Vec<_>>(),
            [0.0, 0.0, 2.0, 1.0]
        );
    }
}
