//! Prune, train, measure, and how far to go.

use std::collections::BTreeMap;
use std::sync::Arc;

use lapidary_core::fit::{FitContext, FitPlan, Verdict};
use lapidary_core::model::{Model, ModelError, check_finite};
use lapidary_core::optimizer::{OptimizeContext, OptimizeError, Optimized, Optimizer};
use lapidary_core::rng::Rng;
use lapidary_core::settings::Checked;
use lapidary_core::tensor::Shared;

use crate::channels::Channels;
use crate::config::{Config, Structure};
use crate::weights::Unstructured;

/// How often the share is halved towards the last one that met the goal, after one did not.
const HALVINGS: usize = 3;

/// The optimizer.
pub struct Prune {
    config: Checked<Config>,
}

/// A pruned model, and which of its weights training must leave at zero.
pub(crate) struct Pruned {
    pub(crate) model: Box<dyn Model>,
    pub(crate) masks: BTreeMap<String, Arc<Shared<bool>>>,
}

/// Removes a share of what a model had at first.
pub(crate) trait Cut {
    /// Whether there is nothing to remove.
    fn is_empty(&self) -> bool;

    /// `model`, which may be pruned already, with `share` of what there was at first removed in all.
    fn cut(&self, model: &dyn Model, share: f64) -> Result<Pruned, OptimizeError>;
}

impl Prune {
    /// The optimizer with these settings.
    pub fn new(config: Checked<Config>) -> Self {
        Self { config }
    }
}

impl Optimizer for Prune {
    fn optimize(
        &self,
        model: &dyn Model,
        cx: &OptimizeContext<'_>,
    ) -> Result<Optimized, OptimizeError> {
        cx.check_cancel()?;
        check_finite(model)?;
        let mut notes = Vec::new();
        let cut: Box<dyn Cut> = match self.config.structure {
            Structure::Unstructured => {
                Box::new(Unstructured::new(model, &self.config, &mut notes)?)
            }
            Structure::Channels => Box::new(Channels::new(model, &self.config, &mut notes)?),
        };
        if self.config.sparsity == 0.0 || cut.is_empty() {
            if cut.is_empty() {
                notes.push("nothing can be pruned".into());
            }
            return Ok(Optimized {
                model: model.share(),
                notes,
            });
        }
        let mut run = Run {
            config: &self.config,
            cx,
            cut: cut.as_ref(),
            trains: true,
            rounds: 0,
            notes,
        };
        let model = run.prune(model)?;
        Ok(Optimized {
            model,
            notes: run.notes,
        })
    }
}

struct Run<'a> {
    config: &'a Checked<Config>,
    cx: &'a OptimizeContext<'a>,
    cut: &'a dyn Cut,
    /// Whether training is possible, as far as is known.
    trains: bool,
    /// Rounds of pruning and training so far.
    rounds: u64,
    notes: Vec<String>,
}

impl Run<'_> {
    /// Prunes step by step. A model that meets the goal goes on as long as it does; one that does not goes on until
    /// it does.
    fn prune(&mut self, model: &dyn Model) -> Result<Box<dyn Model>, OptimizeError> {
        let met_before = self.accepts(model)?;
        let mut now = model.share();
        for t in 1..=self.config.steps {
            let share = self.config.share(t);
            let next = self.round(now.as_ref(), share, t)?;
            let met = self.accepts(next.as_ref())?;
            if met_before && !met {
                return self.retreat(now, t);
            }
            now = next;
            if met && !met_before {
                if t < self.config.steps {
                    self.notes.push(format!(
                        "the goal was met at sparsity {share:.3} of {}",
                        self.config.sparsity
                    ));
                }
                return Ok(now);
            }
        }
        if !met_before {
            self.notes.push("the goal is not met yet".into());
        }
        Ok(now)
    }

    /// The model pruned as far as it still meets the goal, between `good`, which is at the share of the step before
    /// `t`, and the share of step `t`, where it did not.
    fn retreat(&mut self, good: Box<dyn Model>, t: usize) -> Result<Box<dyn Model>, OptimizeError> {
        let (mut low, mut high) = (self.config.share(t - 1), self.config.share(t));
        let mut best = good.share();
        for _ in 0..HALVINGS {
            let middle = (low + high) / 2.0;
            let tried = self.round(good.as_ref(), middle, t)?;
            if self.accepts(tried.as_ref())? {
                (best, low) = (tried, middle);
            } else {
                high = middle;
            }
        }
        self.notes.push(format!(
            "stopped at sparsity {low:.3} of {}: more did not meet the goal",
            self.config.sparsity
        ));
        Ok(best)
    }

    fn accepts(&self, model: &dyn Model) -> Result<bool, OptimizeError> {
        self.cx.check_cancel()?;
        Ok((self.cx.accept)(&(self.cx.measure)(model)?))
    }

    /// One cut to `share`, and the training after it.
    fn round(
        &mut self,
        model: &dyn Model,
        share: f64,
        t: usize,
    ) -> Result<Box<dyn Model>, OptimizeError> {
        self.cx.check_cancel()?;
        let pruned = self.cut.cut(model, share)?;
        self.rounds += 1;
        match self.train(&pruned, t)? {
            Some(trained) => Ok(trained),
            None => Ok(pruned.model),
        }
    }

    /// The pruned model after training; `None` (and a note, once) where it cannot be trained.
    fn train(
        &mut self,
        pruned: &Pruned,
        t: usize,
    ) -> Result<Option<Box<dyn Model>>, OptimizeError> {
        if !self.trains || self.config.finetune_epochs == 0 {
            return Ok(None);
        }
        let mut without = |why: String| {
            self.trains = false;
            self.notes.push(format!("not fine-tuned: {why}"));
            Ok(None)
        };
        let Some(train) = self
            .cx
            .train
            .filter(|s| !s.is_empty() && s.targets.is_some())
        else {
            return without("there are no training samples with targets".into());
        };
        let Some(trainable) = pruned.model.trainable() else {
            return without("the model cannot be trained".into());
        };
        let epochs = self.config.finetune_epochs;
        let plan = FitPlan {
            learning_rate: self.config.learning_rate,
            epochs,
            batch: self.config.batch,
            // With validation samples the best epoch is kept; no epoch is saved by stopping.
            patience: self.cx.valid.map(|_| epochs),
            masks: pruned.masks.clone(),
            seed: Rng::keyed(self.cx.seed, self.rounds, "prune: training").below(u64::MAX),
            ..FitPlan::default()
        };
        let steps = self.config.steps as f64;
        let progress = |epoch: &lapidary_core::fit::Epoch| {
            let done = (t - 1) as f64 + epoch.epoch as f64 / epochs as f64;
            (self.cx.progress)(done / steps, "training the pruned model");
            Verdict::Continue
        };
        let context = FitContext {
            cancel: self.cx.cancel,
            epoch: &progress,
        };
        match trainable.fit(&plan, train, self.cx.valid, &context) {
            Ok(fitted) => Ok(Some(fitted.model)),
            Err(ModelError::Cancelled) => Err(OptimizeError::Cancelled),
            // A model we cannot train is pruned all the same.
            Err(error @ (ModelError::Node { .. } | ModelError::Unsupported(_))) => {
                without(error.to_string())
            }
            Err(error) => Err(error.into()),
        }
    }
}
