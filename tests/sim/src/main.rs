//! Plays seeds, and counts.

use std::process::ExitCode;

fn main() -> ExitCode {
    lvs_sim::command::main()
}
