//! Runs commands, counts the tests that they report, and keeps the summary.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How many tests passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Counts {
    /// Adds what a test runner's closing line says ("test result: ok. 3 passed; 0 failed; …"); false for other lines.
    pub(crate) fn add_line(&mut self, line: &str) -> bool {
        let Some(result) = line.trim_start().strip_prefix("test result: ") else { return false };
        let number = |word: &str| {
            let before = result.split(word).next()?.trim_end();
            before.rsplit(' ').next()?.parse::<u64>().ok()
        };
        let (Some(passed), Some(failed)) = (number("passed;"), number("failed;")) else { return false };
        self.passed += passed;
        self.failed += failed;
        true
    }
}

/// What became of every stage.
#[derive(Default)]
pub(crate) struct Summary {
    rows: Vec<Row>,
}

struct Row {
    name: String,
    result: Outcome,
    counts: Option<Counts>,
    took: Duration,
}

enum Outcome {
    Passed,
    Failed(String),
    LeftOut(String),
}

impl Summary {
    /// Runs a stage that has no tests to count.
    pub(crate) fn check(&mut self, name: &str, act: impl FnOnce() -> Result<()>) {
        self.run(name, || act().map(|()| None));
    }

    /// Runs a stage that counts tests.
    pub(crate) fn tests(&mut self, name: &str, act: impl FnOnce() -> Result<Counts>) {
        self.run(name, || act().map(Some));
    }

    fn run(&mut self, name: &str, act: impl FnOnce() -> Result<Option<Counts>>) {
        println!("\n==> {name}");
        let _ = std::io::stdout().flush();
        let start = Instant::now();
        let outcome = act();
        if let Err(error) = &outcome {
            eprintln!("{name}: {error:#}");
        }
        self.add(name, outcome, start.elapsed());
    }

    /// Adds a stage that was run elsewhere.
    pub(crate) fn add(&mut self, name: &str, outcome: Result<Option<Counts>>, took: Duration) {
        let (result, counts) = match outcome {
            Ok(Some(counts)) if counts.failed > 0 => {
                (Outcome::Failed(format!("{} tests failed", counts.failed)), Some(counts))
            }
            Ok(counts) => (Outcome::Passed, counts),
            Err(error) => match error.downcast_ref::<Failed>() {
                Some(failed) => (Outcome::Failed(error.to_string()), Some(failed.counts)),
                None => (Outcome::Failed(first_line(&format!("{error:#}"))), None),
            },
        };
        self.rows.push(Row { name: name.to_owned(), result, counts, took });
    }

    /// Notes a stage that was not run, and the flag that says so or what is missing for it.
    pub(crate) fn left_out(&mut self, name: &str, cause: &str) {
        let result = Outcome::LeftOut(cause.to_owned());
        self.rows.push(Row { name: name.to_owned(), result, counts: None, took: Duration::ZERO });
    }

    /// Whether no stage failed.
    pub(crate) fn is_success(&self) -> bool {
        !self.rows.iter().any(|row| matches!(row.result, Outcome::Failed(_)))
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or_default().max(5);
        writeln!(f, "{:width$}  {:8}  {:>8}  {:>6}  {:>6}", "stage", "result", "time", "passed", "failed")?;
        for row in &self.rows {
            let (result, remark) = match &row.result {
                Outcome::Passed => ("ok", String::new()),
                Outcome::Failed(reason) => ("FAILED", format!("  {reason}")),
                Outcome::LeftOut(cause) => ("left out", format!("  because of {cause}")),
            };
            let took = match row.took {
                Duration::ZERO => String::new(),
                took => format!("{:.1} s", took.as_secs_f64()),
            };
            let [passed, failed] = row.counts.map_or([String::new(), String::new()], |counts| {
                [counts.passed.to_string(), counts.failed.to_string()]
            });
            let line =
                format!("{:width$}  {result:8}  {took:>8}  {passed:>6}  {failed:>6}{remark}", row.name);
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A test run that failed, with what it counted.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) what: String,
    pub(crate) counts: Counts,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Failed {}

/// Runs a command to its end; its status decides.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status =
        command.stdin(Stdio::null()).status().with_context(|| format!("start {}", shown(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs a test command; copies its output as it comes and counts. A run that counts nothing has failed.
pub(crate) fn run_tests(command: &mut Command) -> Result<Counts> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {}", shown(command)))?;
    let output = child.stdout.take().context("the command has no output")?;
    let mut counts = Counts::default();
    let mut runs = 0;
    copy_lines(output, |line| runs += u32::from(counts.add_line(line)))?;
    let status = child.wait().context("wait for the tests")?;
    if !status.success() {
        let what = match counts.failed {
            0 => format!("{} failed ({status})", shown(command)),
            failed => format!("{failed} tests failed"),
        };
        return Err(Failed { what, counts }.into());
    }
    if runs == 0 {
        bail!("{} ran no tests", shown(command));
    }
    Ok(counts)
}

fn copy_lines(output: impl Read, mut each: impl FnMut(&str)) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    let mut reader = BufReader::new(output);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).context("read the tests' output")? > 0 {
        stdout.write_all(&line).and_then(|()| stdout.flush()).context("print the tests' output")?;
        each(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(())
}

/// Runs a command and returns what it prints.
pub(crate) fn text(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("start {}", shown(command)))?;
    if !output.status.success() {
        bail!("{} failed ({})", shown(command), output.status);
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("{} printed bytes that are not UTF-8", shown(command)))
}

/// The cargo that runs this program.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(crate::workspace());
    // Cargo sets these for `cargo run`; a build inside must not differ from one outside because of them.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&*name);
        }
    }
    command
}

/// A command as a reader would type it.
fn shown(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let mut text = program.rsplit('/').next().unwrap_or_default().to_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_counted() {
        let mut counts = Counts::default();
        assert!(
            counts.add_line("test result: ok. 13 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out")
        );
        assert!(counts.add_line("test result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured"));
        assert!(!counts.add_line("test x ... ok"));
        assert_eq!(counts, Counts { passed: 15, failed: 4 });
    }

    #[test]
    fn summary_fails_when_a_stage_does_and_says_what_was_left_out() {
        let mut summary = Summary::default();
        summary.check("format", || Ok(()));
        summary.left_out("VM", "--without-vm");
        assert!(summary.is_success());
        summary.tests("unit", || Ok(Counts { passed: 3, failed: 1 }));
        assert!(!summary.is_success());
        let text = summary.to_string();
        assert!(text.contains("VM      left out") && text.contains("because of --without-vm"), "{text}");
        assert!(text.contains("1 tests failed"), "{text}");
    }
}
