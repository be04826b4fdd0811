//! Watches one router from outside and says at every event what it must do: the invariants A1 to A10, A13 and
//! A14 by name.
//!
//! It keeps a picture of its own, made from what the router was told and from the RFCs, and compares: roles,
//! timers to the nanosecond, every advert. It does not ask the router for anything but what it compares.

use std::net::IpAddr;

use lvs_core::{ClaimResult, Epoch, Instant, Role};
use lvs_vrrp::{Action, Advertised, Config, Gate, Preempt, Router, Start};

use crate::bounds::Rules;
use crate::coverage::{Cell, Coverage, Happening};
use crate::decoder::Heard;

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
    since: u64,
    /// Adver_Timer.
    advert_at: u64,
    /// When the last advert was sent.
    sent_at: u64,
    /// No answer before.
    answer_from: u64,
    /// No report of a conflict before.
    report_from: u64,
    /// Without addresses until then; `None` if it has them.
    give_up_at: Option<u64>,
    rounds: u32,
    /// When the last round was.
    announced_at: u64,
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
    may_report: bool,
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
            Stand::Off | Stand::Faulty(_) | Stand::Ruling(_) => self.rules.interval,
        }
    }

    /// When it tries again to take part after a failed claim, on its own clock.
    #[must_use]
    pub fn retries_at(&self) -> Option<Instant> {
        match self.stand {
            Stand::Faulty(retry) => retry.map(Instant::from_nanos),
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
        self.look_at(there.as_nanos(), input, router)
    }

    /// Moves the picture on, and says which actions that takes.
    fn expect(&mut self, there: u64, input: Input) -> Expected {
        let mut expected = Expected::default();
        match input {
            Input::Enable => self.on_enable(there, &mut expected),
            Input::Disable => match self.stand {
                Stand::Off => {}
                Stand::Faulty(_) | Stand::Listening(_) => self.go(Stand::Off, &mut expected),
                Stand::Ruling(_) => self.resign(Stand::Off, &mut expected),
            },
            Input::Gate(gate) => self.on_gate(there, gate, &mut expected),
            Input::Claimed(epoch, result) => self.on_claimed(there, epoch, result, &mut expected),
            Input::Advert(heard) => match self.stand {
                // VR-115 to VR-121, first column.
                Stand::Off | Stand::Faulty(_) => {}
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
        match (self.stand, self.gate) {
            (Stand::Off, Gate::Open | Gate::Held) => {
                let wait = match self.start {
                    Start::Backup => self.rules.down(self.rules.interval),
                    // One interval and the skew of priority 254.
                    Start::Master => {
                        let skew = crate::bounds::skew(self.rules.version, self.rules.interval, 254);
                        self.rules.interval + skew
                    }
                };
                self.take_part(there, wait, expected);
            }
            (Stand::Off, Gate::Fault(_)) => self.go(Stand::Faulty(None), expected),
            (Stand::Faulty(_) | Stand::Listening(_) | Stand::Ruling(_), _) => {}
        }
    }

    fn on_gate(&mut self, there: u64, gate: Gate, expected: &mut Expected) {
        self.gate = gate;
        match (self.stand, gate) {
            (Stand::Off, _)
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
                expected.must_announce = true;
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
        let tenth = self.rules.interval / 10;
        if heard.priority == 0 {
            // VR-115; what is due anyway is the answer, and one that would come too soon waits its turn (A7).
            if is_due {
            } else if there >= ruling.answer_from {
                expected.actions.push(Deed::Advertise(self.rules.priority));
                ruling.answer_from = there + tenth;
                ruling.sent_at = there;
                ruling.advert_at = there + self.rules.interval;
            } else if ruling.advert_at > ruling.answer_from {
                ruling.advert_at = ruling.answer_from;
                ruling.answer_from += tenth;
            }
            self.stand = Stand::Ruling(ruling);
            return;
        }
        let (theirs, ours) = ((heard.priority, heard.source), (self.rules.priority, self.address));
        if theirs > ours {
            // A5, VR-116, VR-117.
            let mut listening = Listening { down_at: None, gone_by: 0, patient_until: None };
            self.yield_to(&mut listening, there, heard);
            expected.actions.push(Deed::Release(self.epoch));
            self.go(Stand::Listening(listening), expected);
            return;
        }
        if theirs < ours {
            // VR-118, VR-120, A7.
            if !is_due && there >= ruling.answer_from {
                expected.actions.push(Deed::Advertise(self.rules.priority));
                ruling.answer_from = there + tenth;
                ruling.sent_at = there;
            }
            expected.may_announce = true;
        }
        if there >= ruling.report_from {
            expected.may_report = true;
            ruling.report_from = there + self.rules.down(self.rules.interval);
        }
        self.stand = Stand::Ruling(ruling);
    }

    fn on_timeout(&mut self, there: u64, expected: &mut Expected) {
        match self.stand {
            Stand::Off | Stand::Faulty(None) => {}
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
            Stand::Ruling(mut ruling) => {
                if ruling.give_up_at.is_some_and(|give_up_at| there >= give_up_at) {
                    let pause = self.rules.claim_timeout << self.given_up.min(6);
                    self.given_up = self.given_up.saturating_add(1);
                    self.resign(Stand::Faulty(Some(there + pause)), expected);
                    return;
                }
                expected.may_announce = true;
                // VR-114, VR-101, VR-103: late or not, one advert, and the period goes on.
                if there >= ruling.advert_at {
                    expected.actions.push(Deed::Advertise(self.rules.priority));
                    // E8a, VR-163.
                    let gap = there.saturating_sub(ruling.sent_at);
                    expected.must_announce = ruling.give_up_at.is_none() && gap >= 3 * self.rules.interval;
                    ruling.sent_at = there;
                    ruling.advert_at += self.rules.interval;
                    if ruling.advert_at <= there {
                        ruling.advert_at = there + self.rules.interval;
                    }
                }
                self.stand = Stand::Ruling(ruling);
            }
        }
    }

    fn on_configured(&mut self, there: u64, config: &Config, expected: &mut Expected) {
        let before = std::mem::replace(&mut self.rules, Rules::of(config));
        self.start = config.start();
        let is_new = before.interval != self.rules.interval;
        match &mut self.stand {
            Stand::Off | Stand::Faulty(_) => {}
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
                if is_new {
                    expected.actions.push(Deed::Advertise(self.rules.priority));
                    ruling.sent_at = there;
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
            since: there,
            advert_at: there + self.rules.interval,
            sent_at: there,
            answer_from: 0,
            report_from: 0,
            give_up_at: Some(there + self.rules.claim_timeout),
            rounds: 0,
            announced_at: 0,
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
            Stand::Off => Role::Initialize,
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
        actions: &[Action],
    ) -> Result<(), Violation> {
        let mut awaited = expected.actions.iter();
        let (mut announced, mut reported) = (0, 0);
        for action in actions {
            let deed = match *action {
                Action::Advertise(Advertised::Running(priority)) => Deed::Advertise(priority.get()),
                Action::Advertise(Advertised::Resigning) => Deed::Advertise(0),
                Action::Claim { epoch } => Deed::Claim(epoch.value()),
                Action::Release { epoch } => Deed::Release(epoch.value()),
                Action::Changed(transition) => Deed::Changed(transition.from, transition.to),
                Action::WantsMaster => Deed::WantsMaster,
                Action::Announce { epoch, round } => {
                    announced += 1;
                    self.check_announcement(there, epoch, round, expected)?;
                    continue;
                }
                Action::Conflict(_) => {
                    reported += 1;
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
        // A13.
        if announced > 1 || reported > u32::from(expected.may_report) {
            let what = format!("{input:?} led to {actions:?}: too much is said");
            return Err(Violation { rule: "A13", what });
        }
        Ok(())
    }

    fn check_announcement(
        &mut self,
        there: u64,
        epoch: Epoch,
        round: u32,
        expected: &Expected,
    ) -> Result<(), Violation> {
        let rules = self.rules;
        let Stand::Ruling(ruling) = &mut self.stand else {
            return Err(Violation { rule: "A3", what: "announced without being master".to_owned() });
        };
        let has_addresses = ruling.give_up_at.is_none();
        ruling.rounds += 1;
        if !has_addresses || !expected.may_announce || epoch.value() != self.epoch || round != ruling.rounds {
            let what = format!("round {round} of {epoch} was announced as {ruling:?}, out of place");
            return Err(Violation { rule: "A3", what });
        }
        // A13: the first rounds and those after gaps apart, one per second and one per refresh.
        let passed = there - ruling.since;
        let refreshes = passed.checked_div(rules.announce_refresh).unwrap_or(0);
        let most = 4 + passed / 1_000_000_000 + refreshes + passed / rules.interval.saturating_mul(3);
        if u64::from(ruling.rounds) > most {
            let what = format!("{} rounds in {passed} ns", ruling.rounds);
            return Err(Violation { rule: "A13", what });
        }
        ruling.announced_at = there;
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
            Stand::Faulty(retry_at) => timer == retry_at,
            Stand::Listening(listening) => timer == listening.down_at,
            // There may be an announcement before; after the time was told nothing is overdue.
            Stand::Ruling(ruling) => {
                let last = ruling.give_up_at.unwrap_or(u64::MAX).min(ruling.advert_at);
                timer.is_some_and(|timer| {
                    timer == last
                        || (timer < last
                            && ruling.give_up_at.is_none()
                            && (timer > there || !matches!(input, Input::Timeout)))
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
                Stand::Off | Stand::Faulty(_) | Stand::Listening(_) | Stand::Ruling(_) => return,
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
