//! How the rest of an application talks to a running driver: without ever making it wait.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lvs_core::{ClaimResult, Epoch, Instant, Link, Ownership, Role};
use tokio::sync::watch;

use crate::action::{Gate, Transition};
use crate::clock;
use crate::conflict::ConflictEvent;
use crate::driver::config::InstanceConfig;
use crate::driver::difference::Changes;
use crate::driver::registry::{InstanceFacts, Registry};
use crate::driver::setup::{GroupConfig, Setup};
use crate::driver::shared::{Commands, Shared, lock};
use crate::driver::status::Status;
use crate::error::Error;
use crate::stats::Stats;
use crate::types::Priority;

/// Commands a running [`Driver`](crate::Driver) and watches it. Clones speak to the same driver.
///
/// No call waits but those that change which instances there are. Commands of one kind to one instance or interface
/// supersede each other; the latest is what counts.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl Handle {
    /// The instance of this name, if there is one now.
    #[must_use]
    pub fn instance(&self, name: &str) -> Option<Instance> {
        let registry = self.shared.registry();
        let found = registry.instances.iter().find(|instance| instance.config.name == name)?;
        Some(self.instance_of(&found.facts))
    }

    /// All instances that there are now, in the order of the configuration.
    pub fn instances(&self) -> impl Iterator<Item = Instance> + '_ {
        let registry = self.shared.registry();
        let facts: Vec<_> = registry.instances.iter().map(|instance| Arc::clone(&instance.facts)).collect();
        facts.into_iter().map(|facts| self.instance_of(&facts))
    }

    /// The instances and groups as they are configured now.
    #[must_use]
    pub fn setup(&self) -> Setup {
        self.shared.registry().setup()
    }

    /// Makes the running instances and groups those of a setup, all in one turn of the driver:
    ///
    /// - An instance that is configured as before goes on as if nothing had happened: its role, its timers, the interval
    ///   that it learnt and what [`Instance::set_priority`] and [`Instance::set_gate`] said stay, and no advert is
    ///   late.
    /// - One that is configured otherwise is changed as by [`Instance::reconfigure`], keeping its role.
    /// - One that is there no more ends: as a master it resigns with an advert of priority 0. Its
    ///   [`ownership`](Instance::ownership) says [`Role::Initialize`], its last event is the change to that, and its
    ///   statistics stand still.
    /// - A new one starts, with an open gate. So does one in which something has changed that is fixed while it runs
    ///   (its interface, say), after the one of the same name has ended: an [`Instance`] of before is that of the old one.
    ///
    /// Sockets that no instance needs any more are closed. A group stays as it is if its members do. If it loses
    /// members, the others keep their roles; if it gets new ones, its masters resign until all members can be master
    /// together. A group that is no more ends with [`EventKind::GroupChanged`] to [`Role::Initialize`].
    ///
    /// It waits for the driver: until that [`run`](crate::Driver::run)s, and for those who called before. Cancelling it,
    /// by dropping its future, is safe: then all of it happens, or nothing.
    ///
    /// ```
    /// use lvs_vrrp::{Config, Driver, InstanceConfig, Interval, MemoryNetwork, Priority, Setup, Vrid};
    /// use lvs_vrrp::{Link, LinkAddress, Role};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let router = Config::new(Interval::centis(1)?, Priority::new(150)?);
    /// let [first, second, third] = [1, 2, 3].map(|number| {
    ///     let vip = [10, 0, 0, 100 + number].into();
    ///     InstanceConfig::new(format!("VI_{number}"), "lan", Vrid::new(number).expect("not 0"), vec![vip], router)
    /// });
    /// let own = [10, 0, 0, 1].into();
    /// let transport = MemoryNetwork::new().host([own]);
    /// let (driver, handle, _events) = Driver::with_transport(vec![first, second.clone()], transport)?;
    /// let address = LinkAddress { address: own, prefix_len: 24, tagged: false };
    /// handle.set_link(Link { name: "lan".into(), index: 1, up: true, mac: None, addresses: vec![address] });
    /// tokio::spawn(driver.run());
    ///
    /// let mut ownership = handle.instance("VI_1").expect("it was configured").ownership();
    /// ownership.wait_for(|now| now.role == Role::Master).await?;
    ///
    /// let changes = handle.apply(Setup::from(vec![second, third])).await?;
    /// assert_eq!((&*changes.added, &*changes.removed), (&["VI_3".to_owned()][..], &["VI_1".to_owned()][..]));
    /// assert_eq!(changes.kept, ["VI_2"]);
    /// assert_eq!(ownership.borrow().role, Role::Initialize); // it has resigned
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The setup contradicts itself or the protocol, has too many instances, or needs sockets that cannot be opened, or
    /// the driver has ended. Then nothing has changed. An interface that is missing or down is no error but a fault
    /// of its instances.
    pub async fn apply(&self, setup: impl Into<Setup>) -> Result<Changes, Error> {
        let setup = setup.into();
        Ok(self.change(|_| Ok(setup)).await?.changes)
    }

    /// Adds an instance, which starts at once; see [`apply`](Self::apply), which can also put it into a group.
    ///
    /// # Errors
    /// As of [`apply`](Self::apply): nothing has changed.
    pub async fn add(&self, config: InstanceConfig) -> Result<Instance, Error> {
        let name = config.name.clone();
        let changed = self.change(|mut setup| {
            setup.instances.push(config);
            Ok(setup)
        });
        let registry = changed.await?.registry;
        let added = registry.instances.last().ok_or(Error::UnknownInstance(name))?;
        Ok(self.instance_of(&added.facts))
    }

    /// Ends an instance, which resigns if it is master; see [`apply`](Self::apply).
    ///
    /// # Errors
    /// There is no instance of this name, it is in a group (then [`apply`](Self::apply) a setup whose group lacks it), or
    /// the driver has ended: nothing has changed.
    pub async fn remove(&self, name: &str) -> Result<(), Error> {
        let changed = self.change(|mut setup| {
            let place = setup.instances.iter().position(|config| config.name == name);
            let place = place.ok_or_else(|| Error::UnknownInstance(name.to_owned()))?;
            let is_member = |group: &&GroupConfig| group.members.iter().any(|member| member == name);
            if let Some(group) = setup.groups.iter().find(is_member) {
                return Err(Error::GroupMember { instance: name.to_owned(), group: group.name.clone() });
            }
            setup.instances.remove(place);
            Ok(setup)
        });
        changed.await.map(|_| ())
    }

    /// Has the driver make a setup of the present one.
    async fn change(&self, edit: impl FnOnce(Setup) -> Result<Setup, Error>) -> Result<Changed, Error> {
        let turn = self.shared.turn().await?;
        let before = self.shared.registry();
        let plan = before.plan(edit(before.setup())?, clock::now())?;
        let changes = Changes::of(&plan.difference, &before, &plan.registry);
        let registry = Arc::clone(&plan.registry);
        self.shared.post(plan, turn)?.await.unwrap_or(Err(Error::Ended))?;
        Ok(Changed { changes, registry })
    }

    fn instance_of(&self, facts: &Arc<InstanceFacts>) -> Instance {
        Instance { shared: Arc::clone(&self.shared), facts: Arc::clone(facts) }
    }

    /// States how an interface is now. From the first time on the driver no longer looks at this interface
    /// itself.
    ///
    /// A change of index, state or hardware address opens its sockets anew and joins the groups again. Of the interfaces
    /// that no instance needs 65,536 are remembered; when the driver has ended, none.
    pub fn set_link(&self, link: Link) {
        self.shared.tell_link(link.name.clone(), Some(link));
    }

    /// States that there is no interface of this name now. From then on the driver no longer looks at it
    /// itself.
    pub fn remove_link(&self, name: &str) {
        self.shared.tell_link(name.to_owned(), None);
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
        self.shared.registry().interfaces.get(name).map(|counters| counters.snapshot())
    }

    /// Takes off from the counters of an interface what was read of them, as [`Instance::clear_stats`] does for those
    /// of an instance. Does nothing if no instance is on it.
    pub fn clear_interface_stats(&self, name: &str, seen: &Stats) {
        if let Some(counters) = self.shared.registry().interfaces.get(name) {
            counters.take_off(seen);
        }
    }
}

