//! The kernel's IPVS table: what is wanted of it, and the thread that keeps it so.

use anyhow::Context as _;
use lvs_core::applier::{ApplierOptions, ApplierStatus, Foreign, keep_applied};
use lvs_core::{Role, SyncRole, Table, Timeouts};
use lvs_ipvs::{Cause, Client, IpvsDataplane, Refusal};
use tokio::sync::watch;
use tracing::warn;

use crate::conf::model::{FlushOnStop, Lvs};
use crate::worker::{self, Waiting};

/// The table that there should be: the director's services, the timeouts and the sync daemon of the configuration.
pub(crate) struct WantedTable {
    lvs: Lvs,
    /// That of the virtual router that the sync daemon follows.
    role: SyncRole,
    services: Table,
    sender: watch::Sender<Table>,
}

impl WantedTable {
    /// Nothing is master yet.
    pub(crate) fn new(lvs: Lvs, services: Table) -> Self {
        let wanted = Self { lvs, role: SyncRole::Backup, services, sender: watch::Sender::default() };
        wanted.send();
        wanted
    }

    /// Whether the configuration says anything of the table.
    pub(crate) fn is_needed(&self) -> bool {
        let Lvs { synchronisation, timeouts, flush, flush_on_stop } = &self.lvs;
        let flushes = *flush || *flush_on_stop == FlushOnStop::Everything;
        !self.services.is_empty() || synchronisation.is_some() || timeouts.is_some() || flushes
    }

    /// Opens the thread that keeps the kernel's table so.
    ///
    /// # Errors
    /// The thread cannot be started, or this process may not edit services.
    pub(crate) fn keep(&self) -> anyhow::Result<Waiting> {
        start(self.sender.subscribe(), &self.lvs)
    }

    /// Other services, or other servers of them.
    pub(crate) fn set_services(&mut self, services: Table) {
        self.services = services;
        self.send();
    }

    /// A virtual router has that role now: the sync daemon follows if it is to follow this one.
    pub(crate) fn set_role(&mut self, instance: &str, role: Role) {
        let followed = self.lvs.synchronisation.as_ref().and_then(|sync| sync.instance.as_deref());
        let role = if role == Role::Master { SyncRole::Master } else { SyncRole::Backup };
        if followed == Some(instance) && std::mem::replace(&mut self.role, role) != role {
            self.send();
        }
    }

    /// Nothing is wanted any more; the thread ends when all of it is gone.
    pub(crate) fn stop(self) {
        let mut nothing = Table::default();
        if self.lvs.synchronisation.is_some() {
            nothing = nothing.with_daemons([]);
        }
        self.sender.send_replace(nothing);
    }

    fn send(&self) {
        let mut table = self.services.clone();
        if let Some(timeouts) = self.lvs.timeouts {
            table = table.with_timeouts(timeouts);
        }
        if let Some(sync) = &self.lvs.synchronisation {
            let both = [SyncRole::Master, SyncRole::Backup].into_iter();
            let roles = both.filter(|role| sync.instance.is_none() || *role == self.role);
            table = table.with_daemons(roles.map(|role| sync.daemon.clone().with_role(role)));
        }
        self.sender.send_replace(table);
    }
}

/// Opens the thread. The latest value of `desired` is kept applied until its sender is gone; then the last value is applied
/// and the thread ends.
fn start(desired: watch::Receiver<Table>, lvs: &Lvs) -> anyhow::Result<Waiting> {
    let sets_timeouts = lvs.timeouts.is_some();
    let flushes = lvs.flush_on_stop == FlushOnStop::Everything;
    let mut options = ApplierOptions::default();
    if lvs.flush {
        // What the file has is corrected instead: its connections go on.
        options.foreign = Foreign::RemoveAtStart;
    }
    worker::start("ipvs", open, async move |mut ipvs: IpvsDataplane| {
        let status = watch::Sender::new(ApplierStatus::default());
        let before = if sets_timeouts { present_timeouts(ipvs.client()).await } else { None };
        let mut ipvs = keep_applied(ipvs, desired, options, status.clone()).await;
        let reached = status.borrow().reached;
        let mut released = status.borrow().in_sync || !reached;
        if reached {
            released &= leave(ipvs.client(), before, flushes).await;
        }
        released
    })
}

/// The kernel's timeouts, or those that its module begins with where it is not loaded yet.
async fn present_timeouts(client: &mut Client) -> Option<Timeouts> {
    match client.timeouts().await {
        Ok(timeouts) => Some(timeouts),
        Err(error) if matches!(error.cause(), Cause::NoIpvs(_)) => Some(Timeouts::default()),
        Err(_) => None,
    }
}

