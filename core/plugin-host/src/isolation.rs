//! Where plug-ins run, and what they may take there.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

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
