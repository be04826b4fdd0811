//! The daemon's program.

use std::process::ExitCode;

use clap::Parser as _;
use lvsd::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    ExitCode::from(if cli.config_to_test().is_some() { cli.test_config() } else { lvsd::run(&cli) })
}
