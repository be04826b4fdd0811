//! How adverts travel: to a group, or to each peer.

use std::net::Ipv4Addr;

use crate::ipv4::{GROUP, TTL};

/// How the adverts of an instance travel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// To a group, as the RFC has it: received with TTL 255 only.
    Multicast(Multicast),
    /// To each peer by itself, for networks without multicast (keepalived's `unicast_peer`).
    Unicast(Unicast),
}

impl Transport {
    /// The address to send from, if it is not the interface's primary one.
    #[must_use]
    pub const fn source(&self) -> Option<Ipv4Addr> {
        match self {
            Self::Multicast(multicast) => multicast.source,
            Self::Unicast(unicast) => unicast.source,
        }
    }
}

impl Default for Transport {
    fn default() -> Self {
        Self::Multicast(Multicast::default())
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
    /// The group; 224.0.0.18 unless a `mcast_dst_ip` says otherwise.
    pub group: Ipv4Addr,
    /// The address to send from (`mcast_src_ip`); `None` for the interface's primary one.
    pub source: Option<Ipv4Addr>,
}

impl Multicast {
    /// To this group, from the interface's primary address.
    #[must_use]
    pub const fn to(group: Ipv4Addr) -> Self {
        Self { group, source: None }
    }
}

impl Default for Multicast {
    fn default() -> Self {
        Self::to(GROUP)
    }
}

/// Adverts to each of several peers.
///
/// Adverts that come from anywhere are accepted, unless `check_source` is on or a peer has TTL limits:
/// unicast has no TTL rule that would keep strangers out.
///
/// ```
/// use lvs_vrrp::{Peer, Unicast};
///
/// let mut two_hops_away = Peer::new([10, 1, 0, 1].into());
/// two_hops_away.min_ttl = Some(254);
/// let mut unicast = Unicast::to([[10, 0, 0, 2].into()]);
/// unicast.peers.push(two_hops_away);
/// unicast.check_source = true;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unicast {
    /// The other routers. Our own addresses may be among them and are skipped.
    pub peers: Vec<Peer>,
    /// The address to send from, which also decides between equal priorities (`unicast_src_ip`); `None` for
    /// the interface's primary one.
    pub source: Option<Ipv4Addr>,
    /// TTL of what is sent, 0 to 255; 255 unless `unicast_ttl` says otherwise.
    pub ttl: u8,
    /// Whether adverts from others than the peers are refused (`check_unicast_src`).
    pub check_source: bool,
}

impl Unicast {
    /// To these peers, with all else as usual.
    #[must_use]
    pub fn to(peers: impl IntoIterator<Item = Ipv4Addr>) -> Self {
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
    pub address: Ipv4Addr,
    /// Adverts from it that arrive with a lower TTL are refused.
    pub min_ttl: Option<u8>,
    /// Adverts from it that arrive with a higher TTL are refused.
    pub max_ttl: Option<u8>,
}

impl Peer {
    /// The router with this address, however far away.
    #[must_use]
    pub const fn new(address: Ipv4Addr) -> Self {
        Self { address, min_ttl: None, max_ttl: None }
    }

    pub(crate) fn allows(&self, ttl: u8) -> bool {
        self.min_ttl.is_none_or(|min| ttl >= min) && self.max_ttl.is_none_or(|max| ttl <= max)
    }
}

impl From<Ipv4Addr> for Peer {
    fn from(address: Ipv4Addr) -> Self {
        Self::new(address)
    }
}
