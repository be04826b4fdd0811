//! Turns facts about servers into the desired table.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::pool::{Health, Pool};
use crate::service::{ServerKey, ServiceKey};
use crate::table::Table;

/// All pools of a balancer.
///
/// Facts go in by [`Director::set_health`]; the desired table comes out whole by [`Director::desired`].
///
/// ```
/// use lvs_core::{Director, Health, OnFailure, Pool, Protocol, RealServer, ServerKey, ServiceKey, VirtualService};
///
/// let key = ServiceKey::address(Protocol::Tcp, "10.0.0.1:80".parse()?);
/// let server = ServerKey::new("10.0.0.3:80".parse()?);
/// let mut pool = Pool::new(VirtualService::new(key));
/// pool.insert(RealServer::new(server), OnFailure::Remove);
///
/// let mut director = Director::new([pool]);
/// assert!(director.set_health(&key, &server, Health::Down));
/// assert_eq!(director.desired().service(&key).map(|service| service.servers().len()), Some(0));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Director {
    pools: BTreeMap<ServiceKey, Pool>,
    /// What the pools want, kept beside them.
    desired: Table,
}

impl Director {
    /// A director of these pools; of two with the same key the later one stays.
    pub fn new(pools: impl IntoIterator<Item = Pool>) -> Self {
        let pools: BTreeMap<_, _> = pools.into_iter().map(|pool| (pool.service().key(), pool)).collect();
        let desired = pools.values().map(Pool::desired).collect();
        Self { pools, desired }
    }

    /// Says whether a server with a single check serves; answers whether the desired table may have changed.
    pub fn set_health(&mut self, service: &ServiceKey, server: &ServerKey, health: Health) -> bool {
        self.set_check(service, server, 0, health)
    }

    /// Says whether one of a server's checks passes, as [`Pool::set_check`]; answers whether the desired table may
    /// have changed.
    pub fn set_check(
        &mut self,
        service: &ServiceKey,
        server: &ServerKey,
        check: u64,
        health: Health,
    ) -> bool {
        self.change(service, |pool| pool.set_check(server, check, health))
    }

    /// Takes a server out of service as [`Pool::drain`]; answers whether the desired table may have changed.
    pub fn drain(&mut self, service: &ServiceKey, server: &ServerKey, within: Duration) -> bool {
        self.change(service, |pool| pool.drain(server, within))
    }

    /// Takes a server into service again as [`Pool::undrain`]; answers whether the desired table may have changed.
    pub fn undrain(&mut self, service: &ServiceKey, server: &ServerKey) -> bool {
        self.change(service, |pool| pool.undrain(server))
    }

    fn change(&mut self, service: &ServiceKey, change: impl FnOnce(&mut Pool) -> bool) -> bool {
        self.pools.get_mut(service).is_some_and(|pool| {
            let news = change(pool);
            if news {
                self.desired.insert(pool.desired());
            }
            news
        })
    }

    /// The pool of a service.
    #[must_use]
    pub fn pool(&self, service: &ServiceKey) -> Option<&Pool> {
        self.pools.get(service)
    }

    /// All pools in the order of their keys.
    pub fn pools(&self) -> impl ExactSizeIterator<Item = &Pool> {
        self.pools.values()
    }

    /// The table that there should be. Services that did not change since the last call are shared with its result.
    #[must_use]
    pub fn desired(&self) -> Table {
        self.desired.clone()
    }
}
