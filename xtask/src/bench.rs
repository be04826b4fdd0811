//! `cargo xtask bench-ipvs`: a large IPVS table in the hands of every program that can, in the test VM.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::stage::{cargo, run};
use crate::vm::{Job, Machine};
use crate::{packages, target_directory, workspace};

#[derive(clap::Args)]
pub(crate) struct BenchArguments {
    /// How often each program is run
    #[arg(long, default_value_t = 5)]
    repetitions: usize,
    /// Virtual services
    #[arg(long, default_value_t = 2_277)]
    services: u32,
    /// Servers of each
    #[arg(long, default_value_t = 16)]
    servers: u32,
    /// Only these programs (bare, library, ipvsctl, ipvsadm, lvsd, keepalived); may be repeated
    #[arg(long = "contender")]
    contenders: Vec<String>,
    /// Count instructions instead of time, one a nanosecond: the same on a busy machine, but not what users feel
    #[arg(long)]
    instructions: bool,
}

pub(crate) fn run_bench(arguments: &BenchArguments) -> Result<ExitCode> {
    packages::ensure(true)?;
    run(cargo().args(["build", "--release", "-p", "benches", "-p", "lvsd", "-p", "ipvsctl"]))?;
    let built = target_directory()?.join("release");
    let program = built.join("ipvs_table");
    ensure!(program.is_file(), "cargo did not build {}", program.display());
    let mut command = vec![program.to_string_lossy().into_owned()];
    let mut option = |name: &str, value: String| command.extend([format!("--{name}"), value]);
    option("services", arguments.services.to_string());
    option("servers", arguments.servers.to_string());
    command.push("compare".into());
    let mut option = |name: &str, value: String| command.extend([format!("--{name}"), value]);
    option("repetitions", arguments.repetitions.to_string());
    for contender in &arguments.contenders {
        option("contender", contender.clone());
    }
    let job = Job {
        name: "ipvs_table".into(),
        command,
        directory: workspace(),
        environment: Vec::new(),
        limit: Duration::from_secs(3600),
    };
    let machine = Machine { instructions: arguments.instructions, ..Machine::default() };
    let report = machine.run(&[job])?;
    if let Some(failure) = report.failure {
        return Err(failure);
    }
    let outcome = report.outcomes.first().context("the benchmark did not run")?;
    ensure!(outcome.status == 0, "the benchmark ended with status {}", outcome.status);
    Ok(ExitCode::SUCCESS)
}
