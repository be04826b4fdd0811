//! Decides what is read of a data plane and what is edited in it, and when, so that it becomes and stays as desired.

mod drains;
mod held;
mod options;
mod repairs;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::dataplane::{DataplaneError, DataplaneErrorKind, Scope};
use crate::service::{Family, ServerKey, ServiceKey};
use crate::statistics::TableStatistics;
use crate::table::{Change, ServiceTable, Table};
use crate::time::Instant;

pub use drains::{DrainProgress, Drains};
use held::Held;
pub use options::{ApplierOptions, Foreign};
pub use repairs::Repairs;

/// The decisions of an applier as a value, on the caller's clock; the loop that feeds it is `applier::keep_applied` (feature `tokio`).
///
/// # Contract
///
/// Call [`poll_action`](Self::poll_action) until there is nothing to do, carry out each action before the next call, and
/// answer it: [`Action::Observe`] by [`handle_observed`](Self::handle_observed), [`Action::Apply`] by
/// [`handle_applied`](Self::handle_applied), [`Action::Count`] by [`handle_counted`](Self::handle_counted). Then wait for
/// [`poll_timeout`](Self::poll_timeout) or a new desire. [`set_desired`](Self::set_desired) may come at any time between.
///
/// # What is read when
///
/// Everything once, at the start and after the data plane did not answer. Then the services without their servers every
/// [`drift_interval`](ApplierOptions::drift_interval), and the services with their servers in turn, each within
/// [`full_interval`](ApplierOptions::full_interval). Nothing is believed gone that one reading did not show: tables are
/// read while others edit them, and a reading can miss entries then. A second reading decides, of the one service or,
/// where many are missing, of everything.
///
/// # What is edited when
///
/// The difference between what the data plane is believed to have and what is desired, at once. An edit that is refused
/// is made again after a pause that doubles with every refusal; what it does not concern is not held up. An edit that
/// meets another table than was believed has its service read again.
///
/// ```
/// use lvs_core::reconciler::{Action, ApplierOptions, Reconciler};
/// use lvs_core::{Instant, Protocol, Scope, ServiceKey, ServiceTable, Table, VirtualService};
///
/// let now = Instant::ORIGIN;
/// let mut reconciler = Reconciler::new(ApplierOptions::default());
/// let key = ServiceKey::address(Protocol::Tcp, "10.0.0.1:80".parse()?);
/// reconciler.set_desired(now, Table::from_iter([ServiceTable::new(VirtualService::new(key))]));
///
/// assert_eq!(reconciler.poll_action(now), Some(Action::Observe(Scope::Everything)));
/// reconciler.handle_observed(now, Scope::Everything, Ok(Table::default()));
/// let Some(Action::Apply(changes)) = reconciler.poll_action(now) else { panic!("an edit") };
/// assert_eq!(changes[0].to_string(), "add service tcp 10.0.0.1:80");
/// reconciler.handle_applied(now, changes, vec![Ok(())]);
/// assert_eq!(reconciler.poll_action(now), None);
/// assert!(reconciler.in_sync());
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug)]
pub struct Reconciler {
    options: ApplierOptions,
    desired: Table,
    /// What the data plane has of ours, as far as known.
    believed: Table,
    /// Everything has to be read: nothing is known, or what is known may be wrong.
    blind: bool,
    /// The data plane was read.
    reached: bool,
    /// Believed and desired may differ.
    dirty: bool,
    /// Because of a new desire, which does not wait until a turn's services have been read.
    pressing: bool,
    /// A service is gone: others may be, too.
    alarmed: bool,
    /// The services that are read before anything else.
    suspects: BTreeMap<ServiceKey, Suspicion>,
    /// Where a reading found another state than was believed.
    drifted: BTreeSet<ServiceKey>,
    settings_drifted: bool,
    held: Held,
    drains: Drains,
    trouble: Trouble,
    /// When the services are read next.
    next_services: Instant,
    turn: Turn,
    applying: Option<Applying>,
    closing: bool,
    edits: u64,
    events: VecDeque<Event>,
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read that much.
    Observe(Scope),
    /// Make these edits in this order.
    Apply(Vec<Change>),
    /// Read the numbers of connections of that service's servers.
    Count(ServiceKey),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Somebody else had edited the table, and it is as desired again.
    Repaired(Repairs),
    /// A server that was to drain does so no more: it is taken out now, or it is not there.
    Drained {
        /// Whose server.
        service: ServiceKey,
        /// Which one.
        server: ServerKey,
        /// How it ended.
        end: DrainProgress,
    },
}

