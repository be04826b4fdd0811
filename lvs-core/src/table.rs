//! A table of virtual services, desired or observed, and the edits that lead from one to the other.

mod servers;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use self::servers::Servers;
use crate::service::{Family, RealServer, ServerKey, ServiceKey, VirtualService};
use crate::settings::{SyncDaemon, SyncRole, Timeouts};

/// A virtual service with its real servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceTable {
    service: VirtualService,
    servers: Servers,
    /// Servers that are to leave when their connections have ended, and how long they may take; in what is desired.
    draining: BTreeMap<ServerKey, Duration>,
}

impl ServiceTable {
    /// A service without servers.
    #[must_use]
    pub const fn new(service: VirtualService) -> Self {
        Self { service, servers: Servers::new(), draining: BTreeMap::new() }
    }

    /// The same service with these servers and no others, none of which drains; of those with the same key the last.
    ///
    /// Cheaper than [`insert`](Self::insert) for each of them, most of all if they are sorted, either way.
    #[must_use]
    pub fn with_servers(self, servers: impl IntoIterator<Item = RealServer>) -> Self {
        Self { servers: servers.into_iter().collect(), ..Self::new(self.service) }
    }

    /// Puts a server in; the one with the same key is replaced and returned. If it was to drain, it does no more.
    pub fn insert(&mut self, server: RealServer) -> Option<RealServer> {
        self.draining.remove(&server.key());
        self.servers.insert(server)
    }

    /// Takes a server out. If it is there it leaves at once, with the connections it has.
    pub fn remove(&mut self, server: &ServerKey) -> Option<RealServer> {
        self.draining.remove(server);
        self.servers.remove(server)
    }

    /// Takes a server out as soon as it has no connections ([`ServerStatistics::open_connections`]), and after `within` in
    /// any case.
    ///
    /// [`ServerStatistics::open_connections`]: crate::ServerStatistics::open_connections
    ///
    /// This is for what is desired: an applier that finds the server in the data plane leaves it there with weight 0,
    /// so that it gets no new connections, watches those that it has, and removes it. A server that is not there stays
    /// away. The time counts from when the applier is told; a duration and not a point in time, so that a table is a
    /// value that means the same on every clock.
    ///
    /// ```
    /// use std::time::Duration;
    /// use lvs_core::{Protocol, RealServer, ServerKey, ServiceKey, ServiceTable, VirtualService};
    ///
    /// let mut service = ServiceTable::new(VirtualService::new(ServiceKey::address(Protocol::Tcp, "10.0.0.1:80".parse()?)));
    /// let server = ServerKey::new("10.0.0.3:80".parse()?);
    /// service.insert(RealServer::new(server));
    /// service.drain(server, Duration::from_secs(60));
    /// assert_eq!(service.servers().len(), 0);
    /// assert_eq!(service.draining().next(), Some((server, Duration::from_secs(60))));
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn drain(&mut self, server: ServerKey, within: Duration) -> Option<RealServer> {
        self.draining.insert(server, within);
        self.servers.remove(&server)
    }

    /// The servers that are to leave when their connections have ended, and the longest time they may take.
    pub fn draining(&self) -> impl ExactSizeIterator<Item = (ServerKey, Duration)> {
        self.draining.iter().map(|(server, within)| (*server, *within))
    }

    /// Puts a server in that drains; it goes on doing so.
    pub(crate) fn insert_draining(&mut self, server: RealServer) {
        self.servers.insert(server);
    }

    /// Whether a data plane that has the one has the other.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.service == other.service && self.servers == other.servers
    }

    /// The service.
    #[must_use]
    pub const fn service(&self) -> &VirtualService {
        &self.service
    }

    /// The server with that key.
    #[must_use]
    pub fn server(&self, key: &ServerKey) -> Option<&RealServer> {
        self.servers.get(key)
    }

    /// All servers in the order of their keys.
    pub fn servers(&self) -> impl ExactSizeIterator<Item = &RealServer> {
        self.servers.iter()
    }

    /// Appends the edits that make this service equal to `desired`, which has the same key.
    fn changes_to(&self, desired: &Self, changes: &mut Changes) {
        let key = self.service.key();
        if self.service != desired.service {
            changes.edits.push(Change::EditService(desired.service.clone()));
        }
        if self.servers == desired.servers {
            return;
        }
        for pair in join(keyed(&self.servers), keyed(&desired.servers)) {
            match pair {
                Pair::Both(present, wanted) if present == wanted => {}
                // A server that is to get new connections comes before one that is to get none.
                Pair::Both(present, wanted) if wanted.weight() < present.weight() => {
                    changes.reductions.push(Change::EditServer(key, *wanted));
                }
                Pair::Both(_, wanted) => changes.edits.push(Change::EditServer(key, *wanted)),
                Pair::Right(_, wanted) => changes.additions.push(Change::AddServer(key, *wanted)),
                Pair::Left(server) => changes.removals.push(Change::RemoveServer(key, server)),
            }
        }
    }
}

