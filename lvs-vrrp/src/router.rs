//! Decides who of the routers of one virtual router is master: RFC 9568 §6.4 and RFC 3768 §6.4 as a value.

mod backup;
mod master;
mod rivals;
mod rounds;
mod snapshot;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use lvs_core::{ClaimResult, Epoch, Instant, Ownership, Role};

use crate::action::{Action, FaultReason, Gate, Reason, Transition};
use crate::config::{Config, Start};
use crate::conflict::Conflict;
use crate::packet::Advert;
use crate::router::backup::{Backup, Wait};
use crate::router::master::{Expired, Master, Reaction};
use crate::timing;
use crate::types::{Advertised, Interval, Priority};

/// One router of one virtual router, without sockets and clock.
///
/// ```text
///                      enable, gate not at fault
///                 ┌───────────────────────────────────┐
///                 │           (255: at once, below)   ▼
///         ┌───────┴──────┐  disable            ┌──────────────┐
///    ●───►│  INITIALIZE  │◄────────────────────┤    BACKUP    │◄─────────────┐
///         └───┬──────▲───┘                     │              │              │
///             │      │                         │ master down  │              │ better advert,
/// enable,     │      │ disable:                │ timer; or    │              │ gate held:
/// gate at     │      │ advert 0,               │ wants master │              │ (advert 0,)
/// fault       │      │ release                 └─┬────▲─────┬─┘              │ release
///             │      │                 gate at   │    │     │ timer expired, │
///             │      │                 fault     │    │     │ gate open:     │
///             ▼      │                           │    │     │ advert, claim  │
///         ┌──────────┴───┐◄──────────────────────┘    │     ▼                │
///         │    FAULT     ├────────────────────────────┘  ┌──────────────┐    │
///         │              │  fault cleared                │    MASTER    ├────┘
///         │ retry timer  │◄──────────────────────────────┤ advert timer,│
///         │ after a      │  gate at fault, or addresses  │ claim timer, │
///         │ failed claim │  missing too long:            │ announcement │
///         └──────────────┘  advert 0, release            └──────────────┘
/// ```
///
/// An owner (priority 255) goes from INITIALIZE or FAULT straight to MASTER. `disable` leads from every state
/// to INITIALIZE; a master says so with one advert of priority 0. Where a start delay is configured, `enable`
/// counts only after it.
///
/// # The loop
///
/// Feed what happens with `handle_*`, `set_*`, `enable`, `disable` and `reconfigure`; after each call carry
/// out what [`poll_action`](Self::poll_action) hands out until it is empty, in that order; call
/// [`handle_timeout`](Self::handle_timeout) when [`poll_timeout`](Self::poll_timeout) is reached. Early or
/// repeated calls are harmless. Nothing here fails: bad packets were refused by [`Advert::parse`] and Demux,
/// bad numbers by the types.
///
/// When the caller wakes up late (the machine was suspended, the process was stopped), it feeds all adverts
/// that wait in its sockets before it calls `handle_timeout`: then a backup does not believe a timer that
/// expired only because nobody listened, and a master that was replaced by a better one yields. A master that
/// finds itself unchallenged, or challenged by a lower one, sends one advert, not all that it missed, and then
/// announces its addresses again: nothing from before the pause is sent.
///
/// ```
/// use std::net::IpAddr;
/// use std::time::Duration;
/// use lvs_vrrp::{Action, Advertised, Config, Instant, Interval, Priority, Role, Router};
///
/// let config = Config::new(Interval::seconds(1)?, Priority::new(150)?);
/// let mut router = Router::new(config, IpAddr::from([10, 0, 0, 1]));
///
/// router.enable(Instant::ORIGIN);
/// assert_eq!(router.role(), Role::Backup);
/// while router.poll_action().is_some() {}
///
/// // Nobody is heard for 3 s and the skew of (256 − 150) / 256 s.
/// let expiry = router.poll_timeout().expect("a backup waits for the master");
/// assert_eq!(expiry - Instant::ORIGIN, Duration::from_nanos(3_414_062_500));
/// router.handle_timeout(expiry);
///
/// assert_eq!(router.role(), Role::Master);
/// let advert = Action::Advertise(Advertised::Running(Priority::new(150)?));
/// assert_eq!(router.poll_action(), Some(advert)); // first of all; then Claim and Changed
/// # Ok::<(), lvs_vrrp::OutOfRange>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Router {
    config: Config,
    address: IpAddr,
    gate: Gate,
    state: State,
    epoch: Epoch,
    /// Claims that failed since one was confirmed; each doubles the pause before the next attempt.
    failed_claims: u32,
    actions: VecDeque<Action>,
}

