//! The virtual addresses of an advert, borrowed from a packet or from whoever sends it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lvs_core::Family;

use crate::checksum::Sum;

/// The virtual addresses of an advert, of one family, borrowed.
///
/// ```
/// use std::net::{IpAddr, Ipv6Addr};
/// use lvs_vrrp::AddressList;
///
/// let vips: [Ipv6Addr; 1] = ["fe80::1".parse()?];
/// assert_eq!(AddressList::from(&vips).into_iter().next(), Some(IpAddr::V6(vips[0])));
/// // Addresses of which it is not known whether they go together:
/// let mixed: [IpAddr; 2] = ["fe80::1".parse()?, "10.0.0.1".parse()?];
/// assert!(AddressList::of(&mixed).is_none());
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy)]
pub struct AddressList<'a>(Addresses<'a>);

impl<'a> AddressList<'a> {
    /// The list of these; `None` if they are not of one family. None at all are IPv4.
    #[must_use]
    pub fn of(addresses: &'a [IpAddr]) -> Option<Self> {
        let family = addresses.first().map_or(Family::Ipv4, Family::of);
        let is_of_one = addresses.iter().all(|address| Family::of(address) == family);
        is_of_one.then_some(Self(Addresses::Of(family, addresses)))
    }

    pub(crate) const fn wire_v4(octets: &'a [[u8; 4]]) -> Self {
        Self(Addresses::WireV4(octets))
    }

    pub(crate) const fn wire_v6(octets: &'a [[u8; 16]]) -> Self {
        Self(Addresses::WireV6(octets))
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self.0 {
            Addresses::WireV4(octets) => octets.len(),
            Addresses::WireV6(octets) => octets.len(),
            Addresses::V4(addresses) => addresses.len(),
            Addresses::V6(addresses) => addresses.len(),
            Addresses::Of(_, addresses) => addresses.len(),
        }
    }

    /// Whether there are none, which only version 2 allows.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The family of all of them.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self.0 {
            Addresses::WireV4(_) | Addresses::V4(_) => Family::Ipv4,
            Addresses::WireV6(_) | Addresses::V6(_) => Family::Ipv6,
            Addresses::Of(family, _) => family,
        }
    }

    /// How many octets they take in a packet.
    pub(crate) const fn wire_len(&self) -> usize {
        self.len() * address_len(self.family())
    }

    /// Puts the octets of all of them into a place of exactly their length; answers their sum.
    pub(crate) fn copy_to(&self, place: &mut [u8]) -> Sum {
        match self.0 {
            Addresses::WireV4(octets) => copy(place, octets.iter().copied()),
            Addresses::V4(addresses) => copy(place, addresses.iter().map(Ipv4Addr::octets)),
            Addresses::WireV6(octets) => copy(place, octets.iter().copied()),
            Addresses::V6(addresses) => copy(place, addresses.iter().map(Ipv6Addr::octets)),
            Addresses::Of(Family::Ipv4, addresses) => copy(place, addresses.iter().filter_map(v4_octets)),
            Addresses::Of(Family::Ipv6, addresses) => copy(place, addresses.iter().filter_map(v6_octets)),
        }
    }

    /// Whether they are these octets in a packet.
    pub(crate) fn are(&self, octets: &[u8]) -> bool {
        match self.0 {
            Addresses::WireV4(ours) => ours.as_flattened() == octets,
            Addresses::WireV6(ours) => ours.as_flattened() == octets,
            Addresses::V4(_) | Addresses::V6(_) | Addresses::Of(..) => {
                let mut ours = vec![0; self.wire_len()];
                self.copy_to(&mut ours);
                ours == octets
            }
        }
    }
}