/// Virtual services by key, and what holds for all of them: what there should be, or what a data plane was seen to have.
///
/// Timeouts and sync daemons that a table does not name are, in what is desired, left as they are; in what was
/// observed, not known.
///
/// ```
/// use lvs_core::{Change, Protocol, RealServer, ServerKey, ServiceKey, ServiceTable, Table, VirtualService};
///
/// let key = ServiceKey::address(Protocol::Tcp, "10.0.0.1:80".parse()?);
/// let mut service = ServiceTable::new(VirtualService::new(key));
/// service.insert(RealServer::new(ServerKey::new("10.0.0.3:80".parse()?)));
/// let desired = Table::from_iter([service]);
///
/// let observed = Table::default();
/// let changes = observed.changes_to(&desired);
/// assert!(matches!(changes[..], [Change::AddService(_), Change::AddServer(..)]));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Table {
    // Shared, all of them and each of them, so that a copy costs nothing and what nobody touched is known equal by its
    // address.
    services: Arc<BTreeMap<ServiceKey, Arc<ServiceTable>>>,
    timeouts: Option<Timeouts>,
    daemons: Option<BTreeMap<SyncRole, SyncDaemon>>,
}

impl Table {
    /// Puts a service in; the one with the same key is replaced and returned.
    pub fn insert(&mut self, service: impl Into<Arc<ServiceTable>>) -> Option<Arc<ServiceTable>> {
        let service = service.into();
        self.services_mut().insert(service.service.key(), service)
    }

    /// Takes a service out, with its servers.
    pub fn remove(&mut self, key: &ServiceKey) -> Option<Arc<ServiceTable>> {
        self.services_mut().remove(key)
    }

    /// Keeps the services whose keys fulfil the condition.
    pub fn retain(&mut self, mut keep: impl FnMut(&ServiceKey) -> bool) {
        self.services_mut().retain(|key, _| keep(key));
    }

    /// The service with that key.
    #[must_use]
    pub fn service(&self, key: &ServiceKey) -> Option<&ServiceTable> {
        self.services.get(key).map(Arc::as_ref)
    }

    /// The same, shared.
    pub(crate) fn service_shared(&self, key: &ServiceKey) -> Option<&Arc<ServiceTable>> {
        self.services.get(key)
    }

    /// The service with that key, to change its servers.
    pub fn service_mut(&mut self, key: &ServiceKey) -> Option<&mut ServiceTable> {
        if !self.services.contains_key(key) {
            return None;
        }
        self.services_mut().get_mut(key).map(Arc::make_mut)
    }

    /// The first key after another one, or of all.
    pub(crate) fn key_after(&self, last: Option<&ServiceKey>) -> Option<ServiceKey> {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        self.services.range((from, Bound::Unbounded)).next().map(|(key, _)| *key)
    }

    /// All services in the order of their keys.
    pub fn services(&self) -> impl ExactSizeIterator<Item = &ServiceTable> {
        self.services.values().map(Arc::as_ref)
    }

