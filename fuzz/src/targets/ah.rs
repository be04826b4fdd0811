use lvs_core::Family;
use lvs_vrrp::{
    Advert, AhSender, AuthPass, Authentication, Datagram, Delivery, Demux, Endpoints, Interval, Ipv4Header,
    Listener, Peer, Refusal, Unicast, Vrid,
};

use super::{GROUP, OWN, PEER};

/// Input: octets of which the first 8 are a key, the next one says whether to send to a peer, three say which octet of
/// the datagram is changed and how; the rest is judged as a datagram of protocol 51.
///
/// What was made with a key is believed once by whoever has it, and is believed changed only where a router may change
/// it. What was not is never believed.
pub fn ah(input: &[u8]) {
    let Some((&[key @ .., to_peer, at_high, at_low, change], datagram)) = input.split_first_chunk::<12>()
    else {
        return;
    };
    let key = AuthPass::truncated(&key);
    let is_unicast = to_peer & 1 != 0;

    let one = demux(key, is_unicast).accept_ipv4(datagram);
    if let Ok(sequence) = one {
        // Somebody found octets that this key made: then it is the format that was met, and the key in it.
        assert!(sequence > 0);
    }

    let sent = datagram_of(key, is_unicast);
    let mut receiver = demux(key, is_unicast);
    assert_eq!(receiver.accept_ipv4(&sent), Ok(1));
    assert_eq!(receiver.accept_ipv4(&sent), Err(Refusal::Replay));

    let mut changed = sent.clone();
    let at = usize::from(u16::from_be_bytes([at_high, at_low])) % changed.len();
    changed[at] ^= change;
    let may_change = change == 0
        || matches!(at, 1 | 10 | 11)
        || (at == 6 && change & 0x3f == 0)
        || (at == 8 && is_unicast);
    assert_eq!(
        demux(key, is_unicast).accept_ipv4(&changed).is_ok(),
        may_change,
        "octet {at} changed by {change:#x}"
    );
}

/// A demultiplexer that hears datagrams as they come from a socket.
struct Receiver(Demux);

impl Receiver {
    /// The number of the authentication header.
    fn accept_ipv4(&mut self, octets: &[u8]) -> Result<u32, Refusal> {
        let datagram = Datagram::from_ipv4(octets)?;
        let accepted = self.0.accept(&datagram).map_err(|refused| refused.refusal)?;
        accepted.sequence.ok_or(Refusal::AhHeader)
    }
}

fn demux(key: AuthPass, is_unicast: bool) -> Receiver {
    let delivery = match is_unicast {
        true => Delivery::Unicast(Unicast::to([])),
        false => Delivery::to_group(Family::Ipv4),
    };
    let delivery = match delivery {
        Delivery::Unicast(mut unicast) => {
            unicast.peers.push(Peer::new(PEER.into()));
            Delivery::Unicast(unicast)
        }
        group => group,
    };
    let listener = Listener::new(vrid(), second(), delivery);
    let mut demux = Demux::new();
    demux.insert(0, listener.with_authentication(Authentication::Ah(key)));
    Receiver(demux)
}

fn datagram_of(key: AuthPass, is_unicast: bool) -> Vec<u8> {
    let destination = if is_unicast { OWN } else { GROUP };
    let vips = [OWN];
    let advert =
        Advert::new(vrid(), lvs_vrrp::Advertised::from_octet(100), second(), &vips).expect("one address");
    let (mut message, mut datagram) = (Vec::new(), Vec::new());
    let endpoints = Endpoints::v4(PEER, destination);
    advert.with_authentication(Authentication::Ah(key)).write_to(&endpoints, &mut message);
    AhSender::new(key).write_to(&Ipv4Header { source: PEER, destination, ttl: 255 }, &message, &mut datagram);
    datagram
}

fn vrid() -> Vrid {
    Vrid::new(51).expect("in range")
}

fn second() -> Interval {
    Interval::seconds(1).expect("in range")
}
