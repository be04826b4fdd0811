//! Adverts in raw sockets of protocol 112, as the RFC has it: one socket in and one out for each interface and
//! family, whatever the number of instances.
//!
//! The kernel copies every packet of protocol 112 to every raw socket of that protocol on the device: with
//! one per instance an advert would cost a millisecond at a thousand instances.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::task::{Context, Poll};

use lvs_core::Family;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{Ipv6RecvPacketInfo, RcvBufForce};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockAddr, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::endpoints::{Datagram, Endpoints};
use crate::ipv4::{Ipv4Header, PROTOCOL, PROTOCOL_AH};
use crate::refusal::Refusal;
use crate::socket;
use crate::socket::{BATCH, Incoming, Outgoing};
use crate::transport::{Arrivals, Arrived, Channel, Departures, Listen, Receiver, Sender, Transport};

/// Raw sockets: what a [`Driver`](crate::Driver) uses unless told otherwise. Needs `CAP_NET_RAW`.
///
/// Receivers hear the groups that they joined on their own interface, and what is sent to an address of the host
/// through it. Senders write the IP header themselves: the source is what the driver says, the type of service or
/// traffic class CS6 (VR-010), and nothing that is sent comes back. An advert is never fragmented: it has to fit the
/// interface's MTU, and lists no more addresses than do.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawTransport;

impl Transport for RawTransport {
    fn receiver(&mut self, listen: &Listen<'_>) -> io::Result<Box<dyn Receiver>> {
        let socket = listening(listen)?;
        Ok(Box::new(RawReceiver { socket: watched(socket)?, channel: listen.channel }))
    }

    fn sender(&mut self, interface: &str, _index: u32, family: Family) -> io::Result<Box<dyn Sender>> {
        // A socket of protocol 255 sends datagrams whose header is included, and receives nothing.
        let socket = Socket::new(domain(family), Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)))?;
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.set_nonblocking(true)?;
        match family {
            Family::Ipv4 => {
                socket.set_header_included_v4(true)?;
                socket.set_multicast_loop_v4(false)?;
            }
            Family::Ipv6 => {
                socket.set_header_included_v6(true)?;
                socket.set_multicast_loop_v6(false)?;
            }
        }
        // Behind the queue of nobody else: TC_PRIO_CONTROL.
        socket.set_priority(7)?;
        let interface = interface.to_owned();
        Ok(Box::new(RawSender { socket, interface, one: Vec::new(), octets: Vec::new(), ends: Vec::new() }))
    }
}

fn listening(listen: &Listen<'_>) -> io::Result<Socket> {
    let family = listen.channel.family();
    let protocol = match listen.channel {
        Channel::Ipv4 | Channel::Ipv6 => PROTOCOL,
        Channel::Authenticated => PROTOCOL_AH,
    };
    let socket = Socket::new(domain(family), Type::RAW, Some(Protocol::from(i32::from(protocol))))?;
    // Before anything can arrive from another device.
    socket.bind_device(Some(listen.interface.as_bytes()))?;
    socket.set_nonblocking(true)?;
    match family {
        // Otherwise it would receive all groups that anybody on this host has joined.
        Family::Ipv4 => socket.set_multicast_all_v4(false)?,
        Family::Ipv6 => {
            socket.set_multicast_all_v6(false)?;
            // The payload comes without its header. Checksums are ours to judge: `IPV6_CHECKSUM` stays off.
            setsockopt(&socket, Ipv6RecvPacketInfo, &true)?;
            socket.set_recv_hoplimit_v6(true)?;
        }
    }
    enlarge_buffer(&socket)?;
    join(&socket, listen.index, listen.groups)?;
    Ok(socket)
}

/// Joins groups on an interface.
pub(super) fn join(socket: &Socket, index: u32, groups: &BTreeSet<IpAddr>) -> io::Result<()> {
    for group in groups {
        match group {
            IpAddr::V4(group) => {
                socket.join_multicast_v4_n(group, &InterfaceIndexOrAddress::Index(index))?;
            }
            IpAddr::V6(group) => socket.join_multicast_v6(group, index)?,
        }
    }
    Ok(())
}

#[derive(Debug)]
struct RawReceiver {
    socket: AsyncFd<Socket>,
    channel: Channel,
}

impl Receiver for RawReceiver {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        poll_readable(&self.socket, cx)
    }

    fn receive(&mut self, arrivals: &mut Arrivals) -> io::Result<bool> {
        let channel = self.channel;
        receive(&self.socket, arrivals, |incoming| match channel {
            Channel::Ipv4 | Channel::Authenticated => Arrived::Ipv4(incoming.length),
            Channel::Ipv6 => payload(incoming),
        })
    }
}

/// What a payload is whose addresses and hop limit the kernel told.
pub(super) fn payload(incoming: &Incoming) -> Arrived {
    let Incoming { length, is_cut, source: Some(source), destination: Some(destination), ttl: Some(ttl) } =
        *incoming
    else {
        return Arrived::Refused(Refusal::IpHeader);
    };
    match Endpoints::new(source.ip(), destination) {
        _ if is_cut => Arrived::Refused(Refusal::Length),
        Some(endpoints) => Arrived::Payload(endpoints, ttl, length),
        None => Arrived::Refused(Refusal::IpHeader),
    }
}

pub(super) fn poll_readable(socket: &AsyncFd<Socket>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    socket.poll_read_ready(cx).map(|ready| ready.map(|_| ()))
}

