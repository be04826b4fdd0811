//! The protocol's numbers as types that cannot be out of range.

use std::fmt;
use std::num::{NonZeroU8, ParseIntError};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// A number that does not fit the type it was meant for; says what is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{what} {value} is out of range: allowed is {allowed}")]
pub struct OutOfRange {
    what: &'static str,
    value: u64,
    allowed: &'static str,
}

impl OutOfRange {
    /// Refuses a count outside of a range.
    pub(crate) fn check(
        what: &'static str,
        value: usize,
        range: RangeInclusive<usize>,
        allowed: &'static str,
    ) -> Result<(), Self> {
        if range.contains(&value) {
            return Ok(());
        }
        Err(Self { what, value: u64::try_from(value).unwrap_or(u64::MAX), allowed })
    }
}

/// Why a text is no [`Vrid`] or [`Priority`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseNumberError {
    /// It is not a number.
    #[error("{what}: {source}")]
    NotANumber {
        /// What was to be read.
        what: &'static str,
        /// What is wrong with the digits.
        source: ParseIntError,
    },
    /// It is another number than those that are allowed.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
}

/// A decimal number, 1 to 255.
fn octet(what: &'static str, text: &str) -> Result<NonZeroU8, ParseNumberError> {
    let value: u64 = text.parse().map_err(|source| ParseNumberError::NotANumber { what, source })?;
    let number = u8::try_from(value).ok().and_then(NonZeroU8::new);
    Ok(number.ok_or(OutOfRange { what, value, allowed: "1 to 255" })?)
}

/// Virtual router identifier: 1 to 255 (RFC 9568 §5.2.3); unique per interface, address family and group.
///
/// ```
/// use lvs_vrrp::Vrid;
///
/// assert_eq!(Vrid::new(51)?.get(), 51);
/// assert!(Vrid::new(0).is_err());
/// assert_eq!("51".parse::<Vrid>()?, Vrid::try_from(51)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vrid(NonZeroU8);

impl Vrid {
    /// The identifier with this number.
    ///
    /// # Errors
    /// 0 is not an identifier.
    pub const fn new(number: u8) -> Result<Self, OutOfRange> {
        match NonZeroU8::new(number) {
            Some(number) => Ok(Self(number)),
            None => Err(OutOfRange { what: "virtual router identifier", value: 0, allowed: "1 to 255" }),
        }
    }

    /// The number, 1 to 255.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0.get()
    }
}

impl TryFrom<u8> for Vrid {
    type Error = OutOfRange;

    fn try_from(number: u8) -> Result<Self, OutOfRange> {
        Self::new(number)
    }
}

impl FromStr for Vrid {
    type Err = ParseNumberError;

    fn from_str(text: &str) -> Result<Self, ParseNumberError> {
        octet("virtual router identifier", text).map(Self)
    }
}

impl fmt::Display for Vrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Priority of a router in the election: 1 to 254, and 255 for the owner of the addresses (RFC 9568 §5.2.4).
///
/// The 0 of the wire is not a priority but a message: [`Advertised::Resigning`].
///
/// ```
/// use lvs_vrrp::Priority;
///
/// assert!(Priority::new(150)? > Priority::DEFAULT);
/// assert!(Priority::OWNER.is_owner());
/// # Ok::<(), lvs_vrrp::OutOfRange>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(NonZeroU8);

impl Priority {
    /// The router that has the virtual addresses as its own: 255.
    pub const OWNER: Self = Self(NonZeroU8::MAX);

    /// What a router has unless it is told otherwise: 100.
    pub const DEFAULT: Self = match Self::new(100) {
        Ok(priority) => priority,
        Err(_) => Self::OWNER,
    };

    /// The highest priority of a router that does not own the addresses: 254.
    pub const HIGHEST_BACKUP: Self = match Self::new(254) {
        Ok(priority) => priority,
        Err(_) => Self::OWNER,
    };

    /// The priority with this number.
    ///
    /// # Errors
    /// 0 is not a priority.
    pub const fn new(number: u8) -> Result<Self, OutOfRange> {
        match NonZeroU8::new(number) {
            Some(number) => Ok(Self(number)),
            None => Err(OutOfRange { what: "priority", value: 0, allowed: "1 to 255" }),
        }
    }

