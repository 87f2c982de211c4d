//! Starts the instances of a plug-in, in this process or in children of it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::callbacks::Callbacks;
use crate::child::{Child, Hung};
use crate::error::PluginError;
use crate::instance::{Call, Instance, Order, Over, Reply};
use crate::isolation::{Limits, Program};
use crate::library::Library;

/// What starts the instances of a plug-in.
pub(crate) enum Launcher {
    InProcess(Library),
    Children(Children),
}

/// The children of one plug-in.
pub(crate) struct Children {
    pub program: Program,
    pub plugin: PathBuf,
    pub aborts: bool,
    pub limits: Limits,
    pub idle: Idle,
    pub hung: Hung,
}

impl Children {
    pub fn begin(&self) -> Result<Box<dyn Instance>, PluginError> {
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

impl Launcher {
    /// An instance for one thing that the plug-in makes.
    pub fn begin(&self) -> Result<Box<dyn Instance>, PluginError> {
        match self {
            Self::InProcess(library) => Ok(Box::new(library.instance())),
            Self::Children(children) => children.begin(),
        }
    }
}

/// Children that may end their searcher and make another: starting one takes longer than most of what searchers do.
#[derive(Clone, Default)]
pub(crate) struct Idle(Arc<Mutex<Vec<Child>>>);

impl Idle {
    fn take(&self) -> Option<Child> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn give(&self, child: Child) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(child);
    }

    /// An instance that gives its child back where it still works.
    fn lend(&self, child: Child) -> Lent {
        Lent {
            child: Some(child),
            idle: self.clone(),
        }
    }
}

/// A child at work.
struct Lent {
    /// Taken when it is given back.
    child: Option<Child>,
    idle: Idle,
}

impl Lent {
    fn child(&mut self) -> Result<&mut Child, Over> {
        self.child
            .as_mut()
            .ok_or_else(|| Over("was given back".to_owned()))
    }
}

impl Instance for Lent {
    fn optimize(&mut self, order: &Order<'_>, host: &mut dyn Callbacks) -> Result<Reply, Over> {
        self.child()?.optimize(order, host)
    }

    fn call(&mut self, call: Call, payload: &[u8]) -> Result<Reply, Over> {
        self.child()?.call(call, payload)
    }

    fn post(&mut self, call: Call, payload: &[u8]) -> Result<Reply, Over> {
        self.child()?.post(call, payload)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(child) = self.child.take()
            && child.works()
        {
            self.idle.give(child);
        }
    }
}
