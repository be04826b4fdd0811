//! Raw sockets for adverts over IPv4: one pair per interface, whatever the number of instances.
//!
//! The kernel copies every packet of protocol 112 to every raw socket of that protocol on the device: with
//! one per instance an advert would cost a millisecond at a thousand instances.

use std::collections::BTreeSet;
use std::io;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::task::{Context, Poll};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::RcvBufForce;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockAddr, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::ipv4::PROTOCOL;

/// The sockets of one interface. Both are bound to the device and never block.
#[derive(Debug)]
pub(crate) struct Sockets {
    receive: AsyncFd<Socket>,
    send: Socket,
}

impl Sockets {
    /// Opens both and joins the groups. Needs `CAP_NET_RAW`.
    pub(crate) fn open(interface: &str, index: u32, groups: BTreeSet<Ipv4Addr>) -> io::Result<Self> {
        let receive = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(i32::from(PROTOCOL))))?;
        // Before anything can arrive from another device.
        receive.bind_device(Some(interface.as_bytes()))?;
        receive.set_nonblocking(true)?;
        // Otherwise it would receive all groups that anybody on this host has joined.
        receive.set_multicast_all_v4(false)?;
        enlarge_buffer(&receive)?;
        for group in groups {
            receive.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index))?;
        }

        // A socket of protocol 255 sends datagrams whose header is included and receives nothing.
        let send = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)))?;
        send.bind_device(Some(interface.as_bytes()))?;
        send.set_nonblocking(true)?;
        send.set_header_included_v4(true)?;
        send.set_multicast_loop_v4(false)?;
        // Behind the queue of nobody else: TC_PRIO_CONTROL.
        send.set_priority(7)?;
        Ok(Self { receive: watched(receive)?, send })
    }

    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.receive.poll_read_ready(cx).map(|ready| ready.map(|_| ()))
    }

    /// The next datagram that waits, header included; `None` if none does. What does not fit the buffer is
    /// cut off.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        // First without asking whether there was a notice: a datagram may have come since the last one.
        match read(self.receive.get_ref(), buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            received => return received.map(Some),
        }
        // Then once more in the way that takes the notice back.
        match self.receive.try_io(Interest::READABLE, |socket| read(socket, buffer)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            received => received.map(Some),
        }
    }

    /// Hands a datagram with its header to the kernel.
    pub(crate) fn send(&self, datagram: &[u8], destination: Ipv4Addr) -> io::Result<()> {
        let destination = SockAddr::from(SocketAddrV4::new(destination, 0));
        self.send.send_to(datagram, &destination).map(|_| ())
    }
}

/// A descriptor that wakes the task which polls it when it can be read.
pub(crate) fn watched<T: AsRawFd>(descriptor: T) -> io::Result<AsyncFd<T>> {
    // What replaces it is unsafe, since an `AsRawFd` need not own its descriptor. `Socket` and the timer do.
    #[allow(deprecated)]
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}

fn read(mut socket: &Socket, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match socket.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// The default holds some 260 adverts, less than a router with many neighbours hears while it is not run for
/// a second.
fn enlarge_buffer(socket: &Socket) -> io::Result<()> {
    match setsockopt(socket, RcvBufForce, &RECEIVE_BUFFER) {
        Ok(()) => Ok(()),
        // Without CAP_NET_ADMIN: as much as net.core.rmem_max allows.
        Err(_) => socket.set_recv_buffer_size(RECEIVE_BUFFER),
    }
}

/// 1 MiB: some 1,300 adverts with the kernel's overhead.
const RECEIVE_BUFFER: usize = 1 << 20;
