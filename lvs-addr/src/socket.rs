//! A packet socket that only sends: whole Ethernet frames, to any interface.

#![allow(unsafe_code)]

use std::io;
use std::time::Duration;

use lvs_core::MacAddress;
use socket2::{Domain, SockAddr, SockAddrStorage, Socket, Type};
use tokio::io::unix::AsyncFd;

/// A non-blocking `AF_PACKET` socket of protocol 0: it receives nothing.
#[derive(Debug)]
pub(crate) struct PacketSocket {
    fd: AsyncFd<Socket>,
}

impl PacketSocket {
    /// Needs `CAP_NET_RAW`. Must be called inside a tokio runtime.
    pub(crate) fn open() -> io::Result<Self> {
        let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking().cloexec(), None)?;
        #[allow(deprecated, reason = "its successor, AsyncFd::register, needs a newer tokio than we ask for")]
        let fd = AsyncFd::new(socket)?;
        Ok(Self { fd })
    }

    /// Sends one frame, waiting a little if the socket or the interface's queue is full. Safe to cancel.
    pub(crate) async fn send(&self, frame: &[u8], to: &SockAddr) -> io::Result<()> {
        let mut tries = 0;
        loop {
            let result = match tokio::time::timeout(PATIENCE, self.fd.writable()).await {
                Ok(ready) => ready?.try_io(|fd| fd.get_ref().send_to(frame, to)),
                Err(elapsed) => return Err(elapsed.into()),
            };
            match result {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) if error.raw_os_error() == Some(libc::ENOBUFS) && tries < QUEUE_FULL_TRIES => {
                    tries += 1;
                    tokio::time::sleep(QUEUE_FULL_PAUSE).await;
                }
                Ok(Err(error)) => return Err(error),
                Err(_would_block) => {}
            }
        }
    }
}

/// The address of an Ethernet station behind the interface with that index, for frames of that type.
pub(crate) fn station(index: u32, ethertype: u16, mac: MacAddress) -> io::Result<SockAddr> {
    let index = i32::try_from(index).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: sockaddr_ll is one of the socket address types, all-zero is a valid value of it.
    let address: &mut libc::sockaddr_ll = unsafe { storage.view_as() };
    address.sll_family = AF_PACKET;
    address.sll_protocol = ethertype.to_be();
    address.sll_ifindex = index;
    address.sll_halen = 6;
    for (place, octet) in address.sll_addr.iter_mut().zip(mac.octets()) {
        *place = octet;
    }
    // SAFETY: the storage holds a complete sockaddr_ll, and the length is that of one.
    Ok(unsafe { SockAddr::new(storage, SOCKADDR_LL) })
}

#[allow(clippy::cast_possible_truncation, reason = "it is 17")]
const AF_PACKET: libc::sa_family_t = libc::AF_PACKET as libc::sa_family_t;
#[allow(clippy::cast_possible_truncation, reason = "it is 20")]
const SOCKADDR_LL: libc::socklen_t = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
/// Longest wait for room in the socket's send buffer.
const PATIENCE: Duration = Duration::from_secs(1);
/// The interface's queue was full: how often and after which pause a frame is tried again.
const QUEUE_FULL_TRIES: u32 = 20;
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(1);
