//! Receives and sends many datagrams by one system call, with the addresses and the hop limit of each, and asks for the MTU.

// What `nix` has for this keeps pointers between calls, so that a driver could not move to its thread.
#![allow(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::{io, mem, ptr};

use socket2::SockAddr;

/// A datagram to be sent.
pub(crate) struct Outgoing<'a> {
    pub(crate) octets: &'a [u8],
    pub(crate) destination: SockAddr,
    /// Source address and TTL or hop limit, where they are not in the octets.
    pub(crate) from: Option<(IpAddr, u8)>,
}

/// What the kernel says about a datagram that it received, beside the octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Incoming {
    /// Number of octets.
    pub(crate) length: usize,
    /// It was longer than the room for it.
    pub(crate) is_cut: bool,
    pub(crate) source: Option<SocketAddr>,
    /// Where `IP_PKTINFO` or `IPV6_RECVPKTINFO` is on.
    pub(crate) destination: Option<IpAddr>,
    /// Where `IP_RECVTTL` or `IPV6_RECVHOPLIMIT` is on.
    pub(crate) ttl: Option<u8>,
}

/// Most datagrams of one call.
pub(crate) const BATCH: usize = 16;

/// Sends the datagrams that `message` names for `first..last`, at most [`BATCH`]; answers how many left, at
/// least one. The error is that of the first.
pub(crate) fn send<'a>(
    socket: BorrowedFd<'_>,
    first: usize,
    last: usize,
    message: impl Fn(usize) -> Outgoing<'a>,
) -> io::Result<usize> {
    // A lone datagram is the usual case and needs no large space.
    match last.saturating_sub(first) {
        0 => Ok(0),
        1 => send_some::<1>(socket, first, last, message),
        _ => send_some::<BATCH>(socket, first, last, message),
    }
}

fn send_some<'a, const N: usize>(
    socket: BorrowedFd<'_>,
    first: usize,
    last: usize,
    message: impl Fn(usize) -> Outgoing<'a>,
) -> io::Result<usize> {
    let count = N.min(last - first);
    let messages: [Option<Outgoing<'a>>; N] =
        std::array::from_fn(|place| (place < count).then(|| message(first + place)));
    let mut vectors = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; N];
    let mut controls = [Control::EMPTY; N];
    let mut headers = [NO_HEADER; N];
    let parts = vectors.iter_mut().zip(&mut controls).zip(&mut headers);
    for (message, ((vector, control), header)) in messages.iter().flatten().zip(parts) {
        vector.iov_base = message.octets.as_ptr().cast_mut().cast();
        vector.iov_len = message.octets.len();
        let header = &mut header.msg_hdr;
        header.msg_iov = vector;
        header.msg_iovlen = 1;
        header.msg_name = message.destination.as_ptr().cast_mut().cast();
        header.msg_namelen = message.destination.len();
        if let Some((source, ttl)) = message.from {
            control.fill(header, source, ttl);
        }
    }
    // Bounded by `BATCH`.
    let count = u32::try_from(count).unwrap_or(0);
    // SAFETY: `count` headers are filled in; what they point to, which is only read, lives until the end of this
    // function.
    let sent =
        unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, libc::MSG_DONTWAIT as _) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Receives what waits into the rooms, as many datagrams as there are rooms but at most [`BATCH`], and says what
/// each is; answers how many came, at least one.
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    rooms: &mut [impl AsMut<[u8]>],
    incoming: &mut [Incoming],
) -> io::Result<usize> {
    let count = rooms.len().min(incoming.len()).min(BATCH);
    let mut vectors = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH];
    let mut controls = [Control::EMPTY; BATCH];
    let mut headers = [NO_HEADER; BATCH];
    // SAFETY: all-zero octets are an address of the unspecified family.
    let mut names: [libc::sockaddr_in6; BATCH] = unsafe { mem::zeroed() };
    let parts = vectors.iter_mut().zip(&mut controls).zip(&mut headers).zip(&mut names);
    for (room, (((vector, control), header), name)) in rooms.iter_mut().take(count).zip(parts) {
        let room = room.as_mut();
        vector.iov_base = room.as_mut_ptr().cast();
        vector.iov_len = room.len();
        let header = &mut header.msg_hdr;
        header.msg_iov = vector;
        header.msg_iovlen = 1;
        header.msg_name = ptr::from_mut(name).cast();
        header.msg_namelen = SOCKADDR_IN6;
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = size_of::<Control>() as _;
    }
    let limit = u32::try_from(count).unwrap_or(0);
    // SAFETY: `limit` headers are filled in, and what they point to is exclusively ours until the end of this
    // function.
    let received = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            limit,
            libc::MSG_DONTWAIT as _,
            ptr::null_mut(),
        )
    };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    for ((header, name), incoming) in headers.iter().zip(&names).zip(incoming.iter_mut()).take(received) {
        *incoming = Incoming {
            length: usize::try_from(header.msg_len).unwrap_or(0),
            is_cut: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            source: socket_address(name),
            ..Incoming::default()
        };
        read_control(&header.msg_hdr, incoming);
    }
    Ok(received)
}

