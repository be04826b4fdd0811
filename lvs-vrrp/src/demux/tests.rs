use std::net::Ipv6Addr;

use super::*;
use crate::delivery::Multicast;
use crate::endpoints::{Endpoints, group};
use crate::ipv4::{GROUP, Ipv4Header};
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
    advert.write_to(&Endpoints::v4(source, destination), &mut packet);
    Ipv4Header { source, destination, ttl }.write_to(&packet, &mut datagram);
    datagram
}

fn demux(listeners: impl IntoIterator<Item = Listener>) -> Demux {
    let mut demux = Demux::new();
    for (id, listener) in listeners.into_iter().enumerate() {
        demux.insert(id, listener.with_own_address(OWN.into()));
    }
    demux
}

fn multicast(number: u8, interval: Interval) -> Listener {
    Listener::new(vrid(number), interval, Delivery::to_group(Family::Ipv4))
}

fn unicast(unicast: Unicast) -> Listener {
    Listener::new(vrid(1), centis(), Delivery::Unicast(unicast))
}

fn whole(octets: &[u8]) -> Datagram<'_> {
    Datagram::from_ipv4(octets).unwrap()
}

fn refusal(demux: &mut Demux, octets: &[u8]) -> (Option<usize>, Refusal) {
    let refused = demux.accept(&whole(octets)).unwrap_err();
    (refused.id, refused.refusal)
}

#[test]
fn adverts_of_other_virtual_routers_concern_nobody_even_damaged_ones() {
    // VR-065.
    let mut demux = demux([multicast(1, centis())]);
    let mut bytes = datagram(advert(2, centis()), PEER, GROUP, 1);
    assert_eq!(refusal(&mut demux, &bytes), (None, Refusal::UnknownVrid));
    bytes[30] ^= 1;
    assert_eq!(refusal(&mut demux, &bytes), (None, Refusal::UnknownVrid));
}

#[test]
fn adverts_to_the_group_need_a_ttl_of_255() {
    // VR-060.
    let mut demux = demux([multicast(1, centis())]);
    for ttl in 0..255 {
        let bytes = datagram(advert(1, centis()), PEER, GROUP, ttl);
        assert_eq!(refusal(&mut demux, &bytes), (Some(0), Refusal::Ttl));
    }
    assert!(demux.accept(&whole(&datagram(advert(1, centis()), PEER, GROUP, 255))).is_ok());
}

#[test]
fn unicast_takes_any_ttl_but_keeps_the_limits_of_a_peer() {
    // VR-221.
    let mut open = demux([unicast(Unicast::to([PEER.into()]))]);
    let limited = Peer { address: PEER.into(), min_ttl: Some(254), max_ttl: Some(254) };
    let mut limited = demux([unicast(Unicast { peers: vec![limited], ..Unicast::to([]) })]);
    for ttl in [0, 1, 253, 254, 255] {
        let bytes = datagram(advert(1, centis()), PEER, OWN, ttl);
        assert!(open.accept(&whole(&bytes)).is_ok());
        assert_eq!(limited.accept(&whole(&bytes)).is_ok(), ttl == 254);
    }
    let bytes = datagram(advert(1, centis()), STRANGER, OWN, 254);
    assert_eq!(refusal(&mut limited, &bytes), (Some(0), Refusal::Source));
}

#[test]
fn a_multicast_instance_refuses_unicast_and_the_reverse() {
    // VR-075, VR-224.
    let mut multicast = demux([multicast(1, centis())]);
    let bytes = datagram(advert(1, centis()), PEER, OWN, 255);
    assert_eq!(refusal(&mut multicast, &bytes), (Some(0), Refusal::Destination));
    let mut unicast = demux([unicast(Unicast::to([PEER.into()]))]);
    let bytes = datagram(advert(1, centis()), PEER, GROUP, 255);
    assert_eq!(refusal(&mut unicast, &bytes), (Some(0), Refusal::Destination));
}

#[test]
fn a_unicast_instance_refuses_broadcasts_and_takes_any_other_address_for_ours() {
    // VR-075.
    let broadcast = Ipv4Addr::new(10, 0, 0, 255);
    let listener = unicast(Unicast::to([PEER.into()])).with_broadcasts(vec![broadcast]);
    let mut demux = demux([listener]);
    for source in [PEER, STRANGER] {
        for destination in [Ipv4Addr::BROADCAST, broadcast] {
            let bytes = datagram(advert(1, centis()), source, destination, 255);
            assert_eq!(refusal(&mut demux, &bytes), (Some(0), Refusal::Destination));
        }
        for destination in [OWN, Ipv4Addr::new(10, 0, 0, 9)] {
            assert!(demux.accept(&whole(&datagram(advert(1, centis()), source, destination, 255))).is_ok());
        }
    }
}