/// What a change came to.
struct Changed {
    changes: Changes,
    registry: Arc<Registry>,
}

/// One instance of a running driver. When the instance has ended, this goes on to say what was last, and commands are in
/// vain.
#[derive(Clone)]
pub struct Instance {
    shared: Arc<Shared>,
    facts: Arc<InstanceFacts>,
}

impl Instance {
    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.facts.name
    }

    /// Role, mastership and announcements, always the latest. Never reads old news: what changed twice
    /// is seen once.
    ///
    /// It closes when the instance or the driver has ended, however that came: `changed` tells the last change, to
    /// [`Role::Initialize`], and is an error from then on.
    #[must_use]
    pub fn ownership(&self) -> watch::Receiver<Ownership> {
        self.facts.ownership()
    }

    /// States whether the host has all addresses of a mastership. Superseded words are dropped.
    pub fn claimed(&self, epoch: Epoch, result: ClaimResult) {
        self.tell(|commands| commands.claimed = Some((epoch, result)));
    }

    /// Role, priority, master and interval now.
    #[must_use]
    pub fn status(&self) -> Status {
        *self.facts.status()
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
    /// The configuration contradicts itself, the protocol or another instance, or changes what is fixed; the instance
    /// has ended, or [`Handle::apply`] is about to change it. Then all stays as it was.
    pub fn reconfigure(&self, config: InstanceConfig) -> Result<(), Error> {
        self.shared.reconfigure(&self.facts, config)
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
        self.facts.counters.snapshot()
    }

    /// Takes off from the counters what was read of them: afterwards they have what came since. So nothing is lost
    /// between reading and clearing (keepalived's `STATS_CLEAR`).
    ///
    /// ```
    /// # use lvs_vrrp::Instance;
    /// fn report_and_begin_again(instance: &Instance) {
    ///     let seen = instance.stats();
    ///     println!("{}: {} adverts heard since the last report", instance.name(), seen.adverts_received);
    ///     instance.clear_stats(&seen);
    /// }
    /// ```
    pub fn clear_stats(&self, seen: &Stats) {
        self.facts.counters.take_off(seen);
    }

    /// When the last advert of a mastership went out, for whoever renews the lease of its addresses.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        Pulse(Arc::clone(&self.facts))
    }

    /// What the router was told so far, or the latest of it, as text for [`record::replay`](crate::record::replay); `None` if
    /// [`InstanceConfig::record`] did not ask for it. It is whole once the driver has ended; before that the latest
    /// few inputs may be missing, as the driver does not wait for readers.
    #[must_use]
    pub fn recording(&self) -> Option<String> {
        Some(lock(self.facts.record.as_deref()?).text())
    }

    fn tell(&self, set: impl FnOnce(&mut Commands)) {
        set(self.shared.inbox().commands(self.facts.id));
        self.shared.wake.notify_one();
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Instance").field(&self.name()).finish()
    }
}

/// The time of the last advert that left, readable from any thread without a lock.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<InstanceFacts>);

impl Pulse {
    /// When the last advert of this mastership left, on [`now`](crate::clock::now)'s clock; `None` if another
    /// mastership began, or none left yet.
    #[must_use]
    pub fn sent_at(&self, epoch: Epoch) -> Option<Instant> {
        self.0.pulse.sent_at(epoch)
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

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.instance, self.kind)
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// The role changed.
    Changed(Transition),
    /// The effective priority became this one; the role stays.
    PriorityChanged(Priority),
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
            Self::PriorityChanged(priority) => write!(f, "the priority is {priority}"),
            Self::Conflict(conflict) => conflict.fmt(f),
            Self::WantsMaster => f.write_str("waits for its group to become master"),
            Self::GroupChanged(role) => write!(f, "the group is {role}"),
        }
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
