//! Lapidary's seams: spaces, searchers, evaluators and the study loop that joins them; models, optimizers and
//! recipes; goals, budgets, metrics; and the registry of what is installed. No files, no network.
//!
//! Who writes a search strategy implements [`Searcher`](searcher::Searcher), who writes an optimization method
//! [`Optimizer`](optimizer::Optimizer), and either declares an [`Entry`](registry::Entry). A program puts entries into a
//! [`Registry`](registry::Registry) and takes them from there by name. A whole strategy, which draws at random:
//!
//! ```
//! use std::sync::Arc;
//!
//! use lapidary_core::json::Json;
//! use lapidary_core::ledger::Ledger;
//! use lapidary_core::registry::{Entry, Factory, Info, Registry};
//! use lapidary_core::rng::Rng;
//! use lapidary_core::searcher::{SearchError, SearchInit, Searcher, Snapshot};
//! use lapidary_core::settings::{NoSettings, Schema};
//! use lapidary_core::space::{Axis, Domain, Space};
//! use lapidary_core::trial::{Candidate, Origin, Trial};
//!
//! struct Draws {
//!     space: Arc<Space>,
//!     seed: u64,
//!     ledger: Ledger,
//! }
//!
//! impl Searcher for Draws {
//!     fn ask(&mut self, n: usize) -> Result<Vec<Candidate>, SearchError> {
//!         let one = |_| {
//!             let id = self.ledger.ask();
//!             let point = self.space.sample(&mut Rng::keyed(self.seed, id, "draws"));
//!             Candidate { id, point, fidelity: 1.0, parent: None }
//!         };
//!         Ok((0..n).map(one).collect())
//!     }
//!
//!     fn tell(&mut self, trial: &Trial) -> Result<(), SearchError> {
//!         match trial.origin {
//!             Origin::Own => self.ledger.tell("draws", trial.candidate.id),
//!             Origin::Foreign => Ok(()),
//!         }
//!     }
//!
//!     fn snapshot(&self) -> Result<Snapshot, SearchError> {
//!         Snapshot::of("draws", 1, &self.ledger)
//!     }
//!
//!     fn restore(&mut self, snapshot: &Snapshot) -> Result<(), SearchError> {
//!         self.ledger = snapshot.read("draws", 1)?;
//!         Ok(())
//!     }
//! }
//!
//! static ENTRY: Entry = Entry {
//!     info: Info {
//!         name: "draws",
//!         summary: "draws at random",
//!         docs: "Draws every point at random, whatever came of the others.",
//!         settings: Schema::of::<NoSettings>(),
//!         promises: &[],
//!     },
//!     factory: Factory::Searcher(&|settings, init| {
//!         ENTRY.info.read_settings::<NoSettings>(settings)?;
//!         Ok(Box::new(Draws { space: init.space.clone(), seed: init.seed, ledger: Ledger::default() }))
//!     }),
//! };
//!
//! let registry = Registry::new(&[&ENTRY])?;
//! let domain = Domain::Int { low: 1, high: 6, log: false, step: 1 };
//! let init = SearchInit {
//!     space: Arc::new(Space::new(vec![Axis::new("dice", domain)])?),
//!     seed: 7,
//!     objectives: 1,
//!     trials: None,
//!     installed: None,
//! };
//! let mut searcher = registry.searcher("draws", &Json::Null, &init)?;
//! assert_eq!(searcher.ask(3)?.len(), 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `docs/writing-a-strategy.md` in the repository goes on from here, to a name on the command line; the crate
//! `lapidary-testkit` has the properties that every strategy keeps.

pub mod budget;
pub mod cancel;
pub mod condition;
pub mod evaluator;
pub mod fit;
pub mod format;
pub mod goal;
pub mod json;
pub mod ledger;
pub mod metrics;
pub mod model;
pub mod optimizer;
pub mod rank;
pub mod registry;
pub mod rng;
pub mod runtime;
pub mod samples;
pub mod scorer;
pub mod searcher;
pub mod select;
pub mod session;
pub mod settings;
pub mod space;
pub mod stop;
pub mod study;
pub mod tensor;
pub mod text;
pub mod trial;
pub mod tried;
pub mod units;
pub mod wire;

pub use {inventory, schemars};
