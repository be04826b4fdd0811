//! What a master has to tell of others that are master too, foretold (VR-252).

use std::net::IpAddr;

use lvs_vrrp::{ConflictEnd, ConflictEvent, Verdict, Version};

use crate::bounds::Rules;
use crate::decoder::Heard;

/// The others that were told of, in the order in which they were heard, at most four.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rivals([Option<Rival>; 4]);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rival {
    conflict: Conflict,
    /// Over then, unless it is heard before.
    over_at: u64,
    is_unheard: bool,
    has_resigned: bool,
}

/// What is told of one of them. Times are the router's own, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Conflict {
    other: IpAddr,
    priority: u8,
    verdict: Verdict,
    since: u64,
    until: u64,
    adverts: u64,
}

/// An event, as far as it can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Began(Conflict),
    Unheard(Conflict),
    Ended(Conflict, ConflictEnd),
}

impl Told {
    /// What the router said.
    pub(super) fn of(event: ConflictEvent) -> Self {
        let said = event.conflict();
        let conflict = Conflict {
            other: said.other,
            priority: said.priority.get(),
            verdict: said.verdict,
            since: said.since.as_nanos(),
            until: said.until.as_nanos(),
            adverts: said.adverts,
        };
        match event {
            ConflictEvent::Began(_) => Self::Began(conflict),
            ConflictEvent::Unheard(_) => Self::Unheard(conflict),
            ConflictEvent::Ended(_, end) => Self::Ended(conflict, end),
        }
    }
}

impl Rivals {
    /// An advert that the master does not yield to. `own` is its address.
    pub(super) fn hear(
        &mut self,
        there: u64,
        heard: Heard,
        own: IpAddr,
        rules: &Rules,
        told: &mut Vec<Told>,
    ) {
        let verdict = match (heard.priority < rules.priority, heard.source < own) {
            (true, _) => Verdict::LowerPriority,
            (false, true) => Verdict::LowerAddress,
            (false, false) => Verdict::SameAddress,
        };
        let gone_by = match rules.version {
            Version::V2 => rules.interval,
            Version::V3 => heard.interval,
        };
        // A second at least, or a flood of adverts would be a flood of events.
        let over_at = there + rules.down(gone_by).max(SECOND);
        let known = self.0.iter_mut().flatten().find(|rival| rival.conflict.other == heard.source);
        if let Some(rival) = known {
            let Conflict { since, adverts, .. } = rival.conflict;
            let conflict = Conflict {
                other: heard.source,
                priority: heard.priority,
                verdict,
                since,
                until: there,
                adverts: adverts + 1,
            };
            // In three intervals it should have heard three adverts; who has the same address may have.
            let says_unheard =
                !rival.is_unheard && verdict != Verdict::SameAddress && there - since >= 3 * rules.interval;
            if says_unheard {
                told.push(Told::Unheard(conflict));
            }
            let is_unheard = rival.is_unheard || says_unheard;
            *rival = Rival { conflict, over_at, is_unheard, has_resigned: false };
        } else if let Some(place) = self.0.iter_mut().find(|place| place.is_none()) {
            let conflict = Conflict {
                other: heard.source,
                priority: heard.priority,
                verdict,
                since: there,
                until: there,
                adverts: 1,
            };
            told.push(Told::Began(conflict));
            *place = Some(Rival { conflict, over_at, is_unheard: false, has_resigned: false });
        }
    }

    /// One of them resigned; it is over when it keeps silent.
    pub(super) fn resign(&mut self, other: IpAddr) {
        for rival in self.0.iter_mut().flatten() {
            rival.has_resigned |= rival.conflict.other == other;
        }
    }

    /// Those that were silent for long enough are none any more; answers whether there were any.
    pub(super) fn expire(&mut self, there: u64, told: &mut Vec<Told>) -> bool {
        let before = self.0;
        self.0 = [None; 4];
        let (over, rest): (Vec<Rival>, Vec<Rival>) =
            before.into_iter().flatten().partition(|rival| rival.over_at <= there);
        for (place, rival) in self.0.iter_mut().zip(rest) {
            *place = Some(rival);
        }
        for rival in &over {
            let end = match (rival.has_resigned, rival.is_unheard) {
                (true, _) => ConflictEnd::Resigned,
                (false, true) => ConflictEnd::Silent,
                (false, false) => ConflictEnd::Yielded,
            };
            told.push(Told::Ended(rival.conflict, end));
        }
        !over.is_empty()
    }

    /// The mastership is over.
    pub(super) fn end(&self, told: &mut Vec<Told>) {
        let conflicts = self.0.iter().flatten().map(|rival| rival.conflict);
        told.extend(conflicts.map(|conflict| Told::Ended(conflict, ConflictEnd::WeYielded)));
    }

    /// When the next one is over.
    pub(super) fn next(&self) -> Option<u64> {
        self.0.iter().flatten().map(|rival| rival.over_at).min()
    }

    /// What the router says of them when it is asked.
    pub(super) fn are(&self, conflicts: impl Iterator<Item = lvs_vrrp::Conflict>) -> bool {
        let said = conflicts.map(|conflict| Told::of(ConflictEvent::Began(conflict)));
        said.eq(self.0.iter().flatten().map(|rival| Told::Began(rival.conflict)))
    }

    /// Moments at which something changes: when one is over, and when one that still speaks does not hear us.
    pub(super) fn moments(&self, rules: &Rules) -> impl Iterator<Item = u64> {
        let three = 3 * rules.interval;
        self.0.into_iter().flatten().flat_map(move |rival| [rival.over_at, rival.conflict.since + three])
    }
}

const SECOND: u64 = 1_000_000_000;
