//! Decides who of the routers of one virtual router is master: RFC 9568 §6.4 and RFC 3768 §6.4 as a value.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use lvs_core::{ClaimResult, Epoch, Instant, Ownership, Role};

use crate::action::{Action, Conflict, FaultReason, Gate, Reason, Transition};
use crate::config::{Config, Preempt, Start};
use crate::packet::Advert;
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
/// to INITIALIZE; a master says so with one advert of priority 0.
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
/// expired only because nobody listened, and a master that was replaced yields. A master that finds itself
/// unchallenged sends one advert, not all that it missed, and announces its addresses again.
///
/// ```
/// use std::net::IpAddr;
/// use std::time::Duration;
/// use lvs_core::{Instant, Role};
/// use lvs_vrrp::{Action, Advertised, Config, Interval, Priority, Router};
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
            actions: VecDeque::with_capacity(8),
        }
    }

    /// Starts taking part: the event Startup (VR-110, VR-111). Nothing happens if it did already.
    pub fn enable(&mut self, now: Instant) {
        match self.state {
            State::Disabled => match self.gate {
                Gate::Open | Gate::Held => {
                    let wait = match self.config.start() {
                        Start::Master => timing::initial_master_wait(self.config.interval()),
                        Start::Backup => self.master_down_interval(self.config.interval()),
                    };
                    self.take_part(now, wait, Reason::Enabled);
                }
                Gate::Fault(reason) => self.change(State::Fault, Reason::Fault(reason)),
            },
            State::Fault | State::ClaimFailed { .. } | State::Backup(_) | State::Master(_) => {}
        }
    }

    /// Stops taking part: the event Shutdown (VR-112). A master says so with an advert of priority 0.
    pub fn disable(&mut self, _now: Instant) {
        match self.state {
            State::Disabled => {}
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
            (State::Disabled, Gate::Open | Gate::Held | Gate::Fault(_))
            | (State::Fault, Gate::Fault(_))
            | (State::ClaimFailed { .. }, Gate::Open | Gate::Held)
            | (State::Backup(_), Gate::Held)
            | (State::Master(_), Gate::Open) => {}
            (State::Fault, Gate::Open | Gate::Held) => {
                let wait = self.master_down_interval(self.config.interval());
                self.take_part(now, wait, Reason::FaultCleared);
            }
            // It has a reason of its own no longer.
            (State::ClaimFailed { .. }, Gate::Fault(_)) => self.state = State::Fault,
            (State::Backup(backup), Gate::Open) => match backup.wait {
                Wait::Until(_) => {}
                Wait::ForGate => {
                    let reason = backup.expiry.reason();
                    self.become_master(now, reason);
                }
            },
            (State::Backup(_), Gate::Fault(reason)) => self.change(State::Fault, Reason::Fault(reason)),
            (State::Master(_), Gate::Held) => {
                let wait = self.master_down_interval(self.config.interval());
                let state = State::Backup(Backup::new(now, wait, &self.config));
                self.resign(state, Reason::Held);
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
            State::Disabled | State::Fault | State::ClaimFailed { .. } | State::Backup(_) => {}
            State::Master(master) => match (result, master.claim) {
                (ClaimResult::Confirmed, Claim::Missing { .. }) => {
                    self.failed_claims = 0;
                    let next = match self.config.announce_delay() {
                        Duration::ZERO => NextRound::refresh(now, &self.config),
                        delay => NextRound::At(now + delay),
                    };
                    master.claim = Claim::Confirmed { next, again: NextRound::Never, announced_at: now };
                    self.actions.push_back(master.announcement(self.epoch));
                }
                (ClaimResult::Missing, Claim::Confirmed { .. }) => {
                    master.claim = Claim::Missing { give_up_at: now + self.config.claim_timeout() };
                }
                (ClaimResult::Confirmed, Claim::Confirmed { .. })
                | (ClaimResult::Missing, Claim::Missing { .. }) => {}
            },
        }
    }

    /// Takes an advert that was accepted: for this virtual router, of this version, intact, from another
    /// router.
    pub fn handle_advert(&mut self, now: Instant, source: IpAddr, advert: &Advert<'_>) {
        match self.state {
            // VR-115 to VR-121, first column.
            State::Disabled | State::Fault | State::ClaimFailed { .. } => {}
            State::Backup(backup) => {
                let backup = self.backup_hears(backup, now, source, advert);
                self.state = State::Backup(backup);
            }
            State::Master(master) => self.master_hears(master, now, source, advert),
        }
    }

    /// Lets everything happen whose time has come. Too early, it does nothing; very late, everything happens
    /// once.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Disabled | State::Fault => {}
            State::ClaimFailed { retry_at } => {
                if now >= retry_at {
                    let wait = self.master_down_interval(self.config.interval());
                    self.take_part(now, wait, Reason::FaultCleared);
                }
            }
            State::Backup(backup) => match backup.wait {
                Wait::ForGate => {}
                // VR-113.
                Wait::Until(master_down_at) => {
                    if now >= master_down_at {
                        self.want_master(now, backup, backup.expiry.reason());
                    }
                }
            },
            State::Master(master) => self.master_timeout(master, now),
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
    /// they would find a longer one out too late.
    pub fn reconfigure(&mut self, now: Instant, config: Config) {
        let before = std::mem::replace(&mut self.config, config);
        let new_interval = before.interval() != config.interval();
        match &mut self.state {
            State::Disabled | State::Fault | State::ClaimFailed { .. } => {}
            State::Backup(backup) => {
                let learnt_is_void = match config.interval() {
                    Interval::Seconds(_) => new_interval,
                    Interval::Centis(_) => before.interval().version() != config.interval().version(),
                };
                if learnt_is_void {
                    backup.master_interval = config.interval();
                    let wait = timing::master_down_interval(config.interval(), config.priority());
                    backup.wait = Wait::Until(now + wait);
                }
                match config.preempt() {
                    Preempt::After(_) => {}
                    Preempt::Always | Preempt::Never => backup.delay = PreemptDelay::None,
                }
            }
            State::Master(master) => {
                if new_interval {
                    master.advertise_at = now + config.interval().duration();
                    master.advertised_at = now;
                    self.actions.push_back(Action::Advertise(Advertised::Running(config.priority())));
                }
            }
        }
    }

    /// What to do next, in order; drained after every other call.
    #[must_use]
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); `None` if nothing is waited for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Disabled | State::Fault => None,
            State::ClaimFailed { retry_at } => Some(*retry_at),
            State::Backup(backup) => match backup.wait {
                Wait::Until(master_down_at) => Some(master_down_at),
                Wait::ForGate => None,
            },
            State::Master(master) => Some(match master.claim {
                Claim::Missing { give_up_at } => master.advertise_at.min(give_up_at),
                Claim::Confirmed { next, again, .. } => again.first(next.first(master.advertise_at)),
            }),
        }
    }

    /// The role now.
    #[must_use]
    pub const fn role(&self) -> Role {
        match self.state {
            State::Disabled => Role::Initialize,
            State::Fault | State::ClaimFailed { .. } => Role::Fault,
            State::Backup(_) => Role::Backup,
            State::Master(_) => Role::Master,
        }
    }

    /// Role, mastership and announcement rounds now, as the applier of the addresses needs them.
    #[must_use]
    pub const fn ownership(&self) -> Ownership {
        let announcements = match &self.state {
            State::Disabled | State::Fault | State::ClaimFailed { .. } | State::Backup(_) => 0,
            State::Master(master) => master.rounds,
        };
        Ownership { epoch: self.epoch, role: self.role(), announcements }
    }

    /// Whether its wait for the master is over and only the gate, which is [`Held`](Gate::Held), keeps it from
    /// being master.
    #[must_use]
    pub const fn wants_master(&self) -> bool {
        match &self.state {
            State::Disabled | State::Fault | State::ClaimFailed { .. } | State::Master(_) => false,
            State::Backup(backup) => matches!(backup.wait, Wait::ForGate),
        }
    }

    /// The gate that was set last.
    #[must_use]
    pub const fn gate(&self) -> Gate {
        self.gate
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
            State::Disabled | State::Fault | State::ClaimFailed { .. } | State::Master(_) => {
                self.config.interval()
            }
        }
    }

    fn backup_hears(&self, mut backup: Backup, now: Instant, source: IpAddr, advert: &Advert<'_>) -> Backup {
        let theirs = match advert.advertised() {
            Advertised::Running(priority) => priority,
            // VR-115: the skew, whole, from now; the learnt interval stays.
            Advertised::Resigning => {
                match backup.wait {
                    Wait::ForGate => {}
                    Wait::Until(_) => {
                        let skew = timing::skew_time(backup.master_interval, self.config.priority());
                        backup.wait = Wait::Until(now + skew);
                        backup.expiry = Expiry::Resignation;
                    }
                }
                return backup;
            }
        };
        match theirs.cmp(&self.config.priority()) {
            // VR-116, VR-117 to VR-119: addresses are not compared here.
            Ordering::Greater | Ordering::Equal => backup.delay = PreemptDelay::None,
            Ordering::Less => match self.config.preempt() {
                // VR-121: but the owner takes over whatever the flag says (RFC 9568 §6.1).
                Preempt::Never if !self.config.priority().is_owner() => {}
                // VR-129.
                Preempt::After(delay) if !self.config.priority().is_owner() => {
                    let over = match backup.delay {
                        PreemptDelay::Until(at) => at,
                        PreemptDelay::None => now + delay,
                    };
                    backup.delay = PreemptDelay::Until(over);
                    if now >= over {
                        backup.expiry = Expiry::LowerMaster { master: source, priority: theirs };
                        return backup;
                    }
                }
                // VR-120: the timer runs on.
                Preempt::Always | Preempt::Never | Preempt::After(_) => {
                    backup.expiry = Expiry::LowerMaster { master: source, priority: theirs };
                    return backup;
                }
            },
        }
        backup.hear(now, advert, &self.config);
        backup
    }

    fn master_hears(&mut self, mut master: Master, now: Instant, source: IpAddr, advert: &Advert<'_>) {
        let own = self.config.priority();
        // Adverts are fed before timers expire, so an overdue one follows at once: no other is needed.
        let is_overdue = now >= master.advertise_at;
        let theirs = match advert.advertised() {
            Advertised::Running(priority) => priority,
            // VR-115. An answer shortly after another waits for its turn.
            Advertised::Resigning => {
                if is_overdue {
                    // The timer's advert is the answer.
                } else if now >= master.answer_from {
                    self.answer(&mut master, now);
                    master.advertise_at = now + self.config.interval().duration();
                } else if master.advertise_at > master.answer_from {
                    master.advertise_at = master.answer_from;
                    master.answer_from = master.answer_from + timing::answer_gap(self.config.interval());
                }
                self.state = State::Master(master);
                return;
            }
        };
        match theirs.cmp(&own).then_with(|| source.cmp(&self.address)) {
            // VR-116, VR-117.
            Ordering::Greater => {
                let mut backup = Backup::new(now, Duration::ZERO, &self.config);
                backup.delay = PreemptDelay::None;
                backup.hear(now, advert, &self.config);
                self.actions.push_back(Action::Release { epoch: self.epoch });
                self.change(State::Backup(backup), Reason::Outranked { by: source, priority: theirs });
                return;
            }
            // VR-119: two hosts with one address; no answer can decide between them.
            Ordering::Equal => {}
            // VR-118, VR-120: the answer ends the conflict, the announcement what the other one told the
            // neighbours.
            Ordering::Less => {
                if now >= master.answer_from && !is_overdue {
                    self.answer(&mut master, now);
                }
                self.announce_again(&mut master, now, is_overdue);
            }
        }
        if now >= master.report_from {
            master.report_from = now + self.master_down_interval(self.config.interval());
            self.actions.push_back(Action::Conflict(Conflict { other: source, priority: theirs }));
        }
        self.state = State::Master(master);
    }

    fn master_timeout(&mut self, mut master: Master, now: Instant) {
        match master.claim {
            Claim::Missing { give_up_at } if now >= give_up_at => {
                let pause = self.config.claim_timeout() * 2_u32.pow(self.failed_claims.min(MAX_DOUBLINGS));
                self.failed_claims = self.failed_claims.saturating_add(1);
                let state = State::ClaimFailed { retry_at: now + pause };
                self.resign(state, Reason::Fault(FaultReason::ClaimFailed));
                return;
            }
            Claim::Missing { .. } | Claim::Confirmed { .. } => {}
        }
        let mut may_be_replaced = false;
        // VR-114, VR-101, VR-103.
        if now >= master.advertise_at {
            let interval = self.config.interval();
            may_be_replaced = now - master.advertised_at >= timing::overtaken_after(interval);
            let next = master.advertise_at + interval.duration();
            master.advertise_at = if next > now { next } else { now + interval.duration() };
            master.advertised_at = now;
            self.actions.push_back(Action::Advertise(Advertised::Running(self.config.priority())));
        }
        match master.claim {
            Claim::Missing { .. } => {}
            Claim::Confirmed { next, again, .. } => {
                // VR-163.
                if next.is_due(now) || again.is_due(now) || may_be_replaced {
                    self.announce(&mut master, now, next);
                }
            }
        }
        self.state = State::Master(master);
    }

    /// An advert out of turn. Such are at most one per tenth of the interval, whatever is heard.
    fn answer(&mut self, master: &mut Master, now: Instant) {
        master.answer_from = now + timing::answer_gap(self.config.interval());
        master.advertised_at = now;
        self.actions.push_back(Action::Advertise(Advertised::Running(self.config.priority())));
    }

    /// A round out of turn, at most one per second; none before the addresses are there, nor before the
    /// advert that is due.
    fn announce_again(&mut self, master: &mut Master, now: Instant, after_advert: bool) {
        let Claim::Confirmed { next, again, announced_at } = master.claim else { return };
        let from = announced_at + ANNOUNCE_GAP;
        if now >= from && !after_advert {
            self.announce(master, now, next);
        } else {
            let again = NextRound::At(again.first(from.max(now)));
            master.claim = Claim::Confirmed { next, again, announced_at };
        }
    }

    /// A round now, which serves for all that are due. One out of turn leaves the schedule as it is.
    fn announce(&mut self, master: &mut Master, now: Instant, next: NextRound) {
        let next = if next.is_due(now) { NextRound::refresh(now, &self.config) } else { next };
        master.claim = Claim::Confirmed { next, again: NextRound::Never, announced_at: now };
        self.actions.push_back(master.announcement(self.epoch));
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
        // VR-009: the advert comes first.
        self.actions.push_back(Action::Advertise(Advertised::Running(self.config.priority())));
        self.actions.push_back(Action::Claim { epoch: self.epoch });
        let master = Master {
            advertise_at: now + self.config.interval().duration(),
            advertised_at: now,
            answer_from: Instant::ORIGIN,
            report_from: Instant::ORIGIN,
            rounds: 0,
            claim: Claim::Missing { give_up_at: now + self.config.claim_timeout() },
        };
        self.change(State::Master(master), reason);
    }

    /// From MASTER: the others learn that they need not wait.
    fn resign(&mut self, state: State, reason: Reason) {
        self.actions.push_back(Action::Advertise(Advertised::Resigning));
        self.actions.push_back(Action::Release { epoch: self.epoch });
        self.change(state, reason);
    }

    fn change(&mut self, state: State, reason: Reason) {
        let from = self.role();
        self.state = state;
        let priority = self.config.priority();
        let transition = Transition { from, to: self.role(), reason, priority, epoch: self.epoch };
        self.actions.push_back(Action::Changed(transition));
    }

    fn master_down_interval(&self, master_interval: Interval) -> Duration {
        timing::master_down_interval(master_interval, self.config.priority())
    }
}

