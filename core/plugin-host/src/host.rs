//! Loading.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lapidary_core::json::Json;
use lapidary_core::optimizer::Optimizer;
use lapidary_core::registry::{BuildError, Entry, Factory, Info, Origin, PluginFile};
use lapidary_core::searcher::{SearchInit, Searcher};
use lapidary_plugin::abi::{SEARCHER, Status};
use lapidary_plugin::wire::{Described, read};

use crate::child::{Child, Hung, Idle};
use crate::error::PluginError;
use crate::library::Library;
use crate::manifest::Manifest;
use crate::optimizer::PluginOptimizer;
use crate::policy;
use crate::searcher::PluginSearcher;
use crate::serve::UNOPENED;
use crate::session::{Call, Over, Reply, Session};

/// How plug-ins are run.
#[derive(Debug, Clone)]
pub struct Host {
    /// Where they run.
    pub isolation: Isolation,
    /// What they may take in a child process.
    pub limits: Limits,
}

/// Where plug-ins run.
#[derive(Debug, Clone)]
pub enum Isolation {
    /// Each searcher in a child process, which this program is started as.
    Child(Program),
    /// In this process, which ends when they crash.
    InProcess,
}

/// A program that calls [`serve`](crate::serve) with its last two arguments, a path and a number of bytes.
#[derive(Debug, Clone)]
pub struct Program {
    /// The program.
    pub path: PathBuf,
    /// Its arguments before those two.
    pub args: Vec<OsString>,
}

/// What a plug-in may take in a child process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time for one call.
    pub time: Duration,
    /// Memory, in bytes.
    pub memory: u64,
}

impl Default for Limits {
    /// A minute and 4 GiB.
    fn default() -> Self {
        Self {
            time: Duration::from_secs(60),
            memory: 4 << 30,
        }
    }
}

/// A plug-in that was loaded.
#[derive(Clone)]
pub struct Plugin {
    /// What its note says.
    pub manifest: Manifest,
    /// Its entry, to be added to a registry.
    pub entry: Entry,
    /// The origin to add it with.
    pub origin: Origin,
    hung: Hung,
}

impl Plugin {
    /// What it was killed for when the time for a call was over, as in "did not answer …"; `None` while that did not happen.
    pub fn hung(&self) -> Option<&str> {
        self.hung.get().map(String::as_str)
    }
}

impl Host {
    /// Loads the plug-in at `path`.
    ///
    /// # Errors
    /// When somebody else could have written the file, it is no plug-in for this program, or it does not answer.
    pub fn load(&self, path: &Path) -> Result<Plugin, PluginError> {
        let path = path.canonicalize().map_err(|source| PluginError::Read {
            path: path.to_owned(),
            source,
        })?;
        policy::check(&path)?;
        let manifest = Manifest::read(&path)?;
        let (reply, sessions) = self.open(&path, &manifest)?;
        if reply.status == UNOPENED {
            return Err(PluginError::Unopened {
                reason: reply.bytes.text(),
            });
        }
        if reply.status != Status::OK {
            return Err(PluginError::Broken {
                path,
                reason: Over::when(
                    &format!("failed ({})", reply.bytes.text()),
                    Call::Info.text(),
                )
                .0,
            });
        }
        let described = read::<Described>(reply.bytes.get());
        let described = described.map_err(|source| PluginError::Info {
            path: path.clone(),
            source,
        })?;
        if described.name != manifest.name {
            return Err(PluginError::Export {
                path,
                reason: format!(
                    "it is called `{}`, but `{}` in its note",
                    described.name, manifest.name
                ),
            });
        }
        let info = described.leak();
        let hung = match &sessions {
            Sessions::InProcess(_) => Hung::default(),
            Sessions::Children(children) => children.hung.clone(),
        };
        let factory = factory(sessions, info, manifest.kind);
        let file = PluginFile {
            path,
            version: manifest.version.clone(),
        };
        Ok(Plugin {
            manifest,
            entry: Entry { info, factory },
            origin: Origin::Plugin(Box::leak(Box::new(file))),
            hung,
        })
    }

    /// Opens the plug-in and asks what it says about itself.
    fn open(&self, path: &Path, manifest: &Manifest) -> Result<(Reply, Sessions), PluginError> {
        match &self.isolation {
            Isolation::InProcess if manifest.aborts => Err(PluginError::Aborts {
                path: path.to_owned(),
            }),
            Isolation::InProcess => {
                let library = Library::open(path, manifest)?;
                Ok((library.info(), Sessions::InProcess(library)))
            }
            Isolation::Child(program) => {
                let sessions = Children {
                    program: program.clone(),
                    plugin: path.to_owned(),
                    aborts: manifest.aborts,
                    limits: self.limits,
                    idle: Idle::default(),
                    hung: Hung::default(),
                };
                let mut session = sessions.begin()?;
                let reply =
                    session
                        .call(Call::Info, &[])
                        .map_err(|Over(reason)| PluginError::Broken {
                            path: path.to_owned(),
                            reason,
                        })?;
                Ok((reply, Sessions::Children(sessions)))
            }
        }
    }
}

/// What makes the things that a plug-in is for. As the library that it calls, it stays as long as the program.
fn factory(sessions: Sessions, info: Info, kind: u32) -> Factory {
    if kind == SEARCHER {
        let make = move |settings: &Json, init: &SearchInit<'_>| {
            let broken = |reason| BuildError::Broken {
                name: info.name,
                reason,
            };
            let session = sessions.begin().map_err(|e| broken(e.to_string()))?;
            let searcher = PluginSearcher::build(session, &info, settings, init)?;
            Ok(Box::new(searcher) as Box<dyn Searcher>)
        };
        return Factory::Searcher(Box::leak(Box::new(make)));
    }
    let sessions = Arc::new(sessions);
    let make = move |settings: &Json| {
        let optimizer = PluginOptimizer::build(&sessions, &info, settings)?;
        Ok(Box::new(optimizer) as Box<dyn Optimizer>)
    };
    Factory::Optimizer(Box::leak(Box::new(make)))
}

/// What makes the sessions of a plug-in.
pub(crate) enum Sessions {
    InProcess(Library),
    Children(Children),
}

/// The children of one plug-in.
pub(crate) struct Children {
    program: Program,
    plugin: PathBuf,
    aborts: bool,
    limits: Limits,
    idle: Idle,
    hung: Hung,
}

impl Children {
    fn begin(&self) -> Result<Box<dyn Session>, PluginError> {
        let child = match self.idle.take() {
            Some(mut child) => {
                // Told only now, when its end can be waited for.
                child
                    .call(Call::Destroy, &[])
                    .map_err(|Over(reason)| PluginError::Broken {
                        path: self.plugin.clone(),
                        reason,
                    })?;
                child
            }
            None => Child::start(
                &self.program,
                &self.plugin,
                self.aborts,
                self.limits,
                self.hung.clone(),
            )?,
        };
        Ok(Box::new(self.idle.lend(child)))
    }
}

impl Sessions {
    /// A session for one thing that the plug-in makes.
    pub fn begin(&self) -> Result<Box<dyn Session>, PluginError> {
        match self {
            Self::InProcess(library) => Ok(Box::new(library.session())),
            Self::Children(children) => children.begin(),
        }
    }
}
