//! A second reader of adverts, written from the RFCs alone: what the simulation believes of a packet.
//!
//! It shares nothing with the crate under test, so that a mistake of one is not a mistake of both.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lvs_vrrp::Version;

/// What a packet says that a router may believe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Who sent it.
    pub source: IpAddr,
    /// The priority octet.
    pub priority: u8,
    /// Its interval in nanoseconds.
    pub interval: u64,
    /// How many addresses it lists.
    pub count: u8,
}

/// What a receiver demands of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Receiver {
    /// The version it speaks.
    pub version: Version,
    /// Its virtual router.
    pub vrid: u8,
    /// Its own interval in nanoseconds; version 2 demands the same.
    pub interval: u64,
    /// What adverts to it are addressed to.
    pub ears: Ears,
    /// The password that it demands; version 2 only.
    pub password: Option<[u8; 8]>,
    /// Its own address, from which nothing may come, if it looks at that.
    pub own_address: Option<IpAddr>,
}

/// How adverts reach a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ears {
    /// By a group.
    Group(IpAddr),
    /// By its own address; from these only, if strangers are refused.
    Own(IpAddr, Option<[Option<IpAddr>; 8]>),
}

impl Ears {
    fn is_ipv4(&self) -> bool {
        let (Self::Group(address) | Self::Own(address, _)) = self;
        address.is_ipv4()
    }

    /// VR-075, VR-222, VR-224.
    fn hear(&self, source: IpAddr, destination: IpAddr) -> bool {
        match self {
            Self::Group(group) => destination == *group,
            Self::Own(address, peers) => {
                destination == *address && peers.is_none_or(|peers| peers.contains(&Some(source)))
            }
        }
    }
}

/// Reads an IP datagram as this receiver has to (RFC 9568 §7.1, RFC 3768 §7.1); `None` if it is to be
/// discarded.
#[must_use]
pub fn read(datagram: &[u8], receiver: &Receiver) -> Option<Heard> {
    let is_ipv4 = receiver.ears.is_ipv4();
    let (source, destination, message) = if is_ipv4 { read_ipv4(datagram)? } else { read_ipv6(datagram)? };
    if !receiver.ears.hear(source, destination) || Some(source) == receiver.own_address {
        return None;
    }
    let &[kind, vrid, priority, count, fifth, sixth, ..] = message else { return None };
    if vrid != receiver.vrid || message.len() < 8 {
        return None;
    }
    let version = match receiver.version {
        Version::V2 => 2,
        Version::V3 => 3,
    };
    let (trailer, size) = (if version == 2 { 8 } else { 0 }, if source.is_ipv4() { 4 } else { 16 });
    if kind != version * 16 + 1 || message.len() != 8 + size * usize::from(count) + trailer {
        return None;
    }
    let plain = add(0, message);
    let pseudo =
        add_address(add_address(plain, source), destination) + 112 + u32::try_from(message.len()).ok()?;
    let is_intact = match (version, source) {
        (2, IpAddr::V4(_)) => is_whole(plain),
        // Both forms are deployed (VR-044).
        (3, IpAddr::V4(_)) => is_whole(plain) || is_whole(pseudo),
        (3, IpAddr::V6(_)) => is_whole(pseudo),
        _ => false,
    };
    if !is_intact {
        return None;
    }
    // VR-072.
    if source.is_ipv6() && !(message.get(8) == Some(&0xfe) && message.get(9)? & 0xc0 == 0x80) {
        return None;
    }
    let interval = if version == 2 {
        // VR-200, VR-201: no authentication, or this password.
        let is_authentic = match receiver.password {
            None => fifth == 0,
            Some(password) => fifth == 1 && message.ends_with(&password),
        };
        if !is_authentic {
            return None;
        }
        u64::from(sixth) * 1_000_000_000
    } else {
        if count == 0 {
            return None;
        }
        (u64::from(fifth & 15) * 256 + u64::from(sixth)) * 10_000_000
    };
    let is_allowed = interval > 0 && (version == 3 || interval == receiver.interval);
    is_allowed.then_some(Heard { source, priority, interval, count })
}

