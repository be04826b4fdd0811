//! The daemon's program.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use lvsd::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(name) = cli.signum {
        // Who is not there to read it does not need it.
        let _ = writeln!(std::io::stdout(), "{}", name.number());
        return ExitCode::SUCCESS;
    }
    ExitCode::from(if cli.config_to_test().is_some() { cli.test_config() } else { lvsd::run(&cli) })
}