/// Why a service is read.
#[derive(Debug)]
enum Suspicion {
    /// An edit met another table, or an unknown service.
    Unread,
    /// The first of two readings lacked something; it saw this.
    Read(Option<Arc<ServiceTable>>),
}

/// The data plane does not answer.
#[derive(Debug, Default)]
struct Trouble {
    /// Since it last did what was asked.
    failures: u32,
    /// Nothing is asked before.
    until: Option<Instant>,
    error: Option<String>,
    /// An edit failed, so that a successful reading does not end the trouble.
    in_edits: bool,
}

/// Services with their servers are read in turn.
#[derive(Debug, Default)]
struct Turn {
    next: Instant,
    /// To be read before the pause.
    left: usize,
    last: Option<ServiceKey>,
}

#[derive(Debug)]
struct Applying {
    goal: Table,
    /// The edits lead to the goal: none is held back.
    whole: bool,
}

impl Reconciler {
    /// Nothing is desired, and nothing is known of the data plane.
    #[must_use]
    pub fn new(options: ApplierOptions) -> Self {
        Self {
            options: options.bounded(),
            desired: Table::default(),
            believed: Table::default(),
            blind: true,
            reached: false,
            dirty: true,
            pressing: false,
            alarmed: false,
            suspects: BTreeMap::new(),
            drifted: BTreeSet::new(),
            settings_drifted: false,
            held: Held::default(),
            drains: Drains::default(),
            trouble: Trouble::default(),
            next_services: Instant::ORIGIN,
            turn: Turn::default(),
            applying: None,
            closing: false,
            edits: 0,
            events: VecDeque::new(),
        }
    }

    /// The table that there should be from now on. What an earlier one had and this one has not is removed.
    pub fn set_desired(&mut self, now: Instant, desired: Table) {
        self.drains.update(now, &desired);
        self.held.release_settings();
        self.desired = desired;
        self.trouble.until = None;
        self.dirty = true;
        self.pressing = true;
    }

    /// No other desire will come: what is left is done soon or not at all. See [`is_finished`](Self::is_finished).
    pub fn close(&mut self) {
        if !self.closing {
            self.closing = true;
            self.trouble.failures = 0;
            self.trouble.until = None;
            self.held.begin_again();
            self.dirty = true;
        }
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closing
    }