#[test]
fn strangers_are_refused_only_where_the_source_is_checked() {
    // VR-222.
    let bytes = datagram(advert(1, centis()), STRANGER, OWN, 255);
    assert!(demux([unicast(Unicast::to([PEER.into()]))]).accept(&whole(&bytes)).is_ok());
    let mut checked = demux([unicast(Unicast { check_source: true, ..Unicast::to([PEER.into()]) })]);
    assert_eq!(refusal(&mut checked, &bytes), (Some(0), Refusal::Source));
    assert!(checked.accept(&whole(&datagram(advert(1, centis()), PEER, OWN, 255))).is_ok());
}

#[test]
fn one_identifier_may_serve_several_groups_and_peers() {
    let other = Ipv4Addr::new(224, 0, 0, 81);
    let delivery = Delivery::Multicast(Multicast { group: other.into(), source: None });
    let mut demux = demux([
        multicast(1, centis()),
        Listener::new(vrid(1), centis(), delivery),
        unicast(Unicast::to([PEER.into()])),
        unicast(Unicast::to([STRANGER.into()])),
    ]);
    for (source, destination, id) in
        [(PEER, GROUP, 0), (PEER, other, 1), (PEER, OWN, 2), (STRANGER, OWN, 3), (VIPS[0], OWN, 2)]
    {
        let bytes = datagram(advert(1, centis()), source, destination, 255);
        assert_eq!(demux.accept(&whole(&bytes)).unwrap().id, id);
    }
}

#[test]
fn our_own_adverts_are_refused_but_not_those_of_an_owner_whose_address_we_serve() {
    // VR-008.
    let mut demux = demux([multicast(1, centis())]);
    let bytes = datagram(advert(1, centis()), OWN, GROUP, 255);
    assert_eq!(refusal(&mut demux, &bytes), (Some(0), Refusal::OwnAddress));
    assert!(demux.accept(&whole(&datagram(advert(1, centis()), VIPS[0], GROUP, 255))).is_ok());
}

#[test]
fn each_instance_takes_its_own_version_only() {
    // VR-240.
    // VR-061.
    let mut demux = demux([multicast(1, centis()), multicast(2, second())]);
    let bytes = datagram(advert(1, second()), PEER, GROUP, 255);
    assert_eq!(refusal(&mut demux, &bytes), (Some(0), Refusal::Version));
    let bytes = datagram(advert(2, centis()), PEER, GROUP, 255);
    assert_eq!(refusal(&mut demux, &bytes), (Some(1), Refusal::Version));
}

#[test]
fn version_two_needs_the_same_interval_and_version_three_does_not() {
    // VR-068, VR-069.
    let mut demux = demux([multicast(1, centis()), multicast(2, second())]);
    let bytes = datagram(advert(2, Interval::seconds(2).unwrap()), PEER, GROUP, 255);
    assert_eq!(refusal(&mut demux, &bytes), (Some(1), Refusal::IntervalMismatch));
    let bytes = datagram(advert(1, Interval::centis(20).unwrap()), PEER, GROUP, 255);
    assert!(demux.accept(&whole(&bytes)).is_ok());
}

#[test]
fn type_and_data_of_the_authentication_must_be_ours() {
    // VR-067, VR-201.
    let password = |text: &[u8]| Authentication::Password(AuthPass::new(text).unwrap());
    let mut open = demux([multicast(1, second())]);
    let mut closed = demux([multicast(1, second()).with_authentication(password(b"1111"))]);
    let send =
        |authentication| datagram(advert(1, second()).with_authentication(authentication), PEER, GROUP, 255);
    assert!(open.accept(&whole(&send(Authentication::None))).is_ok());
    assert!(closed.accept(&whole(&send(password(b"1111")))).is_ok());
    assert_eq!(refusal(&mut open, &send(password(b"1111"))), (Some(0), Refusal::AuthType));
    assert_eq!(refusal(&mut closed, &send(Authentication::None)), (Some(0), Refusal::AuthType));
    assert_eq!(refusal(&mut closed, &send(password(b"1112"))), (Some(0), Refusal::AuthData));
}

