//! Which weights are clustered, and how finely.

use std::collections::BTreeSet;
use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::model::{Edit, Model, check_finite};
use lapidary_core::optimizer::{OptimizeContext, OptimizeError, Optimized, Optimizer};
use lapidary_core::registry::BuildError;
use lapidary_core::select;
use lapidary_core::settings::Checked;
use lapidary_core::tensor::{Dense, Shared, Tensor};

use crate::codebook::Codebook;
use crate::config::{Config, MOST_BITS};

/// Makes the optimizer.
pub fn build(settings: &Json) -> Result<Box<dyn Optimizer>, BuildError> {
    let config = crate::ENTRY.info.read_settings(settings)?;
    Ok(Box::new(Clustering::new(config)))
}

/// The optimizer.
pub struct Clustering {
    config: Checked<Config>,
}

/// A weight to cluster.
struct Target {
    name: String,
    values: Shared<f32>,
}

impl Clustering {
    /// The optimizer with these settings.
    pub fn new(config: Checked<Config>) -> Self {
        Self { config }
    }

    /// The main weights of the chosen layers, as far as they are float and have at least two axes.
    fn targets(
        &self,
        model: &dyn Model,
        notes: &mut Vec<String>,
    ) -> Result<Vec<Target>, OptimizeError> {
        let mut targets: Vec<Target> = Vec::new();
        for layer in select::layers(model.topology(), &self.config.layers, &self.config.exclude)? {
            let Some(name) = &layer.weight else { continue };
            // Several layers may read one weight.
            if targets.iter().any(|t| t.name == *name) {
                continue;
            }
            match model.weights().get(name).map(Arc::as_ref) {
                Some(Tensor::Dense(Dense::F32(values))) if values.ndim() >= 2 => {
                    targets.push(Target {
                        name: name.clone(),
                        values: values.clone(),
                    });
                }
                Some(Tensor::Quantized(_)) => notes.push(format!(
                    "{} left alone: its weight `{name}` is quantized",
                    layer.name
                )),
                _ => {}
            }
        }
        Ok(targets)
    }
}

impl Optimizer for Clustering {
    fn optimize(
        &self,
        model: &dyn Model,
        cx: &OptimizeContext<'_>,
    ) -> Result<Optimized, OptimizeError> {
        cx.check_cancel()?;
        check_finite(model)?;
        let mut notes = Vec::new();
        let targets = self.targets(model, &mut notes)?;
        if targets.is_empty() {
            notes.push("there is no weight to cluster".into());
        }
        for bits in self.config.bits..=MOST_BITS {
            let clustered = model.apply(&edits(&targets, bits, cx)?)?;
            if (cx.accept)(&(cx.measure)(clustered.as_ref())?) {
                if bits > self.config.bits {
                    notes.push(format!("{bits} bits, as fewer did not meet the goal"));
                }
                return Ok(Optimized {
                    model: clustered,
                    notes,
                });
            }
        }
        notes.push(format!(
            "left as it was: up to {MOST_BITS} bits did not meet the goal"
        ));
        Ok(Optimized {
            model: model.share(),
            notes,
        })
    }
}

/// The edits that give each weight at most 2^`bits` values.
fn edits(
    targets: &[Target],
    bits: u32,
    cx: &OptimizeContext<'_>,
) -> Result<Vec<Edit>, OptimizeError> {
    let mut edits = Vec::new();
    for (i, target) in targets.iter().enumerate() {
        (cx.progress)(i as f64 / targets.len() as f64, "clustering weights");
        cx.check_cancel()?;
        if let Some(values) = clustered(&target.values, 1 << bits) {
            edits.push(Edit::SetWeight {
                name: target.name.clone(),
                tensor: Tensor::Dense(Dense::F32(values)).into(),
            });
        }
    }
    Ok(edits)
}

/// `values` with at most `k` different ones, zero kept; `None` where there are no more already.
fn clustered(values: &Shared<f32>, k: usize) -> Option<Shared<f32>> {
    let different: BTreeSet<u32> = values.iter().map(|v| (v + 0.0).to_bits()).collect();
    if different.len() <= k {
        return None;
    }
    let kept: Vec<f32> = values.iter().copied().filter(|v| *v != 0.0).collect();
    let zeros = usize::from(kept.len() < values.len());
    let book = Codebook::new(&kept, k - zeros);
    let share = |&v: &f32| {
        if v == 0.0 {
            v
        } else {
            book.nearest(v).unwrap_or(v)
        }
    };
    Some(values.map(share).into_shared())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(values: &[f32]) -> Shared<f32> {
        let dense = Dense::f32(&[values.len()], values.to_vec()).unwrap();
        dense.as_f32().unwrap().clone()
    }

    #[test]
    fn zero_is_kept_and_counts() {
        let values = array(&[0.0, 0.3, 0.0, 0.5, -1.0, -2.0]);
        let two = clustered(&values, 2).unwrap();
        let rest = two[1];
        assert_eq!(two, array(&[0.0, rest, 0.0, rest, rest, rest]));
        let three = clustered(&values, 3).unwrap();
        assert_eq!(three, array(&[0.0, 0.4, 0.0, 0.4, -1.5, -1.5]));
        assert_eq!(clustered(&three, 3), None);
    }
}
