use std::net::IpAddr;

use lvs_core::Family;
use lvs_vrrp::{
    AuthPass, Authentication, Datagram, Delivery, Demux, Interval, Listener, Peer, Refusal, Unicast, Version,
    Vrid,
};

use super::{OWN, OWN_V6, PEER, PEER_V6};

/// Input: datagrams one after the other, each an octet for the way (see `way`), the TTL, the length of the message in
/// two octets, and the message.
///
/// What is accepted is for an instance of its identifier, family and version, and came as that instance wants it. What
/// is refused names an instance only if there is one with its identifier and family. Judging twice gives the same.
pub fn demux(input: &[u8]) {
    let mut demux = Demux::new();
    for (id, (_, listener)) in instances().into_iter().enumerate() {
        demux.insert(id, listener);
    }
    let mut rest = input;
    while let Some((&[way, ttl, high, low], behind)) = rest.split_first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes([high, low])).min(behind.len());
        let (message, behind) = behind.split_at(length);
        rest = behind;
        let (endpoints, repairs) = super::way(way);
        let mut packet = message.to_vec();
        if repairs {
            super::repair(&mut packet, &endpoints);
        }
        let datagram = Datagram::new(endpoints, ttl, &packet);
        let judged = demux.accept(&datagram);
        assert_eq!(judged, demux.accept(&datagram));
        let configured = instances();
        match judged {
            Ok(accepted) => {
                let (expected, _) = &configured[accepted.id];
                let advert = accepted.advert;
                assert_eq!(
                    (advert.vrid().get(), advert.interval().version()),
                    (expected.vrid, expected.version)
                );
                assert_eq!(endpoints.family(), expected.family);
                assert_eq!(accepted.source, endpoints.source());
                assert_eq!(expected.is_unicast, !endpoints.destination().is_multicast());
                assert!(expected.least_ttl <= ttl, "TTL {ttl}");
                assert_eq!(advert.authentication(), expected.authentication);
            }
            Err(refused) => {
                let concerns = |number: u8| {
                    configured.iter().any(|(it, _)| it.vrid == number && it.family == endpoints.family())
                };
                let is_known = packet.get(1).is_some_and(|&number| packet.len() >= 2 && concerns(number));
                assert_eq!(refused.id.is_some(), is_known, "{refused:?}");
                assert_eq!(refused.refusal == Refusal::UnknownVrid, !is_known && packet.len() >= 2);
                assert_eq!(refused.source, Some(endpoints.source()));
            }
        }
    }
}

/// What an instance accepts.
struct Expected {
    vrid: u8,
    version: Version,
    family: Family,
    is_unicast: bool,
    least_ttl: u8,
    authentication: Authentication,
}

fn instances() -> Vec<(Expected, Listener)> {
    let second = Interval::seconds(1).expect("in range");
    let centis = Interval::centis(100).expect("in range");
    let password = Authentication::Password(AuthPass::truncated(b"1111"));
    let mut near = Unicast::to([]);
    let mut peer = Peer::new(PEER.into());
    peer.min_ttl = Some(254);
    near.peers.push(peer);
    let anywhere = Unicast::to([PEER_V6.into()]);
    let (v4, v6) = (Family::Ipv4, Family::Ipv6);
    [
        (51, second, Delivery::to_group(v4), v4, 255, Authentication::None),
        (52, second, Delivery::to_group(v4), v4, 255, password),
        (53, centis, Delivery::to_group(v4), v4, 255, Authentication::None),
        (51, centis, Delivery::to_group(v6), v6, 255, Authentication::None),
        (54, centis, Delivery::Unicast(near), v4, 254, Authentication::None),
        (55, centis, Delivery::Unicast(anywhere), v6, 0, Authentication::None),
    ]
    .into_iter()
    .map(|(vrid, interval, delivery, family, least_ttl, authentication)| {
        let is_unicast = matches!(delivery, Delivery::Unicast(_));
        let expected =
            Expected { vrid, version: interval.version(), family, is_unicast, least_ttl, authentication };
        let own = match family {
            Family::Ipv4 => IpAddr::from(OWN),
            Family::Ipv6 => IpAddr::from(OWN_V6),
        };
        let listener = Listener::new(Vrid::new(vrid).expect("in range"), interval, delivery)
            .with_authentication(authentication)
            .with_own_address(own);
        (expected, listener)
    })
    .collect()
}
