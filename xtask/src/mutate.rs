//! `cargo xtask mutate`: shows that the simulation and the unit tests see every changed comparison of the router.
//!
//! Each comparison in the router and each piece of arithmetic in its timing is changed once, in a copy of the
//! sources; then the simulation has to break a rule, or a unit test has to fail.

mod places;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use places::Mutant;

use crate::stage::{cargo, text};

#[derive(clap::Args)]
pub(crate) struct MutateArguments {
    /// Networks that are played with each mutant
    #[arg(long, default_value_t = 60)]
    seeds: u64,
    /// Only mutants of files whose path contains this
    #[arg(long)]
    file: Option<String>,
    /// Only list the mutants
    #[arg(long)]
    list: bool,
    /// Begin with the mutant of this number
    #[arg(long, default_value_t = 1)]
    from: usize,
}

pub(crate) fn run(arguments: &MutateArguments) -> Result<ExitCode> {
    let tree = crate::target_directory()?.join("mutants/tree");
    copy_sources(&tree)?;
    let mut mutants = Vec::new();
    for path in sources(&tree)? {
        let name = path.strip_prefix(&tree).unwrap_or(&path).display().to_string();
        if arguments.file.as_ref().is_none_or(|part| name.contains(part)) {
            let source = fs::read_to_string(&path).with_context(|| format!("read {name}"))?;
            mutants.extend(places::mutants(&name, &source));
        }
    }
    println!("{} mutants", mutants.len());
    let mut survivors = Vec::new();
    for (number, mutant) in mutants.iter().enumerate().skip(arguments.from.saturating_sub(1)) {
        let result = if arguments.list { String::new() } else { judge(&tree, mutant, arguments.seeds)? };
        println!("{:4} {mutant}  {result}", number + 1);
        if result == SURVIVED {
            survivors.push(mutant);
        }
    }
    if arguments.list {
        return Ok(ExitCode::SUCCESS);
    }
    println!("\n{} survived", survivors.len());
    for mutant in &survivors {
        println!("{mutant}");
    }
    Ok(if survivors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the router decides by.
fn sources(tree: &Path) -> Result<Vec<PathBuf>> {
    let source = tree.join("lvs-vrrp/src");
    let mut paths = vec![source.join("timing.rs"), source.join("router.rs")];
    let parts = fs::read_dir(source.join("router")).context("read lvs-vrrp/src/router")?;
    for part in parts {
        let path = part.context("read lvs-vrrp/src/router")?.path();
        if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The files that git knows, as they are now. Files that are the same stay, so that little is built again.
fn copy_sources(tree: &Path) -> Result<()> {
    let workspace = crate::workspace();
    let list = text(Command::new("git").arg("ls-files").current_dir(&workspace))?;
    for name in list.lines() {
        let (from, to) = (workspace.join(name), tree.join(name));
        let Ok(octets) = fs::read(&from) else { continue };
        if fs::read(&to).is_ok_and(|there| there == octets) {
            continue;
        }
        let directory = to.parent().context("a file without a directory")?;
        fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
        fs::write(&to, octets).with_context(|| format!("write {}", to.display()))?;
    }
    Ok(())
}

/// Who notices the mutant, in words.
fn judge(tree: &Path, mutant: &Mutant, seeds: u64) -> Result<String> {
    let path = tree.join(&mutant.file);
    let original = fs::read_to_string(&path).with_context(|| format!("read {}", mutant.file))?;
    let mutated = mutant.apply(&original).with_context(|| format!("{} changed meanwhile", mutant.file))?;
    fs::write(&path, mutated).with_context(|| format!("write {}", mutant.file))?;
    let result = notice(tree, seeds);
    fs::write(&path, original).with_context(|| format!("write {}", mutant.file))?;
    result
}

fn notice(tree: &Path, seeds: u64) -> Result<String> {
    let build = run_in(tree, &["build", "--quiet", "--profile", "mutants", "-p", "lvs-sim"], BUILD_LIMIT)?;
    if !build.passed {
        return Ok("does not compile".to_owned());
    }
    let seeds = seeds.to_string();
    let play = [
        "run",
        "--quiet",
        "--profile",
        "mutants",
        "-p",
        "lvs-sim",
        "--",
        "--seeds",
        &seeds,
        "--threads",
        "1",
        "--keep",
        "0",
    ];
    let simulation = run_in(tree, &play, RUN_LIMIT)?;
    if !simulation.passed {
        let rule = simulation.output.lines().find_map(|line| line.split_once(" is broken by "));
        return Ok(match (simulation.is_late, rule) {
            (true, _) => "killed by the simulation: it does not end".to_owned(),
            (false, Some((rule, _))) => format!("killed by the simulation: {rule}"),
            (false, None) => "killed by the simulation".to_owned(),
        });
    }
    let units =
        ["test", "--quiet", "--profile", "mutants", "-p", "lvs-vrrp", "--lib", "--no-default-features"];
    let units = run_in(tree, &units, RUN_LIMIT)?;
    let failed =
        units.output.lines().find(|line| line.ends_with("--- FAILED") || line.contains("panicked at"));
    Ok(match (units.passed, failed) {
        (true, _) => SURVIVED.to_owned(),
        (false, Some(line)) => format!("killed by unit tests: {}", line.trim()),
        (false, None) => "killed by unit tests".to_owned(),
    })
}

struct Ran {
    passed: bool,
    is_late: bool,
    output: String,
}

/// Runs cargo in the copy, with a directory of its own to build into, and a limit of time.
fn run_in(tree: &Path, arguments: &[&str], limit: Duration) -> Result<Ran> {
    let output = tree.with_file_name("output");
    let file = fs::File::create(&output).context("make a file for the output")?;
    let copy = file.try_clone().context("share a file for the output")?;
    let mut command = cargo();
    command
        .args(arguments)
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", tree.with_file_name("target"))
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(copy);
    let mut child = command.spawn().context("start cargo")?;
    let is_late = !ends_within(&mut child, limit)?;
    if is_late {
        end_with_children(&mut child)?;
    }
    let status = child.wait().context("wait for cargo")?;
    let output = fs::read(&output).context("read the output")?;
    let output = String::from_utf8_lossy(&output).into_owned();
    Ok(Ran { passed: status.success() && !is_late, is_late, output })
}

fn ends_within(child: &mut Child, limit: Duration) -> Result<bool> {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if child.try_wait().context("wait for cargo")?.is_some() {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(false)
}

/// Cargo and what it started, by their numbers.
fn end_with_children(child: &mut Child) -> Result<()> {
    let number = child.id().to_string();
    let tasks = fs::read_to_string(format!("/proc/{number}/task/{number}/children")).unwrap_or_default();
    for grandchild in tasks.split_whitespace() {
        let status = Command::new("kill").args(["-KILL", grandchild]).status().context("start kill")?;
        if !status.success() {
            bail!("process {grandchild} cannot be ended");
        }
    }
    let _ = child.kill();
    Ok(())
}

const SURVIVED: &str = "SURVIVED";
const BUILD_LIMIT: Duration = Duration::from_secs(900);
const RUN_LIMIT: Duration = Duration::from_secs(300);
