//! Watches one router from outside and says at every event what it must do: the invariants A1 to A10, A13 and
//! A14 by name.
//!
//! It keeps a picture of its own, made from what the router was told and from the RFCs, and compares: roles,
//! timers to the nanosecond, every advert. It does not ask the router for anything but what it compares.

use std::net::IpAddr;

use lvs_core::{ClaimResult, Epoch, Instant, Role};
use lvs_vrrp::{Action, Advertised, Config, ConflictEvent, Gate, Preempt, Router, Start};

use crate::bounds::{Rules, skew};
use crate::coverage::{Cell, Coverage, Happening};
use crate::decoder::Heard;
use crate::told::{Allowance, Rivals};

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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ruling {
    /// Adver_Timer.
    advert_at: u64,
    /// If no advert was sent until then, others may be master (E8a).
    overtaken_at: u64,
    /// No answer before.
    answer_from: u64,
    /// Without addresses until then; `None` if it has them.
    give_up_at: Option<u64>,
    /// When it announced last because it was late.
    demanded_at: Option<u64>,
    /// What may still be announced, and told of conflicts: these fill up by time (A13).
    rounds: Allowance,
    reports: Allowance,
    /// The other masters that it told of.
    rivals: [Option<IpAddr>; 4],
}

/// What an input must lead to.
#[derive(Default)]
struct Expected {
    /// Everything but announcements and conflicts, in order.
    actions: Vec<Deed>,
    /// There may be announcements.
    may_announce: bool,
    /// There must be one.
    must_announce: bool,
    /// Another master that is heard.
    rival: Option<IpAddr>,
}

/// An action, as far as it is foretold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Advertise(u8),
    Claim(u64),
    Release(u64),
    Changed(Role, Role),
    WantsMaster,
}

