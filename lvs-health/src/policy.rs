//! When a server is asked, and how many answers make it up or down.

use std::num::NonZeroU32;
use std::time::Duration;

use lvs_core::Health;

use crate::schedule::CheckId;

/// How often a check runs and what its answers mean.
///
/// ```
/// use std::time::Duration;
/// use lvs_health::Policy;
///
/// let policy = Policy::every(Duration::from_secs(4))
///     .expect("not zero")
///     .retry(2)
///     .delay_before_retry(Duration::from_secs(1))
///     .timeout(Duration::from_secs(2));
/// // 4 s until it is asked, three unanswered probes of 2 s, two pauses of 1 s.
/// assert_eq!(policy.longest_detection(), Duration::from_secs(12));
/// ```
///
/// # What the numbers mean
///
/// The words are those of `keepalived.conf`, and so is their meaning, measured on keepalived 2.2.7:
///
/// * `delay_loop` runs from the **end** of a probe to the start of the next one: a server that takes a second to answer
///   is asked every `delay_loop` + 1 s.
/// * A server that is up and fails a probe is asked again `retry` times, `delay_before_retry` after the end of the failed
///   probe each time. It is down when all of them fail. One success in between forgets the failures.
/// * Before a check has passed for the first time there are no retries: one failure takes the server down.
/// * A server that is down is asked once per `delay_loop`; one success brings it up ([`rise`](Self::rise) of them).
/// * A server is up until its first probe says otherwise, or down if [`initially`](Self::initially) says so (`alpha`).
///
/// Differs from keepalived: its `TCP_CHECK` goes on retrying in bursts of `retry` + 1 probes while a server is down, and its
/// `HTTP_GET` needs one more successful round, `delay_loop` later, before a failed server is back (unless
/// `fast_recovery` is set; `rise(2)` does the same here). Here both are as stated above, so a server that returned is
/// back after at most [`longest_return`](Self::longest_return).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    delay_loop: Duration,
    retry: u32,
    delay_before_retry: Duration,
    timeout: Duration,
    rise: NonZeroU32,
    initially: Health,
}

impl Policy {
    /// keepalived's `delay_loop` where none is given.
    pub const DEFAULT_DELAY_LOOP: Duration = Duration::from_secs(60);
    /// keepalived's `connect_timeout` where none is given.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
    /// keepalived's `delay_before_retry` of `TCP_CHECK` and most others; that of `HTTP_GET` is 3 s.
    pub const DEFAULT_DELAY_BEFORE_RETRY: Duration = Duration::from_secs(1);

    /// A policy that asks every `delay_loop`; `None` if that is zero.
    ///
    /// The rest is keepalived's defaults: `retry` 1, `delay_before_retry` 1 s, `connect_timeout` 5 s, up at first.
    #[must_use]
    pub const fn every(delay_loop: Duration) -> Option<Self> {
        if delay_loop.is_zero() {
            return None;
        }
        Some(Self { delay_loop, ..Self::DEFAULT })
    }

    /// How many further failures in a row it takes after the first (0: none, the first one counts).
    #[must_use]
    pub const fn retry(mut self, retry: u32) -> Self {
        self.retry = retry;
        self
    }

    /// The pause between a failed probe and its retry; zero asks again at once.
    #[must_use]
    pub const fn delay_before_retry(mut self, pause: Duration) -> Self {
        self.delay_before_retry = pause;
        self
    }

    /// The longest that a probe may take (`connect_timeout`): [`Probe::deadline`](crate::Probe::deadline) is computed
    /// from it. Configure the check itself with the same value: it knows best what it was waiting for.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many successes in a row bring a server up that is down.
    #[must_use]
    pub const fn rise(mut self, rise: NonZeroU32) -> Self {
        self.rise = rise;
        self
    }

    /// What holds before the first probe: up, or down (keepalived's `alpha`).
    #[must_use]
    pub const fn initially(mut self, health: Health) -> Self {
        self.initially = health;
        self
    }

