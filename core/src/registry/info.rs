//! What there is to know about an entry.

use serde::Serialize;

use crate::json::Json;
use crate::registry::error::BuildError;
use crate::settings::{self, Checked, Schema, Settings};

/// What kind of thing an entry makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A search strategy.
    Searcher,
    /// An optimizer.
    Optimizer,
    /// An evaluator.
    Evaluator,
    /// A family of architectures.
    Family,
    /// A file format of models.
    Format,
    /// What runs models.
    Runtime,
}

/// What a method promises beyond its trait; the testkit checks whatever is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Promise {
    /// Searcher: foreign trials are learnt from (otherwise they are ignored).
    LearnsFromForeign,
    /// Searcher: on a finite space no point is proposed twice, and the searcher ends as exhausted.
    NeverRepeats,
    /// Searcher: it ends as exhausted on every space, on a continuum too.
    Ends,
    /// Optimizer: applying it to its own result changes nothing.
    Idempotent,
    /// Optimizer: weights are rounded to the nearest code: error ≤ scale / 2 where nothing is clipped.
    RoundToNearest,
    /// Optimizer: weights that are kept keep their bits.
    KeepsWeights,
    /// Optimizer: within its scope no kept weight is smaller than a removed one.
    Magnitude,
    /// Evaluator: an evaluation at a fidelity below 1 costs less (otherwise the fidelity changes nothing).
    TakesFidelity,
    /// Evaluator: evaluations report while they run, and stop where they are told to (otherwise they report nothing).
    Reports,
    /// Evaluator: every evaluation that gives metrics leaves a model.
    LeavesModel,
    /// Evaluator: it keeps the limits of single trials itself (otherwise its host does, in processes that it can kill).
    KeepsLimits,
}

/// What there is to know about an entry.
#[derive(Debug, Clone, Copy)]
pub struct Info {
    /// Name, unique within its kind.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// More: how it works and the paper it follows.
    pub docs: &'static str,
    /// Its settings, from the type they are read into: `Schema::of::<Config>()`.
    pub settings: Schema,
    /// What it promises.
    pub promises: &'static [Promise],
}

impl Info {
    /// Reads checked settings, and names the settings there are where that fails.
    ///
    /// # Errors
    /// When a setting is unknown, of another type or out of its bounds, or the settings do not go together.
    pub fn read_settings<T: Settings>(&self, json: &Json) -> Result<Checked<T>, BuildError> {
        settings::read(json).map_err(|error| {
            let path = settings::path_of::<T>(json);
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            self.refuse_at(&path, error.to_string())
        })
    }

    /// The error that a setting is not as it must be.
    pub fn refuse(&self, reason: impl Into<String>) -> BuildError {
        self.refuse_at(&[], reason)
    }

    /// The error that the setting at `path`, which is keys and positions in lists, is not as it must be.
    pub fn refuse_at(&self, path: &[&str], reason: impl Into<String>) -> BuildError {
        BuildError::Settings {
            name: self.name,
            reason: reason.into(),
            known: self.settings.names(),
            path: path.iter().map(|part| (*part).to_owned()).collect(),
        }
    }

    /// The error that an axis of the space is not as it must be.
    pub fn refuse_axis(&self, axis: &str, reason: impl Into<String>) -> BuildError {
        BuildError::Axis {
            name: self.name,
            axis: axis.to_owned(),
            reason: reason.into(),
        }
    }
}

impl Serialize for Promise {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl Kind {
    /// The kind in a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Searcher => "searcher",
            Self::Optimizer => "optimizer",
            Self::Evaluator => "evaluator",
            Self::Family => "family",
            Self::Format => "format",
            Self::Runtime => "runtime",
        }
    }
}

impl Promise {
    /// All promises.
    pub const ALL: [Self; 11] = [
        Self::LearnsFromForeign,
        Self::NeverRepeats,
        Self::Ends,
        Self::Idempotent,
        Self::RoundToNearest,
        Self::KeepsWeights,
        Self::Magnitude,
        Self::TakesFidelity,
        Self::Reports,
        Self::LeavesModel,
        Self::KeepsLimits,
    ];

    /// The promise in a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::LearnsFromForeign => "learns_from_foreign",
            Self::NeverRepeats => "never_repeats",
            Self::Ends => "ends",
            Self::Idempotent => "idempotent",
            Self::RoundToNearest => "round_to_nearest",
            Self::KeepsWeights => "keeps_weights",
            Self::Magnitude => "magnitude",
            Self::TakesFidelity => "takes_fidelity",
            Self::Reports => "reports",
            Self::LeavesModel => "leaves_model",
            Self::KeepsLimits => "keeps_limits",
        }
    }

    /// The promise in a sentence.
    pub fn text(self) -> &'static str {
        match self {
            Self::LearnsFromForeign => "learns from foreign trials",
            Self::NeverRepeats => {
                "never proposes a point twice on a finite space, then ends as exhausted"
            }
            Self::Ends => "ends as exhausted on every space, on a continuum too",
            Self::Idempotent => "changes nothing when applied to its own result",
            Self::RoundToNearest => "rounds to the nearest code: error at most half a step",
            Self::KeepsWeights => "keeps the bits of all weights it does not remove",
            Self::Magnitude => "keeps no weight smaller than one it removes in the same scope",
            Self::TakesFidelity => "an evaluation at a fidelity below 1 costs less",
            Self::Reports => "reports while it runs, and stops where it is told to",
            Self::LeavesModel => "every evaluation that gives metrics leaves a model",
            Self::KeepsLimits => "keeps the limits of single trials itself",
        }
    }
}
