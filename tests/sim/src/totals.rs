//! What a run counted.

use std::time::Duration;

use crate::coverage::Coverage;
use crate::fault::Fault;

/// Counts of one run or of many.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Networks that were played.
    pub runs: u64,
    /// Those of them in which adverts went to each peer by itself.
    pub unicast: u64,
    /// Those of them with a password.
    pub with_password: u64,
    /// Those of them that were recorded and replayed.
    pub recorded: u64,
    /// Time that routers lived through, summed over the routers.
    pub router_time: Duration,
    /// Of this, with all intervals at most a second and at least three routers.
    pub fast_router_time: Duration,
    /// Faults by kind, as [`Fault::ALL`] orders them. A fault is one decision of the script: a storm of packets
    /// or a time of loss counts once.
    pub faults: [u64; Fault::ALL.len()],
    /// Events that were handled: packets, timers, answers to claims.
    pub events: u64,
    /// Adverts sent.
    pub sent: u64,
    /// Packets that links lost, doubled.
    pub lost: u64,
    /// Packets that arrived twice.
    pub doubled: u64,
    /// Packets that were refused.
    pub refused: u64,
    /// Transitions to master.
    pub takeovers: u64,
    /// Situations of E1 to E20 that were played, by number.
    pub plays: [u64; 21],
    /// Cells of the state table.
    pub coverage: Coverage,
}

impl Totals {
    /// Adds those of another run.
    pub fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.unicast += other.unicast;
        self.with_password += other.with_password;
        self.recorded += other.recorded;
        self.router_time += other.router_time;
        self.fast_router_time += other.fast_router_time;
        for (count, more) in self.faults.iter_mut().zip(other.faults) {
            *count += more;
        }
        self.events += other.events;
        self.sent += other.sent;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.refused += other.refused;
        self.takeovers += other.takeovers;
        for (count, more) in self.plays.iter_mut().zip(other.plays) {
            *count += more;
        }
        self.coverage.add(&other.coverage);
    }

    /// All faults.
    #[must_use]
    pub fn all_faults(&self) -> u64 {
        self.faults.iter().sum()
    }
}
