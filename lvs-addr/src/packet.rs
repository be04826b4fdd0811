//! Announcements on the wire: gratuitous ARP (RFC 826, RFC 5227 §3) and unsolicited neighbour advertisements
//! (RFC 4861 §4.4), each a whole Ethernet frame.

use std::net::{Ipv4Addr, Ipv6Addr};

use lvs_core::MacAddress;

/// Length of a gratuitous ARP frame, bytes (the hardware pads it to 60).
pub(crate) const ARP_FRAME: usize = 42;
/// Length of an unsolicited neighbour advertisement frame, bytes.
pub(crate) const NA_FRAME: usize = 86;

/// "This address is at this MAC", as a broadcast request in which sender and target are the address
/// (RFC 9568 §6.4.1 with errata 7947 and 7949).
///
/// ```text
/// +-----------------------------------------------+
/// |        destination ff:ff:ff:ff:ff:ff          |
/// +-----------------------------------------------+
/// |                  source MAC                   |
/// +---------------+---------------+---------------+
/// | type 0x0806   | hardware 1    | protocol 0x800|
/// +-------+-------+---------------+---------------+
/// | len 6 | len 4 | operation 1   |
/// +-------+-------+---------------+---------------+
/// |                  sender MAC                   |
/// +-------------------------------+---------------+
/// |        sender address         |
/// +-------------------------------+---------------+
/// |            target MAC (unknown: 0)            |
/// +-------------------------------+---------------+
/// |  target address = sender's    |
/// +-------------------------------+
/// ```
pub(crate) fn gratuitous_arp(mac: MacAddress, address: Ipv4Addr) -> [u8; ARP_FRAME] {
    let mut frame = Writer::new([0; ARP_FRAME]);
    frame.put(&MacAddress::BROADCAST.octets());
    frame.put(&mac.octets());
    frame.put(&ETH_P_ARP.to_be_bytes());
    frame.put(&[0, 1, 0x08, 0x00, 6, 4, 0, 1]);
    frame.put(&mac.octets());
    frame.put(&address.octets());
    frame.put(&[0; 6]);
    frame.put(&address.octets());
    frame.bytes
}

/// "This address is at this MAC", to all nodes of the link, from the address itself, with the override flag
/// (RFC 9568 §6.4.1; RFC 4861 §4.4, §7.2.6). `router` is the R flag: this host forwards IPv6.
///
/// ```text
/// +------------------------------------------------------------------+
/// | Ethernet: destination 33:33:00:00:00:01, source MAC, type 0x86dd |  14
/// +------------------------------------------------------------------+
/// | IPv6: payload 32, next header 58, hop limit 255,                 |  40
/// |       source = the address, destination ff02::1                  |
/// +----------+----------+--------------------------------------------+
/// | type 136 | code 0   | checksum                                   |   4
/// +-+-+-+----+----------+--------------------------------------------+
/// |R|S|O|                    reserved                                |   4
/// +-+-+-+------------------------------------------------------------+
/// | target = the address                                             |  16
/// +----------+----------+--------------------------------------------+
/// | option 2 | length 1 | MAC                                        |   8
/// +----------+----------+--------------------------------------------+
/// ```
pub(crate) fn unsolicited_advertisement(mac: MacAddress, address: Ipv6Addr, router: bool) -> [u8; NA_FRAME] {
    const ICMP_LENGTH: u8 = 32;
    let flags: u8 = if router { NA_ROUTER | NA_OVERRIDE } else { NA_OVERRIDE };
    let mut message = Writer::new([0; ICMP_LENGTH as usize]);
    message.put(&[ND_NEIGHBOR_ADVERT, 0, 0, 0]);
    message.put(&[flags, 0, 0, 0]);
    message.put(&address.octets());
    message.put(&[ND_OPT_TARGET_LINKADDR, 1]);
    message.put(&mac.octets());
    let mut message = message.bytes;
    let sum = checksum(&[
        &address.octets(),
        &ALL_NODES.octets(),
        &[0, 0, 0, ICMP_LENGTH],
        &[0, 0, 0, IPPROTO_ICMPV6],
        &message,
    ]);
    let [_, _, high, low, ..] = &mut message;
    [*high, *low] = sum.to_be_bytes();

    let mut frame = Writer::new([0; NA_FRAME]);
    frame.put(&ALL_NODES_MAC.octets());
    frame.put(&mac.octets());
    frame.put(&ETH_P_IPV6.to_be_bytes());
    frame.put(&[0x60, 0, 0, 0, 0, ICMP_LENGTH, IPPROTO_ICMPV6, 255]);
    frame.put(&address.octets());
    frame.put(&ALL_NODES.octets());
    frame.put(&message);
    frame.bytes
}

