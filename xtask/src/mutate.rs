//! `cargo xtask mutate`: shows that the simulation and the unit tests see every changed comparison of the router.
//!
//! Each comparison in the router and each piece of arithmetic on its times is changed once, in a copy of the
//! sources. All changes are compiled into one program, which is told which one to be. Then a seed has to break a
//! rule of the simulation, or a unit test has to fail. Changes that change nothing are listed with the reason in
//! `xtask/equivalents.txt`.

mod equivalents;
mod places;

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{fmt, fs};

use anyhow::{Context, Result, ensure};
use equivalents::Equivalents;
use places::{CHOOSER, Kind, Mutant, Mutants};

use crate::stage::{cargo, text};

#[derive(clap::Args)]
pub(crate) struct MutateArguments {
    /// Networks that are played with each mutant at most
    #[arg(long, default_value_t = 400)]
    seeds: u64,
    /// Only mutants whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// Only list the mutants
    #[arg(long)]
    list: bool,
    /// Begin with the mutant of this number
    #[arg(long, default_value_t = 1)]
    from: u32,
}

pub(crate) fn run(arguments: &MutateArguments) -> Result<ExitCode> {
    let tree = crate::target_directory()?.join("mutants/tree");
    let mut mutants = Mutants::default();
    for (name, kind) in sources()? {
        let path = crate::workspace().join(&name);
        let source = fs::read_to_string(path).with_context(|| format!("read {name}"))?;
        mutants.add(&name, &source, kind)?;
    }
    let all = mutants.all.clone();
    let equivalents = Equivalents::read(&crate::workspace().join(EQUIVALENTS), &all)?;
    println!("{} mutants, {} of them listed as equivalent", all.len(), equivalents.len());
    let chosen = all.iter().filter(|mutant| {
        let is_meant = arguments.only.as_ref().is_none_or(|part| mutant.name.contains(part));
        is_meant && mutant.number >= arguments.from
    });
    if arguments.list {
        chosen.for_each(|mutant| println!("{:4} {mutant}", mutant.number));
        return Ok(ExitCode::SUCCESS);
    }
    copy_sources(&tree, mutants.sources())?;
    let judge = Judge { tree, seeds: arguments.seeds.to_string() };
    judge.build()?;
    let mut verdicts = Vec::new();
    for mutant in chosen {
        let verdict = judge.judge(mutant.number)?;
        let verdict = equivalents.apply(mutant, verdict);
        println!("{:4} {mutant}\n     {verdict}", mutant.number);
        verdicts.push((mutant, verdict));
    }
    print!("\n{}", Report(&verdicts));
    let is_good =
        verdicts.iter().all(|(_, verdict)| !matches!(verdict, Verdict::Survived | Verdict::Stale(_)));
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Who noticed a mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// A seed of the simulation, and which rule it broke.
    Seed(String),
    /// No seed, but this unit test.
    Unit(String),
    /// Nobody, as is to be expected.
    Equivalent(String),
    /// Nobody.
    Survived,
    /// It is listed as equivalent, but was noticed so.
    Stale(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seed(how) => write!(f, "killed by a seed: {how}"),
            Self::Unit(test) => write!(f, "killed by a unit test: {test}"),
            Self::Equivalent(reason) => write!(f, "equivalent: {reason}"),
            Self::Survived => f.write_str("SURVIVED"),
            Self::Stale(how) => write!(f, "LISTED AS EQUIVALENT, but {how}"),
        }
    }
}

