//! Why a packet was not believed.

use std::error::Error;
use std::fmt;

/// Why a packet was refused. A refused packet changes a counter and nothing else: no state, no timer
/// (VR-077).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The IP header is damaged, or announces more than arrived.
    IpHeader,
    /// A fragment, which is not a whole advert.
    Fragment,
    /// TTL or hop limit other than 255 (RFC 9568 §7.1), or outside of a unicast peer's limits.
    Ttl,
    /// Sent to the group where the instance speaks unicast, or the reverse, or to another group.
    Destination,
    /// From a host that is not one of the configured unicast peers.
    Source,
    /// From an address that is ours: an echo, or somebody has the same address.
    OwnAddress,
    /// No instance with this virtual router identifier here; a matter of other people's routers.
    UnknownVrid,
    /// Another version than the instance's; version 2 over IPv6.
    Version,
    /// A type other than 1, ADVERTISEMENT.
    Type,
    /// Shorter or longer than its own count of addresses says.
    Length,
    /// The checksum is wrong.
    Checksum,
    /// VRRPv3 without an address (RFC 9568 §5.2.5, erratum 8299).
    CountZero,
    /// IPv6 adverts begin with a link-local address (RFC 9568 §5.2.9, erratum 8300), unless the instance takes any
    /// ([`Listener::with_any_first_address`](crate::Listener::with_any_first_address)).
    NotLinkLocal,
    /// An interval of 0 (erratum 8301); believing it would make a backup take over at once.
    IntervalZero,
    /// VRRPv2 with another interval than ours (RFC 3768 §7.1).
    IntervalMismatch,
    /// VRRPv2 with another authentication type than ours (RFC 3768 §7.1), with or without an authentication header
    /// other than ours.
    AuthType,
    /// VRRPv2 with the wrong password, or with an authentication header that is not authentic.
    AuthData,
    /// An authentication header that is damaged, not one of VRRP, or with another index than its source.
    AhHeader,
    /// An authentic advert that was heard before, or is older than one that was.
    Replay,
}

impl Refusal {
    /// All reasons, in the order of [`Refusal::index`].
    pub const ALL: &'static [Self] = &[
        Self::IpHeader,
        Self::Fragment,
        Self::Ttl,
        Self::Destination,
        Self::Source,
        Self::OwnAddress,
        Self::UnknownVrid,
        Self::Version,
        Self::Type,
        Self::Length,
        Self::Checksum,
        Self::CountZero,
        Self::NotLinkLocal,
        Self::IntervalZero,
        Self::IntervalMismatch,
        Self::AuthType,
        Self::AuthData,
        Self::AhHeader,
        Self::Replay,
    ];

    /// The place of this reason in [`Refusal::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// A name for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IpHeader => "damaged ip header",
            Self::Fragment => "fragment",
            Self::Ttl => "ttl",
            Self::Destination => "destination",
            Self::Source => "source is not a peer",
            Self::OwnAddress => "source is our own address",
            Self::UnknownVrid => "unknown virtual router identifier",
            Self::Version => "version",
            Self::Type => "type",
            Self::Length => "length",
            Self::Checksum => "checksum",
            Self::CountZero => "no addresses",
            Self::NotLinkLocal => "first address is not link-local",
            Self::IntervalZero => "interval zero",
            Self::IntervalMismatch => "interval mismatch",
            Self::AuthType => "authentication type",
            Self::AuthData => "authentication data",
            Self::AhHeader => "authentication header",
            Self::Replay => "replayed",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_place() {
        for (place, refusal) in Refusal::ALL.iter().enumerate() {
            assert_eq!(refusal.index(), place);
        }
        assert_eq!(Refusal::Replay.index() + 1, Refusal::ALL.len());
    }
}
