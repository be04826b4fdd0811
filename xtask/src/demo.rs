//! `cargo xtask demo`: plays scenario S2 live, in the test VM where the running kernel has no IPVS.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::stage::{cargo, run};
use crate::vm::{Job, Machine, is_root};
use crate::{packages, target_directory, workspace};

/// A demonstration that takes longer is stuck.
const LIMIT: Duration = Duration::from_secs(300);

/// Installs or names what is missing, builds, and plays.
pub(crate) fn demo() -> Result<ExitCode> {
    let here = is_root() && has_ipvs();
    println!("==> packages");
    packages::ensure(!here)?;
    println!("\n==> build (lvsd and the demonstration, a few minutes the first time)");
    run(cargo().args(["build", "--package", "lvsd"]))?;
    run(cargo().args(["build", "--package", "lvs-tests", "--bin", "demo"]))?;
    let built = target_directory()?.join("debug");
    let (program, lvsd) = (built.join("demo"), built.join("lvsd"));
    if here {
        println!("\n==> the running kernel has IPVS: playing in network namespaces of this machine");
        let status = Command::new(&program)
            .env("LVSD_BIN", &lvsd)
            .status()
            .with_context(|| format!("run {}", program.display()))?;
        return Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    println!(
        "\n==> the running kernel has no IPVS (or this is not root): playing in a small virtual machine"
    );
    in_the_vm(&program, &lvsd)
}

fn in_the_vm(program: &Path, lvsd: &Path) -> Result<ExitCode> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let job = Job {
        name: "demo".into(),
        command: vec![text(program)],
        directory: workspace(),
        environment: vec![("LVSD_BIN".into(), text(lvsd))],
        limit: LIMIT,
    };
    let report = Machine::default().run(&[job])?;
    if let Some(failure) = report.failure {
        return Err(failure);
    }
    let outcome = report.outcomes.first().context("the demonstration did not run")?;
    ensure!(outcome.status == 0, "the demonstration ended with status {}", outcome.status);
    Ok(ExitCode::SUCCESS)
}

/// Whether the running kernel has IPVS, as a module that can be loaded or built in.
fn has_ipvs() -> bool {
    let table = PathBuf::from("/proc/net/ip_vs");
    let load = || Command::new("modprobe").arg("ip_vs").stderr(Stdio::null()).status();
    table.exists() || (load().is_ok_and(|status| status.success()) && table.exists())
}
