//! Watches one router from outside and says at every event what it must do: the invariants A1 to A10, A13 and
//! A14 by name.
//!
//! It keeps a picture of its own, made from what the router was told and from the RFCs, and compares: roles and the
//! reasons for their changes, timers to the nanosecond, every advert, every round of announcements, every word on
//! other masters. It does not ask the router for anything but what it compares.

mod expect;
mod rivals;
mod rounds;

use std::net::IpAddr;

use lvs_core::{ClaimResult, Epoch, Instant, Role};
use lvs_vrrp::{Action, Advertised, Config, ConflictEvent, Gate, Preempt, Reason, Router, Start};

use crate::bounds::{Given, Rules};
use crate::coverage::{Cell, Coverage, Happening};
use crate::decoder::Heard;
use crate::observer::expect::{Deed, Expected};
use crate::observer::rivals::{Rivals, Told};
use crate::observer::rounds::Rounds;
use crate::options::priority;
use crate::told::Allowance;

/// Something happened that must not: the letter or number of the rule, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// A1 to A14, E1 to E20.
    pub rule: &'static str,
    /// What was seen and what was expected.
    pub what: String,
}

/// What a router was told.
#[derive(Clone, Copy, Debug)]
pub enum Input {
    /// To take part.
    Enable,
    /// To stop.
    Disable,
    /// The gate.
    Gate(Gate),
    /// The applier's word.
    Claimed(Epoch, ClaimResult),
    /// An advert that it may believe.
    Advert(Heard),
    /// The time.
    Timeout,
    /// Another configuration.
    Configured(Config),
    /// Another address.
    Address(IpAddr),
}

/// The picture of one router.
#[derive(Clone, Debug)]
pub struct Watch {
    given: Given,
    rules: Rules,
    start: Start,
    address: IpAddr,
    gate: Gate,
    stand: Stand,
    epoch: u64,
    /// Claims that were given up since one succeeded.
    given_up: u32,
    is_tie: bool,
}