/// Counts by file, and all that no seed noticed.
struct Report<'a>(&'a [(&'a Mutant, Verdict)]);

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut files: BTreeMap<&str, [usize; 5]> = BTreeMap::new();
        for (mutant, verdict) in self.0 {
            let file = mutant.name.split(' ').next().unwrap_or_default();
            let place = match verdict {
                Verdict::Seed(_) => 0,
                Verdict::Unit(_) => 1,
                Verdict::Equivalent(_) => 2,
                Verdict::Survived => 3,
                Verdict::Stale(_) => 4,
            };
            for file in [file, "all"] {
                files.entry(file).or_default()[place] += 1;
            }
        }
        let all = files.remove("all").unwrap_or_default();
        writeln!(f, "| source | mutants | by a seed | by a unit test only | equivalent | survived |")?;
        writeln!(f, "| --- | ---: | ---: | ---: | ---: | ---: |")?;
        for (file, [seed, unit, equivalent, survived, stale]) in files.into_iter().chain([("all", all)]) {
            let sum = seed + unit + equivalent + survived + stale;
            writeln!(f, "| {file} | {sum} | {seed} | {unit} | {equivalent} | {} |", survived + stale)?;
        }
        for (title, is_meant) in LISTS {
            let mut lines = self.0.iter().filter(|(_, verdict)| is_meant(verdict)).peekable();
            if lines.peek().is_some() {
                writeln!(f, "\n{title}:\n")?;
            }
            for (Mutant { name, .. }, verdict) in lines {
                match verdict {
                    Verdict::Seed(how) | Verdict::Unit(how) | Verdict::Stale(how) => {
                        writeln!(f, "- `{name}`: {how}")?;
                    }
                    Verdict::Equivalent(_) | Verdict::Survived => writeln!(f, "- `{name}`")?,
                }
            }
        }
        Ok(())
    }
}

type List = (&'static str, fn(&Verdict) -> bool);

const LISTS: [List; 3] = [
    ("By a unit test only", |verdict| matches!(verdict, Verdict::Unit(_))),
    ("Survived", |verdict| matches!(verdict, Verdict::Survived)),
    ("Listed as equivalent, but noticed", |verdict| matches!(verdict, Verdict::Stale(_))),
];

/// What the router decides and computes by.
fn sources() -> Result<Vec<(String, Kind)>> {
    let mut sources = vec![
        ("lvs-vrrp/src/config.rs".to_owned(), Kind::Computes),
        ("lvs-vrrp/src/router.rs".to_owned(), Kind::Decides),
        ("lvs-vrrp/src/timing.rs".to_owned(), Kind::Computes),
    ];
    let router = "lvs-vrrp/src/router";
    for part in fs::read_dir(crate::workspace().join(router)).context("read the router")? {
        let name = part.context("read the router")?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".rs") && name != "tests.rs" {
            sources.push((format!("{router}/{name}"), Kind::Decides));
        }
    }
    sources.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(sources)
}

/// The files that git knows, as they are now, with the changed ones in place of some. Files that are the same stay,
/// so that little is built again.
fn copy_sources(tree: &Path, changed: Vec<(String, String)>) -> Result<()> {
    let workspace = crate::workspace();
    let list = text(Command::new("git").arg("ls-files").current_dir(&workspace))?;
    let changed: BTreeMap<String, String> = changed.into_iter().collect();
    for name in list.lines() {
        let Ok(mut octets) = fs::read(workspace.join(name)) else { continue };
        if let Some(source) = changed.get(name) {
            octets = source.clone().into_bytes();
        } else if name == "lvs-vrrp/src/lib.rs" {
            octets.extend_from_slice(b"\nmod mutant;\n");
        }
        write_if_new(&tree.join(name), &octets)?;
    }
    write_if_new(&tree.join("lvs-vrrp/src/mutant.rs"), CHOOSER.as_bytes())
}

fn write_if_new(path: &PathBuf, octets: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|there| there == octets) {
        return Ok(());
    }
    let directory = path.parent().context("a file without a directory")?;
    fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
    fs::write(path, octets).with_context(|| format!("write {}", path.display()))
}

/// Builds and runs what is to notice the mutants.
struct Judge {
    tree: PathBuf,
    seeds: String,
}

