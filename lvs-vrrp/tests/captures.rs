//! Adverts that keepalived, FRR and scapy made: read as what they say, and written again octet for octet
//! (VR-010, VR-020 to VR-028, VR-030, VR-040 to VR-045, VR-063, VR-076, VR-200 to VR-202).

#[cfg(feature = "ah")]
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

#[cfg(feature = "ah")]
use lvs_core::Family;
use lvs_vrrp::{Advert, AuthPass, Authentication, ChecksumForm, Datagram, Endpoints};
#[cfg(feature = "ah")]
use lvs_vrrp::{AhSender, Delivery, Demux, Interval, Ipv4Header, Listener, Unicast, Vrid};

/// What was asked for, and the datagrams that came.
struct Capture {
    heading: &'static str,
    datagrams: Vec<Vec<u8>>,
}

fn captures(text: &'static str) -> Vec<Capture> {
    let mut captures: Vec<Capture> = Vec::new();
    for line in text.lines() {
        let Some((mark, rest)) = line.split_once(' ') else { continue };
        match mark {
            "#" => captures.push(Capture { heading: rest, datagrams: Vec::new() }),
            ">" => captures.last_mut().expect("a heading comes first").datagrams.push(octets(rest)),
            _ => {}
        }
    }
    captures
}

fn octets(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("hexadecimal digits"));
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal digits")).collect()
}

/// A raw IPv6 socket delivers these parts by themselves.
fn split(octets: &[u8]) -> Datagram<'_> {
    if octets[0] >> 4 == 4 {
        return Datagram::from_ipv4(octets).expect("an IPv4 datagram of protocol 112");
    }
    let address = |at: usize| {
        let octets: [u8; 16] = octets[at..at + 16].try_into().expect("16 octets");
        Ipv6Addr::from(octets)
    };
    assert_eq!(octets[6], 112);
    Datagram::new(Endpoints::v6(address(8), address(24)), octets[7], &octets[40..])
}

/// What an advert says, in words.
fn said(advert: &Advert<'_>, datagram: &Datagram<'_>) -> String {
    let addresses: Vec<_> = advert.addresses().into_iter().map(|address| address.to_string()).collect();
    let addresses = match addresses.as_slice() {
        [] => "nothing".to_owned(),
        [first, .., last] if addresses.len() > 3 => format!("{first} .. {last} ({})", addresses.len()),
        _ => addresses.join(" "),
    };
    let authentication = match advert.authentication() {
        Authentication::None => String::new(),
        given => {
            let known = |text: &&str| {
                let password = AuthPass::new(text.as_bytes()).expect("1 to 8 octets");
                given == Authentication::Password(password)
            };
            format!(" password {}", ["1111", "1111ABCD"].iter().copied().find(known).unwrap_or("?"))
        }
    };
    let checksum = match advert.checksum() {
        ChecksumForm::MessageOnly => "message",
        ChecksumForm::PseudoHeader => "pseudo-header",
        ChecksumForm::OldUnicast => "pseudo-header of the group",
    };
    format!(
        "{}, TTL {}: v{} vrid {} priority {} every {:?}{authentication} sum of {checksum}: {addresses}",
        datagram.endpoints,
        datagram.ttl,
        advert.interval().version(),
        advert.vrid(),
        advert.advertised(),
        advert.interval().duration(),
    )
}

#[track_caller]
fn check(text: &'static str, expected: &[&str]) {
    let mut seen = Vec::new();
    for capture in captures(text) {
        for datagram in &capture.datagrams {
            let datagram = split(datagram);
            let advert = Advert::parse(datagram.payload, &datagram.endpoints).expect(capture.heading);
            let mut again = Vec::new();
            advert.write_to(&datagram.endpoints, &mut again);
            assert_eq!(again, datagram.payload, "{}", capture.heading);
            // Each octet of the message counts for the checksum: none of them can change alone.
            for place in 0..datagram.payload.len() {
                let mut damaged = datagram.payload.to_vec();
                damaged[place] ^= 0x10;
                let result = Advert::parse(&damaged, &datagram.endpoints);
                assert!(result.is_err(), "{}: octet {place}: {result:?}", capture.heading);
            }
            seen.push(said(&advert, &datagram));
        }
    }
    assert_eq!(seen, expected, "{seen:#?}");
}

