//! The Internet checksum (RFC 1071), with and without pseudo-header.

use crate::endpoints::Endpoints;
use crate::ipv4::PROTOCOL;

/// An Internet checksum under way: a ones' complement sum of 64-bit words in the byte order of this machine,
/// as neither width nor order matter to it (RFC 1071 §2 (B), (C)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sum(u64);

impl Sum {
    pub(crate) const ZERO: Self = Self(0);

    #[inline]
    pub(crate) fn of(octets: &[u8]) -> Self {
        let (words, rest) = octets.as_chunks::<8>();
        let mut sum = Self(0);
        for &word in words {
            sum = sum.plus(Self(u64::from_ne_bytes(word)));
        }
        let rest = match rest.split_first_chunk::<4>() {
            Some((&word, rest)) => {
                sum = sum.plus(Self(u32::from_ne_bytes(word).into()));
                rest
            }
            None => rest,
        };
        if rest.is_empty() {
            return sum;
        }
        let mut last = [0; 4];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        sum.plus(Self(u32::from_ne_bytes(last).into()))
    }

    /// The sum of the octets of both, each a whole number of words of 16 bits.
    #[inline]
    pub(crate) const fn plus(self, other: Self) -> Self {
        let (sum, carry) = self.0.overflowing_add(other.0);
        // After a carry the sum is not the highest number.
        Self(sum.wrapping_add(carry as u64))
    }

    /// What stands for source, destination, protocol and length of a message: RFC 8200 §8.1 in IPv6; its like
    /// in IPv4 is that of UDP (RFC 768).
    pub(crate) fn of_pseudo_header(endpoints: &Endpoints, length: usize) -> Self {
        // An advert is at most 4,088 octets long.
        let length = u32::try_from(length).unwrap_or(0);
        let rest = Self(u64::from(u32::from(PROTOCOL).to_be()) + u64::from(length.to_be()));
        rest.plus(Self::of_addresses(endpoints))
    }

    fn of_addresses(endpoints: &Endpoints) -> Self {
        match endpoints {
            Endpoints::V4 { source, destination } => {
                Self::of(&source.octets()).plus(Self::of(&destination.octets()))
            }
            Endpoints::V6 { source, destination } => {
                Self::of(&source.octets()).plus(Self::of(&destination.octets()))
            }
        }
    }

    fn folded(self) -> u16 {
        let mut sum = (self.0 >> 32) + (self.0 & 0xffff_ffff);
        // 33 bits to at most 18, 17 and 16.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 1071 §4.1, word by word.
    fn by_the_book(octets: &[u8]) -> [u8; 2] {
        let mut sum = 0u32;
        for pair in octets.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        (!u16::try_from(sum).unwrap()).to_be_bytes()
    }

    #[test]
    fn the_example_of_rfc_1071_has_its_sum() {
        // §3: 0001 f203 f4f5 f6f7 add up to ddf2.
        let octets = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::of(&octets).field(), (!0xddf2_u16).to_be_bytes());
    }

    #[test]
    fn carries_at_the_end_of_a_word_are_not_lost() {
        for length in 0..64 {
            let octets = vec![0xff; length];
            assert_eq!(Sum::of(&octets).field(), by_the_book(&octets), "{length} octets");
        }
    }

    proptest! {
        #[test]
        fn wide_words_have_the_sum_of_narrow_ones(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            // VR-040.
            prop_assert_eq!(Sum::of(&octets).field(), by_the_book(&octets));
        }
    }
}
