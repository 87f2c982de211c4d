//! The plug-in's side of the border for strategies in Rust: an entry of the registry as tables of functions.

mod optimizer;
mod panic;
mod remote;
mod searcher;

pub use lapidary_core::registry::Entry;
use lapidary_core::registry::Factory;

use crate::abi::{Buffer, Descriptor, MAGIC, MAJOR, MINOR, OPTIMIZER, SEARCHER, Status};
use crate::wire::{Described, write};

/// A type that stands for the entry that a plug-in exports; the macro [`export!`](crate::export!) makes one.
pub trait Exported: 'static {
    /// The entry.
    const ENTRY: &'static Entry;
}

/// The number that stands for the kind of an entry.
///
/// # Panics
/// When it makes neither searchers nor optimizers, which for the constant it is made for is an error of the compiler's.
pub const fn kind(entry: &Entry) -> u32 {
    match entry.factory {
        Factory::Searcher(_) => SEARCHER,
        Factory::Optimizer(_) => OPTIMIZER,
        _ => panic!("a plug-in makes searchers or optimizers"),
    }
}

/// The descriptor of a plug-in.
pub const fn descriptor<E: Exported>() -> Descriptor {
    Descriptor {
        magic: MAGIC,
        major: MAJOR,
        minor: MINOR,
        size: size_of::<Descriptor>() as u32,
        kind: kind(E::ENTRY),
        info: Some(info::<E>),
        table: match E::ENTRY.factory {
            Factory::Searcher(_) => (&raw const *searcher::table::<E>()).cast(),
            Factory::Optimizer(_) => (&raw const *optimizer::table::<E>()).cast(),
            _ => panic!("a plug-in makes searchers or optimizers"),
        },
    }
}

/// What a call could not do, and how that is told.
struct Refusal {
    status: Status,
    reason: String,
}

impl Refusal {
    fn new(status: Status, reason: impl ToString) -> Self {
        Self {
            status,
            reason: reason.to_string(),
        }
    }
}

/// Runs `call` and puts what it gives, or why it does not, into `out`; a panic goes no further.
///
/// # Safety
/// `out` must be writable and hold no bytes that have to be released.
unsafe fn guarded(out: *mut Buffer, call: impl FnOnce() -> Result<Vec<u8>, Refusal>) -> Status {
    let (status, bytes) = match panic::caught(call) {
        Ok(Ok(bytes)) => (Status::OK, bytes),
        Ok(Err(refusal)) => (refusal.status, refusal.reason.into_bytes()),
        Err(reason) => (Status::PANICKED, reason.into_bytes()),
    };
    if !bytes.is_empty() {
        // SAFETY: the caller's promise.
        unsafe { out.write(Buffer::of(bytes)) };
    }
    status
}

unsafe extern "C" fn info<E: Exported>(out: *mut Buffer) -> Status {
    // SAFETY: the host gives an empty buffer.
    unsafe {
        guarded(out, || {
            let mut text = Vec::new();
            write(&mut text, &Described::from(&E::ENTRY.info));
            Ok(text)
        })
    }
}