/// What a router is, with the timers of that state and no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Disabled,
    /// The gate says why.
    Fault,
    /// Its addresses could not be had; the gate is not at fault.
    ClaimFailed {
        retry_at: Instant,
    },
    Backup(Backup),
    Master(Master),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Backup {
    wait: Wait,
    /// Active_Adver_Interval of RFC 9568 §6.1.
    master_interval: Interval,
    expiry: Expiry,
    delay: PreemptDelay,
}

impl Backup {
    fn new(now: Instant, wait: Duration, config: &Config) -> Self {
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

    /// A master that is yielded to: VR-097.
    fn hear(&mut self, now: Instant, advert: &Advert<'_>, config: &Config) {
        self.master_interval = timing::learn(config.interval(), advert.interval());
        let wait = timing::master_down_interval(self.master_interval, config.priority());
        self.wait = Wait::Until(now + wait);
        self.expiry = Expiry::Silence;
    }
}

/// What a backup waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// Master_Down_Timer.
    Until(Instant),
    /// The timer expired while the gate was held; an advert that is yielded to starts it again.
    ForGate,
}

/// What it would mean if the timer expired now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expiry {
    Silence,
    Resignation,
    LowerMaster { master: IpAddr, priority: Priority },
}

impl Expiry {
    const fn reason(self) -> Reason {
        match self {
            Self::Silence => Reason::MasterSilent,
            Self::Resignation => Reason::MasterResigned,
            Self::LowerMaster { master, priority } => Reason::Preempted { master, priority },
        }
    }
}

