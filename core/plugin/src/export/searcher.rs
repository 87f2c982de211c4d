//! A searcher behind the table.

use std::ffi::c_void;
use std::sync::Arc;

use lapidary_core::registry::{BuildError, Factory, Registry, SearchInit};
use lapidary_core::searcher::{SearchError, Searcher};
use lapidary_core::space::Space;

use super::call::{Exported, Refusal, guarded};
use crate::abi::{Buffer, Bytes, SearcherTable, Status};
use crate::wire::{Request, WireError, read, read_trial, write};

/// What a host's pointer to a searcher points to.
struct BuiltSearcher {
    searcher: Box<dyn Searcher>,
    space: Arc<Space>,
    /// Bytes of the last candidates: the next take about as many.
    written: usize,
}

/// The table of the searcher that `E` exports.
pub(super) const fn table<E: Exported>() -> &'static SearcherTable {
    &SearcherTable {
        size: size_of::<SearcherTable>(),
        build: Some(build::<E>),
        ask: Some(ask),
        tell: Some(tell),
        snapshot: Some(snapshot),
        restore: Some(restore),
        destroy: Some(destroy),
    }
}

impl From<WireError> for Refusal {
    fn from(error: WireError) -> Self {
        Self::new(Status::FAILED, error)
    }
}

impl From<BuildError> for Refusal {
    fn from(error: BuildError) -> Self {
        match error {
            // The host names the plug-in and its settings itself.
            BuildError::Settings { reason, .. } => Self::new(Status::SETTINGS, reason),
            BuildError::Unfit { reason, .. } => Self::new(Status::UNFIT, reason),
            other => Self::new(Status::FAILED, other),
        }
    }
}

impl From<SearchError> for Refusal {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::UnknownTrial { .. } => Self::new(Status::UNKNOWN_TRIAL, error),
            SearchError::ToldTwice { .. } => Self::new(Status::TOLD_TWICE, error),
            SearchError::Objectives { .. } => Self::new(Status::OBJECTIVES, error),
            SearchError::ForeignSnapshot { .. } => Self::new(Status::FOREIGN_SNAPSHOT, error),
            SearchError::MalformedSnapshot { reason, .. } => {
                Self::new(Status::MALFORMED_SNAPSHOT, reason)
            }
            SearchError::NoSnapshots { .. } => Self::new(Status::NO_SNAPSHOTS, error),
            SearchError::Strategy { reason, .. } => Self::new(Status::FAILED, reason),
            other => Self::new(Status::FAILED, other),
        }
    }
}

fn make<E: Exported>(request: &[u8]) -> Result<BuiltSearcher, Refusal> {
    let (settings, init) = read::<Request<'_>>(request)?.init();
    let Factory::Searcher(make) = E::ENTRY.factory else {
        unreachable!("this table is that of searchers");
    };
    // A searcher that works around another one finds those that are linked into the same file.
    let registry = Registry::new(&[]).map_err(|e| Refusal::new(Status::FAILED, e))?;
    let space = init.space.clone();
    let init = SearchInit {
        installed: Some(&registry),
        ..init
    };
    Ok(BuiltSearcher {
        searcher: make(&settings, &init)?,
        space,
        written: 0,
    })
}

unsafe extern "C" fn build<E: Exported>(
    request: Bytes<'_>,
    searcher: *mut *mut c_void,
    out: *mut Buffer,
) -> Status {
    // SAFETY: the host lends the request for this call, and gives places for a pointer and a buffer.
    unsafe {
        guarded(out, || {
            let instance = make::<E>(request.get())?;
            searcher.write(Box::into_raw(Box::new(instance)).cast());
            Ok(Vec::new())
        })
    }
}

unsafe extern "C" fn ask(searcher: *mut c_void, n: u64, out: *mut Buffer) -> Status {
    // SAFETY: the pointer is one that `build` gave, and calls for it come one after the other.
    unsafe {
        guarded(out, || {
            let instance = &mut *searcher.cast::<BuiltSearcher>();
            let n = usize::try_from(n).unwrap_or(usize::MAX);
            let mut text = Vec::with_capacity(instance.written + instance.written / 8);
            write(&mut text, &instance.searcher.ask(n)?);
            instance.written = text.len();
            Ok(text)
        })
    }
}

unsafe extern "C" fn tell(searcher: *mut c_void, trial: Bytes<'_>, out: *mut Buffer) -> Status {
    // SAFETY: the pointer is one that `build` gave, calls for it come one after the other, and the trial is lent for this one.
    unsafe {
        guarded(out, || {
            let instance = &mut *searcher.cast::<BuiltSearcher>();
            let trial = read_trial(trial.get(), &instance.space)?;
            instance.searcher.tell(&trial)?;
            Ok(Vec::new())
        })
    }
}

unsafe extern "C" fn snapshot(searcher: *mut c_void, out: *mut Buffer) -> Status {
    // SAFETY: the pointer is one that `build` gave, and calls for it come one after the other.
    unsafe {
        guarded(out, || {
            let instance = &*searcher.cast::<BuiltSearcher>();
            let mut text = Vec::new();
            write(&mut text, &instance.searcher.snapshot()?);
            Ok(text)
        })
    }
}

unsafe extern "C" fn restore(
    searcher: *mut c_void,
    snapshot: Bytes<'_>,
    out: *mut Buffer,
) -> Status {
    // SAFETY: the pointer is one that `build` gave, calls for it come one after the other, and the text is lent for this one.
    unsafe {
        guarded(out, || {
            let instance = &mut *searcher.cast::<BuiltSearcher>();
            instance.searcher.restore(&read(snapshot.get())?)?;
            Ok(Vec::new())
        })
    }
}

unsafe extern "C" fn destroy(searcher: *mut c_void) {
    let mut nothing = Buffer::empty();
    // SAFETY: the pointer is one that `build` gave, and the host uses it no more.
    unsafe {
        guarded(&raw mut nothing, || {
            drop(Box::from_raw(searcher.cast::<BuiltSearcher>()));
            Ok(Vec::new())
        });
    }
}
