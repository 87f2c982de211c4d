//! The walk over the grid.

use lapidary_core::json::Json;
use lapidary_core::ledger::Ledger;
use lapidary_core::registry::{BuildError, SearchInit};
use lapidary_core::rng::Rng;
use lapidary_core::searcher::{SearchError, Searcher, Snapshot};
use lapidary_core::settings::Checked;
use lapidary_core::space::Point;
use lapidary_core::trial::{Candidate, Origin, Trial};
use lapidary_core::tried::Tried;
use serde::{Deserialize, Serialize};

use crate::config::{Config, Order};
use crate::error::GridError;
use crate::levels::Grid;

const NAME: &str = crate::ENTRY.info.name;
/// Version of the snapshot's form.
const VERSION: u32 = 1;
/// Draws of points asked before the rest of the grid is walked through: so many fail only when little is left.
const DRAWS: usize = 64;

/// Makes the searcher.
pub fn build(settings: &Json, init: &SearchInit<'_>) -> Result<Box<dyn Searcher>, BuildError> {
    let config: Checked<Config> = crate::ENTRY.info.read_settings(settings)?;
    let grid = Grid::new(init.space.clone(), &config).map_err(|e| crate::ENTRY.info.refuse(e))?;
    Ok(Box::new(Search {
        grid,
        state: State {
            config,
            seed: init.seed,
            ledger: Ledger::default(),
            asked: Tried::default(),
        },
    }))
}

/// The searcher.
struct Search {
    grid: Grid,
    state: State,
}

/// What changes while it runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    config: Checked<Config>,
    seed: u64,
    ledger: Ledger,
    /// Points asked, as points of the thinned space.
    asked: Tried,
}

impl Search {
    /// A point of the thinned space that was not asked; `None` where there is none left.
    fn draw(&mut self) -> Option<Point> {
        let (state, space) = (&mut self.state, self.grid.thinned());
        if state.config.order == Order::Shuffled {
            let mut rng = Rng::keyed(state.seed, state.ledger.next(), "grid");
            for _ in 0..DRAWS {
                let values = space.axes().iter().map(|axis| {
                    let n = axis.domain.cardinality().expect("a grid is finite");
                    Some(axis.domain.nth(rng.below(n)))
                });
                let point = space.point(values.collect());
                if state.asked.insert(&point) {
                    return Some(point);
                }
            }
        }
        let point = state.asked.first_left(space)?;
        state.asked.insert(&point);
        Some(point)
    }
}

impl Searcher for Search {
    fn ask(&mut self, n: usize) -> Result<Vec<Candidate>, SearchError> {
        let mut candidates = Vec::new();
        while candidates.len() < n {
            let Some(point) = self.draw() else { break };
            let point = self.grid.point(&point);
            candidates.push(self.state.ledger.candidate(point));
        }
        Ok(candidates)
    }

    fn tell(&mut self, trial: &Trial) -> Result<(), SearchError> {
        match trial.origin {
            Origin::Own => self.state.ledger.tell(NAME, trial.candidate.id),
            Origin::Foreign => Ok(()),
        }
    }

    fn snapshot(&self) -> Result<Snapshot, SearchError> {
        Snapshot::of(NAME, VERSION, &self.state)
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), SearchError> {
        let state: State = snapshot.read(NAME, VERSION)?;
        if state.config != self.state.config || state.seed != self.state.seed {
            return Err(GridError::OtherGrid.into());
        }
        self.state = state;
        Ok(())
    }
}
