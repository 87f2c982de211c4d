//! A searcher's own book of ids: which were asked, which were told.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::searcher::SearchError;
use crate::space::Point;
use crate::trial::Candidate;

/// Hands out rising ids and refuses tells of ids that are unknown or already told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Ledger {
    next: u64,
    pending: BTreeSet<u64>,
}

/// A ledger as it is read, before it is known to be one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    next: u64,
    pending: BTreeSet<u64>,
}

impl TryFrom<Written> for Ledger {
    type Error = &'static str;

    fn try_from(Written { next, pending }: Written) -> Result<Self, Self::Error> {
        if next > i64::MAX as u64 {
            return Err("the next id is beyond any study");
        }
        if pending.last().is_some_and(|last| *last >= next) {
            return Err("an id is pending that was never asked");
        }
        Ok(Self { next, pending })
    }
}

impl Ledger {
    /// The id that [`Ledger::ask`] gives next.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// A fresh id, pending from now on.
    pub fn ask(&mut self) -> u64 {
        let id = self.next;
        self.next += 1;
        self.pending.insert(id);
        id
    }

    /// A candidate for `point` under a fresh id, at full fidelity and from no earlier trial.
    pub fn candidate(&mut self, point: Point) -> Candidate {
        Candidate {
            id: self.ask(),
            point,
            fidelity: 1.0,
            parent: None,
        }
    }

    /// Marks `id` as told.
    ///
    /// # Errors
    /// When it was never asked or is told already; nothing changes then.
    pub fn tell(&mut self, strategy: &'static str, id: u64) -> Result<(), SearchError> {
        self.check(strategy, id)?;
        self.pending.remove(&id);
        Ok(())
    }

    /// Whether `id` may be told.
    ///
    /// # Errors
    /// When it was never asked or is told already.
    pub fn check(&self, strategy: &'static str, id: u64) -> Result<(), SearchError> {
        if self.pending.contains(&id) {
            Ok(())
        } else if id < self.next {
            Err(SearchError::ToldTwice { strategy, id })
        } else {
            Err(SearchError::UnknownTrial { strategy, id })
        }
    }

    /// Ids asked and not yet told, rising.
    pub fn pending(&self) -> impl Iterator<Item = u64> {
        self.pending.iter().copied()
    }
}
