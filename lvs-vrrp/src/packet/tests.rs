use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::ipv4::{GROUP, Ipv4Header};
use crate::types::Priority;

/// Where the checksum lies in a message.
const CHECKSUM_FIELD: std::ops::Range<usize> = 6..8;

/// A datagram in hexadecimal digits; virtual router identifier, priority octet, interval and addresses in it.
type Capture = (&'static str, u8, u8, Interval, &'static [[u8; 4]]);

/// Datagrams sent by Debian's keepalived 2.2.7 (`keepalived -n -P`, captured with `tcpdump -x 'ip proto
/// 112'`), and what its configuration said.
const CAPTURES: [Capture; 6] = [
    (
        // virtual_router_id 51, priority 150, advert_int 1, auth_pass 1111, two addresses
        "45c0002c00010000ff70d0840a090001e000001221339602\
         0101d08b0a0900640a0900653131313100000000",
        51,
        150,
        second(),
        &[[10, 9, 0, 100], [10, 9, 0, 101]],
    ),
    (
        // the same at its end
        "45c0002c00070000ff70d07e0a090001e000001221330002\
         0101668c0a0900640a0900653131313100000000",
        51,
        0,
        second(),
        &[[10, 9, 0, 100], [10, 9, 0, 101]],
    ),
    (
        // virtual_router_id 54, priority 1, advert_int 2
        "45c0002800010000ff70d0880a090001e000001221360101\
         0002d3550a0900680000000000000000",
        54,
        1,
        seconds(2),
        &[[10, 9, 0, 104]],
    ),
    (
        // version 3, virtual_router_id 52, priority 100, advert_int 1
        "45c0002000010000ff70d0900a090001e0000012313464010064755e0a090066",
        52,
        100,
        centis(100),
        &[[10, 9, 0, 102]],
    ),
    (
        // version 3, virtual_router_id 53, priority 254, advert_int 0.1, unicast_peer { 10.9.0.2 }
        "45c0002000010000ff70a6980a0900010a0900023135fe01000ab1bd0a090067",
        53,
        254,
        centis(10),
        &[[10, 9, 0, 103]],
    ),
    (
        // the same at its end
        "45c0002000580000ff70a6410a0900010a09000231350001000aafbe0a090067",
        53,
        0,
        centis(10),
        &[[10, 9, 0, 103]],
    ),
];

const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const TO_GROUP: Endpoints = Endpoints::v4(SOURCE, GROUP);
const ELSEWHERE: Endpoints = Endpoints::v4(SOURCE, Ipv4Addr::new(224, 0, 0, 81));
const TO_PEER: Endpoints = Endpoints::v4(SOURCE, Ipv4Addr::new(10, 9, 0, 2));
const V6_TO_GROUP: Endpoints =
    Endpoints::v6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1), Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12));

const fn seconds(number: u8) -> Interval {
    match Interval::seconds(number) {
        Ok(interval) => interval,
        Err(_) => panic!("0 seconds"),
    }
}

const fn second() -> Interval {
    seconds(1)
}

const fn centis(number: u16) -> Interval {
    match Interval::centis(number) {
        Ok(interval) => interval,
        Err(_) => panic!("centiseconds out of range"),
    }
}

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(char::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap()).collect()
}

/// The message of a capture: version 2 with a password, then version 3.
fn message(capture: usize) -> Vec<u8> {
    octets(CAPTURES[capture].0).split_off(20)
}

/// Sets one octet and makes the checksum right again, so that it is not what the packet is refused for.
fn with_octet(mut packet: Vec<u8>, at: usize, value: u8) -> Vec<u8> {
    packet[at] = value;
    repaired(packet)
}

fn repaired(mut packet: Vec<u8>) -> Vec<u8> {
    packet[CHECKSUM_FIELD].copy_from_slice(&[0, 0]);
    let field = Sum::of(&packet).field();
    packet[CHECKSUM_FIELD].copy_from_slice(&field);
    packet
}

#[test]
fn keepalived_s_adverts_are_read_and_written_again_octet_by_octet() {
    // VR-020 to VR-026, VR-040, VR-041, VR-043, VR-045, VR-201.
    for (hex, vrid, priority, interval, addresses) in CAPTURES {
        let datagram = octets(hex);
        let (header, packet) = Ipv4Header::parse(&datagram).unwrap();
        let advert = Advert::parse(packet, &Endpoints::v4(header.source, header.destination)).unwrap();
        assert_eq!(advert.vrid().get(), vrid);
        assert_eq!(advert.advertised().octet(), priority);
        assert_eq!(advert.interval(), interval);
        assert!(advert.addresses().into_iter().eq(addresses.iter().map(|&octets| IpAddr::from(octets))));

        let vips: Vec<Ipv4Addr> = addresses.iter().map(|&octets| octets.into()).collect();
        let ours = Advert::new(Vrid::new(vrid).unwrap(), Advertised::from_octet(priority), interval, &vips)
            .unwrap()
            .with_authentication(advert.authentication());
        let mut written = Vec::new();
        ours.write_to(&Endpoints::v4(header.source, header.destination), &mut written);
        assert_eq!(written, packet);
    }
}

