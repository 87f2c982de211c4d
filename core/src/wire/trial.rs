//! Metrics, outcomes, candidates and trials.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::sync::Arc;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error as ThisError;

use super::numeric::Floats;
use super::{ByName, Number, Row, Whole};
use crate::space::{Point, Space, SpaceError};
use crate::trial::{Candidate, Metrics, Origin, Outcome, Report, Score, Trial};

/// What can be wrong with a candidate or a trial that was read.
#[derive(Debug, Clone, PartialEq, ThisError)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum FormError {
    #[error("`{key}` is missing")]
    Missing { key: &'static str },
    #[error("candidate {id}: {error}")]
    Point { id: u64, error: SpaceError },
    #[error("candidate {id}: fidelity {fidelity} is not in (0, 1]")]
    Fidelity { id: u64, fidelity: f64 },
}

/// A map in every format, an empty one too.
impl Serialize for Metrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(name, value)| (name, Number(*value))))
    }
}

impl<'de> Deserialize<'de> for Metrics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NumbersByName)
    }
}

struct NumbersByName;

const NUMBERS: &str = r#"an object of numbers, or of the texts "nan", "inf" and "-inf""#;

impl<'de> Visitor<'de> for NumbersByName {
    type Value = Metrics;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NUMBERS)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metrics, A::Error> {
        let mut metrics = Metrics::new();
        while let Some(name) = map.next_key()? {
            metrics.insert(name, map.next_value_seed(Floats(NUMBERS))?);
        }
        Ok(metrics)
    }
}

/// An outcome: `failed` says that there are no metrics, `stopped` that they are not those of the end.
#[derive(Serialize, Deserialize)]
struct OutcomeForm<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metrics: Option<Cow<'a, Metrics>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stopped: Option<Cow<'a, str>>,
}

impl<'a> From<&'a Outcome> for OutcomeForm<'a> {
    fn from(outcome: &'a Outcome) -> Self {
        let (failed, stopped) = match outcome {
            Outcome::Measured { .. } => (None, None),
            Outcome::Failed { reason } => (Some(reason.as_str().into()), None),
            Outcome::Stopped { reason, .. } => (None, Some(reason.as_str().into())),
        };
        Self {
            metrics: outcome.metrics().map(Cow::Borrowed),
            failed,
            stopped,
        }
    }
}

impl OutcomeForm<'_> {
    fn outcome(self) -> Result<Outcome, FormError> {
        if let Some(reason) = self.failed {
            let reason = reason.into_owned();
            return Ok(Outcome::Failed { reason });
        }
        let metrics = self.metrics.ok_or(FormError::Missing { key: "metrics" })?;
        let metrics = metrics.into_owned();
        Ok(match self.stopped {
            Some(reason) => Outcome::Stopped {
                metrics,
                reason: reason.into_owned(),
            },
            None => Outcome::Measured { metrics },
        })
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        OutcomeForm::from(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Outcome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = OutcomeForm::deserialize(deserializer)?;
        form.outcome().map_err(D::Error::custom)
    }
}

/// A candidate, its point as `P`: a [`Row`] where it was read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CandidateForm<P> {
    /// Always written; a record of the store says elsewhere which it is.
    id: Option<Whole<u64>>,
    /// `at` in the first version of the store's log.
    #[serde(alias = "at")]
    point: P,
    #[serde(default = "full")]
    fidelity: Number,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<Whole<u64>>,
}

fn full() -> Number {
    Number(1.0)
}

impl<'a> CandidateForm<&'a Point> {
    /// `candidate` with its point by axis.
    fn by_axis(candidate: &'a Candidate) -> Self {
        Self::of(candidate, &candidate.point)
    }
}

impl<'a> CandidateForm<ByName<'a>> {
    /// `candidate` with its point by name.
    pub fn by_name(candidate: &'a Candidate) -> Self {
        Self::of(candidate, ByName(&candidate.point))
    }
}

impl<P> CandidateForm<P> {
    fn of(candidate: &Candidate, point: P) -> Self {
        Self {
            id: Some(Whole(candidate.id)),
            point,
            fidelity: Number(candidate.fidelity),
            parent: candidate.parent.map(Whole),
        }
    }
}