impl Watch {
    /// The picture of a router that was just made.
    #[must_use]
    pub fn new(config: &Config, address: IpAddr, is_tie: bool) -> Self {
        Self {
            rules: Rules::of(config),
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
        let rivals = match self.stand {
            Stand::Ruling(ruling) => ruling.rivals,
            Stand::Off | Stand::Starting(_) | Stand::Faulty(_) | Stand::Listening(_) => [None; 4],
        };
        let expected = self.expect(there.as_nanos(), input);
        self.compare(there.as_nanos(), input, &expected, rivals, actions)?;
        self.look_at(there.as_nanos(), input, router)
    }

    /// Moves the picture on, and says which actions that takes.
    fn expect(&mut self, there: u64, input: Input) -> Expected {
        let mut expected = Expected::default();
        match input {
            Input::Enable => self.on_enable(there, &mut expected),
            Input::Disable => match self.stand {
                Stand::Off => {}
                Stand::Starting(_) => self.stand = Stand::Off,
                Stand::Faulty(_) | Stand::Listening(_) => self.go(Stand::Off, &mut expected),
                Stand::Ruling(_) => self.resign(Stand::Off, &mut expected),
            },
            Input::Gate(gate) => self.on_gate(there, gate, &mut expected),
            Input::Claimed(epoch, result) => self.on_claimed(there, epoch, result, &mut expected),
            // VR-066.
            Input::Advert(_) if self.rules.is_owner() && self.rules.is_deaf_as_owner => {}
            Input::Advert(heard) => match self.stand {
                // VR-115 to VR-121, first column.
                Stand::Off | Stand::Starting(_) | Stand::Faulty(_) => {}
                Stand::Listening(listening) => {
                    self.stand = Stand::Listening(self.listening_hears(listening, there, heard));
                }
                Stand::Ruling(ruling) => self.ruling_hears(ruling, there, heard, &mut expected),
            },
            Input::Timeout => self.on_timeout(there, &mut expected),
            Input::Configured(config) => self.on_configured(there, &config, &mut expected),
            Input::Address(address) => self.address = address,
        }
        expected
    }

    fn on_enable(&mut self, there: u64, expected: &mut Expected) {
        match self.stand {
            Stand::Off if self.rules.start_delay > 0 => {
                self.stand = Stand::Starting(there + self.rules.start_delay);
            }
            Stand::Off => self.start_up(there, expected),
            Stand::Starting(_) | Stand::Faulty(_) | Stand::Listening(_) | Stand::Ruling(_) => {}
        }
    }

    /// VR-110, VR-111.
    fn start_up(&mut self, there: u64, expected: &mut Expected) {
        if let Gate::Fault(_) = self.gate {
            self.go(Stand::Faulty(None), expected);
            return;
        }
        let wait = match self.start {
            Start::Backup => self.rules.down(self.rules.interval),
            // One interval and the skew of priority 254.
            Start::Master => self.rules.interval + skew(self.rules.version, self.rules.interval, 254),
        };
        self.take_part(there, wait, expected);
    }

    fn on_gate(&mut self, there: u64, gate: Gate, expected: &mut Expected) {
        self.gate = gate;
        match (self.stand, gate) {
            (Stand::Off | Stand::Starting(_), _)
            | (Stand::Faulty(None), Gate::Fault(_))
            | (Stand::Faulty(Some(_)), Gate::Open | Gate::Held)
            | (Stand::Listening(_), Gate::Held)
            | (Stand::Ruling(_), Gate::Open) => {}
            (Stand::Faulty(Some(_)), Gate::Fault(_)) => self.stand = Stand::Faulty(None),
            // VR-126.
            (Stand::Faulty(None), Gate::Open | Gate::Held) => {
                self.take_part(there, self.rules.down(self.rules.interval), expected);
            }
            (Stand::Listening(listening), Gate::Open) => {
                if listening.down_at.is_none() {
                    self.rule(there, expected);
                }
            }
            (Stand::Listening(_), Gate::Fault(_)) => self.go(Stand::Faulty(None), expected),
            // VR-127.
            (Stand::Ruling(_), Gate::Held) => {
                let listening = self.listening(there, self.rules.down(self.rules.interval));
                self.resign(Stand::Listening(listening), expected);
            }
            // VR-125.
            (Stand::Ruling(_), Gate::Fault(_)) => self.resign(Stand::Faulty(None), expected),
        }
    }

    fn on_claimed(&mut self, there: u64, epoch: Epoch, result: ClaimResult, expected: &mut Expected) {
        let Stand::Ruling(ruling) = &mut self.stand else { return };
        if epoch.value() != self.epoch {
            return;
        }
        match (result, ruling.give_up_at) {
            (ClaimResult::Confirmed, Some(_)) => {
                self.given_up = 0;
                ruling.give_up_at = None;
                ruling.demanded_at = None;
                // The first round and the delayed one.
                ruling.rounds.grant(2);
                expected.may_announce = true;
            }
            (ClaimResult::Missing, None) => ruling.give_up_at = Some(there + self.rules.claim_timeout),
            (ClaimResult::Confirmed, None) | (ClaimResult::Missing, Some(_)) => {}
        }
    }

    fn listening_hears(&self, mut listening: Listening, there: u64, heard: Heard) -> Listening {
        // VR-115, VR-100.
        if heard.priority == 0 {
            if listening.down_at.is_some() {
                listening.down_at = Some(there + self.rules.skew(listening.gone_by));
            }
            return listening;
        }
        if heard.priority < self.rules.priority {
            match self.rules.preempt {
                // VR-120; an owner takes over whatever the flag says (RFC 9568 §6.1).
                Preempt::Always => return listening,
                Preempt::Never | Preempt::After(_) if self.rules.is_owner() => return listening,
                // VR-121.
                Preempt::Never => {}
                // VR-129.
                Preempt::After(delay) => {
                    let delay = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
                    let until = *listening.patient_until.get_or_insert(there.saturating_add(delay));
                    if there >= until {
                        return listening;
                    }
                }
            }
        } else {
            listening.patient_until = None;
        }
        self.yield_to(&mut listening, there, heard);
        listening
    }

    /// VR-097.
    fn yield_to(&self, listening: &mut Listening, there: u64, heard: Heard) {
        listening.gone_by = match self.rules.version {
            lvs_vrrp::Version::V2 => self.rules.interval,
            lvs_vrrp::Version::V3 => heard.interval,
        };
        listening.down_at = Some(there + self.rules.down(listening.gone_by));
    }

    fn ruling_hears(&mut self, mut ruling: Ruling, there: u64, heard: Heard, expected: &mut Expected) {
        let is_due = there >= ruling.advert_at;
        if heard.priority == 0 {
            // VR-115; what is due anyway is the answer, and one that would come too soon waits its turn (A7).
            if is_due {
            } else if there >= ruling.answer_from {
                self.answer(&mut ruling, there, expected);
                ruling.advert_at = there + self.rules.interval;
            } else if ruling.advert_at > ruling.answer_from {
                ruling.advert_at = ruling.answer_from;
                ruling.answer_from += self.rules.interval / 10;
            }
            self.stand = Stand::Ruling(ruling);
            return;
        }
        let (theirs, ours) = ((heard.priority, heard.source), (self.rules.priority, self.address));
        if theirs > ours {
            // A5, VR-116, VR-117.
            if self.rules.sends_before_yielding {
                expected.actions.push(Deed::Advertise(self.rules.priority));
            }
            let mut listening = Listening { down_at: None, gone_by: 0, patient_until: None };
            self.yield_to(&mut listening, there, heard);
            self.step_down(listening, expected);
            return;
        }
        if self.rules.yields_when_late && there >= ruling.overtaken_at {
            let listening = self.listening(there, self.rules.down(self.rules.interval));
            let listening = self.listening_hears(listening, there, heard);
            self.step_down(listening, expected);
            return;
        }
        if theirs < ours {
            // VR-118, VR-120, A7.
            if !is_due && there >= ruling.answer_from && !self.rules.is_silent_to_losers {
                self.answer(&mut ruling, there, expected);
            }
            expected.may_announce = true;
        }
        expected.rival = Some(heard.source);
        self.stand = Stand::Ruling(ruling);
    }

    /// A7: the next one not before a tenth of the interval.
    fn answer(&self, ruling: &mut Ruling, there: u64, expected: &mut Expected) {
        expected.actions.push(Deed::Advertise(self.rules.priority));
        ruling.answer_from = there + self.rules.interval / 10;
        ruling.overtaken_at = there + self.rules.missed(self.rules.interval);
    }

    fn step_down(&mut self, listening: Listening, expected: &mut Expected) {
        expected.actions.push(Deed::Release(self.epoch));
        self.go(Stand::Listening(listening), expected);
    }

    fn on_timeout(&mut self, there: u64, expected: &mut Expected) {
        match self.stand {
            Stand::Off | Stand::Faulty(None) => {}
            Stand::Starting(at) => {
                if there >= at {
                    self.start_up(there, expected);
                }
            }
            Stand::Faulty(Some(retry_at)) => {
                if there >= retry_at {
                    self.take_part(there, self.rules.down(self.rules.interval), expected);
                }
            }
            Stand::Listening(mut listening) => {
                // VR-113, A6: not a nanosecond sooner.
                if listening.down_at.is_some_and(|down_at| there >= down_at) {
                    if self.gate == Gate::Held {
                        listening.down_at = None;
                        self.stand = Stand::Listening(listening);
                        expected.actions.push(Deed::WantsMaster);
                    } else {
                        self.rule(there, expected);
                    }
                }
            }
            Stand::Ruling(ruling) => self.ruling_expires(ruling, there, expected),
        }
    }

    fn ruling_expires(&mut self, mut ruling: Ruling, there: u64, expected: &mut Expected) {
        let is_late = there >= ruling.overtaken_at;
        if is_late && self.rules.yields_when_late {
            let listening = self.listening(there, self.rules.down(self.rules.interval));
            self.step_down(listening, expected);
            return;
        }
        match &mut ruling.give_up_at {
            // Who puts the addresses there was not run either.
            Some(give_up_at) if is_late => *give_up_at = there + self.rules.claim_timeout,
            Some(give_up_at) if there >= *give_up_at => {
                let pause = self.rules.claim_timeout << self.given_up.min(6);
                self.given_up = self.given_up.saturating_add(1);
                self.resign(Stand::Faulty(Some(there + pause)), expected);
                return;
            }
            Some(_) | None => {}
        }
        expected.may_announce = true;
        // VR-114, VR-101, VR-103: late or not, one advert, and the period goes on.
        if there >= ruling.advert_at {
            expected.actions.push(Deed::Advertise(self.rules.priority));
            // E8a, VR-163.
            // On a machine that is late again and again once per second is enough.
            let is_again = ruling.demanded_at.is_some_and(|at| there - at < SECOND);
            expected.must_announce = is_late && ruling.give_up_at.is_none() && !is_again;
            if expected.must_announce {
                ruling.demanded_at = Some(there);
                ruling.rounds.grant(1);
            }
            ruling.overtaken_at = there + self.rules.missed(self.rules.interval);
            ruling.advert_at += self.rules.interval;
            if ruling.advert_at <= there {
                ruling.advert_at = there + self.rules.interval;
            }
        }
        self.stand = Stand::Ruling(ruling);
    }

    fn on_configured(&mut self, there: u64, config: &Config, expected: &mut Expected) {
        let before = std::mem::replace(&mut self.rules, Rules::of(config));
        self.start = config.start();
        let is_new = before.interval != self.rules.interval;
        match &mut self.stand {
            Stand::Off | Stand::Starting(_) | Stand::Faulty(_) => {}
            Stand::Listening(listening) => {
                if is_new && self.rules.version == lvs_vrrp::Version::V2 {
                    listening.gone_by = self.rules.interval;
                    listening.down_at = Some(there + self.rules.down(self.rules.interval));
                }
                if !matches!(self.rules.preempt, Preempt::After(_)) {
                    listening.patient_until = None;
                }
            }
            // E14.
            Stand::Ruling(ruling) => {
                if is_new && there < ruling.advert_at {
                    expected.actions.push(Deed::Advertise(self.rules.priority));
                    ruling.overtaken_at = there + self.rules.missed(self.rules.interval);
                    ruling.advert_at = there + self.rules.interval;
                }
            }
        }
    }

    fn take_part(&mut self, there: u64, wait: u64, expected: &mut Expected) {
        let mut listening = self.listening(there, wait);
        match (self.rules.is_owner(), self.gate) {
            (false, _) => self.go(Stand::Listening(listening), expected),
            // VR-110.
            (true, Gate::Open) => self.rule(there, expected),
            (true, Gate::Held | Gate::Fault(_)) => {
                listening.down_at = None;
                self.go(Stand::Listening(listening), expected);
                expected.actions.push(Deed::WantsMaster);
            }
        }
    }

    fn listening(&self, there: u64, wait: u64) -> Listening {
        let patient_until = match self.rules.preempt {
            Preempt::Always | Preempt::Never => None,
            Preempt::After(delay) => {
                Some(there.saturating_add(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX)))
            }
        };
        Listening { down_at: Some(there + wait), gone_by: self.rules.interval, patient_until }
    }