    /// The keys of all services, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &ServiceKey> {
        self.services.keys()
    }

    /// Whether there is no service.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    /// The same table with these connection timeouts ([bounded](Timeouts::bounded)).
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = Some(timeouts.bounded());
        self
    }

    /// The same table with these sync daemons and no others; of two in the same role the later one stays.
    #[must_use]
    pub fn with_daemons(mut self, daemons: impl IntoIterator<Item = SyncDaemon>) -> Self {
        self.daemons = Some(daemons.into_iter().map(|daemon| (daemon.role(), daemon)).collect());
        self
    }

    /// The same services with the timeouts and sync daemons of another table.
    #[must_use]
    pub fn with_settings_of(mut self, other: &Self) -> Self {
        self.set_settings_of(other);
        self
    }

    /// Takes over the timeouts and sync daemons of another table.
    pub(crate) fn set_settings_of(&mut self, other: &Self) {
        self.timeouts = other.timeouts;
        self.daemons.clone_from(&other.daemons);
    }

    /// The connection timeouts, if the table says anything about them.
    #[must_use]
    pub const fn timeouts(&self) -> Option<Timeouts> {
        self.timeouts
    }

    /// The sync daemons, if the table says anything about them.
    #[must_use]
    pub fn daemons(&self) -> Option<impl ExactSizeIterator<Item = &SyncDaemon>> {
        self.daemons.as_ref().map(BTreeMap::values)
    }

    /// A server whose address is of another family than its service's, if there is one. Linux takes it in a tunnel only, and
    /// not while a sync daemon runs; nor does it start one while there is such a server.
    #[must_use]
    pub fn mixed_families(&self) -> Option<(ServiceKey, ServerKey)> {
        self.services().find_map(|service| {
            let key = service.service.key();
            let other = |server: &&RealServer| Family::of(&server.key().address().ip()) != key.family();
            service.servers().find(other).map(|server| (key, server.key()))
        })
    }

    /// The edits that lead from this table (observed) to `desired`, in an order that never leaves a service
    /// without a server it could have: additions, then edits, of which those that lower a weight come last, then removals.
    /// Sync daemons stop before all that and start after it, since they and servers of another family exclude each other.
    ///
    /// Equal tables give no edits. Services that both tables share (copies of one [`Arc`]) cost one comparison; apart
    /// from that it is linear in the size of both tables.
    #[must_use]
    pub fn changes_to(&self, desired: &Self) -> Vec<Change> {
        let mut changes = Changes::default();
        let same = Arc::ptr_eq(&self.services, &desired.services);
        for pair in join(pairs(&self.services), pairs(&desired.services)).take_while(|_| !same) {
            match pair {
                Pair::Both(present, wanted) if Arc::ptr_eq(present, wanted) => {}
                Pair::Both(present, wanted) => present.changes_to(wanted, &mut changes),
                Pair::Right(key, wanted) => {
                    changes.additions.push(Change::AddService(wanted.service.clone()));
                    let servers = wanted.servers.iter();
                    changes.additions.extend(servers.map(|server| Change::AddServer(key, *server)));
                }
                Pair::Left(key) => changes.removals.push(Change::RemoveService(key)),
            }
        }
        self.settings_changes_to(desired, &mut changes);
        changes.in_order()
    }

    /// Its own copy of the list; the services in it stay shared.
    fn services_mut(&mut self) -> &mut BTreeMap<ServiceKey, Arc<ServiceTable>> {
        Arc::make_mut(&mut self.services)
    }

    /// Whether timeouts and sync daemons are as `desired` wants them.
    pub(crate) fn has_settings_of(&self, desired: &Self) -> bool {
        let mut changes = Changes::default();
        self.settings_changes_to(desired, &mut changes);
        changes.in_order().is_empty()
    }

    fn settings_changes_to(&self, desired: &Self, changes: &mut Changes) {
        if let Some(wanted) = desired.timeouts {
            let present = self.timeouts.unwrap_or(Timeouts::UNCHANGED);
            if wanted.over(present) != present {
                changes.edits.push(Change::SetTimeouts(wanted));
            }
        }
        if let Some(wanted) = &desired.daemons {
            changes.daemons(self.daemons.as_ref().unwrap_or(&BTreeMap::new()), wanted);
        }
    }

    /// Applies one edit to this value; what the fake data plane and the tests do instead of a kernel.
    ///
    /// # Errors
    /// As the kernel: adding what is there, or editing and removing what is not.
    pub fn apply(&mut self, change: &Change) -> Result<(), Conflict> {
        match change {
            Change::AddService(service) => {
                if self.services.contains_key(&service.key()) {
                    return Err(Conflict::Exists);
                }
                self.insert(ServiceTable::new(service.clone()));
            }
            Change::EditService(service) => {
                self.service_mut(&service.key()).ok_or(Conflict::Absent)?.service = service.clone();
            }
            Change::RemoveService(key) => {
                self.remove(key).ok_or(Conflict::Absent)?;
            }
            Change::AddServer(key, server) => {
                let service = self.service_mut(key).ok_or(Conflict::Absent)?;
                if service.servers.get(&server.key()).is_some() {
                    return Err(Conflict::Exists);
                }
                service.servers.insert(*server);
            }
            Change::EditServer(key, server) => {
                let service = self.service_mut(key).ok_or(Conflict::Absent)?;
                service.servers.get(&server.key()).ok_or(Conflict::Absent)?;
                service.servers.insert(*server);
            }
            Change::RemoveServer(key, server) => {
                let service = self.service_mut(key).ok_or(Conflict::Absent)?;
                service.servers.remove(server).ok_or(Conflict::Absent)?;
            }
            Change::SetTimeouts(timeouts) => {
                self.timeouts = Some(timeouts.over(self.timeouts.unwrap_or(Timeouts::UNCHANGED)));
            }
            Change::StartDaemon(daemon) => match self.daemons.get_or_insert_default().entry(daemon.role()) {
                Entry::Occupied(_) => return Err(Conflict::Exists),
                Entry::Vacant(place) => {
                    place.insert(daemon.clone());
                }
            },
            Change::StopDaemon(role) => {
                self.daemons.as_mut().and_then(|daemons| daemons.remove(role)).ok_or(Conflict::Absent)?;
            }
        }
        Ok(())
    }
}

