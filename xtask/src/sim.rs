//! `cargo xtask sim`: the deterministic simulation, built for speed.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::stage::{self, cargo};

#[derive(clap::Args)]
pub(crate) struct SimArguments {
    /// Play this network alone, or begin with it if --seeds or --years is given too
    #[arg(long)]
    seed: Option<u64>,
    /// Play that many networks
    #[arg(long)]
    seeds: Option<u64>,
    /// Play networks until that many router-years are simulated
    #[arg(long)]
    years: Option<f64>,
    /// Threads; as many as there are processors if not given
    #[arg(long)]
    threads: Option<u64>,
    /// Go on until that many networks show something wrong
    #[arg(long)]
    failures: Option<u64>,
    /// Lines of what happened that are shown of a network that shows something wrong
    #[arg(long)]
    keep: Option<u64>,
}

pub(crate) fn run(arguments: &SimArguments) -> Result<ExitCode> {
    let SimArguments { seed, seeds, years, threads, failures, keep } = arguments;
    let mut command = simulation();
    let is_default = [seed.is_some(), seeds.is_some(), years.is_some()] == [false; 3];
    let numbers = [
        ("--seed", seed),
        ("--seeds", seeds),
        ("--threads", threads),
        ("--failures", failures),
        ("--keep", keep),
    ];
    for (flag, value) in numbers {
        if let Some(value) = value {
            command.arg(flag).arg(value.to_string());
        }
    }
    if let Some(years) = years {
        command.arg("--years").arg(years.to_string());
    }
    if is_default {
        command.arg("--strict");
    }
    let status = command.status().context("start the simulation")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The run that a change has to pass.
pub(crate) fn check() -> Result<()> {
    stage::run(simulation().arg("--strict"))
}

fn simulation() -> Command {
    let mut command = cargo();
    command.args(["run", "--quiet", "--release", "--package", "lvs-sim", "--"]);
    command
}
