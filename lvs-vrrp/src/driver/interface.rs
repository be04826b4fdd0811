//! An interface of a driver, with its sockets.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use lvs_core::{Family, Link, LinkAddress};

use crate::action::FaultReason;
use crate::demux::Demux;
use crate::driver::config::InstanceConfig;
use crate::socket::Sockets;

/// An interface with instances on it, or that instances track.
#[derive(Debug)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) members: Vec<usize>,
    pub(super) trackers: Vec<usize>,
    pub(super) link: Option<Link>,
    /// Somebody tells about it.
    pub(super) is_fed: bool,
    pub(super) sockets: Option<Sockets>,
    /// Why there are none, as it was logged last.
    pub(super) complaint: Option<String>,
    pub(super) demux: Demux,
}

impl Interface {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            members: Vec::new(),
            trackers: Vec::new(),
            link: None,
            is_fed: false,
            sockets: None,
            complaint: None,
            demux: Demux::new(),
        }
    }

    /// Whether the sockets of the link as it was would do for it as it is.
    pub(super) fn is_served_by_the_same(&self, link: Option<&Link>) -> bool {
        match (&self.link, link) {
            (Some(before), Some(after)) => {
                (before.index, before.up, before.mac) == (after.index, after.up, after.mac)
            }
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// What is wrong with it for those that track it.
    pub(super) fn fault(&self) -> Option<FaultReason> {
        match &self.link {
            None => Some(FaultReason::TrackedLinkMissing),
            Some(link) => (!link.up).then_some(FaultReason::TrackedLinkDown),
        }
    }

    pub(super) fn lacks_sockets(&self) -> bool {
        !self.members.is_empty() && self.sockets.is_none() && self.link.as_ref().is_some_and(|link| link.up)
    }

    pub(super) fn open_sockets(&mut self, groups: BTreeSet<Ipv4Addr>) {
        let Some(link) = &self.link else { return };
        match Sockets::open(&self.name, link.index, groups) {
            Ok(sockets) => {
                self.sockets = Some(sockets);
                if self.complaint.take().is_some() {
                    tracing::info!(interface = self.name, "sockets for adverts are open");
                }
            }
            // It is tried again every second: said once for each reason.
            Err(error) => {
                let reason = error.to_string();
                if self.complaint.as_ref() != Some(&reason) {
                    tracing::warn!(interface = self.name, %error, "open sockets for adverts");
                    self.complaint = Some(reason);
                }
            }
        }
    }

    /// The address that an instance sends from (VR-001): the configured one, or the first that is no virtual
    /// address. The owner may have no other than its own virtual ones.
    pub(super) fn source_for(
        &self,
        config: &InstanceConfig,
        virtual_addresses: &BTreeSet<IpAddr>,
    ) -> Result<IpAddr, FaultReason> {
        let link = self.link.as_ref().ok_or(FaultReason::LinkMissing)?;
        if !link.up {
            return Err(FaultReason::LinkDown);
        }
        let may_be_source = |address: &IpAddr| {
            let is_ours = config.router.priority().is_owner() && config.owns(*address);
            Family::of(address) == config.family() && (is_ours || !virtual_addresses.contains(address))
        };
        let primary = || {
            let untagged = link.addresses.iter().filter(|address| !address.tagged);
            untagged.map(|address| address.address).find(may_be_source)
        };
        config.delivery.source().or_else(primary).ok_or(FaultReason::NoAddress)
    }

    pub(super) fn own_addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.link.iter().flat_map(|link| &link.addresses).map(|address| address.address)
    }

    pub(super) fn broadcasts(&self) -> Vec<Ipv4Addr> {
        self.link.iter().flat_map(|link| &link.addresses).filter_map(broadcast).collect()
    }
}

/// The broadcast address of a network; one of 31 or 32 bits has none (RFC 3021 §2.1).
pub(super) fn broadcast(address: &LinkAddress) -> Option<Ipv4Addr> {
    match address.address {
        IpAddr::V4(v4) if address.prefix_len < 31 => {
            let host_bits = u32::MAX.checked_shr(address.prefix_len.into()).unwrap_or(0);
            Some(Ipv4Addr::from_bits(v4.to_bits() | host_bits))
        }
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broadcast_address_is_the_last_of_a_network_that_has_one() {
        let of = |address: [u8; 4], prefix_len| {
            broadcast(&LinkAddress { address: address.into(), prefix_len, tagged: false })
                .map(|found| found.octets())
        };
        assert_eq!(of([10, 0, 0, 1], 24), Some([10, 0, 0, 255]));
        assert_eq!(of([10, 0, 0, 5], 30), Some([10, 0, 0, 7]));
        assert_eq!(of([10, 0, 0, 1], 0), Some([255; 4]));
        assert_eq!(of([10, 0, 0, 1], 31), None);
        assert_eq!(of([10, 0, 0, 1], 32), None);
    }
}
