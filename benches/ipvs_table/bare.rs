//! The floor: sends prepared netlink messages in batches, or reads dumps to their end, and does nothing else.
//!
//! ```text
//! ipvs_bare send FILE MESSAGES    all messages of the file, that many in one system call, one acknowledgement each
//! ipvs_bare dump FILE             each message of the file asks for a dump; its answer is read and thrown away
//! ```
//!
//! Prints the microseconds from the first system call on the open socket to the last. `ipvs_table` prepares the files.

// A program for developers: what it cannot do ends it, with a reason.
#![allow(clippy::panic)]

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, sendto, setsockopt,
    socket, sockopt,
};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["send", file, messages] => send(file, messages.parse().context("MESSAGES is a number")?),
        ["dump", file] => dump(file),
        _ => bail!("expected: send FILE MESSAGES, or dump FILE"),
    }
}

fn send(file: &str, at_once: usize) -> Result<()> {
    let mut bytes = std::fs::read(file).with_context(|| format!("read {file}"))?;
    let socket = open()?;
    let mut buffer = vec![0; DATAGRAM];
    let start = Instant::now();
    let mut from = 0;
    while from < bytes.len() {
        let (mut to, mut last) = (from, from);
        for _ in 0..at_once {
            if to == bytes.len() {
                break;
            }
            last = to;
            to += header(&bytes, to)?.length;
        }
        bytes[last + 6] |= NLM_F_ACK;
        let sequence = header(&bytes, last)?.sequence;
        sendto(socket.as_raw_fd(), &bytes[from..to], &NetlinkAddr::new(0, 0), MsgFlags::empty())
            .context("send")?;
        while !acknowledged(&socket, &mut buffer, sequence)? {}
        from = to;
    }
    println!("{}", start.elapsed().as_micros());
    Ok(())
}

/// Reads one datagram of acknowledgements and errors; whether the last message of the batch was among them.
fn acknowledged(socket: &OwnedFd, buffer: &mut [u8], last: u32) -> Result<bool> {
    let length = recv(socket.as_raw_fd(), buffer, MsgFlags::empty()).context("receive")?;
    let mut at = 0;
    while at < length {
        let message = header(&buffer[..length], at)?;
        ensure!(message.kind == NLMSG_ERROR, "an answer of type {}", message.kind);
        let code = number(buffer, at + 16)?;
        ensure!(code == 0, "message {} was refused with {}", message.sequence, code.cast_signed());
        if message.sequence == last {
            return Ok(true);
        }
        at += message.length;
    }
    Ok(false)
}

fn dump(file: &str) -> Result<()> {
    let bytes = std::fs::read(file).with_context(|| format!("read {file}"))?;
    let socket = open()?;
    let mut buffer = vec![0; DATAGRAM];
    let start = Instant::now();
    let mut from = 0;
    while from < bytes.len() {
        let to = from + header(&bytes, from)?.length;
        sendto(socket.as_raw_fd(), &bytes[from..to], &NetlinkAddr::new(0, 0), MsgFlags::empty())
            .context("send")?;
        loop {
            let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()).context("receive")?;
            // The end of a dump is a datagram of its own, or the last message of one.
            if ends(&buffer[..length])? {
                break;
            }
        }
        from = to;
    }
    println!("{}", start.elapsed().as_micros());
    Ok(())
}

fn ends(datagram: &[u8]) -> Result<bool> {
    let mut at = 0;
    while at < datagram.len() {
        let message = header(datagram, at)?;
        ensure!(message.kind != NLMSG_ERROR, "a dump was refused");
        if message.kind == NLMSG_DONE {
            return Ok(true);
        }
        at += message.length;
    }
    Ok(false)
}

fn open() -> Result<OwnedFd> {
    let netlink =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkGeneric)
            .context("make a socket")?;
    bind(netlink.as_raw_fd(), &NetlinkAddr::new(0, 0)).context("bind")?;
    setsockopt(&netlink, sockopt::SndBufForce, &BUFFER).context("set the send buffer")?;
    setsockopt(&netlink, sockopt::RcvBufForce, &BUFFER).context("set the receive buffer")?;
    Ok(netlink)
}

struct Header {
    /// With padding.
    length: usize,
    kind: u16,
    sequence: u32,
}

fn header(bytes: &[u8], at: usize) -> Result<Header> {
    let length = usize::try_from(number(bytes, at)?)?;
    ensure!(length >= 16, "a message of {length} bytes");
    let kind =
        bytes.get(at + 4..at + 6).and_then(|kind| kind.try_into().ok()).context("a message was cut off")?;
    let kind = u16::from_ne_bytes(kind);
    Ok(Header { length: length.next_multiple_of(4), kind, sequence: number(bytes, at + 8)? })
}

fn number(bytes: &[u8], at: usize) -> Result<u32> {
    let bytes =
        bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).context("a message was cut off")?;
    Ok(u32::from_ne_bytes(bytes))
}

const BUFFER: usize = 4 << 20;
const DATAGRAM: usize = 64 << 10;
// include/uapi/linux/netlink.h
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// The low octet of the flags.
const NLM_F_ACK: u8 = 4;
