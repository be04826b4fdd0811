//! Edits that were not made and are tried again later.

use std::collections::{BTreeMap, BTreeSet};

use super::options::ApplierOptions;
use crate::service::{ServerKey, ServiceKey};
use crate::settings::SyncRole;
use crate::table::Change;
use crate::time::Instant;

/// What an edit is about. Two edits of one thing never stand in one difference, but for a daemon that is stopped and started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Timeouts,
    Daemon(SyncRole),
    Service(ServiceKey),
    Server(ServiceKey, ServerKey),
}

impl Subject {
    const fn of(change: &Change) -> Self {
        match change {
            Change::AddService(service) | Change::EditService(service) => Self::Service(service.key()),
            Change::RemoveService(key) => Self::Service(*key),
            Change::AddServer(key, server) | Change::EditServer(key, server) => {
                Self::Server(*key, server.key())
            }
            Change::RemoveServer(key, server) => Self::Server(*key, *server),
            Change::SetTimeouts(_) => Self::Timeouts,
            Change::StartDaemon(daemon) => Self::Daemon(daemon.role()),
            Change::StopDaemon(role) => Self::Daemon(*role),
        }
    }
}

/// The edits that wait; bounded by what is desired and what is there.
#[derive(Debug, Default)]
pub(super) struct Held(BTreeMap<Subject, HeldEdit>);

#[derive(Debug)]
struct HeldEdit {
    change: Change,
    error: String,
    failures: u32,
    retry_at: Instant,
}

impl HeldEdit {
    const fn adds_service(&self) -> bool {
        matches!(self.change, Change::AddService(_))
    }
}

impl Held {
    /// An edit failed. One that only met another table than was believed is tried again at once, but not twice.
    pub(super) fn add(
        &mut self,
        now: Instant,
        change: Change,
        error: String,
        drifted: bool,
        options: &ApplierOptions,
    ) {
        let subject = Subject::of(&change);
        let before =
            self.0.get(&subject).filter(|held| held.change == change).map_or(0, |held| held.failures);
        let failures = before.saturating_add(1);
        let pause = match (drifted, before) {
            (true, 0) => std::time::Duration::ZERO,
            (true, _) | (false, _) => options.refusal_pause(failures),
        };
        self.0.insert(subject, HeldEdit { change, error, failures, retry_at: now + pause });
    }

    /// The edits that may be made now; forgets those that are not wanted any more.
    pub(super) fn without_waiting(&mut self, now: Instant, mut wanted: Vec<Change>) -> Vec<Change> {
        if self.0.is_empty() {
            return wanted;
        }
        let still: BTreeSet<Subject> = wanted.iter().map(Subject::of).collect();
        self.0.retain(|subject, _| still.contains(subject));
        let waits = |change: &Change| {
            let held = self.0.get(&Subject::of(change));
            let same = held.filter(|held| {
                held.change == *change || matches!(change, Change::StartDaemon(_) | Change::StopDaemon(_))
            });
            let itself = same.is_some_and(|held| now < held.retry_at);
            // No server can be added to a service that is not there.
            let service = match change {
                Change::AddServer(key, _) => self.0.get(&Subject::Service(*key)),
                _ => None,
            };
            let added =
                |held: &&HeldEdit| matches!(held.change, Change::AddService(_)) && now < held.retry_at;
            itself || service.filter(added).is_some()
        };
        wanted.retain(|change| !waits(change));
        wanted
    }

    /// Whether one of them may be tried again.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next_try().is_some_and(|next| now >= next)
    }

    pub(super) fn next_try(&self) -> Option<Instant> {
        let adds = |key| self.0.get(&Subject::Service(key)).is_some_and(HeldEdit::adds_service);
        // Servers whose service waits to be added are tried with it.
        let by_itself = |subject: &Subject| !matches!(*subject, Subject::Server(key, _) if adds(key));
        self.0.iter().filter(|(subject, _)| by_itself(subject)).map(|(_, held)| held.retry_at).min()
    }

    /// All of them are tried again as if for the first time.
    pub(super) fn begin_again(&mut self) {
        for held in self.0.values_mut() {
            held.failures = 0;
            held.retry_at = Instant::ORIGIN;
        }
    }

    /// Timeouts and daemons are tried again at once.
    pub(super) fn release_settings(&mut self) {
        self.0.retain(|subject, _| !matches!(subject, Subject::Timeouts | Subject::Daemon(_)));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn most_failures(&self) -> u32 {
        self.0.values().map(|held| held.failures).max().unwrap_or(0)
    }

    /// Why the first of them failed.
    pub(super) fn error(&self) -> Option<&str> {
        self.0.values().next().map(|held| held.error.as_str())
    }
}
