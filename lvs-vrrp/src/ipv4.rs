//! The IPv4 header in front of an advert, as raw sockets deliver and take it.

use std::net::Ipv4Addr;

use crate::refusal::Refusal;

//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-------+-------+---------------+-------------------------------+
// |   4   |  IHL  | type of serv. |         total length          |
// +-------+-------+---------------+-----+-------------------------+
// |        identification         |flags|    fragment offset      |
// +---------------+---------------+-----+-------------------------+
// | time to live  |  protocol 112 |        header checksum        |
// +---------------+---------------+-------------------------------+
// |                        source address                         |
// +---------------------------------------------------------------+
// |                      destination address                      |
// +---------------------------------------------------------------+
// |                   options, up to IHL × 4 octets               |
// +---------------------------------------------------------------+

/// The fields of an IPv4 header that a receiver of adverts looks at.
///
/// ```
/// use lvs_vrrp::Ipv4Header;
///
/// let header = Ipv4Header { source: [10, 0, 0, 1].into(), destination: [224, 0, 0, 18].into(), ttl: 255 };
/// let mut datagram = Vec::new();
/// header.write_to(b"message", &mut datagram);
/// let (parsed, payload) = Ipv4Header::parse(&datagram)?;
/// assert_eq!((parsed, payload), (header, b"message".as_slice()));
/// # Ok::<(), lvs_vrrp::Refusal>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Header {
    /// Who sent it.
    pub source: Ipv4Addr,
    /// To whom or to which group.
    pub destination: Ipv4Addr,
    /// Time to live as it arrived, 0 to 255.
    pub ttl: u8,
}

impl Ipv4Header {
    /// Splits a datagram into header and payload, by its own header and total length: options are skipped,
    /// and padding behind the end does not count (VR-063, VR-076).
    ///
    /// # Errors
    /// [`Refusal::IpHeader`] for anything that is not a whole IPv4 datagram of protocol 112,
    /// [`Refusal::Fragment`] for a part of one.
    pub fn parse(datagram: &[u8]) -> Result<(Self, &[u8]), Refusal> {
        match Self::split(datagram)? {
            Split { header, protocol: PROTOCOL, payload, .. } => Ok((header, payload)),
            Split { .. } => Err(Refusal::IpHeader),
        }
    }

    /// As [`Ipv4Header::parse`], for any protocol.
    pub(crate) fn split(datagram: &[u8]) -> Result<Split<'_>, Refusal> {
        let (fixed, _) = datagram.split_first_chunk::<20>().ok_or(Refusal::IpHeader)?;
        let &[
            version_ihl,
            _tos,
            total_hi,
            total_lo,
            _,
            _,
            flags_hi,
            offset_lo,
            ttl,
            protocol,
            _,
            _,
            rest @ ..,
        ] = fixed;
        let [s0, s1, s2, s3, d0, d1, d2, d3] = rest;
        let header_len = usize::from(version_ihl & 0x0f) * 4;
        let total_len = usize::from(u16::from_be_bytes([total_hi, total_lo]));
        if version_ihl >> 4 != 4 || header_len < fixed.len() {
            return Err(Refusal::IpHeader);
        }
        // More fragments (0x20), or an offset: not the reserved bit and not "don't fragment".
        if flags_hi & 0x3f != 0 || offset_lo != 0 {
            return Err(Refusal::Fragment);
        }
        let whole = datagram.get(..total_len).ok_or(Refusal::IpHeader)?;
        let (octets, payload) = whole.split_at_checked(header_len).ok_or(Refusal::IpHeader)?;
        let header = Self { source: [s0, s1, s2, s3].into(), destination: [d0, d1, d2, d3].into(), ttl };
        Ok(Split { header, octets, protocol, payload })
    }

    /// Puts header and payload into `datagram`, which is emptied first; for sockets with `IP_HDRINCL`.
    ///
    /// The type of service is CS6, "internetwork control" (VR-010). The kernel fills in the header checksum
    /// and the identification. A payload above 65,515 octets, which no advert is, would get a saturated
    /// length field.
    pub fn write_to(&self, payload: &[u8], datagram: &mut Vec<u8>) {
        datagram.clear();
        datagram.extend_from_slice(&self.octets(payload.len()));
        datagram.extend_from_slice(payload);
    }

    /// The header of a datagram with this many octets of payload.
    pub(crate) fn octets(&self, payload_len: usize) -> [u8; HEADER_LEN] {
        let total_len = u16::try_from(HEADER_LEN + payload_len).unwrap_or(u16::MAX);
        let [total_hi, total_lo] = total_len.to_be_bytes();
        let [s0, s1, s2, s3] = self.source.octets();
        let [d0, d1, d2, d3] = self.destination.octets();
        let ttl = self.ttl;
        [0x45, TOS_CS6, total_hi, total_lo, 0, 0, 0, 0, ttl, PROTOCOL, 0, 0, s0, s1, s2, s3, d0, d1, d2, d3]
    }
}