impl Judge {
    /// Builds both programs, and sees that they find nothing wrong with the router as it is.
    fn build(&self) -> Result<()> {
        let begin = Instant::now();
        let simulation = self.run(&["build", "--profile", "mutants", "-p", "lvs-sim"], 0, BUILD_LIMIT)?;
        ensure!(simulation.passed, "the simulation cannot be built:\n{}", simulation.output);
        let units =
            ["test", "--profile", "mutants", "-p", "lvs-vrrp", "--lib", "--no-default-features", "--no-run"];
        let units = self.run(&units, 0, BUILD_LIMIT)?;
        ensure!(units.passed, "the unit tests cannot be built:\n{}", units.output);
        println!("built in {:.0} s", begin.elapsed().as_secs_f64());
        let begin = Instant::now();
        let nothing = self.judge(0)?;
        ensure!(nothing == Verdict::Survived, "without a change: {nothing}");
        println!("without a change nothing is found, in {:.0} s", begin.elapsed().as_secs_f64());
        Ok(())
    }

    fn judge(&self, number: u32) -> Result<Verdict> {
        let play = ["run", "--quiet", "--profile", "mutants", "-p", "lvs-sim", "--"];
        let play = play.into_iter().chain(["--seeds", &self.seeds, "--threads", "1", "--keep", "0"]);
        let simulation = self.run(&play.collect::<Vec<_>>(), number, RUN_LIMIT)?;
        if !simulation.passed {
            let rule = simulation.output.lines().find_map(|line| {
                let (rule, seeds) = line.split_once(" is broken by ")?;
                let (_, seeds) = seeds.split_once('[')?;
                Some(format!("{rule}, seed {}", seeds.trim_end_matches(']')))
            });
            return Ok(Verdict::Seed(match (simulation.is_late, rule) {
                (true, _) => "it does not end".to_owned(),
                (false, Some(rule)) => rule,
                (false, None) => "it breaks down".to_owned(),
            }));
        }
        let units = ["test", "--profile", "mutants", "-p", "lvs-vrrp", "--lib", "--no-default-features"];
        let units = self.run(&units, number, RUN_LIMIT)?;
        let failed =
            units.output.lines().find_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
        Ok(match (units.passed, units.is_late, failed) {
            (true, _, _) => Verdict::Survived,
            (false, true, _) => Verdict::Unit("they do not end".to_owned()),
            (false, false, Some(test)) => Verdict::Unit(test.to_owned()),
            (false, false, None) => Verdict::Unit("they break down".to_owned()),
        })
    }

    /// Runs cargo in the copy, with a directory of its own to build into, within limits of time and memory.
    fn run(&self, arguments: &[&str], number: u32, limit: Duration) -> Result<Ran> {
        let output = self.tree.with_file_name("output");
        let file = fs::File::create(&output).context("make a file for the output")?;
        let copy = file.try_clone().context("share a file for the output")?;
        let cargo = cargo();
        let mut command = Command::new("sh");
        command
            .args(["-c", LIMITED])
            .arg(cargo.get_program())
            .args(arguments)
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", self.tree.with_file_name("target"))
            .env("RUSTFLAGS", "--cap-lints=allow")
            .env("LVS_MUTANT", number.to_string())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(copy);
        let mut child = command.spawn().context("start cargo")?;
        let is_late = !ends_within(&mut child, limit)?;
        if is_late {
            end_group(&child)?;
        }
        let status = child.wait().context("wait for cargo")?;
        let output = fs::read(&output).context("read the output")?;
        let output = String::from_utf8_lossy(&output).into_owned();
        Ok(Ran { passed: status.success() && !is_late, is_late, output })
    }
}

struct Ran {
    passed: bool,
    is_late: bool,
    output: String,
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

/// Cargo and all that it started: they are a process group of their own.
fn end_group(child: &Child) -> Result<()> {
    let group = format!("-{}", child.id());
    let status = Command::new("kill").args(["-KILL", "--", &group]).status().context("start kill")?;
    ensure!(status.success(), "process group {group} cannot be ended");
    Ok(())
}

/// A mutant that fills the memory is to end by itself.
const LIMITED: &str = "ulimit -v 16000000; exec \"$0\" \"$@\"";
const EQUIVALENTS: &str = "xtask/equivalents.txt";
const BUILD_LIMIT: Duration = Duration::from_secs(1800);
const RUN_LIMIT: Duration = Duration::from_secs(600);
