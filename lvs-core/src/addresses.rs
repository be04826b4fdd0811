//! Virtual addresses: what there should be on an interface, what is there, and the edits between the two.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use async_trait::async_trait;
use thiserror::Error;

use crate::announcements::Announcements;
use crate::link::MacAddress;

/// Where an address is: on one interface there is one entry per address and prefix length.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressKey {
    /// Name of the interface.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
    /// Length of the network prefix in bits: 0 to 32, or to 128 for IPv6.
    pub prefix_len: u8,
}

impl fmt::Display for AddressKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} on {}", self.address, self.prefix_len, self.interface)
    }
}

/// Area in which an address is valid, by the numbers of `rtnetlink(7)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct AddressScope(pub u8);

impl AddressScope {
    /// Everywhere (`RT_SCOPE_UNIVERSE`).
    pub const GLOBAL: Self = Self(0);
    /// This site (`RT_SCOPE_SITE`).
    pub const SITE: Self = Self(200);
    /// This link (`RT_SCOPE_LINK`).
    pub const LINK: Self = Self(253);
    /// This host (`RT_SCOPE_HOST`).
    pub const HOST: Self = Self(254);
    /// Nowhere (`RT_SCOPE_NOWHERE`).
    pub const NOWHERE: Self = Self(255);
}

/// A virtual address as it should be on an interface.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VirtualAddress {
    /// Where it is.
    pub key: AddressKey,
    /// Area in which it is valid.
    pub scope: AddressScope,
    /// IPv4 label, at most 15 bytes, beginning with the interface's name.
    pub label: Option<String>,
    /// IPv4 broadcast address.
    pub broadcast: Option<Ipv4Addr>,
}

impl VirtualAddress {
    /// An address of global scope without label and broadcast address.
    #[must_use]
    pub fn new(interface: impl Into<String>, address: IpAddr, prefix_len: u8) -> Self {
        Self {
            key: AddressKey { interface: interface.into(), address, prefix_len },
            scope: AddressScope::GLOBAL,
            label: None,
            broadcast: None,
        }
    }
}

/// An address that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstalledAddress {
    /// Whether it carries the owner tag of this software (`IFA_PROTO`).
    pub tagged: bool,
}

/// What a host was seen to have.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Installed {
    /// Every address of every interface.
    pub addresses: BTreeMap<AddressKey, InstalledAddress>,
    /// Names of all interfaces.
    pub interfaces: BTreeSet<String>,
    /// Hardware addresses of the interfaces that are up and have one of 48 bits. What a master announced on an interface is announced
    /// again when the interface has another one: the neighbours know the old one only.
    pub hardware: BTreeMap<String, MacAddress>,
}

impl Installed {
    /// The edits that make the virtual addresses equal to `wanted`.
    ///
    /// Added is what is wanted and not there, on interfaces that exist. Removed is what is in `released`, the virtual
    /// addresses that this node must not hold now, whatever its prefix length and whoever put it there. Anything else
    /// is left alone.
    #[must_use]
    pub fn changes_to<'a>(
        &self,
        wanted: impl IntoIterator<Item = &'a VirtualAddress>,
        released: impl IntoIterator<Item = &'a VirtualAddress>,
    ) -> Vec<AddressChange> {
        let wanted: Vec<&VirtualAddress> = wanted.into_iter().collect();
        let wanted_keys: BTreeSet<&AddressKey> = wanted.iter().map(|address| &address.key).collect();
        let key = |address: &'a VirtualAddress| (address.key.interface.as_str(), address.key.address);
        let released: BTreeSet<(&str, IpAddr)> = released.into_iter().map(key).collect();
        // Removals first: an address that moves to another interface must not be on both.
        let removals = self
            .addresses
            .keys()
            .filter(|key| {
                !wanted_keys.contains(key) && released.contains(&(key.interface.as_str(), key.address))
            })
            .map(|key| AddressChange::Remove(key.clone()));
        let additions = wanted
            .iter()
            .filter(|address| {
                self.interfaces.contains(&address.key.interface) && !self.addresses.contains_key(&address.key)
            })
            .map(|address| AddressChange::Add((*address).clone()));
        removals.chain(additions).collect()
    }
}

