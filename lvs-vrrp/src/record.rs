//! Writes down what a router was told, line by line, and tells it all to another one: an incident becomes a test.
//!
//! A router decides by what it is told and by nothing else, so the same inputs at the same times give the same
//! actions. Whoever drives a router passes every input as an [`Input`], to the [`Recording`] and to the router;
//! [`replay`] reads the text again. A [`Driver`](crate::Driver) does so for instances with
//! [`InstanceConfig::record`](crate::InstanceConfig::record).
//!
//! ```
//! use lvs_vrrp::Instant;
//! use lvs_vrrp::record::{Input, Recording, replay};
//! use lvs_vrrp::{Action, Config, Interval, Priority, Router};
//!
//! let config = Config::new(Interval::seconds(1)?, Priority::new(150)?);
//! let address = [10, 0, 0, 1].into();
//! let mut now = Instant::from_nanos(7_000_000_000);
//! let mut router = Router::new(config, address);
//! let mut recording = Recording::new(now, &config, address, 1 << 20);
//! let mut actions: Vec<Action> = Vec::new();
//!
//! for input in [Input::Enable, Input::Timeout] {
//!     recording.note(now, &input, &router);
//!     input.tell(&mut router, now);
//!     actions.extend(std::iter::from_fn(|| router.poll_action()));
//!     now = router.poll_timeout().expect("it waits for the master");
//! }
//! assert!(recording.text().ends_with("+0 enable\n+3414062500 timeout\n"));
//!
//! let replayed = replay(&recording.text())?;
//! assert_eq!(replayed.actions().collect::<Vec<_>>(), actions);
//! assert_eq!(replayed.router(), &router);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The format
//!
//! Lines of UTF-8; words are separated by one space; a line that begins with `#` and an empty one mean nothing.
//!
//! ```text
//! vrrp-recording 1            the version of this format, always the first line
//! start 7000000000            time of the offset 0 on the driver's clock, in nanoseconds
//! address 10.0.0.1            what the router was made with: the address that it sends from
//! config interval=1s …        … and its configuration
//! +0 enable                   from here on: nanoseconds since the start, never fewer than before, and an input
//! +3414062500 timeout
//! +3414100000 claimed 1 confirmed          epoch; confirmed or missing
//! +4000000000 advert 10.0.0.2 100 100cs    source, priority octet, interval
//! +4000000000 gate fault link-down         or: gate open, gate held
//! +4100000000 priority 120
//! +4200000000 address 10.0.0.7
//! +4300000000 config interval=1s …
//! +4400000000 disable
//! ```
//!
//! A text that begins in the middle of a router's life has one more line behind the first configuration: `state`, and
//! what the router was then, as `key=value`; instants in it are nanoseconds on the driver's clock.
//!
//! A configuration is a list of `key=value`, each at most once, `interval` and `priority` always; the others have
//! the defaults of [`Config`]. Intervals are `1s` to `255s` (version 2) and `1cs` to `4095cs` (version 3); all other
//! times are nanoseconds; `preempt` is `always`, `never` or nanoseconds; `start` is `backup` or `master`; switches
//! are `yes` or `no`.

pub(crate) mod read;
pub(crate) mod write;

use std::fmt;
use std::net::IpAddr;

use lvs_core::{ClaimResult, Epoch, Instant};
use thiserror::Error;

use crate::action::{Action, FaultReason, Gate};
use crate::config::Config;
use crate::packet::Advert;
use crate::router::{Heard, Router};
use crate::types::{Advertised, Interval, Priority};

