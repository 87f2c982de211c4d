//! The host's side of plug-ins: finds them, reads what they say of themselves without opening them, and makes ordinary entries of the registry of
//! those that may be opened.
//!
//! A plug-in runs in a child process of its own unless asked for otherwise: what it breaks is its own process. That isolates
//! from crashes; it is no sandbox. A plug-in may do whatever its user may do, so only files are opened that nobody else could
//! have written ([`policy`]).
//!
//! [`Host::load`] gives a [`Plugin`] with an entry. Nothing that was opened in this process is ever closed.

mod callbacks;
mod child;
mod error;
mod folder;
mod frame;
mod host;
mod instance;
mod isolation;
mod launcher;
mod library;
mod manifest;
mod memory;
mod optimizer;
mod parcel;
pub mod policy;
mod searcher;
mod serve;
mod socket;
pub mod spin;
mod table;

pub use error::PluginError;
pub use folder::{FOLDER_VARIABLE, files, folder};
pub use host::{Host, Plugin};
pub use isolation::{Isolation, Limits, Program};
pub use manifest::Manifest;
pub use serve::{ServeError, serve};
