//! Asking the inner searcher, sending candidates up, telling what came of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::ledger::Ledger;
use lapidary_core::registry::{BuildError, SearchInit};
use lapidary_core::searcher::{SearchError, Searcher, Snapshot, check_objectives};
use lapidary_core::settings::Checked;
use lapidary_core::space::Space;
use lapidary_core::trial::{Candidate, Origin, Outcome, Score, Trial};
use lapidary_core::wire::Row;
use serde::{Deserialize, Serialize};

use crate::bracket::{Bracket, Member};
use crate::config::Config;
use crate::error::HalvingError;
use crate::gains::Gains;
use crate::ladder::Ladder;

const NAME: &str = crate::ENTRY.info.name;
/// Version of the snapshot's form.
const VERSION: u32 = 1;

/// Makes the searcher.
pub fn build(settings: &Json, init: &SearchInit<'_>) -> Result<Box<dyn Searcher>, BuildError> {
    let config: Checked<Config> = crate::ENTRY.info.read_settings(settings)?;
    let ladder = Ladder::new(&config);
    let installed = init.installed.ok_or_else(|| BuildError::Unfit {
        name: NAME,
        reason: "it works around another searcher, and none is installed here".into(),
    })?;
    let inner = SearchInit {
        trials: init.trials.map(|trials| ladder.entries(trials)),
        ..init.clone()
    };
    let inner = installed
        .searcher(&config.searcher, &config.settings, &inner)
        .map_err(|e| crate::ENTRY.info.refuse(e.to_string()))?;
    Ok(Box::new(Halving {
        space: init.space.clone(),
        objectives: init.objectives,
        inner,
        state: State {
            config,
            seed: init.seed,
            ledger: Ledger::default(),
            pending: BTreeMap::new(),
            brackets: Vec::new(),
            opened: 0,
            dry: false,
            gains: Gains::new(ladder.top()),
        },
        ladder,
    }))
}

/// The searcher.
struct Halving {
    space: Arc<Space>,
    objectives: usize,
    ladder: Ladder,
    inner: Box<dyn Searcher>,
    state: State,
}

/// What changes while it runs, but for the inner searcher.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    config: Checked<Config>,
    seed: u64,
    ledger: Ledger,
    /// Candidates that are not told yet.
    pending: BTreeMap<u64, Open>,
    /// Brackets that are not done, the oldest first.
    brackets: Vec<Bracket>,
    /// Brackets so far.
    opened: u64,
    /// Whether the inner searcher is exhausted.
    dry: bool,
    gains: Gains,
}

/// A candidate that is not told yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Open {
    /// Number of its bracket.
    bracket: u64,
    rung: usize,
    /// The inner searcher's id of it, where this is its first trial.
    inner: Option<u64>,
    /// Its objectives on the rung below, where it is not.
    before: Option<Vec<f64>>,
}

/// A snapshot's state.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    halving: State,
    inner: Snapshot,
}

impl Halving {
    /// The next candidate; `None` where all is done or an outcome is awaited.
    fn next(&mut self) -> Result<Option<Candidate>, SearchError> {
        let reduction = self.ladder.reduction;
        let mut waits = false;
        loop {
            let was_dry = self.state.dry;
            for at in 0..self.state.brackets.len() {
                let bracket = &mut self.state.brackets[at];
                if let Some((rung, member)) = bracket.promote(reduction, self.state.dry) {
                    return self.go_on(at, rung + 1, member).map(Some);
                }
                if self.state.dry || waits || !bracket.is_open() {
                    continue;
                }
                if let Some(candidate) = self.inner.ask(1)?.pop() {
                    return Ok(Some(self.enter(at, candidate)));
                }
                // With nothing open to learn from, it will not find more.
                self.state.dry = self.state.pending.values().all(|open| open.inner.is_none());
                waits = !self.state.dry;
            }
            if self.state.dry != was_dry {
                // Rungs that waited for more candidates are complete now.
                continue;
            }
            if self.state.dry || waits {
                return Ok(None);
            }
            let number = self.state.opened;
            let (first, size) = self.ladder.bracket(number);
            let bracket = Bracket::new(number, first, size, self.ladder.top());
            self.state.brackets.push(bracket);
            self.state.opened += 1;
        }
    }

    /// A candidate of the inner searcher on the first rung of a bracket.
    fn enter(&mut self, at: usize, candidate: Candidate) -> Candidate {
        let bracket = &mut self.state.brackets[at];
        bracket.rungs[0].asked += 1;
        let open = Open {
            bracket: bracket.number,
            rung: bracket.first,
            inner: Some(candidate.id),
            before: None,
        };
        self.open(open, candidate.point, None)
    }

    /// A candidate on its next rung.
    fn go_on(&mut self, at: usize, rung: usize, member: Member) -> Result<Candidate, SearchError> {
        let point =
            member
                .point
                .point(&self.space)
                .map_err(|error| SearchError::MalformedSnapshot {
                    strategy: NAME,
                    reason: error.to_string(),
                })?;
        let open = Open {
            bracket: self.state.brackets[at].number,
            rung,
            inner: None,
            before: Some(member.score.objectives),
        };
        Ok(self.open(open, point, Some(member.id)))
    }

    fn open(
        &mut self,
        open: Open,
        point: lapidary_core::space::Point,
        parent: Option<u64>,
    ) -> Candidate {
        let id = self.state.ledger.ask();
        let fidelity = self.ladder.fidelities[open.rung];
        self.state.pending.insert(id, open);
        Candidate {
            id,
            point,
            fidelity,
            parent,
        }
    }

