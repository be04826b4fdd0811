//! Words for a refused packet: what its instance expected, and what came.

use std::net::IpAddr;

use lvs_core::Family;

use crate::delivery::{Delivery, Unicast};
use crate::driver::config::InstanceConfig;
use crate::endpoints::Datagram;
use crate::ipv4::TTL;
use crate::refusal::Refusal;
use crate::types::{Authentication, Interval};

/// What an instance expected of a packet, and what came instead. Never holds a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    pub(crate) expected: String,
    pub(crate) came: String,
}

impl Mismatch {
    /// Puts into words why an instance refused a datagram. Octets that are not there count as 0.
    pub(crate) fn new(config: &InstanceConfig, refusal: Refusal, datagram: &Datagram<'_>) -> Self {
        let Datagram { endpoints, ttl, payload: packet, .. } = *datagram;
        let octet = |place: usize| packet.get(place).copied().unwrap_or_default();
        let version = octet(0) >> 4;
        match refusal {
            Refusal::IpHeader | Refusal::Fragment => {
                Self::words("a whole IPv4 datagram of protocol 112", refusal.as_str())
            }
            Refusal::Ttl => Self::words(limits(config, endpoints.source()), ttl.to_string()),
            Refusal::Destination => {
                let expected = match &config.delivery {
                    Delivery::Multicast(multicast) => format!("to the group {}", multicast.group),
                    Delivery::Unicast(_) => "unicast".to_owned(),
                };
                Self::words(expected, format!("to {}", endpoints.destination()))
            }
            Refusal::Source => Self::words(peers(config), endpoints.source().to_string()),
            Refusal::OwnAddress => Self::words("another address than ours", endpoints.source().to_string()),
            Refusal::UnknownVrid => Self::words(config.vrid.to_string(), octet(1).to_string()),
            Refusal::Version => {
                Self::words(config.router.interval().version().number().to_string(), version.to_string())
            }
            Refusal::Type => Self::words("1", (octet(0) & 0x0f).to_string()),
            Refusal::Length => {
                let trailer = if version == 2 { AUTHENTICATION_DATA } else { 0 };
                let address = match endpoints.family() {
                    Family::Ipv4 => 4,
                    Family::Ipv6 => 16,
                };
                let expected = HEADER + address * usize::from(octet(3)) + trailer;
                Self::words(
                    format!("{expected} octets for {} addresses", octet(3)),
                    format!("{} octets", packet.len()),
                )
            }
            Refusal::Checksum => Self::words(
                "a checksum that fits",
                format!("{:#06x}", u16::from_be_bytes([octet(6), octet(7)])),
            ),
            Refusal::NotLinkLocal => Self::words("a link-local address first", "another one"),
            Refusal::CountZero => Self::words("at least one address", "none"),
            Refusal::IntervalZero | Refusal::IntervalMismatch => Self::words(
                interval(config),
                match version {
                    2 => format!("{} s", octet(5)),
                    _ => format!("{} cs", u16::from_be_bytes([octet(4) & 0x0f, octet(5)])),
                },
            ),
            Refusal::AuthType => {
                let expected = match config.authentication {
                    Authentication::None => "type 0, none",
                    Authentication::Password(_) => "type 1, simple password",
                    Authentication::Ah(_) => "type 2 behind an authentication header",
                };
                Self::words(expected, format!("type {}", octet(4)))
            }
            Refusal::AhHeader => Self::words("an authentication header of VRRP", refusal.as_str()),
            Refusal::Replay => Self::words("a number that is higher than the last one", "one that is not"),
            Refusal::AuthData => Self::words("our password", "another password"),
        }
    }

    fn words(expected: impl Into<String>, came: impl Into<String>) -> Self {
        Self { expected: expected.into(), came: came.into() }
    }
}

fn limits(config: &InstanceConfig, source: IpAddr) -> String {
    let limits = |unicast: &Unicast| {
        let peer = unicast.peers.iter().find(|peer| peer.address == source)?;
        Some(format!("{} to {}", peer.min_ttl.unwrap_or(0), peer.max_ttl.unwrap_or(u8::MAX)))
    };
    match &config.delivery {
        Delivery::Multicast(_) => TTL.to_string(),
        Delivery::Unicast(unicast) => limits(unicast).unwrap_or_else(|| "any".to_owned()),
    }
}

fn peers(config: &InstanceConfig) -> String {
    match &config.delivery {
        Delivery::Multicast(_) => "anybody".to_owned(),
        Delivery::Unicast(unicast) => {
            let addresses: Vec<String> = unicast.peers.iter().map(|peer| peer.address.to_string()).collect();
            format!("one of the peers {}", addresses.join(", "))
        }
    }
}

fn interval(config: &InstanceConfig) -> String {
    match config.router.interval() {
        Interval::Seconds(seconds) => format!("{} s", seconds.get()),
        Interval::Centis(centis) => format!("{} cs", centis.get()),
    }
}

