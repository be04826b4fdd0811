//! A host's clock: it runs at a rate of its own, and may stand still while the host does.

use std::time::Duration;

use lvs_core::Instant;

/// How fast a clock runs: parts per million more than true time, −999,999 to 1,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(i32);

impl Rate {
    /// That of true time.
    pub const TRUE: Self = Self(0);

    /// Faster (or slower) than true time by this many parts per million; kept within −90 % and +100 %.
    #[must_use]
    pub fn ppm(ppm: i32) -> Self {
        Self(ppm.clamp(-900_000, 1_000_000))
    }

    /// Local nanoseconds in 2^32 true ones.
    fn fixed(self) -> u64 {
        let scaled = (1_000_000 + i64::from(self.0)) << 32;
        u64::try_from(scaled / 1_000_000).unwrap_or(1 << 32)
    }

    /// The true time that such a clock takes for this time, at most a nanosecond more.
    #[must_use]
    pub fn true_time(self, local: Duration) -> Duration {
        if self == Self::TRUE {
            return local;
        }
        let true_nanos = (local.as_nanos() << 32).div_ceil(u128::from(self.fixed()));
        Duration::from_nanos(u64::try_from(true_nanos).unwrap_or(u64::MAX))
    }

    /// The time that such a clock shows for this true time, dropping less than a nanosecond.
    #[must_use]
    pub fn local_time(self, true_time: Duration) -> Duration {
        let local_nanos = (true_time.as_nanos() * u128::from(self.fixed())) >> 32;
        Duration::from_nanos(u64::try_from(local_nanos).unwrap_or(u64::MAX))
    }
}

/// What maps true time to what a host believes.
#[derive(Clone, Debug)]
pub struct Clock {
    /// Since this moment it runs as it does.
    since: Instant,
    /// What it showed then.
    shown: Instant,
    rate: Rate,
    stands_still: bool,
}

impl Clock {
    /// A clock that shows `shown` at the true time `now`.
    #[must_use]
    pub fn new(now: Instant, shown: Instant, rate: Rate) -> Self {
        Self { since: now, shown, rate, stands_still: false }
    }

    /// What it shows at that true time.
    #[must_use]
    pub fn read(&self, now: Instant) -> Instant {
        let passed = now - self.since;
        if self.stands_still {
            self.shown
        } else if self.rate == Rate::TRUE {
            self.shown + passed
        } else {
            self.shown + self.rate.local_time(passed)
        }
    }

    /// The first true time at which it shows this or more; never while it stands still.
    #[must_use]
    pub fn when(&self, shown: Instant) -> Instant {
        if self.stands_still { NEVER } else { self.since + self.rate.true_time(shown - self.shown) }
    }

    /// How fast it runs.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// From now on it runs at this rate.
    pub fn set_rate(&mut self, now: Instant, rate: Rate) {
        self.rebase(now);
        self.rate = rate;
    }

    /// From now on it stands still, or runs again.
    pub fn set_standing_still(&mut self, now: Instant, stands_still: bool) {
        self.rebase(now);
        self.stands_still = stands_still;
    }

    fn rebase(&mut self, now: Instant) {
        self.shown = self.read(now);
        self.since = now;
    }
}

/// After everything.
pub const NEVER: Instant = Instant::from_nanos(u64::MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn a_clock_shows_a_time_first_when_it_says_so() {
        let mut random = Random::new(1, 1);
        for _ in 0..10_000 {
            let rate = Rate::ppm(i32::try_from(random.below(400_000)).unwrap() - 200_000);
            let start = Instant::from_nanos(random.below(1 << 50));
            let clock = Clock::new(start, Instant::from_nanos(random.below(1 << 50)), rate);
            let shown = clock.read(start) + random.time(Duration::from_secs(1_000_000));
            let when = clock.when(shown);
            assert!(clock.read(when) >= shown);
            assert!(when == start || clock.read(when - Duration::from_nanos(1)) < shown);
        }
    }

    #[test]
    fn a_clock_that_stands_still_goes_on_where_it_stopped() {
        let at = |seconds: u64| Instant::from_nanos(seconds * 1_000_000_000);
        let mut clock = Clock::new(at(10), at(3), Rate::ppm(1_000_000));
        assert_eq!(clock.read(at(11)), at(5));
        clock.set_standing_still(at(11), true);
        assert_eq!((clock.read(at(50)), clock.when(at(6))), (at(5), NEVER));
        clock.set_standing_still(at(50), false);
        assert_eq!(clock.when(at(7)), at(51));
    }
}
