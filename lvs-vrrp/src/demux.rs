//! Decides which instance of an interface a packet is for, and whether that instance may believe it.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use lvs_core::Family;

use crate::addresses::AddressList;
#[cfg(feature = "ah")]
use crate::ah::Replay;
use crate::delivery::{Delivery, Peer, Unicast};
use crate::endpoints::Datagram;
#[cfg(feature = "ah")]
use crate::endpoints::Endpoints;
use crate::ipv4::TTL;
use crate::packet::{Advert, peek_vrid};
use crate::refusal::Refusal;
use crate::types::{AuthPass, Authentication, Interval, Vrid};

/// The instances of one interface, found by family, virtual router identifier, and group or peer.
///
/// ```
/// use std::net::Ipv4Addr;
///
/// use lvs_vrrp::Family;
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
/// let accepted = demux.accept(&Datagram::new(endpoints, 255, &packet))?;
/// assert_eq!((accepted.id, accepted.advert), (7, advert));
///
/// let through_a_router = Datagram::new(endpoints, 254, &packet);
/// let refused = demux.accept(&through_a_router).unwrap_err();
/// assert_eq!(refused.refusal, Refusal::Ttl);
/// assert_eq!(refused.to_string(), "packet from 10.0.0.2 refused: ttl");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Demux {
    listeners: BTreeMap<u16, Vec<Entry>>,
}

impl Demux {
    /// Without instances: every packet is refused.
    #[must_use]
    pub const fn new() -> Self {
        Self { listeners: BTreeMap::new() }
    }

    /// Adds an instance under a number of the caller's choice, or replaces the one with that number.
    pub fn insert(&mut self, id: usize, listener: Listener) {
        let before = self.take(id);
        let key = key(listener.delivery.family(), listener.vrid);
        let entry = Entry::new(id, listener, before);
        let entries = self.listeners.entry(key).or_default();
        // Usually it is the only one.
        entries.reserve_exact(1);
        entries.push(entry);
    }

    /// Removes an instance; nothing happens if there is none with this number.
    pub fn remove(&mut self, id: usize) {
        let _ = self.take(id);
    }

    /// Gives instances other numbers, or removes those that get none; what they heard stays.
    #[cfg(feature = "tokio")]
    pub(crate) fn renumber(&mut self, number: impl Fn(usize) -> Option<usize>) {
        for entries in self.listeners.values_mut() {
            entries.retain_mut(|entry| match number(entry.id) {
                Some(id) => {
                    entry.id = id;
                    true
                }
                None => false,
            });
        }
        self.listeners.retain(|_, entries| !entries.is_empty());
    }

    /// The numbers of all instances.
    #[cfg(all(test, feature = "tokio"))]
    pub(crate) fn numbers(&self) -> std::collections::BTreeSet<usize> {
        self.listeners.values().flatten().map(|entry| entry.id).collect()
    }

    fn take(&mut self, id: usize) -> Option<Entry> {
        let taken = self.listeners.values_mut().find_map(|entries| {
            let place = entries.iter().position(|entry| entry.id == id)?;
            Some(entries.remove(place))
        });
        self.listeners.retain(|_, entries| !entries.is_empty());
        taken
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
        let vrid = peek_vrid(datagram.payload).ok_or(strangers(Refusal::UnknownVrid))?;
        let entries = self.listeners.get_mut(&key(family, vrid)).ok_or(strangers(Refusal::UnknownVrid))?;
        let Addressee { place, peer } = addressee(entries, datagram)?;
        let entry = entries.get_mut(place).ok_or(strangers(Refusal::UnknownVrid))?;
        match entry.judge(datagram, peer) {
            Ok(advert) => Ok(Accepted {
                id: entry.id,
                source,
                advert,
                same_addresses: advert.addresses().are(&entry.listener.addresses),
                #[cfg(feature = "ah")]
                sequence: datagram.ah.map(|ah| ah.sequence()),
            }),
            Err(refusal) => Err(Refused { id: Some(entry.id), source: Some(source), refusal }),
        }
    }
}

/// An instance, and what it heard.
#[derive(Clone, Debug)]
struct Entry {
    id: usize,
    listener: Listener,
    #[cfg(feature = "ah")]
    replay: Replay,
}

impl Entry {
    /// An entry in place of another one. With the same key, what was heard is not to be heard again.
    #[cfg_attr(not(feature = "ah"), allow(unused_variables))]
    fn new(id: usize, listener: Listener, before: Option<Self>) -> Self {
        #[cfg(feature = "ah")]
        let replay = before
            .filter(|before| before.listener.authentication == listener.authentication)
            .map(|before| before.replay)
            .unwrap_or_default();
        Self {
            id,
            listener,
            #[cfg(feature = "ah")]
            replay,
        }
    }