/// What is done when our own services are gone; whether all of it was.
async fn leave(client: &mut Client, timeouts: Option<Timeouts>, flushes: bool) -> bool {
    let restored = match &timeouts {
        Some(timeouts) => client.set_timeouts(timeouts).await,
        None => Ok(()),
    };
    let flushed = if flushes { client.flush().await } else { Ok(()) };
    let failures = [restored.err(), flushed.err()];
    for failure in failures.iter().flatten() {
        warn!("{failure}");
    }
    failures.iter().all(Option::is_none)
}

/// A kernel without IPVS is no reason not to start: the virtual routers run on, and the table is tried again and again.
async fn open() -> anyhow::Result<IpvsDataplane> {
    let mut client = Client::open()?;
    match client.info().await {
        Err(error) if error.refusal() == Some(Refusal::Forbidden) => {
            Err(error).context("services cannot be edited")
        }
        Ok(_) | Err(_) => Ok(IpvsDataplane::new(client)),
    }
}

#[cfg(test)]
mod tests {
    use lvs_core::{Protocol, ServiceKey, ServiceTable, SyncDaemon, VirtualService};

    use super::*;
    use crate::conf;

    fn lvs(global: &str) -> Lvs {
        let text = format!(
            "global_defs {{\n{global}\n}}\nvrrp_instance V {{\n interface eth0\n virtual_router_id 5\n virtual_ipaddress {{\n \
             10.0.0.1\n }}\n}}\n"
        );
        conf::parse("a.conf", text.as_bytes()).config.expect("a configuration").global.lvs
    }

    fn services() -> Table {
        let key = ServiceKey::address(Protocol::Tcp, ([10, 0, 0, 1], 80).into());
        Table::from_iter([ServiceTable::new(VirtualService::new(key))])
    }

    fn roles(wanted: &WantedTable) -> Option<Vec<SyncRole>> {
        wanted.sender.borrow().daemons().map(|daemons| daemons.map(SyncDaemon::role).collect())
    }

    #[test]
    fn the_sync_daemon_has_the_role_of_its_virtual_router_and_backup_before_there_is_any() {
        let mut wanted = WantedTable::new(lvs("lvs_sync_daemon eth0 V"), services());
        assert_eq!(roles(&wanted), Some(vec![SyncRole::Backup]));
        wanted.set_role("W", Role::Master);
        assert_eq!(roles(&wanted), Some(vec![SyncRole::Backup]), "another one");
        wanted.set_role("V", Role::Master);
        assert_eq!(roles(&wanted), Some(vec![SyncRole::Master]));
        wanted.set_services(Table::default());
        assert_eq!(roles(&wanted), Some(vec![SyncRole::Master]));
        for role in [Role::Fault, Role::Initialize, Role::Backup] {
            wanted.set_role("V", Role::Master);
            wanted.set_role("V", role);
            assert_eq!(roles(&wanted), Some(vec![SyncRole::Backup]), "{role:?}");
        }
        let mut left = wanted.sender.subscribe();
        wanted.stop();
        assert_eq!(left.borrow_and_update().daemons().map(|daemons| daemons.len()), Some(0));
    }

    #[test]
    fn a_sync_daemon_that_follows_nobody_has_both_roles() {
        let wanted = WantedTable::new(lvs("lvs_sync_daemon eth0"), services());
        assert_eq!(roles(&wanted), Some(vec![SyncRole::Master, SyncRole::Backup]));
    }

    #[test]
    fn what_the_configuration_says_nothing_of_is_left_as_it_is() {
        let wanted = WantedTable::new(lvs(""), services());
        assert_eq!(roles(&wanted), None);
        assert_eq!(wanted.sender.borrow().timeouts(), None);
        assert_eq!(*wanted.sender.borrow(), services());
        assert!(wanted.is_needed());
        let mut left = wanted.sender.subscribe();
        wanted.stop();
        assert_eq!(*left.borrow_and_update(), Table::default());
    }

    #[test]
    fn nothing_of_the_kernel_is_needed_where_nothing_is_said_of_it() {
        let needed = |global: &str| WantedTable::new(lvs(global), Table::default()).is_needed();
        assert!(!needed(""));
        assert!(!needed("lvs_flush_on_stop VS"));
        for global in ["lvs_flush", "lvs_flush_on_stop", "lvs_timeouts tcp 5", "lvs_sync_daemon eth0"] {
            assert!(needed(global), "{global}");
        }
    }
}
