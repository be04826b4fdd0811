//! Adverts in UDP datagrams, for networks and hosts where protocol 112 does not get through.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use lvs_core::Family;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv4RecvTtl, Ipv6RecvPacketInfo};
use socket2::{Protocol, SockAddr, Socket, Type};
use tokio::io::unix::AsyncFd;

use crate::endpoints::Datagram;
use crate::refusal::Refusal;
use crate::socket::{Incoming, Outgoing};
use crate::transport::raw::{
    domain, enlarge_buffer, join, payload, poll_readable, receive, send_all, watched,
};
use crate::transport::{Arrivals, Arrived, Departures, Listen, Receiver, Sender, Transport};

/// Adverts as the payload of UDP datagrams, to a group or to unicast peers.
///
/// No other implementation of VRRP understands this: all routers have to use it, with the same port. It is for
/// clouds that drop protocol 112, for demonstrations and for tests: it needs no privileges (Linux 5.7 or later).
/// The rules about TTL, source and destination are those of raw sockets. Routers of one host hear each other too, if
/// each has an address of its own ([`at`](Self::at)). Authentication headers do not travel here: an instance that wants
/// them is at fault.
///
/// ```no_run
/// use lvs_vrrp::{Config, Driver, InstanceConfig, Interval, Priority, UdpTransport, Unicast, Vrid};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let router = Config::new(Interval::centis(20)?, Priority::new(150)?);
/// let vip = [10, 0, 0, 100].into();
/// let mut instance = InstanceConfig::new("VI_1", "eth0", Vrid::new(51)?, vec![vip], router);
/// instance.delivery = lvs_vrrp::Delivery::Unicast(Unicast::to([[10, 0, 0, 2].into()]));
///
/// let transport = UdpTransport::new(11_112);
/// let (driver, handle, events) = Driver::with_transport(vec![instance], transport)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct UdpTransport {
    port: u16,
    address: Option<IpAddr>,
    sent: Option<Sent>,
}

/// From which ports and addresses the open senders have sent: what comes from there is our own, which multicast loops
/// back to us as to the other routers of the host.
type Sent = Arc<Mutex<BTreeSet<SocketAddr>>>;

fn lock(sent: &Sent) -> MutexGuard<'_, BTreeSet<SocketAddr>> {
    // Nothing is done under the lock that could leave it half done.
    sent.lock().unwrap_or_else(PoisonError::into_inner)
}

impl UdpTransport {
    /// Sends to this port, and listens at it at all addresses of an interface.
    #[must_use]
    pub const fn new(port: u16) -> Self {
        Self { port, address: None, sent: None }
    }

    /// The same, listening at this address of the host and to groups only, and sending from it unless an instance
    /// says otherwise: so that several routers have room on one host. The other addresses of the host are then those of
    /// other routers.
    #[must_use]
    pub const fn at(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }
}

impl Transport for UdpTransport {
    fn receiver(&mut self, listen: &Listen<'_>) -> io::Result<Box<dyn Receiver>> {
        listen.channel.check_is_plain()?;
        let any = match listen.channel.family() {
            Family::Ipv4 => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            Family::Ipv6 => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        };
        let nothing = BTreeSet::new();
        let sockets = match self.address(listen.channel.family()) {
            None => vec![self.listening(listen, any, listen.groups)?],
            Some(address) => {
                let mut sockets = vec![self.listening(listen, address, &nothing)?];
                // What is bound to an address of the host does not hear what is sent to a group.
                for &group in listen.groups {
                    sockets.push(self.listening(listen, group, &BTreeSet::from([group]))?);
                }
                sockets
            }
        };
        Ok(Box::new(UdpReceiver { sockets, first: 0, sent: self.sent() }))
    }

    fn sender(&mut self, interface: &str, _index: u32, family: Family) -> io::Result<Box<dyn Sender>> {
        let socket = Socket::new(domain(family), Type::DGRAM, Some(Protocol::UDP))?;
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.set_nonblocking(true)?;
        let any = match family {
            Family::Ipv4 => {
                socket.set_multicast_loop_v4(true)?;
                IpAddr::from(Ipv4Addr::UNSPECIFIED)
            }
            Family::Ipv6 => {
                socket.set_multicast_loop_v6(true)?;
                socket.set_only_v6(true)?;
                IpAddr::from(Ipv6Addr::UNSPECIFIED)
            }
        };
        socket.bind(&SockAddr::from(SocketAddr::new(any, 0)))?;
        let own_port = socket.local_addr()?.as_socket().map_or(0, |address| address.port());
        let (port, sent) = (self.port, self.sent());
        Ok(Box::new(UdpSender { socket, port, own_port, sources: BTreeSet::new(), sent }))
    }

    fn address(&self, family: Family) -> Option<IpAddr> {
        self.address.filter(|address| Family::of(address) == family && !address.is_unspecified())
    }
}

