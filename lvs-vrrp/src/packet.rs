//! Adverts of VRRPv2 and VRRPv3 over IPv4 and IPv6, from octets and to octets.

use std::net::{IpAddr, Ipv6Addr};

use lvs_core::Family;

use crate::addresses::{AddressList, address_len};
use crate::checksum::Sum;
use crate::endpoints::{Endpoints, group};
use crate::refusal::Refusal;
use crate::types::{
    Advertised, AuthPass, Authentication, Centis, ChecksumForm, Interval, OutOfRange, Version, Vrid,
};

// VRRPv2, IPv4 only, RFC 3768 §5.1 (authentication data: RFC 2338 §5.3.6 to §5.3.10)
//
//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-------+-------+---------------+---------------+---------------+
// |   2   |type 1 | virtual rtr id|   priority    |     count     |
// +-------+-------+---------------+---------------+---------------+
// |   auth type   |  interval (s) |           checksum            |
// +---------------+---------------+-------------------------------+
// |                     count × IPv4 address                      |
// +---------------------------------------------------------------+
// |              authentication data, always 8 octets             |
// +---------------------------------------------------------------+
//
// VRRPv3, RFC 9568 §5.1
//
// +-------+-------+---------------+---------------+---------------+
// |   3   |type 1 | virtual rtr id|   priority    |     count     |
// +-------+-------+---------------+---------------+---------------+
// |reserve|    interval (cs)      |           checksum            |
// +-------+-----------------------+-------------------------------+
// |                 count × IPv4 or IPv6 address                  |
// +---------------------------------------------------------------+

/// An advert, the only message that VRRP has.
///
/// It borrows its addresses from the packet it was parsed from, or from whoever sends it: neither way
/// allocates.
///
/// ```
/// use std::net::Ipv4Addr;
/// use lvs_vrrp::{Advert, Advertised, Endpoints, Interval, Priority, Vrid};
///
/// let endpoints = Endpoints::v4(Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(224, 0, 0, 18));
/// let vips = [Ipv4Addr::new(10, 0, 0, 100)];
/// let advert =
///     Advert::new(Vrid::new(51)?, Advertised::Running(Priority::new(150)?), Interval::centis(100)?, &vips)?;
///
/// let mut packet = Vec::new();
/// advert.write_to(&endpoints, &mut packet);
/// assert_eq!(packet.len(), 12);
/// assert_eq!(Advert::parse(&packet, &endpoints), Ok(advert));
///
/// packet[2] = 200; // a higher priority, but the checksum tells
/// assert_eq!(Advert::parse(&packet, &endpoints), Err(lvs_vrrp::Refusal::Checksum));
/// # Ok::<(), lvs_vrrp::OutOfRange>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advert<'a> {
    vrid: Vrid,
    advertised: Advertised,
    interval: Interval,
    authentication: Authentication,
    checksum: ChecksumForm,
    addresses: AddressList<'a>,
}

impl<'a> Advert<'a> {
    /// An advert to be sent: without authentication, in version 3 with the checksum that is deployed (see
    /// [`ChecksumForm`]).
    ///
    /// The first of IPv6 addresses has to be link-local, or receivers that follow RFC 9568 §5.2.9 do not believe the
    /// advert ([`has_link_local_first`](Self::has_link_local_first)).
    ///
    /// # Errors
    /// More than 255 addresses; none in version 3 (RFC 9568 §5.2.5); IPv6 ones in version 2.
    pub fn new(
        vrid: Vrid,
        advertised: Advertised,
        interval: Interval,
        addresses: impl Into<AddressList<'a>>,
    ) -> Result<Self, OutOfRange> {
        let addresses = addresses.into();
        let count = addresses.len();
        let checksum = match (interval, addresses.family()) {
            (Interval::Seconds(_), Family::Ipv4) => {
                OutOfRange::check("number of addresses", count, 0..=255, "0 to 255")?;
                ChecksumForm::MessageOnly
            }
            (Interval::Seconds(_), Family::Ipv6) => {
                OutOfRange::check("number of IPv6 addresses in version 2", count, 0..=0, "none")?;
                ChecksumForm::MessageOnly
            }
            (Interval::Centis(_), _) => {
                OutOfRange::check("number of addresses", count, 1..=255, "1 to 255")?;
                ChecksumForm::PseudoHeader
            }
        };
        Ok(Self { vrid, advertised, interval, authentication: Authentication::None, checksum, addresses })
    }

