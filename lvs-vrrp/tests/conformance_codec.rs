//! What RFC 3768, RFC 9568 and its errata ask of a packet and of who receives it, through the public parts alone; the
//! rest of sections 2, 3, 4 and 9 is in the unit tests of the codec, which name their numbers too.

use std::net::{Ipv4Addr, Ipv6Addr};

use lvs_core::Family;
use lvs_vrrp::{
    Advert, Advertised, AuthPass, Authentication, ChecksumForm, Datagram, Delivery, Demux, Endpoints,
    Interval, Ipv4Header, Listener, Priority, Refusal, Unicast, Vrid,
};

const PEER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const OWN: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const TO_GROUP: Endpoints = Endpoints::v4(PEER, Ipv4Addr::new(224, 0, 0, 18));
const TO_US: Endpoints = Endpoints::v4(PEER, OWN);
const VIPS: [Ipv4Addr; 3] =
    [Ipv4Addr::new(10, 9, 0, 103), Ipv4Addr::new(10, 9, 0, 101), Ipv4Addr::new(10, 9, 0, 102)];

fn vrid() -> Vrid {
    Vrid::new(51).expect("in range")
}

fn second() -> Interval {
    Interval::seconds(1).expect("in range")
}

fn centis() -> Interval {
    Interval::centis(100).expect("in range")
}

fn advert(interval: Interval) -> Advert<'static> {
    Advert::new(vrid(), Advertised::Running(Priority::DEFAULT), interval, &VIPS).expect("in range")
}

fn octets(advert: Advert<'_>, endpoints: &Endpoints) -> Vec<u8> {
    let mut packet = Vec::new();
    advert.write_to(endpoints, &mut packet);
    packet
}

fn demux(listener: Listener) -> Demux {
    let mut demux = Demux::new();
    demux.insert(0, listener);
    demux
}

fn to_group(interval: Interval) -> Demux {
    demux(Listener::new(vrid(), interval, Delivery::to_group(Family::Ipv4)))
}

#[test]
fn addresses_are_listed_in_the_order_of_the_configuration() {
    // VR-023, VR-030.
    let packet = octets(advert(centis()), &TO_GROUP);
    assert_eq!(packet[3], 3);
    assert_eq!(packet[8..], [10, 9, 0, 103, 10, 9, 0, 101, 10, 9, 0, 102]);
}

#[test]
fn another_order_of_addresses_is_another_list_and_still_believed() {
    // VR-073: it is counted, and in version 2 neither dropped, unlike RFC 3768 §7.1 has it.
    for interval in [second(), centis()] {
        let listener = Listener::new(vrid(), interval, Delivery::to_group(Family::Ipv4));
        let mut demux = demux(listener.with_addresses(&[VIPS[1], VIPS[0], VIPS[2]]));
        let packet = octets(advert(interval), &TO_GROUP);
        let accepted = demux.accept(&Datagram::new(TO_GROUP, 255, &packet)).unwrap();
        assert!(!accepted.same_addresses);
    }
}

#[test]
fn whole_packets_have_the_lengths_of_the_rfcs() {
    // VR-026: 8 + 4n + 8 octets in version 2, 8 + 4n or 8 + 16n in version 3.
    let v6 = [Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1); 3];
    let v6 = Advert::new(vrid(), Advertised::Resigning, centis(), &v6).unwrap();
    for (advert, octets) in [(advert(second()), 28), (advert(centis()), 20), (v6, 56)] {
        assert_eq!(advert.wire_len(), octets);
    }
}

#[test]
fn padding_of_short_frames_does_not_count_and_octets_inside_of_the_datagram_do() {
    // VR-063.
    let short = Advert::new(vrid(), Advertised::Resigning, centis(), &VIPS[..1]).unwrap();
    let message = octets(short, &TO_GROUP);
    let header = Ipv4Header { source: PEER, destination: [224, 0, 0, 18].into(), ttl: 255 };
    let mut padded = Vec::new();
    header.write_to(&message, &mut padded);
    padded.resize(46, 0); // the least payload of Ethernet
    let datagram = Datagram::from_ipv4(&padded).unwrap();
    assert_eq!(datagram.payload, message);
    assert!(to_group(centis()).accept(&datagram).is_ok());

    let mut longer = Vec::new();
    header.write_to(&[message.as_slice(), &[0; 4]].concat(), &mut longer);
    let refused = to_group(centis()).accept(&Datagram::from_ipv4(&longer).unwrap()).unwrap_err();
    assert_eq!(refused.refusal, Refusal::Length);
}

#[test]
fn every_accepted_form_of_checksum_is_a_check_of_every_bit() {
    // VR-043, VR-044, VR-045, VR-064: keepalived's `v3_checksum_as_v2` is no reason to believe any checksum.
    let v6_endpoints = Endpoints::v6(
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2),
        Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12),
    );
    let v6 = [Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)];
    let v6 = Advert::new(vrid(), Advertised::Running(Priority::DEFAULT), centis(), &v6).unwrap();
    let mut tried = vec![(v6, v6_endpoints), (advert(second()), TO_US)];
    for form in [ChecksumForm::PseudoHeader, ChecksumForm::MessageOnly, ChecksumForm::OldUnicast] {
        tried.push((advert(centis()).with_checksum(form), TO_US));
    }
    for (advert, endpoints) in tried {
        let packet = octets(advert, &endpoints);
        assert_eq!(Advert::parse(&packet, &endpoints).unwrap().checksum(), advert.checksum());
        for bit in 0..packet.len() * 8 {
            let mut damaged = packet.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Advert::parse(&damaged, &endpoints).is_err(), "bit {bit} of {advert:?}");
        }
    }
}

