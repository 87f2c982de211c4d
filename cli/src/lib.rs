//! The command line: reads arguments, calls the library, prints what it gave.
//!
//! A program of one's own that knows more than is built in is a line: the command line with entries of other crates.
//!
//! ```no_run
//! # mod mine { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../core/doc/draws.rs")); }
//! use std::process::ExitCode;
//!
//! fn main() -> ExitCode {
//!     lapidary::main_with(&[&mine::ENTRY])
//! }
//! ```

mod args;
mod data;
mod demo;
mod end;
mod eval;
mod failed_trials;
mod files;
mod info;
mod inspect;
mod installed;
mod interrupt;
mod list;
mod new;
mod optimize;
mod output;
mod plugin;
mod progress;
mod schema;
mod search;
mod session;
mod setup;
mod stages;
mod study;
mod watch;
mod winner;
mod worker;

use std::process::ExitCode;

use args::{Args, Command};
use clap::Parser;
use end::{End, Failure};
use lapidary_core::registry::Entry;

/// Runs the command line of this process with what is built in and `entries` of the program's own, and returns how it ended.
pub fn main_with(entries: &[&'static Entry]) -> ExitCode {
    installed::link(entries);
    let Args { json, command } = Args::parse();
    let ended = match command {
        Command::Demo(args) => demo::run(&args, json),
        Command::List(args) => list::run(&args, json),
        Command::Info(args) => info::run(&args, json),
        Command::Schema(args) => schema::run(&args),
        Command::Reference => schema::reference(),
        Command::Inspect(args) => inspect::run(&args, json),
        Command::Eval(args) => eval::run(&args, json),
        Command::Search(args) => search::run(&args, json),
        Command::Optimize(args) => optimize::run(&args, json),
        Command::Session(args) => session::run(&args),
        Command::Study(args) => study::run(&args, json),
        Command::Plugin(args) => plugin::run(&args, json),
        Command::Worker(args) => worker::run(&args),
        Command::Guard(args) => worker::guard(&args),
        Command::PluginProcess(args) => worker::plugin(&args),
    };
    match ended {
        Ok(End::Done) => ExitCode::SUCCESS,
        Ok(End::GoalMissed) => ExitCode::from(3),
        Err(failure) => {
            output::tell(&format!("error: {failure}"));
            match failure {
                Failure::Work(_) => ExitCode::from(1),
                Failure::Input(_) => ExitCode::from(2),
                Failure::Interrupted => ExitCode::from(interrupt::EXIT_CODE),
            }
        }
    }
}
