//! The log of a study: what takes note of a running study, and answers what an earlier run of it has noted.

use std::time::Duration;

use thiserror::Error;

use crate::evaluator::Artefacts;
use crate::space::Point;
use crate::trial::{Candidate, Outcome, Report, Trial};

/// Takes note of what happens, in order, and answers what an earlier run of the same study has noted: since a study asks and
/// tells in one fixed order, it is resumed by running it again over its log.
pub trait Log {
    /// A candidate was asked. It is evaluated after the next [`Log::commit`].
    ///
    /// # Errors
    /// When it could not be noted, or an earlier run noted another candidate under this id; the study ends.
    fn asked(&mut self, candidate: &Candidate) -> Result<(), LogError>;
    /// A trial was told to the searcher.
    ///
    /// # Errors
    /// When it could not be noted; the study ends.
    fn told(&mut self, trial: &Trial) -> Result<(), LogError>;
    /// Makes what was noted since the last time durable, before any of it has an effect.
    ///
    /// # Errors
    /// When that fails; the study ends.
    fn commit(&mut self) -> Result<(), LogError> {
        Ok(())
    }
    /// The outcome that an earlier run noted for a candidate, where there is one.
    fn recall(&mut self, _id: u64) -> Option<(Outcome, Vec<Report>)> {
        None
    }
    /// The trial of another program that stands under this id, where there is one. All lower ids are noted then.
    fn foreign(&mut self, _id: u64) -> Option<(Point, Outcome)> {
        None
    }
    /// The failed trial whose candidate is evaluated once more under this id, where there is one.
    fn retry(&mut self, _id: u64) -> Option<u64> {
        None
    }
    /// Whether an earlier run noted a candidate under this id.
    fn has(&self, _id: u64) -> bool {
        false
    }
    /// How long earlier runs of the study took.
    fn spent(&self) -> Duration {
        Duration::ZERO
    }
    /// An evaluation left something besides its metrics; [`Log::waits`] or [`Log::told`] follows.
    fn left(&mut self, _candidate: &Candidate, _outcome: &Outcome, _artefacts: &Artefacts) {}
    /// An outcome came in that cannot be told yet, since one with a lower id is awaited; [`Log::told`] follows.
    ///
    /// # Errors
    /// When it could not be noted; the study ends.
    fn waits(
        &mut self,
        _candidate: &Candidate,
        _outcome: &Outcome,
        _curve: &[Report],
    ) -> Result<(), LogError> {
        Ok(())
    }
}

/// A log that notes nothing.
impl Log for () {
    fn asked(&mut self, _: &Candidate) -> Result<(), LogError> {
        Ok(())
    }
    fn told(&mut self, _: &Trial) -> Result<(), LogError> {
        Ok(())
    }
}

/// Two logs that both take note; the first is asked first what an earlier run noted.
impl<A: Log, B: Log> Log for (A, B) {
    fn asked(&mut self, candidate: &Candidate) -> Result<(), LogError> {
        self.0.asked(candidate)?;
        self.1.asked(candidate)
    }
    fn told(&mut self, trial: &Trial) -> Result<(), LogError> {
        self.0.told(trial)?;
        self.1.told(trial)
    }
    fn commit(&mut self) -> Result<(), LogError> {
        self.0.commit()?;
        self.1.commit()
    }
    fn recall(&mut self, id: u64) -> Option<(Outcome, Vec<Report>)> {
        self.0.recall(id).or_else(|| self.1.recall(id))
    }
    fn foreign(&mut self, id: u64) -> Option<(Point, Outcome)> {
        self.0.foreign(id).or_else(|| self.1.foreign(id))
    }
    fn retry(&mut self, id: u64) -> Option<u64> {
        self.0.retry(id).or_else(|| self.1.retry(id))
    }
    fn has(&self, id: u64) -> bool {
        self.0.has(id) || self.1.has(id)
    }
    fn spent(&self) -> Duration {
        self.0.spent().max(self.1.spent())
    }
    fn left(&mut self, candidate: &Candidate, outcome: &Outcome, artefacts: &Artefacts) {
        self.0.left(candidate, outcome, artefacts);
        self.1.left(candidate, outcome, artefacts);
    }
    fn waits(
        &mut self,
        candidate: &Candidate,
        outcome: &Outcome,
        curve: &[Report],
    ) -> Result<(), LogError> {
        self.0.waits(candidate, outcome, curve)?;
        self.1.waits(candidate, outcome, curve)
    }
}

/// A log that is lent.
impl<L: Log + ?Sized> Log for &mut L {
    fn asked(&mut self, candidate: &Candidate) -> Result<(), LogError> {
        (**self).asked(candidate)
    }
    fn told(&mut self, trial: &Trial) -> Result<(), LogError> {
        (**self).told(trial)
    }
    fn commit(&mut self) -> Result<(), LogError> {
        (**self).commit()
    }
    fn recall(&mut self, id: u64) -> Option<(Outcome, Vec<Report>)> {
        (**self).recall(id)
    }
    fn foreign(&mut self, id: u64) -> Option<(Point, Outcome)> {
        (**self).foreign(id)
    }
    fn retry(&mut self, id: u64) -> Option<u64> {
        (**self).retry(id)
    }
    fn has(&self, id: u64) -> bool {
        (**self).has(id)
    }
    fn spent(&self) -> Duration {
        (**self).spent()
    }
    fn left(&mut self, candidate: &Candidate, outcome: &Outcome, artefacts: &Artefacts) {
        (**self).left(candidate, outcome, artefacts);
    }
    fn waits(
        &mut self,
        candidate: &Candidate,
        outcome: &Outcome,
        curve: &[Report],
    ) -> Result<(), LogError> {
        (**self).waits(candidate, outcome, curve)
    }
}

/// Why a log could not take note.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct LogError(pub String);
