//! What is known of another router that is master at the same time.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use lvs_core::Instant;

use crate::types::Priority;

/// Another router that says it is master while we are and do not yield to it.
///
/// That is over after one advert if it hears us; otherwise the network is divided, in one direction at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conflict {
    /// Address of the other one. If it equals ours, two hosts have the same address.
    pub other: IpAddr,
    /// The priority that it advertised last.
    pub priority: Priority,
    /// Why we do not yield to it.
    pub verdict: Verdict,
    /// When its first advert came.
    pub since: Instant,
    /// When its last advert came.
    pub until: Instant,
    /// How many of its adverts came; one from our own address counts too.
    pub adverts: u64,
}

impl Conflict {
    /// From its first advert to its last.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.until - self.since
    }
}

/// Why a master does not yield to another one (RFC 9568 §6.4.3). The set is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its priority is lower.
    LowerPriority,
    /// Its priority is the same and its address lower.
    LowerAddress,
    /// Priority and address are the same: the protocol cannot decide (VR-119).
    SameAddress,
}

impl Verdict {
    /// A name for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LowerPriority => "its priority is lower",
            Self::LowerAddress => "its address is lower",
            Self::SameAddress => "it has our own address",
        }
    }
}

/// A stage of a conflict. The set is closed.
///
/// Its text is for operators: "10.0.0.2 was master too for 3.2 s (12 adverts of priority 100); it yielded".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConflictEvent {
    /// The first advert of another master was heard.
    Began(Conflict),
    /// Its adverts go on although it had the time to hear several of ours: packets pass in one direction only,
    /// or it does not believe ours (another password, another interval in version 2).
    Unheard(Conflict),
    /// It is over.
    Ended(Conflict, ConflictEnd),
}

impl ConflictEvent {
    /// The conflict as it was then.
    #[must_use]
    pub const fn conflict(&self) -> &Conflict {
        match self {
            Self::Began(conflict) | Self::Unheard(conflict) | Self::Ended(conflict, _) => conflict,
        }
    }
}

/// How a conflict ended. The set is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConflictEnd {
    /// The other one was silent for as long as a backup waits for a master, after it had heard us as it seems.
    Yielded,
    /// The same, but it had not heard us before: it may have been cut off in the other direction too.
    Silent,
    /// The other one resigned.
    Resigned,
    /// We are master no longer.
    WeYielded,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ConflictEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Yielded => "it yielded",
            Self::Silent => "it is not heard any more",
            Self::Resigned => "it resigned",
            Self::WeYielded => "we are not any more",
        })
    }
}

impl fmt::Display for ConflictEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Began(conflict) => {
                let Conflict { other, priority, .. } = conflict;
                write!(f, "{other} is master too, with priority {priority}; ")?;
                f.write_str(match conflict.verdict {
                    Verdict::LowerPriority => "it has to yield, ours is higher",
                    Verdict::LowerAddress => "it has to yield, our address is higher",
                    Verdict::SameAddress => "it has our own address, so neither can yield",
                })
            }
            Self::Unheard(conflict) => {
                let Conflict { other, priority, .. } = conflict;
                let time = Rough(conflict.duration());
                write!(f, "{other} has been master too for {time}, with priority {priority}: ")?;
                f.write_str("it does not hear our adverts, or refuses them")
            }
            Self::Ended(conflict, end) => {
                let Conflict { other, priority, adverts, .. } = conflict;
                write!(f, "{other} was master too")?;
                if !conflict.duration().is_zero() {
                    write!(f, " for {}", Rough(conflict.duration()))?;
                }
                let plural = if *adverts == 1 { "" } else { "s" };
                write!(f, " ({adverts} advert{plural} of priority {priority}); {end}")
            }
        }
    }
}

/// A duration with as many digits as people want to read.
struct Rough(Duration);

impl fmt::Display for Rough {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < Duration::from_millis(100) {
            write!(f, "{:.1} ms", self.0.as_secs_f64() * 1000.0)
        } else {
            write!(f, "{:.1} s", self.0.as_secs_f64())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conflict(verdict: Verdict, millis: u64, adverts: u64) -> Conflict {
        Conflict {
            other: [10, 0, 0, 2].into(),
            priority: Priority::new(100).unwrap(),
            verdict,
            since: Instant::ORIGIN,
            until: Instant::ORIGIN + Duration::from_millis(millis),
            adverts,
        }
    }

    #[test]
    fn operators_read_who_was_master_too_for_how_long_and_how_it_ended() {
        let text = |event: ConflictEvent| event.to_string();
        assert_eq!(
            text(ConflictEvent::Began(conflict(Verdict::LowerPriority, 0, 1))),
            "10.0.0.2 is master too, with priority 100; it has to yield, ours is higher"
        );
        assert_eq!(
            text(ConflictEvent::Began(conflict(Verdict::LowerAddress, 0, 1))),
            "10.0.0.2 is master too, with priority 100; it has to yield, our address is higher"
        );
        assert_eq!(
            text(ConflictEvent::Began(conflict(Verdict::SameAddress, 0, 1))),
            "10.0.0.2 is master too, with priority 100; it has our own address, so neither can yield"
        );
        assert_eq!(
            text(ConflictEvent::Unheard(conflict(Verdict::LowerPriority, 4000, 5))),
            "10.0.0.2 has been master too for 4.0 s, with priority 100: it does not hear our adverts, or \
             refuses them"
        );
        let ended = |millis, adverts, end| {
            text(ConflictEvent::Ended(conflict(Verdict::LowerPriority, millis, adverts), end))
        };
        assert_eq!(
            ended(3249, 12, ConflictEnd::Yielded),
            "10.0.0.2 was master too for 3.2 s (12 adverts of priority 100); it yielded"
        );
        assert_eq!(
            ended(0, 1, ConflictEnd::Resigned),
            "10.0.0.2 was master too (1 advert of priority 100); it resigned"
        );
        assert_eq!(
            ended(30, 4, ConflictEnd::Silent),
            "10.0.0.2 was master too for 30.0 ms (4 adverts of priority 100); it is not heard any more"
        );
        assert_eq!(
            ended(90_000, 90, ConflictEnd::WeYielded),
            "10.0.0.2 was master too for 90.0 s (90 adverts of priority 100); we are not any more"
        );
    }
}
