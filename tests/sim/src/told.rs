//! Keeps account of what a router says to the outside: how much, and about whom (A13, VR-252).

use std::net::IpAddr;

use lvs_vrrp::ConflictEvent;

use crate::observer::Violation;

/// How much of something there may be: it grows with time, to a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// In nanoseconds of growth.
    left: u64,
    at: u64,
}

impl Allowance {
    pub(crate) const fn new(there: u64, count: u64) -> Self {
        Self { left: count * SECOND, at: there }
    }

    /// One more, if that many per second and that many at once are allowed.
    pub(crate) fn take(&mut self, there: u64, per_second: u64, most: u64) -> bool {
        let grown = there.saturating_sub(self.at).saturating_mul(per_second);
        self.left = self.left.saturating_add(grown).min(most * SECOND);
        self.at = there;
        match self.left.checked_sub(SECOND) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    pub(crate) fn grant(&mut self, count: u64) {
        self.left += count * SECOND;
    }
}

/// The other masters that a router told of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rivals(pub(crate) [Option<IpAddr>; 4]);

impl Rivals {
    pub(crate) fn has(&self, rival: IpAddr) -> bool {
        self.0.contains(&Some(rival))
    }

    pub(crate) fn is_full(&self) -> bool {
        !self.0.contains(&None)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0 == [None; 4]
    }

    /// Begins once, ends once, and nothing is told of who is none.
    pub(crate) fn note(&mut self, event: ConflictEvent) -> Result<(), Violation> {
        let (from, to) = match event {
            ConflictEvent::Began(conflict) if !self.has(conflict.other) => (None, Some(conflict.other)),
            ConflictEvent::Unheard(conflict) if self.has(conflict.other) => return Ok(()),
            ConflictEvent::Ended(conflict, _) => (Some(conflict.other), None),
            ConflictEvent::Began(_) | ConflictEvent::Unheard(_) => (Some(IpAddr::from([0; 4])), None),
        };
        match self.0.iter_mut().find(|rival| **rival == from) {
            Some(rival) => {
                *rival = to;
                Ok(())
            }
            None => Err(Violation { rule: "VR-252", what: format!("{event:?} after {:?}", self.0) }),
        }
    }
}

const SECOND: u64 = 1_000_000_000;