/// What a router heard of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Who sent it.
    pub(crate) source: IpAddr,
    pub(crate) advertised: Advertised,
    pub(crate) interval: Interval,
}

/// What a router is, with the timers of that state and no others.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Disabled,
    /// Enabled, but the start delay is not over.
    Starting {
        at: Instant,
    },
    /// The gate says why.
    Fault,
    /// Its addresses could not be had; the gate is not at fault.
    ClaimFailed {
        retry_at: Instant,
    },
    Backup(Backup),
    Master(Master),
}

impl Router {
    /// A router that is not enabled yet. `address` is the primary address of its interface, which it sends
    /// from and which decides between equal priorities.
    #[must_use]
    pub fn new(config: Config, address: IpAddr) -> Self {
        Self {
            config,
            address,
            gate: Gate::Open,
            state: State::Disabled,
            epoch: Epoch::NONE,
            failed_claims: 0,
            actions: VecDeque::with_capacity(USUAL_ACTIONS),
        }
    }

    /// Starts taking part: the event Startup (VR-110, VR-111), after the start delay if one is configured.
    /// Nothing happens if it did already.
    pub fn enable(&mut self, now: Instant) {
        match self.state {
            State::Disabled => match self.config.start_delay() {
                Duration::ZERO => self.start_up(now),
                delay => self.state = State::Starting { at: now + delay },
            },
            State::Starting { .. }
            | State::Fault
            | State::ClaimFailed { .. }
            | State::Backup(_)
            | State::Master(_) => {}
        }
    }

    /// Stops taking part: the event Shutdown (VR-112). A master says so with an advert of priority 0.
    pub fn disable(&mut self, _now: Instant) {
        match self.state {
            State::Disabled => {}
            // It has never been anything else than INITIALIZE.
            State::Starting { .. } => self.state = State::Disabled,
            State::Fault | State::ClaimFailed { .. } | State::Backup(_) => {
                self.change(State::Disabled, Reason::Disabled);
            }
            State::Master(_) => self.resign(State::Disabled, Reason::Disabled),
        }
    }

    /// Opens or closes the way to mastership (VR-125 to VR-128). The gate of a new router is open.
    pub fn set_gate(&mut self, now: Instant, gate: Gate) {
        self.gate = gate;
        match (&self.state, gate) {
            (State::Disabled | State::Starting { .. }, Gate::Open | Gate::Held | Gate::Fault(_))
            | (State::Fault, Gate::Fault(_))
            | (State::ClaimFailed { .. }, Gate::Open | Gate::Held)
            | (State::Backup(_), Gate::Held)
            | (State::Master(_), Gate::Open) => {}
            (State::Fault, Gate::Open | Gate::Held) => {
                self.take_part(now, self.master_down_interval(), Reason::FaultCleared);
            }
            // It has a reason of its own no longer.
            (State::ClaimFailed { .. }, Gate::Fault(_)) => self.state = State::Fault,
            (State::Backup(backup), Gate::Open) => match backup.wait {
                Wait::Until(_) => {}
                Wait::ForGate => self.become_master(now, backup.reason()),
            },
            (State::Backup(_), Gate::Fault(reason)) => self.change(State::Fault, Reason::Fault(reason)),
            (State::Master(_), Gate::Held) => {
                let backup = Backup::new(now, self.master_down_interval(), &self.config);
                self.resign(State::Backup(backup), Reason::Held);
            }
            (State::Master(_), Gate::Fault(reason)) => self.resign(State::Fault, Reason::Fault(reason)),
        }
    }

