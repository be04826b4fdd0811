//! Sends whole Ethernet frames from an interface of a test host, whatever they say.

#![allow(unsafe_code)]

use std::io;

use socket2::{Domain, SockAddr, SockAddrStorage, Socket, Type};

use crate::host::Host;

/// A socket that sends frames out of one interface.
#[derive(Debug)]
pub struct Sender {
    socket: Socket,
    to: SockAddr,
    what: String,
}

impl Sender {
    /// Opens it; a program that may send anything needs `CAP_NET_RAW`.
    #[track_caller]
    pub fn new(host: &Host, device: &str) -> Sender {
        let what = format!("send frames from {device} of {}", host.name());
        let to = interface(host.index(device));
        let socket = host.run(|| Socket::new(Domain::PACKET, Type::RAW, None));
        Sender { socket: socket.unwrap_or_else(|error| panic!("cannot {what}: {error}")), to, what }
    }

    /// Sends a frame, from its Ethernet header on.
    #[track_caller]
    pub fn send(&self, frame: &[u8]) {
        let sent = self.socket.send_to(frame, &self.to);
        sent.unwrap_or_else(|error: io::Error| panic!("cannot {}: {error}", self.what));
    }
}

/// The address of an interface: the frame itself says to whom it goes.
fn interface(index: u32) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: sockaddr_ll is one of the socket address types, all-zero is a valid value of it.
    let address: &mut libc::sockaddr_ll = unsafe { storage.view_as() };
    address.sll_family = AF_PACKET;
    address.sll_ifindex = i32::try_from(index).unwrap_or_default();
    // SAFETY: the storage holds a complete sockaddr_ll, and the length is that of one.
    unsafe { SockAddr::new(storage, SOCKADDR_LL) }
}

#[allow(clippy::cast_possible_truncation, reason = "it is 17")]
const AF_PACKET: libc::sa_family_t = libc::AF_PACKET as libc::sa_family_t;
#[allow(clippy::cast_possible_truncation, reason = "it is 20")]
const SOCKADDR_LL: libc::socklen_t = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
