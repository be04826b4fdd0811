//! The virtual addresses on an interface of a host, put there and taken away by lvs-core's claims as an applier does.

use std::net::IpAddr;

use lvs_core::claims::{AddressSet, Claims};
use lvs_core::{AddressChange, AddressKey, Installed, InstalledAddress, Ownership, Role, VirtualAddress};

/// An interface, and who keeps its addresses.
#[derive(Clone, Debug)]
pub struct Kernel {
    installed: Installed,
    claims: Claims,
    /// As they are configured now.
    addresses: Vec<IpAddr>,
}

impl Kernel {
    /// An interface without virtual addresses.
    pub(crate) fn new(addresses: &[IpAddr]) -> Self {
        let installed = Installed { interfaces: [INTERFACE.to_owned()].into(), ..Installed::default() };
        Self { installed, claims: claims(addresses, &[]), addresses: addresses.to_vec() }
    }

    /// Another process, or another list: what was there before is not wanted unless it is in the list.
    pub(crate) fn set_addresses(&mut self, addresses: &[IpAddr]) {
        let before: Vec<IpAddr> = self.installed.addresses.keys().map(|key| key.address).collect();
        self.claims = claims(addresses, &before);
        self.addresses = addresses.to_vec();
    }

    /// Makes the addresses what this ownership asks for, and answers the edits.
    ///
    /// # Errors
    /// An edit that is none: A4 wants adding and removing by turns, for each address.
    pub(crate) fn pass(&mut self, ownership: Ownership) -> Result<Vec<AddressChange>, String> {
        self.claims.set_ownership(0, ownership);
        let changes = self.claims.changes(&self.installed);
        for change in &changes {
            let is_edit = match change {
                AddressChange::Add(address) => {
                    let there = InstalledAddress { tagged: true };
                    self.installed.addresses.insert(address.key.clone(), there).is_none()
                }
                AddressChange::Remove(key) => self.installed.addresses.remove(key).is_some(),
            };
            if !is_edit {
                return Err(format!("{change} changes nothing"));
            }
        }
        let wanted: &[IpAddr] = if ownership.role == Role::Master { &self.addresses } else { &[] };
        if self.has(wanted) {
            Ok(changes)
        } else {
            Err(format!("{:?} instead of {wanted:?}", self.installed))
        }
    }

    /// Somebody took them all away, or the power went.
    pub(crate) fn clear(&mut self) {
        self.installed.addresses.clear();
    }

    /// Whether there is one.
    pub(crate) fn has_any(&self) -> bool {
        !self.installed.addresses.is_empty()
    }

    fn has(&self, addresses: &[IpAddr]) -> bool {
        let there = &self.installed.addresses;
        there.len() == addresses.len() && addresses.iter().all(|address| there.contains_key(&key(*address)))
    }
}

/// The second set is what an earlier list left behind.
fn claims(addresses: &[IpAddr], before: &[IpAddr]) -> Claims {
    let set = |instance: &str, addresses: &[IpAddr]| AddressSet {
        instance: instance.to_owned(),
        addresses: addresses.iter().map(|address| virtual_address(*address)).collect(),
        beside: Vec::new(),
        owner: false,
    };
    Claims::new(vec![set("now", addresses), set("before", before)])
}

fn virtual_address(address: IpAddr) -> VirtualAddress {
    VirtualAddress::new(INTERFACE, address, key(address).prefix_len)
}

fn key(address: IpAddr) -> AddressKey {
    let prefix_len = if address.is_ipv4() { 32 } else { 128 };
    AddressKey { interface: INTERFACE.to_owned(), address, prefix_len }
}

const INTERFACE: &str = "eth0";
