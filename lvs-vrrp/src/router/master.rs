//! A master: when it advertises, answers and announces, and when it is master no longer.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::net::IpAddr;

use lvs_core::{ClaimResult, Epoch, Instant};

use super::rivals::Rivals;
use super::rounds::Rounds;
use crate::action::Action;
use crate::config::Config;
use crate::conflict::Verdict;
use crate::router::Heard;
use crate::timing;
use crate::types::{Advertised, Priority};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Master {
    pub(super) epoch: Epoch,
    /// Adver_Timer.
    pub(super) advertise_at: Instant,
    /// From then on a backup that heard the last advert may be master.
    pub(super) overtaken_at: Instant,
    /// Adverts out of turn are not sent before.
    pub(super) answer_from: Instant,
    pub(super) claim: Claim,
    /// Packets per address that this mastership asked for.
    pub(super) announced: u64,
    pub(super) rivals: Rivals,
}

/// Whether the host has the virtual addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    Missing { give_up_at: Instant, last_round: Option<Instant> },
    Confirmed(Rounds),
}

/// What an advert means for a master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// It stays master.
    Stays,
    /// The sender is better.
    Yields(Priority),
    /// It was not run for so long that the sender has taken over, and is to leave it at that.
    YieldsLate,
}

/// What the time that passed means for a master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expired {
    /// It stays master.
    Stays,
    /// The addresses could not be had for too long.
    ClaimFailed,
    /// It was not run for so long that another has taken over, and is to leave it at that.
    YieldsLate,
}

impl Master {
    /// A new mastership: the advert comes first (VR-009).
    pub(super) fn new(now: Instant, epoch: Epoch, config: &Config, actions: &mut VecDeque<Action>) -> Self {
        let mut master = Self {
            epoch,
            advertise_at: now + config.interval().duration(),
            overtaken_at: now,
            answer_from: Instant::ORIGIN,
            claim: Claim::Missing { give_up_at: now + config.claim_timeout(), last_round: None },
            announced: 0,
            rivals: Rivals::default(),
        };
        master.advertise(now, config, actions);
        actions.push_back(Action::Claim { epoch });
        master
    }

    pub(super) fn hear(
        &mut self,
        now: Instant,
        heard: Heard,
        own_address: IpAddr,
        config: &Config,
        actions: &mut VecDeque<Action>,
    ) -> Reaction {
        let theirs = match heard.advertised {
            Advertised::Running(priority) => priority,
            Advertised::Resigning => {
                self.hear_resignation(now, heard.source, config, actions);
                return Reaction::Stays;
            }
        };
        let verdict = match theirs.cmp(&config.priority()).then_with(|| heard.source.cmp(&own_address)) {
            // VR-116, VR-117.
            Ordering::Greater => return Reaction::Yields(theirs),
            Ordering::Equal => Verdict::SameAddress,
            Ordering::Less if theirs == config.priority() => Verdict::LowerAddress,
            Ordering::Less => Verdict::LowerPriority,
        };
        if config.yield_when_late() && now >= self.overtaken_at {
            return Reaction::YieldsLate;
        }
        match verdict {
            // VR-119: no answer can decide between them.
            Verdict::SameAddress => {}
            // VR-118, VR-120: the answer ends the conflict, the announcement what the other one told the
            // neighbours. Adverts are fed before timers expire, so an overdue one follows at once: that is the
            // answer.
            Verdict::LowerPriority | Verdict::LowerAddress => {
                let is_overdue = now >= self.advertise_at;
                if !is_overdue && now >= self.answer_from && !config.lower_prio_no_advert() {
                    self.answer(now, config, actions);
                }
                if let Claim::Confirmed(rounds) = &mut self.claim {
                    rounds.ask_after_losing_advert(now, config.announcements());
                    self.announce(now, config, actions);
                }
            }
        }
        self.rivals.hear(now, (heard.source, theirs, heard.interval), verdict, config, actions);
        Reaction::Stays
    }

    /// VR-115. An answer shortly after another waits for its turn.
    fn hear_resignation(
        &mut self,
        now: Instant,
        source: IpAddr,
        config: &Config,
        actions: &mut VecDeque<Action>,
    ) {
        self.rivals.hear_resignation(source);
        if now >= self.advertise_at {
            // The timer's advert is the answer.
        } else if now >= self.answer_from {
            self.answer(now, config, actions);
            self.advertise_at = now + config.interval().duration();
        } else if self.advertise_at > self.answer_from {
            self.advertise_at = self.answer_from;
            self.answer_from = self.answer_from + timing::answer_gap(config.interval());
        }
    }

