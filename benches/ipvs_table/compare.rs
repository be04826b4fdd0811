//! Every contender in turn: load the table, find it right, change one server, remove it all.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fmt, fs};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use lvs_ipvs::Client;
use lvs_netlink::Generic;
use lvs_tests::{Host, Process, require_ipvs};
use nix::sys::signal::Signal;

use crate::measure::{Summary, Times, processor_time, rest};
use crate::shape::{Shape, flush};

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Contender {
    /// Prepared bytes: the floor.
    Bare,
    /// lvs-ipvs in a program of its own.
    Library,
    /// Ours.
    Ipvsctl,
    /// Debian's.
    Ipvsadm,
    /// Ours.
    Lvsd,
    /// Debian's.
    Keepalived,
}

/// What is measured. The times of a whole process begin before it is made and end when it has been waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Start,
    Load,
    LoadInside,
    List,
    Reconcile,
    ReconcileInside,
    ReconcileAgain,
    Change,
    ChangeInside,
    Scrape,
    ScrapeServices,
    Keep,
    Repair,
    Remove,
}

const ACTS: [Act; 14] = [
    Act::Start,
    Act::Load,
    Act::LoadInside,
    Act::List,
    Act::Reconcile,
    Act::ReconcileInside,
    Act::ReconcileAgain,
    Act::Change,
    Act::ChangeInside,
    Act::Scrape,
    Act::ScrapeServices,
    Act::Keep,
    Act::Repair,
    Act::Remove,
];

/// Runs them and prints what came out.
pub(crate) fn run(
    shape: Shape,
    repetitions: usize,
    contenders: &[Contender],
    programs: Option<PathBuf>,
) -> Result<()> {
    require_ipvs();
    let bench = Bench::new(shape, programs)?;
    let mut contenders =
        if contenders.is_empty() { Contender::value_variants().to_vec() } else { contenders.to_vec() };
    contenders.retain(|contender| {
        let there = bench.program(*contender).is_ok();
        if !there {
            println!("{contender} is left out: it is not there");
        }
        there
    });
    for contender in &contenders {
        warm(&bench.program(*contender)?)?;
    }
    let batch = bench.best_batch()?;
    let mut times = Times::new();
    for repetition in 0..repetitions {
        // Nobody always comes after the same one.
        contenders.rotate_left(usize::from(repetition > 0));
        for &contender in &contenders {
            eprintln!("repetition {} of {repetitions}: {contender}", repetition + 1);
            bench.measure(contender, batch, &mut times).with_context(|| contender.to_string())?;
        }
    }
    report(shape, batch, &times);
    Ok(())
}

struct Bench {
    shape: Shape,
    programs: PathBuf,
    files: Files,
    /// Keeps the directory of the files.
    _host: Host,
}

/// Prepared once, for all hosts.
struct Files {
    load: String,
    change: String,
    questions: String,
    flush: String,
    saved: String,
}