impl<S: Into<Arc<ServiceTable>>> FromIterator<S> for Table {
    fn from_iter<I: IntoIterator<Item = S>>(services: I) -> Self {
        let mut table = Self::default();
        for service in services {
            table.insert(service);
        }
        table
    }
}

/// One edit of a table. The set is closed: it is what a data plane can be asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Create a service without servers.
    AddService(VirtualService),
    /// Change scheduler, persistence or flags in place; connections and servers stay.
    EditService(VirtualService),
    /// Delete a service with its servers.
    RemoveService(ServiceKey),
    /// Add a server to a service.
    AddServer(ServiceKey, RealServer),
    /// Change weight, forwarding or thresholds in place; connections stay.
    EditServer(ServiceKey, RealServer),
    /// Delete a server from a service.
    RemoveServer(ServiceKey, ServerKey),
    /// Set the connection timeouts; those that are 0 stay as they are.
    SetTimeouts(Timeouts),
    /// Start a sync daemon; there must be none in that role.
    StartDaemon(SyncDaemon),
    /// Stop the sync daemon in that role.
    StopDaemon(SyncRole),
}

impl Change {
    /// The service that the edit touches; nothing if it touches none.
    #[must_use]
    pub const fn service(&self) -> Option<ServiceKey> {
        match self {
            Self::AddService(service) | Self::EditService(service) => Some(service.key()),
            Self::RemoveService(key)
            | Self::AddServer(key, _)
            | Self::EditServer(key, _)
            | Self::RemoveServer(key, _) => Some(*key),
            Self::SetTimeouts(_) | Self::StartDaemon(_) | Self::StopDaemon(_) => None,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddService(service) => write!(f, "add service {}", service.key()),
            Self::EditService(service) => write!(f, "edit service {}", service.key()),
            Self::RemoveService(key) => write!(f, "remove service {key}"),
            Self::AddServer(key, server) => {
                write!(f, "add destination {} (weight {}) to {key}", server.key(), server.weight())
            }
            Self::EditServer(key, server) => {
                write!(f, "edit destination {} (weight {}) of {key}", server.key(), server.weight())
            }
            Self::RemoveServer(key, server) => write!(f, "remove destination {server} from {key}"),
            Self::SetTimeouts(timeouts) => write!(f, "set the connection timeouts ({timeouts})"),
            Self::StartDaemon(daemon) => write!(f, "start {daemon}"),
            Self::StopDaemon(role) => write!(f, "stop sync daemon {role}"),
        }
    }
}

/// Why an edit does not fit the table it is applied to. The set is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The service or server to add is there already.
    #[error("exists already")]
    Exists,
    /// The service or server to change is not there.
    #[error("does not exist")]
    Absent,
}

/// One key of two sorted lists that are walked side by side.
enum Pair<'a, K, V> {
    Left(K),
    Right(K, &'a V),
    Both(&'a V, &'a V),
}