#[test]
fn the_password_of_a_capture_is_the_configured_one() {
    let packet = message(0);
    let advert = Advert::parse(&packet, &TO_GROUP).unwrap();
    let password = AuthPass::new(b"1111").unwrap();
    assert_eq!(advert.authentication(), Authentication::Password(password));
}

#[test]
fn version_three_is_accepted_with_either_checksum_and_version_two_only_without_pseudo_header() {
    // VR-041, VR-043, VR-044.
    let vips = [Ipv4Addr::new(10, 9, 0, 100)];
    let advert = Advert::new(Vrid::new(1).unwrap(), Advertised::Resigning, centis(4095), &vips).unwrap();
    let mut packet = Vec::new();
    for form in [ChecksumForm::PseudoHeader, ChecksumForm::MessageOnly] {
        advert.with_checksum(form).write_to(&TO_GROUP, &mut packet);
        assert_eq!(Advert::parse(&packet, &TO_GROUP).unwrap().checksum(), form);
    }
    // The last was message only: it holds for every destination. With a pseudo-header it does not.
    assert!(Advert::parse(&packet, &ELSEWHERE).is_ok());
    advert.write_to(&TO_GROUP, &mut packet);
    assert_eq!(Advert::parse(&packet, &ELSEWHERE), Err(Refusal::Checksum));

    let mut v2 = message(0);
    v2[CHECKSUM_FIELD].copy_from_slice(&[0, 0]);
    let field = Sum::of(&v2).plus(Sum::of_pseudo_header(&TO_GROUP, v2.len())).field();
    v2[CHECKSUM_FIELD].copy_from_slice(&field);
    assert_eq!(Advert::parse(&v2, &TO_GROUP), Err(Refusal::Checksum));
}

#[test]
fn old_unicast_puts_the_group_into_the_pseudo_header_and_is_told_apart() {
    // VR-045, VR-226: as keepalived up to 1.3.6 sends it.
    let vips = [Ipv4Addr::new(10, 9, 0, 100)];
    let advert = Advert::new(Vrid::new(1).unwrap(), Advertised::Resigning, centis(100), &vips).unwrap();
    let (mut old, mut to_group) = (Vec::new(), Vec::new());
    advert.with_checksum(ChecksumForm::OldUnicast).write_to(&TO_PEER, &mut old);
    advert.write_to(&TO_GROUP, &mut to_group);
    assert_eq!(old, to_group);
    assert_eq!(Advert::parse(&old, &TO_PEER).unwrap().checksum(), ChecksumForm::OldUnicast);
    // What is sent to a group has no such excuse.
    assert_eq!(Advert::parse(&old, &ELSEWHERE), Err(Refusal::Checksum));
}

#[test]
fn ipv6_adverts_have_long_addresses_and_always_the_pseudo_header() {
    // VR-027, VR-029, VR-042, VR-072. The checksum by hand: the words of header and addresses, of source and
    // destination in the IPv6 header, 112, and 40 octets.
    let vips: [Ipv6Addr; 2] = ["fe80::100".parse().unwrap(), "2001:db8::100".parse().unwrap()];
    let running = Advertised::Running(Priority::DEFAULT);
    let advert = Advert::new(Vrid::new(1).unwrap(), running, centis(100), &vips).unwrap();
    let words = [0x3101u32, 0x6402, 0x0064, 0xfe80, 0x0100, 0x2001, 0x0db8, 0x0100];
    let by_hand: u32 = words.into_iter().chain([0xfe80, 0x0001, 0xff02, 0x0012, 112, 40]).sum();
    let by_hand = !u16::try_from((by_hand >> 16) + (by_hand & 0xffff)).unwrap();
    for form in [ChecksumForm::PseudoHeader, ChecksumForm::MessageOnly, ChecksumForm::OldUnicast] {
        let mut packet = Vec::new();
        advert.with_checksum(form).write_to(&V6_TO_GROUP, &mut packet);
        assert_eq!(packet.len(), 8 + 2 * 16);
        assert_eq!(packet[CHECKSUM_FIELD], by_hand.to_be_bytes());
        let parsed = Advert::parse(&packet, &V6_TO_GROUP).unwrap();
        assert_eq!((parsed, parsed.checksum()), (advert, ChecksumForm::PseudoHeader));
        assert!(parsed.addresses().into_iter().eq(vips.map(IpAddr::from)));
        let alone = repaired(packet);
        assert_eq!(Advert::parse(&alone, &V6_TO_GROUP), Err(Refusal::Checksum));
    }
    let [local, global] = vips;
    let mut packet = Vec::new();
    let reversed = [global, local];
    let reversed = Advert::new(Vrid::new(1).unwrap(), running, centis(100), &reversed).unwrap();
    reversed.write_to(&V6_TO_GROUP, &mut packet);
    assert_eq!(Advert::parse(&packet, &V6_TO_GROUP), Err(Refusal::NotLinkLocal));
    for (text, is_local) in [("fe80::", true), ("febf:ffff::", true), ("fec0::", false), ("fe7f::", false)] {
        assert_eq!(is_link_local(&text.parse().unwrap()), is_local, "{text}");
    }
    assert!(Advert::new(Vrid::new(1).unwrap(), running, second(), &vips).is_err());
    assert_eq!(Advert::parse(&message(0), &V6_TO_GROUP), Err(Refusal::Version));
}

