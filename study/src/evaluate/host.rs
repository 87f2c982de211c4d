//! The program around an evaluator.

use std::ffi::OsString;
use std::path::Path;

/// What an evaluator may use of the program around it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Host<'a> {
    /// This program: with the argument [`WORKER`](crate::worker::WORKER) it is a worker, with
    /// [`GUARD`](crate::process::guard::GUARD) a guard.
    pub program: Option<&'a Path>,
    /// What a worker is told behind that, to install what is installed here.
    pub worker_args: &'a [OsString],
    /// The folder where trials keep what later stages of them go on from; it need not exist.
    pub checkpoints: Option<&'a Path>,
    /// The folder of what trials leave, where that is kept; it need not exist.
    pub artefacts: Option<&'a Path>,
}
