//! The study that a command is about, read from its store.

use lapidary_study::store::{Store, Stored};

use crate::args;
use crate::end::Failure;

/// Reads the study.
pub(super) fn read(args: &args::StudyArg) -> Result<Stored, Failure> {
    Store::open(&args.store.store)
        .and_then(|store| store.read(&args.name))
        .map_err(Failure::input)
}
