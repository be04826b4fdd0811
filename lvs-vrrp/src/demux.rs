//! Decides which instance of an interface a packet is for, and whether that instance may believe it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use lvs_core::Family;

use crate::delivery::{Delivery, Peer, Unicast};
use crate::endpoints::Datagram;
use crate::ipv4::TTL;
use crate::packet::{Advert, peek_vrid};
use crate::refusal::Refusal;
use crate::types::{Authentication, Interval, Vrid};

/// The instances of one interface, found by family, virtual router identifier, and group or peer.
///
/// ```
/// use std::net::Ipv4Addr;
///
/// use lvs_core::Family;
/// use lvs_vrrp::{
///     Advert, Advertised, Datagram, Delivery, Demux, Endpoints, Interval, Listener, Priority, Refusal, Vrid,
/// };
///
/// let interval = Interval::centis(100)?;
/// let mut demux = Demux::new();
/// demux.insert(7, Listener::new(Vrid::new(51)?, interval, Delivery::to_group(Family::Ipv4)));
///
/// let vips = [Ipv4Addr::new(10, 0, 0, 100)];
/// let advert = Advert::new(Vrid::new(51)?, Advertised::Running(Priority::DEFAULT), interval, &vips)?;
/// let endpoints = Endpoints::v4([10, 0, 0, 2].into(), [224, 0, 0, 18].into());
/// let mut packet = Vec::new();
/// advert.write_to(&endpoints, &mut packet);
///
/// let accepted = demux.accept(&Datagram::new(endpoints, 255, &packet)).expect("a good advert");
/// assert_eq!((accepted.id, accepted.advert), (7, advert));
///
/// let through_a_router = Datagram::new(endpoints, 254, &packet);
/// assert_eq!(demux.accept(&through_a_router).unwrap_err().refusal, Refusal::Ttl);
/// # Ok::<(), lvs_vrrp::OutOfRange>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Demux {
    listeners: BTreeMap<(Family, Vrid), Vec<(usize, Listener)>>,
}

impl Demux {
    /// Without instances: every packet is refused.
    #[must_use]
    pub const fn new() -> Self {
        Self { listeners: BTreeMap::new() }
    }

    /// Adds an instance under a number of the caller's choice, or replaces the one with that number.
    pub fn insert(&mut self, id: usize, listener: Listener) {
        self.remove(id);
        let key = (listener.delivery.family(), listener.vrid);
        self.listeners.entry(key).or_default().push((id, listener));
    }

    /// Removes an instance; nothing happens if there is none with this number.
    pub fn remove(&mut self, id: usize) {
        for listeners in self.listeners.values_mut() {
            listeners.retain(|(other, _)| *other != id);
        }
        self.listeners.retain(|_, listeners| !listeners.is_empty());
    }

    /// Judges a datagram.
    ///
    /// # Errors
    /// Why the packet is to be discarded, and which instance it was meant for.
    pub fn accept<'a>(&mut self, datagram: &Datagram<'a>) -> Result<Accepted<'a>, Refused> {
        let source = datagram.endpoints.source();
        let strangers = |refusal| Refused { id: None, source: Some(source), refusal };
        if datagram.payload.len() < 2 {
            return Err(strangers(Refusal::Length));
        }
        let family = datagram.endpoints.family();
        // VR-065: what concerns no instance is not looked at any further.
        let listeners = peek_vrid(datagram.payload).and_then(|vrid| self.listeners.get(&(family, vrid)));
        let listeners = listeners.ok_or(strangers(Refusal::UnknownVrid))?;
        let Addressee { id, listener, peer } = addressee(listeners, datagram)?;
        match listener.judge(datagram, peer) {
            Ok(advert) => Ok(Accepted {
                id,
                source,
                advert,
                same_addresses: advert.addresses().into_iter().eq(listener.addresses.iter().copied()),
            }),
            Err(refusal) => Err(Refused { id: Some(id), source: Some(source), refusal }),
        }
    }
}

/// What an instance listens to.
#[derive(Clone, Debug)]
pub struct Listener {
    vrid: Vrid,
    interval: Interval,
    delivery: Delivery,
    authentication: Authentication,
    own_address: Option<IpAddr>,
    broadcasts: Vec<Ipv4Addr>,
    addresses: Vec<IpAddr>,
}

impl Listener {
    /// A listener to adverts of this virtual router, of the version that the interval belongs to and of the
    /// family of the group or the peers.
    #[must_use]
    pub const fn new(vrid: Vrid, interval: Interval, delivery: Delivery) -> Self {
        Self {
            vrid,
            interval,
            delivery,
            authentication: Authentication::None,
            own_address: None,
            broadcasts: Vec::new(),
            addresses: Vec::new(),
        }
    }

    /// The same, with this authentication demanded of version 2 (VR-201).
    #[must_use]
    pub const fn with_authentication(mut self, authentication: Authentication) -> Self {
        self.authentication = authentication;
        self
    }

    /// The same, refusing adverts from the address that we send from ourselves (VR-008).
    #[must_use]
    pub const fn with_own_address(mut self, address: IpAddr) -> Self {
        self.own_address = Some(address);
        self
    }