    /// How many addresses an advert can list in one packet on a link with this MTU, in octets; at most 255.
    ///
    /// It is what keepalived 2.2.7 computes, which leaves 14 octets free: routers with more addresses than this
    /// have to move the same ones to the list of excluded ones, as some refuse adverts with another list.
    ///
    /// ```
    /// use lvs_vrrp::Family;
    /// use lvs_vrrp::{Advert, Authentication, Version};
    ///
    /// assert_eq!(Advert::most_addresses(1500, Version::V3, Family::Ipv4, Authentication::None), 255);
    /// assert_eq!(Advert::most_addresses(1500, Version::V3, Family::Ipv6, Authentication::None), 89);
    /// ```
    #[must_use]
    pub fn most_addresses(mtu: u32, version: Version, family: Family, authentication: Authentication) -> u8 {
        let ip = match family {
            Family::Ipv4 => 20,
            Family::Ipv6 => 40,
        };
        let ah = match authentication {
            Authentication::Ah(_) => 24,
            Authentication::None | Authentication::Password(_) => 0,
        };
        let data = match version {
            Version::V2 => AUTHENTICATION_DATA,
            Version::V3 => 0,
        };
        let mtu = usize::try_from(mtu).unwrap_or(usize::MAX);
        let room = mtu.saturating_sub(ETHERNET_HEADER + ip + ah + HEADER_LEN + data);
        u8::try_from(room / address_len(family)).unwrap_or(u8::MAX)
    }

    /// The same advert with this authentication; version 3 has none and stays as it is.
    #[must_use]
    pub const fn with_authentication(mut self, authentication: Authentication) -> Self {
        match self.interval {
            Interval::Seconds(_) => self.authentication = authentication,
            Interval::Centis(_) => {}
        }
        self
    }

    /// The same advert with this form of checksum; version 2 and IPv6 know one only each and stay as they are.
    #[must_use]
    pub const fn with_checksum(mut self, checksum: ChecksumForm) -> Self {
        match (self.interval, self.addresses.family()) {
            (Interval::Centis(_), Family::Ipv4) => self.checksum = checksum,
            (Interval::Seconds(_), _) | (Interval::Centis(_), Family::Ipv6) => {}
        }
        self
    }

    /// Reads the payload of a datagram of protocol 112. One of type 2 is refused here: it is worth something behind
    /// an authentication header only, which [`Demux`](crate::Demux) knows.
    ///
    /// What is checked here holds for every receiver: version, type, length, checksum, addresses, interval
    /// (RFC 9568 §7.1). What depends on the receiver's configuration is checked by [`Demux`](crate::Demux).
    ///
    /// # Errors
    /// The reason why the packet is to be discarded.
    pub fn parse(packet: &'a [u8], endpoints: &Endpoints) -> Result<Self, Refusal> {
        Self::parse_behind(None, false, packet, endpoints)
    }

    /// As [`Advert::parse`], behind an authentication header that was made with this key; and whatever the first
    /// address is, if any may be first.
    pub(crate) fn parse_behind(
        ah: Option<AuthPass>,
        any_first: bool,
        packet: &'a [u8],
        endpoints: &Endpoints,
    ) -> Result<Self, Refusal> {
        let (header, body) = packet.split_first_chunk::<HEADER_LEN>().ok_or(Refusal::Length)?;
        let &[version_type, vrid, priority, count, fifth, sixth, _, _] = header;
        let family = endpoints.family();
        let version = match (version_type >> 4, family) {
            (2, Family::Ipv4) => Version::V2,
            (3, _) => Version::V3,
            // VR-029: version 2 over IPv6 is nobody's standard.
            _ => return Err(Refusal::Version),
        };
        if version_type & 0x0f != ADVERTISEMENT {
            return Err(Refusal::Type);
        }
        let (addresses, trailer) = split(body, family, count.into()).ok_or(Refusal::Length)?;
        let trailer = match (version, trailer) {
            (Version::V2, trailer) => Some(trailer.try_into().map_err(|_| Refusal::Length)?),
            (Version::V3, []) => None,
            (Version::V3, _) => return Err(Refusal::Length),
        };
        let checksum = form(packet, version, endpoints).ok_or(Refusal::Checksum)?;
        let (interval, authentication) = match trailer {
            Some(data) => {
                let interval = Interval::seconds(sixth).map_err(|_| Refusal::IntervalZero)?;
                let authentication = match (fifth, ah) {
                    (AUTH_NONE, None) => Authentication::None,
                    (AUTH_SIMPLE, None) => Authentication::Password(AuthPass::from_octets(data)),
                    (AUTH_AH, Some(key)) => Authentication::Ah(key),
                    _ => return Err(Refusal::AuthType),
                };
                (interval, authentication)
            }
            None => {
                // VR-071.
                if addresses.is_empty() {
                    return Err(Refusal::CountZero);
                }
                // VR-072. Here, since an advert that is looked at once more by the caller costs as much as all the rest.
                if !any_first && family == Family::Ipv6 && !begins_link_local(body) {
                    return Err(Refusal::NotLinkLocal);
                }
                let centis = Centis::new(u16::from_be_bytes([fifth & 0x0f, sixth]));
                (Interval::Centis(centis.map_err(|_| Refusal::IntervalZero)?), Authentication::None)
            }
        };
        Ok(Self {
            // 0 cannot be configured anywhere.
            vrid: Vrid::new(vrid).map_err(|_| Refusal::UnknownVrid)?,
            advertised: Advertised::from_octet(priority),
            interval,
            authentication,
            checksum,
            addresses,
        })
    }

