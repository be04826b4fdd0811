//! Servers that leave when their connections have ended.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::Event;
use crate::service::{ServerKey, ServiceKey, Weight};
use crate::statistics::ServerStatistics;
use crate::table::{ServiceTable, Table};
use crate::time::Instant;

/// How far a server is that is to drain ([`ServiceTable::drain`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DrainProgress {
    /// It has weight 0 and so many connections ([`ServerStatistics::open_connections`]); nothing where they were not
    /// counted yet.
    Waiting(Option<u32>),
    /// It had no connections any more and was taken out.
    Idle,
    /// Its time was up and it was taken out, with so many connections as far as known.
    Expired(Option<u32>),
    /// It was not there, or somebody else took it out.
    Absent,
}

/// The servers that are to drain, and how far they are; an entry stays for as long as the drain is desired.
#[derive(Debug, Default)]
pub struct Drains {
    all: BTreeMap<(ServiceKey, ServerKey), Drain>,
    /// Services whose connections are to be counted now.
    to_count: VecDeque<ServiceKey>,
    next_count: Instant,
}

#[derive(Debug)]
struct Drain {
    since: Instant,
    within: Duration,
    progress: DrainProgress,
}

impl Drain {
    fn ends_at(&self) -> Instant {
        self.since + self.within
    }

    const fn waits(&self) -> bool {
        matches!(self.progress, DrainProgress::Waiting(_))
    }
}

impl Drains {
    /// How far that server is; nothing if it is not to drain.
    #[must_use]
    pub fn progress(&self, service: &ServiceKey, server: &ServerKey) -> Option<DrainProgress> {
        self.all.get(&(*service, *server)).map(|drain| drain.progress)
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (ServiceKey, ServerKey, DrainProgress)> {
        self.all.iter().map(|((service, server), drain)| (*service, *server, drain.progress))
    }

    /// Whether a server still drains.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.all.values().any(Drain::waits)
    }

    /// What is desired now: new drains begin, others go on, and those that are not desired any more are forgotten.
    pub(super) fn update(&mut self, now: Instant, desired: &Table) {
        let mut before = std::mem::take(&mut self.all);
        for service in desired.services() {
            for (server, within) in service.draining() {
                let key = (service.service().key(), server);
                let new = Drain { since: now, within, progress: DrainProgress::Waiting(None) };
                let drain = Drain { within, ..before.remove(&key).unwrap_or(new) };
                self.all.insert(key, drain);
            }
        }
    }

    /// The desired table with the servers that still drain.
    pub(super) fn goal(&mut self, desired: &Table, believed: &Table, events: &mut VecDeque<Event>) -> Table {
        let mut goal = desired.clone();
        for ((service, server), drain) in self.all.iter_mut().filter(|(_, drain)| drain.waits()) {
            let present = believed.service(service).and_then(|service| service.server(server));
            match (present, goal.service_mut(service)) {
                (Some(present), Some(wanted)) => wanted.insert_draining(present.with_weight(Weight::ZERO)),
                (None, _) | (Some(_), None) => {
                    end(*service, *server, drain, DrainProgress::Absent, events);
                }
            }
        }
        goal
    }

    /// A service whose connections are to be counted now.
    pub(super) fn next_to_count(&mut self, now: Instant, interval: Duration) -> Option<ServiceKey> {
        if self.to_count.is_empty() && self.next_time().is_some_and(|next| now >= next) {
            let waiting = self.all.iter().filter(|(_, drain)| drain.waits());
            let services: BTreeSet<ServiceKey> = waiting.map(|((service, _), _)| *service).collect();
            self.to_count.extend(services);
            self.next_count = now + interval;
        }
        self.to_count.pop_front()
    }

    /// When connections are counted next, or the time of a server is up.
    pub(super) fn next_time(&self) -> Option<Instant> {
        let ends = self.all.values().filter(|drain| drain.waits()).map(Drain::ends_at).min()?;
        Some(ends.min(self.next_count))
    }

    /// Judges the drains of a service by its connections; whether one of its servers seems to be gone.
    pub(super) fn take_count(
        &mut self,
        now: Instant,
        service: ServiceKey,
        counted: &BTreeMap<ServerKey, ServerStatistics>,
        believed: Option<&ServiceTable>,
        events: &mut VecDeque<Event>,
    ) -> bool {
        let mut gone = false;
        for ((_, server), drain) in self.waiting_of(service) {
            let active = counted.get(server).map(|counted| counted.open_connections(&service));
            // New connections may come while it still has its weight.
            let closed = believed
                .and_then(|service| service.server(server))
                .is_some_and(|server| server.weight() == Weight::ZERO);
            gone |= active.is_none();
            if closed && active == Some(0) {
                end(service, *server, drain, DrainProgress::Idle, events);
            } else if now >= drain.ends_at() {
                end(service, *server, drain, DrainProgress::Expired(active), events);
            } else {
                drain.progress = DrainProgress::Waiting(active);
            }
        }
        gone
    }

    /// Ends the drains of a service whose time is up although the connections could not be counted.
    pub(super) fn expire(&mut self, now: Instant, service: ServiceKey, events: &mut VecDeque<Event>) {
        for ((_, server), drain) in self.waiting_of(service) {
            if let (DrainProgress::Waiting(active), true) = (drain.progress, now >= drain.ends_at()) {
                end(service, *server, drain, DrainProgress::Expired(active), events);
            }
        }
    }

    fn waiting_of(
        &mut self,
        service: ServiceKey,
    ) -> impl Iterator<Item = (&(ServiceKey, ServerKey), &mut Drain)> {
        self.all.iter_mut().filter(move |((key, _), drain)| *key == service && drain.waits())
    }
}

fn end(
    service: ServiceKey,
    server: ServerKey,
    drain: &mut Drain,
    progress: DrainProgress,
    events: &mut VecDeque<Event>,
) {
    drain.progress = progress;
    events.push_back(Event::Drained { service, server, end: progress });
}
