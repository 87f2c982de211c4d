//! Which weights are cut, and how far.

use lapidary_core::json::Json;
use lapidary_core::model::{Edit, Model, check_finite};
use lapidary_core::optimizer::{OptimizeContext, OptimizeError, Optimized, Optimizer};
use lapidary_core::registry::BuildError;
use lapidary_core::select;
use lapidary_core::settings::Checked;
use lapidary_core::tensor::{Dense, Tensor};

use crate::ENTRY;
use crate::config::{Config, FRACTION};

/// Makes the optimizer.
pub fn build(settings: &Json) -> Result<Box<dyn Optimizer>, BuildError> {
    let config = ENTRY.info.read_settings(settings)?;
    Ok(Box::new(Cut { config }))
}

/// The optimizer.
struct Cut {
    config: Checked<Config>,
}

impl Optimizer for Cut {
    fn optimize(
        &self,
        model: &dyn Model,
        cx: &OptimizeContext<'_>,
    ) -> Result<Optimized, OptimizeError> {
        check_finite(model)?;
        let mut notes = Vec::new();
        for bits in self.config.bits..=FRACTION {
            let done = f64::from(bits - self.config.bits) / f64::from(FRACTION + 1);
            (cx.progress)(done, "cutting weights");
            cx.check_cancel()?;
            let model = model.apply(&self.edits(model, bits)?)?;
            if (cx.accept)(&(cx.measure)(model.as_ref())?) {
                if bits > self.config.bits {
                    notes.push(format!("{bits} bits, as fewer did not meet the goal"));
                }
                return Ok(Optimized { model, notes });
            }
        }
        notes.push("left as it was: no number of bits met the goal".into());
        Ok(Optimized {
            model: model.share(),
            notes,
        })
    }
}

impl Cut {
    /// The edits that leave the weights of the chosen layers the first `bits` of their fractions.
    fn edits(&self, model: &dyn Model, bits: u32) -> Result<Vec<Edit>, OptimizeError> {
        let mask = u32::MAX << (FRACTION - bits);
        let mut edits = Vec::new();
        for layer in select::layers(model.topology(), &self.config.layers, &[])? {
            let Some(name) = &layer.weight else { continue };
            let Some(Tensor::Dense(Dense::F32(values))) =
                model.weights().get(name).map(AsRef::as_ref)
            else {
                continue;
            };
            // Towards zero, so that no weight becomes infinite.
            let cut = values.mapv(|v| f32::from_bits(v.to_bits() & mask));
            edits.push(Edit::SetWeight {
                name: name.clone(),
                tensor: Tensor::Dense(Dense::F32(cut.into_shared())).into(),
            });
        }
        Ok(edits)
    }
}
