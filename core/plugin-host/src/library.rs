//! A plug-in opened in this process.

use std::error::Error;
use std::ffi::c_void;
use std::path::Path;

use lapidary_plugin::abi::{
    Buffer, Bytes, Descriptor, MAGIC, MAJOR, OptimizerTable, SEARCHER, SYMBOL, SearcherTable,
    Status, Table,
};
use libloading::os::unix::{Library as Opened, RTLD_LOCAL, RTLD_NOW};

use crate::callbacks::Callbacks;
use crate::error::PluginError;
use crate::instance::{Call, Instance, Order, Over, Reply};
use crate::manifest::Manifest;
use crate::table;

/// The functions of a plug-in that was opened; it is never closed.
#[derive(Clone, Copy)]
pub(crate) struct Library {
    info: unsafe extern "C" fn(*mut Buffer) -> Status,
    functions: Functions,
}

/// What a plug-in can do, by its kind.
#[derive(Clone, Copy)]
enum Functions {
    Searcher(SearcherTable),
    Optimizer(OptimizerTable),
}

impl Library {
    /// Opens the file at `path`, whose note said `manifest`. What the file says of itself in the table must be the same.
    pub fn open(path: &Path, manifest: &Manifest) -> Result<Self, PluginError> {
        // SAFETY: opening runs the file's initialisers. The user named the file or put it into the folder of plug-ins, nobody
        // else could write to it, and its note says that it is a plug-in.
        let opened = unsafe { Opened::open(Some(path), RTLD_NOW | RTLD_LOCAL) };
        let opened = opened.map_err(|error| PluginError::Open {
            path: path.to_owned(),
            reason: chain(&error),
        })?;
        let wrong = |reason: String| PluginError::Export {
            path: path.to_owned(),
            reason,
        };
        // SAFETY: the interface says what this symbol is: a table that lives as long as the library.
        let symbol = unsafe { opened.get::<*const Descriptor>(SYMBOL.as_bytes()) };
        let symbol = symbol.map_err(|_| wrong(format!("there is no symbol `{SYMBOL}`")))?;
        let descriptor: *const Descriptor = *symbol;
        // Nothing of it is ever given back: threads and static values of the plug-in may live on.
        std::mem::forget(opened);
        // SAFETY: the first three fields are there in every version, and the library stays.
        let (magic, major, minor) = unsafe {
            (
                (*descriptor).magic,
                (*descriptor).major,
                (*descriptor).minor,
            )
        };
        if (magic, major, minor) != (MAGIC, manifest.major, manifest.minor) || major != MAJOR {
            return Err(wrong(format!(
                "its table is of version {major}.{minor}, its note of {}",
                manifest.interface()
            )));
        }
        // SAFETY: of this major version the size stands behind them.
        let size = unsafe { (*descriptor).size } as usize;
        if size < size_of::<Descriptor>() {
            return Err(wrong(format!("its table has {size} bytes only")));
        }
        // SAFETY: the table is as long as we know it, or longer, and is never written to.
        let descriptor = unsafe { &*descriptor };
        if descriptor.kind != manifest.kind {
            return Err(wrong(format!("its table is of kind {}", descriptor.kind)));
        }
        let info = descriptor
            .info
            .ok_or_else(|| wrong("it has no function `info`".to_owned()))?;
        let functions = if descriptor.kind == SEARCHER {
            // SAFETY: the table of a searcher, as its kind says.
            let table = unsafe { SearcherTable::read(descriptor.table.cast()) };
            table.map(Functions::Searcher)
        } else {
            // SAFETY: the table of an optimizer, as its kind says.
            let table = unsafe { OptimizerTable::read(descriptor.table.cast()) };
            table.map(Functions::Optimizer)
        };
        let functions =
            functions.map_err(|size| wrong(format!("its functions take {size} bytes only")))?;
        if let Some(name) = functions.missing() {
            return Err(wrong(format!("it has no function `{name}`")));
        }
        Ok(Self { info, functions })
    }

    /// What the plug-in says about itself.
    pub fn info(&self) -> Reply {
        Reply::filled(|out| {
            // SAFETY: a function of the plug-in's, called as the interface says, with an empty buffer.
            unsafe { (self.info)(out) }
        })
    }

    /// A place for one searcher.
    pub fn instance(&self) -> InProcess {
        InProcess {
            library: *self,
            searcher: std::ptr::null_mut(),
            over: None,
        }
    }
}