// VR-020, VR-022, VR-026, VR-030, VR-040.
#[test]
fn keepalived_adverts_are_read_and_written_again_octet_for_octet() {
    check(
        include_str!("../captures/keepalived.txt"),
        &[
            "10.9.0.2 to 224.0.0.18, TTL 255: v2 vrid 51 priority 150 every 1s sum of message: 10.9.0.100",
            "10.9.0.2 to 224.0.0.18, TTL 255: v2 vrid 51 priority 0 every 1s sum of message: 10.9.0.100",
            "10.9.0.2 to 224.0.0.18, TTL 255: v2 vrid 51 priority 150 every 1s password 1111 sum of message: 10.9.0.100",
            "10.9.0.2 to 224.0.0.18, TTL 255: v2 vrid 51 priority 0 every 1s password 1111 sum of message: 10.9.0.100",
            "10.9.0.2 to 224.0.0.18, TTL 255: v2 vrid 51 priority 150 every 1s sum of message: 10.9.0.100 .. 10.9.0.119 (20)",
            "10.9.0.2 to 224.0.0.18, TTL 255: v2 vrid 51 priority 0 every 1s sum of message: 10.9.0.100 .. 10.9.0.119 (20)",
            "10.9.0.2 to 10.9.0.1, TTL 255: v2 vrid 51 priority 150 every 1s sum of message: 10.9.0.100",
            "10.9.0.2 to 10.9.0.1, TTL 255: v2 vrid 51 priority 0 every 1s sum of message: 10.9.0.100",
            "10.9.0.2 to 10.9.0.1, TTL 255: v2 vrid 51 priority 150 every 1s password 1111 sum of message: 10.9.0.100",
            "10.9.0.2 to 10.9.0.1, TTL 255: v2 vrid 51 priority 0 every 1s password 1111 sum of message: 10.9.0.100",
            "10.9.0.2 to 224.0.0.18, TTL 255: v3 vrid 51 priority 150 every 250ms sum of pseudo-header: 10.9.0.100",
            "10.9.0.2 to 224.0.0.18, TTL 255: v3 vrid 51 priority 0 every 250ms sum of pseudo-header: 10.9.0.100",
            "10.9.0.2 to 224.0.0.18, TTL 255: v3 vrid 51 priority 255 every 40.95s sum of pseudo-header: 10.9.0.100 .. 10.9.0.119 (20)",
            "10.9.0.2 to 224.0.0.18, TTL 255: v3 vrid 51 priority 0 every 40.95s sum of pseudo-header: 10.9.0.100 .. 10.9.0.119 (20)",
            "10.9.0.2 to 10.9.0.1, TTL 255: v3 vrid 51 priority 150 every 1s sum of pseudo-header: 10.9.0.100",
            "10.9.0.2 to 10.9.0.1, TTL 255: v3 vrid 51 priority 0 every 1s sum of pseudo-header: 10.9.0.100",
            "fe80::ff:fe00:2 to ff02::12, TTL 255: v3 vrid 51 priority 150 every 1s sum of pseudo-header: fe80::9:100 fd00:9::100",
            "fe80::ff:fe00:2 to ff02::12, TTL 255: v3 vrid 51 priority 0 every 1s sum of pseudo-header: fe80::9:100 fd00:9::100",
            "fe80::ff:fe00:2 to fd00:9::1, TTL 64: v3 vrid 51 priority 150 every 1s sum of pseudo-header: fe80::9:100 fd00:9::100",
            "fe80::ff:fe00:2 to fd00:9::1, TTL 64: v3 vrid 51 priority 0 every 1s sum of pseudo-header: fe80::9:100 fd00:9::100",
        ],
    );
}

#[test]
fn frr_adverts_are_read_and_written_again_octet_for_octet() {
    check(
        include_str!("../captures/frr.txt"),
        &[
            "10.9.0.2 to 224.0.0.18, TTL 255: v2 vrid 51 priority 150 every 1s sum of message: 10.9.0.100",
            "10.9.0.2 to 224.0.0.18, TTL 255: v2 vrid 51 priority 0 every 1s sum of message: 10.9.0.100",
            "10.9.0.2 to 224.0.0.18, TTL 255: v3 vrid 51 priority 150 every 1s sum of pseudo-header: 10.9.0.100",
            "10.9.0.2 to 224.0.0.18, TTL 255: v3 vrid 51 priority 0 every 1s sum of pseudo-header: 10.9.0.100",
            "10.9.0.2 to 224.0.0.18, TTL 255: v3 vrid 51 priority 254 every 200ms sum of pseudo-header: 10.9.0.100 10.9.0.101 10.9.0.102",
            "10.9.0.2 to 224.0.0.18, TTL 255: v3 vrid 51 priority 0 every 200ms sum of pseudo-header: 10.9.0.100 10.9.0.101 10.9.0.102",
            "fe80::5e00:0:2 to ff02::12, TTL 255: v3 vrid 51 priority 100 every 3s sum of pseudo-header: fe80::9:100 fd00:9::100",
            "fe80::5e00:0:2 to ff02::12, TTL 255: v3 vrid 51 priority 0 every 3s sum of pseudo-header: fe80::9:100 fd00:9::100",
        ],
    );
}

