use std::sync::Arc;

use lapidary_core::ledger::Ledger;
use lapidary_core::registry::{Entry, Factory, Info};
use lapidary_core::rng::Rng;
use lapidary_core::searcher::{SearchError, Searcher};
use lapidary_core::settings::{NoSettings, Schema};
use lapidary_core::space::Space;
use lapidary_core::trial::{Candidate, Origin, Trial};

struct Draws {
    space: Arc<Space>,
    seed: u64,
    ledger: Ledger,
}

impl Searcher for Draws {
    fn ask(&mut self, n: usize) -> Result<Vec<Candidate>, SearchError> {
        let one = |_| {
            let id = self.ledger.ask();
            let point = self.space.sample(&mut Rng::keyed(self.seed, id, "draws"));
            Candidate { id, point, fidelity: 1.0, parent: None }
        };
        Ok((0..n).map(one).collect())
    }

    fn tell(&mut self, trial: &Trial) -> Result<(), SearchError> {
        match trial.origin {
            Origin::Own => self.ledger.tell("draws", trial.candidate.id),
            Origin::Foreign => Ok(()),
        }
    }
}

pub static ENTRY: Entry = Entry {
    info: Info {
        name: "draws",
        summary: "draws at random",
        docs: "Draws every point at random, whatever came of the others.",
        settings: Schema::of::<NoSettings>(),
        promises: &[],
    },
    factory: Factory::Searcher(&|settings, init| {
        ENTRY.info.read_settings::<NoSettings>(settings)?;
        Ok(Box::new(Draws { space: init.space.clone(), seed: init.seed, ledger: Ledger::default() }))
    }),
};
