//! How the rest of an application talks to a running driver: without ever making it wait.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lvs_core::{ClaimResult, Epoch, Instant, Link, Ownership, Role};
use tokio::sync::{Notify, watch};

use crate::action::{Gate, Transition};
use crate::conflict::ConflictEvent;
use crate::driver::config;
use crate::driver::config::InstanceConfig;
use crate::driver::member::NO_ADDRESS;
use crate::driver::recorder::SharedRecording;
use crate::error::Error;
use crate::record::Recording;
use crate::router::Router;
use crate::stats::{Counters, Stats};
use crate::types::{Interval, Priority};

/// Commands a running [`Driver`](crate::Driver) and watches it. Clones speak to the same driver.
///
/// No call waits. Commands of one kind to one instance or interface supersede each other; the latest is what
/// counts.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl Handle {
    /// The instance of this name, if there is one.
    #[must_use]
    pub fn instance(&self, name: &str) -> Option<Instance> {
        let index = self.shared.instances.iter().position(|instance| &*instance.name == name)?;
        Some(Instance { shared: Arc::clone(&self.shared), index })
    }

    /// All instances in the order of the configuration.
    pub fn instances(&self) -> impl Iterator<Item = Instance> + '_ {
        (0..self.shared.instances.len()).map(|index| Instance { shared: Arc::clone(&self.shared), index })
    }

    /// States how an interface is now. From the first time on the driver no longer looks at this interface
    /// itself.
    ///
    /// A change of index, state or hardware address opens its sockets anew and joins the groups again.
    pub fn set_link(&self, link: Link) {
        self.shared.inbox().links.insert(link.name.clone(), Some(link));
        self.shared.wake.notify_one();
    }

    /// States that there is no interface of this name now. From then on the driver no longer looks at it
    /// itself.
    pub fn remove_link(&self, name: &str) {
        self.shared.inbox().links.insert(name.to_owned(), None);
        self.shared.wake.notify_one();
    }

    /// Asks the driver to end: every master resigns, then [`Driver::run`](crate::Driver::run) returns.
    pub fn shutdown(&self) {
        self.shared.inbox().shutdown = true;
        self.shared.wake.notify_one();
    }

    /// What was refused on this interface without being meant for one of its instances: damaged packets and
    /// other virtual routers. `None` if no instance is on it.
    #[must_use]
    pub fn interface_stats(&self, name: &str) -> Option<Stats> {
        self.shared.interfaces.get(name).map(|counters| counters.snapshot())
    }
}

/// One instance of a running driver.
#[derive(Clone)]
pub struct Instance {
    shared: Arc<Shared>,
    index: usize,
}

impl Instance {
    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.facts().name
    }

    /// Role, mastership and announcements, always the latest. Never reads old news: what changed twice
    /// is seen once.
    #[must_use]
    pub fn ownership(&self) -> watch::Receiver<Ownership> {
        self.facts().ownership.subscribe()
    }

    /// States whether the host has all addresses of a mastership. Superseded words are dropped.
    pub fn claimed(&self, epoch: Epoch, result: ClaimResult) {
        self.tell(|commands| commands.claimed = Some((epoch, result)));
    }

    /// Role, priority, master and interval now.
    #[must_use]
    pub fn status(&self) -> Status {
        *self.facts().status()
    }

    /// Changes what the instance is, keeping its role: priority, interval, addresses, delivery, authentication and
    /// the rest. Fixed are its name, interfaces and identifier, the family of its addresses and the room of its
    /// recording. The priority becomes that of the new configuration, whatever [`set_priority`](Self::set_priority)
    /// said before.
    ///
    /// A master tells the others of a new interval at once. Which addresses are to be claimed is not the driver's
    /// matter: the application tells that to whoever holds them.
    ///
    /// # Errors
    /// The configuration contradicts itself, the protocol or another instance, or changes what is fixed: then
    /// all stays as it was.
    pub fn reconfigure(&self, config: InstanceConfig) -> Result<(), Error> {
        let mut configs = lock(&self.shared.configs);
        config::check_change(&configs, self.index, &config)?;
        let config = Arc::new(config);
        if let Some(known) = configs.get_mut(self.index) {
            *known = Arc::clone(&config);
        }
        self.tell(|commands| {
            commands.config = Some(config);
            // It was set before.
            commands.priority = None;
        });
        Ok(())
    }

    /// Changes the effective priority.
    pub fn set_priority(&self, priority: Priority) {
        self.tell(|commands| commands.priority = Some(priority));
    }

    /// Opens or closes the way to mastership, for what the application tracks and for groups. The state of
    /// the interface is looked after by the driver and needs no gate.
    pub fn set_gate(&self, gate: Gate) {
        self.tell(|commands| commands.gate = Some(gate));
    }

    /// The counters now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.facts().counters.snapshot()
    }

    /// When the last advert of a mastership went out, for whoever renews the lease of its addresses.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        Pulse(self.clone())
    }

    /// What the router was told so far, or the latest of it, as text for [`record::replay`](crate::record::replay); `None` if
    /// [`InstanceConfig::record`] did not ask for it. It is whole once the driver has ended; before that the latest
    /// few inputs may be missing, as the driver does not wait for readers.
    #[must_use]
    pub fn recording(&self) -> Option<String> {
        Some(lock(self.facts().record.as_deref()?).text())
    }

    fn facts(&self) -> &InstanceFacts {
        // `index` came from this list, which never changes.
        &self.shared.instances[self.index]
    }

    fn tell(&self, set: impl FnOnce(&mut Commands)) {
        set(self.shared.inbox().instances.entry(self.index).or_default());
        self.shared.wake.notify_one();
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Instance").field(&self.name()).finish()
    }
}