type Split<'a> = (IpAddr, IpAddr, &'a [u8]);

/// Source, destination and payload of a whole datagram of protocol 112 with TTL 255.
fn read_ipv4(datagram: &[u8]) -> Option<Split<'_>> {
    let octet = |place: usize| datagram.get(place).copied();
    let word = |place: usize| Some(u16::from_be_bytes([octet(place)?, octet(place + 1)?]));
    let address = |place: usize| {
        Some(IpAddr::V4(Ipv4Addr::new(
            octet(place)?,
            octet(place + 1)?,
            octet(place + 2)?,
            octet(place + 3)?,
        )))
    };
    let header = usize::from(octet(0)? & 15) * 4;
    let total = usize::from(word(2)?);
    let is_fragment = word(6)? & 0x3fff != 0;
    if octet(0)? / 16 != 4 || header < 20 || octet(9)? != 112 || is_fragment || octet(8)? != 255 {
        return None;
    }
    Some((address(12)?, address(16)?, datagram.get(header..total)?))
}

/// The same of IPv6, where adverts have no extension headers.
fn read_ipv6(datagram: &[u8]) -> Option<Split<'_>> {
    let (header, rest) = datagram.split_first_chunk::<40>()?;
    let address = |place: usize| {
        let octets: [u8; 16] = header.get(place..place + 16)?.try_into().ok()?;
        Some(IpAddr::V6(Ipv6Addr::from(octets)))
    };
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let is_ours = header[0] / 16 == 6 && header[6] == 112 && header[7] == 255;
    if is_ours { Some((address(8)?, address(24)?, rest.get(..length)?)) } else { None }
}

fn add_address(sum: u32, address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => add(sum, &address.octets()),
        IpAddr::V6(address) => add(sum, &address.octets()),
    }
}

/// RFC 1071, before folding.
fn add(sum: u32, octets: &[u8]) -> u32 {
    octets.iter().enumerate().fold(sum, |sum, (place, &octet)| {
        sum + if place % 2 == 0 { u32::from(octet) * 256 } else { u32::from(octet) }
    })
}

fn is_whole(sum: u32) -> bool {
    // All ones, or all zeros, which stand for the same number.
    sum.is_multiple_of(0xffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18));

    fn receiver(version: Version) -> Receiver {
        Receiver {
            version,
            vrid: 7,
            interval: 1_000_000_000,
            ears: Ears::Group(GROUP),
            password: None,
            own_address: None,
        }
    }

    #[test]
    fn a_packet_that_was_captured_from_keepalived_is_read() {
        // keepalived 2.2.7, version 2, VRID 7, priority 100, one address 10.0.0.100, checksum by hand below.
        let mut datagram = vec![0x45, 0xc0, 0, 40, 0, 1, 0, 0, 255, 112, 0, 0, 10, 0, 0, 2, 224, 0, 0, 18];
        datagram.extend([0x21, 7, 100, 1, 0, 1, 0, 0, 10, 0, 0, 100, 0, 0, 0, 0, 0, 0, 0, 0]);
        // 2107 + 6401 + 0001 + 0a00 + 0064 = 8f6d.
        datagram[26..28].copy_from_slice(&(!0x8f6d_u16).to_be_bytes());
        let heard = read(&datagram, &receiver(Version::V2)).expect("it is right");
        assert_eq!((heard.priority, heard.interval, heard.count), (100, 1_000_000_000, 1));
        assert_eq!(read(&datagram, &receiver(Version::V3)), None);
        for place in (0..datagram.len()).filter(|place| ![1, 4, 5, 10, 11, 12, 13, 14, 15].contains(place)) {
            let mut damaged = datagram.clone();
            damaged[place] ^= 0x41;
            assert_eq!(read(&damaged, &receiver(Version::V2)), None, "octet {place}");
        }
    }
}