    fn rule(&mut self, there: u64, expected: &mut Expected) {
        self.epoch += 1;
        // VR-009: the advert is first.
        expected.actions.push(Deed::Advertise(self.rules.priority));
        expected.actions.push(Deed::Claim(self.epoch));
        let ruling = Ruling {
            advert_at: there + self.rules.interval,
            overtaken_at: there + self.rules.missed(self.rules.interval),
            answer_from: 0,
            demanded_at: None,
            give_up_at: Some(there + self.rules.claim_timeout),
            rounds: Allowance::new(there, 1),
            reports: Allowance::new(there, REPORTS),
            rivals: [None; 4],
        };
        self.go(Stand::Ruling(ruling), expected);
    }

    /// A3: priority 0, once, and nothing after it.
    fn resign(&mut self, stand: Stand, expected: &mut Expected) {
        expected.actions.push(Deed::Advertise(0));
        expected.actions.push(Deed::Release(self.epoch));
        self.go(stand, expected);
    }

    fn go(&mut self, stand: Stand, expected: &mut Expected) {
        let from = self.role();
        self.stand = stand;
        expected.actions.push(Deed::Changed(from, self.role()));
    }

    fn role(&self) -> Role {
        match self.stand {
            Stand::Off | Stand::Starting(_) => Role::Initialize,
            Stand::Faulty(_) => Role::Fault,
            Stand::Listening(_) => Role::Backup,
            Stand::Ruling(_) => Role::Master,
        }
    }

