//! A data plane and addresses in memory, shared with the test that watches them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::addresses::{AddressChange, AddressError, Addresses, Announcement, Installed, InstalledAddress};
use crate::announcements::Announcements;
use crate::dataplane::{Dataplane, DataplaneError, DataplaneErrorKind, Scope};
use crate::service::{ServerKey, ServiceKey};
use crate::statistics::{ServerStatistics, ServiceStatistics, TableStatistics};
use crate::table::{Change, ServiceTable, Table};

/// A data plane in memory; copies share one table.
///
/// ```
/// use lvs_core::fakes::FakeDataplane;
///
/// let dataplane = FakeDataplane::default();
/// assert!(dataplane.table().is_empty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct FakeDataplane(Arc<Mutex<DataplaneState>>);

#[derive(Debug, Default)]
struct DataplaneState {
    table: Table,
    applied: Vec<Change>,
    failure: Option<DataplaneErrorKind>,
    connections: BTreeMap<(ServiceKey, ServerKey), u32>,
    refused: Vec<Change>,
    conflicting: Vec<Change>,
    tried: Vec<Change>,
    skipped: Vec<(ServiceKey, Option<ServerKey>)>,
    observed: Vec<Scope>,
}

impl FakeDataplane {
    /// What is in the table now.
    #[must_use]
    pub fn table(&self) -> Table {
        self.state().table.clone()
    }

    /// Changes the table as somebody else would, behind the applier's back.
    pub fn edit(&self, edit: impl FnOnce(&mut Table)) {
        edit(&mut self.state().table);
    }

    /// All edits that succeeded, oldest first.
    #[must_use]
    pub fn applied(&self) -> Vec<Change> {
        self.state().applied.clone()
    }

    /// From now on that server has so many active connections.
    pub fn set_active_connections(&self, service: ServiceKey, server: ServerKey, active: u32) {
        self.state().connections.insert((service, server), active);
    }

    /// From now on every call fails in this way, or none does.
    pub fn set_failure(&self, failure: Option<DataplaneErrorKind>) {
        self.state().failure = failure;
    }

    /// From now on these edits, and no others, are refused.
    pub fn set_refused(&self, edits: impl IntoIterator<Item = Change>) {
        self.state().refused = edits.into_iter().collect();
    }

    /// From now on these edits, and no others, find another table than the one that can be read.
    pub fn set_conflicting(&self, edits: impl IntoIterator<Item = Change>) {
        self.state().conflicting = edits.into_iter().collect();
    }

    /// How often an edit was tried.
    #[must_use]
    pub fn tries(&self, edit: &Change) -> usize {
        self.state().tried.iter().filter(|tried| *tried == edit).count()
    }

    /// The next reading that could show that service, or that server of it, misses it: as a reading of the kernel's table
    /// can while somebody edits it.
    pub fn skip_once(&self, service: ServiceKey, server: Option<ServerKey>) {
        self.state().skipped.push((service, server));
    }

    /// What was read, oldest first.
    #[must_use]
    pub fn observed(&self) -> Vec<Scope> {
        self.state().observed.clone()
    }

    fn state(&self) -> MutexGuard<'_, DataplaneState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Dataplane for FakeDataplane {
    async fn observe(&mut self, scope: Scope) -> Result<Table, DataplaneError> {
        let mut state = self.state();
        state.observed.push(scope);
        if let Some(kind) = state.failure {
            return Err(DataplaneError::new(kind, "observe", "the fake was told to fail"));
        }
        let mut table = state.table.clone();
        let shows = |(service, server): &(ServiceKey, Option<ServerKey>)| match scope {
            Scope::Everything => true,
            Scope::Services => server.is_none(),
            Scope::Service(key) => key == *service,
        };
        for (service, server) in state.skipped.extract_if(.., |skipped| shows(skipped)) {
            match (server, table.service_mut(&service)) {
                (Some(server), Some(entry)) => drop(entry.remove(&server)),
                (None, _) => drop(table.remove(&service)),
                (Some(_), None) => {}
            }
        }
        match scope {
            Scope::Everything => {}
            Scope::Services => {
                let services = table.services().map(|service| ServiceTable::new(service.service().clone()));
                let bare: Table = services.collect();
                table = bare.with_settings_of(&table);
            }
            Scope::Service(wanted) => table.retain(|key| *key == wanted),
        }
        Ok(table)
    }

