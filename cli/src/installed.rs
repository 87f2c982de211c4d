//! What is installed: the entries of all facades, and plug-ins.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use lapidary_core::registry::{Entry, Registry, RegistryError};
use lapidary_plugin_host::{Host, Isolation, Limits, Plugin, PluginError, Program, files, folder};

use crate::args::{PluginArgs, Running};
use crate::end::Failure;
use crate::setup;

/// The argument that makes this program the process of a plug-in.
const PLUGIN_PROCESS: &str = "plugin-process";

/// Entries of the program's own.
static LINKED: OnceLock<Vec<&Entry>> = OnceLock::new();

/// Lets what is built in have entries of the program's own beside it, once and before anything else.
pub fn link(entries: &[&'static Entry]) {
    LINKED.get_or_init(|| entries.to_vec());
}

/// What is built in, and what is linked into the program.
pub fn builtin() -> Result<Registry, Failure> {
    let listed = [
        lapidary_strategies::ENTRIES,
        lapidary_optimizers::ENTRIES,
        lapidary_study::evaluate::ENTRIES,
        lapidary_zoo::ENTRIES,
        lapidary_model::ENTRIES,
    ]
    .concat();
    let mut registry = Registry::new(&listed).map_err(Failure::work)?;
    for entry in LINKED.get().into_iter().flatten() {
        registry.link(entry).map_err(Failure::work)?;
    }
    Ok(registry)
}

/// What is built in, the plug-ins of the user's folder that can be used, and those that are named.
pub fn registry(args: &PluginArgs) -> Result<Registry, Failure> {
    let mut registry = builtin()?;
    for (path, loaded) in found(args)? {
        let named = args.files.contains(&path);
        let added = loaded
            .map_err(Refused::from)
            .and_then(|plugin| add(&mut registry, &path, &plugin));
        match added {
            Err(error) if named => return Err(Failure::input(error)),
            Err(error) => eprintln!("a plug-in is left out: {error}"),
            Ok(()) => {}
        }
    }
    Ok(registry)
}

/// What keeps a plug-in from being installed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error(transparent)]
    Plugin(#[from] PluginError),
    #[error("{path}: {source}; a plug-in cannot take a name that is taken", path = path.display())]
    Taken {
        path: PathBuf,
        source: RegistryError,
    },
}

/// Installs a plug-in that was loaded from `path`.
pub fn add(registry: &mut Registry, path: &Path, plugin: &Plugin) -> Result<(), Refused> {
    registry
        .add(plugin.entry, plugin.origin)
        .map_err(|source| Refused::Taken {
            path: path.to_owned(),
            source,
        })
}

/// A plug-in's file, and what came of loading it.
pub type Found = (PathBuf, Result<Plugin, PluginError>);

/// The plug-ins of the user's folder and those that are named, each file once.
pub fn found(args: &PluginArgs) -> Result<Vec<Found>, Failure> {
    let installed = match folder() {
        Some(folder) => files(&folder).map_err(Failure::input)?,
        None => Vec::new(),
    };
    let host = host(args.running)?;
    let mut seen = BTreeSet::new();
    // Named ones first, so that what is both is one that has to work.
    let mut found: Vec<_> = (args.files.iter().cloned().chain(installed))
        .filter(|path| seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())))
        .map(|path| {
            let loaded = host.load(&path);
            (path, loaded)
        })
        .collect();
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

/// What loads plug-ins.
pub fn host(running: Running) -> Result<Host, Failure> {
    Ok(Host {
        isolation: if running.in_process {
            Isolation::InProcess
        } else {
            Isolation::Child(Program {
                path: setup::program()?,
                args: vec![PLUGIN_PROCESS.into()],
            })
        },
        limits: Limits {
            time: running.plugin_time,
            memory: running.plugin_memory,
        },
    })
}

/// The arguments by which another process of this program installs the same.
pub fn again(args: &PluginArgs) -> Vec<OsString> {
    let Running {
        in_process,
        plugin_time,
        plugin_memory,
    } = args.running;
    let absolute = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let files = args.files.iter();
    let mut words: Vec<OsString> = files
        .flat_map(|file| ["--plugin".into(), absolute(file).into()])
        .collect();
    words.extend(in_process.then(|| "--in-process".into()));
    words.extend([
        "--plugin-time".into(),
        format!("{}ns", plugin_time.as_nanos()).into(),
    ]);
    words.extend(["--plugin-memory".into(), plugin_memory.to_string().into()]);
    words
}