/// Walks two lists in the order of their keys: every key of either comes once. Linear, without a single lookup.
fn join<'a, K: Ord, V: 'a>(
    left: impl Iterator<Item = (K, &'a V)>,
    right: impl Iterator<Item = (K, &'a V)>,
) -> impl Iterator<Item = Pair<'a, K, V>> {
    let mut left = left.peekable();
    let mut right = right.peekable();
    std::iter::from_fn(move || {
        let order = match (left.peek(), right.peek()) {
            (Some((a, _)), Some((b, _))) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return None,
        };
        match order {
            Ordering::Less => left.next().map(|(key, _)| Pair::Left(key)),
            Ordering::Greater => right.next().map(|(key, value)| Pair::Right(key, value)),
            Ordering::Equal => left.next().zip(right.next()).map(|((_, a), (_, b))| Pair::Both(a, b)),
        }
    })
}

/// The entries of a map, for [`join`].
fn pairs<K: Copy, V>(map: &BTreeMap<K, V>) -> impl Iterator<Item = (K, &V)> {
    map.iter().map(|(key, value)| (*key, value))
}

/// The servers with their keys, for [`join`].
fn keyed(servers: &Servers) -> impl Iterator<Item = (ServerKey, &RealServer)> {
    servers.iter().map(|server| (server.key(), server))
}

/// Edits by kind, so that additions come before removals.
#[derive(Default)]
struct Changes {
    /// Sync daemons that end. They keep servers of another family out, so they go first and come last.
    stops: Vec<Change>,
    additions: Vec<Change>,
    edits: Vec<Change>,
    /// Edits that give a server a lower weight.
    reductions: Vec<Change>,
    removals: Vec<Change>,
    /// Sync daemons that begin.
    starts: Vec<Change>,
}

impl Changes {
    /// A daemon is not edited but stopped and started, in this order.
    fn daemons(
        &mut self,
        present: &BTreeMap<SyncRole, SyncDaemon>,
        desired: &BTreeMap<SyncRole, SyncDaemon>,
    ) {
        for pair in join(pairs(present), pairs(desired)) {
            match pair {
                Pair::Both(present, wanted) if wanted.is_met_by(present) => {}
                Pair::Both(_, wanted) => {
                    self.stops.push(Change::StopDaemon(wanted.role()));
                    self.starts.push(Change::StartDaemon(wanted.clone()));
                }
                Pair::Right(_, wanted) => self.starts.push(Change::StartDaemon(wanted.clone())),
                Pair::Left(role) => self.stops.push(Change::StopDaemon(role)),
            }
        }
    }

    fn in_order(self) -> Vec<Change> {
        let mut all = self.stops;
        for more in [self.additions, self.edits, self.reductions, self.removals, self.starts] {
            all.extend(more);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::service::{Protocol, Weight};

    fn key(last: u8) -> ServiceKey {
        ServiceKey::address(Protocol::Tcp, ([10, 0, 0, last], 80).into())
    }

    fn server(last: u8, weight: u32) -> RealServer {
        RealServer::new(ServerKey::new(([10, 0, 1, last], 80).into()))
            .with_weight(Weight::new(weight).unwrap())
    }

    fn table() -> impl Strategy<Value = Table> {
        let servers = prop::collection::btree_map(0..6u8, 0..3u32, 0..5);
        prop::collection::btree_map(0..6u8, (prop::bool::ANY, servers), 0..5).prop_map(|services| {
            services
                .into_iter()
                .map(|(last, (round_robin, servers))| {
                    let mut service = VirtualService::new(key(last));
                    if round_robin {
                        service = service.with_scheduler("rr".parse().unwrap());
                    }
                    let mut table = ServiceTable::new(service);
                    for (last, weight) in servers {
                        table.insert(server(last, weight));
                    }
                    table
                })
                .collect()
        })
    }

    /// Timeouts and daemons, of any kind, or nothing about them.
    fn settings() -> impl Strategy<Value = Table> {
        let timeouts = prop::option::of(prop::array::uniform3(0..3_000_u64));
        let daemon = (prop::option::of(1..=65_507_u16), prop::bool::ANY);
        let daemons = prop::option::of(prop::array::uniform2(prop::option::of(daemon)));
        (timeouts, daemons).prop_map(|(timeouts, daemons)| {
            let mut table = Table::default();
            if let Some([tcp, tcp_fin, udp]) = timeouts.map(|all| all.map(Duration::from_millis)) {
                table = table.with_timeouts(Timeouts { tcp, tcp_fin, udp });
            }
            let Some(daemons) = daemons else { return table };
            let daemons = [SyncRole::Master, SyncRole::Backup].into_iter().zip(daemons);
            table.with_daemons(daemons.filter_map(|(role, daemon)| {
                let (length, six) = daemon?;
                let group = if six { "ff02::51" } else { "224.0.0.81" };
                let daemon =
                    SyncDaemon::new(role, "eth0").unwrap().with_group(group.parse().unwrap()).unwrap();
                Some(length.map_or(daemon.clone(), |length| daemon.with_max_length(length).unwrap()))
            }))
        })
    }

    #[test]
    fn of_servers_with_the_same_key_the_last_is_kept() {
        let service = ServiceTable::new(VirtualService::new(key(1)));
        let mut inserted = service.clone();
        let servers = [server(2, 1), server(1, 1), server(2, 0)];
        for server in servers {
            inserted.insert(server);
        }
        assert_eq!(service.with_servers([server(9, 1)]).with_servers(servers), inserted);
    }

    #[test]
    fn a_changed_weight_is_one_edit_in_place() {
        let mut observed = ServiceTable::new(VirtualService::new(key(1)));
        observed.insert(server(1, 1));
        let mut desired = observed.clone();
        desired.insert(server(1, 0));
        let changes = Table::from_iter([observed]).changes_to(&Table::from_iter([desired]));
        assert_eq!(changes, [Change::EditServer(key(1), server(1, 0))]);
    }

    #[test]
    fn a_new_server_is_added_before_the_old_one_is_removed() {
        let mut observed = ServiceTable::new(VirtualService::new(key(1)));
        observed.insert(server(1, 1));
        let mut desired = ServiceTable::new(VirtualService::new(key(1)));
        desired.insert(server(2, 1));
        let changes = Table::from_iter([observed]).changes_to(&Table::from_iter([desired]));
        assert_eq!(
            changes,
            [Change::AddServer(key(1), server(2, 1)), Change::RemoveServer(key(1), server(1, 1).key())]
        );
    }

    #[test]
    fn a_server_gets_its_weight_before_another_loses_it() {
        let swap = |first, second| {
            let mut table = ServiceTable::new(VirtualService::new(key(1)));
            table.insert(server(1, first));
            table.insert(server(2, second));
            Table::from_iter([table])
        };
        let changes = swap(1, 0).changes_to(&swap(0, 1));
        assert_eq!(
            changes,
            [Change::EditServer(key(1), server(2, 1)), Change::EditServer(key(1), server(1, 0))]
        );
    }

    #[test]
    fn timeouts_and_daemons_that_nobody_names_are_left_alone() {
        let daemon = SyncDaemon::new(SyncRole::Master, "eth0").unwrap();
        let observed = Table::default().with_timeouts(Timeouts::default()).with_daemons([daemon]);
        assert_eq!(observed.changes_to(&Table::default()), []);
        let unchanged = Table::default().with_timeouts(Timeouts::UNCHANGED);
        assert_eq!(observed.changes_to(&unchanged), []);
    }

    #[test]
    fn a_daemon_of_another_kind_is_stopped_before_the_wanted_one_is_started() {
        let present = SyncDaemon::new(SyncRole::Master, "eth0").unwrap();
        let wanted = present.clone().with_sync_id(7);
        let backup = present.clone().with_role(SyncRole::Backup);
        let observed = Table::default().with_daemons([present, backup]);
        let desired = Table::default().with_daemons([wanted.clone()]);
        let changes = observed.changes_to(&desired);
        assert_eq!(
            changes,
            [
                Change::StopDaemon(SyncRole::Master),
                Change::StopDaemon(SyncRole::Backup),
                Change::StartDaemon(wanted),
            ]
        );
        let mut result = observed;
        for change in changes {
            assert_eq!(result.apply(&change), Ok(()));
        }
        assert_eq!(result, desired);
    }

    proptest! {
        #[test]
        fn applying_the_changes_gives_the_desired_table(observed in table(), desired in table()) {
            let mut result = observed.clone();
            for change in observed.changes_to(&desired) {
                prop_assert_eq!(result.apply(&change), Ok(()), "{}", change);
            }
            prop_assert_eq!(&result, &desired);
            prop_assert!(result.changes_to(&desired).is_empty());
        }

        #[test]
        fn settings_that_were_made_are_not_made_again(observed in settings(), desired in settings()) {
            let mut result = observed.clone();
            for change in observed.changes_to(&desired) {
                prop_assert_eq!(result.apply(&change), Ok(()), "{}", change);
            }
            prop_assert_eq!(result.changes_to(&desired), []);
        }
    }
}
