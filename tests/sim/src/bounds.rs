//! The formulas of the RFCs once more, in integers, apart from those of the crate under test.

use std::time::Duration;

use lvs_vrrp::{Config, Preempt, Version};

use crate::world::nanos;

/// What the configuration was made of where it does not tell itself: the observer draws its own conclusions.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    /// How long a master may lack its addresses, if that does not follow from interval and priority.
    pub claim_timeout: Option<Duration>,
    /// Packets in the first rounds of announcements.
    pub repeat: u8,
    /// From the first round to the second.
    pub delay: Duration,
    /// From the first round to the refresh, and from one to the next.
    pub refresh: Duration,
    /// Packets in refreshes.
    pub refresh_repeat: u8,
    /// Packets after losing adverts, if they are not as many as in the first rounds.
    pub losing_repeat: Option<u8>,
    /// From a losing advert to a further round, if it is not the time between the first rounds.
    pub losing_delay: Option<Duration>,
}

impl Default for Given {
    /// Keepalived's.
    fn default() -> Self {
        Self {
            claim_timeout: None,
            repeat: 5,
            delay: Duration::from_secs(5),
            refresh: Duration::ZERO,
            refresh_repeat: 1,
            losing_repeat: None,
            losing_delay: None,
        }
    }
}

/// What a router is configured to do, as the observer keeps it. Times in nanoseconds.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools)] // So is the configuration.
pub struct Rules {
    /// The version that it speaks.
    pub version: Version,
    /// Its own interval.
    pub interval: u64,
    /// Its priority, 1 to 255.
    pub priority: u8,
    /// Whether it takes over from a lower master.
    pub preempt: Preempt,
    /// Adverts that may fail to come.
    pub misses: u64,
    /// How long it stays out after it was enabled.
    pub start_delay: u64,
    /// Whether losing adverts get no answer.
    pub is_silent_to_losers: bool,
    /// Whether it sends one advert more before it yields.
    pub sends_before_yielding: bool,
    /// Whether it hears nothing as an owner.
    pub is_deaf_as_owner: bool,
    /// Whether it yields if it was not run for too long.
    pub yields_when_late: bool,
    /// How long a master may lack its addresses.
    pub claim_timeout: u64,
    /// Packets in the first rounds of announcements.
    pub repeat: u8,
    /// From the first round to the second; 0 for none.
    pub delay: u64,
    /// Time between refreshes of announcements; 0 for none.
    pub refresh: u64,
    /// Packets in refreshes.
    pub refresh_repeat: u8,
    /// Packets after losing adverts.
    pub losing_repeat: u8,
    /// From a losing advert to a further round; 0 for none.
    pub losing_delay: u64,
}

impl Rules {
    /// The rules of a configuration.
    #[must_use]
    pub fn of(config: &Config, given: &Given) -> Self {
        let mut rules = Self {
            version: config.interval().version(),
            interval: nanos(config.interval().duration()),
            priority: config.priority().get(),
            preempt: config.preempt(),
            claim_timeout: 0,
            misses: u64::from(config.down_timer_adverts().get()),
            start_delay: nanos(config.start_delay()),
            is_silent_to_losers: config.lower_prio_no_advert(),
            sends_before_yielding: config.higher_prio_send_advert(),
            is_deaf_as_owner: config.owner_ignore_adverts(),
            yields_when_late: config.yield_when_late(),
            repeat: given.repeat,
            delay: nanos(given.delay),
            refresh: none_or_a_second(given.refresh),
            refresh_repeat: given.refresh_repeat,
            losing_repeat: given.losing_repeat.unwrap_or(given.repeat),
            losing_delay: none_or_a_second(given.losing_delay.unwrap_or(given.delay)),
        };
        rules.claim_timeout = match given.claim_timeout {
            Some(timeout) => nanos(timeout),
            None => rules.down(rules.interval).max(3 * SECOND),
        };
        rules
    }

    /// Whether it owns the addresses.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.priority == 255
    }

    /// Whether a master answers losing adverts at once.
    #[must_use]
    pub fn answers_losers(&self) -> bool {
        !(self.is_silent_to_losers || self.is_owner() && self.is_deaf_as_owner)
    }

    /// Skew_i for an interval that is gone by: RFC 3768 §6.1, RFC 9568 §6.1.
    #[must_use]
    pub fn skew(&self, gone_by: u64) -> u64 {
        skew(self.version, gone_by, self.priority)
    }

    /// The time in which all adverts that may fail to come would have come.
    #[must_use]
    pub fn missed(&self, gone_by: u64) -> u64 {
        self.misses * gone_by
    }

    /// After that time without an advert others may be master (E8a): all that may fail to come did. If that is one,
    /// an advert in time would be too late, so the smallest skew, an owner's, is added.
    #[must_use]
    pub fn overtaken(&self) -> u64 {
        let grace = if self.misses == 1 { skew(self.version, self.interval, 255) } else { 0 };
        self.missed(self.interval) + grace
    }

    /// Down_i for an interval that is gone by.
    #[must_use]
    pub fn down(&self, gone_by: u64) -> u64 {
        self.missed(gone_by) + self.skew(gone_by)
    }
}

/// Skew_Time of a priority.
#[must_use]
pub fn skew(version: Version, gone_by: u64, priority: u8) -> u64 {
    let unit = match version {
        Version::V2 => 1_000_000_000,
        Version::V3 => gone_by,
    };
    // The product is below 2^8 × 2^38.
    (256 - u64::from(priority)) * unit / 256
}

/// A flood of adverts must not become a broadcast storm.
fn none_or_a_second(time: Duration) -> u64 {
    match nanos(time) {
        0 => 0,
        time => time.max(SECOND),
    }
}

const SECOND: u64 = 1_000_000_000;