    /// The longest time from a server's death to its being down, if every probe starts when it is due:
    /// `delay_loop + (retry + 1) * timeout + retry * delay_before_retry`.
    #[must_use]
    pub fn longest_detection(&self) -> Duration {
        self.delay_loop
            .saturating_add(self.timeout.saturating_mul(self.retry.saturating_add(1)))
            .saturating_add(self.delay_before_retry.saturating_mul(self.retry))
    }

    /// The longest time from a server's return to its being up, if every probe starts when it is due and the server
    /// answers at once: what is left of a probe that is still waiting for the dead server, then `rise` rounds:
    /// `timeout + rise * delay_loop`.
    #[must_use]
    pub fn longest_return(&self) -> Duration {
        self.timeout.saturating_add(self.delay_loop.saturating_mul(self.rise.get()))
    }

    pub(crate) const fn period(&self) -> Duration {
        self.delay_loop
    }

    pub(crate) const fn pause(&self) -> Duration {
        self.delay_before_retry
    }

    pub(crate) const fn retries(&self) -> u32 {
        self.retry
    }

    pub(crate) const fn limit(&self) -> Duration {
        self.timeout
    }

    pub(crate) const fn successes_needed(&self) -> u32 {
        self.rise.get()
    }

    pub(crate) const fn health_at_first(&self) -> Health {
        self.initially
    }

    const DEFAULT: Self = Self {
        delay_loop: Self::DEFAULT_DELAY_LOOP,
        retry: 1,
        delay_before_retry: Self::DEFAULT_DELAY_BEFORE_RETRY,
        timeout: Self::DEFAULT_TIMEOUT,
        rise: NonZeroU32::MIN,
        initially: Health::Up,
    };
}

impl Default for Policy {
    /// keepalived's defaults, with a `delay_loop` of 60 s.
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The delay of a check's first probe, spread evenly over `0..warmup`, so that checks that were inserted together do
/// not run together (keepalived's `warmup`, which is `delay_loop` where none is given).
///
/// The same seed and id give the same delay.
///
/// ```
/// use std::time::Duration;
/// use lvs_health::{CheckId, scatter};
///
/// let warmup = Duration::from_secs(4);
/// let first = scatter(7, CheckId::new(1), warmup);
/// assert!(first < warmup);
/// assert_eq!(scatter(7, CheckId::new(1), warmup), first);
/// assert_eq!(scatter(7, CheckId::new(1), Duration::ZERO), Duration::ZERO);
/// ```
#[must_use]
pub fn scatter(seed: u64, id: CheckId, warmup: Duration) -> Duration {
    let random = split_mix(split_mix(seed) ^ id.as_u64());
    // random / 2^64 of the warm-up, without overflow: 64 × 64 bits fit into 128.
    let nanos = u64::try_from(warmup.as_nanos()).unwrap_or(u64::MAX);
    let share = (u128::from(nanos) * u128::from(random)) >> 64;
    Duration::from_nanos(u64::try_from(share).unwrap_or(u64::MAX))
}

/// One step of the SplitMix64 generator (Steele, Lea, Flood 2014).
const fn split_mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_delay_loop_is_refused() {
        assert_eq!(Policy::every(Duration::ZERO), None);
    }

    #[test]
    fn bounds_saturate_instead_of_overflowing() {
        let policy = Policy::every(Duration::MAX)
            .expect("not zero")
            .retry(u32::MAX)
            .delay_before_retry(Duration::MAX)
            .timeout(Duration::MAX);
        assert_eq!(policy.longest_detection(), Duration::MAX);
        assert_eq!(policy.longest_return(), Duration::MAX);
    }

    #[test]
    fn scatter_covers_the_whole_warmup_evenly() {
        let warmup = Duration::from_secs(10);
        let mut per_second = [0_u32; 10];
        for id in 0..10_000 {
            let second = scatter(42, CheckId::new(id), warmup).as_secs();
            per_second[usize::try_from(second).expect("below 10")] += 1;
        }
        assert!(per_second.iter().all(|count| (850..1150).contains(count)), "{per_second:?}");
    }
}
