//! What all functions of the tables have in common: the entry they are for, and how a call is refused.

use lapidary_core::registry::Entry;

use super::panic;
use crate::abi::{Buffer, Status};

/// A type that stands for the entry that a plug-in exports; the macro [`export!`](crate::export!) makes one.
pub trait Exported: 'static {
    /// The entry.
    const ENTRY: &'static Entry;
}

/// What a call could not do, and how that is told.
pub(super) struct Refusal {
    status: Status,
    reason: String,
}

impl Refusal {
    pub fn new(status: Status, reason: impl ToString) -> Self {
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
pub(super) unsafe fn guarded(
    out: *mut Buffer,
    call: impl FnOnce() -> Result<Vec<u8>, Refusal>,
) -> Status {
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
