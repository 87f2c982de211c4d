//! Samples: named input tensors with targets, the first axis being the sample.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::tensor::{Dense, Shared, TensorError};

/// What is to be predicted for each sample.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// One class of several.
    Classes {
        /// Class index of each sample.
        labels: Vec<usize>,
        /// Names of the classes, by index.
        names: Vec<String>,
    },
    /// Numbers, `[samples, values]`.
    Values(Shared<f32>),
}

/// What a model has to predict, without the samples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// One of `classes` classes.
    Classification {
        /// Number of classes.
        classes: usize,
    },
    /// `values` numbers.
    Regression {
        /// Number of values.
        values: usize,
    },
}

/// Inputs by the name of the model's input; each tensor's first axis is the sample.
pub type Inputs = BTreeMap<String, Dense>;

/// Samples held in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    /// Input tensors `[samples, …]` by name.
    pub inputs: Inputs,
    /// Targets, where known.
    pub targets: Option<Targets>,
}

impl Targets {
    /// Number of samples.
    pub fn len(&self) -> usize {
        match self {
            Self::Classes { labels, .. } => labels.len(),
            Self::Values(values) => values.shape().first().copied().unwrap_or(0),
        }
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What has to be predicted.
    pub fn task(&self) -> Task {
        match self {
            Self::Classes { names, .. } => Task::Classification {
                classes: names.len(),
            },
            Self::Values(values) => Task::Regression {
                values: values.shape().iter().skip(1).product(),
            },
        }
    }

    /// The targets at `indices`, in that order.
    ///
    /// # Errors
    /// When an index is out of range.
    pub fn select(&self, indices: &[usize]) -> Result<Self, TensorError> {
        match self {
            Self::Classes { labels, names } => {
                if let Some(&index) = indices.iter().find(|&&i| i >= labels.len()) {
                    return Err(TensorError::Index {
                        index,
                        axis: 0,
                        extent: labels.len(),
                    });
                }
                Ok(Self::Classes {
                    labels: indices.iter().map(|&i| labels[i]).collect(),
                    names: names.clone(),
                })
            }
            Self::Values(values) => match Dense::F32(values.clone()).select(0, indices)? {
                Dense::F32(selected) => Ok(Self::Values(selected)),
                _ => unreachable!("selecting keeps the element type"),
            },
        }
    }
}

impl Samples {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.inputs
            .values()
            .next()
            .and_then(|t| t.shape().first().copied())
            .unwrap_or(0)
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The samples at `indices`, in that order.
    ///
    /// # Errors
    /// When an index is out of range.
    pub fn select(&self, indices: &[usize]) -> Result<Self, TensorError> {
        Ok(Self {
            inputs: self
                .inputs
                .iter()
                .map(|(name, t)| Ok((name.clone(), t.select(0, indices)?)))
                .collect::<Result<_, TensorError>>()?,
            targets: self
                .targets
                .as_ref()
                .map(|t| t.select(indices))
                .transpose()?,
        })
    }

    /// The samples in `range`; their input tensors are shared, not copied.
    ///
    /// # Errors
    /// When the range reaches beyond the samples.
    pub fn rows(&self, range: Range<usize>) -> Result<Self, TensorError> {
        let rows: Vec<usize> = range.clone().collect();
        Ok(Self {
            inputs: self
                .inputs
                .iter()
                .map(|(name, t)| Ok((name.clone(), t.rows(range.clone())?)))
                .collect::<Result<_, TensorError>>()?,
            targets: self.targets.as_ref().map(|t| t.select(&rows)).transpose()?,
        })
    }

    /// The first `n` samples, or all where there are fewer.
    pub fn head(&self, n: usize) -> Self {
        self.rows(0..self.len().min(n))
            .expect("the range is within the samples")
    }
}
