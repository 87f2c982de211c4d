//! The plainest searcher there is, for searchers that work around another one.

use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::ledger::Ledger;
use lapidary_core::registry::{BuildError, Entry, Factory, Info, Promise, SearchInit};
use lapidary_core::rng::Rng;
use lapidary_core::searcher::{SearchError, Searcher, Snapshot};
use lapidary_core::settings::{NoSettings, Schema};
use lapidary_core::space::Space;
use lapidary_core::trial::{Candidate, Origin, Trial};
use lapidary_core::tried::Tried;

/// Its entry: it bears the name of the real random search, in whose place it stands.
pub(super) const ENTRY: Entry = Entry {
    info: Info {
        name: "random",
        summary: "uniform draws without repeats",
        docs: "Draws points uniformly until a finite space is exhausted.",
        settings: Schema::of::<NoSettings>(),
        promises: &[Promise::NeverRepeats],
    },
    factory: Factory::Searcher(&build),
};

/// Draws of tried points before the rest of the space is walked through.
const DRAWS: usize = 64;

fn build(settings: &Json, init: &SearchInit<'_>) -> Result<Box<dyn Searcher>, BuildError> {
    ENTRY.info.read_settings::<NoSettings>(settings)?;
    Ok(Box::new(Uniform {
        space: init.space.clone(),
        seed: init.seed,
        ledger: Ledger::default(),
        tried: Tried::default(),
    }))
}

struct Uniform {
    space: Arc<Space>,
    seed: u64,
    ledger: Ledger,
    tried: Tried,
}

impl Searcher for Uniform {
    fn ask(&mut self, n: usize) -> Result<Vec<Candidate>, SearchError> {
        let mut candidates = Vec::new();
        while candidates.len() < n {
            let mut rng = Rng::keyed(self.seed, self.ledger.next(), "uniform");
            let drawn = std::iter::repeat_with(|| self.space.sample(&mut rng))
                .take(DRAWS)
                .find(|point| !self.tried.contains(point));
            let Some(point) = drawn.or_else(|| self.tried.first_left(&self.space)) else {
                break;
            };
            self.tried.insert(&point);
            candidates.push(self.ledger.candidate(point));
        }
        Ok(candidates)
    }

    fn tell(&mut self, trial: &Trial) -> Result<(), SearchError> {
        match trial.origin {
            Origin::Own => self.ledger.tell(ENTRY.info.name, trial.candidate.id),
            Origin::Foreign => Ok(()),
        }
    }

    fn snapshot(&self) -> Result<Snapshot, SearchError> {
        Snapshot::of(ENTRY.info.name, 1, &(&self.ledger, &self.tried))
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), SearchError> {
        (self.ledger, self.tried) = snapshot.read(ENTRY.info.name, 1)?;
        Ok(())
    }
}