/// How an instance stands, at one moment. With the feature `serde` it can be serialised: a map of the fields by their
/// names, times in nanoseconds on [`now`](crate::clock::now)'s clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Its role.
    pub role: Role,
    /// Since when it has this role, on [`now`](crate::clock::now)'s clock.
    pub since: Instant,
    /// Its effective priority.
    pub priority: Priority,
    /// The address that the master sends from: its own as master, as backup that of the router heard last, if any.
    pub master: Option<IpAddr>,
    /// The interval that it goes by: as a backup in version 3 the master's, if one was heard.
    pub master_interval: Interval,
}

#[cfg(feature = "serde")]
impl serde::Serialize for Status {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;

        let Self { role, since, priority, master, master_interval } = self;
        let mut map = serializer.serialize_struct("Status", 5)?;
        map.serialize_field("role", &role.to_string())?;
        map.serialize_field("since", &since.as_nanos())?;
        map.serialize_field("priority", &priority.get())?;
        map.serialize_field("master", &master.map(|address| address.to_string()))?;
        map.serialize_field("master_interval", &master_interval.duration().as_nanos())?;
        map.end()
    }
}

impl Status {
    pub(crate) fn new(router: &Router, now: Instant) -> Self {
        Self {
            role: router.role(),
            since: now,
            priority: router.config().priority(),
            master: None,
            master_interval: router.master_interval(),
        }
    }

    /// Takes over how a router stands now; answers whether it stood otherwise before.
    pub(crate) fn follow(&mut self, router: &Router, now: Instant) -> bool {
        let role = router.role();
        let master = match role {
            Role::Master => Some(router.address()),
            Role::Backup if self.role == Role::Backup => self.master,
            Role::Initialize | Role::Backup | Role::Fault => None,
        };
        let since = if role == self.role { self.since } else { now };
        let (priority, master_interval) = (router.config().priority(), router.master_interval());
        let before = std::mem::replace(self, Self { role, since, priority, master, master_interval });
        before != *self
    }
}

/// The time of the last advert that left, readable from any thread without a lock.
#[derive(Clone, Debug)]
pub struct Pulse(Instance);

impl Pulse {
    /// When the last advert of this mastership left, on [`now`](crate::clock::now)'s clock; `None` if another
    /// mastership began, or none left yet.
    #[must_use]
    pub fn sent_at(&self, epoch: Epoch) -> Option<Instant> {
        self.0.facts().pulse.sent_at(epoch)
    }
}

#[derive(Debug, Default)]
pub(crate) struct PulseCell {
    epoch: AtomicU64,
    sent_at: AtomicU64,
}

impl PulseCell {
    /// Called by the driver's thread only.
    pub(crate) fn beat(&self, epoch: Epoch, now: Instant) {
        if self.epoch.load(Ordering::SeqCst) != epoch.value() {
            // In this order a reader of the new epoch never sees a time of the old one.
            self.sent_at.store(0, Ordering::SeqCst);
            self.epoch.store(epoch.value(), Ordering::SeqCst);
        }
        self.sent_at.store(now.as_nanos(), Ordering::SeqCst);
    }

    fn sent_at(&self, epoch: Epoch) -> Option<Instant> {
        let before = self.epoch.load(Ordering::SeqCst);
        let sent_at = self.sent_at.load(Ordering::SeqCst);
        let after = self.epoch.load(Ordering::SeqCst);
        let is_current = before == epoch.value() && after == before && sent_at != 0;
        is_current.then(|| Instant::from_nanos(sent_at))
    }
}

