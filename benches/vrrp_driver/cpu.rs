//! Share of a CPU and resident memory of many masters.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::time::{Duration, Instant};
use std::{fs, thread};

use lvs_tests::{Host, Process};

use crate::contender::{Contender, PER_INTERFACE, address, interface};
use crate::tap::Tap;

/// So many instances at this interval.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    instances: usize,
    /// In centiseconds.
    centis: u16,
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (instances, centis) = text.split_once('@')?;
            Some(Self { instances: instances.parse().ok()?, centis: centis.parse().ok()? })
        };
        parse().ok_or_else(|| format!("{text} is not like 255@100"))
    }
}

/// What one run showed.
struct Sample {
    contender: Contender,
    /// Share of one CPU, 0 to 1 and above.
    cpu: f64,
    /// In KiB.
    memory: u64,
    /// The longest time without an advert of one of the routers.
    gap: Duration,
}

/// Runs all of them one after the other and prints a table.
pub(crate) fn compare(cases: &[Case], contenders: &[Contender], span: Duration, settle: Duration) {
    println!("| instances | interval | who | CPU | of keepalived's | memory | worst gap |");
    println!("| ---: | ---: | --- | ---: | ---: | ---: | ---: |");
    for case in cases {
        let mut keepalived = None;
        for &contender in contenders {
            let sample = measure(contender, *case, span, settle);
            if contender == Contender::Keepalived {
                keepalived = Some(sample.cpu);
            }
            let ratio = keepalived.map_or("–".to_owned(), |theirs| format!("{:.2}", sample.cpu / theirs));
            println!(
                "| {} | {} ms | {} | {:.2} % | {ratio} | {:.1} MiB | {:.1} ms |",
                case.instances,
                u32::from(case.centis) * 10,
                sample.contender,
                sample.cpu * 100.0,
                kib_to_mib(sample.memory),
                sample.gap.as_secs_f64() * 1e3,
            );
        }
    }
}

fn measure(contender: Contender, case: Case, span: Duration, settle: Duration) -> Sample {
    let [host, wire] = ["measured", "wire"].map(Host::new);
    for place in 0..case.instances.div_ceil(PER_INTERFACE) {
        let device = interface(place);
        host.link(&device, &wire, &device);
        host.add_address(&device, &format!("{}/16", address(place, 0, 1)));
    }
    let process = contender.start(&host, case.instances, case.centis, 200);
    wait_for_all(&process, &wire, case.instances);
    thread::sleep(settle);

    let processes = tree(process.id());
    let (before, start) = (ticks(&processes), Instant::now());
    thread::sleep(span);
    let (after, elapsed) = (ticks(&processes), start.elapsed());
    assert!(process.is_running(), "{contender} ended: {}", process.log());
    let seconds = exact(after - before) / exact(ticks_per_second());
    let memory = processes.iter().map(|id| resident(*id)).sum();
    // Afterwards, since looking costs.
    let gap = worst_gap(&wire);
    Sample { contender, cpu: seconds / elapsed.as_secs_f64(), memory, gap }
}

/// Until every router is heard.
fn wait_for_all(process: &Process, wire: &Host, count: usize) {
    let mut tap = open(wire);
    let (mut seen, start) = (BTreeSet::new(), Instant::now());
    while seen.len() < count {
        assert!(
            start.elapsed() < LIMIT,
            "{} of {count} masters after {LIMIT:?}: {}",
            seen.len(),
            process.log()
        );
        seen.extend(tap.next().map(|advert| (advert.interface, advert.vrid)));
    }
}

/// The longest time between two adverts of a router, over some seconds.
fn worst_gap(wire: &Host) -> Duration {
    let mut tap = open(wire);
    let (mut last, mut worst, start) = (BTreeMap::new(), Duration::ZERO, Instant::now());
    while start.elapsed() < GAP_SPAN {
        let Some(advert) = tap.next() else { continue };
        let before = last.insert((advert.interface, advert.vrid), advert.at);
        worst = worst.max(before.map_or(Duration::ZERO, |before| advert.at.saturating_sub(before)));
    }
    worst
}

fn open(wire: &Host) -> Tap {
    Tap::open(wire, false).unwrap_or_else(|error| panic!("open a tap: {error}"))
}

/// The process and all that it started.
fn tree(root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
        found.extend(
            children.iter().flat_map(|text| text.split_whitespace()).filter_map(|id| id.parse::<u32>().ok()),
        );
        next += 1;
    }
    found
}

/// User and system time of these processes (proc(5): fields 14 and 15), in ticks.
fn ticks(processes: &[u32]) -> u64 {
    let of = |id: &u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let times = after_name.split_whitespace().skip(11).take(2);
        times.filter_map(|field| field.parse::<u64>().ok()).sum::<u64>()
    };
    processes.iter().map(of).sum()
}

/// Resident memory, of what several processes share the part that falls to this one (proc(5)); in KiB.
fn resident(process: u32) -> u64 {
    let maps = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
    let line = maps.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn ticks_per_second() -> u64 {
    nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)
        .ok()
        .flatten()
        .and_then(|ticks| u64::try_from(ticks).ok())
        .unwrap_or(100)
}

/// Numbers here are far below 2³².
fn exact(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

fn kib_to_mib(kib: u64) -> f64 {
    exact(kib) / 1024.0
}

/// keepalived needs a while for thousands of instances.
const LIMIT: Duration = Duration::from_secs(120);
const GAP_SPAN: Duration = Duration::from_secs(4);