    /// What the inner searcher sees of a trial: under its own id, and as if it had been evaluated in full.
    fn seen_inside(&self, trial: &Trial, open: &Open, score: Option<&Score>) -> Trial {
        let (id, origin) = match open.inner {
            Some(id) => (id, Origin::Own),
            None => (trial.candidate.id, Origin::Foreign),
        };
        Trial {
            candidate: Candidate {
                id,
                fidelity: 1.0,
                parent: None,
                ..trial.candidate.clone()
            },
            origin,
            score: score.map(|score| Score {
                objectives: self.state.gains.at_the_top(open.rung, &score.objectives),
                violation: score.violation,
            }),
            ..trial.clone()
        }
    }
}

impl Searcher for Halving {
    fn ask(&mut self, n: usize) -> Result<Vec<Candidate>, SearchError> {
        let mut candidates = Vec::new();
        while candidates.len() < n {
            let Some(candidate) = self.next()? else { break };
            candidates.push(candidate);
        }
        Ok(candidates)
    }

    fn tell(&mut self, trial: &Trial) -> Result<(), SearchError> {
        let id = trial.candidate.id;
        check_objectives(NAME, trial, self.objectives)?;
        if trial.origin == Origin::Foreign {
            return self.inner.tell(trial);
        }
        self.state.ledger.check(NAME, id)?;
        let usable = |s: &&Score| s.objectives.iter().all(|v| v.is_finite()) && s.violation >= 0.0;
        let score = trial.score.as_ref().filter(usable);
        let Some(open) = self.state.pending.get(&id).cloned() else {
            return Err(SearchError::UnknownTrial { strategy: NAME, id });
        };
        self.inner.tell(&self.seen_inside(trial, &open, score))?;

        let state = &mut self.state;
        state.ledger.tell(NAME, id)?;
        state.pending.remove(&id);
        if let (Some(before), Some(score)) = (&open.before, score) {
            state.gains.learn(open.rung - 1, before, &score.objectives);
        }
        let bracket = state.brackets.iter_mut().find(|b| b.number == open.bracket);
        let bracket = bracket.expect("brackets stay while trials of theirs are pending");
        let rung = bracket.rung(open.rung);
        rung.told += 1;
        let stopped = matches!(trial.outcome, Outcome::Stopped { .. });
        if let Some(score) = score.filter(|_| !stopped && open.rung < self.ladder.top()) {
            rung.waiting.push(Member {
                id,
                point: Row::from(&trial.candidate.point),
                score: score.clone(),
            });
        }
        let (reduction, dry) = (self.ladder.reduction, state.dry);
        state
            .brackets
            .retain(|b| b.size.is_none() || !b.is_done(reduction, dry));
        Ok(())
    }

    fn snapshot(&self) -> Result<Snapshot, SearchError> {
        let saved = Saved {
            halving: self.state.clone(),
            inner: self.inner.snapshot()?,
        };
        Snapshot::of(NAME, VERSION, &saved)
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), SearchError> {
        let saved: Saved = snapshot.read(NAME, VERSION)?;
        let state = saved.halving;
        if state.config != self.state.config || state.seed != self.state.seed {
            return Err(HalvingError::OtherSearch.into());
        }
        state.check(&self.ladder, &self.space, self.objectives)?;
        self.inner.restore(&saved.inner)?;
        self.state = state;
        Ok(())
    }
}

impl State {
    /// Refuses what a search cannot have come to.
    fn check(
        &self,
        ladder: &Ladder,
        space: &Arc<Space>,
        objectives: usize,
    ) -> Result<(), HalvingError> {
        let sound = |holds: bool, what| {
            if holds {
                Ok(())
            } else {
                Err(HalvingError::Unfit { what })
            }
        };
        let top = ladder.top();
        sound(self.gains.is_sound(top, objectives), "gains")?;
        sound(
            self.pending.keys().copied().eq(self.ledger.pending()),
            "open trials",
        )?;
        for open in self.pending.values() {
            let bracket = self.brackets.iter().find(|b| b.number == open.bracket);
            let fits = bracket.is_some_and(|b| {
                (b.first..=top).contains(&open.rung)
                    && open.inner.is_some() == (open.rung == b.first)
                    && open.before.as_ref().map(Vec::len)
                        == (open.rung > b.first).then_some(objectives)
            });
            sound(fits, "open trials")?;
        }
        let rising = self.brackets.is_sorted_by(|a, b| a.number < b.number)
            && self.brackets.last().is_none_or(|b| b.number < self.opened)
            && self.opened < 1 << 60;
        sound(rising, "brackets")?;
        for bracket in &self.brackets {
            let (first, size) = ladder.bracket(bracket.number);
            let fits = (bracket.first, bracket.size, bracket.rungs.len())
                == (first, size, top - first + 1);
            sound(fits, "brackets")?;
            for (k, rung) in bracket.rungs.iter().enumerate() {
                let open = self.pending.values();
                let open = open.filter(|o| (o.bracket, o.rung) == (bracket.number, first + k));
                let above = bracket.rungs.get(k + 1).map_or(0, |r| r.asked);
                let fits = rung.asked <= self.ledger.next()
                    && rung.asked.checked_sub(rung.told) == Some(open.count() as u64)
                    && rung.promoted == above
                    && rung
                        .promoted
                        .checked_add(rung.waiting.len() as u64)
                        .is_some_and(|n| n <= rung.told)
                    && (first + k < top || rung.waiting.is_empty());
                sound(fits, "rungs")?;
                for member in &rung.waiting {
                    let fits = member.point.clone().point(space).is_ok()
                        && member.score.objectives.len() == objectives
                        && member.id < self.ledger.next();
                    sound(fits, "waiting candidates")?;
                }
            }
        }
        Ok(())
    }
}
