//! The only place where the simulation writes packets: by the codec under test, octet for octet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lvs_core::Family;
use lvs_vrrp::{
    AddressList, Advert, Advertised, AuthPass, Authentication, Datagram, Endpoints, Interval, Ipv4Header,
    Vrid,
};

/// What a sender puts into its adverts, apart from the priority.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The address it sends from.
    pub source: IpAddr,
    /// Its virtual router.
    pub vrid: Vrid,
    /// The virtual addresses.
    pub addresses: Vec<IpAddr>,
    /// The password in its adverts; version 2 only.
    pub password: Option<[u8; 8]>,
}

impl Sender {
    /// The sender that a host is on a segment.
    #[must_use]
    pub fn new(family: Family, segment: usize, host: usize, addresses: usize) -> Self {
        // The order of the addresses is not that of the hosts.
        let last = u8::try_from(10 + host * 3 % 8).unwrap_or(u8::MAX);
        let place = |n: usize| u8::try_from(n).unwrap_or(u8::MAX);
        Self {
            source: address(family, segment, last),
            vrid: Vrid::new(place(segment + 1)).unwrap_or(FIRST),
            addresses: (0..addresses).map(|n| virtual_address(family, segment, n)).collect(),
            password: None,
        }
    }

    /// Writes the advert as it travels there into `datagram`, IP header included; `packet` is space to work in.
    /// False if there can be no such advert.
    pub fn write(
        &self,
        destination: IpAddr,
        advertised: Advertised,
        interval: Interval,
        packet: &mut Vec<u8>,
        datagram: &mut Vec<u8>,
    ) -> bool {
        let Some(addresses) = AddressList::of(&self.addresses) else { return false };
        let (Ok(advert), Some(endpoints)) = (
            Advert::new(self.vrid, advertised, interval, addresses),
            Endpoints::new(self.source, destination),
        ) else {
            return false;
        };
        let password = self.password.map(AuthPass::from_octets);
        let advert =
            advert.with_authentication(password.map_or(Authentication::None, Authentication::Password));
        advert.write_to(&endpoints, packet);
        match endpoints {
            Endpoints::V4 { source, destination } => {
                Ipv4Header { source, destination, ttl: 255 }.write_to(packet, datagram);
            }
            // What the kernel does for a raw socket of IPv6.
            Endpoints::V6 { source, destination } => {
                datagram.clear();
                let [high, low] = u16::try_from(packet.len()).unwrap_or(u16::MAX).to_be_bytes();
                datagram.extend_from_slice(&[0x60, 0, 0, 0, high, low, 112, 255]);
                datagram.extend_from_slice(&source.octets());
                datagram.extend_from_slice(&destination.octets());
                datagram.extend_from_slice(packet);
            }
        }
        true
    }
}

const FIRST: Vrid = match Vrid::new(1) {
    Ok(vrid) => vrid,
    Err(_) => unreachable!(),
};

/// The password where there is one, and one that an operator got wrong.
pub const PASSWORD: [u8; 8] = *b"s3cr3t\0\0";
/// It differs at the very end.
pub const WRONG_PASSWORD: [u8; 8] = *b"s3cr3t\0\x01";

/// The virtual address with that number, from 0.
#[must_use]
pub fn virtual_address(family: Family, segment: usize, number: usize) -> IpAddr {
    let place = u8::try_from(number).unwrap_or(u8::MAX);
    match (family, number) {
        (Family::Ipv4, _) => address(family, segment, 100_u8.saturating_add(place)),
        // VR-027: the first is link-local.
        (Family::Ipv6, 0) => address(family, segment, 100),
        (Family::Ipv6, _) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(place))),
    }
}

/// An address of a segment's network with this end.
#[must_use]
pub fn address(family: Family, segment: usize, last: u8) -> IpAddr {
    let net = u8::try_from(segment).unwrap_or(u8::MAX);
    match family {
        Family::Ipv4 => IpAddr::V4(Ipv4Addr::new(10, 0, net, last)),
        Family::Ipv6 => IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, u16::from(net), u16::from(last))),
    }
}

/// What a socket delivers of a datagram: in IPv4 the octets, which the crate takes apart; in IPv6 the kernel
/// does, and drops what is damaged.
#[must_use]
pub fn split(family: Family, octets: &[u8]) -> Option<Datagram<'_>> {
    match family {
        Family::Ipv4 => Datagram::from_ipv4(octets).ok(),
        Family::Ipv6 => {
            let (header, rest) = octets.split_first_chunk::<40>()?;
            let source: [u8; 16] = header.get(8..24)?.try_into().ok()?;
            let destination: [u8; 16] = header.get(24..40)?.try_into().ok()?;
            let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
            if header[0] >> 4 != 6 || header[6] != 112 {
                return None;
            }
            let endpoints = Endpoints::v6(source.into(), destination.into());
            Some(Datagram::new(endpoints, header[7], rest.get(..length)?))
        }
    }
}
