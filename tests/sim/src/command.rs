//! The command line: how many seeds, on how many threads, and the report.

use std::collections::BTreeMap;
use std::fmt;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::fault::Fault;
use crate::options::Options;
use crate::run::{self, Failure, Manner};
use crate::totals::Totals;

/// What was asked for.
#[derive(Clone, Copy, Debug)]
struct Arguments {
    /// The first seed, or the only one.
    seed: Option<u64>,
    /// Seeds to play from there; without it until the time below was simulated.
    seeds: Option<u64>,
    /// Router-years to simulate.
    years: f64,
    threads: u64,
    /// Whether to hold the run to what continuous integration demands.
    is_strict: bool,
    /// How many failures are looked for.
    failures: usize,
    /// Lines of what happened that are shown of one seed.
    keep: usize,
}

/// Reads the command line, plays, reports.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    // A panic of a router is caught and reported with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    match (arguments.seed, arguments.seeds) {
        (Some(seed), None) if !arguments.is_strict => show(seed, arguments.keep),
        _ => play_many(arguments),
    }
}

const USAGE: &str = "usage: lvs-sim [--seed S] [--seeds N] [--years Y] [--threads T] [--strict] [--failures N] \
[--keep LINES]";

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments {
        seed: None,
        seeds: None,
        years: 1.0,
        threads: std::thread::available_parallelism().map_or(1, |n| n.get() as u64),
        is_strict: false,
        failures: 1,
        keep: 40,
    };
    while let Some(word) = words.next() {
        if word == "--strict" {
            arguments.is_strict = true;
            continue;
        }
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        let wrong = |error: &dyn fmt::Display| format!("{word} {value}: {error}");
        match word.as_str() {
            "--seed" => arguments.seed = Some(value.parse().map_err(|error| wrong(&error))?),
            "--seeds" => arguments.seeds = Some(value.parse().map_err(|error| wrong(&error))?),
            "--years" => arguments.years = value.parse().map_err(|error| wrong(&error))?,
            "--threads" => arguments.threads = value.parse().map_err(|error| wrong(&error))?,
            "--failures" => arguments.failures = value.parse().map_err(|error| wrong(&error))?,
            "--keep" => arguments.keep = value.parse().map_err(|error| wrong(&error))?,
            _ => return Err(format!("{word} is not known")),
        }
    }
    if !(0.0..=1_000_000.0).contains(&arguments.years) {
        return Err(format!("--years {} is out of range", arguments.years));
    }
    Ok(arguments)
}

