//! Decides when a master tells the neighbours about its addresses, and by how many packets.

use std::time::Duration;

use lvs_core::Instant;

use crate::config::AnnounceSchedule;

/// The rounds of announcements that are still to come while the host has all addresses.
///
/// Rounds that are due at the same time are one, with the most packets of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rounds {
    /// The delayed one that follows the first.
    pub(super) second: Option<Round>,
    pub(super) refresh: Option<Round>,
    /// Out of turn: the first one, and what others give cause for.
    pub(super) again: Option<Round>,
    /// The delayed one that follows the last losing advert.
    pub(super) after_losing: Option<Round>,
    pub(super) last: Option<Instant>,
    pub(super) last_demand: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Round {
    pub(super) at: Instant,
    pub(super) packets: u8,
}

impl Rounds {
    /// The host has all addresses now. `last` is when this mastership announced before, if it did.
    pub(super) fn begin(now: Instant, schedule: &AnnounceSchedule, last: Option<Instant>) -> Self {
        let mut rounds =
            Self { second: None, refresh: None, again: None, after_losing: None, last, last_demand: None };
        let packets = schedule.repeat().get();
        let first = rounds.ask(now, packets);
        rounds.second = Round::after(first, schedule.delay(), packets);
        rounds.refresh = Round::after(first, schedule.refresh(), schedule.refresh_repeat().get());
        rounds
    }

    /// When this mastership announced last, if it did.
    pub(super) const fn last(&self) -> Option<Instant> {
        self.last
    }

    /// A round as soon as the last one is a second old: a flood of adverts must not become a broadcast storm.
    /// Answers when that is.
    pub(super) fn ask(&mut self, now: Instant, packets: u8) -> Instant {
        let earliest = self.last.map_or(now, |last| (last + GAP).max(now));
        let Round { at, packets: others } = self.again.unwrap_or(Round { at: earliest, packets });
        self.again = Some(Round { at: at.min(earliest), packets: packets.max(others) });
        at.min(earliest)
    }

    /// A round at once, since another has had the addresses meanwhile; or a second after the last one, if this
    /// goes on: it is a busy machine then.
    pub(super) fn demand(&mut self, now: Instant, packets: u8) {
        if self.last_demand.is_some_and(|last| now - last < GAP) {
            self.ask(now, packets);
        } else {
            self.last_demand = Some(now);
            self.ask(now, packets);
            self.again = self.again.map(|again| Round { at: now, ..again });
        }
    }

    /// Another master told the neighbours that it has the addresses.
    pub(super) fn ask_after_losing_advert(&mut self, now: Instant, schedule: &AnnounceSchedule) {
        let packets = schedule.lower_prio_repeat();
        if packets > 0 {
            self.ask(now, packets);
            self.after_losing = Round::after(now, schedule.lower_prio_delay(), packets);
        }
    }

    /// The refreshes go by another schedule from now on.
    pub(super) fn reschedule(&mut self, now: Instant, schedule: &AnnounceSchedule) {
        self.refresh = Round::after(now, schedule.refresh(), schedule.refresh_repeat().get());
    }

    /// When the next round is due.
    pub(super) fn next(&self) -> Option<Instant> {
        let rounds = [&self.second, &self.refresh, &self.again, &self.after_losing];
        rounds.into_iter().flatten().map(|round| round.at).min()
    }

    /// Packets per address to send now, if a round is due.
    pub(super) fn take(&mut self, now: Instant, schedule: &AnnounceSchedule) -> Option<u8> {
        let is_due = |round: &mut Round| round.at <= now;
        let refresh = self.refresh.take_if(is_due);
        if let Some(Round { at, packets }) = refresh {
            let next = at + schedule.refresh();
            let next = if next > now { next } else { now + schedule.refresh() };
            self.refresh = Some(Round { at: next, packets });
        }
        let rest = [&mut self.second, &mut self.again, &mut self.after_losing];
        let due = rest.map(|round| round.take_if(is_due));
        let packets = due.into_iter().chain([refresh]).flatten().map(|round| round.packets).max()?;
        // What waits for its turn has been told now, unless it is more.
        self.again.take_if(|waiting| waiting.packets <= packets);
        self.last = Some(now);
        Some(packets)
    }
}

impl Round {
    /// A round that long after `now`; zero means none.
    fn after(now: Instant, delay: Duration, packets: u8) -> Option<Self> {
        (!delay.is_zero()).then(|| Self { at: now + delay, packets })
    }
}

/// Least time between two rounds that others give cause for.
const GAP: Duration = Duration::from_secs(1);
