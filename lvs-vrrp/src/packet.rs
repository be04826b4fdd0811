//! Adverts of VRRPv2 and VRRPv3 over IPv4, from octets and to octets.

use std::net::Ipv4Addr;

use crate::ipv4::PROTOCOL;
use crate::refusal::Refusal;
use crate::types::{Advertised, AuthPass, Authentication, Centis, ChecksumForm, Interval, OutOfRange, Vrid};

// VRRPv2, RFC 3768 §5.1 (authentication data: RFC 2338 §5.3.6 to §5.3.10)
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
// |                     count × IPv4 address                      |
// +---------------------------------------------------------------+

/// An advert, the only message that VRRP has.
///
/// It borrows its addresses from the packet it was parsed from, or from whoever sends it: neither way
/// allocates.
///
/// ```
/// use std::net::Ipv4Addr;
/// use lvs_vrrp::{Advert, Advertised, Interval, Priority, Vrid};
///
/// let (source, group) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(224, 0, 0, 18));
/// let vips = [Ipv4Addr::new(10, 0, 0, 100)];
/// let advert =
///     Advert::new(Vrid::new(51)?, Advertised::Running(Priority::new(150)?), Interval::centis(100)?, &vips)?;
///
/// let mut packet = Vec::new();
/// advert.write_to(source, group, &mut packet);
/// assert_eq!(packet.len(), 12);
/// assert_eq!(Advert::parse(&packet, source, group), Ok(advert));
///
/// packet[2] = 200; // a higher priority, but the checksum tells
/// assert_eq!(Advert::parse(&packet, source, group), Err(lvs_vrrp::Refusal::Checksum));
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
    /// # Errors
    /// More than 255 addresses, and none in version 3 (RFC 9568 §5.2.5).
    pub fn new(
        vrid: Vrid,
        advertised: Advertised,
        interval: Interval,
        addresses: &'a [Ipv4Addr],
    ) -> Result<Self, OutOfRange> {
        let checksum = match interval {
            Interval::Seconds(_) => {
                OutOfRange::check("number of addresses", addresses.len(), 0..=255, "0 to 255")?;
                ChecksumForm::MessageOnly
            }
            Interval::Centis(_) => {
                OutOfRange::check("number of addresses", addresses.len(), 1..=255, "1 to 255")?;
                ChecksumForm::PseudoHeader
            }
        };
        let addresses = AddressList(Octets::Given(addresses));
        Ok(Self { vrid, advertised, interval, authentication: Authentication::None, checksum, addresses })
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

    /// The same advert with this form of checksum; version 2 knows one only and stays as it is.
    #[must_use]
    pub const fn with_checksum(mut self, checksum: ChecksumForm) -> Self {
        match self.interval {
            Interval::Centis(_) => self.checksum = checksum,
            Interval::Seconds(_) => {}
        }
        self
    }

    /// Reads the payload of an IPv4 datagram of protocol 112.
    ///
    /// What is checked here holds for every receiver: version, type, length, checksum, addresses, interval
    /// (RFC 9568 §7.1). What depends on the receiver's configuration is checked by [`Demux`](crate::Demux).
    ///
    /// # Errors
    /// The reason why the packet is to be discarded.
    pub fn parse(packet: &'a [u8], source: Ipv4Addr, destination: Ipv4Addr) -> Result<Self, Refusal> {
        let (header, body) = packet.split_first_chunk::<HEADER_LEN>().ok_or(Refusal::Length)?;
        let &[version_type, vrid, priority, count, fifth, sixth, _, _] = header;
        let version = version_type >> 4;
        if version != 2 && version != 3 {
            return Err(Refusal::Version);
        }
        if version_type & 0x0f != ADVERTISEMENT {
            return Err(Refusal::Type);
        }
        let (addresses, rest) = body.as_chunks::<4>();
        let (addresses, trailer) = addresses.split_at_checked(usize::from(count)).ok_or(Refusal::Length)?;
        let trailer = match (version, trailer) {
            (2, [first, second]) if rest.is_empty() => Some((first, second)),
            (3, []) if rest.is_empty() => None,
            _ => return Err(Refusal::Length),
        };
        let sum = Sum::of(packet);
        let checksum = if sum.is_intact() {
            ChecksumForm::MessageOnly
        } else if version == 3 && sum.with_pseudo_header(source, destination, packet.len()).is_intact() {
            ChecksumForm::PseudoHeader
        } else {
            return Err(Refusal::Checksum);
        };
        let (interval, authentication) = match trailer {
            Some((&[a, b, c, d], &[e, f, g, h])) => {
                let interval = Interval::seconds(sixth).map_err(|_| Refusal::IntervalZero)?;
                let authentication = match fifth {
                    AUTH_NONE => Authentication::None,
                    AUTH_SIMPLE => Authentication::Password(AuthPass::truncated(&[a, b, c, d, e, f, g, h])),
                    _ => return Err(Refusal::AuthType),
                };
                (interval, authentication)
            }
            None => {
                if count == 0 {
                    return Err(Refusal::CountZero);
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
            addresses: AddressList(Octets::Wire(addresses)),
        })
    }

    /// Puts the octets into `packet`, which is emptied first. Source and destination are part of the
    /// pseudo-header of version 3.
    pub fn write_to(&self, source: Ipv4Addr, destination: Ipv4Addr, packet: &mut Vec<u8>) {
        packet.clear();
        // Lists are at most 255 long: by the count octet, or by `new`.
        let count = u8::try_from(self.addresses.len()).unwrap_or(u8::MAX);
        let ([fifth, sixth], password) = match self.interval {
            Interval::Seconds(seconds) => match self.authentication {
                Authentication::None => ([AUTH_NONE, seconds.get()], Some([0; 8])),
                Authentication::Password(password) => ([AUTH_SIMPLE, seconds.get()], Some(password.octets())),
            },
            Interval::Centis(centis) => (centis.get().to_be_bytes(), None),
        };
        let version_type = self.interval.version().number() << 4 | ADVERTISEMENT;
        let priority = self.advertised.octet();
        packet.extend_from_slice(&[version_type, self.vrid.get(), priority, count, fifth, sixth, 0, 0]);
        for address in self.addresses {
            packet.extend_from_slice(&address.octets());
        }
        if let Some(password) = password {
            packet.extend_from_slice(&password);
        }
        let sum = Sum::of(packet);
        let checksum = match self.checksum {
            ChecksumForm::MessageOnly => sum,
            ChecksumForm::PseudoHeader => sum.with_pseudo_header(source, destination, packet.len()),
        };
        if let Some(field) = packet.get_mut(CHECKSUM_FIELD) {
            field.copy_from_slice(&checksum.field());
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

    /// What its checksum covers; in version 2 always the message alone.
    #[must_use]
    pub const fn checksum(&self) -> ChecksumForm {
        self.checksum
    }

    /// The virtual addresses in the order of the packet.
    #[must_use]
    pub const fn addresses(&self) -> AddressList<'a> {
        self.addresses
    }
}

/// The virtual router identifier of a packet, before anything else of it is looked at.
#[must_use]
pub(crate) fn peek_vrid(packet: &[u8]) -> Option<Vrid> {
    packet.get(1).and_then(|&octet| Vrid::new(octet).ok())
}

/// The virtual addresses of an advert, up to 255, borrowed.
#[derive(Clone, Copy)]
pub struct AddressList<'a>(Octets<'a>);

impl AddressList<'_> {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self.0 {
            Octets::Wire(octets) => octets.len(),
            Octets::Given(addresses) => addresses.len(),
        }
    }

    /// Whether there are none, which only version 2 allows.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> IntoIterator for AddressList<'a> {
    type Item = Ipv4Addr;
    type IntoIter = AddressIter<'a>;

    fn into_iter(self) -> AddressIter<'a> {
        AddressIter(self.0)
    }
}

