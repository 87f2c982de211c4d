//! The optimizer: makes a smaller or faster model out of a model.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cancel::Cancel;
use crate::json::Json;
use crate::model::{Model, ModelError, ModelSpec};
use crate::samples::Samples;
use crate::trial::Metrics;

/// Measures a model on the data that decisions may see.
pub type Measure<'a> = dyn Fn(&dyn Model) -> Result<Metrics, ModelError> + Sync + 'a;

/// Builds a model for the same task.
pub type Build<'a> = dyn Fn(&ModelSpec) -> Result<Box<dyn Model>, ModelError> + Sync + 'a;

/// Whether metrics are acceptable under the user's goal.
pub type Accept<'a> = dyn Fn(&Metrics) -> bool + Sync + 'a;

/// What an optimizer may use of its host.
pub struct OptimizeContext<'a> {
    /// Samples to fit on, where given.
    pub train: Option<&'a Samples>,
    /// Samples to decide on, where given.
    pub valid: Option<&'a Samples>,
    /// Samples to calibrate activations with, where given (else a part of `train`).
    pub calibration: Option<&'a Samples>,
    /// Measures a model on the validation samples; sizes are always among the metrics.
    pub measure: &'a Measure<'a>,
    /// Whether metrics meet the goal; always true where the user set none.
    pub accept: &'a Accept<'a>,
    /// Builds another model for the same task.
    pub build: &'a Build<'a>,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Ends the work early, with an error.
    pub cancel: &'a Cancel,
    /// Takes progress: share done in [0, 1] and what is being done.
    pub progress: &'a (dyn Fn(f64, &str) + Sync),
}

/// What an optimizer gives back. Nothing here is a measurement: the host measures the model itself.
pub struct Optimized {
    /// The new model.
    pub model: Box<dyn Model>,
    /// What the user should know, for example layers left alone and why.
    pub notes: Vec<String>,
}

/// An optimization method.
///
/// ```
/// # mod linear { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/linear.rs")); }
/// # use linear::Linear;
/// use std::sync::Arc;
///
/// use lapidary_core::cancel::Cancel;
/// use lapidary_core::model::{Edit, Model, check_finite};
/// use lapidary_core::optimizer::{OptimizeContext, OptimizeError, Optimized, Optimizer};
/// use lapidary_core::tensor::{Dense, Tensor};
/// use lapidary_core::trial::Metrics;
///
/// /// Rounds every weight to a multiple of `step`.
/// struct Round {
///     step: f32,
/// }
///
/// impl Optimizer for Round {
///     fn optimize(&self, model: &dyn Model, cx: &OptimizeContext<'_>) -> Result<Optimized, OptimizeError> {
///         check_finite(model)?;
///         let mut edits = Vec::new();
///         for (name, tensor) in model.weights() {
///             cx.check_cancel()?;
///             let Some(floats) = tensor.to_f32() else { continue };
///             let rounded = floats.mapv(|w| (w / self.step).round() * self.step);
///             let tensor = Arc::new(Tensor::Dense(Dense::F32(rounded.into_shared())));
///             edits.push(Edit::SetWeight { name: name.clone(), tensor });
///         }
///         let changed = model.apply(&edits)?;
///         // The user's goal: what does not meet it is not given back.
///         Ok(match (cx.accept)(&(cx.measure)(changed.as_ref())?) {
///             true => Optimized { model: changed, notes: vec![] },
///             false => Optimized { model: model.share(), notes: vec!["the step is too large for the goal".to_owned()] },
///         })
///     }
/// }
///
/// // The host's side, without data or goal.
/// let cx = OptimizeContext {
///     train: None,
///     valid: None,
///     calibration: None,
///     measure: &|model| Ok([("bytes".to_owned(), model.file_bytes()? as f64)].into()),
///     accept: &|_: &Metrics| true,
///     build: &|_| unreachable!("this method builds no other model"),
///     seed: 0,
///     cancel: &Cancel::new(),
///     progress: &|_, _| {},
/// };
/// let optimized = Round { step: 0.25 }.optimize(&Linear::new([0.3, -2.1]), &cx)?;
/// let rounded = Dense::f32(&[2, 1], vec![0.25, -2.0])?;
/// assert_eq!(optimized.model.weights()["w"].as_dense(), Some(&rounded));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Optimizer: Send + Sync {
    /// A smaller or faster model with the same signature; `model` itself is never changed.
    ///
    /// # Errors
    /// When the method does not fit the model or data, or is cancelled.
    fn optimize(
        &self,
        model: &dyn Model,
        cx: &OptimizeContext<'_>,
    ) -> Result<Optimized, OptimizeError>;
}

/// One optimizer of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Name of the optimizer.
    pub name: String,
    /// Its settings.
    #[serde(flatten)]
    pub settings: Json,
}

/// Optimizers to apply one after the other.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Recipe {
    /// The steps, first to last.
    pub steps: Vec<Step>,
}

/// What can go wrong in an optimization.
#[derive(Debug, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum OptimizeError {
    #[error("{optimizer} needs {what}")]
    Needs { optimizer: String, what: String },
    #[error("{optimizer}: {reason}")]
    Method { optimizer: String, reason: String },
    #[error("no layer matches `{glob}`; there are {}", crate::text::listed(known))]
    NoLayer { glob: String, known: Vec<String> },
    #[error("`{glob}` is not a glob: {reason}")]
    BadGlob { glob: String, reason: String },
    #[error(transparent)]
    Model(ModelError),
    #[error("interrupted")]
    Cancelled,
}

impl From<ModelError> for OptimizeError {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Cancelled => Self::Cancelled,
            other => Self::Model(other),
        }
    }
}

impl OptimizeContext<'_> {
    /// An error where the work was cancelled.
    ///
    /// # Errors
    /// [`OptimizeError::Cancelled`].
    pub fn check_cancel(&self) -> Result<(), OptimizeError> {
        if self.cancel.is_cancelled() {
            Err(OptimizeError::Cancelled)
        } else {
            Ok(())
        }
    }
}
