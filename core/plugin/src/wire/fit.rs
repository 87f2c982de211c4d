//! Training: plans and samples.

use std::collections::BTreeMap;
use std::sync::Arc;

use lapidary_core::fit::{FitPlan, Loss, Schedule, Update};
use lapidary_core::samples::{Samples, Targets};
use ndarray::{ArcArray, IxDyn};
use serde::{Deserialize, Serialize};

use super::message::{Message, Piece};

/// A training run; tensors stand beside the text, by number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanForm {
    losses: Vec<(LossForm, f32)>,
    update: Update,
    learning_rate: f32,
    weight_decay: f32,
    schedule: Schedule,
    epochs: usize,
    #[serde(default)]
    pause: Option<usize>,
    batch: usize,
    patience: Option<usize>,
    masks: BTreeMap<String, usize>,
    frozen: Vec<String>,
    seed: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum LossForm {
    Labels {
        smoothing: f32,
        class_weights: Vec<f32>,
    },
    SoftTargets {
        logits: usize,
        temperature: f32,
    },
}

impl PlanForm {
    /// The form of a plan that pauses after its first epoch, so that who has it can say after each whether to go on. Its tensors
    /// are put among `pieces`. `None` where it has a loss that cannot cross the border, or is a part of a run itself.
    pub fn of<'a>(plan: &'a FitPlan, pieces: &mut Vec<Piece<'a>>) -> Option<Self> {
        let mut put = |piece| {
            pieces.push(piece);
            pieces.len() - 1
        };
        if plan.pause.is_some() || plan.from.is_some() {
            return None;
        }
        let mut losses = Vec::new();
        for (loss, weight) in &plan.losses {
            let form = match loss {
                Loss::Labels {
                    smoothing,
                    class_weights,
                } => LossForm::Labels {
                    smoothing: *smoothing,
                    class_weights: class_weights.clone(),
                },
                Loss::SoftTargets {
                    logits,
                    temperature,
                } => LossForm::SoftTargets {
                    logits: put(Piece::of_array(logits)),
                    temperature: *temperature,
                },
                _ => return None,
            };
            losses.push((form, *weight));
        }
        Some(Self {
            losses,
            update: plan.update,
            learning_rate: plan.learning_rate,
            weight_decay: plan.weight_decay,
            schedule: plan.schedule,
            epochs: plan.epochs,
            pause: Some(1),
            batch: plan.batch,
            patience: plan.patience,
            masks: (plan.masks.iter())
                .map(|(name, mask)| (name.clone(), put(Piece::of_array(mask))))
                .collect(),
            frozen: plan.frozen.clone(),
            seed: plan.seed,
        })
    }

    /// The plan.
    ///
    /// # Errors
    /// When a tensor of it is missing or of another form.
    pub fn plan(self, message: &Message<'_>) -> Result<FitPlan, String> {
        let mut losses = Vec::new();
        for (form, weight) in self.losses {
            let loss = match form {
                LossForm::Labels {
                    smoothing,
                    class_weights,
                } => Loss::Labels {
                    smoothing,
                    class_weights,
                },
                LossForm::SoftTargets {
                    logits,
                    temperature,
                } => Loss::SoftTargets {
                    logits: Arc::new(message.piece(logits)?.array().map_err(|e| e.to_string())?),
                    temperature,
                },
            };
            losses.push((loss, weight));
        }
        let mut masks = BTreeMap::new();
        for (name, at) in self.masks {
            let mask = message.piece(at)?.array().map_err(|e| e.to_string())?;
            masks.insert(name, Arc::new(mask));
        }
        Ok(FitPlan {
            losses,
            update: self.update,
            learning_rate: self.learning_rate,
            weight_decay: self.weight_decay,
            schedule: self.schedule,
            epochs: self.epochs,
            batch: self.batch,
            patience: self.patience,
            masks,
            frozen: self.frozen,
            seed: self.seed,
            pause: self.pause,
            from: None,
        })
    }
}

/// Samples; tensors stand beside the text, by number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SamplesForm {
    inputs: BTreeMap<String, usize>,
    targets: Option<TargetsForm>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TargetsForm {
    Classes { labels: usize, names: Vec<String> },
    Values(usize),
}

impl SamplesForm {
    /// The form of samples, whose tensors are put among `pieces`.
    pub fn of<'a>(samples: &'a Samples, pieces: &mut Vec<Piece<'a>>) -> Self {
        let mut put = |piece| {
            pieces.push(piece);
            pieces.len() - 1
        };
        let inputs = samples.inputs.iter();
        Self {
            inputs: inputs
                .map(|(name, dense)| (name.clone(), put(Piece::of(dense))))
                .collect(),
            targets: samples.targets.as_ref().map(|targets| match targets {
                Targets::Classes { labels, names } => {
                    let labels: Vec<i64> = labels.iter().map(|l| *l as i64).collect();
                    let array = ArcArray::from(labels).into_dyn();
                    let piece = Piece::of_array::<i64, _>(&array);
                    TargetsForm::Classes {
                        labels: put(Piece {
                            bytes: piece.bytes.into_owned().into(),
                            ..piece
                        }),
                        names: names.clone(),
                    }
                }
                Targets::Values(values) => TargetsForm::Values(put(Piece::of_array(values))),
            }),
        }
    }

    /// The samples.
    ///
    /// # Errors
    /// When a tensor of them is missing or of another form.
    pub fn samples(&self, message: &Message<'_>) -> Result<Samples, String> {
        let mut inputs = BTreeMap::new();
        for (name, at) in &self.inputs {
            let dense = message.piece(*at)?.dense().map_err(|e| e.to_string())?;
            inputs.insert(name.clone(), dense);
        }
        let targets = match &self.targets {
            None => None,
            Some(TargetsForm::Classes { labels, names }) => {
                let labels: ArcArray<i64, IxDyn> =
                    message.piece(*labels)?.array().map_err(|e| e.to_string())?;
                let labels = labels
                    .iter()
                    .map(|l| usize::try_from(*l).unwrap_or(usize::MAX));
                Some(Targets::Classes {
                    labels: labels.collect(),
                    names: names.clone(),
                })
            }
            Some(TargetsForm::Values(at)) => Some(Targets::Values(
                message.piece(*at)?.array().map_err(|e| e.to_string())?,
            )),
        };
        Ok(Samples { inputs, targets })
    }
}
