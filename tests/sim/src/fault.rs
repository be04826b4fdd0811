//! The kinds of faults, and sets of them.

use std::fmt;

/// Something that goes wrong, or that an operator does, while the routers work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Packets get lost on a link, or on all.
    Loss,
    /// A link delivers late, by the same time always.
    Delay,
    /// A link delivers late, by a different time each, in order.
    Jitter,
    /// A link delivers late by a different time each, in any order.
    Reorder,
    /// A link delivers packets twice.
    Duplicate,
    /// A link delivers nothing in one direction.
    OneWay,
    /// Two parts of the network do not hear each other.
    Partition,
    /// A process does not run; its sockets fill.
    PauseProcess,
    /// A host does not run; nothing reaches it, its clock goes on.
    PauseHost,
    /// A host does not run; its clock stands still.
    FreezeHost,
    /// A host is slow to run what is due.
    Overload,
    /// A clock changes its rate.
    ClockRate,
    /// A host loses its power and starts again.
    PowerLoss,
    /// A process is killed, leaves its addresses behind, and starts again.
    Kill,
    /// A process is stopped as it should be, and starts again.
    ShutDown,
    /// The interval is changed.
    Interval,
    /// Preemption is changed.
    Preempt,
    /// A tracked object changes the priority.
    Priority,
    /// The virtual addresses cannot be put on the host, or are taken from it.
    Claims,
    /// The interface goes down, or something else that the application tracks.
    LinkDown,
    /// The application holds mastership back.
    Held,
    /// An advert that nobody sent, right in every respect.
    Hostile,
    /// Many losing adverts that nobody sent.
    Flood,
    /// Packets that are wrong in some respect.
    Damaged,
    /// The interface gets another address.
    Address,
    /// A host gets another password than the others have.
    Password,
    /// Something happens at the very moment at which a router decides something, or a nanosecond before or after.
    Punctual,
}

impl Fault {
    /// All kinds.
    pub const ALL: [Self; 27] = [
        Self::Loss,
        Self::Delay,
        Self::Jitter,
        Self::Reorder,
        Self::Duplicate,
        Self::OneWay,
        Self::Partition,
        Self::PauseProcess,
        Self::PauseHost,
        Self::FreezeHost,
        Self::Overload,
        Self::ClockRate,
        Self::PowerLoss,
        Self::Kill,
        Self::ShutDown,
        Self::Interval,
        Self::Preempt,
        Self::Priority,
        Self::Claims,
        Self::LinkDown,
        Self::Held,
        Self::Hostile,
        Self::Flood,
        Self::Damaged,
        Self::Address,
        Self::Password,
        Self::Punctual,
    ];

    /// Its place in [`Fault::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loss => "loss",
            Self::Delay => "delay",
            Self::Jitter => "jitter",
            Self::Reorder => "reorder",
            Self::Duplicate => "duplicate",
            Self::OneWay => "one-way",
            Self::Partition => "partition",
            Self::PauseProcess => "pause-process",
            Self::PauseHost => "pause-host",
            Self::FreezeHost => "freeze-host",
            Self::Overload => "overload",
            Self::ClockRate => "clock-rate",
            Self::PowerLoss => "power-loss",
            Self::Kill => "kill",
            Self::ShutDown => "shutdown",
            Self::Interval => "interval",
            Self::Preempt => "preempt",
            Self::Priority => "priority",
            Self::Claims => "claims",
            Self::LinkDown => "link-down",
            Self::Held => "held",
            Self::Hostile => "hostile",
            Self::Flood => "flood",
            Self::Damaged => "damaged",
            Self::Address => "address",
            Self::Password => "password",
            Self::Punctual => "punctual",
        })
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults(u32);

impl Faults {
    /// No kind.
    pub const NONE: Self = Self(0);

    /// All kinds.
    #[must_use]
    pub fn all() -> Self {
        Fault::ALL.into_iter().fold(Self::NONE, Self::with)
    }

    /// The same and this kind.
    #[must_use]
    pub fn with(self, fault: Fault) -> Self {
        Self(self.0 | 1 << fault.index())
    }

    /// The same without this kind.
    #[must_use]
    pub fn without(self, fault: Fault) -> Self {
        Self(self.0 & !(1 << fault.index()))
    }

    /// Whether this kind is among them.
    #[must_use]
    pub fn contains(self, fault: Fault) -> bool {
        self.0 & 1 << fault.index() != 0
    }

    /// Those of them that there are.
    pub fn iter(self) -> impl Iterator<Item = Fault> {
        Fault::ALL.into_iter().filter(move |fault| self.contains(*fault))
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.iter().map(|fault| fault.to_string()).collect();
        f.write_str(&names.join(","))
    }
}
