//! What is asked next, and what is learnt.

use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::ledger::Ledger;
use lapidary_core::rank;
use lapidary_core::registry::{BuildError, SearchInit};
use lapidary_core::rng::Rng;
use lapidary_core::searcher::{SearchError, Searcher};
use lapidary_core::settings::Checked;
use lapidary_core::space::{Point, Space};
use lapidary_core::trial::{Candidate, Origin, Score, Trial};

use crate::ENTRY;
use crate::config::Config;

const NAME: &str = ENTRY.info.name;

/// Makes the searcher.
pub fn build(settings: &Json, init: &SearchInit<'_>) -> Result<Box<dyn Searcher>, BuildError> {
    let config = ENTRY.info.read_settings(settings)?;
    Ok(Box::new(Search {
        space: init.space.clone(),
        config,
        seed: init.seed,
        ledger: Ledger::default(),
        best: None,
    }))
}

/// The searcher.
struct Search {
    space: Arc<Space>,
    config: Checked<Config>,
    seed: u64,
    ledger: Ledger,
    best: Option<Best>,
}

/// The best known point.
struct Best {
    point: Point,
    score: Score,
}

impl Search {
    /// The point of the candidate that gets the next id.
    fn propose(&self) -> Point {
        // Keyed by the id, so that no bit depends on how many candidates are asked at once.
        let mut rng = Rng::keyed(self.seed, self.ledger.next(), NAME);
        let anywhere = self.space.sample(&mut rng);
        let Some(best) = &self.best else {
            return anywhere;
        };
        let axes = self.space.axes();
        if axes.is_empty() || rng.chance(self.config.wander) {
            return anywhere;
        }
        let axis = rng.index(axes.len());
        best.point.with(axis, axes[axis].domain.sample(&mut rng))
    }
}

impl Searcher for Search {
    fn ask(&mut self, n: usize) -> Result<Vec<Candidate>, SearchError> {
        let mut candidates = Vec::new();
        for _ in 0..n {
            let point = self.propose();
            candidates.push(self.ledger.candidate(point));
        }
        Ok(candidates)
    }

    fn tell(&mut self, trial: &Trial) -> Result<(), SearchError> {
        if trial.origin == Origin::Own {
            self.ledger.tell(NAME, trial.candidate.id)?;
        }
        // A failed trial has no score.
        let Some(score) = &trial.score else {
            return Ok(());
        };
        let best = self.best.as_ref();
        if best.is_none_or(|best| rank::compare(score, &best.score).is_lt()) {
            self.best = Some(Best {
                point: trial.candidate.point.clone(),
                score: score.clone(),
            });
        }
        Ok(())
    }
}
