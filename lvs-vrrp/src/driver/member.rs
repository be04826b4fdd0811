//! An instance of a driver: its router, and what stands between it and the wire.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use lvs_core::Instant;

use crate::action::{FaultReason, Gate};
use crate::delivery::{Delivery, Multicast};
use crate::driver::config::InstanceConfig;
use crate::router::Router;

/// An instance: its router, and what stands between it and the wire.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) config: InstanceConfig,
    pub(super) router: Router,
    /// Its place among the interfaces.
    pub(super) interface: usize,
    /// The places of those that it tracks.
    pub(super) tracked: BTreeSet<usize>,
    pub(super) source: Option<IpAddr>,
    /// Addresses of ours, to which nothing is sent if they are among the peers.
    pub(super) silent_peers: BTreeSet<IpAddr>,
    pub(super) link_fault: Option<FaultReason>,
    /// The first of the tracked interfaces that is not as it should be.
    pub(super) tracked_fault: Option<(usize, FaultReason)>,
    pub(super) application_gate: Gate,
    /// What its timer is set to.
    pub(super) armed: Option<Instant>,
}

impl Member {
    pub(super) fn virtual_addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.config.addresses.iter().chain(&self.config.excluded_addresses).copied()
    }

    pub(super) fn group(&self) -> Option<Ipv4Addr> {
        match &self.config.delivery {
            Delivery::Multicast(Multicast { group: IpAddr::V4(group), .. }) => Some(*group),
            Delivery::Multicast(_) | Delivery::Unicast(_) => None,
        }
    }
}