#[test]
fn scapy_adverts_are_read_and_written_again_octet_for_octet() {
    check(
        include_str!("../captures/scapy.txt"),
        &[
            "10.9.0.2 to 224.0.0.18, TTL 255: v2 vrid 51 priority 150 every 1s sum of message: 10.9.0.100",
            "10.9.0.2 to 224.0.0.18, TTL 255: v2 vrid 255 priority 0 every 255s sum of message: nothing",
            "10.9.0.2 to 224.0.0.18, TTL 255: v2 vrid 1 priority 255 every 1s password 1111ABCD sum of message: 10.9.0.100 10.9.0.101",
            "10.9.0.2 to 224.0.0.18, TTL 255: v2 vrid 51 priority 150 every 1s sum of message: 10.9.0.100",
            "10.9.0.2 to 224.0.0.18, TTL 255: v2 vrid 51 priority 1 every 1s sum of message: 10.9.1.0 .. 10.9.1.254 (255)",
            "10.9.0.2 to 224.0.0.18, TTL 255: v3 vrid 51 priority 150 every 1s sum of pseudo-header: 10.9.0.100",
            "10.9.0.2 to 224.0.0.18, TTL 255: v3 vrid 51 priority 254 every 10ms sum of pseudo-header: 10.9.1.0 .. 10.9.1.254 (255)",
            "10.9.0.2 to 224.0.0.18, TTL 255: v3 vrid 51 priority 150 every 1s sum of message: 10.9.0.100",
            "10.9.0.2 to 10.9.0.1, TTL 64: v3 vrid 51 priority 150 every 40.95s sum of pseudo-header: 10.9.0.100",
            "fe80::ff:fe00:2 to ff02::12, TTL 255: v3 vrid 51 priority 150 every 1s sum of pseudo-header: fe80::9:100",
            "fe80::ff:fe00:2 to ff02::12, TTL 255: v3 vrid 51 priority 0 every 40.95s sum of pseudo-header: fe80::9:100 .. fd00:9::fe (255)",
        ],
    );
}

// VR-202: sequence, identification and check value of keepalived's headers are ours octet for octet.
#[cfg(feature = "ah")]
#[test]
fn keepalived_authentication_headers_are_believed_and_written_again_octet_for_octet() {
    let key = AuthPass::new(b"1111").expect("4 octets");
    let interval = Interval::seconds(1).expect("in range");
    let ours = Ipv4Addr::new(10, 9, 0, 1);
    let deliveries = [
        Delivery::to_group(Family::Ipv4),
        Delivery::Unicast(Unicast::to([Ipv4Addr::new(10, 9, 0, 2).into()])),
    ];
    let captures = captures(include_str!("../captures/keepalived-ah.txt"));
    assert_eq!(captures.len(), deliveries.len());
    for (capture, delivery) in captures.iter().zip(deliveries) {
        let demux = |key: AuthPass| {
            let listener = Listener::new(Vrid::new(51).expect("in range"), interval, delivery.clone())
                .with_authentication(Authentication::Ah(key))
                .with_own_address(ours.into());
            let mut demux = Demux::new();
            demux.insert(0, listener);
            demux
        };
        let mut ours = demux(key);
        let mut other = demux(AuthPass::new(b"1112").expect("4 octets"));
        let mut sender = AhSender::new(key);
        for (octets, (priority, sequence)) in capture.datagrams.iter().zip([("150", 1), ("0", 2)]) {
            let datagram = split(octets);
            let accepted = ours.accept(&datagram).expect(capture.heading);
            assert_eq!(accepted.advert.advertised().to_string(), priority);
            assert_eq!(accepted.sequence, Some(sequence));
            let (mut message, mut again) = (Vec::new(), Vec::new());
            accepted.advert.write_to(&datagram.endpoints, &mut message);
            let Endpoints::V4 { source, destination } = datagram.endpoints else {
                unreachable!("it is IPv4")
            };
            sender.write_to(&Ipv4Header { source, destination, ttl: 255 }, &message, &mut again);
            // The kernel fills in the checksum of the IP header.
            again[10..12].copy_from_slice(&octets[10..12]);
            assert_eq!(&again, octets, "{}", capture.heading);

            // Nobody says it again, and nobody without the key.
            assert!(ours.accept(&datagram).is_err(), "{}: a replay", capture.heading);
            assert!(other.accept(&datagram).is_err(), "{}: another key", capture.heading);
        }
    }
}
