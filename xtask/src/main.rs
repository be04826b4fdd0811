//! `cargo xtask`: the project's own commands.

mod bench;
mod demo;
mod lints;
mod mutate;
mod packages;
mod publish;
mod sim;
mod stage;
mod test;
mod vm;
mod vm_tests;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own commands", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run every test there is: lints, unit, documentation, namespace and VM tests, packages
    Test(test::TestArguments),
    /// Simulate networks of VRRP routers with faults of every kind, and check what they do
    ///
    /// Without options it is the run of `cargo xtask test`. With --seed alone it plays one network, and shows what
    /// happened if something is wrong.
    Sim(sim::SimArguments),
    /// Change each comparison of the router once, and see that the simulation or a unit test notices
    Mutate(mutate::MutateArguments),
    /// Play scenario S2 live: two lvsd nodes, a client, two web servers, a failover
    Demo,
    /// Let every program that can handle a large IPVS table, side by side in the test VM
    ///
    /// For figures that mean anything the machine has to be idle.
    BenchIpvs(bench::BenchArguments),
    /// Boot the test VM (Debian's kernel, with IPVS) and run a program of this machine in it
    ///
    /// The guest sees this machine's files; what it writes is lost when it ends, except below /run/vm,
    /// which is a directory of this run. The exit status is the program's.
    Vm(VmArguments),
}

#[derive(clap::Args)]
struct VmArguments {
    /// Memory of the guest in MiB
    #[arg(long, default_value_t = 2048)]
    memory: u32,
    /// Stop the guest after this many seconds
    #[arg(long, default_value_t = 600)]
    limit: u64,
    /// Let the guest's clock count instructions instead of time: one a nanosecond, however busy this machine is
    #[arg(long)]
    instructions: bool,
    /// Set a variable in the program's environment
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    environment: Vec<(String, String)>,
    /// Program and arguments, for example: sh -c 'ipvsadm -Ln'
    #[arg(required = true, last = true)]
    command: Vec<String>,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Task::Test(arguments) => test::run(&arguments),
        Task::Sim(arguments) => sim::run(&arguments),
        Task::Mutate(arguments) => mutate::run(&arguments),
        Task::Demo => demo::demo(),
        Task::BenchIpvs(arguments) => bench::run_bench(&arguments),
        Task::Vm(arguments) => vm(arguments),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn vm(arguments: VmArguments) -> Result<ExitCode> {
    let job = vm::Job {
        name: arguments.command.join(" "),
        command: arguments.command,
        directory: std::env::current_dir().context("the current directory")?,
        environment: arguments.environment,
        limit: Duration::from_secs(arguments.limit),
    };
    let machine = vm::Machine { memory: arguments.memory, instructions: arguments.instructions };
    let report = machine.run(&[job])?;
    if let Some(failure) = report.failure {
        return Err(failure);
    }
    let status = report.outcomes.first().context("the program did not run")?.status;
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(1)))
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value))
            if !name.is_empty() && !name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_') =>
        {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// The directory that cargo builds into.
pub(crate) fn target_directory() -> Result<PathBuf> {
    // This program lies in TARGET/PROFILE/xtask.
    let program = std::env::current_exe().context("the path of this program")?;
    Ok(program.ancestors().nth(2).context("this program lies outside of a target directory")?.to_owned())
}

/// The directory of the workspace's Cargo.toml.
pub(crate) fn workspace() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}
