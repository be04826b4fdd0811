//! What the kernel tells about itself and its entries beyond what a table holds.

use std::fmt;

use lvs_core::{RealServer, ServerStatistics, Statistics, VirtualService};

/// A service as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceEntry {
    /// Its configuration.
    pub service: VirtualService,
    /// What it did so far.
    pub statistics: Statistics,
}

/// A real server of a service as the kernel has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerEntry {
    /// Its configuration.
    pub server: RealServer,
    /// What it did so far, and its connections.
    pub statistics: ServerStatistics,
}

/// What the kernel has, and in words what the types of [`lvs_core`] cannot say of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listing {
    /// The services, in the order in which the kernel tells them.
    pub services: Vec<ListedService>,
    /// What is left out, a line for each service (left out with its servers) and server, sorted. Others made them: a
    /// service of a protocol other than TCP, UDP and SCTP, a server that bypasses the balancer. A service whose
    /// destinations others changed during every reading of them is here, too.
    pub unsayable: Vec<String>,
}

/// A service as the kernel has it, with its servers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedService {
    /// The service.
    pub entry: ServiceEntry,
    /// Its real servers, in the order in which the kernel tells them: the last one added comes first.
    pub servers: Vec<ServerEntry>,
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