/// Something that a router is told. The set is closed: these are all calls that change a [`Router`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// [`Router::enable`].
    Enable,
    /// [`Router::disable`].
    Disable,
    /// [`Router::set_gate`].
    Gate(Gate),
    /// [`Router::handle_claimed`].
    Claimed {
        /// The mastership that the word is about.
        epoch: Epoch,
        /// Whether the host has all addresses.
        result: ClaimResult,
    },
    /// [`Router::handle_advert`]: what counts of the advert.
    Advert {
        /// Who sent it.
        source: IpAddr,
        /// Its priority octet.
        advertised: Advertised,
        /// Its interval.
        interval: Interval,
    },
    /// [`Router::handle_timeout`].
    Timeout,
    /// [`Router::set_priority`].
    Priority(Priority),
    /// [`Router::set_address`].
    Address(IpAddr),
    /// [`Router::reconfigure`].
    Config(Config),
}

impl Input {
    /// The input that an accepted advert is.
    #[must_use]
    pub fn advert(source: IpAddr, advert: &Advert<'_>) -> Self {
        Self::Advert { source, advertised: advert.advertised(), interval: advert.interval() }
    }

    /// Tells a router; what it decides is polled as ever.
    pub fn tell(&self, router: &mut Router, now: Instant) {
        match *self {
            Self::Enable => router.enable(now),
            Self::Disable => router.disable(now),
            Self::Gate(gate) => router.set_gate(now, gate),
            Self::Claimed { epoch, result } => router.handle_claimed(now, epoch, result),
            Self::Advert { source, advertised, interval } => {
                router.handle_heard(now, Heard { source, advertised, interval });
            }
            Self::Timeout => router.handle_timeout(now),
            Self::Priority(priority) => router.set_priority(now, priority),
            Self::Address(address) => router.set_address(address),
            Self::Config(config) => router.reconfigure(now, config),
        }
    }
}

/// The text of what one router was told: all of it, or the latest if there is no room for all.
///
/// A text that does not begin with the router's life begins with its state then, and can be replayed like any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    start: Instant,
    /// What half of the room is for: the part before the one that grows.
    older: String,
    newer: Part,
    room: usize,
}

/// A recording of its own, but for the time that it counts from.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    text: String,
    /// Where its inputs begin.
    inputs: usize,
}

impl Recording {
    /// Of a router that was just made of this configuration and address. It needs at most that many bytes and a few
    /// lines, and has at least the latest half of that. Nothing that the router is told must be earlier than `start`.
    #[must_use]
    pub fn new(start: Instant, config: &Config, address: IpAddr, room: usize) -> Self {
        let newer = Part::new(write::header(start, config, address));
        Self { start, older: String::new(), newer, room }
    }

    /// Takes down an input, just before the router is told. When there is no room for all, the oldest half goes; this
    /// waits until the router's actions are polled, so that nothing is lost that it decided. An input that is earlier than
    /// the one before makes a text that [`replay`] refuses.
    pub fn note(&mut self, now: Instant, input: &Input, router: &Router) {
        if self.newer.text.len() >= self.room / 2 && router.is_drained() {
            let mut header = write::header(self.start, router.config(), router.address());
            header.push_str("state");
            router.write_state(&mut header);
            header.push('\n');
            self.older = std::mem::replace(&mut self.newer, Part::new(header)).text;
        }
        self.append(now, input);
    }

    /// Takes down an input, without an eye on the room.
    pub(crate) fn append(&mut self, now: Instant, input: &Input) {
        write::line(&mut self.newer.text, now - self.start, input);
    }

    /// The text so far, which [`replay`] reads.
    #[must_use]
    pub fn text(&self) -> String {
        if self.older.is_empty() {
            return self.newer.text.clone();
        }
        let inputs = self.newer.text.get(self.newer.inputs..).unwrap_or_default();
        [&*self.older, inputs].concat()
    }
}

impl Part {
    fn new(header: String) -> Self {
        Self { inputs: header.len(), text: header }
    }
}

/// A router that was told all of a recording, and what it decided.
///
/// Its `Display` is the recording with the decisions below each input, for people and for snapshot tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    start: Instant,
    router: Router,
    steps: Vec<Step>,
}