impl Bench {
    fn new(shape: Shape, programs: Option<PathBuf>) -> Result<Self> {
        let this = std::env::current_exe().context("the path of this program")?;
        let beside = this.parent().context("this program lies nowhere")?;
        let host = Host::new("files");
        let family = host.run(|| -> Result<u16> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(runtime.block_on(async { Generic::open("IPVS")?.family().await })?.number())
        })?;
        let write = |name: &str, bytes: &[u8]| -> Result<String> {
            let path = host.directory().join(name);
            fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))?;
            Ok(path.to_string_lossy().into_owned())
        };
        let files = Files {
            load: write("load", &shape.messages(family)?)?,
            change: write("change", &shape.change(family, 2)?)?,
            questions: write("questions", &shape.questions(family)?)?,
            flush: write("flush", &flush(family))?,
            saved: write("saved", shape.saved().as_bytes())?,
        };
        Ok(Self { shape, programs: programs.unwrap_or_else(|| beside.to_owned()), files, _host: host })
    }

    fn program(&self, contender: Contender) -> Result<PathBuf> {
        let path = match contender {
            Contender::Bare => self.programs.join("ipvs_bare"),
            Contender::Library => self.programs.join("ipvs_table"),
            Contender::Ipvsctl => self.programs.join("ipvsctl"),
            Contender::Lvsd => self.programs.join("lvsd"),
            Contender::Ipvsadm => PathBuf::from("/usr/sbin/ipvsadm"),
            Contender::Keepalived => PathBuf::from("/usr/sbin/keepalived"),
        };
        ensure!(path.is_file(), "{} does not exist", path.display());
        Ok(path)
    }

    /// How many messages in one send load the table soonest.
    fn best_batch(&self) -> Result<usize> {
        let mut best = (Duration::MAX, 1);
        for batch in [10, 30, 100, 300, 1000, 3000] {
            let host = self.fresh()?;
            let took = self.bare(&host, &["send", &self.files.load, &batch.to_string()])?.inside;
            println!("bare program, {batch:>4} messages in one send: {:>7.1} ms", milliseconds(took));
            best = best.min((took, batch));
        }
        Ok(best.1)
    }

    fn measure(&self, contender: Contender, batch: usize, times: &mut Times<Act, Contender>) -> Result<()> {
        let host = self.fresh()?;
        let mut add = |act, took| times.add(act, contender, took);
        match contender {
            Contender::Bare => {
                add(Act::Start, self.bare(&host, &["send", "/dev/null", "1"])?.whole);
                let load = self.bare(&host, &["send", &self.files.load, &batch.to_string()])?;
                add(Act::Load, load.whole);
                add(Act::LoadInside, load.inside);
                self.expect(&host, self.shape.total())?;
                let dump = self.bare(&host, &["dump", &self.files.questions])?;
                add(Act::Reconcile, dump.whole);
                add(Act::ReconcileInside, dump.inside);
                let change = self.bare(&host, &["send", &self.files.change, "1"])?;
                add(Act::Change, change.whole);
                add(Act::ChangeInside, change.inside);
                add(Act::Remove, self.bare(&host, &["send", &self.files.flush, "1"])?.whole);
            }
            Contender::Library => {
                let load = self.library(&host, &["load"])?;
                add(Act::Load, load.whole);
                add(Act::LoadInside, load.inside);
                self.expect(&host, self.shape.total())?;
                let reconcile = self.library(&host, &["reconcile"])?;
                add(Act::Reconcile, reconcile.whole);
                let is_first = times.of(Act::Keep, contender).is_none();
                let mut add = |act, took| times.add(act, contender, took);
                add(Act::ReconcileInside, reconcile.inside);
                let twice = self.library(&host, &["reconcile", "--times", "2"])?.printed;
                for took in twice.into_iter().skip(1) {
                    add(Act::ReconcileAgain, took);
                }
                for took in self.library(&host, &["weight"])?.printed {
                    add(Act::ChangeInside, took);
                }
                let scrape = self.library(&host, &["scrape"])?.printed;
                for (act, took) in [Act::Scrape, Act::ScrapeServices].into_iter().zip(scrape) {
                    add(act, took);
                }
                if is_first {
                    let kept = self.library(&host, &["keep"])?.printed;
                    for (act, took) in [Act::Keep, Act::Repair].into_iter().zip(kept) {
                        add(act, took);
                    }
                }
                return Ok(());
            }
            Contender::Ipvsctl | Contender::Ipvsadm => {
                let program = self.program(contender)?;
                let run = |arguments: &[&str], input: Option<&str>| -> Result<Duration> {
                    Ok(whole(&host, &program, arguments, input)?.whole)
                };
                add(Act::Load, run(&["-R"], Some(&self.files.saved))?);
                self.expect(&host, self.shape.total())?;
                add(Act::List, run(&["-L", "-n"], None)?);
                let (service, server) = self.shape.changed();
                let service = service.to_string();
                let service = service.split(' ').next_back().unwrap_or_default();
                let server = server.key().to_string();
                add(Act::Change, run(&["-e", "-t", service, "-r", &server, "-g", "-w", "2"], None)?);
                add(Act::Remove, run(&["-C"], None)?);
            }
            Contender::Keepalived | Contender::Lvsd => {
                let file = host.write_file("daemon.conf", &self.shape.configuration(1)?);
                let program = self.program(contender)?;
                let mut command = host.command(&program.to_string_lossy());
                command.args(["-n", "-l", "-f", &file, "-p"]).arg(host.directory().join("daemon.pid"));
                if contender == Contender::Keepalived {
                    command.arg("-r").arg(host.directory().join("vrrp.pid"));
                    command.arg("-c").arg(host.directory().join("checkers.pid"));
                }
                rest()?;
                let start = Instant::now();
                let daemon = host.spawn(&mut command);
                self.wait_for_weight(&host, 1, &daemon)?;
                add(Act::Load, start.elapsed());
                rest()?;
                self.expect(&host, self.shape.total())?;
                // lvsd does not reload yet.
                if contender == Contender::Keepalived {
                    add(Act::Reconcile, reload_until_idle(&daemon)?);
                    host.write_file("daemon.conf", &self.shape.configuration(2)?);
                    rest()?;
                    let start = Instant::now();
                    daemon.signal(Signal::SIGHUP);
                    self.wait_for_weight(&host, 2, &daemon)?;
                    add(Act::Change, start.elapsed());
                    rest()?;
                }
                let start = Instant::now();
                daemon.signal(Signal::SIGTERM);
                daemon.wait(LIMIT);
                let took = start.elapsed();
                let left = count(&host)?;
                if left > 0 {
                    // keepalived gives its children five seconds.
                    eprintln!("{contender} ended after {took:?} and left {left} servers behind");
                    return Ok(());
                }
                add(Act::Remove, took);
            }
        }
        self.expect(&host, 0)
    }

    /// A namespace in which nobody had a table before, and a machine that has nothing to do.
    fn fresh(&self) -> Result<Host> {
        rest()?;
        Ok(Host::new("balancer"))
    }

    fn bare(&self, host: &Host, arguments: &[&str]) -> Result<Took> {
        whole(host, &self.program(Contender::Bare)?, arguments, None)
    }

    fn library(&self, host: &Host, act: &[&str]) -> Result<Took> {
        let (services, servers) = (self.shape.services.to_string(), self.shape.servers.to_string());
        let arguments = [&["--services", &services, "--servers", &servers, "library"], act].concat();
        whole(host, &self.program(Contender::Library)?, &arguments, None)
    }

    /// Fails unless the kernel has that many servers.
    fn expect(&self, host: &Host, servers: usize) -> Result<()> {
        let table =
            host.run(|| fs::read_to_string("/proc/thread-self/net/ip_vs")).context("read the table")?;
        // One line of the head begins like a server's.
        let there = table.lines().filter(|line| line.starts_with("  ->")).count().saturating_sub(1);
        ensure!(there == servers, "the kernel has {there} servers instead of {servers}");
        Ok(())
    }

    /// Waits until the last server of the last service has that weight. Both daemons go through their table in order.
    fn wait_for_weight(&self, host: &Host, weight: u32, daemon: &Process) -> Result<()> {
        let (service, server) = self.shape.changed();
        let deadline = Instant::now() + LIMIT;
        host.run(|| {
            tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
                let mut client = Client::open()?;
                loop {
                    let there = client.destinations(&service).await.unwrap_or_default();
                    let there = there.iter().find(|entry| entry.server.key() == server.key());
                    if there.is_some_and(|entry| entry.server.weight().value() == weight) {
                        return Ok(());
                    }
                    ensure!(
                        Instant::now() < deadline,
                        "no weight {weight} within {LIMIT:?}:\n{}",
                        daemon.log()
                    );
                    ensure!(daemon.is_running(), "it has ended:\n{}", daemon.log());
                    tokio::time::sleep(POLL).await;
                }
            })
        })
    }
}

