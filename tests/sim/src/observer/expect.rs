//! What a router must do, derived from what it is told and from the RFCs.

use lvs_core::{ClaimResult, Epoch, Role};
use lvs_vrrp::{Config, FaultReason, Gate, Preempt, Reason, Start, Version};

use super::rivals::{Rivals, Told};
use super::rounds::Rounds;
use super::{Addresses, Cause, Input, Listening, Ruling, SECOND, Stand, Watch};
use crate::bounds::{Rules, skew};
use crate::decoder::Heard;
use crate::options::priority;
use crate::told::Allowance;
use crate::world::nanos;

/// What an input must lead to.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// Everything but announcements and conflicts, in order.
    pub(super) actions: Vec<Deed>,
    /// Packets of the round of announcements, if there must be one.
    pub(super) announced: Option<u8>,
    /// Whether it must be because others may have had the addresses (E8a).
    pub(super) is_demanded: bool,
    /// What must be said of other masters, in order.
    pub(super) told: Vec<Told>,
}

/// An action, as far as it is foretold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Advertise(u8),
    Claim(u64),
    Release(u64),
    /// With the priority and the mastership of that time.
    Changed(Role, Role, Reason, u8, u64),
    WantsMaster,
}

impl Watch {
    /// Moves the picture on, and says which actions that takes.
    pub(super) fn expect(&mut self, there: u64, input: Input) -> Expected {
        let mut expected = Expected::default();
        match input {
            Input::Enable => self.on_enable(there, &mut expected),
            Input::Disable => match self.stand {
                Stand::Off => {}
                Stand::Starting(_) => self.stand = Stand::Off,
                Stand::Faulty(_) | Stand::Listening(_) => {
                    self.go(Stand::Off, Reason::Disabled, &mut expected);
                }
                Stand::Ruling(_) => self.resign(Stand::Off, Reason::Disabled, &mut expected),
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
        if let Gate::Fault(reason) = self.gate {
            self.go(Stand::Faulty(None), Reason::Fault(reason), expected);
            return;
        }
        let wait = match self.start {
            Start::Backup => self.rules.down(self.rules.interval),
            // One interval and the skew of priority 254.
            Start::Master => self.rules.interval + skew(self.rules.version, self.rules.interval, 254),
        };
        self.take_part(there, wait, Reason::Enabled, expected);
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
                self.take_part(there, self.rules.down(self.rules.interval), Reason::FaultCleared, expected);
            }
            (Stand::Listening(listening), Gate::Open) => {
                if listening.down_at.is_none() {
                    self.rule(there, listening.cause.reason(), expected);
                }
            }
            (Stand::Listening(_), Gate::Fault(reason)) => {
                self.go(Stand::Faulty(None), Reason::Fault(reason), expected);
            }
            // VR-127.
            (Stand::Ruling(_), Gate::Held) => {
                let listening = self.listening(there, self.rules.down(self.rules.interval));
                self.resign(Stand::Listening(listening), Reason::Held, expected);
            }
            // VR-125.
            (Stand::Ruling(_), Gate::Fault(reason)) => {
                self.resign(Stand::Faulty(None), Reason::Fault(reason), expected);
            }
        }
    }

    fn on_claimed(&mut self, there: u64, epoch: Epoch, result: ClaimResult, expected: &mut Expected) {
        let Stand::Ruling(mut ruling) = self.stand else { return };
        if epoch.value() != self.epoch {
            return;
        }
        match (result, ruling.addresses) {
            (ClaimResult::Confirmed, Addresses::Missing { last_round, .. }) => {
                self.given_up = 0;
                ruling.addresses = Addresses::There(Rounds::new(there, last_round, &self.rules));
                // The first round and the delayed one.
                ruling.rounds.grant(2);
                self.announce(&mut ruling, there, expected);
            }
            (ClaimResult::Missing, Addresses::There(rounds)) => {
                let give_up_at = there + self.rules.claim_timeout;
                ruling.addresses = Addresses::Missing { give_up_at, last_round: rounds.last };
            }
            (ClaimResult::Confirmed, Addresses::There(_))
            | (ClaimResult::Missing, Addresses::Missing { .. }) => {}
        }
        self.stand = Stand::Ruling(ruling);
    }

