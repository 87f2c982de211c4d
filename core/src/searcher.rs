//! The searcher: proposes candidates and learns from outcomes.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::json::Json;
use crate::trial::{Candidate, Trial};

/// The state of a searcher as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Name of the strategy that wrote it.
    pub strategy: String,
    /// Version of the state's form.
    pub version: u32,
    /// The state.
    pub state: Json,
}

/// A search strategy. It sees no thread, clock, file or evaluator; the study calls it from one thread.
pub trait Searcher: Send {
    /// At most `n` candidates with fresh, rising ids. None at all means that the space is exhausted, or, while trials are
    /// pending, that the searcher waits for one to be told. With no tell between, `ask(n)` gives what `n` times `ask(1)` gives.
    ///
    /// # Errors
    /// When the searcher cannot go on.
    fn ask(&mut self, n: usize) -> Result<Vec<Candidate>, SearchError>;

    /// Learns from a trial: one of its own candidates, or a foreign one (whose id means nothing to it).
    ///
    /// # Errors
    /// When an own trial was never asked or is told twice; nothing changes then.
    fn tell(&mut self, trial: &Trial) -> Result<(), SearchError>;

    /// The whole state, for programs that keep searchers themselves. A searcher need not give any: a study is resumed by asking
    /// and telling anew what its log says.
    ///
    /// # Errors
    /// When the state cannot be written as JSON, or [`SearchError::NoSnapshots`].
    fn snapshot(&self) -> Result<Snapshot, SearchError> {
        Err(no_snapshots::<Self>())
    }

    /// Takes on the state of a snapshot; the same sequence goes on from there.
    ///
    /// # Errors
    /// When the snapshot is another strategy's, of another version, or malformed, or [`SearchError::NoSnapshots`]; nothing
    /// changes then.
    fn restore(&mut self, _: &Snapshot) -> Result<(), SearchError> {
        Err(no_snapshots::<Self>())
    }
}

fn no_snapshots<S: ?Sized>() -> SearchError {
    SearchError::NoSnapshots {
        strategy: std::any::type_name::<S>(),
    }
}

/// What can go wrong in a search.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum SearchError {
    #[error("{strategy} never asked for trial {id}")]
    UnknownTrial { strategy: &'static str, id: u64 },
    #[error("trial {id} was told to {strategy} before")]
    ToldTwice { strategy: &'static str, id: u64 },
    #[error("trial {id} has {found} objectives where {strategy} was built for {wanted}")]
    Objectives {
        strategy: &'static str,
        id: u64,
        found: usize,
        wanted: usize,
    },
    #[error("a snapshot of {found} (version {version}) cannot restore {strategy}")]
    ForeignSnapshot {
        strategy: &'static str,
        found: String,
        version: u32,
    },
    #[error("the snapshot of {strategy} is malformed: {reason}")]
    MalformedSnapshot {
        strategy: &'static str,
        reason: String,
    },
    #[error("{strategy} takes no snapshots")]
    NoSnapshots { strategy: &'static str },
    #[error("{strategy}: {reason}")]
    Strategy { strategy: String, reason: String },
}

/// Whether a trial that has a score has as many objectives as `strategy` was built for.
///
/// # Errors
/// When it has more or fewer.
pub fn check_objectives(
    strategy: &'static str,
    trial: &Trial,
    wanted: usize,
) -> Result<(), SearchError> {
    match &trial.score {
        Some(score) if score.objectives.len() != wanted => Err(SearchError::Objectives {
            strategy,
            id: trial.candidate.id,
            found: score.objectives.len(),
            wanted,
        }),
        _ => Ok(()),
    }
}

impl Snapshot {
    /// Writes `state` as the snapshot of a strategy.
    ///
    /// # Errors
    /// When the state cannot be written as JSON.
    pub fn of<T: Serialize>(
        strategy: &'static str,
        version: u32,
        state: &T,
    ) -> Result<Self, SearchError> {
        let state = serde_json::to_value(state).map_err(|e| SearchError::MalformedSnapshot {
            strategy,
            reason: e.to_string(),
        })?;
        Ok(Self {
            strategy: strategy.to_owned(),
            version,
            state,
        })
    }

    /// Reads the state that `strategy` wrote in form `version`.
    ///
    /// # Errors
    /// When the snapshot is another strategy's, of another version, or malformed.
    pub fn read<T: serde::de::DeserializeOwned>(
        &self,
        strategy: &'static str,
        version: u32,
    ) -> Result<T, SearchError> {
        if self.strategy != strategy || self.version != version {
            return Err(SearchError::ForeignSnapshot {
                strategy,
                found: self.strategy.clone(),
                version: self.version,
            });
        }
        serde_json::from_value(self.state.clone()).map_err(|e| SearchError::MalformedSnapshot {
            strategy,
            reason: e.to_string(),
        })
    }
}
