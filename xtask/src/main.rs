//! Project tasks: `cargo xtask test` passes every test and sets up what they need; `cargo xtask measure` prints the
//! numbers the README quotes; `cargo xtask peers` compares with other search libraries; `cargo xtask docs` writes the reference
//! page; `cargo xtask package` packs what is published.

mod measure;
mod package;
mod peers;
mod process;
mod python;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks of the Lapidary project.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs all tests, with the foreign checks in a Python environment that is made on first use
    Test {
        /// Passed on to `cargo test`, for example `-p lapidary-core`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        cargo: Vec<String>,
    },
    /// Measures on the real models and data in the folder LAPIDARY_DATA and prints the numbers the README quotes
    Measure,
    /// Writes docs/reference.md anew, from the settings as they are
    Docs,
    /// Compares with other search libraries side by side, in a Python environment that is made on first use
    Peers {
        /// What to compare; all where nothing is named
        comparisons: Vec<peers::Comparison>,
        /// Fewer seeds, trials and evaluations: minutes instead of hours
        #[arg(long)]
        quick: bool,
    },
    /// Packs every crate that is published, as crates.io would take it
    Package,
}

fn main() -> ExitCode {
    let done = match Args::parse().task {
        Task::Test { cargo } => test(&cargo),
        Task::Measure => measure::run_all(),
        Task::Docs => docs(),
        Task::Peers { comparisons, quick } => peers::compare(&comparisons, quick),
        Task::Package => package::run_all(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The reference page, as the program itself prints it.
fn docs() -> Result<(), String> {
    let mut command = process::cargo();
    command.args(["run", "--quiet", "--package", "lapidary", "--", "reference"]);
    let page = process::output(&mut command)?;
    let path = process::root().join("docs/reference.md");
    std::fs::write(&path, page).map_err(|e| format!("{}: {e}", path.display()))
}

/// All tests: the plain ones and those marked ignored because they need Python or a release build.
fn test(cargo: &[String]) -> Result<(), String> {
    let python = python::environment(".venv", "tests/foreign/requirements.txt")?;
    let mut command = process::cargo();
    command.arg("test");
    if !cargo
        .iter()
        .any(|a| a == "-p" || a.starts_with("--package"))
    {
        command.arg("--workspace");
    }
    command
        .args(cargo)
        // Tests called `real_models…` need the data that `measure` reads.
        .args(["--", "--include-ignored", "--skip", "real_models"])
        .env("LAPIDARY_PYTHON", python);
    process::run(&mut command)
}
