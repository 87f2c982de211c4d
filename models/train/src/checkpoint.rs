//! The state of a training run between two epochs, as bytes.

use lapidary_core::fit::{Checkpoint, Epoch};
use lapidary_core::model::ModelError;
use lapidary_graph::tape::Value;
use serde::{Deserialize, Serialize};

use super::Trainer;
use super::engine::{DEVICE, data};

/// Version of the form.
const VERSION: u32 = 1;

/// All that a run changes.
#[derive(Serialize, Deserialize)]
struct State {
    version: u32,
    history: Vec<Epoch>,
    /// Float weights in the program's order.
    weights: Vec<Vec<f32>>,
    /// With patience, the best metric and the weights that gave it.
    best: Option<(f64, Vec<Vec<f32>>)>,
    waited: usize,
    steps: u64,
    updates: usize,
    moments: Vec<[Vec<f32>; 2]>,
}

impl Trainer<'_> {
    /// What is needed to go on from here.
    pub(super) fn checkpoint(&self) -> Checkpoint {
        let values: Vec<Value> = self.program.plain().collect();
        let (updates, moments) = self.updater.state();
        let progress = &self.progress;
        let best = progress.best.as_ref();
        let state = State {
            version: VERSION,
            history: progress.history.clone(),
            weights: floats(&values),
            best: best.map(|(metric, values)| (*metric, floats(values))),
            waited: progress.waited,
            steps: self.steps,
            updates,
            moments: moments.to_vec(),
        };
        Checkpoint(postcard::to_stdvec(&state).expect("memory takes what it is given"))
    }

    /// Goes on from `checkpoint`.
    pub(super) fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), ModelError> {
        let refuse = |reason: &str| Err(ModelError::Fit(format!("the checkpoint {reason}")));
        let state: State = match postcard::from_bytes(&checkpoint.0) {
            Ok(state) => state,
            Err(error) => return refuse(&format!("cannot be read: {error}")),
        };
        if state.version != VERSION {
            return refuse(&format!("has version {}, not {VERSION}", state.version));
        }
        let weights = self.with_floats(&state.weights);
        let best = match &state.best {
            None => Some(None),
            Some((metric, weights)) => self.with_floats(weights).map(|w| Some((*metric, w))),
        };
        let (Some(weights), Some(best)) = (weights, best) else {
            return refuse("is of another model");
        };
        if !self.updater.restore(state.updates, state.moments) {
            return refuse("is of another plan");
        }
        if state.history.len() > self.plan.pause.unwrap_or(self.plan.epochs) {
            return refuse("was made after the epoch that is wanted");
        }
        for (weight, value) in self.program.weights.iter_mut().zip(weights) {
            weight.value = value;
        }
        self.steps = state.steps;
        self.progress.history = state.history;
        self.progress.best = best;
        self.progress.waited = state.waited;
        Ok(())
    }

    /// The program's values with these floats; `None` where they do not fit.
    fn with_floats(&self, floats: &[Vec<f32>]) -> Option<Vec<Value>> {
        let mut floats = floats.iter();
        let mut values: Vec<Value> = self.program.plain().collect();
        for value in &mut values {
            let Value::Float(old) = value else { continue };
            let new = floats.next()?;
            if new.len() != data(old).len() {
                return None;
            }
            *value = Value::Float(DEVICE.constant(new.clone(), old.shape()));
        }
        floats.next().is_none().then_some(values)
    }
}

/// The floats among `values`.
fn floats(values: &[Value]) -> Vec<Vec<f32>> {
    let floats = values.iter().filter_map(|value| match value {
        Value::Float(tensor) => Some(data(tensor).to_vec()),
        Value::Int(_) => None,
    });
    floats.collect()
}
