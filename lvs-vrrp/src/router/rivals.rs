//! Keeps account of other masters that are heard while we are master.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use lvs_core::Instant;

use crate::action::Action;
use crate::config::{Config, DownTimerAdverts};
use crate::conflict::{Conflict, ConflictEnd, ConflictEvent, Verdict};
use crate::timing;
use crate::types::{Interval, Priority};

/// The others that are master too, at most [`KEPT`] of them: a flood of invented ones must not grow without
/// bound, nor must what is told of them. More are answered like these and not told of.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Rivals(pub(super) Vec<Rival>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rival {
    pub(super) conflict: Conflict,
    /// Over unless it is heard before.
    pub(super) over_at: Instant,
    /// It has been told that this one does not hear us.
    pub(super) is_unheard: bool,
    pub(super) has_resigned: bool,
}

impl Rivals {
    /// An advert that we do not yield to.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        (other, priority, interval): (IpAddr, Priority, Interval),
        verdict: Verdict,
        config: &Config,
        actions: &mut VecDeque<Action>,
    ) {
        let interval = timing::learn(config.interval(), interval);
        let over_at = now + config.master_down_interval(interval).max(MIN_SILENCE);
        if let Some(rival) = self.find(other) {
            let Conflict { since, adverts, .. } = rival.conflict;
            let adverts = adverts.saturating_add(1);
            rival.conflict = Conflict { other, priority, verdict, since, until: now, adverts };
            rival.over_at = over_at;
            rival.has_resigned = false;
            let must_have_heard_us = || match verdict {
                Verdict::LowerPriority | Verdict::LowerAddress => {
                    let several = timing::missed(DownTimerAdverts::RFC, config.interval());
                    rival.conflict.duration() >= several
                }
                // It may hear us well.
                Verdict::SameAddress => false,
            };
            if !rival.is_unheard && must_have_heard_us() {
                rival.is_unheard = true;
                actions.push_back(Action::Conflict(ConflictEvent::Unheard(rival.conflict)));
            }
        } else if self.0.len() < KEPT {
            let conflict = Conflict { other, priority, verdict, since: now, until: now, adverts: 1 };
            self.0.push(Rival { conflict, over_at, is_unheard: false, has_resigned: false });
            actions.push_back(Action::Conflict(ConflictEvent::Began(conflict)));
        }
    }

    /// An advert of priority 0. The conflict is over when nothing follows: the end comes only once per silence.
    pub(super) fn hear_resignation(&mut self, other: IpAddr) {
        if let Some(rival) = self.find(other) {
            rival.has_resigned = true;
        }
    }

    /// Tells of those that have been silent for long enough; answers whether there were any.
    pub(super) fn expire(&mut self, now: Instant, actions: &mut VecDeque<Action>) -> bool {
        let before = self.0.len();
        self.0.retain(|rival| {
            let is_over = now >= rival.over_at;
            if is_over {
                let end = match (rival.has_resigned, rival.is_unheard) {
                    (true, _) => ConflictEnd::Resigned,
                    (false, true) => ConflictEnd::Silent,
                    (false, false) => ConflictEnd::Yielded,
                };
                actions.push_back(Action::Conflict(ConflictEvent::Ended(rival.conflict, end)));
            }
            !is_over
        });
        self.0.len() < before
    }

    /// We are master no longer.
    pub(super) fn end(self, actions: &mut VecDeque<Action>) {
        let ended = |rival: Rival| ConflictEvent::Ended(rival.conflict, ConflictEnd::WeYielded);
        actions.extend(self.0.into_iter().map(|rival| Action::Conflict(ended(rival))));
    }

    /// When the next conflict is over if nothing is heard.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.iter().map(|rival| rival.over_at).min()
    }

    pub(super) fn conflicts(&self) -> impl Iterator<Item = Conflict> + '_ {
        self.0.iter().map(|rival| rival.conflict)
    }

    fn find(&mut self, other: IpAddr) -> Option<&mut Rival> {
        self.0.iter_mut().find(|rival| rival.conflict.other == other)
    }
}

/// Others that are kept account of.
pub(super) const KEPT: usize = 4;

/// At short intervals a conflict is over later than the protocol needs, so that no more than twelve events per
/// second can be caused from outside.
const MIN_SILENCE: Duration = Duration::from_secs(1);
