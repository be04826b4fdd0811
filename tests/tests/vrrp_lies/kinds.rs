//! The ways to lie: each is an advert that would win, or end a mastership, with one thing wrong.

use std::net::Ipv4Addr;

use lvs_tests::Mac;

use crate::forge::{Message, Packet};

/// What the instance under attack speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// Version 3, once a second, the addresses as in [`VIP`].
    V3,
    /// Version 2, once a second, with [`PASSWORD`].
    V2WithPassword,
}

/// A lie with its name.
pub(crate) struct Lie {
    pub(crate) name: &'static str,
    pub(crate) frame: Vec<u8>,
}

type Change = fn(&mut Packet, &mut Message);
type Damage = fn(&mut Vec<u8>);

/// The truth: an advert that the instance accepts.
pub(crate) fn truth(speaks: Speaks, priority: u8) -> Vec<u8> {
    make(speaks, priority, |_, _| {}, |_| {})
}

/// All lies about one priority.
pub(crate) fn lies(speaks: Speaks, priority: u8) -> Vec<Lie> {
    let own = match speaks {
        Speaks::V3 => V3.as_slice(),
        Speaks::V2WithPassword => &V2_WITH_PASSWORD,
    };
    let changed =
        CHANGES.iter().chain(own).map(|&(name, change)| (name, make(speaks, priority, change, |_| {})));
    let damaged = DAMAGES.iter().map(|&(name, damage)| (name, make(speaks, priority, |_, _| {}, damage)));
    changed.chain(damaged).map(|(name, frame)| Lie { name, frame }).collect()
}

fn make(speaks: Speaks, priority: u8, change: Change, damage: Damage) -> Vec<u8> {
    let mut packet = Packet {
        source_mac: Mac([2, 0, 0, 0, 0, 0x66]),
        destination_mac: GROUP_MAC,
        source: LIAR,
        destination: GROUP,
        ttl: 255,
        protocol: 112,
        fragment: 0,
        length_error: 0,
        intact: true,
    };
    let (version, timing, trailer) = match speaks {
        Speaks::V3 => (3, [0, 100], Vec::new()),
        Speaks::V2WithPassword => (2, [1, 1], PASSWORD.to_vec()),
    };
    let mut message = Message {
        version,
        kind: 1,
        vrid: VRID,
        priority,
        count: None,
        timing,
        addresses: vec![VIP],
        trailer,
    };
    change(&mut packet, &mut message);
    let mut octets = message.octets(&packet);
    damage(&mut octets);
    packet.frame(&octets)
}

/// What is wrong before the checksum is made, in both versions.
const CHANGES: [(&str, Change); 19] = [
    // VR-060: from beyond a router.
    ("TTL 254", |packet, _| packet.ttl = 254),
    ("TTL 1", |packet, _| packet.ttl = 1),
    ("TTL 0", |packet, _| packet.ttl = 0),
    // VR-061, VR-240.
    ("version 0", |_, message| message.version = 0),
    ("version 1", |_, message| message.version = 1),
    ("version 4", |_, message| message.version = 4),
    ("version 15", |_, message| message.version = 15),
    // VR-062.
    ("type 0", |_, message| message.kind = 0),
    ("type 2", |_, message| message.kind = 2),
    // VR-021, VR-065.
    ("VRID 0", |_, message| message.vrid = 0),
    ("VRID 52", |_, message| message.vrid = VRID + 1),
    // VR-063.
    ("a count above the list", |_, message| message.count = Some(2)),
    ("a count of 255", |_, message| message.count = Some(255)),
    // VR-075, VR-224.
    ("to our own address", |packet, _| {
        packet.destination = Ipv4Addr::new(10, 9, 0, 1);
        packet.destination_mac = Mac([0xff; 6]);
    }),
    ("to everybody", |packet, _| {
        packet.destination = Ipv4Addr::BROADCAST;
        packet.destination_mac = Mac([0xff; 6]);
    }),
    // VR-008.
    ("from our own address", |packet, _| packet.source = Ipv4Addr::new(10, 9, 0, 1)),
    // VR-076.
    ("the first fragment", |packet, _| packet.fragment = 0x2000),
    ("a later fragment", |packet, _| packet.fragment = 0x0001),
    ("a total length beyond the frame", |packet, _| packet.length_error = 8),
];

/// What is wrong with a message whose checksum was right (VR-064), in both versions.
const DAMAGES: [(&str, Damage); 9] = [
    ("no message", |octets| octets.clear()),
    ("7 octets", |octets| octets.truncate(7)),
    ("8 octets", |octets| octets.truncate(8)),
    ("half an address", |octets| octets.truncate(10)),
    ("an octet too many", |octets| octets.push(0)),
    ("four octets too many", |octets| octets.extend([0; 4])),
    ("no checksum", |octets| octets[6..8].copy_from_slice(&[0, 0])),
    ("another checksum", |octets| octets[7] ^= 1),
    ("another address", |octets| octets[11] ^= 1),
];

const V3: [(&str, Change); 5] = [
    // VR-070: keepalived and FRR take over at once.
    ("interval 0", |_, message| message.timing = [0, 0]),
    ("interval 0 with reserved bits", |_, message| message.timing = [0xf0, 0]),
    // VR-071.
    ("count 0", |_, message| message.addresses.clear()),
    ("version 2", |_, message| {
        message.version = 2;
        message.timing = [0, 1];
        message.trailer = vec![0; 8];
    }),
    ("authentication data", |_, message| message.trailer = vec![0; 8]),
];

const V2_WITH_PASSWORD: [(&str, Change); 9] = [
    // VR-067, VR-201, VR-203.
    ("another password", |_, message| message.trailer = b"secret-2".to_vec()),
    ("the start of the password", |_, message| message.trailer = b"secret\0\0".to_vec()),
    ("no authentication", |_, message| {
        message.timing[0] = 0;
        message.trailer = vec![0; 8];
    }),
    ("type 0 with the password", |_, message| message.timing[0] = 0),
    ("type 2 without a header", |_, message| message.timing[0] = 2),
    ("type 3", |_, message| message.timing[0] = 3),
    // VR-068.
    ("interval 2", |_, message| message.timing[1] = 2),
    ("interval 0", |_, message| message.timing[1] = 0),
    ("version 3", |_, message| {
        message.version = 3;
        message.timing = [0, 100];
        message.trailer.clear();
    }),
];

pub(crate) const VRID: u8 = 51;
pub(crate) const PASSWORD: [u8; 8] = *b"secret-1";
pub(crate) const VIP: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 100);
const LIAR: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
const GROUP_MAC: Mac = Mac([0x01, 0, 0x5e, 0, 0, 0x12]);