    /// The number, 1 to 255.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    /// Whether this is the owner's, 255.
    #[must_use]
    pub const fn is_owner(self) -> bool {
        self.get() == u8::MAX
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl TryFrom<u8> for Priority {
    type Error = OutOfRange;

    fn try_from(number: u8) -> Result<Self, OutOfRange> {
        Self::new(number)
    }
}

impl FromStr for Priority {
    type Err = ParseNumberError;

    fn from_str(text: &str) -> Result<Self, ParseNumberError> {
        octet("priority", text).map(Self)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the priority octet of an advert says. The set is closed (RFC 9568 §5.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Advertised {
    /// The sender is master no longer; the octet is 0.
    Resigning,
    /// The sender is master, with this priority.
    Running(Priority),
}

impl Advertised {
    /// What an octet of the wire says; every value says something.
    #[must_use]
    pub const fn from_octet(octet: u8) -> Self {
        match NonZeroU8::new(octet) {
            Some(number) => Self::Running(Priority(number)),
            None => Self::Resigning,
        }
    }

    /// The octet of the wire.
    #[must_use]
    pub const fn octet(self) -> u8 {
        match self {
            Self::Resigning => 0,
            Self::Running(priority) => priority.get(),
        }
    }
}

impl fmt::Display for Advertised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.octet().fmt(f)
    }
}

/// Version of the protocol. The set is closed: version 1 was never published as a standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// RFC 3768 (and RFC 2338, whose authentication it keeps on the wire): IPv4, whole seconds.
    V2,
    /// RFC 9568 and RFC 5798: IPv4 and IPv6, centiseconds.
    V3,
}

impl Version {
    /// The number in the packet: 2 or 3.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

/// Hundredths of a second, 1 to 4095 (the 12 bits of VRRPv3, RFC 9568 §5.2.7 with erratum 8301).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Centis(u16);

impl Centis {
    /// One second, the default of RFC 9568 §6.1.
    pub const SECOND: Self = Self(100);

    /// The longest interval that the packet can carry: 40.95 s.
    pub const MAX: Self = Self(4095);

    /// This many hundredths of a second.
    ///
    /// # Errors
    /// 0, and anything above 4095.
    pub const fn new(number: u16) -> Result<Self, OutOfRange> {
        if number == 0 || number > Self::MAX.0 {
            return Err(OutOfRange {
                what: "advertisement interval in centiseconds",
                value: number as u64,
                allowed: "1 to 4095",
            });
        }
        Ok(Self(number))
    }

    /// The number, 1 to 4095.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The same as a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0 as u64 * 10)
    }
}

impl fmt::Display for Centis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}cs", self.0)
    }
}

/// The time between two adverts of a master, which also fixes the version. The set is closed.
///
/// ```
/// use std::time::Duration;
/// use lvs_vrrp::{Interval, Version};
///
/// let v3 = Interval::centis(10)?;
/// assert_eq!(v3.version(), Version::V3);
/// assert_eq!(v3.duration(), Duration::from_millis(100));
/// assert_eq!(Interval::seconds(1)?.version(), Version::V2);
/// # Ok::<(), lvs_vrrp::OutOfRange>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interval {
    /// VRRPv2: whole seconds, 1 to 255; all routers must use the same.
    Seconds(NonZeroU8),
    /// VRRPv3: centiseconds; backups learn the master's.
    Centis(Centis),
}

impl Interval {
    /// An interval of VRRPv2, 1 to 255 seconds.
    ///
    /// # Errors
    /// 0 is not an interval.
    pub const fn seconds(number: u8) -> Result<Self, OutOfRange> {
        match NonZeroU8::new(number) {
            Some(number) => Ok(Self::Seconds(number)),
            None => {
                Err(OutOfRange { what: "advertisement interval in seconds", value: 0, allowed: "1 to 255" })
            }
        }
    }

    /// An interval of VRRPv3, 1 to 4095 centiseconds.
    ///
    /// # Errors
    /// 0, and anything above 4095.
    pub const fn centis(number: u16) -> Result<Self, OutOfRange> {
        match Centis::new(number) {
            Ok(centis) => Ok(Self::Centis(centis)),
            Err(error) => Err(error),
        }
    }

    /// The version that counts time in this unit.
    #[must_use]
    pub const fn version(self) -> Version {
        match self {
            Self::Seconds(_) => Version::V2,
            Self::Centis(_) => Version::V3,
        }
    }

    /// The same as a duration, 10 ms to 255 s.
    #[must_use]
    pub const fn duration(self) -> Duration {
        match self {
            Self::Seconds(seconds) => Duration::from_secs(seconds.get() as u64),
            Self::Centis(centis) => centis.duration(),
        }
    }
}

impl fmt::Display for Interval {
    /// As in a [recording](crate::record): `1s`, `100cs`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(seconds) => write!(f, "{seconds}s"),
            Self::Centis(centis) => centis.fmt(f),
        }
    }
}

/// The simple password of VRRPv2: 8 octets, shorter ones filled with zeros (RFC 2338 §5.3.6, keepalived's
/// `auth_pass`).
///
/// It travels in the clear and protects against mistakes only. `Debug` does not show it.
#[derive(Clone, Copy)]
pub struct AuthPass([u8; 8]);

impl AuthPass {
    /// The password made of these 1 to 8 octets.
    ///
    /// # Errors
    /// An empty password, and one of more than 8 octets (see [`AuthPass::truncated`]).
    pub fn new(octets: &[u8]) -> Result<Self, OutOfRange> {
        if octets.is_empty() || octets.len() > 8 {
            return Err(OutOfRange {
                what: "password length",
                value: octets.len() as u64,
                allowed: "1 to 8 octets",
            });
        }
        Ok(Self::truncated(octets))
    }

    /// The password made of the first 8 octets of these, as keepalived cuts longer ones.
    #[must_use]
    pub fn truncated(octets: &[u8]) -> Self {
        let mut password = [0; 8];
        for (to, from) in password.iter_mut().zip(octets) {
            *to = *from;
        }
        Self(password)
    }