    fn judge<'a>(&mut self, datagram: &Datagram<'a>, peer: Option<Peer>) -> Result<Advert<'a>, Refusal> {
        let key = self.authenticate(datagram)?;
        let advert = self.listener.judge(datagram, peer, key)?;
        #[cfg(feature = "ah")]
        if let (Some(ah), Endpoints::V4 { source, .. }) = (datagram.ah, datagram.endpoints) {
            self.replay.note(source, ah.sequence());
        }
        Ok(advert)
    }

    /// The key with which an authentication header was made, if there is one and it should be there. What is
    /// without one where it should be has another type, or is refused as having one without a header.
    #[cfg(feature = "ah")]
    fn authenticate(&self, datagram: &Datagram<'_>) -> Result<Option<AuthPass>, Refusal> {
        let (Some(ah), Endpoints::V4 { source, .. }) = (datagram.ah, datagram.endpoints) else {
            return Ok(None);
        };
        match self.listener.authentication {
            Authentication::Ah(key) if !ah.is_authentic(&key) => Err(Refusal::AuthData),
            Authentication::Ah(_) if !self.replay.is_new(source, ah.sequence()) => Err(Refusal::Replay),
            Authentication::Ah(key) => Ok(Some(key)),
            Authentication::None | Authentication::Password(_) => Err(Refusal::AuthType),
        }
    }

    #[cfg(not(feature = "ah"))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps)]
    fn authenticate(&self, _: &Datagram<'_>) -> Result<Option<AuthPass>, Refusal> {
        Ok(None)
    }
}

/// One number for both, as it is compared several times per packet.
fn key(family: Family, vrid: Vrid) -> u16 {
    let family = match family {
        Family::Ipv4 => 0,
        Family::Ipv6 => 1,
    };
    u16::from_be_bytes([family, vrid.get()])
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
    takes_any_first_address: bool,
    /// As adverts list them.
    addresses: Vec<u8>,
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
            takes_any_first_address: false,
            addresses: Vec::new(),
        }
    }

    /// The same, with this authentication demanded of version 2 (VR-201, VR-202).
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
    pub fn with_addresses<'a>(mut self, addresses: impl Into<AddressList<'a>>) -> Self {
        let addresses = addresses.into();
        self.addresses = vec![0; addresses.wire_len()];
        addresses.copy_to(&mut self.addresses);
        self
    }

    /// The same, believing adverts over IPv6 whose first address is not link-local, too. RFC 9568 §5.2.9 (erratum 8300)
    /// wants them discarded; keepalived sends and believes them.
    #[must_use]
    pub const fn with_any_first_address(mut self) -> Self {
        self.takes_any_first_address = true;
        self
    }

    fn takes_for_unicast(&self, destination: IpAddr) -> bool {
        let is_broadcast = match destination {
            IpAddr::V4(destination) => destination.is_broadcast() || self.broadcasts.contains(&destination),
            IpAddr::V6(_) => false,
        };
        !destination.is_multicast() && !is_broadcast
    }

    fn judge<'a>(
        &self,
        datagram: &Datagram<'a>,
        peer: Option<Peer>,
        ah: Option<AuthPass>,
    ) -> Result<Advert<'a>, Refusal> {
        let Datagram { endpoints, ttl, payload, .. } = *datagram;
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
        let advert = Advert::parse_behind(ah, self.takes_any_first_address, payload, &endpoints)?;
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
                    // Behind a header that is authentic.
                    (Authentication::Ah(_), Authentication::Ah(_)) => {}
                    (Authentication::None, Authentication::Password(_) | Authentication::Ah(_))
                    | (Authentication::Password(_), Authentication::None | Authentication::Ah(_))
                    | (Authentication::Ah(_), Authentication::None | Authentication::Password(_)) => {
                        return Err(Refusal::AuthType);
                    }
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
    /// The number of its authentication header, to be told to [`AhSender::heard`](crate::AhSender::heard).
    #[cfg(feature = "ah")]
    pub sequence: Option<u32>,
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

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source {
            Some(source) => write!(f, "packet from {source} refused: {}", self.refusal),
            None => write!(f, "packet refused: {}", self.refusal),
        }
    }
}

impl Error for Refused {}

/// Whom a packet is meant for, and by which of its unicast peers it was sent.
struct Addressee {
    place: usize,
    peer: Option<Peer>,
}

/// The instance that a packet is addressed to, among those with its identifier (VR-075, VR-222, VR-224).
fn addressee(entries: &[Entry], datagram: &Datagram<'_>) -> Result<Addressee, Refused> {
    let (source, destination) = (datagram.endpoints.source(), datagram.endpoints.destination());
    let mut anybodys = None;
    let mut refusal = Refusal::Destination;
    for (place, Entry { listener, .. }) in entries.iter().enumerate() {
        match &listener.delivery {
            Delivery::Multicast(multicast) => {
                if multicast.group == destination {
                    return Ok(Addressee { place, peer: None });
                }
            }
            Delivery::Unicast(unicast) => {
                if !listener.takes_for_unicast(destination) {
                    continue;
                }
                if let Some(&peer) = peer_from(unicast, source) {
                    return Ok(Addressee { place, peer: Some(peer) });
                }
                if unicast.refuses_strangers() {
                    refusal = Refusal::Source;
                } else {
                    anybodys = anybodys.or(Some(Addressee { place, peer: None }));
                }
            }
        }
    }
    let id = entries.first().map(|entry| entry.id);
    anybodys.ok_or(Refused { id, source: Some(source), refusal })
}

fn peer_from(unicast: &Unicast, source: IpAddr) -> Option<&Peer> {
    unicast.peers.iter().find(|peer| peer.address == source)
}

#[cfg(test)]
mod tests;