#[test]
fn unicast_adverts_are_summed_for_each_peer() {
    // VR-045, VR-226.
    let peers = [2, 3, 4].map(|last| Endpoints::v4(OWN, Ipv4Addr::new(10, 9, 0, last)));
    for (place, peer) in peers.iter().enumerate() {
        let packet = octets(advert(centis()), peer);
        assert_eq!(Advert::parse(&packet, peer), Ok(advert(centis())));
        let another = &peers[(place + 1) % peers.len()];
        assert_eq!(Advert::parse(&packet, another), Err(Refusal::Checksum));
    }
}

#[test]
fn what_is_sent_has_ttl_255_and_the_class_of_network_control() {
    // VR-003, VR-004, VR-010; priority 0 too.
    for advertised in [Advertised::Resigning, Advertised::Running(Priority::OWNER)] {
        let advert = Advert::new(vrid(), advertised, centis(), &VIPS).unwrap();
        let header =
            Ipv4Header { source: PEER, destination: lvs_vrrp::ipv4::GROUP, ttl: lvs_vrrp::ipv4::TTL };
        let mut datagram = Vec::new();
        header.write_to(&octets(advert, &TO_GROUP), &mut datagram);
        assert_eq!((datagram[0], datagram[1], datagram[8], datagram[9]), (0x45, 0xc0, 255, 112));
        assert_eq!(datagram[12..20], [10, 9, 0, 2, 224, 0, 0, 18]);
    }
}

#[test]
fn fragments_never_reach_an_instance() {
    // VR-076.
    let header = Ipv4Header { source: PEER, destination: [224, 0, 0, 18].into(), ttl: 255 };
    let mut datagram = Vec::new();
    header.write_to(&octets(advert(centis()), &TO_GROUP), &mut datagram);
    for (flags, offset) in [(0x20, 0), (0, 1), (0x20, 185)] {
        (datagram[6], datagram[7]) = (flags, offset);
        assert_eq!(Datagram::from_ipv4(&datagram), Err(Refusal::Fragment));
    }
}

#[test]
fn an_owners_instance_hears_adverts_of_others() {
    // VR-066, erratum 8298: what to make of them is the router's.
    let mut demux = to_group(centis());
    for priority in [Priority::OWNER, Priority::DEFAULT] {
        let advert = Advert::new(vrid(), Advertised::Running(priority), centis(), &VIPS).unwrap();
        let packet = octets(advert, &TO_GROUP);
        assert_eq!(demux.accept(&Datagram::new(TO_GROUP, 255, &packet)).unwrap().advert, advert);
    }
}

#[test]
fn a_refused_packet_leaves_nothing_behind() {
    // VR-077, VR-078: the good advert after any number of bad ones is judged as if they had not come.
    let good = octets(advert(second()), &TO_GROUP);
    let wrong = Authentication::Password(AuthPass::new(b"wrong").unwrap());
    let bad = octets(advert(second()).with_authentication(wrong), &TO_GROUP);
    let mut demux = to_group(second());
    let before = demux.accept(&Datagram::new(TO_GROUP, 255, &good)).unwrap();
    for ttl in [255, 1] {
        assert!(demux.accept(&Datagram::new(TO_GROUP, ttl, &bad)).is_err());
        assert!(demux.accept(&Datagram::new(TO_US, ttl, &good)).is_err());
    }
    assert_eq!(demux.accept(&Datagram::new(TO_GROUP, 255, &good)), Ok(before));
}

#[test]
fn version_three_never_carries_authentication() {
    // VR-204.
    let password = Authentication::Password(AuthPass::new(b"1111").unwrap());
    let key = Authentication::Ah(AuthPass::new(b"1111").unwrap());
    for authentication in [password, key] {
        let advert = advert(centis()).with_authentication(authentication);
        assert_eq!(advert.authentication(), Authentication::None);
        assert_eq!(octets(advert, &TO_GROUP), octets(self::advert(centis()), &TO_GROUP));
    }
}

#[test]
fn data_of_no_authentication_is_zero_when_sent() {
    // VR-026, VR-200.
    assert!(octets(advert(second()), &TO_GROUP).ends_with(&[0; 8]));
}

#[test]
fn ipv6_unicast_takes_any_hop_limit_and_no_adverts_to_the_group() {
    // VR-075, VR-221.
    let local = |last| Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last);
    let unicast = Delivery::Unicast(Unicast::to([local(2).into()]));
    let mut demux = demux(Listener::new(vrid(), centis(), unicast));
    let vips = [local(0x100)];
    let advert = Advert::new(vrid(), Advertised::Resigning, centis(), &vips).unwrap();
    let to_us = Endpoints::v6(local(2), local(1));
    let packet = octets(advert, &to_us);
    for hop_limit in [1, 64, 255] {
        assert!(demux.accept(&Datagram::new(to_us, hop_limit, &packet)).is_ok());
    }
    let to_all = Endpoints::v6(local(2), Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12));
    let packet = octets(advert, &to_all);
    let refused = demux.accept(&Datagram::new(to_all, 255, &packet)).unwrap_err();
    assert_eq!((refused.id, refused.refusal), (Some(0), Refusal::Destination));
}
