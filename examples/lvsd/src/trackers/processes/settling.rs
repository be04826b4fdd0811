//! Believes a change only when it has lasted.

use std::time::Duration;

use lvs_vrrp::Fact;
use tokio::time::Instant;

/// A fact, and one that may follow it.
#[derive(Debug)]
pub(super) struct Settling {
    fact: Fact,
    /// The other fact holds already; believed from then on.
    other_from: Option<Instant>,
    before_up: Duration,
    before_down: Duration,
}

impl Settling {
    pub(super) fn new(fact: Fact, before_up: Duration, before_down: Duration) -> Self {
        Self { fact, other_from: None, before_up, before_down }
    }

    /// What is believed.
    pub(super) fn fact(&self) -> Fact {
        self.fact
    }

    /// When to ask again even if nothing happens.
    pub(super) fn settles_at(&self) -> Option<Instant> {
        self.other_from
    }

    /// Takes what is seen; what is believed now, if that changed.
    pub(super) fn settle(&mut self, now: Instant, seen: Fact) -> Option<Fact> {
        if seen == self.fact {
            self.other_from = None;
            return None;
        }
        let delay = if seen == Fact::Up { self.before_up } else { self.before_down };
        if now < *self.other_from.get_or_insert(now + delay) {
            return None;
        }
        self.other_from = None;
        self.fact = seen;
        Some(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn change_is_believed_after_its_delay_and_forgotten_if_it_does_not_last() {
        let (up, down) = (Duration::from_secs(2), Duration::from_secs(5));
        let mut settling = Settling::new(Fact::Up, up, down);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(settling.settle(at(0), Fact::Down), None);
        assert_eq!(settling.settles_at(), Some(at(5)));
        assert_eq!(settling.settle(at(3), Fact::Up), None);
        assert_eq!(settling.settles_at(), None);
        assert_eq!(settling.settle(at(4), Fact::Down), None);
        assert_eq!(settling.settle(at(8), Fact::Down), None);
        assert_eq!(settling.settle(at(9), Fact::Down), Some(Fact::Down));
        assert_eq!(settling.settle(at(10), Fact::Up), None);
        assert_eq!(settling.settle(at(12), Fact::Up), Some(Fact::Up));
        assert_eq!(settling.settles_at(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn without_delay_a_change_is_believed_at_once() {
        let mut settling = Settling::new(Fact::Up, Duration::ZERO, Duration::ZERO);
        assert_eq!(settling.settle(Instant::now(), Fact::Down), Some(Fact::Down));
    }
}
