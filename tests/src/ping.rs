//! An ICMP echo from inside a test host, without a program for it.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

/// Asks `address` every 100 ms until it answers; fails with `TimedOut` after `limit`, or with the kernel's error at once.
pub(crate) fn ping(address: IpAddr, limit: Duration) -> io::Result<()> {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let (domain, protocol, request, reply) = match address {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4, 8, 0),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6, 128, 129),
    };
    let mut socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    socket.connect(&SocketAddr::new(address, 0).into())?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        socket.send(&echo(request, number))?;
        let sent = Instant::now();
        let mut buffer = [0; 256];
        while sent.elapsed() < Duration::from_millis(100) {
            let length = match socket.read(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            // A raw socket of IPv4 hands out the IP header too.
            let header = if address.is_ipv4() { usize::from(buffer[0] & 0x0f) * 4 } else { 0 };
            let message = buffer.get(header..length).unwrap_or_default();
            if message.first() == Some(&reply) && message.get(4..6) == Some(&number.to_be_bytes()) {
                return Ok(());
            }
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// RFC 792, RFC 4443: type, code, checksum, identifier, sequence number. The kernel fills in the checksum of ICMPv6.
fn echo(kind: u8, number: u16) -> [u8; 8] {
    let [high, low] = number.to_be_bytes();
    let sum = u32::from(kind) * 0x100 + u32::from(number);
    let [sum_high, sum_low] = (!u16::try_from(sum % 0xffff).unwrap_or_default()).to_be_bytes();
    [kind, 0, sum_high, sum_low, high, low, 0, 0]
}