impl UdpTransport {
    fn sent(&mut self) -> Sent {
        Arc::clone(self.sent.get_or_insert_default())
    }

    fn listening(
        &self,
        listen: &Listen<'_>,
        address: IpAddr,
        groups: &BTreeSet<IpAddr>,
    ) -> io::Result<AsyncFd<Socket>> {
        let family = listen.channel.family();
        let socket = Socket::new(domain(family), Type::DGRAM, Some(Protocol::UDP))?;
        socket.bind_device(Some(listen.interface.as_bytes()))?;
        socket.set_nonblocking(true)?;
        // Several routers on one host may listen to one group.
        socket.set_reuse_address(!listen.groups.is_empty())?;
        let address = match address {
            IpAddr::V4(address) => {
                socket.set_multicast_all_v4(false)?;
                setsockopt(&socket, Ipv4PacketInfo, &true)?;
                setsockopt(&socket, Ipv4RecvTtl, &true)?;
                SocketAddr::from((address, self.port))
            }
            IpAddr::V6(address) => {
                socket.set_only_v6(true)?;
                socket.set_multicast_all_v6(false)?;
                setsockopt(&socket, Ipv6RecvPacketInfo, &true)?;
                socket.set_recv_hoplimit_v6(true)?;
                // Link-local ones and groups are those of an interface.
                SocketAddr::from(SocketAddrV6::new(address, self.port, 0, listen.index))
            }
        };
        enlarge_buffer(&socket)?;
        socket.bind(&SockAddr::from(address))?;
        join(&socket, listen.index, groups)?;
        watched(socket)
    }
}

#[derive(Debug)]
struct UdpReceiver {
    sockets: Vec<AsyncFd<Socket>>,
    /// The one to be asked first, as another one may give more than there is room for.
    first: usize,
    sent: Sent,
}

impl Receiver for UdpReceiver {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut result = Poll::Pending;
        // All are polled, so that each of them will wake the task.
        for socket in &self.sockets {
            let readable = poll_readable(socket, cx);
            if readable.is_ready() && !matches!(result, Poll::Ready(Err(_))) {
                result = readable;
            }
        }
        result
    }

    fn receive(&mut self, arrivals: &mut Arrivals) -> io::Result<bool> {
        let result = self.receive_all(arrivals);
        arrivals.retain(|arrived| arrived.err() != Some(Refusal::OwnAddress));
        result
    }
}

impl UdpReceiver {
    /// Takes what waits, and marks what is our own.
    fn receive_all(&mut self, arrivals: &mut Arrivals) -> io::Result<bool> {
        let sent = lock(&self.sent);
        let is_ours = |incoming: &Incoming| {
            incoming.source.is_some_and(|source| sent.contains(&SocketAddr::new(source.ip(), source.port())))
        };
        let kind = |incoming: &Incoming| match is_ours(incoming) {
            true => Arrived::Refused(Refusal::OwnAddress),
            false => payload(incoming),
        };
        let (late, early) = self.sockets.split_at(self.first.min(self.sockets.len()));
        for (place, socket) in early.iter().chain(late).enumerate() {
            if arrivals.is_full() || receive(socket, arrivals, kind)? {
                self.first = (self.first + place + 1) % self.sockets.len();
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[derive(Debug)]
struct UdpSender {
    socket: Socket,
    port: u16,
    own_port: u16,
    /// The addresses that it has sent from to groups, as the receivers know.
    sources: BTreeSet<IpAddr>,
    sent: Sent,
}

impl UdpSender {
    fn note_sources(&mut self, departures: &Departures) {
        for Datagram { endpoints, .. } in departures.iter() {
            let source = endpoints.source();
            if endpoints.destination().is_multicast() && !self.sources.contains(&source) {
                let mut sent = lock(&self.sent);
                if self.sources.len() >= MAX_SOURCES {
                    sent.retain(|address| address.port() != self.own_port);
                    self.sources.clear();
                }
                self.sources.insert(source);
                sent.insert(SocketAddr::new(source, self.own_port));
            }
        }
    }
}

impl Drop for UdpSender {
    fn drop(&mut self) {
        lock(&self.sent)
            .retain(|address| !(address.port() == self.own_port && self.sources.contains(&address.ip())));
    }
}

/// Addresses that one sender remembers; more than an interface has at a time.
const MAX_SOURCES: usize = 1024;

impl Sender for UdpSender {
    fn send(&mut self, departures: &Departures, failed: &mut Vec<(usize, io::Error)>) {
        self.note_sources(departures);
        send_all(&self.socket, departures, failed, |_, datagram| Outgoing {
            octets: datagram.payload,
            destination: SockAddr::from(SocketAddr::new(datagram.endpoints.destination(), self.port)),
            from: Some((datagram.endpoints.source(), datagram.ttl)),
        });
    }
}
