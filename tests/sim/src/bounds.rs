//! The formulas of the RFCs once more, in integers, apart from those of the crate under test.

use lvs_vrrp::{Config, Preempt, Version};

/// What a router is configured to do, as the observer keeps it. Times in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The version that it speaks.
    pub version: Version,
    /// Its own interval.
    pub interval: u64,
    /// Its priority, 1 to 255.
    pub priority: u8,
    /// Whether it takes over from a lower master.
    pub preempt: Preempt,
    /// How long a master may lack its addresses.
    pub claim_timeout: u64,
    /// Time to the second announcement round; 0 for none.
    pub announce_delay: u64,
    /// Time between later rounds; 0 for none.
    pub announce_refresh: u64,
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
            announce_delay: nanos(config.announce_delay()),
            announce_refresh: nanos(config.announce_refresh()),
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

    /// Down_i for an interval that is gone by.
    #[must_use]
    pub fn down(&self, gone_by: u64) -> u64 {
        3 * gone_by + self.skew(gone_by)
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
