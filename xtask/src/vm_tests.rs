//! The test executables that need IPVS, in the test VM.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

use crate::stage::{Counts, Failed, Summary, cargo, run, text};
use crate::test::BUILD_PROGRAMS;
use crate::vm::{Job, Machine, Outcome};

/// Builds them, runs them one after another, and adds a row for each.
pub(crate) fn run_all(summary: &mut Summary, filter: Option<&str>) {
    let mut jobs = Vec::new();
    summary.check("VM tests: build", || {
        jobs = build(filter)?;
        Ok(())
    });
    while !jobs.is_empty() {
        let count = jobs.len();
        println!(
            "\n==> VM tests: {}",
            jobs.iter().map(|job| job.name.as_str()).collect::<Vec<_>>().join(", ")
        );
        let report = match Machine::default().run(&jobs) {
            Ok(report) => report,
            Err(error) => {
                summary.check("VM tests: boot", || Err(error));
                return;
            }
        };
        let ended = report.outcomes.len();
        for (job, outcome) in jobs.drain(..ended).zip(report.outcomes) {
            let took = outcome.took;
            summary.add(&job.name, judge(&outcome).map(Some), took);
        }
        if let Some(error) = report.failure {
            // The job during which the guest died has failed; the others get a new guest.
            let name = if jobs.is_empty() { "VM tests: end".to_owned() } else { jobs.remove(0).name };
            summary.check(&name, || Err(error));
        } else if ended != count {
            summary.check("VM tests", || Err(anyhow!("not every test was run")));
            return;
        }
    }
}

fn judge(outcome: &Outcome) -> Result<Counts> {
    let mut counts = Counts::default();
    let output = String::from_utf8_lossy(&outcome.output);
    let closed = output.lines().filter(|line| counts.add_line(line)).count();
    if outcome.status != 0 {
        let what = match counts.failed {
            0 => format!("exit status {}", outcome.status),
            failed => format!("{failed} tests failed"),
        };
        return Err(Failed { what, counts }.into());
    }
    ensure!(closed == 1, "it ended with status 0 but without a result");
    Ok(counts)
}

fn build(filter: Option<&str>) -> Result<Vec<Job>> {
    run(cargo().args(BUILD_PROGRAMS))?;
    let messages = text(cargo().args([
        "test",
        "--workspace",
        "--features",
        "lvs-tests/vm",
        "--test",
        "vm_*",
        "--no-run",
        "--message-format=json-render-diagnostics",
    ]))?;
    let lvsd = crate::target_directory()?.join("debug/lvsd");
    let mut executables = executables(&messages);
    executables.sort();
    ensure!(!executables.is_empty(), "cargo built no test whose name begins with vm_");
    let job = |(name, path): (String, PathBuf)| {
        let mut command = vec![path.to_string_lossy().into_owned()];
        command.extend(["--color", "never", "--test-threads", TEST_THREADS].map(String::from));
        command.extend(filter.map(String::from));
        let environment = vec![("LVSD_BIN".to_owned(), lvsd.to_string_lossy().into_owned())];
        Job {
            name,
            command,
            directory: crate::workspace().join("tests"),
            environment,
            limit: EXECUTABLE_LIMIT,
        }
    };
    Ok(executables.into_iter().map(job).collect())
}

/// Names and paths of the test executables among cargo's messages.
fn executables(messages: &str) -> Vec<(String, PathBuf)> {
    let message = |line: &str| serde_json::from_str::<Value>(line).context("not JSON").ok();
    let executable = |message: Value| {
        let name = message["target"]["name"].as_str()?.to_owned();
        let path = PathBuf::from(message["executable"].as_str()?);
        name.starts_with("vm_").then_some((name, path))
    };
    messages.lines().filter_map(message).filter_map(executable).collect()
}

/// The guest has one processor, but most tests wait for timers.
const TEST_THREADS: &str = "2";
const EXECUTABLE_LIMIT: Duration = Duration::from_secs(1200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_read_from_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"lvs_tests"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"vm_ipvs"},"executable":"/x/deps/vm_ipvs-1"}
{"reason":"compiler-artifact","target":{"name":"testbed"},"executable":"/x/deps/testbed-1"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executables(messages), [("vm_ipvs".to_owned(), PathBuf::from("/x/deps/vm_ipvs-1"))]);
    }

    #[test]
    fn silent_success_is_a_failure() {
        let outcome = |status, output: &str| Outcome { status, output: output.into(), took: Duration::ZERO };
        let line = "test result: ok. 3 passed; 0 failed; 0 ignored";
        assert_eq!(judge(&outcome(0, line)).expect("passed"), Counts { passed: 3, failed: 0 });
        judge(&outcome(0, "")).expect_err("no result");
        judge(&outcome(137, "")).expect_err("killed");
    }
}