/// Puts addresses of N octets one behind the other. Their sum is made from what is at hand: to read what was
/// just written costs more.
fn copy<const N: usize>(place: &mut [u8], addresses: impl Iterator<Item = [u8; N]>) -> Sum {
    let (places, _) = place.as_chunks_mut::<N>();
    places.iter_mut().zip(addresses).fold(Sum::ZERO, |sum, (to, from)| {
        *to = from;
        sum.plus(Sum::of(&from))
    })
}

fn v4_octets(address: &IpAddr) -> Option<[u8; 4]> {
    match address {
        IpAddr::V4(address) => Some(address.octets()),
        IpAddr::V6(_) => None,
    }
}

fn v6_octets(address: &IpAddr) -> Option<[u8; 16]> {
    match address {
        IpAddr::V6(address) => Some(address.octets()),
        IpAddr::V4(_) => None,
    }
}

/// How many octets an address takes.
pub(crate) const fn address_len(family: Family) -> usize {
    match family {
        Family::Ipv4 => 4,
        Family::Ipv6 => 16,
    }
}

impl<'a> From<&'a [Ipv4Addr]> for AddressList<'a> {
    fn from(addresses: &'a [Ipv4Addr]) -> Self {
        Self(Addresses::V4(addresses))
    }
}

impl<'a> From<&'a [Ipv6Addr]> for AddressList<'a> {
    fn from(addresses: &'a [Ipv6Addr]) -> Self {
        Self(Addresses::V6(addresses))
    }
}

impl<'a, const N: usize> From<&'a [Ipv4Addr; N]> for AddressList<'a> {
    fn from(addresses: &'a [Ipv4Addr; N]) -> Self {
        Self(Addresses::V4(addresses))
    }
}

impl<'a, const N: usize> From<&'a [Ipv6Addr; N]> for AddressList<'a> {
    fn from(addresses: &'a [Ipv6Addr; N]) -> Self {
        Self(Addresses::V6(addresses))
    }
}

impl<'a> From<&'a Vec<Ipv4Addr>> for AddressList<'a> {
    fn from(addresses: &'a Vec<Ipv4Addr>) -> Self {
        Self(Addresses::V4(addresses))
    }
}

impl<'a> From<&'a Vec<Ipv6Addr>> for AddressList<'a> {
    fn from(addresses: &'a Vec<Ipv6Addr>) -> Self {
        Self(Addresses::V6(addresses))
    }
}

impl<'a> IntoIterator for AddressList<'a> {
    type Item = IpAddr;
    type IntoIter = AddressIter<'a>;

    fn into_iter(self) -> AddressIter<'a> {
        AddressIter(self.0)
    }
}

impl PartialEq for AddressList<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.into_iter().eq(*other)
    }
}

impl Eq for AddressList<'_> {}

impl fmt::Debug for AddressList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

/// Goes through the addresses of an [`AddressList`].
#[derive(Clone, Debug)]
pub struct AddressIter<'a>(Addresses<'a>);

impl Iterator for AddressIter<'_> {
    type Item = IpAddr;

    fn next(&mut self) -> Option<IpAddr> {
        match &mut self.0 {
            Addresses::WireV4(octets) => octets.split_off_first().map(|&octets| octets.into()),
            Addresses::WireV6(octets) => octets.split_off_first().map(|&octets| octets.into()),
            Addresses::V4(addresses) => addresses.split_off_first().map(|&address| address.into()),
            Addresses::V6(addresses) => addresses.split_off_first().map(|&address| address.into()),
            Addresses::Of(_, addresses) => addresses.split_off_first().copied(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = AddressList(self.0).len();
        (left, Some(left))
    }
}

impl ExactSizeIterator for AddressIter<'_> {}

/// Addresses as they are in a packet, or as a sender has them.
#[derive(Clone, Copy, Debug)]
enum Addresses<'a> {
    WireV4(&'a [[u8; 4]]),
    WireV6(&'a [[u8; 16]]),
    V4(&'a [Ipv4Addr]),
    V6(&'a [Ipv6Addr]),
    /// All of this family.
    Of(Family, &'a [IpAddr]),
}
