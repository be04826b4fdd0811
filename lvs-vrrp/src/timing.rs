//! The only arithmetic on intervals: how long a backup waits for a silent master.
//!
//! Everything is exact to the nanosecond; half a nanosecond, which some centisecond intervals produce, is
//! dropped. (Rounding to whole centiseconds, as FRR does, would give neighbouring priorities the same skew at
//! small intervals.)

use std::time::Duration;

use crate::config::DownTimerAdverts;
use crate::types::{Centis, Interval, Priority};

/// By how much longer than three intervals a backup of this priority waits, so that the best one is first.
///
/// VRRPv2: (256 − priority) / 256 seconds, whatever the interval (RFC 3768 §6.1). VRRPv3: (256 − priority) /
/// 256 of the master's interval (RFC 9568 §6.1).
///
/// ```
/// use std::time::Duration;
/// use lvs_vrrp::{Interval, Priority, timing};
///
/// let skew = timing::skew_time(Interval::centis(100)?, Priority::new(100)?);
/// assert_eq!(skew, Duration::from_nanos(609_375_000));
/// # Ok::<(), lvs_vrrp::OutOfRange>(())
/// ```
#[must_use]
pub const fn skew_time(master_interval: Interval, priority: Priority) -> Duration {
    let steps = 256 - priority.get() as u64;
    match master_interval {
        Interval::Seconds(_) => Duration::from_nanos(steps * NANOS_PER_SECOND / 256),
        Interval::Centis(centis) => Duration::from_nanos(steps * centis.get() as u64 * NANOS_PER_CENTI / 256),
    }
}

/// How long a backup of this priority waits after the last advert before it becomes master itself: three of
/// the master's intervals and the skew (RFC 3768 §6.1, RFC 9568 §6.1).
/// [`Config::master_down_interval`](crate::Config::master_down_interval) is for another number than three.
///
/// ```
/// use std::time::Duration;
/// use lvs_vrrp::{Interval, Priority, timing};
///
/// let wait = timing::master_down_interval(Interval::seconds(1)?, Priority::new(150)?);
/// assert_eq!(wait, Duration::from_nanos(3_414_062_500));
/// # Ok::<(), lvs_vrrp::OutOfRange>(())
/// ```
#[must_use]
pub const fn master_down_interval(master_interval: Interval, priority: Priority) -> Duration {
    missed(DownTimerAdverts::RFC, master_interval).saturating_add(skew_time(master_interval, priority))
}

/// How long a router that is configured to begin as master listens first: one interval and the smallest skew
/// of a router that does not own the addresses ([`Start::Master`](crate::Start::Master)).
#[must_use]
pub const fn initial_master_wait(interval: Interval) -> Duration {
    interval.duration().saturating_add(skew_time(interval, Priority::HIGHEST_BACKUP))
}

/// The time in which so many adverts of a master should have come.
#[must_use]
pub const fn missed(adverts: DownTimerAdverts, master_interval: Interval) -> Duration {
    master_interval.duration().saturating_mul(adverts.get() as u32)
}

/// The least time between two answers to losing adverts: a tenth of the interval, 1 ms to 25.5 s.
#[must_use]
pub const fn answer_gap(interval: Interval) -> Duration {
    Duration::from_nanos(match interval {
        Interval::Seconds(seconds) => seconds.get() as u64 * (NANOS_PER_SECOND / 10),
        Interval::Centis(centis) => centis.get() as u64 * (NANOS_PER_CENTI / 10),
    })
}

/// The interval that a backup goes by: the master's in version 3, its own in version 2 (where they must be
/// equal) and before it heard anything.
pub(crate) const fn learn(own: Interval, heard: Interval) -> Interval {
    match (own, heard) {
        (Interval::Centis(_), Interval::Centis(centis)) => Interval::Centis(centis),
        (Interval::Centis(_) | Interval::Seconds(_), Interval::Seconds(_))
        | (Interval::Seconds(_), Interval::Centis(_)) => own,
    }
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const NANOS_PER_CENTI: u64 = NANOS_PER_SECOND / Centis::SECOND.get() as u64;

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u8) -> Interval {
        Interval::seconds(n).unwrap()
    }

    fn centis(n: u16) -> Interval {
        Interval::centis(n).unwrap()
    }

    #[test]
    fn waits_are_the_numbers_of_the_rfc_to_the_nanosecond() {
        // VR-090 to VR-095: (interval, priority, skew, master down interval) in nanoseconds.
        let table = [
            (seconds(1), 255, 3_906_250, 3_003_906_250),
            (seconds(1), 150, 414_062_500, 3_414_062_500),
            (seconds(1), 100, 609_375_000, 3_609_375_000),
            (seconds(1), 1, 996_093_750, 3_996_093_750),
            // The skew of version 2 does not grow with the interval.
            (seconds(255), 100, 609_375_000, 765_609_375_000),
            (centis(100), 255, 3_906_250, 3_003_906_250),
            (centis(100), 150, 414_062_500, 3_414_062_500),
            (centis(100), 100, 609_375_000, 3_609_375_000),
            (centis(100), 1, 996_093_750, 3_996_093_750),
            (centis(10), 150, 41_406_250, 341_406_250),
            (centis(10), 100, 60_937_500, 360_937_500),
            // 39,062.5 × 156 and an odd step, where half a nanosecond is dropped.
            (centis(1), 100, 6_093_750, 36_093_750),
            (centis(1), 255, 39_062, 30_039_062),
            (centis(4095), 100, 24_953_906_250, 147_803_906_250),
        ];
        for (interval, priority, skew, down) in table {
            let priority = Priority::new(priority).unwrap();
            assert_eq!(skew_time(interval, priority), Duration::from_nanos(skew), "{interval:?} {priority}");
            assert_eq!(
                master_down_interval(interval, priority),
                Duration::from_nanos(down),
                "{interval:?} {priority}"
            );
        }
    }

    #[test]
    fn a_higher_priority_always_waits_less() {
        // VR-095: no two priorities share a skew, at the shortest interval either.
        for interval in [seconds(1), centis(1), centis(10), centis(4095)] {
            for low in 1..255 {
                let (low, high) = (Priority::new(low).unwrap(), Priority::new(low + 1).unwrap());
                assert!(master_down_interval(interval, high) < master_down_interval(interval, low));
            }
        }
    }

    #[test]
    fn a_router_that_begins_as_master_waits_one_interval_and_the_smallest_skew() {
        assert_eq!(initial_master_wait(seconds(1)), Duration::from_nanos(1_007_812_500));
        assert_eq!(initial_master_wait(centis(10)), Duration::from_nanos(100_781_250));
    }

    #[test]
    fn only_version_three_learns_the_masters_interval() {
        assert_eq!(learn(centis(100), centis(20)), centis(20));
        assert_eq!(learn(seconds(1), seconds(1)), seconds(1));
        assert_eq!(learn(seconds(1), centis(20)), seconds(1));
        assert_eq!(learn(centis(100), seconds(9)), centis(100));
    }
}
