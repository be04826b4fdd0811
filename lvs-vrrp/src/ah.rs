//! The IPsec authentication header (RFC 2402) between IPv4 header and advert, as keepalived has it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use hmac::digest::Key;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;

use crate::ipv4::{HEADER_LEN, Ipv4Header, PROTOCOL, PROTOCOL_AH};
use crate::refusal::Refusal;
use crate::types::AuthPass;

// RFC 2402 §2
//
//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +---------------+---------------+-------------------------------+
// |next header 112|   length 4    |              0                |
// +---------------+---------------+-------------------------------+
// |           security parameters index: the source address       |
// +---------------------------------------------------------------+
// |                       sequence number                         |
// +---------------------------------------------------------------+
// |      integrity check value: the first 96 bits of HMAC-MD5     |
// |                          (RFC 2403)                           |
// +---------------------------------------------------------------+
//
// The check value is over the whole datagram, while type of service, flags and fragment offset, header checksum
// and the check value itself are 0, and towards a peer (not a group) the TTL too.

/// Puts authentication headers in front of the adverts of one instance.
///
/// keepalived keeps one number for what it sends and hears, and refuses lower ones: so whoever becomes master has
/// to go on where the master before it ended. Tell it what is heard, with [`AhSender::heard`].
///
/// ```
/// use lvs_vrrp::{AhSender, AuthPass, Datagram, Ipv4Header};
///
/// let mut sender = AhSender::new(AuthPass::new(b"1234")?);
/// let header = Ipv4Header { source: [10, 0, 0, 1].into(), destination: [224, 0, 0, 18].into(), ttl: 255 };
/// let mut datagram = Vec::new();
/// sender.write_to(&header, b"an advert with type 2", &mut datagram);
/// assert_eq!(datagram.len(), 20 + 24 + 21);
/// # Ok::<(), lvs_vrrp::OutOfRange>(())
/// ```
#[derive(Clone, Debug)]
pub struct AhSender {
    key: AuthPass,
    sequence: u32,
    identification: u16,
}

impl AhSender {
    /// A sender whose first header has the number 1.
    #[must_use]
    pub const fn new(key: AuthPass) -> Self {
        Self { key, sequence: 0, identification: 0 }
    }

    /// Takes note of the number of an accepted advert ([`Accepted::sequence`](crate::Accepted::sequence)): what is
    /// sent from now on has higher ones.
    pub fn heard(&mut self, sequence: u32) {
        self.sequence = self.sequence.max(sequence);
    }

    /// Puts IPv4 header, authentication header and message into `datagram`, which is emptied first; for sockets
    /// with `IP_HDRINCL`. The kernel fills in the header checksum only.
    ///
    /// After 4,294,967,295 headers, which at one advert per second are 136 years, the number grows no more, and
    /// receivers refuse what is sent (RFC 2402 §3.3.2).
    pub fn write_to(&mut self, header: &Ipv4Header, message: &[u8], datagram: &mut Vec<u8>) {
        self.sequence = self.sequence.saturating_add(1);
        // The kernel would replace 0, and so invalidate the check value.
        self.identification = self.identification.checked_add(1).unwrap_or(1);
        let mut ip = header.octets(AH_LEN + message.len());
        ip[4..6].copy_from_slice(&self.identification.to_be_bytes());
        ip[9] = PROTOCOL_AH;
        let [s0, s1, s2, s3] = header.source.octets();
        let [n0, n1, n2, n3] = self.sequence.to_be_bytes();
        let fixed = [PROTOCOL, LENGTH, 0, 0, s0, s1, s2, s3, n0, n1, n2, n3];
        let icv = check_value(&self.key, &ip, &fixed, message).finalize().into_bytes();
        datagram.clear();
        datagram.extend_from_slice(&ip);
        datagram.extend_from_slice(&fixed);
        datagram.extend(icv.into_iter().take(ICV_LEN));
        datagram.extend_from_slice(message);
    }
}

/// The authentication header that a datagram came with, not yet believed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ah<'a> {
    /// The header of IPv4, options included.
    ip: &'a [u8],
    fixed: &'a [u8; FIXED_LEN],
    icv: &'a [u8; ICV_LEN],
    sequence: u32,
    message: &'a [u8],
}