/// Octets in front of the addresses (RFC 3768 §5.1, RFC 9568 §5.1).
const HEADER: usize = 8;

/// Octets behind the addresses in version 2 (RFC 3768 §5.1).
const AUTHENTICATION_DATA: usize = 8;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::config::Config;
    use crate::delivery::Peer;
    use crate::endpoints::Endpoints;
    use crate::packet::Advert;
    use crate::types::{Advertised, AuthPass, Priority, Vrid};

    const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
    const VIPS: [Ipv4Addr; 1] = [Ipv4Addr::new(10, 0, 0, 100)];

    fn seconds(number: u8) -> Interval {
        Interval::seconds(number).unwrap()
    }

    fn password(octets: &[u8]) -> Authentication {
        Authentication::Password(AuthPass::new(octets).unwrap())
    }

    fn config(interval: Interval) -> InstanceConfig {
        let router = Config::new(interval, Priority::DEFAULT);
        InstanceConfig::new("VI_1", "eth0", Vrid::new(51).unwrap(), VIPS.map(IpAddr::from).to_vec(), router)
    }

    fn advert(interval: Interval) -> Advert<'static> {
        let advertised = Advertised::Running(Priority::DEFAULT);
        Advert::new(Vrid::new(51).unwrap(), advertised, interval, &VIPS).unwrap()
    }

    /// What the instance says about an advert of the peer that it refuses.
    fn words(config: &InstanceConfig, advert: Advert<'_>, ttl: u8) -> (Refusal, String, String) {
        let mut demux = crate::demux::Demux::new();
        demux.insert(0, config.listener([10, 0, 0, 1].into(), 1));
        let mut packet = Vec::new();
        let destination = match config.delivery {
            Delivery::Multicast(_) => GROUP,
            Delivery::Unicast(_) => [10, 0, 0, 1].into(),
        };
        let endpoints = Endpoints::v4(PEER, destination);
        advert.write_to(&endpoints, &mut packet);
        let datagram = Datagram::new(endpoints, ttl, &packet);
        let refusal = demux.accept(&datagram).unwrap_err().refusal;
        let Mismatch { expected, came } = Mismatch::new(config, refusal, &datagram);
        (refusal, expected, came)
    }

    fn is(refusal: Refusal, expected: &str, came: &str) -> (Refusal, String, String) {
        (refusal, expected.to_owned(), came.to_owned())
    }

    #[test]
    fn pairs_that_are_configured_differently_say_in_what() {
        let centis = Interval::centis(100).unwrap();
        let mut ours = config(seconds(1));
        assert_eq!(words(&ours, advert(centis), 255), is(Refusal::Version, "2", "3"));
        assert_eq!(words(&config(centis), advert(seconds(1)), 255), is(Refusal::Version, "3", "2"));
        assert_eq!(words(&ours, advert(seconds(2)), 255), is(Refusal::IntervalMismatch, "1 s", "2 s"));
        assert_eq!(words(&ours, advert(seconds(1)), 64), is(Refusal::Ttl, "255", "64"));
        let protected = advert(seconds(1)).with_authentication(password(b"theirs"));
        assert_eq!(words(&ours, protected, 255), is(Refusal::AuthType, "type 0, none", "type 1"));
        ours.authentication = password(b"ours");
        let refused = is(Refusal::AuthData, "our password", "another password");
        assert_eq!(words(&ours, protected, 255), refused);
        let refused = is(Refusal::AuthType, "type 1, simple password", "type 0");
        assert_eq!(words(&ours, advert(seconds(1)), 255), refused);
    }

    #[test]
    fn a_unicast_instance_names_its_peers_and_their_limits() {
        let mut config = config(seconds(1));
        let mut unicast = Unicast::to([[10, 0, 0, 3].into()]);
        unicast.check_source = true;
        config.delivery = Delivery::Unicast(unicast.clone());
        let refused = is(Refusal::Source, "one of the peers 10.0.0.3", "10.0.0.2");
        assert_eq!(words(&config, advert(seconds(1)), 255), refused);
        let mut near = Peer::new(PEER.into());
        near.min_ttl = Some(254);
        unicast.peers.push(near);
        config.delivery = Delivery::Unicast(unicast);
        assert_eq!(words(&config, advert(seconds(1)), 9), is(Refusal::Ttl, "254 to 255", "9"));
    }

    #[test]
    fn any_reason_has_words_for_any_octets() {
        let config = config(seconds(1));
        let whole = [0x21; 40];
        for &refusal in Refusal::ALL {
            for length in 0..=whole.len() {
                let datagram = Datagram::new(Endpoints::v4(PEER, GROUP), 255, &whole[..length]);
                let Mismatch { expected, came } = Mismatch::new(&config, refusal, &datagram);
                assert!(!expected.is_empty() && !came.is_empty());
            }
        }
    }
}
