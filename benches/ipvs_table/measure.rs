//! Times of repeated acts, and the rest that the machine needs before each.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Times by act and contender.
#[derive(Debug)]
pub(crate) struct Times<A, C>(Vec<(A, C, Duration)>);

impl<A: PartialEq, C: PartialEq> Times<A, C> {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a time of `contender` in `act`.
    pub(crate) fn add(&mut self, act: A, contender: C, took: Duration) {
        self.0.push((act, contender, took));
    }

    /// The times of that contender in that act; nothing if there are none.
    pub(crate) fn of(&self, act: A, contender: C) -> Option<Summary> {
        let those = self
            .0
            .iter()
            .filter(|(its_act, its_contender, _)| *its_act == act && *its_contender == contender);
        let mut times: Vec<_> = those.map(|(_, _, took)| *took).collect();
        times.sort();
        let longest = times.len().checked_sub(1)?;
        let at = |percent: usize| times.get((longest * percent).div_ceil(100)).copied().unwrap_or_default();
        Some(Summary { count: times.len(), least: at(0), median: at(50), most: at(95) })
    }
}

/// Some times in a few numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Summary {
    pub(crate) count: usize,
    pub(crate) least: Duration,
    pub(crate) median: Duration,
    /// The 95th percentile; of few times the longest.
    pub(crate) most: Duration,
}

/// Waits until the machine has nothing to do: what an earlier act left behind (a namespace that is taken apart) does not
/// count as work of the next.
pub(crate) fn rest() -> Result<()> {
    let start = Instant::now();
    let mut before = busy()?;
    while start.elapsed() < REST_LIMIT {
        std::thread::sleep(WINDOW);
        let now = busy()?;
        if now.saturating_sub(before) <= BUSY_TICKS {
            return Ok(());
        }
        before = now;
    }
    bail!("the machine did not come to rest within {REST_LIMIT:?}")
}

/// Ticks that processors were not idle, since the machine started.
fn busy() -> Result<u64> {
    let text = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
    let line = text.lines().next().context("/proc/stat is empty")?;
    let ticks: Vec<u64> = line.split_whitespace().skip(1).flat_map(str::parse).collect();
    // user nice system idle iowait irq softirq steal
    let total: u64 = ticks.iter().take(8).sum();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    Ok(total - idle)
}

/// Processor time that these processes have used so far; one that has ended counts no more.
pub(crate) fn processor_time(processes: &[u32]) -> Duration {
    let of_thread = |thread: fs::DirEntry| -> Option<u64> {
        fs::read_to_string(thread.path().join("schedstat")).ok()?.split(' ').next()?.parse().ok()
    };
    let threads =
        |process: &u32| fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    Duration::from_nanos(processes.iter().flat_map(threads).filter_map(of_thread).sum())
}

const WINDOW: Duration = Duration::from_millis(200);
/// Of a tick of 4 ms or 10 ms.
const BUSY_TICKS: u64 = 2;
const REST_LIMIT: Duration = Duration::from_secs(120);