#[test]
fn another_list_of_addresses_is_told_and_not_refused() {
    // VR-073, VR-074.
    let bytes = datagram(advert(1, centis()), PEER, GROUP, 255);
    for (ours, same) in [(vec![VIPS[0]], true), (vec![VIPS[0], OWN], false), (vec![OWN], false)] {
        let mut demux = demux([multicast(1, centis()).with_addresses(&ours)]);
        assert_eq!(demux.accept(&whole(&bytes)).unwrap().same_addresses, same);
    }
}

#[test]
fn a_replaced_or_removed_instance_hears_nothing_any_more() {
    let mut demux = demux([multicast(1, centis())]);
    demux.insert(0, multicast(2, centis()));
    let bytes = datagram(advert(1, centis()), PEER, GROUP, 255);
    assert_eq!(refusal(&mut demux, &bytes), (None, Refusal::UnknownVrid));
    demux.remove(0);
    let bytes = datagram(advert(2, centis()), PEER, GROUP, 255);
    assert_eq!(refusal(&mut demux, &bytes), (None, Refusal::UnknownVrid));
}

#[test]
fn the_families_of_one_identifier_are_two_virtual_routers() {
    // VR-028, VR-065.
    let v6_group = group(Family::Ipv6);
    let vips: [Ipv6Addr; 1] = ["fe80::100".parse().unwrap()];
    let mut demux = demux([multicast(1, centis())]);
    let v6_advert = Advert::new(vrid(1), Advertised::Running(Priority::DEFAULT), centis(), &vips).unwrap();
    let endpoints = Endpoints::new("fe80::2".parse().unwrap(), v6_group).unwrap();
    let mut packet = Vec::new();
    v6_advert.write_to(&endpoints, &mut packet);
    let to_all = Datagram::new(endpoints, 255, &packet);
    assert_eq!(demux.accept(&to_all).unwrap_err().refusal, Refusal::UnknownVrid);

    let v6 = Listener::new(vrid(1), centis(), Delivery::to_group(Family::Ipv6));
    demux.insert(6, v6.with_addresses(&vips));
    let accepted = demux.accept(&to_all).unwrap();
    assert_eq!((accepted.id, accepted.source), (6, endpoints.source()));
    assert!(accepted.same_addresses);
    // VR-060: the hop limit is to IPv6 what the TTL is to IPv4.
    let routed = Datagram::new(endpoints, 254, &packet);
    assert_eq!(demux.accept(&routed).unwrap_err().refusal, Refusal::Ttl);
    let bytes = datagram(advert(1, centis()), PEER, GROUP, 255);
    assert_eq!(demux.accept(&whole(&bytes)).unwrap().id, 0);
}

#[cfg(feature = "ah")]
mod ah {
    use super::*;
    use crate::ah::AhSender;

    fn key(text: &[u8]) -> AuthPass {
        AuthPass::truncated(text)
    }

    fn listener(authentication: Authentication) -> Listener {
        multicast(1, second()).with_authentication(authentication)
    }

    /// An advert of the second version behind an authentication header, from a peer to the group.
    fn send(sender: &mut AhSender, advert: Advert<'_>, source: Ipv4Addr) -> Vec<u8> {
        let (mut packet, mut datagram) = (Vec::new(), Vec::new());
        advert.write_to(&Endpoints::v4(source, GROUP), &mut packet);
        sender.write_to(&Ipv4Header { source, destination: GROUP, ttl: 255 }, &packet, &mut datagram);
        datagram
    }

    #[test]
    fn adverts_behind_an_authentic_header_are_accepted_once() {
        // VR-202.
        let ours = Authentication::Ah(key(b"1234"));
        let mut demux = demux([listener(ours)]);
        let mut theirs = AhSender::new(key(b"1234"));
        theirs.heard(6);
        let first = send(&mut theirs, advert(1, second()).with_authentication(ours), PEER);
        let second = send(&mut theirs, advert(1, second()).with_authentication(ours), PEER);
        let accepted = demux.accept(&whole(&first)).unwrap();
        assert_eq!((accepted.id, accepted.sequence), (0, Some(7)));
        assert_eq!(accepted.advert.authentication(), ours);
        assert_eq!(refusal(&mut demux, &first), (Some(0), Refusal::Replay));
        assert!(demux.accept(&whole(&second)).is_ok());
        assert_eq!(refusal(&mut demux, &first), (Some(0), Refusal::Replay));
        // Each sender has its own numbers; a new set of addresses on the interface forgets none of them.
        let mut other = AhSender::new(key(b"1234"));
        let other = send(&mut other, advert(1, self::second()).with_authentication(ours), STRANGER);
        assert!(demux.accept(&whole(&other)).is_ok());
        demux.insert(0, listener(ours));
        assert_eq!(refusal(&mut demux, &second), (Some(0), Refusal::Replay));
        demux.insert(0, listener(Authentication::Ah(key(b"4321"))));
        assert_eq!(refusal(&mut demux, &second), (Some(0), Refusal::AuthData));
    }

