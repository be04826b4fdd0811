//! The bodies.

pub(crate) mod advert;
pub(crate) mod ah;
pub(crate) mod configuration;
pub(crate) mod connections;
pub(crate) mod demux;
pub(crate) mod ipv4_header;
pub(crate) mod ipvs_dump;
pub(crate) mod ipvs_message;
pub(crate) mod table;

use std::net::{Ipv4Addr, Ipv6Addr};

use lvs_vrrp::Endpoints;

/// The ways that an advert can travel.
const WAYS: [Endpoints; 4] = [
    Endpoints::v4(PEER, GROUP),
    Endpoints::v4(PEER, OWN),
    Endpoints::v6(PEER_V6, GROUP_V6),
    Endpoints::v6(PEER_V6, OWN_V6),
];

const OWN: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
const OWN_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const PEER_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

/// Which way the first octet of an input stands for, and whether the checksum is to be made right: with the wrong one
/// little else of a packet would ever be looked at.
fn way(octet: u8) -> (Endpoints, bool) {
    (WAYS[usize::from(octet & 3)], octet & 0x80 != 0)
}

/// Makes the checksum of a message right, in the form that it would be sent with; word by word, apart from the codec.
fn repair(packet: &mut [u8], endpoints: &Endpoints) {
    if packet.len() < 8 {
        return;
    }
    packet[6..8].fill(0);
    let mut covered = packet.to_vec();
    let is_v2 = packet[0] >> 4 == 2;
    if !is_v2 {
        // The pseudo-header comes last, as the sum does not depend on the order, only on whole words.
        covered.resize(packet.len().next_multiple_of(2), 0);
        match endpoints {
            Endpoints::V4 { source, destination } => {
                covered.extend(source.octets().into_iter().chain(destination.octets()));
            }
            Endpoints::V6 { source, destination } => {
                covered.extend(source.octets().into_iter().chain(destination.octets()));
            }
        }
        let length = u32::try_from(packet.len()).expect("a packet");
        covered.extend(length.to_be_bytes().into_iter().chain([0, 112]));
    }
    let mut sum = 0u32;
    for pair in covered.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let field = !u16::try_from(sum).expect("a folded sum");
    packet[6..8].copy_from_slice(&field.to_be_bytes());
}