    /// Takes the applier's word on the addresses of a mastership. Words about an earlier one are ignored.
    ///
    /// The first confirmation starts the announcements. Without one for longer than the claim timeout, or if
    /// the addresses go missing for that long, the master resigns: it must not advertise what it does not
    /// have.
    pub fn handle_claimed(&mut self, now: Instant, epoch: Epoch, result: ClaimResult) {
        if epoch != self.epoch {
            return;
        }
        match &mut self.state {
            State::Disabled
            | State::Starting { .. }
            | State::Fault
            | State::ClaimFailed { .. }
            | State::Backup(_) => {}
            State::Master(master) => {
                match result {
                    ClaimResult::Confirmed => self.failed_claims = 0,
                    ClaimResult::Missing => {}
                }
                master.handle_claimed(now, result, &self.config, &mut self.actions);
            }
        }
    }

    /// Takes an advert that was accepted: for this virtual router, of this version, intact, from another
    /// router.
    #[inline]
    pub fn handle_advert(&mut self, now: Instant, source: IpAddr, advert: &Advert<'_>) {
        let (advertised, interval) = (advert.advertised(), advert.interval());
        self.handle_heard(now, Heard { source, advertised, interval });
    }

    /// What counts of an advert.
    pub(crate) fn handle_heard(&mut self, now: Instant, heard: Heard) {
        // Otherwise erratum 8298 of RFC 9568: an owner listens too (VR-066).
        if self.config.priority().is_owner() && self.config.owner_ignore_adverts() {
            return;
        }
        match &mut self.state {
            // VR-115 to VR-121, first column.
            State::Disabled | State::Starting { .. } | State::Fault | State::ClaimFailed { .. } => {}
            State::Backup(backup) => backup.hear(now, heard, &self.config),
            State::Master(master) => {
                match master.hear(now, heard, self.address, &self.config, &mut self.actions) {
                    Reaction::Stays => {}
                    Reaction::Yields(priority) => {
                        if self.config.higher_prio_send_advert() {
                            let running = Advertised::Running(self.config.priority());
                            self.actions.push_back(Action::Advertise(running));
                        }
                        let backup = Backup::after(now, heard, &self.config);
                        self.step_down(
                            State::Backup(backup),
                            Reason::Outranked { by: heard.source, priority },
                        );
                    }
                    Reaction::YieldsLate => {
                        let mut backup = Backup::new(now, self.master_down_interval(), &self.config);
                        backup.hear(now, heard, &self.config);
                        self.step_down(State::Backup(backup), Reason::Late);
                    }
                }
            }
        }
    }