/// The MTU of an interface, in octets.
pub(crate) fn mtu(socket: BorrowedFd<'_>, interface: &str) -> io::Result<u32> {
    // SAFETY: all-zero octets are a request about an interface without a name.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    let name = interface.as_bytes();
    // With a zero behind it.
    if name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name) {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    // SAFETY: the kernel reads the name, which ends with a zero, and writes the MTU, both in our request.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFMTU as _, &raw mut request) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel filled in this variant, of which any octets are a number.
    let mtu = unsafe { request.ifr_ifru.ifru_mtu };
    u32::try_from(mtu).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Room for the control messages of one datagram: at most an `in6_pktinfo` of 20 octets and an `int`, each with
/// its header; aligned as headers have to be.
#[derive(Clone, Copy)]
struct Control([u64; 10]);

impl Control {
    const EMPTY: Self = Self([0; 10]);

    /// Adds source address and TTL or hop limit.
    fn fill(&mut self, header: &mut libc::msghdr, source: IpAddr, ttl: u8) {
        let ttl = libc::c_int::from(ttl);
        header.msg_control = self.0.as_mut_ptr().cast();
        header.msg_controllen = size_of::<Self>() as _;
        // SAFETY: the header points to our octets, which are aligned and have room for two control messages.
        let length = unsafe {
            match source {
                IpAddr::V4(source) => {
                    let source = libc::in_addr { s_addr: u32::from_ne_bytes(source.octets()) };
                    let any = libc::in_addr { s_addr: 0 };
                    let from = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: any };
                    let (ip, pktinfo) = (libc::IPPROTO_IP, libc::IP_PKTINFO);
                    put_two(header, (ip, pktinfo, from), (ip, libc::IP_TTL, ttl))
                }
                IpAddr::V6(source) => {
                    let source = libc::in6_addr { s6_addr: source.octets() };
                    let from = libc::in6_pktinfo { ipi6_addr: source, ipi6_ifindex: 0 };
                    let (ip, pktinfo) = (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO);
                    put_two(header, (ip, pktinfo, from), (ip, libc::IPV6_HOPLIMIT, ttl))
                }
            }
        };
        header.msg_controllen = length as _;
    }
}

/// A control message: level, type, data.
type Message<T> = (libc::c_int, libc::c_int, T);

/// Writes two control messages; answers how many octets they take.
///
/// # Safety
/// The header points to room for both.
unsafe fn put_two<T: Copy, U: Copy>(header: &libc::msghdr, one: Message<T>, two: Message<U>) -> usize {
    // SAFETY: what the caller promises; the second is looked for when the first has its length.
    unsafe {
        let first = libc::CMSG_FIRSTHDR(header);
        let length = put(first, one);
        length + put(libc::CMSG_NXTHDR(header, first), two)
    }
}

/// Writes a control message; answers how many octets it takes.
///
/// # Safety
/// `at` points to room for it.
unsafe fn put<T: Copy>(at: *mut libc::cmsghdr, (level, kind, value): Message<T>) -> usize {
    // Control messages are a few octets long.
    let size = u32::try_from(size_of::<T>()).unwrap_or(0);
    // SAFETY: what the caller promises; data need not be aligned.
    unsafe {
        (*at).cmsg_level = level;
        (*at).cmsg_type = kind;
        (*at).cmsg_len = libc::CMSG_LEN(size) as _;
        libc::CMSG_DATA(at).cast::<T>().write_unaligned(value);
        libc::CMSG_SPACE(size) as usize
    }
}

fn read_control(header: &libc::msghdr, incoming: &mut Incoming) {
    // SAFETY: the kernel has filled in the header and its control messages; each is only read as what its kind is.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(header);
        while !next.is_null() {
            match ((*next).cmsg_level, (*next).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let information: libc::in_pktinfo = data(next);
                    let address = Ipv4Addr::from(information.ipi_addr.s_addr.to_ne_bytes());
                    incoming.destination = Some(address.into());
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let information: libc::in6_pktinfo = data(next);
                    incoming.destination = Some(information.ipi6_addr.s6_addr.into());
                }
                (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                    incoming.ttl = u8::try_from(data::<libc::c_int>(next)).ok();
                }
                _ => {}
            }
            next = libc::CMSG_NXTHDR(header, next);
        }
    }
}

/// What a control message holds.
///
/// # Safety
/// It is whole, and `T` is the type of its data.
unsafe fn data<T: Copy>(message: *const libc::cmsghdr) -> T {
    // SAFETY: what the caller promises; data need not be aligned.
    unsafe { libc::CMSG_DATA(message).cast::<T>().read_unaligned() }
}

/// Both kinds of address begin with family and port; one of IPv4 follows where IPv6 has the flow.
fn socket_address(name: &libc::sockaddr_in6) -> Option<SocketAddr> {
    let port = u16::from_be(name.sin6_port);
    match libc::c_int::from(name.sin6_family) {
        libc::AF_INET => Some((Ipv4Addr::from(name.sin6_flowinfo.to_ne_bytes()), port).into()),
        libc::AF_INET6 => Some((Ipv6Addr::from(name.sin6_addr.s6_addr), port).into()),
        _ => None,
    }
}

const SOCKADDR_IN6: libc::socklen_t = 28;

// SAFETY: a header of zeros points to nothing and has no length.
const NO_HEADER: libc::mmsghdr = unsafe { mem::zeroed() };
