//! A backup: how long it waits, and which adverts make it wait again.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::time::Duration;

use lvs_core::Instant;

use crate::action::Reason;
use crate::config::{Config, Preempt};
use crate::router::Heard;
use crate::timing;
use crate::types::{Advertised, Interval, Priority};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Backup {
    pub(super) wait: Wait,
    /// Active_Adver_Interval of RFC 9568 §6.1.
    pub(super) master_interval: Interval,
    pub(super) expiry: Expiry,
    pub(super) delay: PreemptDelay,
}

/// What a backup waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Master_Down_Timer.
    Until(Instant),
    /// The timer expired while the gate was held; an advert that is yielded to starts it again.
    ForGate,
}

/// What it would mean if the timer expired now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    Silence,
    Resignation,
    LowerMaster { master: IpAddr, priority: Priority },
}

/// Until when a lower master is put up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PreemptDelay {
    None,
    Until(Instant),
}

impl Backup {
    /// One that has heard of no master yet and waits that long.
    pub(super) fn new(now: Instant, wait: Duration, config: &Config) -> Self {
        Self {
            wait: Wait::Until(now + wait),
            // VR-096.
            master_interval: config.interval(),
            expiry: Expiry::Silence,
            delay: match config.preempt() {
                Preempt::After(delay) => PreemptDelay::Until(now + delay),
                Preempt::Always | Preempt::Never => PreemptDelay::None,
            },
        }
    }

    /// One that was master until it heard this advert.
    pub(super) fn after(now: Instant, heard: Heard, config: &Config) -> Self {
        let mut backup = Self::new(now, Duration::ZERO, config);
        backup.delay = PreemptDelay::None;
        backup.yield_to(now, heard.interval, config);
        backup
    }

    pub(super) fn hear(&mut self, now: Instant, heard: Heard, config: &Config) {
        let own = config.priority();
        let theirs = match heard.advertised {
            Advertised::Running(priority) => priority,
            // VR-115, VR-100: the skew, whole, from now; the learnt interval stays.
            Advertised::Resigning => {
                match self.wait {
                    Wait::ForGate => {}
                    Wait::Until(_) => {
                        self.wait = Wait::Until(now + timing::skew_time(self.master_interval, own));
                        self.expiry = Expiry::Resignation;
                    }
                }
                return;
            }
        };
        match theirs.cmp(&own) {
            // VR-116, VR-117 to VR-119: addresses are not compared here.
            Ordering::Greater | Ordering::Equal => self.delay = PreemptDelay::None,
            Ordering::Less => match config.preempt() {
                // VR-121: but the owner takes over whatever the flag says (RFC 9568 §6.1).
                Preempt::Never if !own.is_owner() => {}
                // VR-129.
                Preempt::After(delay) if !own.is_owner() => {
                    let over = match self.delay {
                        PreemptDelay::Until(at) => at,
                        PreemptDelay::None => now + delay,
                    };
                    self.delay = PreemptDelay::Until(over);
                    if now >= over {
                        self.expiry = Expiry::LowerMaster { master: heard.source, priority: theirs };
                        return;
                    }
                }
                // VR-120: the timer runs on.
                Preempt::Always | Preempt::Never | Preempt::After(_) => {
                    self.expiry = Expiry::LowerMaster { master: heard.source, priority: theirs };
                    return;
                }
            },
        }
        self.yield_to(now, heard.interval, config);
    }

    /// Goes by another configuration from now on.
    pub(super) fn reconfigure(&mut self, now: Instant, before: &Config, config: &Config) {
        let learnt_is_void = match config.interval() {
            Interval::Seconds(_) => before.interval() != config.interval(),
            Interval::Centis(_) => before.interval().version() != config.interval().version(),
        };
        if learnt_is_void {
            self.master_interval = config.interval();
            self.wait = Wait::Until(now + config.master_down_interval(config.interval()));
        }
        match config.preempt() {
            Preempt::After(_) => {}
            Preempt::Always | Preempt::Never => self.delay = PreemptDelay::None,
        }
    }

    /// Why it would be master if it became one now.
    pub(super) const fn reason(&self) -> Reason {
        match self.expiry {
            Expiry::Silence => Reason::MasterSilent,
            Expiry::Resignation => Reason::MasterResigned,
            Expiry::LowerMaster { master, priority } => Reason::Preempted { master, priority },
        }
    }

    /// VR-097: learn, and wait again.
    fn yield_to(&mut self, now: Instant, interval: Interval, config: &Config) {
        self.master_interval = timing::learn(config.interval(), interval);
        self.wait = Wait::Until(now + config.master_down_interval(self.master_interval));
        self.expiry = Expiry::Silence;
    }
}