/// One seed, with what happened.
fn show(seed: u64, keep: usize) -> ExitCode {
    let options = Options::of(seed);
    match run::play(&options, Manner { keep, ..Manner::FAST }).and_then(|_| run::check(&options)) {
        Ok(outcome) => {
            println!("{options}\n{}", outcome.totals);
            println!("ok, the hash of all that happened is {:016x}", outcome.hash);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// What the threads share.
#[derive(Debug, Default)]
struct Shared {
    next: AtomicU64,
    is_over: AtomicBool,
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    totals: Totals,
    failures: BTreeMap<u64, Box<Failure>>,
}

fn play_many(arguments: Arguments) -> ExitCode {
    let begin = Instant::now();
    let first = arguments.seed.unwrap_or(0);
    let shared = Shared { next: AtomicU64::new(first), ..Shared::default() };
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads.max(1) {
            scope.spawn(|| work(&shared, arguments, first));
        }
    });
    let Found { totals, failures } =
        shared.found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    println!("{totals}");
    println!("seeds from {first}, {:.1} s on {} threads", begin.elapsed().as_secs_f64(), arguments.threads);
    let mut by_rule: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (seed, failure) in &failures {
        by_rule.entry(failure.violation.rule).or_default().push(*seed);
    }
    for (rule, seeds) in &by_rule {
        println!("{rule} is broken by {} seeds: {seeds:?}", seeds.len());
    }
    if let Some((_, failure)) = failures.first_key_value() {
        println!("\n{failure}");
        return ExitCode::FAILURE;
    }
    let lacks = totals.lacks();
    for lack in &lacks {
        println!("{}: {lack}", if arguments.is_strict { "NOT ENOUGH" } else { "less than in CI" });
    }
    if arguments.is_strict && !lacks.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn work(shared: &Shared, arguments: Arguments, first: u64) {
    while !shared.is_over.load(Ordering::Relaxed) {
        let seed = shared.next.fetch_add(1, Ordering::Relaxed);
        if arguments.seeds.is_some_and(|seeds| seed - first >= seeds) {
            return;
        }
        let result = run::check(&Options::of(seed));
        let mut found = shared.found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match result {
            Ok(outcome) => found.totals.add(&outcome.totals),
            Err(failure) => {
                found.failures.insert(seed, failure);
            }
        }
        let years = found.totals.years();
        let is_long_enough = arguments.seeds.is_none()
            && years >= arguments.years
            // Rare cells of the state table may take a little longer.
            && (!arguments.is_strict || years >= arguments.years * 4.0 || found.totals.lacks().is_empty());
        if is_long_enough || found.failures.len() >= arguments.failures {
            shared.is_over.store(true, Ordering::Relaxed);
        }
    }
}

/// What continuous integration demands of a run.
impl Totals {
    /// Router-years.
    #[must_use]
    pub fn years(&self) -> f64 {
        self.router_time.as_secs_f64() / YEAR.as_secs_f64()
    }

    /// The share of the router-time that was lived with intervals of at most a second and three routers or
    /// more.
    #[must_use]
    pub fn fast_share(&self) -> f64 {
        self.fast_router_time.as_secs_f64() / self.router_time.as_secs_f64().max(1.0)
    }

    /// What it lacks.
    #[must_use]
    pub fn lacks(&self) -> Vec<String> {
        let mut lacks = Vec::new();
        if self.years() < 1.0 {
            lacks.push(format!("{:.3} router-years of 1", self.years()));
        }
        if self.fast_share() < 0.5 {
            lacks.push(format!("a share of {:.3} at intervals of at most a second", self.fast_share()));
        }
        if self.all_faults() < 100_000 {
            lacks.push(format!("{} faults of 100,000", self.all_faults()));
        }
        for (fault, count) in Fault::ALL.into_iter().zip(self.faults) {
            if count < 1_000 {
                lacks.push(format!("{count} faults of the kind {fault}, of 1,000"));
            }
        }
        let kinds =
            [("unicast", self.unicast), ("password", self.with_password), ("recorded", self.recorded)];
        for (kind, count) in kinds {
            if count < 50 {
                lacks.push(format!("{count} networks of the kind {kind}, of 50"));
            }
        }
        for (number, count) in self.plays.into_iter().enumerate().skip(1) {
            if count < 50 {
                lacks.push(format!("E{number} was played {count} times, of 50"));
            }
        }
        let (_, _, missing) = self.coverage.summary();
        lacks.extend(missing.iter().map(|cell| format!("the cell {cell:?} was never visited")));
        lacks
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} networks, {:.3} router-years, {:.0} % of it at intervals of at most 1 s with 3 routers or more",
            self.runs,
            self.years(),
            self.fast_share() * 100.0
        )?;
        let Self { unicast, with_password, recorded, .. } = self;
        writeln!(
            f,
            "{unicast} networks unicast, {with_password} with a password, {recorded} recorded and replayed"
        )?;
        writeln!(f, "{} faults:", self.all_faults())?;
        for row in Fault::ALL.chunks(5) {
            let cells =
                row.iter().map(|fault| format!("{:>14} {:7}", fault.to_string(), self.faults[fault.index()]));
            writeln!(f, "{}", cells.collect::<String>())?;
        }
        let Self { events, sent, lost, doubled, refused, takeovers, .. } = self;
        writeln!(
            f,
            "{events} events, {sent} adverts sent, {lost} packets lost, {doubled} doubled, {refused} refused, \
             {takeovers} takeovers"
        )?;
        let plays = self.plays.iter().enumerate().filter(|(_, count)| **count > 0);
        let plays: Vec<String> = plays.map(|(number, count)| format!("E{number} {count}")).collect();
        writeln!(f, "situations: {}", plays.join(", "))?;
        let (visited, possible, _) = self.coverage.summary();
        write!(f, "{visited} of {possible} cells of the state table visited")
    }
}

const YEAR: Duration = Duration::from_secs(365 * 86_400 + 21_600);
