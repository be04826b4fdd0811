//! An address and a port as one shows them, by name or by number.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use lvs_core::Protocol;

use crate::names::Names;

/// Shows addresses and ports.
#[derive(Clone, Copy)]
pub(crate) struct Endpoint<'n> {
    pub(crate) names: &'n dyn Names,
    /// Without the length that ipvsadm's buffer has.
    pub(crate) whole: bool,
}

impl Endpoint<'_> {
    /// `host:port` or `[host]:port`. Without a protocol the port has no name.
    pub(crate) fn text(self, address: SocketAddr, protocol: Option<Protocol>) -> String {
        let host = self.names.host(address.ip());
        let port = protocol
            .filter(|_| address.port() != 0)
            .and_then(|protocol| self.names.service(address.port(), protocol));
        let host = host.unwrap_or_else(|| number(address.ip()));
        let port = port.unwrap_or_else(|| address.port().to_string());
        let mut text = match address.ip() {
            IpAddr::V4(_) => format!("{host}:{port}"),
            IpAddr::V6(_) => format!("[{host}]:{port}"),
        };
        if !self.whole {
            cut(&mut text, LONGEST);
        }
        text
    }

    /// The same, cut to the width of ipvsadm's column if it is an IPv4 address.
    pub(crate) fn column(self, address: SocketAddr, protocol: Option<Protocol>) -> String {
        let mut text = self.text(address, protocol);
        if address.is_ipv4() {
            cut(&mut text, COLUMN);
        }
        text
    }
}

/// An address as the C library writes it: as Rust does, but for those of the form `::10.0.0.1`.
fn number(address: IpAddr) -> String {
    if let IpAddr::V6(ip) = address {
        let bits = u128::from(ip);
        if let Ok(low) = u32::try_from(bits)
            && low > 0xffff
        {
            return format!("::{}", Ipv4Addr::from(low));
        }
    }
    address.to_string()
}

/// Cuts a text to so many bytes, or fewer where a character would be cut in two.
fn cut(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        let end = (0..=bytes).rev().find(|&end| text.is_char_boundary(end));
        text.truncate(end.unwrap_or(0));
    }
}

/// Bytes of an address that ipvsadm shows at most.
const LONGEST: usize = 59;
/// Bytes of its column in the lists of services.
pub(super) const COLUMN: usize = 28;

#[cfg(test)]
mod tests {
    use lvs_core::Family;

    use super::*;
    use crate::names::Numeric;

    struct Long;

    impl Names for Long {
        fn host(&self, address: IpAddr) -> Option<String> {
            Some(match Family::of(&address) {
                Family::Ipv4 => "averyveryverylonghostname.with.a.long.domain.example.com".to_owned(),
                Family::Ipv6 => "averyveryverylongsixhostname.with.a.long.domain.example.com".to_owned(),
            })
        }

        fn service(&self, port: u16, protocol: Protocol) -> Option<String> {
            (port == 445 && protocol == Protocol::Tcp).then(|| "microsoft-ds".to_owned())
        }
    }

    #[test]
    fn long_names_are_cut_as_ipvsadm_cuts_them() {
        let four: SocketAddr = "10.0.0.4:445".parse().unwrap();
        let six: SocketAddr = "[2001:db8::4]:445".parse().unwrap();
        let names = Endpoint { names: &Long, whole: false };
        assert_eq!(
            names.text(four, Some(Protocol::Tcp)),
            "averyveryverylonghostname.with.a.long.domain.example.com:mi"
        );
        assert_eq!(names.column(four, Some(Protocol::Tcp)), "averyveryverylonghostname.wi");
        assert_eq!(
            names.column(six, Some(Protocol::Tcp)),
            "[averyveryverylongsixhostname.with.a.long.domain.example.co"
        );
        let whole = Endpoint { whole: true, ..names };
        assert_eq!(whole.text(four, None), "averyveryverylonghostname.with.a.long.domain.example.com:445");
    }

    #[test]
    fn numbers_are_written_as_the_c_library_writes_them() {
        let numbers = Endpoint { names: &Numeric, whole: false };
        for text in [
            "[::1]:1",
            "[::]:1",
            "[::ffff]:1",
            "[::0.1.0.0]:1",
            "[::255.255.253.0]:1",
            "[::ffff:1.2.3.4]:1",
            "[1::2:3]:1",
        ] {
            assert_eq!(numbers.text(text.parse().unwrap(), None), text);
        }
    }

    #[test]
    fn without_names_there_are_numbers() {
        let six: SocketAddr = "[2001:db8:1111:2222:3333:4444:5555:6666]:65535".parse().unwrap();
        let numbers = Endpoint { names: &Numeric, whole: false };
        assert_eq!(
            numbers.column(six, Some(Protocol::Tcp)),
            "[2001:db8:1111:2222:3333:4444:5555:6666]:65535"
        );
    }
}
