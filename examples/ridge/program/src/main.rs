//! Lapidary's command line with ridge regression among its evaluators.

use std::process::ExitCode;

fn main() -> ExitCode {
    lapidary::main_with(&[&ridge::ENTRY])
}