impl PartialEq for AddressList<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.into_iter().eq(*other)
    }
}

impl Eq for AddressList<'_> {}

impl std::fmt::Debug for AddressList<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

/// Goes through the addresses of an [`AddressList`].
#[derive(Clone, Debug)]
pub struct AddressIter<'a>(Octets<'a>);

impl Iterator for AddressIter<'_> {
    type Item = Ipv4Addr;

    fn next(&mut self) -> Option<Ipv4Addr> {
        match &mut self.0 {
            Octets::Wire(octets) => octets.split_off_first().map(|&octets| octets.into()),
            Octets::Given(addresses) => addresses.split_off_first().copied(),
        }
    }
}

/// Addresses as they are in a packet, or as a sender has them.
#[derive(Clone, Copy, Debug)]
enum Octets<'a> {
    Wire(&'a [[u8; 4]]),
    Given(&'a [Ipv4Addr]),
}

/// An Internet checksum under way (RFC 1071). 65,535 words cannot overflow it.
#[derive(Clone, Copy)]
struct Sum(u32);

impl Sum {
    fn of(octets: &[u8]) -> Self {
        let (words, odd) = octets.as_chunks::<2>();
        let sum = words.iter().map(|&word| u32::from(u16::from_be_bytes(word))).sum::<u32>();
        Self(sum + odd.first().map_or(0, |&octet| u32::from(octet) << 8))
    }

    fn with_pseudo_header(self, source: Ipv4Addr, destination: Ipv4Addr, length: usize) -> Self {
        // An advert is at most 1,036 octets long.
        let length = u32::try_from(length).unwrap_or(0);
        let sum = Self::of(&source.octets()).0 + Self::of(&destination.octets()).0;
        Self(self.0 + sum + u32::from(PROTOCOL) + length)
    }

    fn folded(self) -> u16 {
        let once = (self.0 >> 16) + (self.0 & 0xffff);
        u16::try_from((once >> 16) + (once & 0xffff)).unwrap_or(u16::MAX)
    }

    /// Whether a message that contains its checksum arrived as it was sent.
    fn is_intact(self) -> bool {
        self.folded() == 0xffff
    }

    /// The field of a message whose field is still 0.
    fn field(self) -> [u8; 2] {
        (!self.folded()).to_be_bytes()
    }
}

const HEADER_LEN: usize = 8;
const CHECKSUM_FIELD: std::ops::Range<usize> = 6..8;
/// The only type there is (RFC 9568 §5.2.2).
const ADVERTISEMENT: u8 = 1;
const AUTH_NONE: u8 = 0;
const AUTH_SIMPLE: u8 = 1;

#[cfg(test)]
mod tests;
