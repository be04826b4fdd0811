//! Decides which instance of an interface a packet is for, and whether that instance may believe it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::ipv4::{Ipv4Header, TTL};
use crate::packet::{Advert, peek_vrid};
use crate::refusal::Refusal;
use crate::transport::{Peer, Transport, Unicast};
use crate::types::{Authentication, Interval, Vrid};

/// The instances of one interface, found by virtual router identifier and by group or peer.
///
/// ```
/// use std::net::Ipv4Addr;
/// use lvs_vrrp::{Advert, Advertised, Demux, Interval, Ipv4Header, Listener, Priority, Refusal, Transport, Vrid};
///
/// let interval = Interval::centis(100)?;
/// let mut demux = Demux::new();
/// demux.insert(7, Listener::new(Vrid::new(51)?, interval, Transport::default()));
///
/// let vips = [Ipv4Addr::new(10, 0, 0, 100)];
/// let advert = Advert::new(Vrid::new(51)?, Advertised::Running(Priority::DEFAULT), interval, &vips)?;
/// let mut header =
///     Ipv4Header { source: [10, 0, 0, 2].into(), destination: [224, 0, 0, 18].into(), ttl: 255 };
/// let (mut packet, mut datagram) = (Vec::new(), Vec::new());
/// advert.write_to(header.source, header.destination, &mut packet);
/// header.write_to(&packet, &mut datagram);
///
/// let accepted = demux.accept(&datagram).expect("a good advert");
/// assert_eq!((accepted.id, accepted.advert), (7, advert));
///
/// header.ttl = 254; // it came through a router
/// header.write_to(&packet, &mut datagram);
/// assert_eq!(demux.accept(&datagram).unwrap_err().refusal, Refusal::Ttl);
/// # Ok::<(), lvs_vrrp::OutOfRange>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Demux {
    listeners: BTreeMap<Vrid, Vec<(usize, Listener)>>,
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
        self.listeners.entry(listener.vrid).or_default().push((id, listener));
    }

    /// Removes an instance; nothing happens if there is none with this number.
    pub fn remove(&mut self, id: usize) {
        for listeners in self.listeners.values_mut() {
            listeners.retain(|(other, _)| *other != id);
        }
        self.listeners.retain(|_, listeners| !listeners.is_empty());
    }

    /// Judges an IPv4 datagram as a raw socket delivers it, header included.
    ///
    /// # Errors
    /// Why the packet is to be discarded, and which instance it was meant for.
    pub fn accept<'a>(&self, datagram: &'a [u8]) -> Result<Accepted<'a>, Refused> {
        let nobodys = |refusal| Refused { id: None, source: None, refusal };
        let (header, packet) = Ipv4Header::parse(datagram).map_err(nobodys)?;
        let strangers = |refusal| Refused { id: None, source: Some(header.source), refusal };
        if packet.len() < 2 {
            return Err(strangers(Refusal::Length));
        }
        // VR-065: what concerns no instance is not looked at any further.
        let listeners = peek_vrid(packet).and_then(|vrid| self.listeners.get(&vrid));
        let listeners = listeners.ok_or(strangers(Refusal::UnknownVrid))?;
        let Addressee { id, listener, peer } = addressee(listeners, &header)?;
        match listener.judge(&header, peer, packet) {
            Ok(advert) => Ok(Accepted {
                id,
                source: header.source,
                advert,
                same_addresses: advert.addresses().into_iter().eq(listener.addresses.iter().copied()),
            }),
            Err(refusal) => Err(Refused { id: Some(id), source: Some(header.source), refusal }),
        }
    }
}

/// What an instance listens to.
#[derive(Clone, Debug)]
pub struct Listener {
    vrid: Vrid,
    interval: Interval,
    transport: Transport,
    authentication: Authentication,
    own_address: Option<Ipv4Addr>,
    broadcasts: Vec<Ipv4Addr>,
    addresses: Vec<Ipv4Addr>,
}