#[test]
fn every_single_bit_that_changes_is_noticed() {
    // VR-064.
    for capture in [0, 3] {
        let packet = message(capture);
        for bit in 0..packet.len() * 8 {
            let mut damaged = packet.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Advert::parse(&damaged, &TO_GROUP).is_err(), "bit {bit} of capture {capture}");
        }
    }
}

#[test]
fn each_reason_to_refuse_a_packet_is_told_apart() {
    let (v2, v3) = (message(0), message(3));
    let refused = |packet: Vec<u8>| Advert::parse(&packet, &TO_GROUP).unwrap_err();
    for version in [0x01, 0x11, 0x41, 0xf1] {
        assert_eq!(refused(with_octet(v3.clone(), 0, version)), Refusal::Version); // VR-061
    }
    for version_type in [0x30, 0x32, 0x3f, 0x20] {
        assert_eq!(refused(with_octet(v3.clone(), 0, version_type)), Refusal::Type); // VR-062
    }
    assert_eq!(refused(with_octet(v3.clone(), 1, 0)), Refusal::UnknownVrid); // VR-021
    assert_eq!(refused(with_octet(v3.clone(), 3, 2)), Refusal::Length); // VR-063
    assert_eq!(refused(with_octet(v3.clone(), 3, 0)), Refusal::Length);
    assert_eq!(refused(with_octet(v3.clone(), 5, 0)), Refusal::IntervalZero); // VR-070
    assert_eq!(refused(repaired(with_octet(v3[..8].to_vec(), 3, 0))), Refusal::CountZero); // VR-071
    assert_eq!(refused(with_octet(v2.clone(), 5, 0)), Refusal::IntervalZero);
    for auth_type in 2..=255 {
        assert_eq!(refused(with_octet(v2.clone(), 4, auth_type)), Refusal::AuthType); // VR-203
    }
    // Each version's length is its own: version 2 always ends with its 8 octets (VR-026).
    assert_eq!(refused(with_octet(v2.clone(), 0, 0x31)), Refusal::Length);
    assert_eq!(refused(with_octet(v3, 0, 0x21)), Refusal::Length);
}

#[test]
fn a_packet_cut_or_extended_anywhere_is_refused_for_its_length() {
    // VR-063.
    for capture in [0, 2, 3] {
        let packet = message(capture);
        for length in 0..packet.len() {
            assert_eq!(Advert::parse(&packet[..length], &TO_GROUP), Err(Refusal::Length));
        }
        for more in 1..12 {
            let mut longer = packet.clone();
            longer.resize(packet.len() + more, 0);
            assert_eq!(Advert::parse(&longer, &TO_GROUP), Err(Refusal::Length));
        }
    }
}

#[test]
fn reserved_bits_of_version_three_and_data_of_type_zero_are_ignored() {
    // VR-025, VR-200.
    let packet = with_octet(message(3), 4, 0xf0);
    assert_eq!(Advert::parse(&packet, &TO_GROUP).unwrap().interval(), centis(100));
    let mut v2 = message(2);
    let last = v2.len() - 1;
    v2[last] = 7;
    let v2 = repaired(v2);
    assert_eq!(Advert::parse(&v2, &TO_GROUP).unwrap().authentication(), Authentication::None);
}

