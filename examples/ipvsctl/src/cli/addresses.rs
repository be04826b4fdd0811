//! Reads addresses, ports and netmasks, by number and by name.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lvs_core::{Family, Persistence, Protocol};

use super::values::decimal;
use crate::error::UsageError;
use crate::names::Resolve;

/// An address, and a port if one was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) address: IpAddr,
    pub(super) port: Option<u16>,
}

/// Reads `HOST`, `HOST:PORT`, `[IPv6]:PORT` or a bare IPv6 address. A host without brackets is an IPv4 address, also in the
/// short, octal and hexadecimal forms of `inet_aton`, or a name that has one; a name in brackets has an IPv6 address. A
/// port is a number or a service of that protocol.
pub(super) fn endpoint(
    option: impl fmt::Display,
    text: &str,
    protocol: Protocol,
    resolve: &impl Resolve,
) -> Result<Endpoint, UsageError> {
    let fault = |fault: fmt::Arguments<'_>| UsageError::usage(format!("{option}: {text:?}: {fault}"));
    if let Some(rest) = text.strip_prefix('[') {
        let (host, behind) =
            rest.split_once(']').ok_or_else(|| fault(format_args!("the closing bracket is missing")))?;
        let address = match host.parse() {
            Ok(address) => Some(address),
            Err(_) if host.contains('%') => {
                return Err(fault(format_args!("IPVS knows no zones; leave `%` and what follows out")));
            }
            Err(_) if host.parse::<Ipv4Addr>().is_ok() => {
                return Err(fault(format_args!("brackets are for IPv6; write `{host}{behind}`")));
            }
            Err(_) => ipv6_by_name(host, resolve),
        };
        let address = address
            .ok_or_else(|| fault(format_args!("{host:?} is no IPv6 address, and no name that has one")))?;
        let port = match behind {
            "" => None,
            _ => {
                let port = behind.strip_prefix(':');
                Some(port.ok_or_else(|| fault(format_args!("write `:PORT` behind the bracket")))?)
            }
        };
        let port = port
            .map(|port| self::port(port, protocol, resolve).map_err(|error| fault(format_args!("{error}"))));
        return Ok(Endpoint { address: IpAddr::V6(address), port: port.transpose()? });
    }
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Ok(Endpoint { address: IpAddr::V6(address), port: None });
    }
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let address = ipv4(host, resolve).ok_or_else(|| {
        fault(format_args!(
            "{host:?} is no IPv4 address, and no name that has one; IPv6 is written `[ADDRESS]:PORT`"
        ))
    })?;
    let port =
        port.map(|port| self::port(port, protocol, resolve).map_err(|error| fault(format_args!("{error}"))));
    Ok(Endpoint { address: IpAddr::V4(address), port: port.transpose()? })
}

/// Persistence for the clients that a netmask of IPv4 (`255.255.255.0`, and any other) or the argument of IPv6 (`64`) makes
/// one.
pub(super) fn with_netmask(persistence: Persistence, text: &str) -> Result<Persistence, UsageError> {
    if persistence.netmask().is_none() {
        return super::values::number("-M", text, 1..=128).map(|length| persistence.with_prefix_len(length));
    }
    let fault =
        || format!("-M: {text:?} is no netmask of IPv4; it is written in dotted form, such as 255.255.255.0");
    match inet_aton(text) {
        Some(mask) if text.contains('.') => Ok(persistence.with_netmask(mask)),
        // 24 would be 0.0.0.24, which nobody means.
        Some(_) => Err(UsageError::value(fault())),
        None => Err(UsageError::usage(fault())),
    }
}

fn ipv4(host: &str, resolve: &impl Resolve) -> Option<Ipv4Addr> {
    if let Some(address) = inet_aton(host) {
        return Some(address);
    }
    // What looks like a number is not worth a question to a name server.
    if host.is_empty() || host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    match resolve.address(host, Family::Ipv4)? {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

fn ipv6_by_name(host: &str, resolve: &impl Resolve) -> Option<Ipv6Addr> {
    if host.is_empty() || host.contains(':') {
        return None;
    }
    match resolve.address(host, Family::Ipv6)? {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    }
}

fn port(text: &str, protocol: Protocol, resolve: &impl Resolve) -> Result<u16, NoPort> {
    match decimal(text) {
        Some(number) => u16::try_from(number).map_err(|_| NoPort { text: text.to_owned(), protocol }),
        None => {
            let found = if text.is_empty() { None } else { resolve.port(text, protocol) };
            found.ok_or_else(|| NoPort { text: text.to_owned(), protocol })
        }
    }
}

/// What does not say a port.
struct NoPort {
    text: String,
    protocol: Protocol,
}

impl fmt::Display for NoPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, protocol } = self;
        write!(
            f,
            "{text:?} is no port: a number from 0 to 65535 or the name of a {protocol} service in /etc/services"
        )
    }
}

