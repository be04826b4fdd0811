//! The real servers of one service: the one place that decides a weight.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

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
        let member = Member { server, on_failure, failing: BTreeSet::new(), drain: None };
        self.members.insert(server.key(), member);
    }

    /// Takes a server out of service: it gets no new connections, and leaves when those it has have ended, after `within`
    /// in any case ([`ServiceTable::drain`]). Its checks go on; if they fail, it leaves as any failed server.
    ///
    /// Answers whether that is news. What becomes of it the applier tells
    /// ([`Reconciler::drains`](crate::Reconciler::drains)).
    ///
    /// ```
    /// use std::time::Duration;
    /// use lvs_core::{OnFailure, Pool, Protocol, RealServer, ServerKey, ServiceKey, VirtualService};
    ///
    /// let mut pool = Pool::new(VirtualService::new(ServiceKey::address(Protocol::Tcp, "10.0.0.1:80".parse()?)));
    /// let server = ServerKey::new("10.0.0.3:80".parse()?);
    /// pool.insert(RealServer::new(server), OnFailure::Remove);
    /// assert!(pool.drain(&server, Duration::from_secs(60)));
    /// assert_eq!(pool.desired().draining().next(), Some((server, Duration::from_secs(60))));
    ///
    /// assert!(pool.undrain(&server));
    /// assert!(pool.desired().server(&server).is_some());
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn drain(&mut self, server: &ServerKey, within: Duration) -> bool {
        self.set_drain(server, Some(within))
    }

    /// Takes a server into service again, whether it has left or not; answers whether that is news.
    pub fn undrain(&mut self, server: &ServerKey) -> bool {
        self.set_drain(server, None)
    }

    fn set_drain(&mut self, server: &ServerKey, drain: Option<Duration>) -> bool {
        let Some(member) = self.members.get_mut(server) else { return false };
        std::mem::replace(&mut member.drain, drain) != drain
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

    /// The weight that the server has in the table now, 0 while it drains; nothing if it is not to be in the table.
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
            match (member.effective_weight(), member.drain) {
                (Some(_), Some(within)) => drop(table.drain(member.server.key(), within)),
                (Some(weight), None) => drop(table.insert(member.server.with_weight(weight))),
                (None, _) => {}
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
    /// It is to leave, and has so much time.
    drain: Option<Duration>,
}

impl Member {
    fn health(&self) -> Health {
        if self.failing.is_empty() { Health::Up } else { Health::Down }
    }

    fn effective_weight(&self) -> Option<Weight> {
        match (self.health(), self.on_failure) {
            (Health::Down, OnFailure::Remove) => None,
            (Health::Down, OnFailure::Inhibit) => Some(Weight::ZERO),
            (Health::Up, _) if self.drain.is_some() => Some(Weight::ZERO),
            (Health::Up, _) => Some(self.server.weight()),
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
    fn a_server_that_drains_gets_nothing_new_and_returns_with_its_own_weight() {
        let mut pool = pool(OnFailure::Remove);
        let minute = Duration::from_secs(60);
        assert!(pool.drain(&server().key(), minute));
        assert!(!pool.drain(&server().key(), minute));
        assert_eq!(pool.effective_weight(&server().key()), Some(Weight::ZERO));
        assert_eq!(pool.service_health(), Health::Down);
        assert_eq!(pool.desired().servers().len(), 0);
        assert_eq!(pool.desired().draining().next(), Some((server().key(), minute)));
        assert!(pool.undrain(&server().key()));
        assert!(!pool.undrain(&server().key()));
        assert_eq!(pool.desired().server(&server().key()), Some(&server()));
        assert_eq!(pool.desired().draining().len(), 0);
    }

    #[test]
    fn a_server_that_fails_while_it_drains_leaves_at_once() {
        let mut pool = pool(OnFailure::Remove);
        pool.drain(&server().key(), Duration::from_secs(60));
        pool.set_health(&server().key(), Health::Down);
        assert_eq!(pool.desired().draining().len(), 0);
        assert_eq!(pool.effective_weight(&server().key()), None);
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