impl Listener {
    /// A listener to adverts of this virtual router, of the version that the interval belongs to.
    #[must_use]
    pub const fn new(vrid: Vrid, interval: Interval, transport: Transport) -> Self {
        Self {
            vrid,
            interval,
            transport,
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
    pub const fn with_own_address(mut self, address: Ipv4Addr) -> Self {
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
    pub fn with_addresses(mut self, addresses: Vec<Ipv4Addr>) -> Self {
        self.addresses = addresses;
        self
    }

    fn takes_for_unicast(&self, destination: Ipv4Addr) -> bool {
        let is_broadcast = destination.is_broadcast() || self.broadcasts.contains(&destination);
        !destination.is_multicast() && !is_broadcast
    }

    fn judge<'a>(
        &self,
        header: &Ipv4Header,
        peer: Option<&Peer>,
        packet: &'a [u8],
    ) -> Result<Advert<'a>, Refusal> {
        if self.own_address == Some(header.source) {
            return Err(Refusal::OwnAddress);
        }
        let ttl_is_allowed = match self.transport {
            Transport::Multicast(_) => header.ttl == TTL,
            Transport::Unicast(_) => peer.is_none_or(|peer| peer.allows(header.ttl)),
        };
        if !ttl_is_allowed {
            return Err(Refusal::Ttl);
        }
        let advert = Advert::parse(packet, header.source, header.destination)?;
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
    pub source: Ipv4Addr,
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
    pub source: Option<Ipv4Addr>,
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
fn addressee<'a>(listeners: &'a [(usize, Listener)], header: &Ipv4Header) -> Result<Addressee<'a>, Refused> {
    let mut anybodys = None;
    let mut refusal = Refusal::Destination;
    for &(id, ref listener) in listeners {
        match &listener.transport {
            Transport::Multicast(multicast) => {
                if multicast.group == header.destination {
                    return Ok(Addressee { id, listener, peer: None });
                }
            }
            Transport::Unicast(unicast) => {
                if !listener.takes_for_unicast(header.destination) {
                    continue;
                }
                if let Some(peer) = peer_from(unicast, header.source) {
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
    anybodys.ok_or(Refused { id, source: Some(header.source), refusal })
}

fn peer_from(unicast: &Unicast, source: Ipv4Addr) -> Option<&Peer> {
    unicast.peers.iter().find(|peer| peer.address == source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipv4::GROUP;
    use crate::transport::Multicast;
    use crate::types::{Advertised, AuthPass, Priority};

    const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);
    const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const VIPS: [Ipv4Addr; 1] = [Ipv4Addr::new(10, 0, 0, 100)];

    fn vrid(number: u8) -> Vrid {
        Vrid::new(number).unwrap()
    }

    fn second() -> Interval {
        Interval::seconds(1).unwrap()
    }

    fn centis() -> Interval {
        Interval::centis(100).unwrap()
    }

    fn advert(number: u8, interval: Interval) -> Advert<'static> {
        Advert::new(vrid(number), Advertised::Running(Priority::DEFAULT), interval, &VIPS).unwrap()
    }

    fn datagram(advert: Advert<'_>, source: Ipv4Addr, destination: Ipv4Addr, ttl: u8) -> Vec<u8> {
        let (mut packet, mut datagram) = (Vec::new(), Vec::new());
        advert.write_to(source, destination, &mut packet);
        Ipv4Header { source, destination, ttl }.write_to(&packet, &mut datagram);
        datagram
    }

    fn demux(listeners: impl IntoIterator<Item = Listener>) -> Demux {
        let mut demux = Demux::new();
        for (id, listener) in listeners.into_iter().enumerate() {
            demux.insert(id, listener.with_own_address(OWN));
        }
        demux
    }

    fn multicast(number: u8, interval: Interval) -> Listener {
        Listener::new(vrid(number), interval, Transport::default())
    }

    fn unicast(unicast: Unicast) -> Listener {
        Listener::new(vrid(1), centis(), Transport::Unicast(unicast))
    }

    fn refusal(demux: &Demux, datagram: &[u8]) -> (Option<usize>, Refusal) {
        let refused = demux.accept(datagram).unwrap_err();
        (refused.id, refused.refusal)
    }

    #[test]
    fn adverts_of_other_virtual_routers_concern_nobody_even_damaged_ones() {
        // VR-065.
        let demux = demux([multicast(1, centis())]);
        let mut bytes = datagram(advert(2, centis()), PEER, GROUP, 1);
        assert_eq!(refusal(&demux, &bytes), (None, Refusal::UnknownVrid));
        bytes[30] ^= 1;
        assert_eq!(refusal(&demux, &bytes), (None, Refusal::UnknownVrid));
    }

    #[test]
    fn adverts_to_the_group_need_a_ttl_of_255() {
        // VR-060.
        let demux = demux([multicast(1, centis())]);
        for ttl in 0..255 {
            let bytes = datagram(advert(1, centis()), PEER, GROUP, ttl);
            assert_eq!(refusal(&demux, &bytes), (Some(0), Refusal::Ttl));
        }
        assert!(demux.accept(&datagram(advert(1, centis()), PEER, GROUP, 255)).is_ok());
    }

    #[test]
    fn unicast_takes_any_ttl_but_keeps_the_limits_of_a_peer() {
        // VR-221.
        let open = demux([unicast(Unicast::to([PEER]))]);
        let limited = Peer { address: PEER, min_ttl: Some(254), max_ttl: Some(254) };
        let limited = demux([unicast(Unicast { peers: vec![limited], ..Unicast::to([]) })]);
        for ttl in [0, 1, 253, 254, 255] {
            let bytes = datagram(advert(1, centis()), PEER, OWN, ttl);
            assert!(open.accept(&bytes).is_ok());
            assert_eq!(limited.accept(&bytes).is_ok(), ttl == 254);
        }
        let bytes = datagram(advert(1, centis()), STRANGER, OWN, 254);
        assert_eq!(refusal(&limited, &bytes), (Some(0), Refusal::Source));
    }

    #[test]
    fn a_multicast_instance_refuses_unicast_and_the_reverse() {
        // VR-075, VR-224.
        let multicast = demux([multicast(1, centis())]);
        let bytes = datagram(advert(1, centis()), PEER, OWN, 255);
        assert_eq!(refusal(&multicast, &bytes), (Some(0), Refusal::Destination));
        let unicast = demux([unicast(Unicast::to([PEER]))]);
        let bytes = datagram(advert(1, centis()), PEER, GROUP, 255);
        assert_eq!(refusal(&unicast, &bytes), (Some(0), Refusal::Destination));
    }

    #[test]
    fn a_unicast_instance_refuses_broadcasts_and_takes_any_other_address_for_ours() {
        // VR-075.
        let broadcast = Ipv4Addr::new(10, 0, 0, 255);
        let listener = unicast(Unicast::to([PEER])).with_broadcasts(vec![broadcast]);
        let demux = demux([listener]);
        for source in [PEER, STRANGER] {
            for destination in [Ipv4Addr::BROADCAST, broadcast] {
                let bytes = datagram(advert(1, centis()), source, destination, 255);
                assert_eq!(refusal(&demux, &bytes), (Some(0), Refusal::Destination));
            }
            for destination in [OWN, Ipv4Addr::new(10, 0, 0, 9)] {
                assert!(demux.accept(&datagram(advert(1, centis()), source, destination, 255)).is_ok());
            }
        }
    }

    #[test]
    fn strangers_are_refused_only_where_the_source_is_checked() {
        // VR-222.
        let bytes = datagram(advert(1, centis()), STRANGER, OWN, 255);
        assert!(demux([unicast(Unicast::to([PEER]))]).accept(&bytes).is_ok());
        let checked = demux([unicast(Unicast { check_source: true, ..Unicast::to([PEER]) })]);
        assert_eq!(refusal(&checked, &bytes), (Some(0), Refusal::Source));
        assert!(checked.accept(&datagram(advert(1, centis()), PEER, OWN, 255)).is_ok());
    }

    #[test]
    fn one_identifier_may_serve_several_groups_and_peers() {
        let other = Ipv4Addr::new(224, 0, 0, 81);
        let transport = Transport::Multicast(Multicast { group: other, source: None });
        let demux = demux([
            multicast(1, centis()),
            Listener::new(vrid(1), centis(), transport),
            unicast(Unicast::to([PEER])),
            unicast(Unicast::to([STRANGER])),
        ]);
        for (source, destination, id) in
            [(PEER, GROUP, 0), (PEER, other, 1), (PEER, OWN, 2), (STRANGER, OWN, 3), (VIPS[0], OWN, 2)]
        {
            let bytes = datagram(advert(1, centis()), source, destination, 255);
            assert_eq!(demux.accept(&bytes).unwrap().id, id);
        }
    }

    #[test]
    fn our_own_adverts_are_refused_but_not_those_of_an_owner_whose_address_we_serve() {
        // VR-008.
        let demux = demux([multicast(1, centis())]);
        let bytes = datagram(advert(1, centis()), OWN, GROUP, 255);
        assert_eq!(refusal(&demux, &bytes), (Some(0), Refusal::OwnAddress));
        assert!(demux.accept(&datagram(advert(1, centis()), VIPS[0], GROUP, 255)).is_ok());
    }

    #[test]
    fn each_instance_takes_its_own_version_only() {
        // VR-061.
        let demux = demux([multicast(1, centis()), multicast(2, second())]);
        let bytes = datagram(advert(1, second()), PEER, GROUP, 255);
        assert_eq!(refusal(&demux, &bytes), (Some(0), Refusal::Version));
        let bytes = datagram(advert(2, centis()), PEER, GROUP, 255);
        assert_eq!(refusal(&demux, &bytes), (Some(1), Refusal::Version));
    }

    #[test]
    fn version_two_needs_the_same_interval_and_version_three_does_not() {
        // VR-068, VR-069.
        let demux = demux([multicast(1, centis()), multicast(2, second())]);
        let bytes = datagram(advert(2, Interval::seconds(2).unwrap()), PEER, GROUP, 255);
        assert_eq!(refusal(&demux, &bytes), (Some(1), Refusal::IntervalMismatch));
        let bytes = datagram(advert(1, Interval::centis(20).unwrap()), PEER, GROUP, 255);
        assert!(demux.accept(&bytes).is_ok());
    }

    #[test]
    fn type_and_data_of_the_authentication_must_be_ours() {
        // VR-067, VR-201.
        let password = |text: &[u8]| Authentication::Password(AuthPass::new(text).unwrap());
        let open = demux([multicast(1, second())]);
        let closed = demux([multicast(1, second()).with_authentication(password(b"1111"))]);
        let send = |authentication| {
            datagram(advert(1, second()).with_authentication(authentication), PEER, GROUP, 255)
        };
        assert!(open.accept(&send(Authentication::None)).is_ok());
        assert!(closed.accept(&send(password(b"1111"))).is_ok());
        assert_eq!(refusal(&open, &send(password(b"1111"))), (Some(0), Refusal::AuthType));
        assert_eq!(refusal(&closed, &send(Authentication::None)), (Some(0), Refusal::AuthType));
        assert_eq!(refusal(&closed, &send(password(b"1112"))), (Some(0), Refusal::AuthData));
    }

    #[test]
    fn another_list_of_addresses_is_told_and_not_refused() {
        // VR-073, VR-074.
        let bytes = datagram(advert(1, centis()), PEER, GROUP, 255);
        for (ours, same) in [(vec![VIPS[0]], true), (vec![VIPS[0], OWN], false), (vec![OWN], false)] {
            let demux = demux([multicast(1, centis()).with_addresses(ours)]);
            assert_eq!(demux.accept(&bytes).unwrap().same_addresses, same);
        }
    }

    #[test]
    fn a_replaced_or_removed_instance_hears_nothing_any_more() {
        let mut demux = demux([multicast(1, centis())]);
        demux.insert(0, multicast(2, centis()));
        let bytes = datagram(advert(1, centis()), PEER, GROUP, 255);
        assert_eq!(refusal(&demux, &bytes), (None, Refusal::UnknownVrid));
        demux.remove(0);
        let bytes = datagram(advert(2, centis()), PEER, GROUP, 255);
        assert_eq!(refusal(&demux, &bytes), (None, Refusal::UnknownVrid));
    }
}