/// An IPv4 address in any form that the C library's `inet_aton` takes: one to four numbers, decimal, octal (`0`) or
/// hexadecimal (`0x`), the last one filling what is left.
fn inet_aton(text: &str) -> Option<Ipv4Addr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let mut numbers = [0_u32; 4];
    let mut count = 0_usize;
    for part in text.split('.') {
        let (digits, base) = match part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
            Some(digits) => (digits, 16),
            None if part.len() > 1 && part.starts_with('0') => (part, 8),
            None => (part, 10),
        };
        // `from_str_radix` takes a sign too.
        if !digits.starts_with(|first: char| first.is_ascii_hexdigit()) {
            return None;
        }
        *numbers.get_mut(count)? = u32::from_str_radix(digits, base).ok()?;
        count += 1;
    }
    let (last, before) = numbers.get(..count)?.split_last()?;
    let mut address = 0_u32;
    for (number, shift) in before.iter().zip([24, 16, 8]) {
        address |= u32::from(u8::try_from(*number).ok()?) << shift;
    }
    // 1, 2, 3 or 4 bytes for the last one.
    let room = 8 * u32::try_from(4 - before.len()).ok()?;
    (room == 32 || *last >> room == 0).then(|| Ipv4Addr::from(address | last))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::names::Numeric;

    /// A world with three names.
    struct Names;

    impl Resolve for Names {
        fn address(&self, name: &str, family: Family) -> Option<IpAddr> {
            match (name, family) {
                ("web", Family::Ipv4) => Some([10, 0, 0, 3].into()),
                ("six", Family::Ipv6) => Some("2001:db8::3".parse().unwrap()),
                _ => None,
            }
        }

        fn port(&self, name: &str, protocol: Protocol) -> Option<u16> {
            match (name, protocol) {
                ("http", Protocol::Tcp) => Some(80),
                ("domain", _) => Some(53),
                _ => None,
            }
        }
    }

    fn read(text: &str) -> Option<String> {
        let endpoint = endpoint("-t", text, Protocol::Tcp, &Names).ok()?;
        Some(match endpoint.port {
            Some(port) => std::net::SocketAddr::new(endpoint.address, port).to_string(),
            None => endpoint.address.to_string(),
        })
    }

    #[test]
    fn hosts_and_ports_are_numbers_or_names() {
        for (text, expected) in [
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.1:0", "10.0.0.1:0"),
            ("10.0.0.1:080", "10.0.0.1:80"),
            ("10.0.0.1:+85", "10.0.0.1:85"),
            ("10.0.0.1:http", "10.0.0.1:80"),
            ("web:domain", "10.0.0.3:53"),
            ("web", "10.0.0.3"),
            ("10:89", "0.0.0.10:89"),
            ("10.0.0:88", "10.0.0.0:88"),
            ("010.0.0.1:92", "8.0.0.1:92"),
            ("0x0a.1:92", "10.0.0.1:92"),
            ("4294967295", "255.255.255.255"),
            ("2001:db8::1", "2001:db8::1"),
            ("2001:db8::1:80", "2001:db8::1:80"),
            ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
            ("[2001:db8::1]:80", "[2001:db8::1]:80"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[::1]:http", "[::1]:80"),
            ("[six]:80", "[2001:db8::3]:80"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            ":80",
            "10.0.0.1:",
            "10.0.0.1:abc",
            "10.0.0.1:65536",
            "10.0.0.1:-1",
            "10.0.0.1:87 ",
            "256.0.0.1:90",
            "10.0.0.1.:91",
            "1.2.3.4.5",
            "4294967296",
            "10.0.0.1:1:2",
            "10.0.0.9::2",
            "[10.0.0.1]:93",
            "[2001:db8::1]:",
            "[2001:db8::1]80",
            "[2001:db8::1",
            "[fe80::1%lo]:95",
            "fe80::1%lo",
            "[]:80",
            "six:80",
            "[web]:80",
            "nobody:80",
            "web:udp-only",
            "[::1]:nobody",
            "0x:80",
            "1.+2:80",
            "08.0.0.1:80",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_is_wrong_and_what_to_write() {
        let text = |text| endpoint("-t", text, Protocol::Udp, &Numeric).unwrap_err().to_string();
        assert_eq!(
            text("10.0.0.1:http"),
            "-t: \"10.0.0.1:http\": \"http\" is no port: a number from 0 to 65535 or the name of a udp service in \
             /etc/services"
        );
        assert_eq!(
            text("[10.0.0.1]:80"),
            "-t: \"[10.0.0.1]:80\": brackets are for IPv6; write `10.0.0.1:80`"
        );
    }

    #[test]
    fn a_netmask_of_ipv4_is_dotted_and_may_have_holes_and_that_of_ipv6_is_a_length() {
        let single = |family| Persistence::new(family, Duration::from_secs(1));
        let four = |text| with_netmask(single(Family::Ipv4), text).ok().and_then(|found| found.netmask());
        for mask in ["255.255.255.255", "255.255.255.0", "0.0.0.0", "255.0.255.0", "0.0.0.24"] {
            assert_eq!(four(mask), Some(mask.parse().unwrap()));
        }
        assert_eq!(four("255.255.0"), Some([255, 255, 0, 0].into()));
        assert_eq!((four("24"), four("abc"), four("")), (None, None, None));
        let six = |text| with_netmask(single(Family::Ipv6), text).ok().and_then(|found| found.prefix_len());
        assert_eq!(six("64"), Some(64));
        assert_eq!((six("0"), six("129"), six("255.255.255.0")), (None, None, None));
    }
}