impl CandidateForm<Row> {
    /// The candidate, whose point is of `space`.
    ///
    /// # Errors
    /// When it has no id, its point is not of the space, or its fidelity is not in (0, 1].
    pub fn candidate(self, space: &Arc<Space>) -> Result<Candidate, FormError> {
        let Whole(id) = self.id.ok_or(FormError::Missing { key: "id" })?;
        self.named(id, space)
    }

    /// The same where what was read is known to be candidate `id`.
    ///
    /// # Errors
    /// When its point is not of the space, or its fidelity is not in (0, 1].
    pub fn named(self, id: u64, space: &Arc<Space>) -> Result<Candidate, FormError> {
        let Number(fidelity) = self.fidelity;
        if !(fidelity > 0.0 && fidelity <= 1.0) {
            return Err(FormError::Fidelity { id, fidelity });
        }
        let point = self.point.point(space);
        Ok(Candidate {
            id,
            point: point.map_err(|error| FormError::Point { id, error })?,
            fidelity,
            parent: self.parent.map(|Whole(parent)| parent),
        })
    }
}

/// Its point by axis.
impl Serialize for Candidate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        CandidateForm::by_axis(self).serialize(serializer)
    }
}

/// A trial: the fields of a candidate, those of an outcome, and what applies of the rest. They stand here once more, as serde
/// reads what is flattened through memory of its own.
#[derive(Serialize, Deserialize)]
pub struct TrialForm<'a, P> {
    id: Option<Whole<u64>>,
    point: P,
    #[serde(default = "full")]
    fidelity: Number,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<Whole<u64>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    foreign: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metrics: Option<Cow<'a, Metrics>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stopped: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    score: Option<Cow<'a, Score>>,
    #[serde(default, skip_serializing_if = "<[Report]>::is_empty")]
    curve: Cow<'a, [Report]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    repeats: Option<Whole<u64>>,
}

impl TrialForm<'_, Row> {
    /// The trial, whose point is of `space`.
    ///
    /// # Errors
    /// As [`CandidateForm::candidate`], and when nothing came out of it.
    pub fn trial(self, space: &Arc<Space>) -> Result<Trial, FormError> {
        let candidate = CandidateForm {
            id: self.id,
            point: self.point,
            fidelity: self.fidelity,
            parent: self.parent,
        };
        let outcome = OutcomeForm {
            metrics: self.metrics,
            failed: self.failed,
            stopped: self.stopped,
        };
        Ok(Trial {
            candidate: candidate.candidate(space)?,
            origin: if self.foreign {
                Origin::Foreign
            } else {
                Origin::Own
            },
            outcome: outcome.outcome()?,
            score: self.score.map(Cow::into_owned),
            curve: self.curve.into_owned(),
            repeats: self.repeats.map(|Whole(repeats)| repeats),
        })
    }
}

/// Its point by axis.
impl Serialize for Trial {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let candidate = CandidateForm::by_axis(&self.candidate);
        let outcome = OutcomeForm::from(&self.outcome);
        let form = TrialForm {
            id: candidate.id,
            point: candidate.point,
            fidelity: candidate.fidelity,
            parent: candidate.parent,
            foreign: self.origin == Origin::Foreign,
            metrics: outcome.metrics,
            failed: outcome.failed,
            stopped: outcome.stopped,
            score: self.score.as_ref().map(Cow::Borrowed),
            curve: self.curve.as_slice().into(),
            repeats: self.repeats.map(Whole),
        };
        form.serialize(serializer)
    }
}

/// A trial that stands out, as people are told of it.
#[derive(Debug, Clone, Copy)]
pub struct Found<T>(pub T);

impl<T: Borrow<Trial>> Serialize for Found<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Form<'a> {
            id: Whole<u64>,
            point: ByName<'a>,
            metrics: Option<&'a Metrics>,
            feasible: bool,
        }
        let trial: &Trial = self.0.borrow();
        let form = Form {
            id: Whole(trial.candidate.id),
            point: ByName(&trial.candidate.point),
            metrics: trial.outcome.metrics(),
            feasible: trial.is_feasible(),
        };
        form.serialize(serializer)
    }
}
