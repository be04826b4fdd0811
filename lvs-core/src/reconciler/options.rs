//! How an applier works.

use std::time::Duration;

/// What the applier does with services that were never desired.
///
/// A service that is desired is ours as a whole: servers that somebody else adds to it are removed in any case, since
/// they would take a share of its clients, and nobody checks them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Foreign {
    /// Leave them alone; somebody else made them.
    #[default]
    Keep,
    /// Remove those that are there when the data plane is read for the first time; leave later ones alone.
    RemoveAtStart,
    /// Remove them; the data plane belongs to this process.
    Remove,
}

/// How the applier works; begin with the default and change fields. An interval below a millisecond counts as one.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ApplierOptions {
    /// What to do with services that were never desired.
    pub foreign: Foreign,
    /// How often all services are read, without their servers, with timeouts and sync daemons: a table that somebody
    /// else flushed is repaired within this time.
    pub drift_interval: Duration,
    /// How long it takes until every service was read with its servers: whatever somebody else changed is repaired
    /// within this time.
    pub full_interval: Duration,
    /// How often the connections of servers that drain are counted.
    pub drain_interval: Duration,
    /// First pause after a failure; doubles with every further one.
    pub first_retry: Duration,
    /// Longest pause while the data plane does not answer. An edit that it refuses is tried again after at most
    /// [`full_interval`](Self::full_interval).
    pub longest_retry: Duration,
}

impl Default for ApplierOptions {
    /// Foreign services stay; services are read every 5 s, everything within 60 s; connections of servers that drain are
    /// counted every second; failures are retried after 100 ms to 5 s.
    fn default() -> Self {
        Self {
            foreign: Foreign::Keep,
            drift_interval: Duration::from_secs(5),
            full_interval: Duration::from_secs(60),
            drain_interval: Duration::from_secs(1),
            first_retry: Duration::from_millis(100),
            longest_retry: Duration::from_secs(5),
        }
    }
}

impl ApplierOptions {
    /// The same with intervals that are not zero.
    pub(super) fn bounded(self) -> Self {
        let least = Duration::from_millis(1);
        Self {
            drift_interval: self.drift_interval.max(least),
            full_interval: self.full_interval.max(least),
            drain_interval: self.drain_interval.max(least),
            first_retry: self.first_retry.max(least),
            longest_retry: self.longest_retry.max(least),
            ..self
        }
    }

    /// Until the next try after so many failures, at least one.
    pub(super) fn pause(&self, failures: u32) -> Duration {
        self.doubled(failures).min(self.longest_retry)
    }

    /// The same for an edit that is refused.
    pub(super) fn refusal_pause(&self, failures: u32) -> Duration {
        self.doubled(failures).min(self.full_interval)
    }

    /// From one handful of services that are read in turn to the next.
    pub(super) fn turn(&self) -> Duration {
        (self.full_interval / TURNS).min(Duration::from_secs(1)).max(Duration::from_millis(1))
    }

    /// How many services are read at each turn, so that all of them are read in time, with something to spare.
    pub(super) fn services_each_turn(&self, services: usize) -> usize {
        let turns = self.full_interval.as_millis() / self.turn().as_millis().max(1);
        let turns = usize::try_from(turns).unwrap_or(usize::MAX);
        services.div_ceil((turns - turns / 6).max(1))
    }

    fn doubled(&self, failures: u32) -> Duration {
        self.first_retry.saturating_mul(2u32.pow(failures.saturating_sub(1).min(16)))
    }
}

/// At least so many within the interval in which everything is read.
const TURNS: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_has_its_turn_within_the_full_interval() {
        for full in [1, 10, 200, 5_000, 60_000, 3_600_000].map(Duration::from_millis) {
            let options = ApplierOptions { full_interval: full, ..ApplierOptions::default() }.bounded();
            for services in [1usize, 7, 60, 2_277, 100_000] {
                let turns = services.div_ceil(options.services_each_turn(services));
                let time = options.turn() * u32::try_from(turns).unwrap();
                assert!(time <= full, "{services} services take {time:?} of {full:?}");
            }
        }
    }

    #[test]
    fn pauses_double_up_to_their_longest() {
        let options = ApplierOptions::default();
        assert_eq!([1, 2, 3].map(|failures| options.pause(failures).as_millis()), [100, 200, 400]);
        assert_eq!(options.pause(u32::MAX), options.longest_retry);
        assert_eq!(options.refusal_pause(u32::MAX), options.full_interval);
    }
}