    /// Lets everything happen whose time has come, each once.
    pub(super) fn expire(
        &mut self,
        now: Instant,
        config: &Config,
        actions: &mut VecDeque<Action>,
    ) -> Expired {
        let is_late = now >= self.overtaken_at;
        if is_late && config.yield_when_late() {
            return Expired::YieldsLate;
        }
        match &mut self.claim {
            // Whoever claims was not run either.
            Claim::Missing { give_up_at, .. } if is_late => *give_up_at = now + config.claim_timeout(),
            Claim::Missing { give_up_at, .. } if now >= *give_up_at => return Expired::ClaimFailed,
            Claim::Missing { .. } | Claim::Confirmed(_) => {}
        }
        // VR-114, VR-101, VR-103.
        if now >= self.advertise_at {
            let interval = config.interval().duration();
            let next = self.advertise_at + interval;
            self.advertise_at = if next > now { next } else { now + interval };
            self.advertise(now, config, actions);
        }
        let is_healed = self.rivals.expire(now, actions);
        if let Claim::Confirmed(rounds) = &mut self.claim {
            let packets = config.announcements().repeat().get();
            if is_late {
                // VR-163.
                rounds.demand(now, packets);
            } else if is_healed {
                rounds.ask(now, packets);
            }
            self.announce(now, config, actions);
        }
        Expired::Stays
    }

    /// The applier's word on the addresses.
    pub(super) fn handle_claimed(
        &mut self,
        now: Instant,
        result: ClaimResult,
        config: &Config,
        actions: &mut VecDeque<Action>,
    ) {
        match (result, &self.claim) {
            (ClaimResult::Confirmed, &Claim::Missing { last_round, .. }) => {
                self.claim = Claim::Confirmed(Rounds::begin(now, config.announcements(), last_round));
                self.announce(now, config, actions);
            }
            (ClaimResult::Missing, Claim::Confirmed(rounds)) => {
                let give_up_at = now + config.claim_timeout();
                self.claim = Claim::Missing { give_up_at, last_round: rounds.last() };
            }
            (ClaimResult::Confirmed, Claim::Confirmed(_)) | (ClaimResult::Missing, Claim::Missing { .. }) => {
            }
        }
    }

    /// Goes by another configuration from now on. Backups would find a longer interval out too late: they are
    /// told at once (E14).
    pub(super) fn reconfigure(
        &mut self,
        now: Instant,
        before: &Config,
        config: &Config,
        actions: &mut VecDeque<Action>,
    ) {
        // One that is overdue tells them as well.
        if before.interval() != config.interval() && now < self.advertise_at {
            self.advertise_at = now + config.interval().duration();
            self.advertise(now, config, actions);
        }
        let refresh = |config: &Config| {
            let schedule = config.announcements();
            (schedule.refresh(), schedule.refresh_repeat())
        };
        if let Claim::Confirmed(rounds) = &mut self.claim
            && refresh(before) != refresh(config)
        {
            rounds.reschedule(now, config.announcements());
        }
    }

    /// When the next thing is due.
    pub(super) fn next(&self) -> Instant {
        let other = match &self.claim {
            Claim::Missing { give_up_at, .. } => Some(*give_up_at),
            Claim::Confirmed(rounds) => rounds.next(),
        };
        [other, self.rivals.next()].into_iter().flatten().fold(self.advertise_at, Instant::min)
    }

    /// Packets per address that it asked for so far.
    pub(super) const fn announced(&self) -> u64 {
        self.announced
    }

    /// The others that are master too.
    pub(super) const fn rivals(&self) -> &Rivals {
        &self.rivals
    }

    /// The mastership is over.
    pub(super) fn into_rivals(self) -> Rivals {
        self.rivals
    }

    /// An advert out of turn. Such are at most one per tenth of the interval, whatever is heard.
    fn answer(&mut self, now: Instant, config: &Config, actions: &mut VecDeque<Action>) {
        self.answer_from = now + timing::answer_gap(config.interval());
        self.advertise(now, config, actions);
    }

    fn advertise(&mut self, now: Instant, config: &Config, actions: &mut VecDeque<Action>) {
        self.overtaken_at = now + config.overtaken_after(config.interval());
        actions.push_back(Action::Advertise(Advertised::Running(config.priority())));
    }

    /// The round that is due, if one is; but not before the advert that is.
    fn announce(&mut self, now: Instant, config: &Config, actions: &mut VecDeque<Action>) {
        let Claim::Confirmed(rounds) = &mut self.claim else { return };
        if now >= self.advertise_at {
            return;
        }
        if let Some(packets) = rounds.take(now, config.announcements()) {
            self.announced = self.announced.saturating_add(packets.into());
            actions.push_back(Action::Announce { epoch: self.epoch, packets });
        }
    }
}