    fn compare(
        &mut self,
        there: u64,
        input: Input,
        expected: &Expected,
        rivals: [Option<IpAddr>; 4],
        actions: &[Action],
    ) -> Result<(), Violation> {
        let mut awaited = expected.actions.iter();
        let mut announced = 0;
        let mut rivals = Rivals(rivals);
        for action in actions {
            let deed = match *action {
                Action::Advertise(Advertised::Running(priority)) => Deed::Advertise(priority.get()),
                Action::Advertise(Advertised::Resigning) => Deed::Advertise(0),
                Action::Claim { epoch } => Deed::Claim(epoch.value()),
                Action::Release { epoch } => Deed::Release(epoch.value()),
                Action::Changed(transition) => Deed::Changed(transition.from, transition.to),
                Action::WantsMaster => Deed::WantsMaster,
                Action::Announce { epoch, packets } => {
                    announced += 1;
                    self.check_announcement(there, epoch, packets, expected)?;
                    continue;
                }
                Action::Conflict(event) => {
                    rivals.note(event)?;
                    self.check_report(there, event)?;
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
        if expected.must_announce && announced == 0 {
            let what = format!("{input:?} led to {actions:?} without an announcement");
            return Err(Violation { rule: "E8a", what });
        }
        if announced > 1 {
            let what = format!("{input:?} led to {actions:?}: two rounds at once");
            return Err(Violation { rule: "A13", what });
        }
        // VR-252: every other master is told of, up to four; and of none once it is over.
        let is_told = expected.rival.is_none_or(|rival| rivals.is_full() || rivals.has(rival));
        match &mut self.stand {
            Stand::Ruling(ruling) if is_told => ruling.rivals = rivals.0,
            Stand::Off | Stand::Starting(_) | Stand::Faulty(_) | Stand::Listening(_) if rivals.is_empty() => {
            }
            _ => {
                let what = format!("{input:?} led to {actions:?} with the rivals {rivals:?}");
                return Err(Violation { rule: "VR-252", what });
            }
        }
        Ok(())
    }

    /// A3 and A13.
    fn check_announcement(
        &mut self,
        there: u64,
        epoch: Epoch,
        packets: u8,
        expected: &Expected,
    ) -> Result<(), Violation> {
        // By the schedule at most one per refresh; two kinds of rounds that others cause, each once per second.
        let per_second =
            2 + SECOND.checked_div(self.rules.refresh).unwrap_or(0) + u64::from(self.rules.refresh > 0);
        let Stand::Ruling(ruling) = &mut self.stand else {
            return Err(Violation { rule: "A3", what: "announced without being master".to_owned() });
        };
        let has_addresses = ruling.give_up_at.is_none();
        if !has_addresses || !expected.may_announce || epoch.value() != self.epoch || packets == 0 {
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

    /// A1, A2 and A14: what the router is now, and what it waits for.
    fn look_at(&self, there: u64, input: Input, router: &Router) -> Result<(), Violation> {
        if router.role() != self.role() {
            let what = format!("is {}, must be {:?}", router.role(), self.stand);
            return Err(Violation { rule: "A1", what });
        }
        let timer = router.poll_timeout().map(Instant::as_nanos);
        let is_right = match self.stand {
            Stand::Off | Stand::Faulty(None) => timer.is_none(),
            Stand::Starting(at) => timer == Some(at),
            Stand::Faulty(retry_at) => timer == retry_at,
            Stand::Listening(listening) => timer == listening.down_at,
            // There may be an announcement or the end of a conflict before; after the time was told nothing is overdue.
            Stand::Ruling(ruling) => {
                let last = ruling.give_up_at.unwrap_or(u64::MAX).min(ruling.advert_at);
                timer.is_some_and(|timer| {
                    timer == last || (timer < last && (timer > there || !matches!(input, Input::Timeout)))
                })
            }
        };
        if !is_right {
            let what = format!("waits for {timer:?}, must be {:?}", self.stand);
            return Err(Violation { rule: "A2", what });
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
            Input::Configured(config) if Rules::of(&config).interval != self.rules.interval => {
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
        Deed::Changed(Role::Backup, Role::Master) => "A6",
        Deed::Changed(Role::Master, Role::Backup) => "A5",
        Deed::Changed(..) | Deed::WantsMaster => "A1",
    }
}

const SECOND: u64 = 1_000_000_000;

/// Events of conflicts per second, and at once.
const REPORTS: u64 = 12;
