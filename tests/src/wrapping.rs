//! What a packet is wrapped in on its way through a tunnel; read apart from the crates under test.

use crate::frame::Ip;

/// How an IP packet is carried in another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrapping {
    /// IP in IP (RFC 2003, RFC 2473, RFC 4213): protocol 4 or 41.
    Ip,
    /// Generic UDP encapsulation (draft-ietf-intarea-gue), to this port.
    Gue {
        /// The UDP destination port.
        port: u16,
        /// The UDP checksum is there (it is not zero).
        checksum: bool,
        /// There are extension fields; Linux has none but remote checksum offload.
        extended: bool,
    },
    /// Generic routing encapsulation (RFC 2784): protocol 47.
    Gre {
        /// The checksum field is there.
        checksum: bool,
    },
}

impl<'a> Ip<'a> {
    /// The packet inside this one, if it is one of a tunnel. Every UDP datagram that can be read as one of GUE is taken
    /// for that.
    pub fn unwrapped(&self) -> Option<(Wrapping, Ip<'a>)> {
        let (wrapping, protocol, inner) = match self.protocol {
            IPIP | IPV6 => (Wrapping::Ip, self.protocol, self.payload),
            UDP => {
                let [_, _, port @ .., _, _, sum_high, sum_low, flags, protocol, _, _] =
                    *self.payload.first_chunk::<12>()?;
                // Version 0, a data message; five bits for the length of the extension in words.
                let extension = usize::from(flags & 0x1f) * 4;
                if flags & 0xe0 != 0 {
                    return None;
                }
                let wrapping = Wrapping::Gue {
                    port: u16::from_be_bytes(port),
                    checksum: [sum_high, sum_low] != [0, 0],
                    extended: extension != 0,
                };
                (wrapping, protocol, self.payload.get(12 + extension..)?)
            }
            GRE => {
                let [flags, version, kind @ ..] = *self.payload.first_chunk::<4>()?;
                let checksum = flags & 0x80 != 0;
                // No key, no sequence number, version 0.
                if flags & 0x7f != 0 || version != 0 {
                    return None;
                }
                let protocol = match u16::from_be_bytes(kind) {
                    0x0800 => IPIP,
                    0x86dd => IPV6,
                    _ => return None,
                };
                (Wrapping::Gre { checksum }, protocol, self.payload.get(if checksum { 8 } else { 4 }..)?)
            }
            _ => return None,
        };
        let inner = Ip::parse(inner)?;
        (protocol == if inner.source.is_ipv4() { IPIP } else { IPV6 }).then_some((wrapping, inner))
    }
}

const IPIP: u8 = 4;
const UDP: u8 = 17;
const IPV6: u8 = 41;
const GRE: u8 = 47;

#[cfg(test)]
mod tests {
    use super::*;

    /// 10.0.0.1 to 10.0.0.2, protocol 6, port 1 to port 2.
    const INNER: [u8; 24] = [0x45, 0, 0, 24, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 1, 0, 2];

    fn outer(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = INNER[..20].to_vec();
        packet[3] = u8::try_from(20 + payload.len()).expect("short");
        packet[9] = protocol;
        packet.extend(payload);
        packet
    }

    #[test]
    fn each_wrapping_is_told_apart_and_the_packet_inside_is_found() {
        let with = |header: &[u8]| [header, &INNER].concat();
        let gue = |checksum, extended| Wrapping::Gue { port: 6080, checksum, extended };
        for (packet, expected) in [
            (outer(4, &INNER), Wrapping::Ip),
            (outer(47, &with(&[0, 0, 8, 0])), Wrapping::Gre { checksum: false }),
            (outer(47, &with(&[0x80, 0, 8, 0, 1, 2, 0, 0])), Wrapping::Gre { checksum: true }),
            (outer(17, &with(&[9, 9, 23, 192, 0, 36, 0, 0, 0, 4, 0, 0])), gue(false, false)),
            (outer(17, &with(&[9, 9, 23, 192, 0, 36, 7, 0, 0, 4, 0, 0])), gue(true, false)),
            (outer(17, &with(&[9, 9, 23, 192, 0, 40, 7, 0, 1, 4, 1, 0, 1, 2, 3, 4])), gue(true, true)),
        ] {
            let (wrapping, inner) =
                Ip::parse(&packet).and_then(|ip| ip.unwrapped()).expect("a tunnel's packet");
            assert_eq!((wrapping, inner.ports()), (expected, Some((1, 2))));
            for length in 0..packet.len() {
                let _ =
                    Ip::parse(&packet[..length]).and_then(|ip| ip.unwrapped().map(|(wrapping, _)| wrapping));
            }
        }
        for packet in [outer(6, &INNER[20..]), outer(41, &INNER), outer(47, &with(&[0x20, 0, 8, 0]))] {
            assert_eq!(Ip::parse(&packet).and_then(|ip| ip.unwrapped().map(|(wrapping, _)| wrapping)), None);
        }
    }
}
