//! A network interface as the rest of the system needs to know it.

use std::fmt;
use std::net::IpAddr;

/// A 48-bit hardware address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress([u8; 6]);

impl MacAddress {
    /// All stations.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// The address with these octets.
    #[must_use]
    pub const fn new(octets: [u8; 6]) -> Self {
        Self(octets)
    }

    /// The octets in the order of transmission.
    #[must_use]
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A network interface and the addresses on it, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name now; names can change, indexes do not.
    pub name: String,
    /// The kernel's index, at least 1.
    pub index: u32,
    /// Administratively up and with a carrier.
    pub up: bool,
    /// Its hardware address, if it has one of 48 bits.
    pub mac: Option<MacAddress>,
    /// Its addresses in the kernel's order: the first of a family is the primary one.
    pub addresses: Vec<LinkAddress>,
}

/// An address on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkAddress {
    /// The address.
    pub address: IpAddr,
    /// Length of the network prefix in bits: 0 to 32, or to 128 for IPv6.
    pub prefix_len: u8,
    /// Whether it carries the owner tag of this software (`IFA_PROTO`): a virtual address, never a source for adverts.
    pub tagged: bool,
}