    async fn statistics(&mut self, scope: Scope) -> Result<TableStatistics, DataplaneError> {
        let state = self.state();
        if let Some(kind) = state.failure {
            return Err(DataplaneError::new(kind, "read statistics", "the fake was told to fail"));
        }
        let mut statistics = TableStatistics::default();
        for service in state.table.services() {
            let key = service.service().key();
            if matches!(scope, Scope::Service(wanted) if wanted != key) {
                continue;
            }
            let mut entry = ServiceStatistics::default();
            if scope != Scope::Services {
                for server in service.servers() {
                    let known = state.connections.get(&(key, server.key()));
                    let active_connections = known.copied().unwrap_or(0);
                    let server_entry = ServerStatistics { active_connections, ..Default::default() };
                    entry.servers.insert(server.key(), server_entry);
                }
            }
            statistics.services.insert(key, entry);
        }
        Ok(statistics)
    }

    async fn apply(&mut self, changes: Vec<Change>) -> Vec<Result<(), DataplaneError>> {
        let mut state = self.state();
        let mut results = Vec::with_capacity(changes.len());
        for change in changes {
            state.tried.push(change.clone());
            let told = [
                (&state.refused, DataplaneErrorKind::Refused, "the fake was told to refuse it"),
                (&state.conflicting, DataplaneErrorKind::Drifted, "the fake was told so"),
            ];
            let told = told.into_iter().find(|(edits, ..)| edits.contains(&change));
            if let Some((_, kind, reason)) = told {
                results.push(Err(DataplaneError::new(kind, change.to_string(), reason)));
                continue;
            }
            results.push(match state.failure {
                Some(kind) => Err(DataplaneError::new(kind, change.to_string(), "the fake was told to fail")),
                None => state
                    .table
                    .apply(&change)
                    .map_err(|conflict| {
                        DataplaneError::new(DataplaneErrorKind::Drifted, change.to_string(), conflict)
                    })
                    .map(|()| state.applied.push(change)),
            });
        }
        results
    }
}

/// Interfaces and addresses in memory; copies share one state.
///
/// ```
/// use lvs_core::fakes::FakeAddresses;
///
/// let addresses = FakeAddresses::with_interfaces(["eth0"]);
/// assert!(addresses.installed().interfaces.contains("eth0"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct FakeAddresses(Arc<Mutex<AddressesState>>);

#[derive(Debug, Default)]
struct AddressesState {
    installed: Installed,
    announced: Vec<Announcement>,
    failing: bool,
    refused: BTreeSet<IpAddr>,
}

impl FakeAddresses {
    /// Interfaces without addresses.
    pub fn with_interfaces<'a>(interfaces: impl IntoIterator<Item = &'a str>) -> Self {
        let fake = Self::default();
        fake.state().installed.interfaces =
            interfaces.into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
        fake
    }

    /// What is there now.
    #[must_use]
    pub fn installed(&self) -> Installed {
        self.state().installed.clone()
    }

    /// Changes what is there as somebody else would.
    pub fn edit(&self, edit: impl FnOnce(&mut Installed)) {
        edit(&mut self.state().installed);
    }

    /// All announcements so far, oldest first.
    #[must_use]
    pub fn announced(&self) -> Vec<Announcement> {
        self.state().announced.clone()
    }

    /// From now on these addresses cannot be added, as one of IPv6 where the host has none of it.
    pub fn refuse(&self, addresses: impl IntoIterator<Item = IpAddr>) {
        self.state().refused = addresses.into_iter().collect();
    }

    /// From now on every edit fails, or none does.
    pub fn set_failing(&self, failing: bool) {
        self.state().failing = failing;
    }

    fn state(&self) -> MutexGuard<'_, AddressesState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Addresses for FakeAddresses {
    async fn observe(&mut self) -> Result<Installed, AddressError> {
        Ok(self.state().installed.clone())
    }

    async fn apply(&mut self, changes: Vec<AddressChange>) -> Vec<Result<(), AddressError>> {
        let mut state = self.state();
        changes
            .into_iter()
            .map(|change| {
                if state.failing {
                    return Err(AddressError::new(change.to_string(), "the fake was told to fail"));
                }
                match change {
                    AddressChange::Add(address) if state.refused.contains(&address.key.address) => {
                        let operation = AddressChange::Add(address).to_string();
                        return Err(AddressError::new(operation, "the fake refuses it"));
                    }
                    AddressChange::Add(address) => {
                        state.installed.addresses.insert(address.key, InstalledAddress { tagged: true });
                    }
                    AddressChange::Remove(key) => {
                        state.installed.addresses.remove(&key);
                    }
                }
                Ok(())
            })
            .collect()
    }

    async fn announce(&mut self, waiting: &mut Announcements) -> Vec<AddressError> {
        self.state().announced.extend(std::iter::from_fn(|| waiting.remove_first()));
        Vec::new()
    }
}