/// One edit of an interface's addresses. The set is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressChange {
    /// Put the address on its interface, with the owner tag.
    Add(VirtualAddress),
    /// Take it off.
    Remove(AddressKey),
}

impl fmt::Display for AddressChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(address) => write!(f, "add address {}", address.key),
            Self::Remove(key) => write!(f, "remove address {key}"),
        }
    }
}

/// Tell the neighbours that this host now has the address: gratuitous ARP for IPv4, an unsolicited neighbour
/// advertisement for IPv6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Name of the interface to send on.
    pub interface: String,
    /// The address that is announced.
    pub address: IpAddr,
    /// Packets for that address; 0 is no announcement.
    pub repeat: u8,
}

/// The host's addresses: the kernel by netlink, or a fake.
///
/// The applier is the only caller; it observes, edits the difference, and announces what the kernel confirmed.
#[async_trait]
pub trait Addresses: Send {
    /// Reads interfaces and addresses.
    ///
    /// # Errors
    /// Any failure to read; never answered by an empty value.
    async fn observe(&mut self) -> Result<Installed, AddressError>;

    /// Makes the edits and answers one result for each; later edits are tried after a failed one.
    ///
    /// Adding an address that is there and removing one that is not are successes: the wish is fulfilled.
    async fn apply(&mut self, changes: Vec<AddressChange>) -> Vec<Result<(), AddressError>>;

    /// Sends the announcements, in their order and paced as the implementation sees fit, and answers what failed.
    ///
    /// Takes each packet off once it was sent, and an address that failed with all its packets. What is left in the end is
    /// left out. Safe to cancel: what is left then is what was not sent yet, and the failures until then are lost.
    async fn announce(&mut self, waiting: &mut Announcements) -> Vec<AddressError>;
}

/// Why addresses could not be read, edited or announced.
#[derive(Debug, Error)]
#[error("{operation}: {source}")]
pub struct AddressError {
    operation: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl AddressError {
    /// An error that names what was tried and on what ("add address 10.0.0.100/32 on eth0"), and why it failed.
    pub fn new(
        operation: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { operation: operation.into(), source: source.into() }
    }

    /// What was tried, and on what.
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.operation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vip(last: u8) -> VirtualAddress {
        VirtualAddress::new("eth0", [10, 0, 0, last].into(), 32)
    }

    fn installed(addresses: &[(VirtualAddress, bool)]) -> Installed {
        Installed {
            addresses: addresses
                .iter()
                .map(|(address, tagged)| (address.key.clone(), InstalledAddress { tagged: *tagged }))
                .collect(),
            interfaces: BTreeSet::from(["eth0".to_owned()]),
            hardware: BTreeMap::new(),
        }
    }

    #[test]
    fn a_missing_address_is_added_and_one_that_is_there_is_left() {
        let seen = installed(&[(vip(1), true)]);
        assert_eq!(seen.changes_to(&[vip(1), vip(2)], &[]), [AddressChange::Add(vip(2))]);
    }

    #[test]
    fn released_addresses_are_removed_whoever_made_them_and_strangers_stay() {
        let mut other_prefix = vip(2);
        other_prefix.key.prefix_len = 24;
        let seen = installed(&[(vip(1), true), (other_prefix.clone(), false), (vip(3), true)]);
        assert_eq!(
            seen.changes_to(&[], &[vip(1), vip(2)]),
            [AddressChange::Remove(vip(1).key), AddressChange::Remove(other_prefix.key)]
        );
    }

    #[test]
    fn nothing_is_added_to_an_interface_that_does_not_exist() {
        let elsewhere = VirtualAddress::new("eth9", [10, 0, 0, 1].into(), 32);
        assert!(installed(&[]).changes_to(&[elsewhere], &[]).is_empty());
    }
}
