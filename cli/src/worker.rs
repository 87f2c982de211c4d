//! The hidden commands by which this program helps another process of itself.

use std::io::{BufReader, stdin, stdout};

use lapidary_study::process::guard;
use lapidary_study::worker::{read_study, serve};

use crate::failure::{End, Failure};
use crate::{args, installed, setup};

/// Evaluates single trials of a study.
pub fn run(args: &args::PluginArgs) -> Result<End, Failure> {
    let registry = installed::registry(args)?;
    let mut input = BufReader::new(stdin());
    let file = read_study(&mut input).map_err(Failure::input)?;
    setup::use_threads(&file)?;
    serve(&file, &registry, &mut input, &mut stdout()).map_err(Failure::work)?;
    Ok(End::Done)
}

/// Runs a plug-in.
pub fn plugin(args: &args::PluginProcess) -> Result<End, Failure> {
    lapidary_plugin_host::serve(&args.file, args.memory).map_err(Failure::work)?;
    Ok(End::Done)
}

/// Kills what is left of another process's work once that process has ended.
pub fn guard() -> Result<End, Failure> {
    guard::run(stdin().lock());
    Ok(End::Done)
}
