//! The registry: what is installed, by kind and name.
//!
//! A strategy crate declares `pub static ENTRY: Entry` and submits it with [`inventory::submit!`]. Linkers drop a crate that
//! nothing references, silently, so a facade crate lists the entries as well; [`Registry::new`] joins both.

mod error;
mod info;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use thiserror::Error;

pub use crate::registry::error::BuildError;
pub use crate::registry::info::{Info, Kind, Promise};

use crate::budget::Limits;
use crate::evaluator::{Checkpoints, Evaluator, Paths};
use crate::format::Format;
use crate::goal::Goal;
use crate::json::Json;
use crate::model::{Model, TaskShape};
use crate::optimizer::Optimizer;
use crate::runtime::Runtime;
use crate::searcher::Searcher;
use crate::space::{Axis, Space};

/// What a searcher is built for.
#[derive(Debug, Clone)]
pub struct SearchInit<'a> {
    /// Where to search.
    pub space: Arc<Space>,
    /// Seed of all its random numbers.
    pub seed: u64,
    /// Number of objectives, at least 1.
    pub objectives: usize,
    /// Trials the study may spend, where that is known beforehand.
    pub trials: Option<u64>,
    /// What is installed, for a searcher that works around another one; [`Registry::searcher`] fills it in.
    pub installed: Option<&'a Registry>,
}

/// Where the settings of an evaluator come from.
#[derive(Clone, Copy)]
pub struct EvalSource<'a> {
    /// What is installed.
    pub installed: &'a Registry,
    /// What paths among the settings count from.
    pub paths: &'a dyn Paths,
}

/// What an evaluator is made for, and what it may use.
#[derive(Clone)]
pub struct EvalInit<'a> {
    /// Where its settings come from.
    pub source: EvalSource<'a>,
    /// Where candidates come from.
    pub space: &'a Arc<Space>,
    /// What is good: volatile metrics are only worth measuring where it reads them.
    pub goal: &'a Goal,
    /// Seed of the study.
    pub seed: u64,
    /// Name and settings of the runtime that measures models.
    pub runtime: (&'a str, &'a Json),
    /// Threads that an evaluation may use; all of the machine's where `None`.
    pub threads: Option<usize>,
    /// What a single trial may take, for an evaluator that [keeps it itself](Promise::KeepsLimits).
    pub limits: Limits,
    /// This program, where it may be started once more to look after a process.
    pub program: Option<&'a Path>,
    /// What trials keep for later stages of them.
    pub checkpoints: Arc<dyn Checkpoints>,
}

impl EvalInit<'_> {
    /// What measures models.
    ///
    /// # Errors
    /// [`BuildError::Runtime`], when there is none of that name, its settings do not fit, or what it needs is not on this machine.
    pub fn make_runtime(&self) -> Result<Box<dyn Runtime>, BuildError> {
        let (name, settings) = self.runtime;
        let runtime = self.source.installed.runtime(name, settings);
        runtime.map_err(|error| BuildError::Runtime(Box::new(error)))
    }
}

/// Makes a searcher from its settings.
pub type MakeSearcher =
    dyn Fn(&Json, &SearchInit<'_>) -> Result<Box<dyn Searcher>, BuildError> + Sync;

/// Makes an optimizer from its settings.
pub type MakeOptimizer = dyn Fn(&Json) -> Result<Box<dyn Optimizer>, BuildError> + Sync;

/// Makes an evaluator from its settings.
pub type MakeEvaluator =
    dyn for<'a> Fn(&Json, &EvalInit<'a>) -> Result<Box<dyn Evaluator + 'a>, BuildError> + Sync;