/// Takes what waits. Whether there was a notice is not asked: a datagram may have come since the last one.
pub(super) fn receive(
    socket: &AsyncFd<Socket>,
    arrivals: &mut Arrivals,
    kind: impl Fn(&Incoming) -> Arrived,
) -> io::Result<bool> {
    let mut incoming = [Incoming::default(); BATCH];
    loop {
        let free = arrivals.kinds.len();
        let rooms = arrivals.rooms.get_mut(free..).unwrap_or_default();
        let asked = rooms.len();
        match socket::receive(socket.get_ref().as_fd(), rooms, &mut incoming) {
            Ok(count) => {
                arrivals.kinds.extend(incoming.iter().take(count).map(&kind));
                if count == asked {
                    return Ok(true);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        // That was all: takes the notice back. What comes from now on will be noticed anew.
        let _ = socket.try_io(Interest::READABLE, |_| Err::<(), _>(io::ErrorKind::WouldBlock.into()));
        return Ok(false);
    }
}

#[derive(Debug)]
struct RawSender {
    socket: Socket,
    interface: String,
    /// A datagram in the making.
    one: Vec<u8>,
    /// Datagrams with their headers, one behind the other.
    octets: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Sender for RawSender {
    fn send(&mut self, departures: &Departures, failed: &mut Vec<(usize, io::Error)>) {
        let Self { socket, one, octets, ends, .. } = self;
        octets.clear();
        ends.clear();
        for (place, Datagram { endpoints, ttl, payload, .. }) in departures.iter().enumerate() {
            match (departures.whole(place), endpoints) {
                (Some(whole), _) => {
                    one.clear();
                    one.extend_from_slice(whole);
                }
                (None, Endpoints::V4 { source, destination }) => {
                    Ipv4Header { source, destination, ttl }.write_to(payload, one);
                }
                (None, Endpoints::V6 { source, destination }) => {
                    write_ipv6(source, destination, ttl, payload, one);
                }
            }
            octets.extend_from_slice(one);
            ends.push(octets.len());
        }
        send_all(socket, departures, failed, |place, datagram| {
            let start = place.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
            let end = ends.get(place).copied().unwrap_or(start);
            Outgoing {
                octets: octets.get(start..end).unwrap_or_default(),
                destination: SockAddr::from(SocketAddr::new(datagram.endpoints.destination(), 0)),
                from: None,
            }
        });
    }

    fn mtu(&self) -> Option<u32> {
        socket::mtu(self.socket.as_fd(), &self.interface).ok()
    }
}

/// Sends all, in as few calls as can be.
pub(super) fn send_all<'a>(
    socket: &Socket,
    departures: &'a Departures,
    failed: &mut Vec<(usize, io::Error)>,
    outgoing: impl Fn(usize, Datagram<'a>) -> Outgoing<'a>,
) {
    let mut next = 0;
    while next < departures.len() {
        let message = |place| {
            let nobody = Datagram::new(Endpoints::v6(Ipv6Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED), 0, &[]);
            outgoing(place, departures.get(place).unwrap_or(nobody))
        };
        match socket::send(socket.as_fd(), next, departures.len(), message) {
            Ok(count) => next += count.max(1),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                failed.push((next, error));
                next += 1;
            }
        }
    }
}

//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-------+---------------+---------------------------------------+
// |   6   | traffic class |              flow label               |
// +-------+---------------+---------------+-----------------------+
// |        payload length         |next header 112|   hop limit   |
// +-------------------------------+---------------+---------------+
// |              source address, destination address              |
// +---------------------------------------------------------------+

/// Puts header (RFC 8200 §3) and payload into `datagram`, which is emptied first.
fn write_ipv6(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    hop_limit: u8,
    payload: &[u8],
    datagram: &mut Vec<u8>,
) {
    // An advert has at most 4,088 octets.
    let [length_hi, length_lo] = u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes();
    datagram.clear();
    datagram.extend_from_slice(&[0x6c, 0, 0, 0, length_hi, length_lo, PROTOCOL, hop_limit]);
    datagram.extend_from_slice(&source.octets());
    datagram.extend_from_slice(&destination.octets());
    datagram.extend_from_slice(payload);
}

pub(super) const fn domain(family: Family) -> Domain {
    match family {
        Family::Ipv4 => Domain::IPV4,
        Family::Ipv6 => Domain::IPV6,
    }
}

/// A descriptor that wakes the task which polls it when it can be read.
pub(crate) fn watched<T: AsRawFd>(descriptor: T) -> io::Result<AsyncFd<T>> {
    // What replaces it is unsafe, since an `AsRawFd` need not own its descriptor. `Socket` and the timer do.
    #[allow(deprecated)]
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}

/// The default holds some 260 adverts, less than a router with many neighbours hears while it is not run for
/// a second.
pub(super) fn enlarge_buffer(socket: &Socket) -> io::Result<()> {
    match setsockopt(socket, RcvBufForce, &RECEIVE_BUFFER) {
        Ok(()) => Ok(()),
        // Without CAP_NET_ADMIN: as much as net.core.rmem_max allows.
        Err(_) => socket.set_recv_buffer_size(RECEIVE_BUFFER),
    }
}

/// 1 MiB: some 1,300 adverts with the kernel's overhead.
const RECEIVE_BUFFER: usize = 1 << 20;
