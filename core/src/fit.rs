//! Training as data: what a trainable model is told to do.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cancel::Cancel;
use crate::model::Model;
use crate::tensor::Shared;

/// One term of the training loss.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Loss {
    /// Cross entropy with the class labels, or mean squared error for numeric targets.
    Labels {
        /// Label smoothing in [0, 1): the share of the target spread evenly over all classes
        /// (Szegedy et al., "Rethinking the Inception Architecture", 2016).
        smoothing: f32,
        /// Weight of each class; empty means 1 for all.
        class_weights: Vec<f32>,
    },
    /// T² · KL(teacher ‖ student) between outputs softened at temperature T
    /// (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015);
    /// for numeric targets the mean squared error to the teacher's outputs.
    SoftTargets {
        /// The teacher's logits (see [`Activation::logits`](crate::model::Activation::logits)) or values `[samples, classes]`, row by row for the
        /// training samples.
        logits: Arc<Shared<f32>>,
        /// Temperature T > 0.
        temperature: f32,
    },
}

/// The state of a training run between two epochs, in a form that only the engine that made it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint(pub Vec<u8>);

/// The update rule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "name", deny_unknown_fields)]
pub enum Update {
    /// Stochastic gradient descent with (Nesterov-free) momentum; decay is added to the gradient.
    Sgd {
        /// Momentum in [0, 1).
        momentum: f32,
    },
    /// AdamW: decoupled weight decay (Loshchilov and Hutter, 2019).
    AdamW {
        /// Decay rate of the first moment.
        beta1: f32,
        /// Decay rate of the second moment.
        beta2: f32,
    },
}

/// How the learning rate changes over the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Constant.
    Constant,
    /// Half a cosine from the full rate to zero (Loshchilov and Hutter, "SGDR", 2017).
    Cosine,
}

/// A training run.
#[derive(Debug, Clone, PartialEq)]
pub struct FitPlan {
    /// Terms of the loss with their weights.
    pub losses: Vec<(Loss, f32)>,
    /// Update rule.
    pub update: Update,
    /// Peak learning rate.
    pub learning_rate: f32,
    /// Weight decay on weights of rank ≥ 2.
    pub weight_decay: f32,
    /// Learning-rate schedule.
    pub schedule: Schedule,
    /// Passes over the training samples.
    pub epochs: usize,
    /// Pauses after this epoch of the run, which is planned to its end all the same: whoever goes on from
    /// [`Fitted::paused`] has the very bits of a run without a pause. `None` runs to the end.
    pub pause: Option<usize>,
    /// Goes on where an earlier run of the same plan, but for its pause, was paused.
    pub from: Option<Arc<Checkpoint>>,
    /// Samples in a step.
    pub batch: usize,
    /// Stops after this many epochs without a better validation metric and returns the best epoch's weights;
    /// `None` trains to the end and returns the last.
    pub patience: Option<usize>,
    /// Weights that stay zero where the mask is `false`, by name.
    pub masks: BTreeMap<String, Arc<Shared<bool>>>,
    /// Weights that are not changed.
    pub frozen: Vec<String>,
    /// Seed of the shuffling.
    pub seed: u64,
}

impl Default for FitPlan {
    /// AdamW at 1e-3 with a cosine schedule, 10 epochs of batches of 64, no smoothing, no early stop.
    fn default() -> Self {
        Self {
            losses: vec![(
                Loss::Labels {
                    smoothing: 0.0,
                    class_weights: Vec::new(),
                },
                1.0,
            )],
            update: Update::AdamW {
                beta1: 0.9,
                beta2: 0.999,
            },
            learning_rate: 1e-3,
            weight_decay: 1e-4,
            schedule: Schedule::Cosine,
            epochs: 10,
            pause: None,
            from: None,
            batch: 64,
            patience: None,
            masks: BTreeMap::new(),
            frozen: Vec::new(),
            seed: 0,
        }
    }
}

/// What one epoch gave.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Mean training loss.
    #[serde(with = "crate::wire::number")]
    pub loss: f64,
    /// Accuracy (classes) or negative mean squared error (values) on the validation samples, where given.
    #[serde(default, with = "crate::wire::maybe_number")]
    pub valid: Option<f64>,
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Continue,
    /// Stop now; what was learnt so far is kept.
    Stop,
}

/// What a training run may use of its host.
pub struct FitContext<'a> {
    /// Ends the run early, with an error.
    pub cancel: &'a Cancel,
    /// Called after every epoch; after a pause for those that follow it.
    pub epoch: &'a (dyn Fn(&Epoch) -> Verdict + Sync),
}

/// A trained model and how it got there.
pub struct Fitted {
    /// The trained copy.
    pub model: Box<dyn Model>,
    /// All epochs run, those before a pause included.
    pub history: Vec<Epoch>,
    /// What is needed to go on, where the plan asks for a pause and nobody has stopped the run.
    pub paused: Option<Checkpoint>,
}
