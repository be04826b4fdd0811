//! What services and real servers did so far, and how many connections they have.

use std::collections::BTreeMap;

use crate::service::{ServerKey, ServiceKey};

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
    /// Connections in any other state.
    pub inactive_connections: u32,
    /// Clients that persistence binds to it.
    pub persistent_connections: u32,
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
