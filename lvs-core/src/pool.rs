//! The real servers of one service: the one place that decides a weight.

use std::collections::{BTreeMap, BTreeSet};

use crate::service::{RealServer, ServerKey, VirtualService, Weight};
use crate::table::ServiceTable;

/// Whether a server's checks pass. The set is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// It serves.
    Up,
    /// It does not.
    Down,
}

/// What happens to a server that is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum OnFailure {
    /// It leaves the table; the kernel drops its connections' packets or reschedules them.
    #[default]
    Remove,
    /// It stays with weight 0 (keepalived: `inhibit_on_failure`): existing connections go on.
    Inhibit,
}

/// A virtual service, its servers as configured, and their health.
///
/// ```
/// use lvs_core::{Health, OnFailure, Pool, Protocol, RealServer, ServerKey, ServiceKey, VirtualService, Weight};
///
/// let service = VirtualService::new(ServiceKey::address(Protocol::Tcp, "10.0.0.1:80".parse()?));
/// let server = ServerKey::new("10.0.0.3:80".parse()?);
/// let mut pool = Pool::new(service);
/// pool.insert(RealServer::new(server), OnFailure::Inhibit);
/// assert_eq!(pool.effective_weight(&server), Some(Weight::ONE));
///
/// pool.set_health(&server, Health::Down);
/// assert_eq!(pool.effective_weight(&server), Some(Weight::ZERO));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pool {
    service: VirtualService,
    members: BTreeMap<ServerKey, Member>,
}

impl Pool {
    /// A pool without servers.
    #[must_use]
    pub const fn new(service: VirtualService) -> Self {
        Self { service, members: BTreeMap::new() }
    }

    /// Puts a server in, taken to be up until its checks say otherwise; one with the same key is replaced.
    pub fn insert(&mut self, server: RealServer, on_failure: OnFailure) {
        self.members.insert(server.key(), Member { server, on_failure, failing: BTreeSet::new() });
    }

    /// The service.
    #[must_use]
    pub const fn service(&self) -> &VirtualService {
        &self.service
    }

    /// Says whether a server with a single check serves; answers whether that is news.
    pub fn set_health(&mut self, server: &ServerKey, health: Health) -> bool {
        self.set_check(server, 0, health)
    }

    /// Says whether one of a server's checks passes; answers whether the server's health is news.
    ///
    /// `check` tells the checks of a server apart. A server is up when none of its checks fails.
    pub fn set_check(&mut self, server: &ServerKey, check: u64, health: Health) -> bool {
        let Some(member) = self.members.get_mut(server) else { return false };
        let before = member.health();
        match health {
            Health::Up => member.failing.remove(&check),
            Health::Down => member.failing.insert(check),
        };
        member.health() != before
    }

    /// Whether the server is known to serve; nothing for a server that is not in the pool.
    #[must_use]
    pub fn health(&self, server: &ServerKey) -> Option<Health> {
        self.members.get(server).map(Member::health)
    }

    /// The weight that the server has in the table now; nothing if it is not to be in the table.
    #[must_use]
    pub fn effective_weight(&self, server: &ServerKey) -> Option<Weight> {
        self.members.get(server).and_then(Member::effective_weight)
    }

    /// Whether the service has a server that gets new connections: one in the table with a weight.
    #[must_use]
    pub fn service_health(&self) -> Health {
        let mut weights = self.members.values().filter_map(Member::effective_weight);
        if weights.any(|weight| weight != Weight::ZERO) { Health::Up } else { Health::Down }
    }

    /// The service as it should be in the data plane.
    #[must_use]
    pub fn desired(&self) -> ServiceTable {
        let mut table = ServiceTable::new(self.service.clone());
        for member in self.members.values() {
            if let Some(weight) = member.effective_weight() {
                table.insert(member.server.with_weight(weight));
            }
        }
        table
    }
}

#[derive(Clone, Debug)]
struct Member {
    server: RealServer,
    on_failure: OnFailure,
    /// The checks that fail now; bounded by the checks that the application made.
    failing: BTreeSet<u64>,
}

impl Member {
    fn health(&self) -> Health {
        if self.failing.is_empty() { Health::Up } else { Health::Down }
    }

    fn effective_weight(&self) -> Option<Weight> {
        match (self.health(), self.on_failure) {
            (Health::Up, _) => Some(self.server.weight()),
            (Health::Down, OnFailure::Inhibit) => Some(Weight::ZERO),
            (Health::Down, OnFailure::Remove) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{Protocol, ServiceKey};

    fn server() -> RealServer {
        RealServer::new(ServerKey::new(([10, 0, 0, 3], 80).into())).with_weight(Weight::new(7).unwrap())
    }

    fn pool(on_failure: OnFailure) -> Pool {
        let key = ServiceKey::address(Protocol::Tcp, ([10, 0, 0, 1], 80).into());
        let mut pool = Pool::new(VirtualService::new(key));
        pool.insert(server(), on_failure);
        pool
    }

    #[test]
    fn an_inhibited_server_stays_with_weight_zero_and_returns_with_its_own_weight() {
        let mut pool = pool(OnFailure::Inhibit);
        assert!(pool.set_health(&server().key(), Health::Down));
        assert_eq!(pool.desired().server(&server().key()).map(RealServer::weight), Some(Weight::ZERO));
        assert!(pool.set_health(&server().key(), Health::Up));
        assert_eq!(pool.desired().server(&server().key()), Some(&server()));
    }

    #[test]
    fn a_failed_server_without_inhibit_leaves_the_table() {
        let mut pool = pool(OnFailure::Remove);
        pool.set_health(&server().key(), Health::Down);
        assert_eq!(pool.desired().servers().len(), 0);
    }

    #[test]
    fn a_service_is_up_while_a_server_gets_new_connections() {
        for on_failure in [OnFailure::Inhibit, OnFailure::Remove] {
            let mut pool = pool(on_failure);
            assert_eq!(pool.service_health(), Health::Up);
            pool.set_health(&server().key(), Health::Down);
            assert_eq!(pool.service_health(), Health::Down, "{on_failure:?}");
            let drained = ServerKey::new(([10, 0, 0, 9], 80).into());
            pool.insert(RealServer::new(drained).with_weight(Weight::ZERO), on_failure);
            assert_eq!(pool.service_health(), Health::Down, "a server without weight gets none");
            pool.set_health(&server().key(), Health::Up);
            assert_eq!(pool.service_health(), Health::Up);
        }
    }

    #[test]
    fn health_that_is_known_already_is_no_news() {
        let mut pool = pool(OnFailure::Remove);
        assert!(!pool.set_health(&server().key(), Health::Up));
        let stranger = ServerKey::new(([10, 0, 0, 9], 80).into());
        assert!(!pool.set_health(&stranger, Health::Down));
    }

    #[test]
    fn a_server_is_up_only_while_all_its_checks_pass() {
        let mut pool = pool(OnFailure::Inhibit);
        assert!(pool.set_check(&server().key(), 1, Health::Down));
        assert!(!pool.set_check(&server().key(), 2, Health::Down));
        assert!(!pool.set_check(&server().key(), 1, Health::Up));
        assert_eq!(pool.health(&server().key()), Some(Health::Down));
        assert!(pool.set_check(&server().key(), 2, Health::Up));
    }
}
