//! Loading.

use std::path::Path;
use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::optimizer::Optimizer;
use lapidary_core::registry::{BuildError, Entry, Factory, Info, Origin, PluginFile, SearchInit};
use lapidary_core::searcher::Searcher;
use lapidary_plugin::abi::{SEARCHER, Status};
use lapidary_plugin::wire::{Described, read};

use crate::child::Hung;
use crate::error::PluginError;
use crate::frame::UNOPENED;
use crate::instance::{Call, Over, Reply};
use crate::isolation::{Isolation, Limits};
use crate::launcher::{Children, Idle, Launcher};
use crate::library::Library;
use crate::manifest::Manifest;
use crate::optimizer::PluginOptimizer;
use crate::policy;
use crate::searcher::PluginSearcher;

/// How plug-ins are run.
#[derive(Debug, Clone)]
pub struct Host {
    /// Where they run.
    pub isolation: Isolation,
    /// What they may take in a child process.
    pub limits: Limits,
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
        let (reply, launcher) = self.open(&path, &manifest)?;
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
        let hung = match &launcher {
            Launcher::InProcess(_) => Hung::default(),
            Launcher::Children(children) => children.hung.clone(),
        };
        let factory = factory(launcher, info, manifest.kind);
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
    fn open(&self, path: &Path, manifest: &Manifest) -> Result<(Reply, Launcher), PluginError> {
        match &self.isolation {
            Isolation::InProcess if manifest.aborts => Err(PluginError::Aborts {
                path: path.to_owned(),
            }),
            Isolation::InProcess => {
                let library = Library::open(path, manifest)?;
                Ok((library.info(), Launcher::InProcess(library)))
            }
            Isolation::Child(program) => {
                let children = Children {
                    program: program.clone(),
                    plugin: path.to_owned(),
                    aborts: manifest.aborts,
                    limits: self.limits,
                    idle: Idle::default(),
                    hung: Hung::default(),
                };
                let mut instance = children.begin()?;
                let reply =
                    instance
                        .call(Call::Info, &[])
                        .map_err(|Over(reason)| PluginError::Broken {
                            path: path.to_owned(),
                            reason,
                        })?;
                Ok((reply, Launcher::Children(children)))
            }
        }
    }
}

/// What makes the things that a plug-in is for. As the library that it calls, it stays as long as the program.
fn factory(launcher: Launcher, info: Info, kind: u32) -> Factory {
    if kind == SEARCHER {
        let make = move |settings: &Json, init: &SearchInit<'_>| {
            let broken = |reason| BuildError::Broken {
                name: info.name,
                reason,
            };
            let instance = launcher.begin().map_err(|e| broken(e.to_string()))?;
            let searcher = PluginSearcher::build(instance, &info, settings, init)?;
            Ok(Box::new(searcher) as Box<dyn Searcher>)
        };
        return Factory::Searcher(Box::leak(Box::new(make)));
    }
    let launcher = Arc::new(launcher);
    let make = move |settings: &Json| {
        let optimizer = PluginOptimizer::build(&launcher, &info, settings)?;
        Ok(Box::new(optimizer) as Box<dyn Optimizer>)
    };
    Factory::Optimizer(Box::leak(Box::new(make)))
}
