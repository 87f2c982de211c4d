//! Side by side with other search libraries, on one machine in one run.

use std::path::PathBuf;
use std::process::Command;

use clap::ValueEnum;

use crate::process::{cargo, root, run, target};
use crate::python;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Comparison {
    /// Time, memory and bytes of a trial
    Cost,
    /// What is reached on functions
    Quality,
    /// What is reached on tables of trained networks in the folder LAPIDARY_DATA
    Tables,
}

impl Comparison {
    fn name(self) -> &'static str {
        match self {
            Self::Cost => "cost",
            Self::Quality => "quality",
            Self::Tables => "tables",
        }
    }
}

/// Runs the comparisons, all where none is named, and prints their tables. Each run is a line of a file under `target/peers`;
/// those of peers that are there already are not run again, the costs excepted.
pub fn compare(named: &[Comparison], quick: bool) -> Result<(), String> {
    let python = python::environment("target/peers/venv", "benches/peers/requirements.txt")?;
    // All at once, so that one choice of features serves programs, examples and benches.
    run(cargo().args(["build", "--release", "--workspace", "--bins", "--examples"]))?;
    let release = target().join("release");
    let all = [Comparison::Cost, Comparison::Quality, Comparison::Tables];
    for comparison in if named.is_empty() { &all[..] } else { named } {
        let name = comparison.name();
        if named.is_empty()
            && *comparison == Comparison::Tables
            && std::env::var_os("LAPIDARY_DATA").is_none()
        {
            eprintln!("the tables are left out: LAPIDARY_DATA is not set");
            continue;
        }
        let mut command = Command::new(&python);
        command
            .arg(root().join("benches/peers").join(format!("{name}.py")))
            .arg("--raw")
            .arg(raw(name, quick))
            .env("LAPIDARY", release.join("lapidary"))
            .env("LAPIDARY_EXAMPLES", release.join("examples"));
        if quick {
            command.arg("--quick");
        }
        run(&mut command)?;
    }
    Ok(())
}

/// The file of a comparison's runs.
fn raw(name: &str, quick: bool) -> PathBuf {
    let kind = if quick { "-quick" } else { "" };
    target().join("peers").join(format!("{name}{kind}.jsonl"))
}