    /// The password with these octets, as an advert carries it.
    #[must_use]
    pub const fn from_octets(octets: [u8; 8]) -> Self {
        Self(octets)
    }

    /// The octets of the wire.
    #[must_use]
    pub const fn octets(&self) -> [u8; 8] {
        self.0
    }

    /// Whether the octets of a packet are this password, in a time that does not depend on where they differ.
    #[must_use]
    pub fn matches(&self, octets: &[u8; 8]) -> bool {
        self.0.iter().zip(octets).fold(0, |difference, (ours, theirs)| difference | (ours ^ theirs)) == 0
    }
}

impl PartialEq for AuthPass {
    fn eq(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }
}

impl Eq for AuthPass {}

impl fmt::Debug for AuthPass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthPass(…)")
    }
}

/// How adverts of VRRPv2 prove where they come from; VRRPv3 has nothing of the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Authentication {
    /// Type 0: not at all (RFC 3768 §5.3.6).
    #[default]
    None,
    /// Type 1: a simple password.
    Password(AuthPass),
    /// Type 2 (RFC 2338 §5.3.6): an IPsec authentication header made with this key (keepalived's `auth_type AH`);
    /// IPv4 only. Without the feature `ah` nothing can be sent or believed.
    Ah(AuthPass),
}

/// What the checksum of an advert covers. The set is closed.
///
/// Only VRRPv3 over IPv4 has a choice: version 2 is always [`ChecksumForm::MessageOnly`], IPv6 always
/// [`ChecksumForm::PseudoHeader`]. RFC 9568 §5.2.8 wants the message alone. RFC 5798 was read otherwise by
/// keepalived and FRR, which send and demand a pseudo-header by default. Adverts with any are accepted, and
/// counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum ChecksumForm {
    /// Message and pseudo-header (source, destination, 0, 112, length): what is deployed.
    #[default]
    PseudoHeader,
    /// The message alone (RFC 9568; keepalived's `v3_checksum_as_v2`). VRRPv2 knows no other.
    MessageOnly,
    /// As [`ChecksumForm::PseudoHeader`], but always with the group 224.0.0.18 for a destination: unicast as
    /// keepalived up to 1.3.6 sends it (`old_unicast_checksum`).
    OldUnicast,
}

impl fmt::Display for ChecksumForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PseudoHeader => "message and pseudo-header",
            Self::MessageOnly => "message alone",
            Self::OldUnicast => "message and pseudo-header of the group",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range_are_refused_with_what_is_allowed() {
        // VR-021, VR-022, VR-024, VR-025.
        assert!(Vrid::new(0).is_err());
        assert!(Priority::new(0).is_err());
        assert!(Interval::seconds(0).is_err());
        assert!(Interval::centis(0).is_err());
        assert_eq!(
            Centis::new(4096).unwrap_err().to_string(),
            "advertisement interval in centiseconds 4096 is out of range: allowed is 1 to 4095"
        );
        assert_eq!(Centis::MAX.duration(), Duration::from_millis(40_950));
    }

    #[test]
    fn priority_octet_zero_is_a_message_and_all_others_are_priorities() {
        assert_eq!(Advertised::from_octet(0), Advertised::Resigning);
        for octet in 0..=u8::MAX {
            assert_eq!(Advertised::from_octet(octet).octet(), octet);
        }
        assert_eq!(Priority::DEFAULT.get(), 100);
        assert_eq!(Priority::HIGHEST_BACKUP.get(), 254);
    }

    #[test]
    fn passwords_are_padded_with_zeros_compared_whole_and_not_shown() {
        // VR-201.
        let password = AuthPass::new(b"1111").unwrap();
        assert!(password.matches(b"1111\0\0\0\0"));
        assert!(!password.matches(b"1111\0\0\0x"));
        assert!(AuthPass::new(b"").is_err());
        assert!(AuthPass::new(b"123456789").is_err());
        assert_eq!(AuthPass::truncated(b"123456789"), AuthPass::new(b"12345678").unwrap());
        assert!(!format!("{password:?}").contains('1'));
    }

    #[test]
    fn numbers_are_read_from_text_and_octets_and_refused_with_what_is_allowed() {
        assert_eq!("1".parse(), Vrid::new(1).map_err(ParseNumberError::from));
        assert_eq!("255".parse(), Ok(Priority::OWNER));
        assert_eq!(Priority::try_from(100), Ok(Priority::DEFAULT));
        assert!(Vrid::try_from(0).is_err());
        let refused = |text: &str| text.parse::<Priority>().unwrap_err().to_string();
        for (text, number) in [("0", 0), ("256", 256)] {
            assert_eq!(refused(text), format!("priority {number} is out of range: allowed is 1 to 255"));
        }
        assert_eq!(refused("high"), "priority: invalid digit found in string");
        assert!("-1".parse::<Vrid>().is_err());
    }

    #[test]
    fn intervals_are_shown_with_their_unit() {
        assert_eq!(Interval::seconds(1).unwrap().to_string(), "1s");
        assert_eq!(Interval::centis(100).unwrap().to_string(), "100cs");
    }
}