/// How many servers the kernel has, in all services.
fn count(host: &Host) -> Result<usize> {
    let table = host.run(|| fs::read_to_string("/proc/thread-self/net/ip_vs")).context("read the table")?;
    // One line of the head begins like a server's.
    Ok(table.lines().filter(|line| line.starts_with("  ->")).count().saturating_sub(1))
}

/// From the signal to the last moment at which the processes did anything. (A reload that finds everything as it should be
/// leaves no trace.)
fn reload_until_idle(daemon: &Process) -> Result<Duration> {
    let mut processes = vec![daemon.id()];
    processes.extend(children(daemon.id()));
    let start = Instant::now();
    let mut last = (start, processor_time(&processes));
    daemon.signal(Signal::SIGHUP);
    while last.0.elapsed() < IDLE {
        ensure!(start.elapsed() < LIMIT, "it does not come to rest");
        std::thread::sleep(POLL);
        let now = processor_time(&processes);
        if now.saturating_sub(last.1) > NOTHING {
            last = (Instant::now(), now);
        }
    }
    Ok(last.0 - start)
}

fn children(process: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    list.split_whitespace().flat_map(str::parse).collect()
}

/// What a process that ran to its end took, and what it printed of itself.
struct Took {
    whole: Duration,
    printed: Vec<Duration>,
    /// The first of what it printed.
    inside: Duration,
}

