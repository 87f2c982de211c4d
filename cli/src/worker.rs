//! The hidden commands by which this program helps another process of itself.

use std::io::{BufReader, stdin, stdout};
use std::process::Command;

use lapidary_study::process::guard;
use lapidary_study::worker::{read_work, serve};

use crate::end::{End, Failure};
use crate::{args, installed, setup};

/// Evaluates single trials of a study.
pub fn run(args: &args::PluginArgs) -> Result<End, Failure> {
    let registry = installed::registry(args)?;
    let mut input = BufReader::new(stdin());
    let work = read_work(&mut input, &registry).map_err(Failure::input)?;
    setup::use_threads(&work.file)?;
    serve(&work, &registry, &mut input, &mut stdout()).map_err(Failure::work)?;
    Ok(End::Done)
}

/// Runs a plug-in.
pub fn plugin(args: &args::PluginProcess) -> Result<End, Failure> {
    lapidary_plugin_host::serve(&args.file, args.memory).map_err(Failure::work)?;
    Ok(End::Done)
}

/// Runs a program for another process, and ends as the program does.
pub fn guard(args: &args::Guard) -> Result<End, Failure> {
    let mut command = Command::new(&args.program);
    let code = guard::run(args.parent, command.args(&args.args))
        .map_err(|e| Failure::work(format!("{}: {e}", args.program.display())))?;
    std::process::exit(code)
}
