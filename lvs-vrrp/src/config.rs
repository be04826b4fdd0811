//! What a router is told: interval, priority, and when to take over, to announce and to give up.

use std::time::Duration;

use crate::timing;
use crate::types::{Interval, Priority};

/// Configuration of one [`Router`](crate::Router).
///
/// ```
/// use std::time::Duration;
/// use lvs_vrrp::{Config, Interval, Preempt, Priority};
///
/// let config = Config::new(Interval::centis(100)?, Priority::new(150)?)
///     .with_preempt(Preempt::After(Duration::from_secs(30)))
///     .with_announce_delay(Duration::from_secs(5));
/// assert_eq!(config.claim_timeout(), Duration::from_nanos(3_414_062_500));
/// # Ok::<(), lvs_vrrp::OutOfRange>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    interval: Interval,
    priority: Priority,
    preempt: Preempt,
    start: Start,
    announce_delay: Duration,
    announce_refresh: Duration,
    claim_timeout: Option<Duration>,
}

impl Config {
    /// A router that preempts, starts as backup, announces twice, 5 s apart, and does not refresh.
    #[must_use]
    pub const fn new(interval: Interval, priority: Priority) -> Self {
        Self {
            interval,
            priority,
            preempt: Preempt::Always,
            start: Start::Backup,
            announce_delay: Duration::from_secs(5),
            announce_refresh: Duration::ZERO,
            claim_timeout: None,
        }
    }

    /// Whether to take over from a master of lower priority.
    #[must_use]
    pub const fn with_preempt(mut self, preempt: Preempt) -> Self {
        self.preempt = preempt;
        self
    }

    /// How long to listen when enabled.
    #[must_use]
    pub const fn with_start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Time between the first announcement round of a mastership and the second; zero for no second round.
    /// Default 5 s (keepalived's `garp_master_delay`).
    #[must_use]
    pub const fn with_announce_delay(mut self, delay: Duration) -> Self {
        self.announce_delay = delay;
        self
    }

    /// Time between later announcement rounds; zero for none, the default (keepalived's
    /// `garp_master_refresh`).
    #[must_use]
    pub const fn with_announce_refresh(mut self, refresh: Duration) -> Self {
        self.announce_refresh = refresh;
        self
    }

    /// How long a master may be without its addresses before it gives up. Default: the longer of 3 s and the
    /// master down interval.
    #[must_use]
    pub const fn with_claim_timeout(mut self, timeout: Duration) -> Self {
        self.claim_timeout = Some(timeout);
        self
    }

    /// Another priority, all else alike.
    #[must_use]
    pub const fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// The interval between adverts as master, and until a master was heard the one expected of it.
    #[must_use]
    pub const fn interval(&self) -> Interval {
        self.interval
    }

    /// The priority now.
    #[must_use]
    pub const fn priority(&self) -> Priority {
        self.priority
    }

    /// Whether to take over from a master of lower priority.
    #[must_use]
    pub const fn preempt(&self) -> Preempt {
        self.preempt
    }

    /// How long to listen when enabled.
    #[must_use]
    pub const fn start(&self) -> Start {
        self.start
    }

    /// Time between the first and the second announcement round; zero for no second.
    #[must_use]
    pub const fn announce_delay(&self) -> Duration {
        self.announce_delay
    }

    /// Time between later announcement rounds; zero for none.
    #[must_use]
    pub const fn announce_refresh(&self) -> Duration {
        self.announce_refresh
    }

    /// How long a master may be without its addresses before it gives up.
    #[must_use]
    pub fn claim_timeout(&self) -> Duration {
        self.claim_timeout.unwrap_or_else(|| {
            timing::master_down_interval(self.interval, self.priority).max(MIN_CLAIM_TIMEOUT)
        })
    }
}

/// Whether a backup takes over from a master of lower priority. The set is closed. An owner always does (RFC
/// 9568 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Preempt {
    /// Yes, as the RFC's Preempt_Mode true.
    #[default]
    Always,
    /// No: the incumbent stays (keepalived's `nopreempt`).
    Never,
    /// Only this long after the start, or after the lower master was first heard (keepalived's
    /// `preempt_delay`). A master that falls silent or resigns is replaced without this delay.
    After(Duration),
}

/// How long a router below priority 255 listens when it is enabled. The set is closed. An owner does not
/// listen at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Start {
    /// A whole master down interval (RFC 9568 §6.4.1).
    #[default]
    Backup,
    /// One interval and the smallest skew (keepalived's `state MASTER`).
    Master,
}

/// Netlink, or a link that comes up again, may take longer than a short master down interval.
const MIN_CLAIM_TIMEOUT: Duration = Duration::from_secs(3);