    /// Puts the octets into `packet`, which is emptied first. The endpoints are part of the pseudo-header, and
    /// of the family of the addresses: sent over the other one, an advert is refused by every receiver.
    pub fn write_to(&self, endpoints: &Endpoints, packet: &mut Vec<u8>) {
        let length = self.wire_len();
        if packet.len() != length {
            packet.clear();
            packet.resize(length, 0);
        }
        self.fill(endpoints, packet);
    }

    /// How many octets it has in a packet: 12 to 4,088.
    #[must_use]
    pub const fn wire_len(&self) -> usize {
        let trailer = match self.interval {
            Interval::Seconds(_) => AUTHENTICATION_DATA,
            Interval::Centis(_) => 0,
        };
        HEADER_LEN + self.addresses.wire_len() + trailer
    }

    /// Puts the octets into a place of exactly their length, whatever was there.
    fn fill(&self, endpoints: &Endpoints, packet: &mut [u8]) {
        let Some((header, body)) = packet.split_first_chunk_mut::<HEADER_LEN>() else { return };
        // Lists are at most 255 long: by the count octet, or by `new`.
        let count = u8::try_from(self.addresses.len()).unwrap_or(u8::MAX);
        let ([fifth, sixth], data) = match self.interval {
            Interval::Seconds(seconds) => match self.authentication {
                Authentication::None => ([AUTH_NONE, seconds.get()], [0; 8]),
                Authentication::Password(password) => ([AUTH_SIMPLE, seconds.get()], password.octets()),
                Authentication::Ah(_) => ([AUTH_AH, seconds.get()], [0; 8]),
            },
            Interval::Centis(centis) => (centis.get().to_be_bytes(), [0; 8]),
        };
        let version_type = self.interval.version().number() << 4 | ADVERTISEMENT;
        let fields = [version_type, self.vrid.get(), self.advertised.octet(), count, fifth, sixth, 0, 0];
        let mut sum = Sum::of(&fields).plus(Sum::of(&data)).plus(self.outside(endpoints));
        if let Some((addresses, trailer)) = body.split_at_mut_checked(self.addresses.wire_len()) {
            sum = sum.plus(self.addresses.copy_to(addresses));
            // In version 3 there is no place for it.
            if let Some(trailer) = trailer.first_chunk_mut() {
                *trailer = data;
            }
        }
        let [a, b, c, d, e, f, _, _] = fields;
        let [high, low] = sum.field();
        *header = [a, b, c, d, e, f, high, low];
    }

    /// What the checksum covers beside the message.
    fn outside(&self, endpoints: &Endpoints) -> Sum {
        match self.checksum {
            ChecksumForm::MessageOnly => Sum::ZERO,
            ChecksumForm::PseudoHeader => Sum::of_pseudo_header(endpoints, self.wire_len()),
            ChecksumForm::OldUnicast => Sum::of_pseudo_header(&to_group(endpoints), self.wire_len()),
        }
    }

    /// Which virtual router it is about.
    #[must_use]
    pub const fn vrid(&self) -> Vrid {
        self.vrid
    }

