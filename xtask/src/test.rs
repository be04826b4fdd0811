//! `cargo xtask test`: every test there is, and what was left out.

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Result, bail};

use crate::stage::{self, Counts, Summary, cargo, run_tests};
use crate::vm::is_root;
use crate::{lints, packages, publish, sim, vm_tests};

#[derive(clap::Args)]
pub(crate) struct TestArguments {
    /// Leave out the tests that run in the test VM (those that need IPVS)
    #[arg(long)]
    without_vm: bool,
    /// Leave out the tests that make network namespaces; unit and documentation tests remain
    #[arg(long)]
    without_namespaces: bool,
    /// Leave out the simulation of networks of routers
    #[arg(long)]
    without_simulation: bool,
    /// Leave out formatting, clippy, documentation and the checks of the sources
    #[arg(long)]
    without_lints: bool,
    /// Leave out the packages for crates.io and the README's example built from them
    #[arg(long)]
    without_packages: bool,
    /// Only tests whose name contains this
    filter: Option<String>,
}

pub(crate) fn run(arguments: &TestArguments) -> Result<ExitCode> {
    let mut summary = Summary::default();
    let filter = arguments.filter.as_deref();
    let with_namespaces = !arguments.without_namespaces;
    if with_namespaces || !arguments.without_vm {
        println!("==> Debian packages");
        packages::ensure(!arguments.without_vm)?;
    }
    if arguments.without_lints {
        summary.left_out("format, clippy, documentation, sources", "--without-lints");
    } else {
        lints::check(&mut summary);
    }
    if with_namespaces {
        // The scenarios start it as a program, and cargo test would leave an old one in place.
        summary.check("build the programs", || stage::run(cargo().args(BUILD_PROGRAMS)));
        summary.tests("unit, documentation and namespace tests", || {
            run_tests(&mut in_namespaces(&["test", "--workspace", "--no-fail-fast"], filter)?)
        });
    } else {
        summary.tests("unit tests", || cargo_test(&["--workspace", "--lib", "--bins"], filter));
        summary.tests("documentation tests", || {
            cargo_test(&["--workspace", "--doc", "--exclude", "lvs-tests"], filter)
        });
        summary.left_out("namespace tests", "--without-namespaces");
    }
    if arguments.without_simulation {
        summary.left_out("simulation", "--without-simulation");
    } else {
        summary.check("simulation", sim::check);
    }
    if arguments.without_vm {
        summary.left_out("VM tests", "--without-vm");
    } else {
        vm_tests::run_all(&mut summary, filter);
    }
    if arguments.without_packages {
        summary.left_out("packages, README's example", "--without-packages");
    } else {
        summary.check("packages", publish::package);
        summary.check("README's example built from the packages", publish::embed);
    }
    println!("\n{summary}");
    if let Some(filter) = filter {
        println!("only tests whose name contains {filter:?} were run");
    }
    if summary.is_success() {
        println!("everything that was run passed");
        return Ok(ExitCode::SUCCESS);
    }
    println!("FAILED");
    Ok(ExitCode::FAILURE)
}

/// For the whole workspace, so that its dependencies have the same features as in the tests and are built once.
pub(crate) const BUILD_PROGRAMS: [&str; 8] =
    ["build", "--workspace", "--bin", "lvsd", "--bin", "ipvsctl", "--bin", "json_table"];

fn cargo_test(arguments: &[&str], filter: Option<&str>) -> Result<Counts> {
    run_tests(cargo().args(["test", "--no-fail-fast"]).args(arguments).args(filter))
}

/// A cargo command that may make network namespaces: as it is for root, otherwise as root of a user namespace.
fn in_namespaces(arguments: &[&str], filter: Option<&str>) -> Result<Command> {
    let plain = cargo();
    if is_root() {
        let mut command = plain;
        command.args(arguments).args(filter);
        return Ok(command);
    }
    let unshare = ["--user", "--map-root-user", "--net", "--mount"];
    let possible = Command::new("unshare")
        .args(unshare)
        .arg("true")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !possible {
        bail!(
            "this user may not make user namespaces (`unshare {} true` fails): run as root, allow them \
             (sysctl kernel.unprivileged_userns_clone=1), or leave these tests out with --without-namespaces",
            unshare.join(" ")
        );
    }
    let mut command = Command::new("unshare");
    command
        .args(unshare)
        .arg(plain.get_program())
        .args(arguments)
        .args(filter)
        .current_dir(crate::workspace());
    Ok(command)
}
