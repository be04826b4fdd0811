//! What the kernel tells about itself and its entries beyond what a table holds.

use std::fmt;
use std::time::Duration;

use lvs_core::{RealServer, VirtualService};

/// Counters and current rates of a service or a real server (`IPVS_STATS_ATTR_*` of `linux/ip_vs.h`).
///
/// The kernel brings counters and rates up to date every two seconds.
///
/// ```
/// let statistics = lvs_ipvs::Statistics { connections: 3, ..Default::default() };
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

/// A service as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceEntry {
    /// Its configuration.
    pub service: VirtualService,
    /// Name of the persistence engine (`sip`), if it has one.
    pub persistence_engine: Option<String>,
    /// What it did so far.
    pub statistics: Statistics,
}

/// A real server of a service as the kernel has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerEntry {
    /// Its configuration.
    pub server: RealServer,
    /// Connections in an established state.
    pub active_connections: u32,
    /// Connections in any other state.
    pub inactive_connections: u32,
    /// Clients that persistence binds to it.
    pub persistent_connections: u32,
    /// What it did so far.
    pub statistics: Statistics,
}

/// Version of the kernel's IPVS, as `ipvsadm` prints it: 1.2.1 since Linux 2.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// First number.
    pub major: u8,
    /// Second number.
    pub minor: u8,
    /// Third number.
    pub patch: u8,
}

impl Version {
    /// From `NVERSION` of the kernel: one byte each, below an unused one.
    pub(crate) const fn from_number(number: u32) -> Self {
        let [_, major, minor, patch] = number.to_be_bytes();
        Self { major, minor, patch }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// What the kernel says about its IPVS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// Its version.
    pub version: Version,
    /// Number of buckets of the connection table (`size=` of `ipvsadm -L`).
    pub connection_table_size: u32,
}

/// How long an idle connection is kept, one for all services of a network namespace; whole seconds.
///
/// ```
/// use std::time::Duration;
///
/// let timeouts = lvs_ipvs::Timeouts { udp: Duration::from_secs(60), ..Default::default() };
/// assert_eq!(timeouts.tcp, Duration::from_secs(900));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timeouts {
    /// Established TCP connections.
    pub tcp: Duration,
    /// TCP connections after a FIN.
    pub tcp_fin: Duration,
    /// UDP flows.
    pub udp: Duration,
}

impl Default for Timeouts {
    /// What the kernel starts with: 15 minutes, 2 minutes, 5 minutes.
    fn default() -> Self {
        Self {
            tcp: Duration::from_secs(900),
            tcp_fin: Duration::from_secs(120),
            udp: Duration::from_secs(300),
        }
    }
}