    fn listening_hears(&self, mut listening: Listening, there: u64, heard: Heard) -> Listening {
        // VR-115, VR-100.
        if heard.priority == 0 {
            if listening.down_at.is_some() {
                listening.down_at = Some(there + self.rules.skew(listening.gone_by));
                listening.cause = Cause::Resigned;
            }
            return listening;
        }
        if heard.priority < self.rules.priority {
            let goes_on = match self.rules.preempt {
                // VR-120; an owner takes over whatever the flag says (RFC 9568 §6.1).
                Preempt::Always => true,
                Preempt::Never | Preempt::After(_) if self.rules.is_owner() => true,
                // VR-121.
                Preempt::Never => false,
                // VR-129.
                Preempt::After(delay) => {
                    let until = *listening.patient_until.get_or_insert(there.saturating_add(nanos(delay)));
                    there >= until
                }
            };
            if goes_on {
                listening.cause = Cause::Lower(heard.source, heard.priority);
                return listening;
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
            Version::V2 => self.rules.interval,
            Version::V3 => heard.interval,
        };
        listening.down_at = Some(there + self.rules.down(listening.gone_by));
        listening.cause = Cause::Silent;
    }

    fn ruling_hears(&mut self, mut ruling: Ruling, there: u64, heard: Heard, expected: &mut Expected) {
        let is_due = there >= ruling.advert_at;
        if heard.priority == 0 {
            ruling.rivals.resign(heard.source);
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
            let mut listening =
                Listening { down_at: None, gone_by: 0, patient_until: None, cause: Cause::Silent };
            self.yield_to(&mut listening, there, heard);
            let reason = Reason::Outranked { by: heard.source, priority: priority(heard.priority) };
            self.step_down(listening, reason, expected);
            return;
        }
        if self.rules.yields_when_late && there >= ruling.overtaken_at {
            let listening = self.listening(there, self.rules.down(self.rules.interval));
            let listening = self.listening_hears(listening, there, heard);
            self.step_down(listening, Reason::Late, expected);
            return;
        }
        if theirs < ours {
            // VR-118, VR-120, A7.
            if !is_due && there >= ruling.answer_from && !self.rules.is_silent_to_losers {
                self.answer(&mut ruling, there, expected);
            }
            if let Addresses::There(rounds) = &mut ruling.addresses {
                rounds.after_losing(there, &self.rules);
            }
            self.announce(&mut ruling, there, expected);
        }
        ruling.rivals.hear(there, heard, self.address, &self.rules, &mut expected.told);
        self.stand = Stand::Ruling(ruling);
    }

    /// A7: the next one not before a tenth of the interval.
    fn answer(&self, ruling: &mut Ruling, there: u64, expected: &mut Expected) {
        expected.actions.push(Deed::Advertise(self.rules.priority));
        ruling.answer_from = there + self.rules.interval / 10;
        ruling.overtaken_at = there + self.rules.overtaken();
    }

    /// The round that is due: never before an advert that is.
    fn announce(&self, ruling: &mut Ruling, there: u64, expected: &mut Expected) {
        if let Addresses::There(rounds) = &mut ruling.addresses
            && there < ruling.advert_at
        {
            expected.announced = rounds.take(there, &self.rules);
        }
    }

    fn step_down(&mut self, listening: Listening, reason: Reason, expected: &mut Expected) {
        expected.actions.push(Deed::Release(self.epoch));
        self.go(Stand::Listening(listening), reason, expected);
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
                    let wait = self.rules.down(self.rules.interval);
                    self.take_part(there, wait, Reason::FaultCleared, expected);
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
                        self.rule(there, listening.cause.reason(), expected);
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
            self.step_down(listening, Reason::Late, expected);
            return;
        }
        if let Addresses::Missing { give_up_at, .. } = &mut ruling.addresses {
            // Who puts the addresses there was not run either.
            if is_late {
                *give_up_at = there + self.rules.claim_timeout;
            } else if there >= *give_up_at {
                let pause = self.rules.claim_timeout << self.given_up.min(6);
                self.given_up = self.given_up.saturating_add(1);
                let stand = Stand::Faulty(Some(there + pause));
                self.resign(stand, Reason::Fault(FaultReason::ClaimFailed), expected);
                return;
            }
        }
        // VR-114, VR-101, VR-103: late or not, one advert, and the period goes on.
        if there >= ruling.advert_at {
            expected.actions.push(Deed::Advertise(self.rules.priority));
            ruling.overtaken_at = there + self.rules.overtaken();
            ruling.advert_at += self.rules.interval;
            if ruling.advert_at <= there {
                ruling.advert_at = there + self.rules.interval;
            }
        }
        let is_healed = ruling.rivals.expire(there, &mut expected.told);
        if let Addresses::There(rounds) = &mut ruling.addresses {
            // E8a, VR-163.
            if is_late {
                expected.is_demanded = rounds.demand(there, self.rules.repeat);
                if expected.is_demanded {
                    ruling.rounds.grant(1);
                }
            } else if is_healed {
                rounds.prompt(there, self.rules.repeat);
            }
        }
        self.announce(&mut ruling, there, expected);
        self.stand = Stand::Ruling(ruling);
    }

    fn on_configured(&mut self, there: u64, config: &Config, expected: &mut Expected) {
        let before = std::mem::replace(&mut self.rules, Rules::of(config, &self.given));
        self.start = config.start();
        let is_new = before.interval != self.rules.interval;
        match &mut self.stand {
            Stand::Off | Stand::Starting(_) | Stand::Faulty(_) => {}
            Stand::Listening(listening) => {
                if is_new && self.rules.version == Version::V2 {
                    listening.gone_by = self.rules.interval;
                    listening.down_at = Some(there + self.rules.down(self.rules.interval));
                }
                if !matches!(self.rules.preempt, Preempt::After(_)) {
                    listening.patient_until = None;
                }
            }
            Stand::Ruling(ruling) => {
                // E14.
                if is_new && there < ruling.advert_at {
                    expected.actions.push(Deed::Advertise(self.rules.priority));
                    ruling.overtaken_at = there + self.rules.overtaken();
                    ruling.advert_at = there + self.rules.interval;
                }
                let refresh = |rules: &Rules| (rules.refresh, rules.refresh_repeat);
                if let Addresses::There(rounds) = &mut ruling.addresses
                    && refresh(&before) != refresh(&self.rules)
                {
                    rounds.reschedule(there, &self.rules);
                }
            }
        }
    }

