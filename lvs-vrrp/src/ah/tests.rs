use proptest::prelude::*;

use super::*;
use crate::endpoints::Datagram;

/// Datagrams of Debian's keepalived 2.2.7, version 2, `auth_type AH`, `auth_pass 1234`, to the group; captured
/// with `tcpdump -x 'ip proto 51'` from its first on.
const TO_GROUP: [&str; 2] = [
    "45c000440001 0000ff33d0a90a090001e0000012 700400000a090001000000012868d305be6bde4275fca647
     213396020201 31ee0a0900640a0900650000000000000000",
    "45c000440002 0000ff33d0a80a090001e0000012 700400000a09000100000002bb02974ce73ffeea006ae9c7
     213396020201 31ee0a0900640a0900650000000000000000",
];

/// The same with `auth_pass longerthan8` and a `unicast_peer`.
const TO_PEER: [&str; 2] = [
    "45c000400001 0000ff33a6b50a0900010a090002 700400000a09000100000001777c788b084c205fa0424d30
     2134960102013c5a0a0900660000000000000000",
    "45c000400002 0000ff33a6b40a0900010a090002 700400000a09000100000002d7e8c0a1dd1bac7765be507d
     2134960102013c5a0a0900660000000000000000",
];

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(char::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap()).collect()
}

fn key(text: &[u8]) -> AuthPass {
    AuthPass::truncated(text)
}

fn is_authentic(datagram: &[u8], key: &AuthPass) -> bool {
    Datagram::from_ipv4(datagram).unwrap().ah.unwrap().is_authentic(key)
}

#[test]
fn keepalived_s_headers_are_believed_and_made_again_octet_by_octet() {
    // VR-202. It cuts the key to 8 octets, and numbers headers and datagrams from 1.
    for (captures, key) in [(TO_GROUP, key(b"1234")), (TO_PEER, key(b"longerthan8"))] {
        let mut sender = AhSender::new(key);
        for hex in captures {
            let theirs = octets(hex);
            assert!(is_authentic(&theirs, &key));
            let split = Ipv4Header::split(&theirs).unwrap();
            let message = Datagram::from_ipv4(&theirs).unwrap().payload;
            let mut ours = Vec::new();
            sender.write_to(&split.header, message, &mut ours);
            // The kernel fills in the header checksum.
            ours[10..12].copy_from_slice(&theirs[10..12]);
            assert_eq!(ours, theirs);
        }
    }
}

#[test]
fn every_capture_with_a_header_is_believed_and_made_again() {
    // VR-202.
    let key = key(b"1111");
    let text = include_str!("../../captures/keepalived-ah.txt");
    let mut sender = AhSender::new(key);
    let mut count = 0;
    for line in text.lines() {
        if line.starts_with('#') {
            // Another run of keepalived, which numbers from 1 again.
            sender = AhSender::new(key);
        }
        let Some(theirs) = line.strip_prefix("> ").map(octets) else { continue };
        let datagram = Datagram::from_ipv4(&theirs).unwrap();
        assert!(datagram.ah.unwrap().is_authentic(&key), "{line}");
        let mut ours = Vec::new();
        sender.write_to(&Ipv4Header::split(&theirs).unwrap().header, datagram.payload, &mut ours);
        ours[10..12].copy_from_slice(&theirs[10..12]);
        assert_eq!(ours, theirs, "{line}");
        count += 1;
    }
    assert!(count >= 4, "{count} captures");
}

#[test]
fn another_key_and_every_changed_bit_that_counts_are_noticed() {
    let ours = key(b"1234");
    let whole = octets(TO_GROUP[0]);
    assert!(!is_authentic(&whole, &key(b"1235")));
    assert!(!is_authentic(&whole, &key(b"12345")));
    for bit in 0..whole.len() * 8 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let believed = Datagram::from_ipv4(&damaged)
            .is_ok_and(|datagram| datagram.ah.is_some_and(|ah| ah.is_authentic(&ours)));
        // Type of service, don't fragment and the reserved bit, header checksum: routers may change these.
        let may_change = matches!(bit / 8, 1 | 10 | 11) || matches!(bit, 54 | 55);
        assert_eq!(believed, may_change, "bit {bit}");
    }
}

#[test]
fn the_ttl_counts_towards_a_group_and_not_towards_a_peer() {
    for (hex, key, counts) in [(TO_GROUP[0], key(b"1234"), true), (TO_PEER[0], key(b"longerth"), false)] {
        let mut routed = octets(hex);
        routed[8] = 200;
        assert_eq!(is_authentic(&routed, &key), !counts);
    }
}

#[test]
fn what_is_no_header_of_ours_is_refused() {
    let whole = octets(TO_GROUP[0]);
    // Next header, length, index.
    for octet in [20, 21, 24, 25, 26, 27] {
        let mut other = whole.clone();
        other[octet] ^= 1;
        assert_eq!(Datagram::from_ipv4(&other), Err(Refusal::AhHeader), "octet {octet}");
    }
    for length in 20..44 {
        let mut short = whole[..length].to_vec();
        short[3] = u8::try_from(length).unwrap();
        assert_eq!(Datagram::from_ipv4(&short), Err(Refusal::AhHeader), "{length} octets");
    }
}

#[test]
fn numbers_go_on_above_the_highest_that_was_heard_and_identifications_are_never_zero() {
    // The kernel would replace an identification of 0.
    let mut sender = AhSender::new(key(b"1234"));
    sender.heard(4000);
    sender.heard(7);
    let header = Ipv4Header { source: [10, 9, 0, 1].into(), destination: [224, 0, 0, 18].into(), ttl: 255 };
    let mut datagram = Vec::new();
    for number in 1..=70_000_u32 {
        sender.write_to(&header, &[], &mut datagram);
        assert_eq!(datagram[28..32], (4000 + number).to_be_bytes());
        assert_ne!(datagram[4..6], [0, 0]);
    }
    sender.heard(u32::MAX);
    sender.write_to(&header, &[], &mut datagram);
    assert_eq!(datagram[28..32], [0xff; 4]);
}

proptest! {
    #[test]
    fn senders_are_told_apart_and_forgotten_ones_cannot_be_replayed(
        heard in proptest::collection::vec((0..200u8, 1..50u32), 0..600),
    ) {
        let mut replay = Replay::default();
        let mut accepted: BTreeMap<u8, u32> = BTreeMap::new();
        for (last, sequence) in heard {
            let source = Ipv4Addr::new(10, 0, 0, last);
            if replay.is_new(source, sequence) {
                prop_assert!(accepted.get(&last).is_none_or(|highest| sequence > *highest));
                replay.note(source, sequence);
                accepted.insert(last, sequence);
            }
            prop_assert!(replay.highest.len() <= MOST_SENDERS);
        }
    }
}
