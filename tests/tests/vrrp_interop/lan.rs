//! The two hosts of a row, what runs on them, and what passes between them.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use lvs_tests::peers::{Frr, FrrRouter};
use lvs_tests::{Capture, Frame, Host, Mac, Process, Segment, peers, poll_until};

use crate::row::{Family, Peer, Row, VRID};

/// The addresses of a host besides its link-local one.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) v4: &'static str,
    pub(crate) v6: &'static str,
}

pub(crate) const OURS: Place = Place { v4: "10.9.0.1", v6: "fd00:9::1" };
pub(crate) const THEIRS: Place = Place { v4: "10.9.0.2", v6: "fd00:9::2" };

pub(crate) struct Lan {
    pub(crate) row: Row,
    pub(crate) us: Host,
    pub(crate) them: Host,
    /// All adverts on their interface: ours as they arrive, theirs as they leave.
    wire: Capture,
    our_mac: Mac,
    _segment: Segment,
}

/// An advert on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) ours: bool,
    pub(crate) priority: u8,
}

/// The other side.
pub(crate) enum Opponent<'a> {
    Keepalived(Process),
    Frr(Frr<'a>),
}

impl Lan {
    pub(crate) fn new(row: Row) -> Self {
        let segment = Segment::new();
        let [us, them] = [("us", OURS), ("them", THEIRS)].map(|(name, place)| {
            let host = Host::new(name);
            host.connect(&segment, "eth0", &format!("{}/24", place.v4));
            host.add_address("eth0", &format!("{}/64", place.v6));
            host
        });
        let wire = Capture::start(&them, "eth0", |frame| advert(frame).is_some());
        Self { row, our_mac: us.mac("eth0"), us, them, wire, _segment: segment }
    }

    /// The address that our adverts come from (VR-001, VR-005, VR-223).
    pub(crate) fn our_source(&self) -> IpAddr {
        let place = match (self.row.family, self.row.unicast) {
            (Family::V4, _) => OURS.v4,
            (Family::V6, true) => OURS.v6,
            (Family::V6, false) => {
                let addresses = self.us.addresses("eth0").into_iter().map(|address| address.network.address);
                let is_link_local = |address: &IpAddr| match address {
                    IpAddr::V6(address) => address.is_unicast_link_local(),
                    IpAddr::V4(_) => false,
                };
                let virtual_ones = self.row.addresses();
                let mut own =
                    addresses.filter(is_link_local).filter(|address| !virtual_ones.contains(address));
                return own.next().expect("the kernel gave it a link-local address");
            }
        };
        place.parse().expect("an address")
    }

    pub(crate) fn ours(&self, priority: u8, centis: u16) -> Process {
        peers::lvsd(&self.us, &self.row.config(true, priority, centis), &[])
    }

    pub(crate) fn theirs(&self, priority: u8, centis: u16) -> Opponent<'_> {
        match self.row.peer {
            Peer::Keepalived => {
                let config = self.row.config(false, priority, centis);
                Opponent::Keepalived(peers::keepalived(&self.them, &config))
            }
            Peer::Frr => {
                let router = FrrRouter {
                    device: "eth0",
                    vrid: VRID,
                    version: self.row.version,
                    priority,
                    centis,
                    preempt: true,
                    addresses: &self.row.addresses(),
                };
                Opponent::Frr(peers::frr(&self.them, &router))
            }
        }
    }

    /// Forgets what passed so far.
    pub(crate) fn clear(&self) {
        self.wire.clear();
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        let seen = |frame: &Frame| {
            let advert = advert(frame)?;
            let ours = frame.source_mac() == Some(self.our_mac);
            Some(Seen { at: frame.at, ours, priority: advert[2] })
        };
        self.wire.frames().iter().filter_map(seen).collect()
    }

    /// The frames that we sent, as they arrived.
    pub(crate) fn our_frames(&self) -> Vec<Frame> {
        self.wire.frames().into_iter().filter(|frame| frame.source_mac() == Some(self.our_mac)).collect()
    }

    pub(crate) fn our_mac(&self) -> Mac {
        self.our_mac
    }

    /// Waits for an advert of one side with this priority; it may have been seen already.
    pub(crate) fn wait_for(&self, ours: bool, priority: u8, limit: Duration) -> Instant {
        let what =
            format!("{}: an advert {priority} of {}", self.row.name(), if ours { "ours" } else { "theirs" });
        poll_until(limit, &what, || {
            let seen = self.seen();
            let found =
                seen.iter().find(|seen| seen.ours == ours && seen.priority == priority).map(|seen| seen.at);
            found.ok_or_else(|| format!("{:?}", Summary(&seen)))
        })
    }

    /// Whether all virtual addresses are on our interface, or none.
    pub(crate) fn we_own(&self) -> Result<bool, String> {
        let present: Vec<IpAddr> =
            self.us.addresses("eth0").into_iter().map(|address| address.network.address).collect();
        let virtual_ones = self.row.addresses();
        let held = virtual_ones.iter().filter(|address| present.contains(address)).count();
        match held {
            0 => Ok(false),
            all if all == virtual_ones.len() => Ok(true),
            _ => Err(format!("{held} of {} virtual addresses", virtual_ones.len())),
        }
    }

    pub(crate) fn wait_to_own(&self, expected: bool, limit: Duration) {
        poll_until(limit, &format!("{}: we own the addresses: {expected}", self.row.name()), || {
            if self.we_own()? == expected { Ok(()) } else { Err("the opposite".to_owned()) }
        });
    }
}

impl Opponent<'_> {
    pub(crate) fn log(&self) -> String {
        match self {
            Opponent::Keepalived(process) => process.log(),
            Opponent::Frr(frr) => frr.log(),
        }
    }

    /// An orderly end, with priority 0.
    pub(crate) fn terminate(&self) {
        match self {
            Opponent::Keepalived(process) => process.terminate(),
            Opponent::Frr(frr) => frr.terminate(),
        };
    }

    /// `kill -9` of all of it at one moment.
    pub(crate) fn crash(&self) {
        match self {
            Opponent::Keepalived(process) => process.crash(),
            Opponent::Frr(frr) => frr.vrrpd().crash(),
        }
    }
}

/// The VRRP message, behind an authentication header (RFC 4302 §2: 24 octets here) or not.
fn advert(frame: &Frame) -> Option<&[u8]> {
    let ip = frame.ip()?;
    let message = match ip.protocol {
        112 => ip.payload,
        51 => ip.payload.get(24..)?,
        _ => return None,
    };
    if message.len() >= 8 && message[1] == VRID { Some(message) } else { None }
}

/// The last few adverts, for messages.
struct Summary<'a>(&'a [Seen]);

impl std::fmt::Debug for Summary<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} adverts", self.0.len())?;
        let last = self.0.len().saturating_sub(12);
        for seen in &self.0[last..] {
            write!(f, ", {} {}", if seen.ours { "ours" } else { "theirs" }, seen.priority)?;
        }
        Ok(())
    }
}
