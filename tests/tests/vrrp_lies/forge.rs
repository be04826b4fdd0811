//! Adverts made by hand, apart from the crates under test; every part of them can be wrong.

use std::net::Ipv4Addr;

use lvs_tests::Mac;

/// A VRRP message of IPv4 (RFC 3768 §5.1, RFC 9568 §5.1).
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) version: u8,
    pub(crate) kind: u8,
    pub(crate) vrid: u8,
    pub(crate) priority: u8,
    /// Instead of the number of addresses.
    pub(crate) count: Option<u8>,
    /// Octets 4 and 5: authentication type and seconds in version 2, centiseconds in version 3.
    pub(crate) timing: [u8; 2],
    pub(crate) addresses: Vec<Ipv4Addr>,
    /// What follows the addresses: the authentication data of version 2.
    pub(crate) trailer: Vec<u8>,
}

/// A frame with an IPv4 packet.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) source_mac: Mac,
    pub(crate) destination_mac: Mac,
    pub(crate) source: Ipv4Addr,
    pub(crate) destination: Ipv4Addr,
    pub(crate) ttl: u8,
    pub(crate) protocol: u8,
    /// Flags and offset of a fragment.
    pub(crate) fragment: u16,
    /// Added to the right total length.
    pub(crate) length_error: i16,
    /// Whether the header's checksum is right.
    pub(crate) intact: bool,
}

impl Message {
    /// The octets, with the right checksum: over the message alone in version 2, with the pseudo-header in others.
    pub(crate) fn octets(&self, packet: &Packet) -> Vec<u8> {
        let count = self.count.unwrap_or_else(|| u8::try_from(self.addresses.len()).expect("a few"));
        let [fifth, sixth] = self.timing;
        let mut octets =
            vec![self.version << 4 | self.kind, self.vrid, self.priority, count, fifth, sixth, 0, 0];
        octets.extend(self.addresses.iter().flat_map(|address| address.octets()));
        octets.extend(&self.trailer);
        let mut summed = octets.clone();
        if self.version != 2 {
            if summed.len() % 2 == 1 {
                summed.push(0);
            }
            summed.extend(packet.source.octets());
            summed.extend(packet.destination.octets());
            let length = u16::try_from(octets.len()).expect("a short one");
            summed.extend([0, 112]);
            summed.extend(length.to_be_bytes());
        }
        octets[6..8].copy_from_slice(&checksum(&summed).to_be_bytes());
        octets
    }
}

impl Packet {
    pub(crate) fn frame(&self, payload: &[u8]) -> Vec<u8> {
        let length = i16::try_from(20 + payload.len()).expect("a short one") + self.length_error;
        let mut header = vec![0x45, 0xc0];
        header.extend(length.to_be_bytes());
        header.extend([0, 0]);
        header.extend(self.fragment.to_be_bytes());
        header.extend([self.ttl, self.protocol, 0, 0]);
        header.extend(self.source.octets());
        header.extend(self.destination.octets());
        let sum = checksum(&header) ^ u16::from(!self.intact);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        let mut frame = [self.destination_mac.0, self.source_mac.0].concat();
        frame.extend([0x08, 0x00]);
        frame.extend(header);
        frame.extend(payload);
        frame
    }
}

/// RFC 1071.
fn checksum(octets: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in octets.chunks(2) {
        let low = pair.get(1).copied().unwrap_or_default();
        sum += u32::from(u16::from_be_bytes([pair[0], low]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("it is folded")
}
