//! What the commands that run a study begin with: its file, its searcher and its log.

use std::path::PathBuf;

use lapidary_core::registry::{BuildError, Registry, SearchInit};
use lapidary_core::searcher::Searcher;
use lapidary_core::text::listed;
use lapidary_study::file::{Overrides, StudyFile};
use lapidary_study::store::{self, Store, StudyLog};
use tempfile::TempDir;

use crate::args::{KeepArgs, StudyArgs};
use crate::end::Failure;
use crate::output;

/// The study as its file and the command line describe it; `more` is set as by `--set`.
pub fn read_study(
    args: &StudyArgs,
    more: &[String],
    registry: &Registry,
) -> Result<StudyFile, Failure> {
    let overrides = Overrides {
        strategy: args.strategy.clone(),
        set: [&args.set, more].concat(),
    };
    let mut file = StudyFile::load(&args.study, &overrides, registry).map_err(Failure::input)?;
    if args.trials.is_some() {
        file.budget.trials = args.trials;
    }
    if args.time.is_some() {
        file.budget.time = args.time;
    }
    if let Some(seed) = args.seed {
        file.seed = seed;
    }
    Ok(file)
}

/// Lets evaluations use as many threads as the study says.
pub fn use_threads(file: &StudyFile) -> Result<(), Failure> {
    match file.threads {
        Some(threads) => rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global()
            .map_err(Failure::work),
        None => Ok(()),
    }
}

/// This very program, to be started once more; where the system offers it, even if its file was replaced since.
pub fn program() -> Result<PathBuf, Failure> {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() {
        return Ok(running);
    }
    std::env::current_exe().map_err(Failure::work)
}

/// Where a study's trials keep what later stages of them go on from, and what they leave.
pub enum Folders {
    /// Beside the store.
    Stored {
        /// The store.
        store: PathBuf,
        /// Name of the study.
        name: String,
    },
    /// For this run only.
    Temporary(TempDir),
}

impl Folders {
    /// Those of the study of `file`.
    pub fn of(args: &KeepArgs, file: &StudyFile) -> Result<Self, Failure> {
        match &args.store {
            Some(store) => Ok(Self::Stored {
                store: store.clone(),
                name: file.name.clone(),
            }),
            None => Self::temporary(),
        }
    }

    /// Those of a study without a store.
    pub fn temporary() -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("lapidary-").tempdir();
        folder.map(Self::Temporary).map_err(|error| {
            Failure::work(format!("no folder for temporary files (TMPDIR): {error}"))
        })
    }

    /// Where later stages find what earlier ones kept.
    pub fn checkpoints(&self) -> PathBuf {
        match self {
            Self::Stored { store, name } => store::checkpoints(store, name),
            Self::Temporary(folder) => folder.path().join("checkpoints"),
        }
    }

    /// Where the artefacts are.
    pub fn artefacts(&self) -> PathBuf {
        match self {
            Self::Stored { store, name } => store::artefacts(store, name),
            Self::Temporary(folder) => folder.path().join("artefacts"),
        }
    }

    /// Removes what nothing goes on from any more: the study is at its end.
    pub fn remove_checkpoints(&self) {
        if let Self::Stored { store, name } = self {
            store::remove_checkpoints(store, name);
        }
    }
}

/// The searcher of the study, which plans for `planned` trials.
pub fn searcher(
    file: &StudyFile,
    registry: &Registry,
    planned: Option<u64>,
) -> Result<Box<dyn Searcher>, Failure> {
    let init = SearchInit {
        space: file.space.clone(),
        seed: file.seed,
        objectives: file.goal.objectives.len(),
        trials: planned,
        installed: None,
    };
    registry
        .searcher(&file.strategy, &file.settings, &init)
        .map_err(|error| match error {
            BuildError::Broken { .. } => Failure::work(error),
            BuildError::Unknown { .. } => Failure::input(file.strategy_error(&error)),
            error => Failure::input(error),
        })
}

/// Begins the study in its store, where there is one, or goes on with it.
pub fn begin(
    args: &KeepArgs,
    file: &StudyFile,
    registry: &Registry,
) -> Result<Option<StudyLog>, Failure> {
    let Some(path) = &args.store else {
        return Ok(None);
    };
    let store = Store::create(path).map_err(Failure::input)?;
    let (name, trials) = (&file.name, file.budget.trials);
    // A start that was killed before it began the study is no reason to refuse the next.
    let resume = args.resume && store.has(name).map_err(Failure::input)?;
    if args.resume && !resume {
        output::tell(&format!(
            "{} has no study `{name}` yet: it begins",
            path.display()
        ));
    }
    let rounded = store::rounded_axes(&file.space);
    if !rounded.is_empty() {
        output::tell(&format!(
            "note: Optuna's tables in the store round whole numbers beyond 2^53 ({}); the study itself has them exactly",
            listed(&rounded)
        ));
    }
    let identity = file.identity().with_plugins(registry);
    let mut log = store
        .begin(name, &identity, trials, resume)
        .map_err(Failure::input)?;
    if resume {
        eprintln!("going on after {} trials", log.recalled());
    }
    if args.retry_failed {
        eprintln!("{} failed trials are tried again", log.retry_failed());
    }
    let (foreign, unfit) = log.foreign();
    if foreign > 0 {
        eprintln!("{foreign} trials of another program are learnt from");
    }
    if unfit > 0 {
        eprintln!(
            "{unfit} trials of another program do not fit the space or the goal, and are left out"
        );
    }
    Ok(Some(log))
}