/// Until when a lower master is put up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PreemptDelay {
    None,
    Until(Instant),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Master {
    /// Adver_Timer.
    advertise_at: Instant,
    advertised_at: Instant,
    /// Adverts out of turn are not sent before.
    answer_from: Instant,
    /// Conflicts are not reported before.
    report_from: Instant,
    rounds: u32,
    claim: Claim,
}

impl Master {
    fn announcement(&mut self, epoch: Epoch) -> Action {
        self.rounds = self.rounds.saturating_add(1);
        Action::Announce { epoch, round: self.rounds }
    }
}

/// Whether the host has the virtual addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    Missing {
        give_up_at: Instant,
    },
    Confirmed {
        /// By the schedule: the delayed round, then the refreshes.
        next: NextRound,
        /// Out of turn.
        again: NextRound,
        announced_at: Instant,
    },
}

/// When the neighbours are told again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NextRound {
    At(Instant),
    Never,
}

impl NextRound {
    fn refresh(now: Instant, config: &Config) -> Self {
        match config.announce_refresh() {
            Duration::ZERO => Self::Never,
            refresh => Self::At(now + refresh),
        }
    }

    /// This round or that instant, whichever comes first.
    fn first(self, other: Instant) -> Instant {
        match self {
            Self::At(at) => at.min(other),
            Self::Never => other,
        }
    }

    fn is_due(self, now: Instant) -> bool {
        match self {
            Self::At(at) => now >= at,
            Self::Never => false,
        }
    }
}

/// Least time between two announcement rounds out of turn: a flood of adverts must not become a broadcast
/// storm.
const ANNOUNCE_GAP: Duration = Duration::from_secs(1);

/// The pause after failed claims grows up to 64 claim timeouts.
const MAX_DOUBLINGS: u32 = 6;

#[cfg(test)]
mod tests;
