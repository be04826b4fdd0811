//! The daemon.

#![allow(dead_code)]
mod log;
mod notices;
mod pidfile;
mod scripts;

use std::process::ExitCode;

use clap::Parser as _;
use lvsd::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.config_to_test().is_some() {
        return ExitCode::from(cli.test_config());
    }
    eprintln!("lvsd: only -t (check the configuration) is there yet");
    ExitCode::from(lvsd::cli::CANNOT_RUN)
}