/// What the router must be. Times are its own, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // There is one per router.
enum Stand {
    Off,
    /// Enabled, and out until then.
    Starting(u64),
    /// At fault; with the time of the next attempt if it was for its addresses.
    Faulty(Option<u64>),
    Listening(Listening),
    Ruling(Ruling),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Listening {
    /// Down_Timer; `None` if it expired while the gate was held.
    down_at: Option<u64>,
    /// Active_Adver_Interval.
    gone_by: u64,
    /// A lower master is put up with until then.
    patient_until: Option<u64>,
    /// Why it would be master if the timer fired now.
    cause: Cause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Silent,
    Resigned,
    /// The master has this address and this lower priority.
    Lower(IpAddr, u8),
}

impl Cause {
    fn reason(self) -> Reason {
        match self {
            Self::Silent => Reason::MasterSilent,
            Self::Resigned => Reason::MasterResigned,
            Self::Lower(master, number) => Reason::Preempted { master, priority: priority(number) },
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ruling {
    /// Adver_Timer.
    advert_at: u64,
    /// If no advert was sent until then, others may be master (E8a).
    overtaken_at: u64,
    /// No answer before.
    answer_from: u64,
    addresses: Addresses,
    /// What may still be announced, and told of conflicts: these fill up by time (A13).
    rounds: Allowance,
    reports: Allowance,
    /// The other masters that it told of.
    rivals: Rivals,
}

/// Whether the host has the virtual addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Addresses {
    Missing { give_up_at: u64, last_round: Option<u64> },
    There(Rounds),
}

impl Watch {
    /// The picture of a router that was just made.
    #[must_use]
    pub fn new(config: &Config, given: Given, address: IpAddr, is_tie: bool) -> Self {
        Self {
            given,
            rules: Rules::of(config, &given),
            start: config.start(),
            address,
            gate: Gate::Open,
            stand: Stand::Off,
            epoch: 0,
            given_up: 0,
            is_tie,
        }
    }

    /// What the router is configured to do now.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Whether it must be master now.
    #[must_use]
    pub fn is_master(&self) -> bool {
        matches!(self.stand, Stand::Ruling(_))
    }

    /// The interval that it must go by now, in nanoseconds.
    #[must_use]
    pub fn gone_by(&self) -> u64 {
        match self.stand {
            Stand::Listening(listening) => listening.gone_by,
            Stand::Off | Stand::Starting(_) | Stand::Faulty(_) | Stand::Ruling(_) => self.rules.interval,
        }
    }

    /// When it takes part, after a start delay or a failed claim, on its own clock.
    #[must_use]
    pub fn retries_at(&self) -> Option<Instant> {
        match self.stand {
            Stand::Faulty(retry) => retry.map(Instant::from_nanos),
            Stand::Starting(at) => Some(Instant::from_nanos(at)),
            Stand::Off | Stand::Listening(_) | Stand::Ruling(_) => None,
        }
    }

    /// Compares what the router did and is now with what it must, at this time of its own clock.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn judge(
        &mut self,
        there: Instant,
        input: Input,
        actions: &[Action],
        router: &Router,
        coverage: &mut Coverage,
    ) -> Result<(), Violation> {
        self.cover(there.as_nanos(), input, coverage);
        let expected = self.expect(there.as_nanos(), input);
        self.compare(there.as_nanos(), input, &expected, actions)?;
        self.look_at(router)
    }

    fn compare(
        &mut self,
        there: u64,
        input: Input,
        expected: &Expected,
        actions: &[Action],
    ) -> Result<(), Violation> {
        let mut awaited = expected.actions.iter();
        let mut told = expected.told.iter();
        let mut announced = None;
        for action in actions {
            let deed = match *action {
                Action::Advertise(Advertised::Running(priority)) => Deed::Advertise(priority.get()),
                Action::Advertise(Advertised::Resigning) => Deed::Advertise(0),
                Action::Claim { epoch } => Deed::Claim(epoch.value()),
                Action::Release { epoch } => Deed::Release(epoch.value()),
                Action::Changed(change) => Deed::Changed(
                    change.from,
                    change.to,
                    change.reason,
                    change.priority.get(),
                    change.epoch.value(),
                ),
                Action::WantsMaster => Deed::WantsMaster,
                Action::Announce { epoch, packets } => {
                    if announced.replace(packets).is_some() {
                        let what = format!("{input:?} led to {actions:?}: two rounds at once");
                        return Err(Violation { rule: "A13", what });
                    }
                    self.check_announcement(there, epoch, packets)?;
                    continue;
                }
                Action::Conflict(event) => {
                    self.check_report(there, event)?;
                    let (said, expected) = (Told::of(event), told.next());
                    if expected != Some(&said) {
                        let what = format!("{input:?} led to {actions:?}: expected {expected:?}");
                        return Err(Violation { rule: "VR-252", what });
                    }
                    continue;
                }
            };
            if awaited.next() != Some(&deed) {
                let what = format!(
                    "{input:?} led to {actions:?}, expected {:?}; now it must be {:?}",
                    expected.actions, self.stand
                );
                return Err(Violation { rule: rule_of(deed), what });
            }
        }
        if let Some(missing) = awaited.next() {
            let what = format!("{input:?} led to {actions:?}, which lacks {missing:?}");
            return Err(Violation { rule: rule_of(*missing), what });
        }
        if let Some(missing) = told.next() {
            let what = format!("{input:?} led to {actions:?}, which lacks {missing:?}");
            return Err(Violation { rule: "VR-252", what });
        }
        if announced != expected.announced {
            let Expected { announced, is_demanded, .. } = expected;
            let what =
                format!("{input:?} led to {actions:?}, expected {announced:?} packets: {:?}", self.stand);
            return Err(Violation { rule: if *is_demanded { "E8a" } else { "VR-158" }, what });
        }
        Ok(())
    }

    /// A3 and A13.
    fn check_announcement(&mut self, there: u64, epoch: Epoch, packets: u8) -> Result<(), Violation> {
        // By the schedule at most one per refresh; two kinds of rounds that others cause, each once per second.
        let per_second =
            2 + SECOND.checked_div(self.rules.refresh).unwrap_or(0) + u64::from(self.rules.refresh > 0);
        let Stand::Ruling(ruling) = &mut self.stand else {
            return Err(Violation { rule: "A3", what: "announced without being master".to_owned() });
        };
        let has_addresses = matches!(ruling.addresses, Addresses::There(_));
        if !has_addresses || epoch.value() != self.epoch || packets == 0 {
            let what = format!("{packets} packets of {epoch} were announced as {ruling:?}, out of place");
            return Err(Violation { rule: "A3", what });
        }
        if !ruling.rounds.take(there, per_second, 8) {
            let what = format!("too many rounds are announced: {ruling:?}");
            return Err(Violation { rule: "A13", what });
        }
        Ok(())
    }

    /// A13: at most twelve events per second can be caused from outside.
    fn check_report(&mut self, there: u64, event: ConflictEvent) -> Result<(), Violation> {
        if let Stand::Ruling(ruling) = &mut self.stand
            && !ruling.reports.take(there, REPORTS, REPORTS)
        {
            return Err(Violation { rule: "A13", what: format!("too much is told: {event:?}") });
        }
        Ok(())
    }

    /// A1, A2 and A14: what the router is now, what it waits for, and what it says of others.
    fn look_at(&self, router: &Router) -> Result<(), Violation> {
        if router.role() != self.role() {
            let what = format!("is {}, must be {:?}", router.role(), self.stand);
            return Err(Violation { rule: "A1", what });
        }
        let timer = router.poll_timeout().map(Instant::as_nanos);
        let (awaited, rivals) = match &self.stand {
            Stand::Off | Stand::Faulty(None) => (None, Rivals::default()),
            Stand::Starting(at) | Stand::Faulty(Some(at)) => (Some(*at), Rivals::default()),
            Stand::Listening(listening) => (listening.down_at, Rivals::default()),
            Stand::Ruling(ruling) => {
                let addresses = match &ruling.addresses {
                    Addresses::Missing { give_up_at, .. } => Some(*give_up_at),
                    Addresses::There(rounds) => rounds.next(),
                };
                let awaited = [Some(ruling.advert_at), addresses, ruling.rivals.next()];
                (awaited.into_iter().flatten().min(), ruling.rivals)
            }
        };
        if timer != awaited {
            let what = format!("waits for {timer:?} instead of {awaited:?}, must be {:?}", self.stand);
            return Err(Violation { rule: "A2", what });
        }
        if !rivals.are(router.conflicts()) {
            let what = format!("knows of {:?}, must be {rivals:?}", router.conflicts().collect::<Vec<_>>());
            return Err(Violation { rule: "VR-252", what });
        }
        let learnt = router.master_interval().duration().as_nanos();
        if learnt != u128::from(self.gone_by()) {
            let what = format!("goes by {learnt} ns, must be {:?}", self.stand);
            return Err(Violation { rule: "A14", what });
        }
        Ok(())
    }

    fn cover(&self, there: u64, input: Input, coverage: &mut Coverage) {
        let is_due = |at: u64| there >= at;
        let happening = match input {
            Input::Enable if self.rules.is_owner() => Happening::StartOfOwner,
            Input::Enable => Happening::Start,
            Input::Disable => Happening::Stop,
            Input::Gate(Gate::Fault(_)) => Happening::Fault,
            Input::Gate(Gate::Held) => Happening::Held,
            Input::Gate(Gate::Open) => Happening::Open,
            Input::Claimed(_, ClaimResult::Confirmed) => Happening::Claimed,
            Input::Claimed(_, ClaimResult::Missing) => Happening::Unclaimed,
            Input::Timeout => match self.stand {
                Stand::Listening(Listening { down_at: Some(at), .. }) if is_due(at) => Happening::Timer,
                Stand::Ruling(ruling) if is_due(ruling.advert_at) => Happening::Timer,
                Stand::Faulty(Some(at)) if is_due(at) => Happening::Timer,
                Stand::Starting(at) if is_due(at) => Happening::Timer,
                Stand::Off
                | Stand::Starting(_)
                | Stand::Faulty(_)
                | Stand::Listening(_)
                | Stand::Ruling(_) => return,
            },
            Input::Advert(heard) => match (heard.priority, heard.priority.cmp(&self.rules.priority)) {
                (0, _) => Happening::Resignation,
                (_, std::cmp::Ordering::Less) => Happening::Lower,
                (_, std::cmp::Ordering::Greater) => Happening::Higher,
                (_, std::cmp::Ordering::Equal) => match heard.source.cmp(&self.address) {
                    std::cmp::Ordering::Less => Happening::EqualLower,
                    std::cmp::Ordering::Equal => Happening::EqualSame,
                    std::cmp::Ordering::Greater => Happening::EqualHigher,
                },
            },
            Input::Configured(config) if Rules::of(&config, &self.given).interval != self.rules.interval => {
                Happening::Interval
            }
            Input::Configured(_) => Happening::Priority,
            Input::Address(_) => Happening::Address,
        };
        self.cover_happening(happening, coverage);
    }

    /// A packet was refused; the router heard nothing of it.
    pub fn cover_happening(&self, happening: Happening, coverage: &mut Coverage) {
        coverage.visit(Cell {
            happening,
            role: self.role(),
            version: self.rules.version,
            preempts: self.rules.preempt != Preempt::Never,
            is_tie: self.is_tie,
        });
    }
}

/// Which rule is about such an action.
fn rule_of(deed: Deed) -> &'static str {
    match deed {
        Deed::Advertise(0) => "A3",
        Deed::Advertise(_) => "A7",
        Deed::Claim(_) | Deed::Release(_) => "A4",
        Deed::Changed(Role::Backup, Role::Master, ..) => "A6",
        Deed::Changed(Role::Master, Role::Backup, ..) => "A5",
        Deed::Changed(..) | Deed::WantsMaster => "A1",
    }
}

const SECOND: u64 = 1_000_000_000;

/// Events of conflicts per second, and at once.
const REPORTS: u64 = 12;