    fn take_part(&mut self, there: u64, wait: u64, reason: Reason, expected: &mut Expected) {
        let mut listening = self.listening(there, wait);
        match (self.rules.is_owner(), self.gate) {
            (false, _) => self.go(Stand::Listening(listening), reason, expected),
            // VR-110.
            (true, Gate::Open) => self.rule(there, reason, expected),
            (true, Gate::Held | Gate::Fault(_)) => {
                listening.down_at = None;
                self.go(Stand::Listening(listening), reason, expected);
                expected.actions.push(Deed::WantsMaster);
            }
        }
    }

    fn listening(&self, there: u64, wait: u64) -> Listening {
        let patient_until = match self.rules.preempt {
            Preempt::Always | Preempt::Never => None,
            Preempt::After(delay) => Some(there.saturating_add(nanos(delay))),
        };
        let (down_at, gone_by) = (Some(there + wait), self.rules.interval);
        Listening { down_at, gone_by, patient_until, cause: Cause::Silent }
    }

    fn rule(&mut self, there: u64, reason: Reason, expected: &mut Expected) {
        self.epoch += 1;
        // VR-009: the advert is first.
        expected.actions.push(Deed::Advertise(self.rules.priority));
        expected.actions.push(Deed::Claim(self.epoch));
        let give_up_at = there + self.rules.claim_timeout;
        let ruling = Ruling {
            advert_at: there + self.rules.interval,
            overtaken_at: there + self.rules.overtaken(),
            answer_from: 0,
            addresses: Addresses::Missing { give_up_at, last_round: None },
            rounds: Allowance::new(there, 1),
            reports: Allowance::new(there, super::REPORTS),
            rivals: Rivals::default(),
        };
        self.go(Stand::Ruling(ruling), reason, expected);
    }

    /// A3: priority 0, once, and nothing after it.
    fn resign(&mut self, stand: Stand, reason: Reason, expected: &mut Expected) {
        expected.actions.push(Deed::Advertise(0));
        expected.actions.push(Deed::Release(self.epoch));
        self.go(stand, reason, expected);
    }

    fn go(&mut self, stand: Stand, reason: Reason, expected: &mut Expected) {
        let from = self.role();
        if let Stand::Ruling(ruling) = &self.stand {
            ruling.rivals.end(&mut expected.told);
        }
        self.stand = stand;
        let deed = Deed::Changed(from, self.role(), reason, self.rules.priority, self.epoch);
        expected.actions.push(deed);
    }

    pub(super) fn role(&self) -> Role {
        match self.stand {
            Stand::Off | Stand::Starting(_) => Role::Initialize,
            Stand::Faulty(_) => Role::Fault,
            Stand::Listening(_) => Role::Backup,
            Stand::Ruling(_) => Role::Master,
        }
    }

    /// Until when a backup puts up with a lower master, on its own clock, in nanoseconds.
    #[must_use]
    pub fn patient_until(&self) -> Option<u64> {
        match &self.stand {
            Stand::Listening(listening) => listening.patient_until,
            Stand::Off | Stand::Starting(_) | Stand::Faulty(_) | Stand::Ruling(_) => None,
        }
    }

    /// Moments of its own clock, in nanoseconds, at which something is decided: timers, and those that no timer
    /// tells of. There nothing may be off by one.
    #[must_use]
    pub fn moments(&self) -> Vec<u64> {
        match &self.stand {
            Stand::Off | Stand::Faulty(None) => Vec::new(),
            Stand::Starting(at) | Stand::Faulty(Some(at)) => vec![*at],
            Stand::Listening(listening) => {
                [listening.down_at, listening.patient_until].into_iter().flatten().collect()
            }
            Stand::Ruling(ruling) => {
                let Ruling { advert_at, overtaken_at, answer_from, .. } = *ruling;
                let mut moments = vec![advert_at, overtaken_at, advert_at + self.rules.interval, answer_from];
                // An answer then may be followed by the next one when the advert is due.
                moments.push(advert_at - self.rules.interval / 10);
                match &ruling.addresses {
                    Addresses::Missing { give_up_at, last_round } => {
                        moments.push(*give_up_at);
                        moments.extend(last_round.map(|last| last + SECOND));
                    }
                    Addresses::There(rounds) => moments.extend(rounds.moments(&self.rules)),
                }
                moments.extend(ruling.rivals.moments(&self.rules));
                moments
            }
        }
    }
}
