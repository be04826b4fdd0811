//! Names that the kernel resolves to modules: schedulers and persistence engines.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Name of a scheduler: 1 to 15 bytes of printable ASCII without spaces, as the kernel's module is called.
///
/// The kernel decides which names exist; [`SchedulerName::KNOWN`] lists those of Linux 6.1.
///
/// ```
/// use lvs_core::SchedulerName;
///
/// assert_eq!("wlc".parse::<SchedulerName>()?.as_str(), "wlc");
/// assert!("a name with spaces".parse::<SchedulerName>().is_err());
/// # Ok::<(), lvs_core::InvalidName>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchedulerName(Name);

impl SchedulerName {
    /// The schedulers of Linux 6.1 by the names of their modules (`net/netfilter/ipvs/ip_vs_*.c`).
    pub const KNOWN: [&'static str; 14] =
        ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos"];

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl Default for SchedulerName {
    /// Weighted least connections, as ipvsadm and keepalived choose when none is named.
    fn default() -> Self {
        Self(Name { length: 3, bytes: *b"wlc\0\0\0\0\0\0\0\0\0\0\0\0" })
    }
}

impl FromStr for SchedulerName {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Name::new(name).map(Self)
    }
}

impl fmt::Display for SchedulerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Name of a persistence engine: 1 to 15 bytes of printable ASCII without spaces. Linux 6.1 has one, `sip`
/// (`ip_vs_pe_sip`), which keeps the packets of one SIP call together.
///
/// ```
/// use lvs_core::EngineName;
///
/// assert_eq!("sip".parse::<EngineName>()?.as_str(), "sip");
/// # Ok::<(), lvs_core::InvalidName>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EngineName(Name);

impl EngineName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for EngineName {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Name::new(name).map(Self)
    }
}

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name is empty, longer than 15 bytes, or has a space or a byte that is not printable ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a name has 1 to 15 printable ASCII characters without spaces")]
pub struct InvalidName;

/// The name in place: a table has thousands, and most are the same few letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Name {
    length: u8,
    /// Zero behind the name. `IP_VS_SCHEDNAME_MAXLEN` and `IP_VS_PENAME_MAXLEN` are 16 with the closing zero
    /// (include/uapi/linux/ip_vs.h).
    bytes: [u8; 15],
}

impl Name {
    fn new(name: &str) -> Result<Self, InvalidName> {
        let mut bytes = [0; 15];
        let place = bytes.get_mut(..name.len()).ok_or(InvalidName)?;
        place.copy_from_slice(name.as_bytes());
        let length = u8::try_from(name.len()).map_err(|_| InvalidName)?;
        if length > 0 && name.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self { length, bytes })
        } else {
            Err(InvalidName)
        }
    }

    fn as_str(&self) -> &str {
        let name = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        // All of it is ASCII.
        std::str::from_utf8(name).unwrap_or_default()
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheduler_names_longer_than_the_kernels_field_are_refused() {
        assert!("fifteen-letters".parse::<SchedulerName>().is_ok());
        assert!("sixteen-letters!".parse::<SchedulerName>().is_err());
        assert!("".parse::<SchedulerName>().is_err());
        assert!("rr\0".parse::<SchedulerName>().is_err());
        assert!("ülc".parse::<SchedulerName>().is_err());
    }

    #[test]
    fn the_default_scheduler_is_the_one_that_is_called_so() {
        assert_eq!("wlc".parse(), Ok(SchedulerName::default()));
        assert_eq!(SchedulerName::default().to_string(), "wlc");
    }
}
