//! When a master has to tell the neighbours about its addresses, and by how many packets, foretold.

use crate::bounds::Rules;

/// The rounds that are still to come. Times are the router's own, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rounds {
    /// The one that follows the first.
    delayed: Option<Round>,
    refresh: Option<Round>,
    /// What something gives cause for, not more than once per second.
    prompt: Option<Round>,
    /// The one that follows the last losing advert.
    aftermath: Option<Round>,
    /// When there was one last in this mastership.
    pub(super) last: Option<u64>,
    /// When one was had at once because the router was late.
    demanded: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Round {
    at: u64,
    packets: u8,
}

impl Rounds {
    /// The addresses are there: a round now, but not within a second of the last one of this mastership; one more
    /// that is delayed, and refreshes.
    pub(super) fn new(there: u64, last: Option<u64>, rules: &Rules) -> Self {
        let first = last.map_or(there, |last| there.max(last + SECOND));
        Self {
            delayed: later(first, rules.delay, rules.repeat),
            refresh: later(first, rules.refresh, rules.refresh_repeat),
            prompt: Some(Round { at: first, packets: rules.repeat }),
            aftermath: None,
            last,
            demanded: None,
        }
    }

    /// Something gives cause for a round.
    pub(super) fn prompt(&mut self, there: u64, packets: u8) {
        let at = self.last.map_or(there, |last| there.max(last + SECOND));
        self.prompt = Some(match self.prompt {
            None => Round { at, packets },
            Some(waiting) => Round { at: waiting.at.min(at), packets: waiting.packets.max(packets) },
        });
    }

    /// E8a: late, so a round at once; if that goes on, once per second is enough. Answers whether it is at once.
    pub(super) fn demand(&mut self, there: u64, packets: u8) -> bool {
        self.prompt(there, packets);
        let is_again = self.demanded.is_some_and(|at| there - at < SECOND);
        if !is_again {
            self.demanded = Some(there);
            if let Some(prompt) = &mut self.prompt {
                prompt.at = there;
            }
        }
        !is_again
    }

    /// A losing advert was heard.
    pub(super) fn after_losing(&mut self, there: u64, rules: &Rules) {
        if rules.losing_repeat > 0 {
            self.prompt(there, rules.losing_repeat);
            self.aftermath = later(there, rules.losing_delay, rules.losing_repeat);
        }
    }

    /// The packets of the round that is due now, if one is: of several the largest, which does for all of them, and
    /// for what waits for its second and is not larger.
    pub(super) fn take(&mut self, there: u64, rules: &Rules) -> Option<u8> {
        let packets = self.all().filter(|round| round.at <= there).map(|round| round.packets).max()?;
        let is_ahead = |round: &Round| round.at > there;
        self.refresh = match self.refresh {
            Some(Round { at, packets }) if at <= there => {
                // A period goes on as if nothing were late, unless a whole one was missed.
                let next = if at + rules.refresh <= there { there } else { at };
                later(next, rules.refresh, packets)
            }
            other => other,
        };
        self.delayed = self.delayed.filter(is_ahead);
        self.aftermath = self.aftermath.filter(is_ahead);
        self.prompt = self.prompt.filter(|round| is_ahead(round) && round.packets > packets);
        self.last = Some(there);
        Some(packets)
    }

    /// The refreshes follow another schedule from now on.
    pub(super) fn reschedule(&mut self, there: u64, rules: &Rules) {
        self.refresh = later(there, rules.refresh, rules.refresh_repeat);
    }

    /// Moments at which something changes: when rounds are due, when a refresh is a whole period late, when another
    /// round may follow.
    pub(super) fn moments(&self, rules: &Rules) -> impl Iterator<Item = u64> {
        let late = self.refresh.map(|round| round.at + rules.refresh);
        let again = [self.last, self.demanded].into_iter().flatten().map(|at| at + SECOND);
        self.all().map(|round| round.at).chain(late).chain(again)
    }

    /// When there is one next.
    pub(super) fn next(&self) -> Option<u64> {
        self.all().map(|round| round.at).min()
    }

    fn all(&self) -> impl Iterator<Item = Round> {
        [self.delayed, self.refresh, self.prompt, self.aftermath].into_iter().flatten()
    }
}

/// A round that long after a moment; no time means no round.
fn later(since: u64, wait: u64, packets: u8) -> Option<Round> {
    (wait > 0).then_some(Round { at: since + wait, packets })
}

const SECOND: u64 = 1_000_000_000;