    /// Whether a closed reconciler has nothing left to do: the data plane is as desired and no server drains any more, or it
    /// was never there, or it has failed too often.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let done = self.in_sync() && !self.drains.is_waiting();
        let failures = self.trouble.failures.max(self.held.most_failures());
        let given_up = failures > LAST_TRIES || (!self.reached && failures > 0);
        self.closing && (done || given_up)
    }

    /// What is to be done now; nothing before the next timeout or desire otherwise.
    #[must_use]
    pub fn poll_action(&mut self, now: Instant) -> Option<Action> {
        if self.trouble.until.is_some_and(|until| now < until) {
            return None;
        }
        if self.blind || self.suspects.len() > MOST_SINGLE {
            self.next_services = now + self.options.drift_interval;
            return Some(Action::Observe(Scope::Everything));
        }
        if std::mem::take(&mut self.alarmed) {
            self.next_services = now + self.options.drift_interval;
            return Some(Action::Observe(Scope::Services));
        }
        if let Some(key) = self.suspects.keys().next() {
            return Some(Action::Observe(Scope::Service(*key)));
        }
        // What others did in several places is repaired at once.
        let reading = self.turn.left > 0 && !self.pressing && !self.closing;
        if (self.dirty && !reading) || self.held.is_due(now) {
            let changes = self.changes(now);
            if !changes.is_empty() {
                return Some(Action::Apply(changes));
            }
        }
        if let Some(key) = self.drains.next_to_count(now, self.options.drain_interval) {
            return Some(Action::Count(key));
        }
        if self.closing {
            return None;
        }
        if now >= self.next_services {
            self.next_services = now + self.options.drift_interval;
            return Some(Action::Observe(Scope::Services));
        }
        self.next_in_turn(now).map(|key| Action::Observe(Scope::Service(key)))
    }

    /// When there may be something to do although nothing happens.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.trouble.until.is_some() {
            return self.trouble.until;
        }
        let regular = [self.next_services, self.turn.next].into_iter().filter(|_| !self.closing);
        regular.chain(self.held.next_try()).chain(self.drains.next_time()).min()
    }

    /// What happened since the last call, oldest first.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What was read, or why nothing could be.
    pub fn handle_observed(&mut self, now: Instant, scope: Scope, result: Result<Table, DataplaneError>) {
        let table = match result {
            Ok(table) => table,
            Err(error) => {
                self.fail(now, &error);
                return;
            }
        };
        self.trouble.until = None;
        self.trouble.error = None;
        if !self.trouble.in_edits {
            self.trouble.failures = 0;
        }
        match scope {
            Scope::Everything => self.take_everything(now, &table),
            Scope::Services => self.take_services(&table),
            Scope::Service(key) => self.take_service(key, table.service_shared(&key), true),
        }
        self.reached = true;
    }

    /// What became of the edits, one result for each.
    pub fn handle_applied(
        &mut self,
        now: Instant,
        changes: Vec<Change>,
        results: Vec<Result<(), DataplaneError>>,
    ) {
        let Some(applying) = self.applying.take() else { return };
        let complete = results.len() == changes.len();
        let smooth = complete && results.iter().all(Result::is_ok);
        let mut repairs = Repairs::default();
        let mut refused_services = BTreeSet::new();
        let mut unanswered = None;
        for (change, result) in changes.into_iter().zip(results) {
            match result {
                Ok(()) => {
                    self.edits += 1;
                    let drifted =
                        change.service().map_or(self.settings_drifted, |key| self.drifted.contains(&key));
                    if drifted {
                        repairs.count(&change);
                    }
                    // All of them at once, below.
                    if !(smooth && applying.whole && change.service().is_some())
                        && self.believed.apply(&change).is_err()
                    {
                        self.suspects.extend(change.service().map(|key| (key, Suspicion::Unread)));
                    }
                }
                Err(error) => match error.kind() {
                    DataplaneErrorKind::Unavailable | DataplaneErrorKind::Forbidden => {
                        // It may have been made all the same: ours, until a reading says that it is not there.
                        self.suspects.extend(change.service().map(|key| (key, Suspicion::Unread)));
                        unanswered.get_or_insert(error);
                    }
                    DataplaneErrorKind::Drifted | DataplaneErrorKind::Refused => {
                        let follows = change.service().is_some_and(|key| refused_services.contains(&key));
                        if !follows {
                            self.hold(now, change, &error, &applying.goal, &mut refused_services);
                        }
                    }
                },
            }
        }
        if smooth && applying.whole {
            self.believed = applying.goal.with_settings_of(&self.believed);
        }
        if !repairs.is_empty() {
            self.events.push_back(Event::Repaired(repairs));
        }
        self.drifted.clear();
        self.settings_drifted = false;
        self.dirty = true;
        self.trouble.in_edits = unanswered.is_some() || !complete;
        if let Some(error) = unanswered {
            self.fail(now, &error);
        } else if !complete {
            let kind = DataplaneErrorKind::Unavailable;
            self.fail(now, &DataplaneError::new(kind, "edit the table", "there are edits without a result"));
        } else {
            self.trouble.failures = 0;
        }
    }

    /// The numbers of connections of a service's servers, or why they could not be read.
    pub fn handle_counted(
        &mut self,
        now: Instant,
        service: ServiceKey,
        result: Result<TableStatistics, DataplaneError>,
    ) {
        let counted = match result {
            Ok(statistics) => statistics.services.get(&service).map(|service| service.servers.clone()),
            Err(error) => {
                self.fail(now, &error);
                // Time runs on all the same.
                self.drains.expire(now, service, &mut self.events);
                self.dirty = true;
                return;
            }
        };
        let counted = counted.unwrap_or_default();
        if self.drains.take_count(now, service, &counted, self.believed.service(&service), &mut self.events) {
            // One of them is not there any more, it seems.
            self.suspects.entry(service).or_insert(Suspicion::Unread);
        }
        self.dirty = true;
    }

    /// Whether the data plane was as desired when it was last read or edited; servers that drain may still be there.
    #[must_use]
    pub fn in_sync(&self) -> bool {
        self.reached
            && !self.blind
            && !self.dirty
            && self.suspects.is_empty()
            && self.held.len() == 0
            && self.trouble.error.is_none()
    }

    /// Whether the data plane could ever be read.
    #[must_use]
    pub const fn reached(&self) -> bool {
        self.reached
    }

    /// Edits that were made.
    #[must_use]
    pub const fn edits(&self) -> u64 {
        self.edits
    }

    /// Edits that were refused and wait for their next try.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.held.len()
    }

    /// The servers that are to drain, and how far they are.
    #[must_use]
    pub const fn drains(&self) -> &Drains {
        &self.drains
    }

    /// Why the data plane is not as desired, if that is known: the first reason of perhaps many.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.trouble.error.as_deref().or_else(|| self.held.error())
    }

    fn fail(&mut self, now: Instant, error: &DataplaneError) {
        self.trouble.failures = self.trouble.failures.saturating_add(1);
        self.trouble.until = Some(now + self.options.pause(self.trouble.failures));
        self.trouble.error = Some(error.to_string());
        self.blind = true;
    }

    /// Remembers an edit that was not made.
    fn hold(
        &mut self,
        now: Instant,
        change: Change,
        error: &DataplaneError,
        goal: &Table,
        refused_services: &mut BTreeSet<ServiceKey>,
    ) {
        let drifted = error.kind() == DataplaneErrorKind::Drifted;
        match (&change, drifted) {
            (_, true) => match change.service() {
                Some(key) => {
                    self.suspects.entry(key).or_insert(Suspicion::Unread);
                }
                None => self.next_services = now,
            },
            (Change::AddService(service), false) => {
                refused_services.insert(service.key());
            }
            (_, false) => {}
        }
        let mut error = error.to_string();
        if !drifted && let Some(reason) = exclusion(&change, goal) {
            error = format!("{error}; {reason}");
        }
        self.held.add(now, change, error, drifted, &self.options);
    }

    /// The edits that are to be made now.
    fn changes(&mut self, now: Instant) -> Vec<Change> {
        let goal = self.drains.goal(&self.desired, &self.believed, &mut self.events);
        let wanted = self.believed.changes_to(&goal);
        self.dirty = false;
        if wanted.is_empty() {
            self.believed = goal.with_settings_of(&self.believed);
            self.drifted.clear();
            self.settings_drifted = false;
            self.held.clear();
            self.pressing = false;
            return wanted;
        }
        let all = wanted.len();
        let changes = self.held.without_waiting(now, wanted);
        if !changes.is_empty() {
            self.applying = Some(Applying { goal, whole: changes.len() == all });
        }
        changes
    }

    fn take_everything(&mut self, now: Instant, table: &Table) {
        let first = !self.reached;
        // What changed while nothing was known is nobody else's doing.
        let marks = !self.blind;
        self.blind = false;
        let mut keys: BTreeSet<ServiceKey> =
            self.believed.keys().chain(self.suspects.keys()).copied().collect();
        keys.extend(table.keys().filter(|key| self.is_ours(key, first)));
        for key in keys {
            self.take_service(key, table.service_shared(&key), marks);
        }
        self.alarmed = false;
        self.take_settings(table, marks);
        self.turn.next = now + self.options.turn();
        self.dirty = true;
    }

    fn take_services(&mut self, table: &Table) {
        self.alarmed = false;
        let mut edited = Vec::new();
        for believed in self.believed.services() {
            let key = believed.service().key();
            match table.service(&key) {
                None => {
                    self.suspects.insert(key, Suspicion::Read(None));
                }
                Some(seen) if seen.service() != believed.service() => edited.push(seen.service().clone()),
                Some(_) => {}
            }
        }
        for key in table.keys().filter(|key| self.believed.service(key).is_none()) {
            if self.is_ours(key, false) {
                self.suspects.entry(*key).or_insert(Suspicion::Unread);
            }
        }
        for service in edited {
            self.drifted.insert(service.key());
            self.dirty = true;
            // It is there: nothing can be wrong with that.
            let _ = self.believed.apply(&Change::EditService(service));
        }
        self.take_settings(table, true);
    }

    fn take_settings(&mut self, table: &Table, marks: bool) {
        let before = self.believed.has_settings_of(&self.desired);
        self.believed.set_settings_of(table);
        if !self.believed.has_settings_of(&self.desired) {
            self.dirty = true;
            self.settings_drifted |= before && marks;
        }
    }

    /// Takes in what a reading said of a service. What is missing there is believed gone when a second reading agrees.
    fn take_service(&mut self, key: ServiceKey, seen: Option<&Arc<ServiceTable>>, marks: bool) {
        let suspicion = self.suspects.remove(&key);
        let believed = self.believed.service_shared(&key);
        let missing = match (believed, seen) {
            (Some(_), None) => true,
            // An edit may have made it.
            (None, None) => matches!(suspicion, Some(Suspicion::Unread)),
            (Some(believed), Some(seen)) => {
                believed.servers().any(|server| seen.server(&server.key()).is_none())
            }
            (None, Some(_)) => false,
        };
        let found = match (suspicion, seen) {
            (_, seen) if !missing => seen.cloned(),
            (None | Some(Suspicion::Unread), seen) => {
                self.alarmed |= believed.is_some() && seen.is_none();
                self.suspects.insert(key, Suspicion::Read(seen.cloned()));
                return;
            }
            // What is wrongly believed gone is found there when it is added.
            (Some(Suspicion::Read(_)), None) => None,
            (Some(Suspicion::Read(None)), Some(seen)) => Some(Arc::clone(seen)),
            (Some(Suspicion::Read(Some(first))), Some(seen)) => {
                let mut both = ServiceTable::clone(seen);
                for server in first.servers().filter(|server| seen.server(&server.key()).is_none()) {
                    both.insert(*server);
                }
                Some(Arc::new(both))
            }
        };
        let same = match (believed, &found) {
            (None, None) => true,
            (Some(believed), Some(found)) => believed.is_same(found),
            (None, Some(_)) | (Some(_), None) => false,
        };
        if same {
            return;
        }
        self.dirty = true;
        if marks {
            self.drifted.insert(key);
        }
        match found {
            Some(found) => self.believed.insert(found),
            None => self.believed.remove(&key),
        };
    }

    /// Whether a service that was seen is to be as desired, or to be removed.
    fn is_ours(&self, key: &ServiceKey, first: bool) -> bool {
        match self.options.foreign {
            Foreign::Remove => true,
            Foreign::RemoveAtStart if first => true,
            Foreign::Keep | Foreign::RemoveAtStart => {
                self.desired.service(key).is_some()
                    || self.believed.service(key).is_some()
                    || self.suspects.contains_key(key)
            }
        }
    }

    fn next_in_turn(&mut self, now: Instant) -> Option<ServiceKey> {
        if now >= self.turn.next {
            self.turn.next = now + self.options.turn();
            self.turn.left = self.options.services_each_turn(self.believed.services().len());
        }
        self.turn.left = self.turn.left.checked_sub(1)?;
        let next = self.believed.key_after(self.turn.last.as_ref()).or_else(|| self.believed.key_after(None));
        self.turn.last = next;
        next
    }
}

/// What the kernel's refusal does not say: two things that are desired exclude each other.
fn exclusion(change: &Change, goal: &Table) -> Option<String> {
    let concerned = match change {
        Change::StartDaemon(_) => true,
        Change::AddServer(service, server) | Change::EditServer(service, server) => {
            Family::of(&server.key().address().ip()) != service.family()
        }
        _ => false,
    };
    let daemons = goal.daemons().is_some_and(|daemons| daemons.len() > 0);
    let (service, server) = goal.mixed_families().filter(|_| concerned && daemons)?;
    Some(format!(
        "a sync daemon excludes servers of another address family than their service's (server {server} of {service}): \
         leave out one of them"
    ))
}

/// Failures in a row after which a closed reconciler gives up.
const LAST_TRIES: u32 = 5;

/// So many services are read one by one; with more, everything.
const MOST_SINGLE: usize = 64;

#[cfg(test)]
mod tests;
