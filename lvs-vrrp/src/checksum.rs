//! The Internet checksum (RFC 1071), with and without pseudo-header.

use crate::endpoints::Endpoints;
use crate::ipv4::PROTOCOL;

/// An Internet checksum under way: a sum of 32-bit words in the byte order of this machine, which the sum does
/// not depend on (RFC 1071 §2 (B)). 64 bits hold the sum of 16 GiB.
#[derive(Clone, Copy)]
pub(crate) struct Sum(u64);

impl Sum {
    pub(crate) fn of(octets: &[u8]) -> Self {
        let (words, rest) = octets.as_chunks::<4>();
        let sum = words.iter().map(|&word| u64::from(u32::from_ne_bytes(word))).sum::<u64>();
        let mut last = [0; 4];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        Self(sum + u64::from(u32::from_ne_bytes(last)))
    }

    /// The same with what stands for source, destination, protocol and length of the message: RFC 8200 §8.1
    /// in IPv6; its like in IPv4 is that of UDP (RFC 768).
    pub(crate) fn with_pseudo_header(self, endpoints: &Endpoints, length: usize) -> Self {
        // An advert is at most 4,088 octets long.
        let length = u32::try_from(length).unwrap_or(0);
        let addresses = match endpoints {
            Endpoints::V4 { source, destination } => {
                Self::of(&source.octets()).0 + Self::of(&destination.octets()).0
            }
            Endpoints::V6 { source, destination } => {
                Self::of(&source.octets()).0 + Self::of(&destination.octets()).0
            }
        };
        let rest = u64::from(u32::from(PROTOCOL).to_be()) + u64::from(length.to_be());
        Self(self.0 + addresses + rest)
    }

    fn folded(self) -> u16 {
        let mut sum = self.0;
        // 64 bits to at most 33, 18, 17 and 16.
        sum = (sum >> 32) + (sum & 0xffff_ffff);
        for _ in 0..3 {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        u16::try_from(sum).unwrap_or(u16::MAX)
    }

    /// Whether a message that contains its checksum arrived as it was sent.
    pub(crate) fn is_intact(self) -> bool {
        self.folded() == 0xffff
    }

    /// The field of a message whose field is still 0.
    pub(crate) fn field(self) -> [u8; 2] {
        (!self.folded()).to_ne_bytes()
    }
}