impl Functions {
    /// A function that must be there and is not.
    fn missing(&self) -> Option<&'static str> {
        let needed: &[(&str, bool)] = match self {
            Self::Searcher(table) => &[
                ("build", table.build.is_some()),
                ("ask", table.ask.is_some()),
                ("tell", table.tell.is_some()),
                ("destroy", table.destroy.is_some()),
            ],
            Self::Optimizer(table) => &[
                ("build", table.build.is_some()),
                ("optimize", table.optimize.is_some()),
                ("destroy", table.destroy.is_some()),
            ],
        };
        let missing = needed.iter().find(|(_, there)| !there);
        missing.map(|(name, _)| *name)
    }
}

/// An error and its causes: libloading keeps the loader's own words in the cause.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// A searcher in this process.
pub(crate) struct InProcess {
    library: Library,
    /// Null until it is built.
    searcher: *mut c_void,
    /// What ended it.
    over: Option<Over>,
}

// SAFETY: the interface says that calls for one searcher come one after the other, not from one thread.
unsafe impl Send for InProcess {}

impl InProcess {
    fn build(&mut self, request: &[u8]) -> Reply {
        self.destroy();
        let table = match &self.library.functions {
            Functions::Searcher(table) => table,
            Functions::Optimizer(table) => {
                // Built to see whether it takes the settings; it is made anew for every run.
                let mut made = std::ptr::null_mut();
                let reply = table::build(table, request, &mut made);
                if reply.status == Status::OK {
                    table::destroy(table, made);
                }
                return reply;
            }
        };
        let mut searcher = std::ptr::null_mut();
        let reply = Reply::filled(|out| match table.build {
            // SAFETY: called as the interface says.
            Some(build) => unsafe { build(Bytes::lend(request), &raw mut searcher, out) },
            None => Status::FAILED,
        });
        if reply.status == Status::OK {
            self.searcher = searcher;
        }
        reply
    }

    fn destroy(&mut self) {
        let searcher = std::mem::replace(&mut self.searcher, std::ptr::null_mut());
        let Functions::Searcher(table) = &self.library.functions else {
            return;
        };
        if let (false, None, Some(destroy)) = (searcher.is_null(), &self.over, table.destroy) {
            // SAFETY: the searcher was built by this library, did not panic, and is forgotten here.
            unsafe { destroy(searcher) }
        }
    }

    /// The reply, or the end of the instance where it says that the plug-in panicked.
    fn unless_panicked(&mut self, call: Call, reply: Reply) -> Result<Reply, Over> {
        if reply.status != Status::PANICKED {
            return Ok(reply);
        }
        let what = format!("panicked ({})", reply.bytes.text());
        let over = Over::when(&what, call.text());
        self.over = Some(over.clone());
        Err(over)
    }

    fn dispatch(&mut self, call: Call, payload: &[u8]) -> Reply {
        let searcher = self.searcher;
        match call {
            Call::Info => return self.library.info(),
            Call::Build => return self.build(payload),
            Call::Destroy => {
                self.destroy();
                return Reply::done();
            }
            _ if searcher.is_null() => {
                return Reply::refused(Status::FAILED, "no searcher was built");
            }
            _ => {}
        }
        let Functions::Searcher(table) = &self.library.functions else {
            return Reply::refused(Status::FAILED, "it makes optimizers");
        };
        let lent = Bytes::lend(payload);
        Reply::filled(|out| {
            // SAFETY: called as the interface says, with a searcher that this library has built.
            unsafe {
                match (call, table.ask, table.tell, table.snapshot, table.restore) {
                    (Call::Ask, Some(ask), ..) => {
                        let n = payload.try_into().map_or(0, u64::from_le_bytes);
                        ask(searcher, n, out)
                    }
                    (Call::Tell, _, Some(tell), ..) => tell(searcher, lent, out),
                    (Call::Snapshot, .., Some(snapshot), _) => snapshot(searcher, out),
                    (Call::Restore, .., Some(restore)) => restore(searcher, lent, out),
                    (Call::Snapshot | Call::Restore, ..) => Status::NO_SNAPSHOTS,
                    _ => Status::FAILED,
                }
            }
        })
    }
}

impl Instance for InProcess {
    fn call(&mut self, call: Call, payload: &[u8]) -> Result<Reply, Over> {
        if let Some(over) = &self.over {
            return Err(over.clone());
        }
        let reply = self.dispatch(call, payload);
        self.unless_panicked(call, reply)
    }

    fn optimize(&mut self, order: &Order<'_>, host: &mut dyn Callbacks) -> Result<Reply, Over> {
        if let Some(over) = &self.over {
            return Err(over.clone());
        }
        let Functions::Optimizer(table) = &self.library.functions else {
            return Ok(Reply::refused(Status::FAILED, "it makes searchers"));
        };
        let reply = table::run(table, order, host);
        self.unless_panicked(Call::Optimize, reply)
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        self.destroy();
    }
}