/// The Internet checksum (RFC 1071) over parts of even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks_exact(2));
    let mut sum: u32 =
        words.map(|word| word.iter().fold(0, |value, &byte| value << 8 | u32::from(byte))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

/// Fills an array front to back; what does not fit is left out.
struct Writer<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

impl<const N: usize> Writer<N> {
    fn new(bytes: [u8; N]) -> Self {
        Self { bytes, at: 0 }
    }

    fn put(&mut self, part: &[u8]) {
        for (place, byte) in self.bytes.iter_mut().skip(self.at).zip(part) {
            *place = *byte;
        }
        self.at += part.len();
    }
}

pub(crate) const ETH_P_ARP: u16 = 0x0806;
pub(crate) const ETH_P_IPV6: u16 = 0x86dd;
const IPPROTO_ICMPV6: u8 = 58;
const ND_NEIGHBOR_ADVERT: u8 = 136;
const ND_OPT_TARGET_LINKADDR: u8 = 2;
const NA_ROUTER: u8 = 0x80;
const NA_OVERRIDE: u8 = 0x20;
/// The Ethernet address of [`ALL_NODES`] (RFC 2464 §7).
pub(crate) const ALL_NODES_MAC: MacAddress = MacAddress::new([0x33, 0x33, 0, 0, 0, 1]);
/// All nodes of a link.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddress = MacAddress::new([2, 0, 0, 0, 0, 1]);

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<_> = hex.chars().filter(|c| !c.is_whitespace()).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
            .collect()
    }

    /// What keepalived 2.2.7 sends for 192.0.2.100 (`tcpdump -xx arp`). Only the target MAC differs, which the
    /// receiver ignores: keepalived writes the broadcast address, RFC 5227 §2.1.1 and §3 want zeros.
    #[test]
    fn gratuitous_arp_is_the_captured_frame_but_for_the_ignored_field() {
        // VR-156.
        let captured = bytes(
            "ffff ffff ffff 0200 0000 0001 0806 0001 0800 0604 0001 0200 0000 0001 c000 0264
             ffff ffff ffff c000 0264",
        );
        let frame = gratuitous_arp(MAC, Ipv4Addr::new(192, 0, 2, 100));
        assert_eq!(frame[..32], captured[..32]);
        assert_eq!(frame[32..38], [0; 6]);
        assert_eq!(frame[38..], captured[38..]);
    }

    /// What keepalived 2.2.7 sends for 2001:db8::100 on a host that does not forward (`tcpdump -xx icmp6`).
    #[test]
    fn unsolicited_advertisement_is_the_captured_frame() {
        // VR-157.
        let captured = bytes(
            "3333 0000 0001 0200 0000 0001 86dd 6000 0000 0020 3aff 2001 0db8 0000 0000 0000
             0000 0000 0100 ff02 0000 0000 0000 0000 0000 0000 0001 8800 f72c 2000 0000 2001
             0db8 0000 0000 0000 0000 0000 0100 0201 0200 0000 0001",
        );
        let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x100);
        assert_eq!(unsolicited_advertisement(MAC, address, false)[..], captured);
    }

    proptest::proptest! {
        #[test]
        fn the_checksum_verifies_and_the_router_flag_changes_nothing_else(mac: [u8; 6], address: u128, router: bool) {
            let frame = unsolicited_advertisement(MacAddress::new(mac), address.into(), router);
            let (addresses, message) = (&frame[22..54], &frame[54..]);
            // RFC 1071: with the checksum in place the sum of everything is all ones.
            assert_eq!(checksum(&[addresses, &[0, 0, 0, 32, 0, 0, 0, 58], message]), 0);
            assert_eq!(frame[58], if router { 0xa0 } else { 0x20 });
            assert_eq!((&frame[80..], &frame[62..78]), (&mac[..], &address.to_be_bytes()[..]));
        }
    }
}
