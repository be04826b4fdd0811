//! Addresses as the kernel of a test host reports them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An address and the length of its prefix: `10.5.0.133/21`. Without a length it is the address alone (/32, /128).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    /// The address.
    pub address: IpAddr,
    /// The number of leading bits, 0..=32 or 0..=128.
    pub prefix: u8,
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let (address, prefix) =
            text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| format!("{text:?} is not an address"))?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().ok().filter(|&prefix| prefix <= longest),
            None => Some(longest),
        };
        let prefix = prefix.ok_or_else(|| format!("{text:?}: the prefix length is 0 to {longest}"))?;
        Ok(Network { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An address on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address and its prefix.
    pub network: Network,
    /// RT_SCOPE_…: 0 is global, 253 link, 254 host.
    pub scope: u8,
    /// IFA_F_PERMANENT; false for an address with a lifetime (`ip` prints `dynamic`).
    pub permanent: bool,
    /// How long the kernel will keep it; `None` is for ever.
    pub valid_seconds: Option<u32>,
    /// IFA_PROTO, the tag of its owner.
    pub protocol: Option<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_reads_what_it_prints() {
        for (text, printed) in
            [("10.5.0.133/21", "10.5.0.133/21"), ("10.5.0.1", "10.5.0.1/32"), ("fd00::1", "fd00::1/128")]
        {
            assert_eq!(text.parse::<Network>().expect("a network").to_string(), printed);
        }
        for text in ["10.5.0.1/33", "fd00::1/129", "10.5.0/24", "", "10.5.0.1/", "10.5.0.1/-1"] {
            text.parse::<Network>().expect_err(text);
        }
    }
}
