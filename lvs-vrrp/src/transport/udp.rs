//! Adverts in UDP datagrams, for networks and hosts where protocol 112 does not get through.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll};

use lvs_core::Family;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv4RecvTtl, Ipv6RecvPacketInfo};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::io::unix::AsyncFd;

use crate::socket::Outgoing;
use crate::transport::raw::{
    domain, enlarge_buffer, join, payload, poll_readable, receive, send_all, watched,
};
use crate::transport::{Arrivals, Departures, Listen, Receiver, Sender, Transport};

/// Adverts as the payload of UDP datagrams, to a group or to unicast peers.
///
/// No other implementation of VRRP understands this: all routers have to use it, with the same port. It is for
/// clouds that drop protocol 112, for demonstrations and for tests: it needs no privileges (Linux 5.7 or later).
/// The rules about TTL, source and destination are those of raw sockets.
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
#[derive(Clone, Copy, Debug)]
pub struct UdpTransport {
    port: u16,
    address: Option<IpAddr>,
}

impl UdpTransport {
    /// Sends to this port, and listens at it at all addresses of an interface.
    #[must_use]
    pub const fn new(port: u16) -> Self {
        Self { port, address: None }
    }

    /// The same, listening at this address only: so that several routers have room on one host.
    #[must_use]
    pub const fn at(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }
}

impl Transport for UdpTransport {
    fn receiver(&mut self, listen: &Listen<'_>) -> io::Result<Box<dyn Receiver>> {
        let family = listen.channel.family();
        let socket = Socket::new(domain(family), Type::DGRAM, Some(Protocol::UDP))?;
        socket.bind_device(Some(listen.interface.as_bytes()))?;
        socket.set_nonblocking(true)?;
        // Several routers on one host may listen to one group.
        socket.set_reuse_address(!listen.groups.is_empty())?;
        let any = match family {
            Family::Ipv4 => {
                socket.set_multicast_all_v4(false)?;
                setsockopt(&socket, Ipv4PacketInfo, &true)?;
                setsockopt(&socket, Ipv4RecvTtl, &true)?;
                IpAddr::from(Ipv4Addr::UNSPECIFIED)
            }
            Family::Ipv6 => {
                socket.set_only_v6(true)?;
                socket.set_multicast_all_v6(false)?;
                setsockopt(&socket, Ipv6RecvPacketInfo, &true)?;
                socket.set_recv_hoplimit_v6(true)?;
                IpAddr::from(Ipv6Addr::UNSPECIFIED)
            }
        };
        enlarge_buffer(&socket)?;
        let address = self.address.filter(|address| Family::of(address) == family).unwrap_or(any);
        socket.bind(&SockAddr::from(SocketAddr::new(address, self.port)))?;
        join(&socket, listen.index, listen.groups)?;
        Ok(Box::new(UdpReceiver { socket: watched(socket)? }))
    }

    fn sender(&mut self, interface: &str, _index: u32, family: Family) -> io::Result<Box<dyn Sender>> {
        let socket = Socket::new(domain(family), Type::DGRAM, Some(Protocol::UDP))?;
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.set_nonblocking(true)?;
        match domain(family) {
            Domain::IPV6 => socket.set_multicast_loop_v6(false)?,
            _ => socket.set_multicast_loop_v4(false)?,
        }
        Ok(Box::new(UdpSender { socket, port: self.port }))
    }
}

#[derive(Debug)]
struct UdpReceiver {
    socket: AsyncFd<Socket>,
}

impl Receiver for UdpReceiver {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        poll_readable(&self.socket, cx)
    }

    fn receive(&mut self, arrivals: &mut Arrivals) -> io::Result<bool> {
        receive(&self.socket, arrivals, payload)
    }
}

#[derive(Debug)]
struct UdpSender {
    socket: Socket,
    port: u16,
}

impl Sender for UdpSender {
    fn send(&mut self, departures: &Departures, failed: &mut Vec<(usize, io::Error)>) {
        send_all(&self.socket, departures, failed, |_, datagram| Outgoing {
            octets: datagram.payload,
            destination: SockAddr::from(SocketAddr::new(datagram.endpoints.destination(), self.port)),
            from: Some((datagram.endpoints.source(), datagram.ttl)),
        });
    }
}
