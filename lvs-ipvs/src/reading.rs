//! Decides whether what was read of a table that others edit meanwhile is all that was there all the time.
//!
//! The kernel fills one datagram of a dump at a time, holds the lock of all of IPVS while it does, and goes on with the
//! next by counting entries from the start (`ip_vs_genl_dump_services` and `ip_vs_genl_dump_dests` in `ip_vs_ctl.c`).
//! Nothing marks a dump that was disturbed. So:
//!
//! - A dump that fitted into one datagram is of one moment, and needs nothing more.
//! - In one that did not, an entry that came before is removed, and the first of the next datagram is left out; one is
//!   added, and the last comes again. So it is compared with the dump before it, which an earlier reading may have made.
//!   Without an earlier reading two dumps can lack the same service, if the same edits are made again and again: then two
//!   in a row must have none that those before them lack, unless the reader will soon read again and correct itself.
//! - A service that only one of them has is settled by asking for it by its key, which is exact. Destinations cannot be
//!   asked for singly: two dumps in a row must have the same ones.

use std::collections::{BTreeMap, BTreeSet};

use lvs_core::{ServerKey, ServiceKey};
use lvs_netlink::DumpEntry;

/// What to do after a dump. Closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is all that was there.
    Complete,
    /// Dump again.
    Again,
    /// Ask for these, which an earlier dump had; then it is all that was there.
    Confirm(Vec<ServiceKey>),
    /// The table was changed during every dump.
    Torn,
}

/// In how many pieces a dump came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    datagrams: u32,
    longest: usize,
}

impl Shape {
    /// Takes note of an entry of the dump.
    pub(crate) fn note(&mut self, entry: &DumpEntry<'_>) {
        self.datagrams = entry.datagram().saturating_add(1);
        self.longest = self.longest.max(entry.datagram_length());
    }

    /// Whether the kernel came to the end of the table in the datagram that it began with. One that is nearly as long
    /// as the kernel's memory for it may have ended because it was full.
    fn is_one_piece(self) -> bool {
        let full = |limit: usize| (limit - NEARLY..=limit).contains(&self.longest);
        self.datagrams <= 1 && self.longest <= LONGEST && !FULL.into_iter().any(full)
    }
}

/// Who reads. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Somebody who may never read again.
    OneShot,
    /// An applier, which reads again and again: what the first reading missed, the next one has.
    Applier,
}

/// What earlier readings found, as far as the next one needs it: no more than the table has.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// `None` before the first reading.
    services: Option<BTreeSet<ServiceKey>>,
    /// Only of services whose destinations do not fit into one datagram.
    destinations: BTreeMap<ServiceKey, BTreeSet<ServerKey>>,
}

impl Memory {
    /// A reading of all services begins.
    pub(crate) fn read_services(&self, reader: Reader) -> ServicesReading {
        let quiet_needed = match (reader, &self.services) {
            (Reader::OneShot, None) => 2,
            (Reader::Applier, _) | (_, Some(_)) => 1,
        };
        ServicesReading { known: self.services.clone().unwrap_or_default(), quiet_needed, quiet: 0, dumps: 0 }
    }

    /// A reading of all services ended with these.
    pub(crate) fn services_are(&mut self, services: BTreeSet<ServiceKey>) {
        self.destinations.retain(|key, _| services.contains(key));
        self.services = Some(services);
    }

    /// A reading of the destinations of a service begins.
    pub(crate) fn read_destinations(&self, service: &ServiceKey) -> DestinationsReading {
        DestinationsReading { before: self.destinations.get(service).cloned(), dumps: 0 }
    }

    /// A reading of the destinations of a service ended.
    pub(crate) fn destinations_are(&mut self, service: &ServiceKey, reading: DestinationsReading) {
        match reading.before {
            Some(destinations) => {
                self.destinations.insert(*service, destinations);
            }
            None => {
                self.destinations.remove(service);
            }
        }
    }
}

/// A reading of all services.
///
/// A service that was there all the time, and that an earlier reading or any dump of this one has seen, is in the result.
#[derive(Debug)]
pub(crate) struct ServicesReading {
    /// Everything that was seen.
    known: BTreeSet<ServiceKey>,
    /// How many dumps in a row must have nothing that those before them lack, before it is believed to be all.
    quiet_needed: u32,
    /// How many there are so far.
    quiet: u32,
    dumps: u32,
}

impl ServicesReading {
    pub(crate) fn handle_dump(&mut self, dump: &BTreeSet<ServiceKey>, shape: Shape) -> Verdict {
        if shape.is_one_piece() {
            return Verdict::Complete;
        }
        self.dumps += 1;
        let has_news = !dump.is_subset(&self.known);
        self.known.extend(dump);
        self.quiet = if has_news { 0 } else { self.quiet + 1 };
        if self.quiet < self.quiet_needed && self.dumps < DUMPS {
            return Verdict::Again;
        }
        let missing: Vec<_> = self.known.difference(dump).copied().collect();
        if missing.is_empty() { Verdict::Complete } else { Verdict::Confirm(missing) }
    }
}

/// A reading of the destinations of one service.
///
/// A destination that was there all the time is in the result if nothing changed during one of two dumps in a row.
#[derive(Debug)]
pub(crate) struct DestinationsReading {
    /// What the dump before this one had, if it was not in one piece.
    before: Option<BTreeSet<ServerKey>>,
    dumps: u32,
}

impl DestinationsReading {
    /// `keys` are those of the dump, one that came twice twice; looked at only if the dump was not in one piece.
    pub(crate) fn handle_dump(&mut self, keys: impl Iterator<Item = ServerKey>, shape: Shape) -> Verdict {
        if shape.is_one_piece() {
            self.before = None;
            return Verdict::Complete;
        }
        self.dumps += 1;
        let mut dump = BTreeSet::new();
        let mut is_doubled = false;
        for key in keys {
            is_doubled |= !dump.insert(key);
        }
        if !is_doubled && self.before.as_ref() == Some(&dump) {
            return Verdict::Complete;
        }
        self.before = (!is_doubled).then_some(dump);
        if self.dumps < DUMPS { Verdict::Again } else { Verdict::Torn }
    }
}

/// How often a table is dumped at most.
pub(crate) const DUMPS: u32 = 5;
/// Where the kernel's memory for a datagram of a dump ends: what it prefers, and what it falls back to on machines with
/// small and with large pages (`netlink_dump`, `NLMSG_GOODSIZE`).
const FULL: [usize; 3] = [4096, 8192, LONGEST];
const LONGEST: usize = 32_768;
/// No datagram that was cut is shorter than its memory by more than this: an entry (about 400 bytes) did not fit, and
/// the kernel's own data takes up to 448.
const NEARLY: usize = 1024;

#[cfg(test)]
mod tests;
