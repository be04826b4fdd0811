//! Who owns a virtual router's addresses at the moment: the one fact that travels in `watch` cells only.

use std::fmt;

/// Counts the masterships of one virtual router instance in one process; a new one starts with every transition to
/// master.
///
/// Whatever is done for a mastership (claiming, announcing, confirming) carries its epoch, so that an answer that
/// comes too late is recognised and dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(u64);

impl Epoch {
    /// Before the first mastership.
    pub const NONE: Self = Self(0);

    /// The epoch of the next mastership.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The epoch with that count, as [`value`](Self::value) gave it.
    #[must_use]
    pub const fn from_value(value: u64) -> Self {
        Self(value)
    }

    /// The count.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The applier's answer to a claim: whether the host has all addresses of the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClaimResult {
    /// The kernel has them all.
    Confirmed,
    /// At least one is missing; the applier goes on trying.
    Missing,
}

/// What an instance is at the moment. The set is closed: RFC 9568 §6.3 and keepalived's FAULT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Role {
    /// Not started, or stopped.
    #[default]
    Initialize,
    /// Listens to the master (RFC 9568: Backup).
    Backup,
    /// Owns the addresses.
    #[doc(alias = "Active")]
    Master,
    /// Cannot take part: its interface, its source address or something it tracks is down.
    Fault,
}

impl Role {
    /// The name that keepalived's scripts and logs use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initialize => "INIT",
            Self::Backup => "BACKUP",
            Self::Master => "MASTER",
            Self::Fault => "FAULT",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The latest word on an instance: its role, and under which epoch.
///
/// Only the newest value matters; whoever reads it later acts on it as it is then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Ownership {
    /// The mastership that began last.
    pub epoch: Epoch,
    /// The role now.
    pub role: Role,
    /// How many packets per address this mastership has asked for to tell the neighbours; a reader that sees it grow
    /// sends as many more for every confirmed address, but not more than a burst that the network can take.
    pub announcements: u64,
}

impl Ownership {
    /// Whether the addresses are to be held.
    #[must_use]
    pub const fn is_master(&self) -> bool {
        matches!(self.role, Role::Master)
    }
}