impl Replay {
    /// The inputs, in order.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// All decisions, in order.
    pub fn actions(&self) -> impl Iterator<Item = Action> + '_ {
        self.steps.iter().flat_map(|step| step.actions.iter().copied())
    }

    /// The router as it was in the end.
    #[must_use]
    pub const fn router(&self) -> &Router {
        &self.router
    }
}

/// An input, and what the router decided.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// When it was told.
    pub at: Instant,
    /// What it was told.
    pub input: Input,
    /// What it decided, in order.
    pub actions: Vec<Action>,
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Step { at, input, actions } in &self.steps {
            let mut line = String::new();
            write::line(&mut line, *at - self.start, input);
            f.write_str(&line)?;
            for action in actions {
                match action {
                    Action::Advertise(advertised) => writeln!(f, "    advertise {advertised}"),
                    Action::Claim { epoch } => writeln!(f, "    claim {epoch}"),
                    Action::Announce { epoch, packets } => writeln!(f, "    announce {epoch} by {packets}"),
                    Action::Release { epoch } => writeln!(f, "    release {epoch}"),
                    Action::Changed(transition) => writeln!(f, "    {transition}"),
                    Action::WantsMaster => writeln!(f, "    wants to be master"),
                    Action::Conflict(event) => writeln!(f, "    {event}"),
                }?;
            }
        }
        Ok(())
    }
}

/// Tells a new router everything that the text says.
///
/// ```
/// use lvs_vrrp::record::replay;
///
/// let text = "\
/// vrrp-recording 1
/// start 0
/// address 10.0.0.1
/// config interval=100cs priority=100
/// +0 enable
/// +2000000000 advert 10.0.0.2 150 100cs
/// +9000000000 timeout
/// ";
/// assert_eq!(replay(text)?.to_string(), "\
/// +0 enable
///     INIT -> BACKUP: enabled
/// +2000000000 advert 10.0.0.2 150 100cs
/// +9000000000 timeout
///     advertise 100
///     claim 1
///     BACKUP -> MASTER: no advert from a master in time
/// ");
/// # Ok::<(), lvs_vrrp::record::ParseError>(())
/// ```
///
/// # Errors
/// The first line that is not as the format wants it.
pub fn replay(text: &str) -> Result<Replay, ParseError> {
    let read::Told { start, mut router, inputs } = read::recording(text)?;
    let steps = inputs.into_iter().map(|(offset, input)| {
        let at = start + offset;
        input.tell(&mut router, at);
        Step { at, input, actions: std::iter::from_fn(|| router.poll_action()).collect() }
    });
    let steps = steps.collect();
    Ok(Replay { start, router, steps })
}

/// Why a text is no recording.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {reason}")]
#[non_exhaustive]
pub struct ParseError {
    /// The line, counted from 1; behind the last one if something is missing at the end.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// What can keep a router from taking part; each has a word.
pub(crate) const FAULTS: [FaultReason; 11] = [
    FaultReason::LinkMissing,
    FaultReason::LinkDown,
    FaultReason::TrackedLinkMissing,
    FaultReason::TrackedLinkDown,
    FaultReason::NoAddress,
    FaultReason::SourceMissing,
    FaultReason::NoPeers,
    FaultReason::Socket,
    FaultReason::ClaimFailed,
    FaultReason::Tracked,
    FaultReason::Group,
];

pub(crate) const fn fault_word(reason: FaultReason) -> &'static str {
    match reason {
        FaultReason::LinkMissing => "link-missing",
        FaultReason::LinkDown => "link-down",
        FaultReason::TrackedLinkMissing => "tracked-link-missing",
        FaultReason::TrackedLinkDown => "tracked-link-down",
        FaultReason::NoAddress => "no-address",
        FaultReason::SourceMissing => "source-missing",
        FaultReason::NoPeers => "no-peers",
        FaultReason::Socket => "socket",
        FaultReason::ClaimFailed => "claim-failed",
        FaultReason::Tracked => "tracked",
        FaultReason::Group => "group",
    }
}

#[cfg(test)]
mod tests;
