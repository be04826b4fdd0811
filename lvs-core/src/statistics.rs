//! What services and real servers did so far, and how many connections they have.

use std::collections::BTreeMap;

use crate::service::{Protocol, ServerKey, ServiceKey};

/// Counters and current rates of a service or a real server (`IPVS_STATS_ATTR_*` of `linux/ip_vs.h`).
///
/// The kernel brings counters and rates up to date every two seconds.
///
/// ```
/// let statistics = lvs_core::Statistics { connections: 3, ..Default::default() };
/// assert_eq!(statistics.incoming_bytes, 0);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub incoming_packets: u64,
    /// Packets to clients; only counted where replies pass the balancer.
    pub outgoing_packets: u64,
    /// Bytes from clients.
    pub incoming_bytes: u64,
    /// Bytes to clients; only counted where replies pass the balancer.
    pub outgoing_bytes: u64,
    /// Connections per second.
    pub connections_per_second: u64,
    /// Packets from clients per second.
    pub incoming_packets_per_second: u64,
    /// Packets to clients per second.
    pub outgoing_packets_per_second: u64,
    /// Bytes from clients per second.
    pub incoming_bytes_per_second: u64,
    /// Bytes to clients per second.
    pub outgoing_bytes_per_second: u64,
}

/// What a real server of one service did so far, and its connections now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ServerStatistics {
    /// Its counters and rates.
    pub counters: Statistics,
    /// Connections in an established state.
    pub active_connections: u32,
    /// Connections in any other state; those of UDP, all of them.
    pub inactive_connections: u32,
    /// Clients that persistence binds to it.
    pub persistent_connections: u32,
}

impl ServerStatistics {
    /// Connections that a server which is to leave that service still has: the active ones. Those of UDP never are, so of a
    /// UDP service it is all that the kernel still remembers (5 minutes after the last packet, by
    /// [`Timeouts`](crate::Timeouts)). A firewall mark's may be of any protocol: only the active ones count.
    ///
    /// ```
    /// use lvs_core::{Protocol, ServerStatistics, ServiceKey};
    ///
    /// let counted = ServerStatistics { active_connections: 2, inactive_connections: 3, ..Default::default() };
    /// let open = |protocol| counted.open_connections(&ServiceKey::address(protocol, ([10, 0, 0, 1], 53).into()));
    /// assert_eq!((open(Protocol::Tcp), open(Protocol::Udp)), (2, 5));
    /// ```
    #[must_use]
    pub const fn open_connections(&self, service: &ServiceKey) -> u32 {
        match service {
            ServiceKey::Address { protocol: Protocol::Udp, .. } => {
                self.active_connections.saturating_add(self.inactive_connections)
            }
            ServiceKey::Address { .. } | ServiceKey::Fwmark { .. } => self.active_connections,
        }
    }
}

/// What a service did so far, and its servers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceStatistics {
    /// Its counters and rates; those of servers that left are in them.
    pub counters: Statistics,
    /// Its servers.
    pub servers: BTreeMap<ServerKey, ServerStatistics>,
}

/// What all services did so far; what [`Dataplane::statistics`](crate::Dataplane::statistics) answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableStatistics {
    /// By service.
    pub services: BTreeMap<ServiceKey, ServiceStatistics>,
}