/// A datagram taken apart.
#[derive(Clone, Copy)]
pub(crate) struct Split<'a> {
    pub(crate) header: Ipv4Header,
    /// The header with its options.
    #[cfg_attr(not(feature = "ah"), allow(dead_code))]
    pub(crate) octets: &'a [u8],
    pub(crate) protocol: u8,
    pub(crate) payload: &'a [u8],
}

/// The IP protocol number of VRRP (RFC 9568 §5.1.1.4).
pub const PROTOCOL: u8 = 112;

/// The IP protocol number of the authentication header (RFC 2402 §2), behind which keepalived's `auth_type AH` has
/// its adverts.
pub const PROTOCOL_AH: u8 = 51;

/// The group that adverts are sent to, 224.0.0.18 (RFC 9568 §5.1.1.2).
pub const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// The TTL of every advert to the group (RFC 9568 §5.1.1.3): it proves that no router lies between.
pub const TTL: u8 = 255;

/// Without options.
pub(crate) const HEADER_LEN: usize = 20;
const TOS_CS6: u8 = 0xc0;

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram() -> Vec<u8> {
        let header = Ipv4Header { source: [10, 0, 0, 1].into(), destination: GROUP, ttl: TTL };
        let mut datagram = Vec::new();
        header.write_to(&[1, 2, 3, 4], &mut datagram);
        datagram
    }

    #[test]
    fn options_are_skipped_and_padding_does_not_count() {
        // VR-063, VR-076.
        let mut datagram = datagram();
        datagram[0] = 0x46;
        datagram[3] += 4;
        datagram.splice(20..20, [0x94, 4, 0, 0]);
        datagram.extend([0; 22]);
        let (header, payload) = Ipv4Header::parse(&datagram).unwrap();
        assert_eq!(header.source, Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(payload, [1, 2, 3, 4]);
    }

    #[test]
    fn fragments_are_refused_and_dont_fragment_is_not_one() {
        let mut bytes = datagram();
        bytes[6] = 0x40;
        assert!(Ipv4Header::parse(&bytes).is_ok());
        for (first, second) in [(0x20, 0), (0, 1), (0x1f, 0xff)] {
            (bytes[6], bytes[7]) = (first, second);
            assert_eq!(Ipv4Header::parse(&bytes), Err(Refusal::Fragment));
        }
    }

    #[test]
    fn damaged_headers_are_refused_wherever_they_are_damaged() {
        let whole = datagram();
        for length in 0..whole.len() {
            assert_eq!(Ipv4Header::parse(&whole[..length]), Err(Refusal::IpHeader), "cut to {length}");
        }
        for (octet, value) in [(0, 0x65), (0, 0x44), (3, 19), (2, 1), (9, 17)] {
            let mut bytes = whole.clone();
            bytes[octet] = value;
            assert_eq!(Ipv4Header::parse(&bytes), Err(Refusal::IpHeader), "octet {octet} = {value}");
        }
    }
}