#[test]
fn lists_that_do_not_fit_an_advert_are_refused_before_anything_is_sent() {
    // VR-023.
    let (vrid, running) = (Vrid::new(1).unwrap(), Advertised::Running(Priority::DEFAULT));
    let vips = vec![Ipv4Addr::new(10, 0, 0, 1); 256];
    assert!(Advert::new(vrid, running, second(), &vips).is_err());
    assert!(Advert::new(vrid, running, centis(1), &vips).is_err());
    assert!(Advert::new(vrid, running, centis(1), &vips[..0]).is_err());
    assert!(Advert::new(vrid, running, second(), &vips[..0]).is_ok());
    assert!(Advert::new(vrid, running, centis(1), &vips[..255]).is_ok());
}

#[test]
fn as_many_addresses_fit_a_packet_as_keepalived_finds() {
    // VR-023. From keepalived 2.2.7's "max … addresses" for these MTUs.
    let key = Authentication::Ah(AuthPass::truncated(b"1234"));
    for (mtu, version, family, authentication, most) in [
        (1500, Version::V3, Family::Ipv6, Authentication::None, 89),
        (1300, Version::V3, Family::Ipv6, Authentication::None, 77),
        (1280, Version::V3, Family::Ipv6, Authentication::None, 76),
        (600, Version::V3, Family::Ipv6, Authentication::None, 33),
        (600, Version::V3, Family::Ipv4, Authentication::None, 139),
        (600, Version::V2, Family::Ipv4, Authentication::None, 137),
        (600, Version::V2, Family::Ipv4, key, 131),
        (601, Version::V2, Family::Ipv4, key, 131),
        (602, Version::V2, Family::Ipv4, key, 132),
        (9000, Version::V3, Family::Ipv6, Authentication::None, 255),
        (65_536, Version::V3, Family::Ipv4, Authentication::None, 255),
        (0, Version::V3, Family::Ipv4, Authentication::None, 0),
    ] {
        assert_eq!(
            Advert::most_addresses(mtu, version, family, authentication),
            most,
            "{mtu} {version} {family:?}"
        );
    }
}

fn any_advert() -> impl Strategy<Value = (Vrid, Advertised, Interval, Option<[u8; 8]>, Vec<Ipv4Addr>, bool)> {
    let interval = prop_oneof![
        (1..=u8::MAX).prop_map(|number| Interval::seconds(number).unwrap()),
        (1..=4095u16).prop_map(|number| Interval::centis(number).unwrap()),
    ];
    (
        (1..=u8::MAX).prop_map(|number| Vrid::new(number).unwrap()),
        any::<u8>().prop_map(Advertised::from_octet),
        interval,
        any::<Option<[u8; 8]>>(),
        proptest::collection::vec(any::<[u8; 4]>().prop_map(Ipv4Addr::from), 1..=255),
        any::<bool>(),
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_back((vrid, advertised, interval, password, vips, alone) in any_advert(),
                                    source: [u8; 4], destination: [u8; 4]) {
        let endpoints = Endpoints::v4(source.into(), destination.into());
        let authentication = password.map_or(Authentication::None, |octets| {
            Authentication::Password(AuthPass::truncated(&octets))
        });
        let form = if alone { ChecksumForm::MessageOnly } else { ChecksumForm::PseudoHeader };
        let advert = Advert::new(vrid, advertised, interval, &vips).unwrap()
            .with_authentication(authentication)
            .with_checksum(form);
        let mut packet = vec![0xaa; 3];
        advert.write_to(&endpoints, &mut packet);
        let parsed = Advert::parse(&packet, &endpoints).unwrap();
        prop_assert_eq!(parsed.with_checksum(form), advert);
        prop_assert_eq!(peek_vrid(&packet), Some(vrid));
    }

    #[test]
    fn no_octets_make_the_parser_panic_and_accepted_ones_are_consistent(
        packet in proptest::collection::vec(any::<u8>(), 0..64),
        version in prop_oneof![Just(0x21u8), Just(0x31), any::<u8>()],
    ) {
        let mut packet = packet;
        if let Some(first) = packet.first_mut() {
            *first = version;
        }
        if packet.len() >= 8 {
            // Half of the point is behind the checksum.
            packet = repaired(packet);
        }
        if let Ok(advert) = Advert::parse(&packet, &TO_GROUP) {
            let trailer = match advert.interval() {
                Interval::Seconds(_) => 8,
                Interval::Centis(_) => 0,
            };
            prop_assert_eq!(packet.len(), 8 + 4 * advert.addresses().len() + trailer);
        }
        let _ = Ipv4Header::parse(&packet);
    }
}
