//! Between whom a datagram travels, and the datagram as a receiver sees it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lvs_core::Family;

#[cfg(feature = "ah")]
use crate::ah::Ah;
use crate::ipv4::{Ipv4Header, PROTOCOL, Split};
use crate::refusal::Refusal;

/// Source and destination of a datagram, of one family. The set is closed.
///
/// ```
/// use std::net::{IpAddr, Ipv4Addr};
/// use lvs_vrrp::Endpoints;
///
/// let (source, group) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(224, 0, 0, 18));
/// let endpoints = Endpoints::v4(source, group);
/// assert_eq!(Endpoints::new(source.into(), group.into()), Some(endpoints));
/// assert_eq!(Endpoints::new(source.into(), "ff02::12".parse()?), None);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoints {
    /// Of an IPv4 datagram.
    V4 {
        /// Who sent it.
        source: Ipv4Addr,
        /// To whom or to which group.
        destination: Ipv4Addr,
    },
    /// Of an IPv6 datagram.
    V6 {
        /// Who sent it.
        source: Ipv6Addr,
        /// To whom or to which group.
        destination: Ipv6Addr,
    },
}

impl Endpoints {
    /// Those of an IPv4 datagram.
    #[must_use]
    pub const fn v4(source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        Self::V4 { source, destination }
    }

    /// Those of an IPv6 datagram.
    #[must_use]
    pub const fn v6(source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        Self::V6 { source, destination }
    }

    /// These two; `None` if they are of different families.
    #[must_use]
    pub const fn new(source: IpAddr, destination: IpAddr) -> Option<Self> {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Some(Self::v4(source, destination)),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Some(Self::v6(source, destination)),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
        }
    }

    /// The family of both.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Self::V4 { .. } => Family::Ipv4,
            Self::V6 { .. } => Family::Ipv6,
        }
    }

    /// Who sent it.
    #[must_use]
    pub const fn source(&self) -> IpAddr {
        match *self {
            Self::V4 { source, .. } => IpAddr::V4(source),
            Self::V6 { source, .. } => IpAddr::V6(source),
        }
    }

    /// To whom or to which group.
    #[must_use]
    pub const fn destination(&self) -> IpAddr {
        match *self {
            Self::V4 { destination, .. } => IpAddr::V4(destination),
            Self::V6 { destination, .. } => IpAddr::V6(destination),
        }
    }
}

impl fmt::Display for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.source(), self.destination())
    }
}

/// A datagram of protocol 112 as a receiver sees it, taken apart; in IPv4 an authentication header (protocol 51)
/// may be in between.
///
/// In IPv4 a raw socket delivers the header too: [`Datagram::from_ipv4`]. In IPv6 it delivers the payload, and
/// tells the rest by control messages (`IPV6_PKTINFO`, `IPV6_HOPLIMIT`): [`Datagram::new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Datagram<'a> {
    /// Between whom it travelled.
    pub endpoints: Endpoints,
    /// Time to live or hop limit as it arrived, 0 to 255.
    pub ttl: u8,
    /// The advert.
    pub payload: &'a [u8],
    /// The authentication header in front of the advert; [`Demux`](crate::Demux) knows whether it is authentic.
    #[cfg(feature = "ah")]
    pub ah: Option<Ah<'a>>,
}

impl<'a> Datagram<'a> {
    /// A datagram with this payload.
    #[must_use]
    pub const fn new(endpoints: Endpoints, ttl: u8, payload: &'a [u8]) -> Self {
        Self {
            endpoints,
            ttl,
            payload,
            #[cfg(feature = "ah")]
            ah: None,
        }
    }

    /// An IPv4 datagram of protocol 112, or of 51 (with the feature `ah`), header included.
    ///
    /// # Errors
    /// As [`Ipv4Header::parse`], and [`Refusal::AhHeader`].
    pub fn from_ipv4(octets: &'a [u8]) -> Result<Self, Refusal> {
        let split = Ipv4Header::split(octets)?;
        let Split { header, protocol, payload, .. } = split;
        let endpoints = Endpoints::v4(header.source, header.destination);
        match protocol {
            PROTOCOL => Ok(Self::new(endpoints, header.ttl, payload)),
            #[cfg(feature = "ah")]
            crate::ipv4::PROTOCOL_AH => {
                let ah = Ah::parse(split.octets, header.source, payload)?;
                Ok(Self { ah: Some(ah), ..Self::new(endpoints, header.ttl, ah.message()) })
            }
            _ => Err(Refusal::IpHeader),
        }
    }
}

/// The group that adverts of a family are sent to: 224.0.0.18 or ff02::12 (RFC 9568 §5.1.1.2, §5.1.2.2).
#[must_use]
pub const fn group(family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => IpAddr::V4(crate::ipv4::GROUP),
        Family::Ipv6 => IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12)),
    }
}