    #[test]
    fn a_refused_advert_marks_no_number_as_heard() {
        // VR-078.
        let ours = Authentication::Ah(key(b"1234"));
        let mut demux = demux([listener(ours)]);
        let mut forger = AhSender::new(key(b"guess"));
        forger.heard(1_000_000);
        let forged = send(&mut forger, advert(1, second()).with_authentication(ours), PEER);
        assert_eq!(refusal(&mut demux, &forged), (Some(0), Refusal::AuthData));
        let mut theirs = AhSender::new(key(b"1234"));
        theirs.heard(1_000);
        let other_interval = Interval::seconds(9).unwrap();
        let useless = send(&mut theirs, advert(1, other_interval).with_authentication(ours), PEER);
        assert_eq!(refusal(&mut demux, &useless), (Some(0), Refusal::IntervalMismatch));
        let mut earlier = AhSender::new(key(b"1234"));
        let good = send(&mut earlier, advert(1, second()).with_authentication(ours), PEER);
        assert!(demux.accept(&whole(&good)).is_ok());
    }

    #[test]
    fn a_header_must_be_where_it_is_expected_and_nowhere_else() {
        // VR-067, VR-202.
        let ours = Authentication::Ah(key(b"1234"));
        let password = Authentication::Password(key(b"1234"));
        let mut theirs = AhSender::new(key(b"1234"));
        for authentication in [Authentication::None, password, ours] {
            let advert = advert(1, second()).with_authentication(authentication);
            let bare = datagram(advert, PEER, GROUP, 255);
            let behind = send(&mut theirs, advert, PEER);
            for expected in [Authentication::None, password, ours] {
                let mut demux = demux([listener(expected)]);
                let is_ah = expected == ours;
                let judged = |is_accepted| if is_accepted { None } else { Some(Refusal::AuthType) };
                let mut refusal =
                    |octets: &[u8]| demux.accept(&whole(octets)).err().map(|refused| refused.refusal);
                assert_eq!(refusal(&bare), judged(!is_ah && authentication == expected));
                assert_eq!(refusal(&behind), judged(is_ah && authentication == ours));
            }
        }
        // Version 3 has nothing of the kind (VR-204).
        let mut demux = demux([multicast(1, centis())]);
        let behind = send(&mut theirs, advert(1, centis()), PEER);
        assert_eq!(refusal(&mut demux, &behind), (Some(0), Refusal::AuthType));
    }
}

#[test]
fn an_advert_of_ipv6_that_begins_with_another_address_is_believed_only_where_any_may_be_first() {
    // VR-072; erratum 8300.
    let vips: [Ipv6Addr; 2] = ["2001:db8::100".parse().unwrap(), "fe80::100".parse().unwrap()];
    let running = Advertised::Running(Priority::DEFAULT);
    let advert = Advert::new(vrid(1), running, centis(), &vips).unwrap();
    let endpoints = Endpoints::new("fe80::2".parse().unwrap(), group(Family::Ipv6)).unwrap();
    let mut packet = Vec::new();
    advert.write_to(&endpoints, &mut packet);
    let datagram = Datagram::new(endpoints, TTL, &packet);
    let listener =
        || Listener::new(vrid(1), centis(), Delivery::to_group(Family::Ipv6)).with_addresses(&vips);
    let refused = demux([listener()]).accept(&datagram).unwrap_err();
    assert_eq!((refused.id, refused.refusal), (Some(0), Refusal::NotLinkLocal));
    let mut lenient = demux([listener().with_any_first_address()]);
    let accepted = lenient.accept(&datagram).unwrap();
    assert!(accepted.same_addresses && accepted.advert == advert && !accepted.advert.has_link_local_first());
    // The rest of it is judged as ever.
    let mut damaged = packet.clone();
    damaged[10] ^= 1;
    let refused = lenient.accept(&Datagram::new(endpoints, TTL, &damaged)).unwrap_err();
    assert_eq!(refused.refusal, Refusal::Checksum);
}
