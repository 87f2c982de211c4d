//! A plug-in's searcher as one of ours.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::registry::{BuildError, Info, SearchInit};
use lapidary_core::searcher::{SearchError, Searcher, Snapshot};
use lapidary_core::space::Space;
use lapidary_core::trial::{Candidate, Origin, Trial};
use lapidary_plugin::abi::Status;
use lapidary_plugin::wire::{Request, read, read_candidates, write};

use crate::instance::{Call, Instance, Over, Reply};

/// A searcher in a plug-in. What it says is checked before it is used.
pub(crate) struct PluginSearcher {
    /// Snapshots are taken of what is not changed, but an instance is at work then as well.
    instance: RefCell<Box<dyn Instance>>,
    name: &'static str,
    space: Arc<Space>,
    objectives: usize,
    /// Asked since it was built or restored, and not told: telling these cannot be wrong.
    open: BTreeSet<u64>,
    /// The last id it gave.
    last: Option<u64>,
    /// Memory for what is written.
    scratch: Vec<u8>,
}

impl PluginSearcher {
    /// Builds the searcher of the plug-in that `info` is about.
    pub fn build(
        mut instance: Box<dyn Instance>,
        info: &Info,
        settings: &Json,
        init: &SearchInit<'_>,
    ) -> Result<Self, BuildError> {
        let mut request = Vec::new();
        write(&mut request, &Request::new(settings, init));
        let name = info.name;
        let broken = |reason| BuildError::Broken { name, reason };
        let reply = instance
            .call(Call::Build, &request)
            .map_err(|over| broken(text(&over)))?;
        let reason = reply.reason();
        match reply.status {
            Status::OK => Ok(Self {
                instance: RefCell::new(instance),
                name,
                space: init.space.clone(),
                objectives: init.objectives,
                open: BTreeSet::new(),
                last: None,
                scratch: request,
            }),
            Status::SETTINGS => Err(info.refuse(reason)),
            Status::UNFIT => Err(BuildError::Unfit { name, reason }),
            _ => Err(broken(reason)),
        }
    }

    fn call(&self, call: Call, payload: &[u8]) -> Result<Reply, SearchError> {
        let reply = self.instance.borrow_mut().call(call, payload);
        reply.map_err(|over| self.wrong(text(&over)))
    }

    /// The error that the plug-in did something wrong.
    fn wrong(&self, reason: String) -> SearchError {
        SearchError::Strategy {
            strategy: self.name.to_owned(),
            reason,
        }
    }

    /// The error of a refused call, in the words of the plug-in.
    fn refused(&self, reply: &Reply) -> SearchError {
        self.wrong(reply.reason())
    }

    /// Refuses ids that do not rise.
    fn check_ids(&self, candidates: &[Candidate]) -> Result<(), SearchError> {
        let mut last = self.last;
        for candidate in candidates {
            if last.is_some_and(|last| candidate.id <= last) {
                return Err(self.wrong(format!(
                    "it gave candidate {} after candidate {}, but ids must rise",
                    candidate.id,
                    last.unwrap_or_default()
                )));
            }
            last = Some(candidate.id);
        }
        Ok(())
    }
}

fn text(over: &Over) -> String {
    format!("the plug-in {}", over.0)
}

impl Searcher for PluginSearcher {
    fn ask(&mut self, n: usize) -> Result<Vec<Candidate>, SearchError> {
        let reply = self.call(Call::Ask, &(n as u64).to_le_bytes())?;
        if reply.status != Status::OK {
            return Err(self.refused(&reply));
        }
        let candidates = read_candidates(reply.bytes.get(), &self.space, n).map_err(|error| {
            self.wrong(format!(
                "what it gave when asked for {n} candidates: {error}"
            ))
        })?;
        self.check_ids(&candidates)?;
        self.open.extend(candidates.iter().map(|c| c.id));
        self.last = candidates.last().map(|c| c.id).or(self.last);
        Ok(candidates)
    }

    fn tell(&mut self, trial: &Trial) -> Result<(), SearchError> {
        let id = trial.candidate.id;
        let own = trial.origin == Origin::Own;
        let objectives = trial.score.as_ref().map(|score| score.objectives.len());
        let sound = objectives.is_none_or(|n| n == self.objectives);
        let sure = own && sound && self.open.contains(&id);
        self.scratch.clear();
        write(&mut self.scratch, trial);
        let reply = if sure {
            self.instance.get_mut().post(Call::Tell, &self.scratch)
        } else {
            self.instance.get_mut().call(Call::Tell, &self.scratch)
        };
        let reply = reply.map_err(|over| self.wrong(text(&over)))?;
        let strategy = self.name;
        match reply.status {
            Status::OK => {
                if own {
                    self.open.remove(&id);
                }
                Ok(())
            }
            Status::UNKNOWN_TRIAL => Err(SearchError::UnknownTrial { strategy, id }),
            Status::TOLD_TWICE => Err(SearchError::ToldTwice { strategy, id }),
            Status::OBJECTIVES => Err(SearchError::Objectives {
                strategy,
                id,
                found: objectives.unwrap_or_default(),
                wanted: self.objectives,
            }),
            _ => Err(self.refused(&reply)),
        }
    }

    fn snapshot(&self) -> Result<Snapshot, SearchError> {
        let reply = self.call(Call::Snapshot, &[])?;
        let strategy = self.name;
        match reply.status {
            Status::OK => read(reply.bytes.get())
                .map_err(|error| self.wrong(format!("what it gave as a snapshot: {error}"))),
            Status::NO_SNAPSHOTS => Err(SearchError::NoSnapshots { strategy }),
            _ => Err(self.refused(&reply)),
        }
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), SearchError> {
        let mut text = Vec::new();
        write(&mut text, snapshot);
        let reply = self.call(Call::Restore, &text)?;
        let strategy = self.name;
        match reply.status {
            Status::OK => {
                self.open.clear();
                self.last = None;
                Ok(())
            }
            Status::NO_SNAPSHOTS => Err(SearchError::NoSnapshots { strategy }),
            Status::FOREIGN_SNAPSHOT => Err(SearchError::ForeignSnapshot {
                strategy,
                found: snapshot.strategy.clone(),
                version: snapshot.version,
            }),
            Status::MALFORMED_SNAPSHOT => Err(SearchError::MalformedSnapshot {
                strategy,
                reason: reply.bytes.text(),
            }),
            _ => Err(self.refused(&reply)),
        }
    }
}