    /// Lets everything happen whose time has come. Too early, it does nothing; very late, everything happens
    /// once.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.state {
            State::Disabled | State::Fault => {}
            State::Starting { at } => {
                if now >= *at {
                    self.start_up(now);
                }
            }
            State::ClaimFailed { retry_at } => {
                if now >= *retry_at {
                    self.take_part(now, self.master_down_interval(), Reason::FaultCleared);
                }
            }
            State::Backup(backup) => match backup.wait {
                Wait::ForGate => {}
                // VR-113.
                Wait::Until(master_down_at) => {
                    if now >= master_down_at {
                        let (backup, reason) = (*backup, backup.reason());
                        self.want_master(now, backup, reason);
                    }
                }
            },
            State::Master(master) => match master.expire(now, &self.config, &mut self.actions) {
                Expired::Stays => {}
                Expired::ClaimFailed => {
                    let doublings = self.failed_claims.min(MAX_DOUBLINGS);
                    let pause = self.config.claim_timeout().saturating_mul(2_u32.pow(doublings));
                    self.failed_claims = self.failed_claims.saturating_add(1);
                    let state = State::ClaimFailed { retry_at: now + pause };
                    self.resign(state, Reason::Fault(FaultReason::ClaimFailed));
                }
                Expired::YieldsLate => {
                    let backup = Backup::new(now, self.master_down_interval(), &self.config);
                    self.step_down(State::Backup(backup), Reason::Late);
                }
            },
        }
    }

    /// Changes the priority, keeping the role. A backup uses it for the next comparison and the next wait, a
    /// master from the next advert on (VR-124).
    pub fn set_priority(&mut self, now: Instant, priority: Priority) {
        self.reconfigure(now, self.config.with_priority(priority));
    }

    /// Changes the address that it sends from and that decides between equal priorities.
    pub fn set_address(&mut self, address: IpAddr) {
        self.address = address;
    }

    /// Changes the configuration, keeping the role. A master tells its backups of a new interval at once:
    /// they would find a longer one out too late. Start and start delay count when it is enabled again.
    pub fn reconfigure(&mut self, now: Instant, config: Config) {
        let before = std::mem::replace(&mut self.config, config);
        match &mut self.state {
            State::Disabled | State::Starting { .. } | State::Fault | State::ClaimFailed { .. } => {}
            State::Backup(backup) => backup.reconfigure(now, &before, &config),
            State::Master(master) => master.reconfigure(now, &before, &config, &mut self.actions),
        }
    }

    /// What to do next, in order; drained after every other call.
    #[must_use]
    #[inline]
    pub fn poll_action(&mut self) -> Option<Action> {
        let action = self.actions.pop_front();
        if action.is_none() && self.actions.capacity() > USUAL_ACTIONS {
            self.actions.shrink_to(USUAL_ACTIONS);
        }
        action
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); `None` if nothing is waited for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Disabled | State::Fault => None,
            State::Starting { at } => Some(*at),
            State::ClaimFailed { retry_at } => Some(*retry_at),
            State::Backup(backup) => match backup.wait {
                Wait::Until(master_down_at) => Some(master_down_at),
                Wait::ForGate => None,
            },
            State::Master(master) => Some(master.next()),
        }
    }

    /// The role now.
    #[must_use]
    pub const fn role(&self) -> Role {
        match self.state {
            State::Disabled | State::Starting { .. } => Role::Initialize,
            State::Fault | State::ClaimFailed { .. } => Role::Fault,
            State::Backup(_) => Role::Backup,
            State::Master(_) => Role::Master,
        }
    }

    /// Whether it waits for its gate to become master; see [`Action::WantsMaster`].
    #[must_use]
    pub const fn wants_master(&self) -> bool {
        match &self.state {
            State::Backup(backup) => match backup.wait {
                Wait::ForGate => true,
                Wait::Until(_) => false,
            },
            State::Disabled
            | State::Starting { .. }
            | State::Fault
            | State::ClaimFailed { .. }
            | State::Master(_) => false,
        }
    }

    /// Role, mastership and announcements now, as the applier of the addresses needs them.
    #[must_use]
    pub const fn ownership(&self) -> Ownership {
        let announcements = match &self.state {
            State::Disabled
            | State::Starting { .. }
            | State::Fault
            | State::ClaimFailed { .. }
            | State::Backup(_) => 0,
            State::Master(master) => master.announced(),
        };
        Ownership { epoch: self.epoch, role: self.role(), announcements }
    }

    /// The gate that was set last.
    #[must_use]
    pub const fn gate(&self) -> Gate {
        self.gate
    }

    /// The other masters that are heard while this router is master too: usually none, and never more than
    /// four, the first that were heard.
    pub fn conflicts(&self) -> impl Iterator<Item = Conflict> + '_ {
        let master = match &self.state {
            State::Master(master) => Some(master),
            State::Disabled
            | State::Starting { .. }
            | State::Fault
            | State::ClaimFailed { .. }
            | State::Backup(_) => None,
        };
        master.into_iter().flat_map(|master| master.rivals().conflicts())
    }

    /// The configuration with the priority as it is now.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The address that it sends from.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// The interval that it goes by: as a backup the master's, if it heard one.
    #[must_use]
    pub const fn master_interval(&self) -> Interval {
        match &self.state {
            State::Backup(backup) => backup.master_interval,
            State::Disabled
            | State::Starting { .. }
            | State::Fault
            | State::ClaimFailed { .. }
            | State::Master(_) => self.config.interval(),
        }
    }

    /// The event Startup, for which the gate must not be at fault.
    fn start_up(&mut self, now: Instant) {
        match self.gate {
            Gate::Open | Gate::Held => {
                let wait = match self.config.start() {
                    Start::Master => timing::initial_master_wait(self.config.interval()),
                    Start::Backup => self.master_down_interval(),
                };
                self.take_part(now, wait, Reason::Enabled);
            }
            Gate::Fault(reason) => self.change(State::Fault, Reason::Fault(reason)),
        }
    }

    /// From INITIALIZE or FAULT: the owner becomes master at once, any other listens first.
    fn take_part(&mut self, now: Instant, wait: Duration, reason: Reason) {
        let backup = Backup::new(now, wait, &self.config);
        if !self.config.priority().is_owner() {
            self.change(State::Backup(backup), reason);
        } else if self.gate == Gate::Held {
            self.change(State::Backup(backup), reason);
            self.want_master(now, backup, reason);
        } else {
            self.become_master(now, reason);
        }
    }

    /// The wait is over: VR-113, or VR-128 where the gate is held.
    fn want_master(&mut self, now: Instant, mut backup: Backup, reason: Reason) {
        match self.gate {
            Gate::Open => self.become_master(now, reason),
            Gate::Held => {
                backup.wait = Wait::ForGate;
                self.state = State::Backup(backup);
                self.actions.push_back(Action::WantsMaster);
            }
            // A closed gate has led to FAULT already.
            Gate::Fault(_) => {}
        }
    }

    fn become_master(&mut self, now: Instant, reason: Reason) {
        self.epoch = self.epoch.next();
        let master = Master::new(now, self.epoch, &self.config, &mut self.actions);
        self.change(State::Master(master), reason);
    }

    /// From MASTER: the others learn that they need not wait.
    fn resign(&mut self, state: State, reason: Reason) {
        self.actions.push_back(Action::Advertise(Advertised::Resigning));
        self.step_down(state, reason);
    }

    /// From MASTER.
    fn step_down(&mut self, state: State, reason: Reason) {
        self.actions.push_back(Action::Release { epoch: self.epoch });
        self.change(state, reason);
    }

    fn change(&mut self, state: State, reason: Reason) {
        let from = self.role();
        match std::mem::replace(&mut self.state, state) {
            State::Master(master) => master.into_rivals().end(&mut self.actions),
            State::Disabled
            | State::Starting { .. }
            | State::Fault
            | State::ClaimFailed { .. }
            | State::Backup(_) => {}
        }
        let priority = self.config.priority();
        let transition = Transition { from, to: self.role(), reason, priority, epoch: self.epoch };
        self.actions.push_back(Action::Changed(transition));
    }

    /// Of a master with our own interval.
    const fn master_down_interval(&self) -> Duration {
        self.config.master_down_interval(self.config.interval())
    }
}

/// As many as an input brings while the role stays: an advert and an announcement. There is room for more only until they
/// were taken.
const USUAL_ACTIONS: usize = 2;

/// The pause after failed claims grows up to 64 claim timeouts.
const MAX_DOUBLINGS: u32 = 6;

#[cfg(test)]
mod tests;