fn whole(host: &Host, program: &Path, arguments: &[&str], input: Option<&str>) -> Result<Took> {
    let mut command = host.command(&program.to_string_lossy());
    command.args(arguments);
    if let Some(input) = input {
        command.stdin(fs::File::open(input).with_context(|| format!("open {input}"))?);
    }
    rest()?;
    let start = Instant::now();
    let output = host.output(&mut command).map_err(anyhow::Error::msg)?;
    let whole = start.elapsed();
    let printed: Vec<_> =
        output.lines().map_while(|line| line.parse().ok()).map(Duration::from_micros).collect();
    let inside = printed.first().copied().unwrap_or_default();
    Ok(Took { whole, printed, inside })
}

/// Brings a program and its libraries into memory. In the test VM the machine's files come over a slow channel each time,
/// except those that were written: a change of their mode makes a copy.
fn warm(program: &Path) -> Result<()> {
    let libraries = Command::new("ldd").arg(program).output().context("run ldd")?;
    let libraries = String::from_utf8_lossy(&libraries.stdout).into_owned();
    let libraries = libraries.split_whitespace().filter(|word| word.starts_with('/'));
    for file in libraries.map(Path::new).chain([program]) {
        let file = fs::canonicalize(file).with_context(|| format!("find {}", file.display()))?;
        let mode = fs::metadata(&file)?.permissions().mode();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode))
            .with_context(|| format!("write {}", file.display()))?;
    }
    Ok(())
}

fn report(shape: Shape, batch: usize, times: &Times<Act, Contender>) {
    println!(
        "\n{} services with {} servers each; the bare program sends {batch} messages at once. Milliseconds.\n",
        shape.services, shape.servers
    );
    println!("| what | who | runs | median | least | 95 % | of the bare program's |");
    println!("| --- | --- | ---: | ---: | ---: | ---: | ---: |");
    for act in ACTS {
        let bare = times.of(act, Contender::Bare);
        for &contender in Contender::value_variants() {
            let Some(Summary { count, least, median, most }) = times.of(act, contender) else { continue };
            let ratio = bare.map(|bare| format!("{:.2}", median.as_secs_f64() / bare.median.as_secs_f64()));
            println!(
                "| {act} | {contender} | {count} | {:.3} | {:.3} | {:.3} | {} |",
                milliseconds(median),
                milliseconds(least),
                milliseconds(most),
                ratio.unwrap_or_default()
            );
        }
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Bare => "bare program",
            Self::Library => "library",
            Self::Ipvsctl => "ipvsctl",
            Self::Ipvsadm => "ipvsadm",
            Self::Lvsd => "lvsd",
            Self::Keepalived => "keepalived",
        })
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "a process that does nothing",
            Self::Load => "load",
            Self::LoadInside => "load, first send to last answer",
            Self::List => "list (`-L -n`)",
            Self::Reconcile => "find it right (reload, or read and compare)",
            Self::ReconcileInside => "find it right, first send to difference",
            Self::ReconcileAgain => "find it right again, first send to difference",
            Self::Change => "change one weight",
            Self::ChangeInside => "change one weight, call to acknowledgement",
            Self::Scrape => "counters of everything, call to result",
            Self::ScrapeServices => "counters of the services, call to result",
            Self::Keep => "look for drift for a minute, processor time",
            Self::Repair => "put a flushed table back, flush to in sync",
            Self::Remove => "remove it all",
        })
    }
}

const LIMIT: Duration = Duration::from_secs(120);
/// Between two looks at a daemon.
const POLL: Duration = Duration::from_millis(5);
/// A daemon that did nothing for so long has done what it was told.
const IDLE: Duration = Duration::from_millis(700);
/// What looking around costs a daemon between two looks.
const NOTHING: Duration = Duration::from_millis(1);
