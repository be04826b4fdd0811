//! How adverts travel: to a group, or to each peer.

use std::fmt;
use std::net::IpAddr;

use lvs_core::Family;

use crate::endpoints::group;
use crate::ipv4::TTL;

/// How the adverts of an instance travel: all addresses in it are of the family of its virtual addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// To a group, as the RFC has it: received with TTL or hop limit 255 only.
    Multicast(Multicast),
    /// To each peer by itself, for networks without multicast (keepalived's `unicast_peer`).
    Unicast(Unicast),
}

impl Delivery {
    /// To the usual group of a family, from the interface's primary address.
    #[must_use]
    pub const fn to_group(family: Family) -> Self {
        Self::Multicast(Multicast::to(group(family)))
    }

    /// The address to send from, if it is not the interface's primary one.
    #[must_use]
    pub const fn source(&self) -> Option<IpAddr> {
        match self {
            Self::Multicast(multicast) => multicast.source,
            Self::Unicast(unicast) => unicast.source,
        }
    }

    /// The family of the group or of the first peer; without peers that of the source, or else IPv4.
    #[must_use]
    pub fn family(&self) -> Family {
        match self {
            Self::Multicast(multicast) => Family::of(&multicast.group),
            Self::Unicast(unicast) => {
                let first = unicast.peers.first().map(|peer| peer.address).or(unicast.source);
                first.as_ref().map_or(Family::Ipv4, Family::of)
            }
        }
    }
}

impl fmt::Display for Delivery {
    /// `multicast to 224.0.0.18`, `unicast to 10.0.0.2, 10.0.0.3 from 10.0.0.1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Multicast(multicast) => write!(f, "multicast to {}", multicast.group)?,
            Self::Unicast(unicast) => match unicast.peers.split_first() {
                Some((first, others)) => {
                    write!(f, "unicast to {}", first.address)?;
                    others.iter().try_for_each(|peer| write!(f, ", {}", peer.address))?;
                }
                None => f.write_str("unicast to nobody")?,
            },
        }
        self.source().map_or(Ok(()), |source| write!(f, " from {source}"))
    }
}

/// Adverts to a multicast group.
///
/// ```
/// use lvs_vrrp::Multicast;
///
/// let mut other_group = Multicast::to([224, 0, 0, 81].into());
/// other_group.source = Some([10, 0, 0, 1].into());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Multicast {
    /// The group; 224.0.0.18 or ff02::12 unless `vrrp_mcast_group4` or `vrrp_mcast_group6` says otherwise.
    pub group: IpAddr,
    /// The address to send from (`mcast_src_ip`); `None` for the interface's primary one.
    pub source: Option<IpAddr>,
}

impl Multicast {
    /// To this group, from the interface's primary address.
    #[must_use]
    pub const fn to(group: IpAddr) -> Self {
        Self { group, source: None }
    }
}

/// Adverts to each of several peers.
///
/// Adverts that come from anywhere are accepted, unless `check_source` is on or a peer has TTL limits:
/// unicast has no TTL rule that would keep strangers out.
///
/// ```
/// use lvs_vrrp::{Delivery, Peer, Unicast};
///
/// let mut two_hops_away = Peer::new([10, 1, 0, 1].into());
/// two_hops_away.min_ttl = Some(254);
/// let mut unicast = Unicast::to([[10, 0, 0, 2].into()]);
/// unicast.peers.push(two_hops_away);
/// unicast.check_source = true;
/// assert_eq!(Delivery::Unicast(unicast).to_string(), "unicast to 10.0.0.2, 10.1.0.1");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unicast {
    /// The other routers, each once. Our own addresses may be among them and are skipped; with no others the instance is master
    /// unheard, of which the log warns, or at fault if
    /// [`is_faulty_without_peers`](crate::InstanceConfig::is_faulty_without_peers) says so.
    pub peers: Vec<Peer>,
    /// The address to send from, which also decides between equal priorities (`unicast_src_ip`); `None` for
    /// the interface's primary one.
    pub source: Option<IpAddr>,
    /// TTL or hop limit of what is sent, 0 to 255; 255 unless `unicast_ttl` says otherwise.
    pub ttl: u8,
    /// Whether adverts from others than the peers are refused (`check_unicast_src`).
    pub check_source: bool,
}

impl Unicast {
    /// To these peers, with all else as usual.
    #[must_use]
    pub fn to(peers: impl IntoIterator<Item = IpAddr>) -> Self {
        Self {
            peers: peers.into_iter().map(Peer::from).collect(),
            source: None,
            ttl: TTL,
            check_source: false,
        }
    }

    pub(crate) fn refuses_strangers(&self) -> bool {
        self.check_source || self.peers.iter().any(|peer| peer.min_ttl.is_some() || peer.max_ttl.is_some())
    }
}

/// Another router, and how far away it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// Adverts from it that arrive with a lower TTL are refused. Not above [`max_ttl`](Self::max_ttl).
    pub min_ttl: Option<u8>,
    /// Adverts from it that arrive with a higher TTL are refused.
    pub max_ttl: Option<u8>,
}

impl Peer {
    /// The router with this address, however far away.
    #[must_use]
    pub const fn new(address: IpAddr) -> Self {
        Self { address, min_ttl: None, max_ttl: None }
    }

    pub(crate) fn allows(&self, ttl: u8) -> bool {
        self.min_ttl.is_none_or(|min| ttl >= min) && self.max_ttl.is_none_or(|max| ttl <= max)
    }
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        Self::new(address)
    }
}
