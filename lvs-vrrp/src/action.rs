//! What a router decides: its outputs, in order.

use std::fmt;
use std::net::IpAddr;

use lvs_core::{Epoch, Role};

use crate::conflict::ConflictEvent;
use crate::types::{Advertised, Priority};

/// Something that the driver of a [`Router`](crate::Router) has to do, or to tell. The set is closed, so that
/// no decision can be overlooked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send this advert now, before anything else (VR-009).
    Advertise(Advertised),
    /// Put the virtual addresses on the host, and answer by
    /// [`handle_claimed`](crate::Router::handle_claimed).
    Claim {
        /// The mastership that they are for.
        epoch: Epoch,
    },
    /// Tell the neighbours about all virtual addresses: gratuitous ARP, unsolicited neighbour advertisements.
    Announce {
        /// The mastership that announces.
        epoch: Epoch,
        /// Packets per address, at least 1.
        packets: u8,
    },
    /// Take the virtual addresses off the host.
    Release {
        /// The mastership that ended.
        epoch: Epoch,
    },
    /// The role changed. Comes behind all that the change asks for.
    Changed(Transition),
    /// The wait for the master is over, but the gate is [`Held`](Gate::Held): it needs to be opened.
    WantsMaster,
    /// Another router is master too, or is not any more.
    Conflict(ConflictEvent),
}

/// A change of role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition {
    /// Before.
    pub from: Role,
    /// After.
    pub to: Role,
    /// Why.
    pub reason: Reason,
    /// Own priority at that time.
    pub priority: Priority,
    /// The mastership that began or was the last.
    pub epoch: Epoch,
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}: {}", self.from, self.to, self.reason)
    }
}

/// Why a role changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It was enabled.
    Enabled,
    /// It was disabled.
    Disabled,
    /// No master was heard for a master down interval.
    MasterSilent,
    /// The master resigned, and nobody better followed in time.
    MasterResigned,
    /// The master has a lower priority.
    Preempted {
        /// Who that was.
        master: IpAddr,
        /// Its priority.
        priority: Priority,
    },
    /// A master with a higher priority, or with the same and a higher address, was heard.
    Outranked {
        /// Who that is.
        by: IpAddr,
        /// Its priority.
        priority: Priority,
    },
    /// Its sync group does not let it be master.
    Held,
    /// It was not run for so long that another router must have taken over.
    Late,
    /// It cannot take part.
    Fault(FaultReason),
    /// What kept it from taking part is over.
    FaultCleared,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enabled => f.write_str("enabled"),
            Self::Disabled => f.write_str("disabled"),
            Self::MasterSilent => f.write_str("no advert from a master in time"),
            Self::MasterResigned => f.write_str("the master resigned"),
            Self::Preempted { master, priority } => {
                write!(f, "the master {master} has the lower priority {priority}")
            }
            Self::Outranked { by, priority } => write!(f, "{by} is master with priority {priority}"),
            Self::Held => f.write_str("held back by the sync group"),
            Self::Late => f.write_str("not run for so long that another must be master"),
            Self::Fault(reason) => reason.fmt(f),
            Self::FaultCleared => f.write_str("fault cleared"),
        }
    }
}

/// What keeps a router from taking part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultReason {
    /// There is no interface of that name.
    LinkMissing,
    /// The interface is down or has no carrier.
    LinkDown,
    /// There is no interface of a name that the instance tracks.
    TrackedLinkMissing,
    /// An interface that the instance tracks is down or has no carrier.
    TrackedLinkDown,
    /// The interface has no address to send from.
    NoAddress,
    /// The configured address to send from is not on this host, or not on the interface where it must be.
    SourceMissing,
    /// It speaks unicast, and there is no peer.
    NoPeers,
    /// The kernel refused the sockets.
    Socket,
    /// The virtual addresses could not be had for longer than the claim timeout.
    ClaimFailed,
    /// Something that the application tracks is down.
    Tracked,
    /// Another member of its sync group is at fault.
    Group,
}

impl fmt::Display for FaultReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LinkMissing => "the interface does not exist",
            Self::LinkDown => "the interface is down",
            Self::TrackedLinkMissing => "a tracked interface does not exist",
            Self::TrackedLinkDown => "a tracked interface is down",
            Self::NoAddress => "the interface has no address to send from",
            Self::SourceMissing => "this host does not have the configured address to send from",
            Self::NoPeers => "there is no peer to speak to",
            Self::Socket => "the kernel refused a socket",
            Self::ClaimFailed => "the virtual addresses could not be claimed",
            Self::Tracked => "a tracked object is down",
            Self::Group => "another member of the sync group is at fault",
        })
    }
}

/// Whether a router may be master, as others see it. The set is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Gate {
    /// It may.
    #[default]
    Open,
    /// Not alone: it says [`Action::WantsMaster`] instead, and waits for the gate to open (sync groups).
    Held,
    /// It cannot take part at all.
    Fault(FaultReason),
}

impl Gate {
    /// The stricter of both: a fault before [`Held`](Self::Held) before [`Open`](Self::Open). Of two faults this
    /// one.
    ///
    /// ```
    /// use lvs_vrrp::{FaultReason, Gate};
    ///
    /// let own = Gate::Fault(FaultReason::LinkDown);
    /// assert_eq!(own.and(Gate::Fault(FaultReason::Group)), own);
    /// assert_eq!(Gate::Open.and(Gate::Held), Gate::Held);
    /// assert_eq!(own.to_string(), "fault: the interface is down");
    /// ```
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Fault(_), _) => self,
            (_, Self::Fault(_)) => other,
            (Self::Held, _) | (_, Self::Held) => Self::Held,
            (Self::Open, Self::Open) => Self::Open,
        }
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("open"),
            Self::Held => f.write_str("held"),
            Self::Fault(reason) => write!(f, "fault: {reason}"),
        }
    }
}
