//! The registry: what is installed, by kind and name.
//!
//! A strategy crate declares `pub static ENTRY: Entry` and submits it with [`inventory::submit!`]. Linkers drop a crate that
//! nothing references, silently, so a facade crate lists the entries as well; [`Registry::new`] joins both.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use thiserror::Error;

use crate::evaluator::{EvalInit, EvalSource, Evaluator};
use crate::format::Format;
use crate::json::Json;
use crate::model::{Model, ModelError, TaskShape};
use crate::optimizer::Optimizer;
use crate::runtime::Runtime;
use crate::searcher::{SearchInit, Searcher};
use crate::settings::{self, Checked, Schema, Settings};
use crate::space::Axis;

/// What kind of thing an entry makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A search strategy.
    Searcher,
    /// An optimizer.
    Optimizer,
    /// An evaluator.
    Evaluator,
    /// A family of architectures.
    Family,
    /// A file format of models.
    Format,
    /// What runs models.
    Runtime,
}

/// What a method promises beyond its trait; the testkit checks whatever is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Promise {
    /// Searcher: foreign trials are learnt from (otherwise they are ignored).
    LearnsFromForeign,
    /// Searcher: on a finite space no point is proposed twice, and the searcher ends as exhausted.
    NeverRepeats,
    /// Searcher: it ends as exhausted on every space, on a continuum too.
    Ends,
    /// Optimizer: applying it to its own result changes nothing.
    Idempotent,
    /// Optimizer: weights are rounded to the nearest code: error ≤ scale / 2 where nothing is clipped.
    RoundToNearest,
    /// Optimizer: weights that are kept keep their bits.
    KeepsWeights,
    /// Optimizer: within its scope no kept weight is smaller than a removed one.
    Magnitude,
    /// Evaluator: an evaluation at a fidelity below 1 costs less (otherwise the fidelity changes nothing).
    TakesFidelity,
    /// Evaluator: evaluations report while they run, and stop where they are told to (otherwise they report nothing).
    Reports,
    /// Evaluator: every evaluation that gives metrics leaves a model.
    LeavesModel,
    /// Evaluator: it keeps the limits of single trials itself (otherwise its host does, in processes that it can kill).
    KeepsLimits,
}

/// What there is to know about an entry.
#[derive(Debug, Clone, Copy)]
pub struct Info {
    /// Name, unique within its kind.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// More: how it works and the paper it follows.
    pub docs: &'static str,
    /// Its settings, from the type they are read into: `Schema::of::<Config>()`.
    pub settings: Schema,
    /// What it promises.
    pub promises: &'static [Promise],
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
/// use lapidary_core::registry::{Kind, Registry};
/// use lapidary_core::searcher::SearchInit;
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
/// assert_eq!(error.to_string(), "no searcher `draw`; there are draws");
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

/// Why an entry could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum BuildError {
    #[error("no {kind} `{name}`; there are {}", crate::text::listed(known))]
    Unknown {
        kind: &'static str,
        name: String,
        known: Vec<&'static str>,
    },
    #[error(
        "settings of {name}: {reason}; its settings are {}",
        crate::text::listed(known)
    )]
    Settings {
        name: &'static str,
        reason: String,
        known: Vec<String>,
        /// The setting that it is about, as keys and positions in lists, where it is about one.
        path: Vec<String>,
    },
    /// An axis of the space is none that the evaluator can search.
    #[error("{name}: {reason}")]
    Axis {
        name: &'static str,
        axis: String,
        reason: String,
    },
    /// What measures models could not be made.
    #[error(transparent)]
    Runtime(Box<BuildError>),
    #[error("{name}: {reason}")]
    Unfit { name: &'static str, reason: String },
    /// The plug-in that makes it does not work.
    #[error("{name}: {reason}")]
    Broken { name: &'static str, reason: String },
    #[error(transparent)]
    Model(#[from] ModelError),
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

impl Info {
    /// Reads checked settings, and names the settings there are where that fails.
    ///
    /// # Errors
    /// When a setting is unknown, of another type or out of its bounds, or the settings do not go together.
    pub fn read_settings<T: Settings>(&self, json: &Json) -> Result<Checked<T>, BuildError> {
        settings::read(json).map_err(|error| {
            let path = settings::path_of::<T>(json);
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            self.refuse_at(&path, error.to_string())
        })
    }

    /// The error that a setting is not as it must be.
    pub fn refuse(&self, reason: impl Into<String>) -> BuildError {
        self.refuse_at(&[], reason)
    }

    /// The error that the setting at `path`, which is keys and positions in lists, is not as it must be.
    pub fn refuse_at(&self, path: &[&str], reason: impl Into<String>) -> BuildError {
        BuildError::Settings {
            name: self.name,
            reason: reason.into(),
            known: self.settings.names(),
            path: path.iter().map(|part| (*part).to_owned()).collect(),
        }
    }

    /// The error that an axis of the space is not as it must be.
    pub fn refuse_axis(&self, axis: &str, reason: impl Into<String>) -> BuildError {
        BuildError::Axis {
            name: self.name,
            axis: axis.to_owned(),
            reason: reason.into(),
        }
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

impl Serialize for Promise {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl Kind {
    /// The kind in a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Searcher => "searcher",
            Self::Optimizer => "optimizer",
            Self::Evaluator => "evaluator",
            Self::Family => "family",
            Self::Format => "format",
            Self::Runtime => "runtime",
        }
    }
}

impl Promise {
    /// All promises.
    pub const ALL: [Self; 11] = [
        Self::LearnsFromForeign,
        Self::NeverRepeats,
        Self::Ends,
        Self::Idempotent,
        Self::RoundToNearest,
        Self::KeepsWeights,
        Self::Magnitude,
        Self::TakesFidelity,
        Self::Reports,
        Self::LeavesModel,
        Self::KeepsLimits,
    ];

    /// The promise in a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::LearnsFromForeign => "learns_from_foreign",
            Self::NeverRepeats => "never_repeats",
            Self::Ends => "ends",
            Self::Idempotent => "idempotent",
            Self::RoundToNearest => "round_to_nearest",
            Self::KeepsWeights => "keeps_weights",
            Self::Magnitude => "magnitude",
            Self::TakesFidelity => "takes_fidelity",
            Self::Reports => "reports",
            Self::LeavesModel => "leaves_model",
            Self::KeepsLimits => "keeps_limits",
        }
    }

    /// The promise in a sentence.
    pub fn text(self) -> &'static str {
        match self {
            Self::LearnsFromForeign => "learns from foreign trials",
            Self::NeverRepeats => {
                "never proposes a point twice on a finite space, then ends as exhausted"
            }
            Self::Ends => "ends as exhausted on every space, on a continuum too",
            Self::Idempotent => "changes nothing when applied to its own result",
            Self::RoundToNearest => "rounds to the nearest code: error at most half a step",
            Self::KeepsWeights => "keeps the bits of all weights it does not remove",
            Self::Magnitude => "keeps no weight smaller than one it removes in the same scope",
            Self::TakesFidelity => "an evaluation at a fidelity below 1 costs less",
            Self::Reports => "reports while it runs, and stops where it is told to",
            Self::LeavesModel => "every evaluation that gives metrics leaves a model",
            Self::KeepsLimits => "keeps the limits of single trials itself",
        }
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