/// Something that happened to an instance, for logs and notification scripts. Who acts on ownership watches
/// [`Instance::ownership`] instead: events can be lost when nobody reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// Name of the instance, or of the group for [`EventKind::GroupChanged`].
    pub instance: Arc<str>,
    /// When it happened, on [`now`](crate::clock::now)'s clock.
    pub at: Instant,
    /// What happened.
    pub kind: EventKind,
    /// Events lost just before this one because the channel was full.
    pub missed: u64,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// The role changed.
    Changed(Transition),
    /// Another router is master too, or is not any more.
    Conflict(ConflictEvent),
    /// It would be master if its gate were open.
    WantsMaster,
    /// The role of a group changed to this. It comes behind the changes of its members; the first tells how the
    /// group begins.
    GroupChanged(Role),
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(transition) => transition.fmt(f),
            Self::Conflict(conflict) => conflict.fmt(f),
            Self::WantsMaster => f.write_str("waits for its group to become master"),
            Self::GroupChanged(role) => write!(f, "the group is {role}"),
        }
    }
}

/// What driver and handles share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) instances: Vec<InstanceFacts>,
    pub(crate) interfaces: BTreeMap<String, Counters>,
    pub(crate) wake: Notify,
    /// The instances as they are configured now.
    configs: Mutex<Vec<Arc<InstanceConfig>>>,
    inbox: Mutex<Inbox>,
    /// Whether the inbox has anything, so that the driver need not lock to find out.
    has_mail: AtomicBool,
}

impl Shared {
    pub(crate) fn new(
        instances: Vec<InstanceFacts>,
        interfaces: BTreeMap<String, Counters>,
        configs: Vec<Arc<InstanceConfig>>,
    ) -> Self {
        let (wake, inbox, configs) = (Notify::new(), Mutex::default(), Mutex::new(configs));
        Self { instances, interfaces, wake, configs, inbox, has_mail: AtomicBool::new(false) }
    }

    /// Takes all commands that came since the last time.
    pub(crate) fn take_commands(&self) -> Option<Inbox> {
        // Taken back before the commands are read: one that comes meanwhile sets it again.
        self.has_mail.swap(false, Ordering::SeqCst).then(|| std::mem::take(&mut *lock(&self.inbox)))
    }

    fn inbox(&self) -> Mail<'_> {
        Mail { inbox: lock(&self.inbox), has_mail: &self.has_mail }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is done under these locks that could leave it half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
pub(crate) struct InstanceFacts {
    pub(crate) name: Arc<str>,
    pub(crate) ownership: watch::Sender<Ownership>,
    pub(crate) counters: Counters,
    pub(crate) pulse: PulseCell,
    pub(crate) record: Option<SharedRecording>,
    status: Mutex<Status>,
}

impl InstanceFacts {
    pub(crate) fn new(config: &InstanceConfig, now: Instant) -> Self {
        let router = Router::new(config.router, NO_ADDRESS);
        let record = config.record.map(|room| {
            let recording = Recording::new(now, &config.router, NO_ADDRESS, room);
            Arc::new(Mutex::new(recording))
        });
        Self {
            name: config.name.as_str().into(),
            ownership: watch::Sender::new(Ownership::default()),
            counters: Counters::default(),
            pulse: PulseCell::default(),
            record,
            status: Mutex::new(Status::new(&router, now)),
        }
    }

    pub(crate) fn tell_status(&self, status: &Status) {
        *self.status() = *status;
    }

    fn status(&self) -> MutexGuard<'_, Status> {
        lock(&self.status)
    }
}

/// Commands not yet taken: at most one of each kind for each interface and instance.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    pub(crate) links: BTreeMap<String, Option<Link>>,
    pub(crate) instances: BTreeMap<usize, Commands>,
    pub(crate) shutdown: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Commands {
    pub(crate) config: Option<Arc<InstanceConfig>>,
    pub(crate) claimed: Option<(Epoch, ClaimResult)>,
    pub(crate) priority: Option<Priority>,
    pub(crate) gate: Option<Gate>,
}

/// The locked inbox; flags the mail when it is let go.
struct Mail<'a> {
    inbox: MutexGuard<'a, Inbox>,
    has_mail: &'a AtomicBool,
}

impl std::ops::Deref for Mail<'_> {
    type Target = Inbox;

    fn deref(&self) -> &Inbox {
        &self.inbox
    }
}

impl std::ops::DerefMut for Mail<'_> {
    fn deref_mut(&mut self) -> &mut Inbox {
        &mut self.inbox
    }
}

impl Drop for Mail<'_> {
    fn drop(&mut self) {
        self.has_mail.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pulse_belongs_to_one_mastership() {
        let pulse = PulseCell::default();
        let (first, second) = (Epoch::NONE.next(), Epoch::NONE.next().next());
        assert_eq!(pulse.sent_at(first), None);
        pulse.beat(first, Instant::from_nanos(7));
        assert_eq!(pulse.sent_at(first), Some(Instant::from_nanos(7)));
        pulse.beat(second, Instant::from_nanos(9));
        assert_eq!(pulse.sent_at(first), None);
        assert_eq!(pulse.sent_at(second), Some(Instant::from_nanos(9)));
    }
}