    /// Whether its sender goes on as master, and with which priority.
    #[must_use]
    pub const fn advertised(&self) -> Advertised {
        self.advertised
    }

    /// The sender's interval, and with it the version.
    #[must_use]
    pub const fn interval(&self) -> Interval {
        self.interval
    }

    /// Its authentication; always none in version 3.
    #[must_use]
    pub const fn authentication(&self) -> Authentication {
        self.authentication
    }

    /// What its checksum covers: in version 2 always the message alone, in IPv6 always a pseudo-header too.
    #[must_use]
    pub const fn checksum(&self) -> ChecksumForm {
        self.checksum
    }

    /// Whether the first address is link-local, as RFC 9568 §5.2.9 wants it in IPv6; where there is none, and in IPv4,
    /// nothing is wanted.
    #[must_use]
    pub fn has_link_local_first(&self) -> bool {
        match self.addresses.into_iter().next() {
            Some(IpAddr::V6(first)) => is_link_local(&first),
            Some(IpAddr::V4(_)) | None => true,
        }
    }

    /// The virtual addresses in the order of the packet.
    #[must_use]
    pub const fn addresses(&self) -> AddressList<'a> {
        self.addresses
    }
}

/// Whether these octets begin with an address of fe80::/10.
const fn begins_link_local(octets: &[u8]) -> bool {
    matches!(octets, [0xfe, second, ..] if *second & 0xc0 == 0x80)
}

/// The virtual router identifier of a packet, before anything else of it is looked at.
#[must_use]
pub(crate) fn peek_vrid(packet: &[u8]) -> Option<Vrid> {
    packet.get(1).and_then(|&octet| Vrid::new(octet).ok())
}

/// Whether an address is in fe80::/10 (RFC 4291 §2.4).
#[must_use]
pub(crate) const fn is_link_local(address: &Ipv6Addr) -> bool {
    address.segments()[0] & 0xffc0 == 0xfe80
}

/// The first addresses of a message, and what is behind them; `None` if it has fewer.
fn split(body: &[u8], family: Family, count: usize) -> Option<(AddressList<'_>, &[u8])> {
    let (octets, rest) = body.split_at_checked(count * address_len(family))?;
    let addresses = match family {
        Family::Ipv4 => AddressList::wire_v4(octets.as_chunks().0),
        Family::Ipv6 => AddressList::wire_v6(octets.as_chunks().0),
    };
    Some((addresses, rest))
}

/// The form of checksum with which a message is intact, if there is one (VR-044).
fn form(packet: &[u8], version: Version, endpoints: &Endpoints) -> Option<ChecksumForm> {
    let sum = Sum::of(packet);
    let is_intact =
        |endpoints: &Endpoints| sum.plus(Sum::of_pseudo_header(endpoints, packet.len())).is_intact();
    match (version, endpoints) {
        (Version::V2, _) => sum.is_intact().then_some(ChecksumForm::MessageOnly),
        (Version::V3, Endpoints::V6 { .. }) => is_intact(endpoints).then_some(ChecksumForm::PseudoHeader),
        (Version::V3, Endpoints::V4 { destination, .. }) => {
            if is_intact(endpoints) {
                Some(ChecksumForm::PseudoHeader)
            } else if sum.is_intact() {
                Some(ChecksumForm::MessageOnly)
            } else {
                // VR-045.
                let is_old = !destination.is_multicast() && is_intact(&to_group(endpoints));
                is_old.then_some(ChecksumForm::OldUnicast)
            }
        }
    }
}

/// What keepalived up to 1.3.6 put into the pseudo-header of unicast adverts.
const fn to_group(endpoints: &Endpoints) -> Endpoints {
    match Endpoints::new(endpoints.source(), group(endpoints.family())) {
        Some(endpoints) => endpoints,
        None => *endpoints,
    }
}

const HEADER_LEN: usize = 8;
/// Octets behind the addresses in version 2.
const AUTHENTICATION_DATA: usize = 8;
/// The only type there is (RFC 9568 §5.2.2).
const ADVERTISEMENT: u8 = 1;
/// keepalived counts it as part of the MTU.
const ETHERNET_HEADER: usize = 14;
const AUTH_NONE: u8 = 0;
const AUTH_SIMPLE: u8 = 1;
/// RFC 2338 §5.3.6.
const AUTH_AH: u8 = 2;

#[cfg(test)]
mod tests;
