//! What can be wrong with a plug-in.

use std::io;
use std::path::PathBuf;

use lapidary_plugin::wire::WireError;
use thiserror::Error;

/// What can be wrong with a plug-in. The path is that of its file.
#[derive(Debug, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum PluginError {
    #[error("{path}: {source}", path = path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "{path}: {place} can be written by others than its owner; a plug-in may do whatever you may, so nobody else must be \
         able to change it: chmod go-w {place}", path = path.display(), place = place.display()
    )]
    Writable { path: PathBuf, place: PathBuf },
    #[error(
        "{path}: {place} belongs to user {owner}, neither to you nor to root", path = path.display(), place = place.display()
    )]
    Owner {
        path: PathBuf,
        place: PathBuf,
        owner: u32,
    },
    #[error("{path}: this is no shared library: {reason}", path = path.display())]
    NoLibrary { path: PathBuf, reason: String },
    #[error("{path}: the file is cut off: it says {wanted} bytes and has {found}", path = path.display())]
    Truncated {
        path: PathBuf,
        wanted: u64,
        found: u64,
    },
    #[error("{path}: it is for another processor (ELF machine {found}, this one is {wanted})", path = path.display())]
    Machine {
        path: PathBuf,
        found: u16,
        wanted: u16,
    },
    #[error(
        "{path}: it is no plug-in of Lapidary: it has no section {}", lapidary_plugin::note::SECTION, path = path.display()
    )]
    NoNote { path: PathBuf },
    #[error("{path}: its note is malformed: {reason}", path = path.display())]
    Note { path: PathBuf, reason: String },
    #[error(
        "{path}: it speaks version {found} of the plug-in interface, this program speaks {ours}; build it against that version",
        path = path.display()
    )]
    Version {
        path: PathBuf,
        found: String,
        ours: String,
    },
    #[error("{path}: it was built for {found}, this program for {ours}", path = path.display())]
    Target {
        path: PathBuf,
        found: String,
        ours: &'static str,
    },
    #[error("{path}: kind {found} of plug-ins is not known here", path = path.display())]
    Kind { path: PathBuf, found: u32 },
    #[error(
        "{path}: it was built with panic = \"abort\", so a panic would end this program; such a plug-in runs in a child process \
         only: leave --in-process away, or build it with panic = \"unwind\"", path = path.display()
    )]
    Aborts { path: PathBuf },
    #[error("{path}: it cannot be opened: {reason}", path = path.display())]
    Open { path: PathBuf, reason: String },
    /// The same as in this process, as its own process says it.
    #[error("{reason}")]
    Unopened { reason: String },
    #[error("{path}: what it exports is not as it must be: {reason}", path = path.display())]
    Export { path: PathBuf, reason: String },
    #[error("{path}: what it says about itself cannot be read: {source}", path = path.display())]
    Info { path: PathBuf, source: WireError },
    #[error("{path}: it {reason}", path = path.display())]
    Broken { path: PathBuf, reason: String },
    #[error("{path}: {program} cannot be started: {source}", path = path.display(), program = program.display())]
    Start {
        path: PathBuf,
        program: PathBuf,
        source: io::Error,
    },
}