impl<'a> Ah<'a> {
    /// Splits the payload of a datagram of protocol 51, whose header of IPv4 was `ip`.
    ///
    /// # Errors
    /// [`Refusal::AhHeader`] for anything but a header of ours in front of VRRP.
    pub(crate) fn parse(ip: &'a [u8], source: Ipv4Addr, payload: &'a [u8]) -> Result<Self, Refusal> {
        let (fixed, rest) = payload.split_first_chunk::<FIXED_LEN>().ok_or(Refusal::AhHeader)?;
        let (icv, message) = rest.split_first_chunk::<ICV_LEN>().ok_or(Refusal::AhHeader)?;
        let &[next, length, _, _, s0, s1, s2, s3, n0, n1, n2, n3] = fixed;
        if next != PROTOCOL || length != LENGTH || source != Ipv4Addr::new(s0, s1, s2, s3) {
            return Err(Refusal::AhHeader);
        }
        Ok(Self { ip, fixed, icv, sequence: u32::from_be_bytes([n0, n1, n2, n3]), message })
    }

    /// What is behind it.
    pub(crate) const fn message(&self) -> &'a [u8] {
        self.message
    }

    /// Its number, which only [`Ah::is_authentic`] makes true.
    pub(crate) const fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Whether somebody with this key sent it; in a time that does not depend on where check values differ.
    pub(crate) fn is_authentic(&self, key: &AuthPass) -> bool {
        let mac = check_value(key, self.ip, self.fixed, self.message);
        mac.verify_truncated_left(self.icv).is_ok()
    }
}

impl std::fmt::Debug for Ah<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ah").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

/// The highest number of each sender, so that nothing is heard twice. Only authentic numbers come here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replay {
    highest: BTreeMap<Ipv4Addr, u32>,
    /// The highest number of the senders that were forgotten.
    floor: u32,
}

impl Replay {
    /// Whether a number of a sender is new.
    pub(crate) fn is_new(&self, source: Ipv4Addr, sequence: u32) -> bool {
        sequence > self.highest.get(&source).copied().unwrap_or(self.floor)
    }

    /// Takes note of a number whose advert was accepted (VR-078).
    pub(crate) fn note(&mut self, source: Ipv4Addr, sequence: u32) {
        self.highest.insert(source, sequence);
        if self.highest.len() > MOST_SENDERS {
            let lowest = self.highest.iter().min_by_key(|(_, sequence)| **sequence);
            if let Some((&source, &sequence)) = lowest {
                self.highest.remove(&source);
                self.floor = self.floor.max(sequence);
            }
        }
    }
}

/// The HMAC of a datagram with what may change under way set to 0.
fn check_value(key: &AuthPass, ip: &[u8], fixed: &[u8; FIXED_LEN], message: &[u8]) -> Hmac<Md5> {
    // HMAC fills keys up with zeros, as the password is: the same key (RFC 2104 §2).
    let mut block = Key::<Hmac<Md5>>::default();
    block.iter_mut().zip(key.octets()).for_each(|(to, from)| *to = from);
    let mut mac = Hmac::<Md5>::new(&block);
    let (header, options) = ip.split_at(ip.len().min(HEADER_LEN));
    let mut unchanging = [0; HEADER_LEN];
    for (to, from) in unchanging.iter_mut().zip(header) {
        *to = *from;
    }
    let [_, tos, _, _, _, _, flags, offset, ttl, _, sum_hi, sum_lo, .., d0, d1, d2, d3] = &mut unchanging;
    for octet in [tos, flags, offset, sum_hi, sum_lo] {
        *octet = 0;
    }
    if !Ipv4Addr::new(*d0, *d1, *d2, *d3).is_multicast() {
        *ttl = 0;
    }
    for part in [&unchanging[..], options, fixed, &[0; ICV_LEN], message] {
        mac.update(part);
    }
    mac
}

const AH_LEN: usize = FIXED_LEN + ICV_LEN;
/// All in front of the check value.
const FIXED_LEN: usize = 12;
const ICV_LEN: usize = 12;
/// In words of 32 bits, less 2 (RFC 2402 §2.2).
const LENGTH: u8 = 4;
/// Routers with the key. There are two or three of them.
const MOST_SENDERS: usize = 64;

#[cfg(test)]
mod tests;
