//! What is asked next, and what is learnt.

use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::ledger::Ledger;
use lapidary_core::rank;
use lapidary_core::registry::BuildError;
use lapidary_core::rng::Rng;
use lapidary_core::searcher::{SearchError, SearchInit, Searcher, Snapshot};
use lapidary_core::settings::Checked;
use lapidary_core::space::{AxisValue, Point, Space};
use lapidary_core::trial::{Candidate, Origin, Score, Trial};
use serde::{Deserialize, Serialize};

use crate::ENTRY;
use crate::config::Config;
use crate::error::Error;

const NAME: &str = ENTRY.info.name;
/// Version of the snapshot's form: raise it when `State` changes.
const VERSION: u32 = 1;

/// Makes the searcher.
pub fn build(settings: &Json, init: &SearchInit<'_>) -> Result<Box<dyn Searcher>, BuildError> {
    let config = ENTRY.info.read_settings(settings)?;
    Ok(Box::new(Search {
        space: init.space.clone(),
        state: State {
            config,
            seed: init.seed,
            ledger: Ledger::default(),
            best: None,
        },
    }))
}

/// The searcher.
struct Search {
    space: Arc<Space>,
    state: State,
}

/// All that changes while it runs, and what a snapshot must share with the searcher it restores.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    config: Checked<Config>,
    seed: u64,
    ledger: Ledger,
    best: Option<Best>,
}

/// The best known point: values by axis index, `None` where the axis is inactive.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Best {
    values: Vec<Option<AxisValue>>,
    score: Score,
}

impl Search {
    /// The point of the candidate that gets the next id.
    fn propose(&self) -> Point {
        // Keyed by the id, so that no bit depends on how many candidates are asked at once.
        let mut rng = Rng::keyed(self.state.seed, self.state.ledger.next(), NAME);
        let anywhere = self.space.sample(&mut rng);
        let Some(best) = &self.state.best else {
            return anywhere;
        };
        if best.values.is_empty() || rng.chance(self.state.config.wander) {
            return anywhere;
        }
        let mut values = best.values.clone();
        let axis = rng.index(values.len());
        values[axis] = Some(self.space.axes()[axis].domain.sample(&mut rng));
        self.space.point(values)
    }
}

impl Searcher for Search {
    fn ask(&mut self, n: usize) -> Result<Vec<Candidate>, SearchError> {
        let mut candidates = Vec::new();
        for _ in 0..n {
            let point = self.propose();
            candidates.push(self.state.ledger.candidate(point));
        }
        Ok(candidates)
    }

    fn tell(&mut self, trial: &Trial) -> Result<(), SearchError> {
        if trial.origin == Origin::Own {
            self.state.ledger.tell(NAME, trial.candidate.id)?;
        }
        // A failed trial has no score.
        let Some(score) = &trial.score else {
            return Ok(());
        };
        let best = self.state.best.as_ref();
        if best.is_none_or(|best| rank::compare(score, &best.score).is_lt()) {
            self.state.best = Some(Best {
                values: trial.candidate.point.values().to_vec(),
                score: score.clone(),
            });
        }
        Ok(())
    }

    fn snapshot(&self) -> Result<Snapshot, SearchError> {
        Snapshot::of(NAME, VERSION, &self.state)
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), SearchError> {
        let state: State = snapshot.read(NAME, VERSION)?;
        let same = state.config == self.state.config && state.seed == self.state.seed;
        let fits = |best: &Best| self.space.admits(&best.values);
        if !same || !state.best.iter().all(fits) {
            return Err(Error::OtherSearch.into());
        }
        self.state = state;
        Ok(())
    }
}