/// Checks the settings of an evaluator, as far as that takes no data, and gives the axes to search where a study names none;
/// empty where the evaluator has none of its own.
pub type EvaluatorAxes = dyn Fn(&Json, &EvalSource<'_>) -> Result<Vec<Axis>, BuildError> + Sync;

/// Builds a model of a family from its settings, its weights drawn from a seed.
pub type MakeModel = dyn Fn(&Json, &TaskShape, u64) -> Result<Box<dyn Model>, BuildError> + Sync;

/// Makes a runtime from its settings.
pub type MakeRuntime = dyn Fn(&Json) -> Result<Box<dyn Runtime>, BuildError> + Sync;

/// Makes the thing an entry stands for.
#[derive(Clone, Copy)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the variants are the kinds")]
pub enum Factory {
    Searcher(&'static MakeSearcher),
    Optimizer(&'static MakeOptimizer),
    Evaluator {
        make: &'static MakeEvaluator,
        axes: &'static EvaluatorAxes,
    },
    Family {
        make: &'static MakeModel,
        /// The axes to search where a study names none, their names being settings of the family.
        axes: fn() -> Vec<Axis>,
    },
    Format(&'static dyn Format),
    Runtime(&'static MakeRuntime),
}

/// One thing that is installed.
#[derive(Clone, Copy)]
pub struct Entry {
    /// What there is to know.
    pub info: Info,
    /// How to make it.
    pub factory: Factory,
}

/// A reference to a crate's entry as it is submitted at link time.
pub struct Linked(pub &'static Entry);

inventory::collect!(Linked);

/// How an entry came to be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Listed by a facade of this project.
    Builtin,
    /// Found at link time only.
    Linked,
    /// Loaded from a file.
    Plugin(&'static PluginFile),
}

/// The file that an entry was loaded from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginFile {
    /// Where it is.
    pub path: PathBuf,
    /// The version of the plug-in, as its author numbers it.
    pub version: String,
}

/// What is installed, sorted by kind and name.
///
/// ```
/// # mod draws { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/draws.rs")); }
/// use std::sync::Arc;
///
/// use lapidary_core::json::Json;
/// use lapidary_core::registry::{Kind, Registry, SearchInit};
/// use lapidary_core::space::{Axis, Domain, Space};
///
/// // The entry of a strategy's crate, here of the one on this crate's front page.
/// let registry = Registry::new(&[&draws::ENTRY])?;
/// let names: Vec<&str> = registry.entries().map(|(entry, _)| entry.info.name).collect();
/// assert_eq!(names, ["draws"]);
///
/// let options = vec!["heads".into(), "tails".into()];
/// let init = SearchInit {
///     space: Arc::new(Space::new(vec![Axis::new("coin", Domain::Choice { options })])?),
///     seed: 7,
///     objectives: 1,
///     trials: None,
///     installed: None,
/// };
/// let mut searcher = registry.searcher("draws", &Json::Null, &init)?;
/// assert_eq!(searcher.ask(1)?.len(), 1);
///
/// let error = registry.searcher("draw", &Json::Null, &init).err().ok_or("there is none")?;
/// assert_eq!(error.to_string(), "no searcher `draw` (did you mean `draws`?); there are draws");
/// assert!(registry.entry(Kind::Optimizer, "draws").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Registry {
    entries: BTreeMap<(Kind, &'static str), (Entry, Origin)>,
}

/// What can be wrong with the set of entries.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum RegistryError {
    #[error("two {}s are called `{name}`", kind.word())]
    Twice { kind: Kind, name: &'static str },
}

impl Entry {
    /// The kind of thing the entry makes.
    pub fn kind(&self) -> Kind {
        match self.factory {
            Factory::Searcher(_) => Kind::Searcher,
            Factory::Optimizer(_) => Kind::Optimizer,
            Factory::Evaluator { .. } => Kind::Evaluator,
            Factory::Family { .. } => Kind::Family,
            Factory::Format(_) => Kind::Format,
            Factory::Runtime(_) => Kind::Runtime,
        }
    }

    /// Whether the entry makes the promise.
    pub fn promises(&self, promise: Promise) -> bool {
        self.info.promises.contains(&promise)
    }
}

impl Origin {
    /// The origin in a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Builtin => "builtin",
            Self::Linked => "linked",
            Self::Plugin(_) => "plugin",
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.entries.keys()).finish()
    }
}

impl Registry {
    /// All entries a facade lists, joined with those found at link time.
    ///
    /// # Errors
    /// When two different entries of one kind bear the same name.
    pub fn new(listed: &[&'static Entry]) -> Result<Self, RegistryError> {
        let mut registry = Self {
            entries: BTreeMap::new(),
        };
        for entry in listed {
            registry.add(**entry, Origin::Builtin)?;
        }
        for Linked(entry) in inventory::iter::<Linked> {
            if !listed.iter().any(|l| std::ptr::eq(*l, *entry)) {
                registry.add(**entry, Origin::Linked)?;
            }
        }
        Ok(registry)
    }

    /// Installs an entry that is linked into the program; one that was submitted at link time is there already.
    ///
    /// # Errors
    /// When another one of that kind and name is installed.
    pub fn link(&mut self, entry: &'static Entry) -> Result<(), RegistryError> {
        let submitted = |Linked(other): &Linked| std::ptr::eq(*other, entry);
        match inventory::iter::<Linked>.into_iter().any(submitted) {
            true => Ok(()),
            false => self.add(*entry, Origin::Linked),
        }
    }

    /// Installs one more entry.
    ///
    /// # Errors
    /// When one of that kind and name is installed already.
    pub fn add(&mut self, entry: Entry, origin: Origin) -> Result<(), RegistryError> {
        let key = (entry.kind(), entry.info.name);
        if self.entries.contains_key(&key) {
            return Err(RegistryError::Twice {
                kind: key.0,
                name: key.1,
            });
        }
        self.entries.insert(key, (entry, origin));
        Ok(())
    }

    /// All entries with their origin, sorted by kind and name.
    pub fn entries(&self) -> impl Iterator<Item = (&Entry, Origin)> {
        self.entries
            .values()
            .map(|(entry, origin)| (entry, *origin))
    }

    /// The file that the entry of a kind and name was loaded from, where it is a plug-in.
    pub fn plugin(&self, kind: Kind, name: &str) -> Option<&'static PluginFile> {
        let mut entries = self.entries.iter();
        match entries.find(|((k, n), _)| *k == kind && *n == name)?.1.1 {
            Origin::Plugin(file) => Some(file),
            Origin::Builtin | Origin::Linked => None,
        }
    }

    /// The entry of a kind and name.
    ///
    /// # Errors
    /// When there is none; the error lists the names there are.
    pub fn entry(&self, kind: Kind, name: &str) -> Result<&Entry, BuildError> {
        self.entries
            .iter()
            .find(|((k, n), _)| *k == kind && *n == name)
            .map(|(_, (entry, _))| entry)
            .ok_or_else(|| BuildError::Unknown {
                kind: kind.word(),
                name: name.to_owned(),
                known: self
                    .entries
                    .keys()
                    .filter(|(k, _)| *k == kind)
                    .map(|(_, n)| *n)
                    .collect(),
            })
    }

    /// Makes the searcher called `name`.
    ///
    /// # Errors
    /// When there is none of that name, or its settings do not fit.
    pub fn searcher(
        &self,
        name: &str,
        settings: &Json,
        init: &SearchInit<'_>,
    ) -> Result<Box<dyn Searcher>, BuildError> {
        let init = SearchInit {
            installed: Some(self),
            ..init.clone()
        };
        match self.entry(Kind::Searcher, name)?.factory {
            Factory::Searcher(make) => make(settings, &init),
            _ => unreachable!("entries are kept by their kind"),
        }
    }

    /// Makes the optimizer called `name`.
    ///
    /// # Errors
    /// When there is none of that name, or its settings do not fit.
    pub fn optimizer(&self, name: &str, settings: &Json) -> Result<Box<dyn Optimizer>, BuildError> {
        match self.entry(Kind::Optimizer, name)?.factory {
            Factory::Optimizer(make) => make(settings),
            _ => unreachable!("entries are kept by their kind"),
        }
    }

    /// Makes the evaluator called `name`.
    ///
    /// # Errors
    /// When there is none of that name, or its settings do not fit.
    pub fn evaluator<'a>(
        &self,
        name: &str,
        settings: &Json,
        init: &EvalInit<'a>,
    ) -> Result<Box<dyn Evaluator + 'a>, BuildError> {
        match self.entry(Kind::Evaluator, name)?.factory {
            Factory::Evaluator { make, .. } => make(settings, init),
            _ => unreachable!("entries are kept by their kind"),
        }
    }

    /// The axes of the evaluator called `name`, where a study names none; its settings are checked.
    ///
    /// # Errors
    /// When there is none of that name, or its settings do not fit.
    pub fn evaluator_axes(
        &self,
        name: &str,
        settings: &Json,
        source: &EvalSource<'_>,
    ) -> Result<Vec<Axis>, BuildError> {
        match self.entry(Kind::Evaluator, name)?.factory {
            Factory::Evaluator { axes, .. } => axes(settings, source),
            _ => unreachable!("entries are kept by their kind"),
        }
    }

    /// The axes of the family called `name`, where a study names none.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn family_axes(&self, name: &str) -> Result<Vec<Axis>, BuildError> {
        match self.entry(Kind::Family, name)?.factory {
            Factory::Family { axes, .. } => Ok(axes()),
            _ => unreachable!("entries are kept by their kind"),
        }
    }

    /// Builds a model of the family called `name`, its weights drawn from `seed`.
    ///
    /// # Errors
    /// When there is none of that name, or its settings do not fit the task.
    pub fn family(
        &self,
        name: &str,
        settings: &Json,
        task: &TaskShape,
        seed: u64,
    ) -> Result<Box<dyn Model>, BuildError> {
        match self.entry(Kind::Family, name)?.factory {
            Factory::Family { make, .. } => make(settings, task, seed),
            _ => unreachable!("entries are kept by their kind"),
        }
    }

    /// All formats with their names, sorted by these.
    pub fn formats(&self) -> impl Iterator<Item = (&'static str, &'static dyn Format)> {
        self.entries().filter_map(|(entry, _)| match entry.factory {
            Factory::Format(format) => Some((entry.info.name, format)),
            _ => None,
        })
    }

    /// Makes the runtime called `name`.
    ///
    /// # Errors
    /// When there is none of that name, its settings do not fit, or what it needs is not on this machine.
    pub fn runtime(&self, name: &str, settings: &Json) -> Result<Box<dyn Runtime>, BuildError> {
        match self.entry(Kind::Runtime, name)?.factory {
            Factory::Runtime(make) => make(settings),
            _ => unreachable!("entries are kept by their kind"),
        }
    }
}
