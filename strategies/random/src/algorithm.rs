//! Drawing.

use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::ledger::Ledger;
use lapidary_core::registry::{BuildError, SearchInit};
use lapidary_core::rng::Rng;
use lapidary_core::searcher::{SearchError, Searcher, Snapshot};
use lapidary_core::settings::Checked;
use lapidary_core::space::{Point, Space};
use lapidary_core::trial::{Candidate, Origin, Trial};
use lapidary_core::tried::Tried;
use serde::{Deserialize, Serialize};

use crate::config::{Config, Sampling};
use crate::error::RandomError;
use crate::sobol::Sobol;

const NAME: &str = crate::ENTRY.info.name;
/// Version of the snapshot's form.
const VERSION: u32 = 1;
/// Draws of tried points before the rest of the space is walked through: so many fail only when little is left.
const DRAWS: usize = 64;

/// Makes the searcher.
pub fn build(settings: &Json, init: &SearchInit) -> Result<Box<dyn Searcher>, BuildError> {
    let config = crate::ENTRY.info.read_settings(settings)?;
    Ok(Box::new(Random::new(config, init)))
}

/// The searcher.
struct Random {
    space: Arc<Space>,
    seed: u64,
    config: Checked<Config>,
    sobol: Sobol,
    finite: bool,
    state: State,
}

/// What changes while it runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    config: Checked<Config>,
    seed: u64,
    ledger: Ledger,
    /// Points of the sequence used, tried ones that were passed over included.
    drawn: u64,
    /// Stays empty where the space is a continuum.
    tried: Tried,
}

impl Random {
    fn new(config: Checked<Config>, init: &SearchInit) -> Self {
        let dimensions = match config.sampling {
            Sampling::Uniform => 0,
            Sampling::Sobol => init.space.axes().len(),
        };
        Self {
            space: init.space.clone(),
            seed: init.seed,
            config,
            sobol: Sobol::new(dimensions, init.seed),
            finite: init.space.is_finite(),
            state: State {
                config,
                seed: init.seed,
                ledger: Ledger::default(),
                drawn: 0,
                tried: Tried::default(),
            },
        }
    }

    /// A point that was not tried; `None` where there is none left.
    fn draw(&mut self) -> Option<Point> {
        let state = &mut self.state;
        let mut rng = Rng::keyed(self.seed, state.ledger.next(), "random");
        for _ in 0..DRAWS {
            let point = match self.config.sampling {
                Sampling::Uniform => self.space.sample(&mut rng),
                Sampling::Sobol => self.space.at_unit(&self.sobol.point(state.drawn)),
            };
            state.drawn = state.drawn.wrapping_add(1);
            if !self.finite || state.tried.insert(&point) {
                return Some(point);
            }
        }
        let point = state.tried.first_left(&self.space)?;
        state.tried.insert(&point);
        Some(point)
    }
}

impl Searcher for Random {
    fn ask(&mut self, n: usize) -> Result<Vec<Candidate>, SearchError> {
        let mut candidates = Vec::new();
        while candidates.len() < n {
            let Some(point) = self.draw() else { break };
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
        if state.config != self.config || state.seed != self.seed {
            return Err(RandomError::OtherSequence.into());
        }
        self.state = state;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_core::settings::Settings;
    use lapidary_core::space::{Axis, AxisValue, Domain};

    fn searcher(sampling: Sampling, domain: Domain) -> Random {
        let axes = vec![Axis::new("a", domain.clone()), Axis::new("b", domain)];
        Random::new(
            Config { sampling }.check().unwrap(),
            &SearchInit {
                space: Arc::new(Space::new(axes).unwrap()),
                seed: 7,
                objectives: 1,
                trials: None,
                installed: None,
            },
        )
    }

    #[test]
    fn log_integers_are_drawn_by_ratio_and_yet_all_come() {
        for sampling in [Sampling::Uniform, Sampling::Sobol] {
            let domain = Domain::Int {
                low: 1,
                high: 64,
                log: true,
                step: 1,
            };
            let mut searcher = searcher(sampling, domain);
            let all = searcher.ask(5000).unwrap();
            assert_eq!(all.len(), 64 * 64);
            let small = all[..200]
                .iter()
                .filter(|c| matches!(c.point.values()[0], Some(AxisValue::Int(..=7))))
                .count();
            // Half of the log scale is below 8; evenly drawn it would be 22 of 200.
            assert!((70..=110).contains(&small), "{small}");
        }
    }

    #[test]
    fn a_snapshot_of_the_other_sampling_is_refused() {
        let domain = Domain::Float {
            low: 0.0,
            high: 1.0,
            log: false,
            step: None,
        };
        let snapshot = searcher(Sampling::Sobol, domain.clone())
            .snapshot()
            .unwrap();
        let error = searcher(Sampling::Uniform, domain)
            .restore(&snapshot)
            .unwrap_err();
        assert!(error.to_string().contains("sampling"), "{error}");
    }
}
