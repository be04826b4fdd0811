//! The formulas of the RFCs once more, in integers, apart from those of the crate under test.

use lvs_vrrp::{Config, Preempt, Version};

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
    /// Time between refreshes of announcements; 0 for none.
    pub refresh: u64,
}

impl Rules {
    /// The rules of a configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let nanos = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self {
            version: config.interval().version(),
            interval: nanos(config.interval().duration()),
            priority: config.priority().get(),
            preempt: config.preempt(),
            claim_timeout: nanos(config.claim_timeout()),
            misses: u64::from(config.down_timer_adverts().get()),
            start_delay: nanos(config.start_delay()),
            is_silent_to_losers: config.lower_prio_no_advert(),
            sends_before_yielding: config.higher_prio_send_advert(),
            is_deaf_as_owner: config.owner_ignore_adverts(),
            yields_when_late: config.yield_when_late(),
            refresh: nanos(config.announcements().refresh()),
        }
    }

    /// Whether it owns the addresses.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.priority == 255
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
