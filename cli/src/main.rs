//! The `lapidary` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    lapidary::main_with(&[])
}