    /// The same, knowing the broadcast addresses of the interface's networks: unicast is not sent there, nor to
    /// 255.255.255.255 (VR-075). Any other address at which this host receives is taken for one of its own,
    /// as peers need not send to the one that we send from.
    #[must_use]
    pub fn with_broadcasts(mut self, broadcasts: Vec<Ipv4Addr>) -> Self {
        self.broadcasts = broadcasts;
        self
    }

    /// The same, comparing the lists of adverts with this one. A difference is told, and is no reason to
    /// refuse: otherwise changing the list on one router after the other would make two masters (VR-073;
    /// keepalived since 2.3.3).
    #[must_use]
    pub fn with_addresses(mut self, addresses: Vec<IpAddr>) -> Self {
        self.addresses = addresses;
        self
    }

    fn takes_for_unicast(&self, destination: IpAddr) -> bool {
        let is_broadcast = match destination {
            IpAddr::V4(destination) => destination.is_broadcast() || self.broadcasts.contains(&destination),
            IpAddr::V6(_) => false,
        };
        !destination.is_multicast() && !is_broadcast
    }

    fn judge<'a>(&self, datagram: &Datagram<'a>, peer: Option<&Peer>) -> Result<Advert<'a>, Refusal> {
        let Datagram { endpoints, ttl, payload } = *datagram;
        if self.own_address == Some(endpoints.source()) {
            return Err(Refusal::OwnAddress);
        }
        let ttl_is_allowed = match self.delivery {
            Delivery::Multicast(_) => ttl == TTL,
            Delivery::Unicast(_) => peer.is_none_or(|peer| peer.allows(ttl)),
        };
        if !ttl_is_allowed {
            return Err(Refusal::Ttl);
        }
        let advert = Advert::parse(payload, &endpoints)?;
        match (self.interval, advert.interval()) {
            (Interval::Seconds(_), Interval::Centis(_)) | (Interval::Centis(_), Interval::Seconds(_)) => {
                Err(Refusal::Version)
            }
            // VR-069: another interval is learnt, not refused.
            (Interval::Centis(_), Interval::Centis(_)) => Ok(advert),
            (Interval::Seconds(ours), Interval::Seconds(theirs)) => {
                match (self.authentication, advert.authentication()) {
                    (Authentication::None, Authentication::None) => {}
                    (Authentication::Password(ours), Authentication::Password(theirs)) => {
                        if ours != theirs {
                            return Err(Refusal::AuthData);
                        }
                    }
                    (Authentication::None, Authentication::Password(_))
                    | (Authentication::Password(_), Authentication::None) => return Err(Refusal::AuthType),
                }
                // VR-068.
                if ours == theirs { Ok(advert) } else { Err(Refusal::IntervalMismatch) }
            }
        }
    }
}

/// An advert that may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted<'a> {
    /// The instance that it is for.
    pub id: usize,
    /// Who sent it.
    pub source: IpAddr,
    /// What it says.
    pub advert: Advert<'a>,
    /// Whether its list of addresses is the instance's own.
    pub same_addresses: bool,
}

/// A packet that is to be discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The instance that it was meant for, if there is one.
    pub id: Option<usize>,
    /// Who sent it, if that could be read.
    pub source: Option<IpAddr>,
    /// Why it is discarded.
    pub refusal: Refusal,
}

/// Whom a packet is meant for, and by which of its unicast peers it was sent.
struct Addressee<'a> {
    id: usize,
    listener: &'a Listener,
    peer: Option<&'a Peer>,
}

/// The instance that a packet is addressed to, among those with its identifier (VR-075, VR-222, VR-224).
fn addressee<'a>(
    listeners: &'a [(usize, Listener)],
    datagram: &Datagram<'_>,
) -> Result<Addressee<'a>, Refused> {
    let (source, destination) = (datagram.endpoints.source(), datagram.endpoints.destination());
    let mut anybodys = None;
    let mut refusal = Refusal::Destination;
    for &(id, ref listener) in listeners {
        match &listener.delivery {
            Delivery::Multicast(multicast) => {
                if multicast.group == destination {
                    return Ok(Addressee { id, listener, peer: None });
                }
            }
            Delivery::Unicast(unicast) => {
                if !listener.takes_for_unicast(destination) {
                    continue;
                }
                if let Some(peer) = peer_from(unicast, source) {
                    return Ok(Addressee { id, listener, peer: Some(peer) });
                }
                if unicast.refuses_strangers() {
                    refusal = Refusal::Source;
                } else {
                    anybodys = anybodys.or(Some(Addressee { id, listener, peer: None }));
                }
            }
        }
    }
    let id = listeners.first().map(|(id, _)| *id);
    anybodys.ok_or(Refused { id, source: Some(source), refusal })
}

fn peer_from(unicast: &Unicast, source: IpAddr) -> Option<&Peer> {
    unicast.peers.iter().find(|peer| peer.address == source)
}

#[cfg(test)]
mod tests;
