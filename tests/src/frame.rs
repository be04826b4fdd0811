//! Ethernet frames as a capture sees them; parsed apart from the crates under test, so that it can judge them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use crate::address::Mac;

/// A frame that passed an interface.
#[derive(Clone, Debug)]
pub struct Frame {
    /// When it was read.
    pub at: Instant,
    /// The host sent it (otherwise it arrived).
    pub outgoing: bool,
    /// From the Ethernet header on, without the checksum. A VLAN tag is not among them.
    pub bytes: Vec<u8>,
}

/// An ARP message for Ethernet and IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// 1 is a request, 2 a reply.
    pub operation: u16,
    /// Hardware address of the sender.
    pub sender_mac: Mac,
    /// Protocol address of the sender.
    pub sender: Ipv4Addr,
    /// Hardware address of the target.
    pub target_mac: Mac,
    /// Protocol address of the target; the sender's own in a gratuitous message.
    pub target: Ipv4Addr,
}

/// An IPv4 or IPv6 packet. IPv6 extension headers are part of the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ip<'a> {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// 1 ICMP, 6 TCP, 17 UDP, 112 VRRP, …
    pub protocol: u8,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// What follows the IP header.
    pub payload: &'a [u8],
}

impl Frame {
    /// Where it goes.
    pub fn destination_mac(&self) -> Option<Mac> {
        Some(Mac(*self.bytes.first_chunk()?))
    }

    /// Where it comes from.
    pub fn source_mac(&self) -> Option<Mac> {
        Some(Mac(*self.bytes.get(6..)?.first_chunk()?))
    }

    /// The type field: 0x0800 IPv4, 0x0806 ARP, 0x86dd IPv6.
    pub fn ethertype(&self) -> Option<u16> {
        Some(u16::from_be_bytes(*self.bytes.get(12..)?.first_chunk()?))
    }

    /// The ARP message, if it is one.
    pub fn arp(&self) -> Option<Arp> {
        let body = self.bytes.get(14..)?;
        // Ethernet, IPv4, lengths 6 and 4.
        if self.ethertype()? != 0x0806 || !body.starts_with(&[0, 1, 8, 0, 6, 4]) {
            return None;
        }
        Some(Arp {
            operation: u16::from_be_bytes(*body.get(6..)?.first_chunk()?),
            sender_mac: Mac(*body.get(8..)?.first_chunk()?),
            sender: Ipv4Addr::from(*body.get(14..)?.first_chunk::<4>()?),
            target_mac: Mac(*body.get(18..)?.first_chunk()?),
            target: Ipv4Addr::from(*body.get(24..)?.first_chunk::<4>()?),
        })
    }

    /// The IP packet, if it is one.
    pub fn ip(&self) -> Option<Ip<'_>> {
        let packet = Ip::parse(self.bytes.get(14..)?)?;
        let ethertype = if packet.source.is_ipv4() { 0x0800 } else { 0x86dd };
        (self.ethertype()? == ethertype).then_some(packet)
    }

    /// Source and destination port, if it is TCP, UDP or SCTP.
    pub fn ports(&self) -> Option<(u16, u16)> {
        self.ip()?.ports()
    }
}

impl<'a> Ip<'a> {
    /// The packet that these bytes begin with; what follows the end of an IPv4 packet is left out.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Ip<'a>> {
        match bytes.first()? >> 4 {
            4 => {
                let header = usize::from(bytes.first()? & 0x0f) * 4;
                let total = usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?));
                Some(Ip {
                    source: Ipv4Addr::from(*bytes.get(12..)?.first_chunk::<4>()?).into(),
                    destination: Ipv4Addr::from(*bytes.get(16..)?.first_chunk::<4>()?).into(),
                    protocol: *bytes.get(9)?,
                    ttl: *bytes.get(8)?,
                    payload: bytes.get(header..total.min(bytes.len()))?,
                })
            }
            6 => Some(Ip {
                source: Ipv6Addr::from(*bytes.get(8..)?.first_chunk::<16>()?).into(),
                destination: Ipv6Addr::from(*bytes.get(24..)?.first_chunk::<16>()?).into(),
                protocol: *bytes.get(6)?,
                ttl: *bytes.get(7)?,
                payload: bytes.get(40..)?,
            }),
            _ => None,
        }
    }

    /// Source and destination port, if it is TCP, UDP or SCTP.
    pub fn ports(&self) -> Option<(u16, u16)> {
        if ![6, 17, 132].contains(&self.protocol) {
            return None;
        }
        let source = u16::from_be_bytes(*self.payload.first_chunk()?);
        Some((source, u16::from_be_bytes(*self.payload.get(2..)?.first_chunk()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: &[u8]) -> Frame {
        Frame { at: Instant::now(), outgoing: false, bytes: bytes.to_vec() }
    }

    #[test]
    fn no_prefix_of_a_frame_panics_and_only_the_whole_is_arp() {
        let mut arp = vec![0xff; 6];
        arp.extend([2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 5, 0, 100]);
        arp.extend([0, 0, 0, 0, 0, 0, 10, 5, 0, 100]);
        for length in 0..arp.len() {
            assert_eq!(frame(&arp[..length]).arp(), None);
            assert!(frame(&arp[..length]).ip().is_none());
        }
        let parsed = frame(&arp).arp().expect("an ARP message");
        assert_eq!(
            (parsed.operation, parsed.sender, parsed.target),
            (1, [10, 5, 0, 100].into(), [10, 5, 0, 100].into())
        );
        assert_eq!(parsed.sender_mac.to_string(), "02:00:00:00:00:01");
    }

    #[test]
    fn ip_payload_ends_where_the_packet_does() {
        let mut bytes = vec![0; 12];
        bytes.extend([8, 0, 0x45, 0, 0, 24, 0, 0, 0, 0, 255, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        bytes.extend([0, 53, 1, 0]);
        bytes.extend([0; 18]); // padding of a short frame
        let frame = frame(&bytes);
        let ip = frame.ip().expect("an IP packet");
        assert_eq!((ip.ttl, ip.protocol, ip.payload), (255, 17, [0, 53, 1, 0].as_slice()));
        assert_eq!(frame.ports(), Some((53, 256)));
    }
}
