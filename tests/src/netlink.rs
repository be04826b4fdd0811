//! The few rtnetlink requests that build a test network: one datagram instead of one `ip` process each, which matters
//! on an emulated machine. Written apart from the crates under test, so that it can judge them.

use std::io::{self, Read, Write};
use std::sync::{Mutex, PoisonError};

use socket2::{Domain, Protocol, Socket, Type};

/// A socket that belongs to the namespace that it was opened in, wherever it is used from.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: Mutex<Socket>,
}

impl Netlink {
    /// Opens a socket in the namespace of this thread.
    pub(crate) fn open() -> io::Result<Netlink> {
        let socket = Socket::new(
            Domain::from(libc::AF_NETLINK),
            Type::RAW,
            Some(Protocol::from(libc::NETLINK_ROUTE)),
        )?;
        socket.set_read_timeout(Some(ANSWER_LIMIT))?;
        Ok(Netlink { socket: Mutex::new(socket) })
    }

    /// Sends a request and waits for the kernel's word on it.
    pub(crate) fn apply(&self, request: Request) -> io::Result<()> {
        self.exchange(request, ACKNOWLEDGE).map(drop)
    }

    /// Asks for one object.
    pub(crate) fn get(&self, request: Request) -> io::Result<Vec<Message>> {
        self.exchange(request, ACKNOWLEDGE)
    }

    /// Asks for all objects of a kind.
    pub(crate) fn dump(&self, request: Request) -> io::Result<Vec<Message>> {
        self.exchange(request, DUMP)
    }

    fn exchange(&self, request: Request, flags: u16) -> io::Result<Vec<Message>> {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let mut socket: &Socket = &socket;
        socket.write_all(&request.finish(flags))?;
        let mut messages = Vec::new();
        let mut buffer = vec![0; 65536];
        loop {
            let length = socket.read(&mut buffer)?;
            let mut rest = &buffer[..length];
            while let Some((kind, body, next)) = split_message(rest) {
                rest = next;
                match i32::from(kind) {
                    libc::NLMSG_DONE => return Ok(messages),
                    libc::NLMSG_ERROR => match body.first_chunk().map(|code| i32::from_ne_bytes(*code)) {
                        Some(0) => return Ok(messages),
                        Some(code) => return Err(io::Error::from_raw_os_error(-code)),
                        None => return Err(io::Error::from(io::ErrorKind::InvalidData)),
                    },
                    _ => messages.push(Message { body: body.to_vec() }),
                }
            }
        }
    }
}

/// A request under construction.
pub(crate) struct Request {
    kind: u16,
    flags: u16,
    body: Vec<u8>,
}

impl Request {
    /// `kind` is RTM_…, `flags` are further NLM_F_… flags, `header` is the family's fixed part.
    pub(crate) fn new(kind: u16, flags: i32, header: &[u8]) -> Request {
        let flags = u16::try_from(flags).unwrap_or_default();
        Request { kind, flags, body: header.to_vec() }
    }

    /// Appends an attribute.
    pub(crate) fn attribute(mut self, kind: u16, value: &[u8]) -> Request {
        append(&mut self.body, kind, value);
        self
    }

    /// Appends a text attribute.
    pub(crate) fn text(self, kind: u16, value: &str) -> Request {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes)
    }

    fn finish(self, flags: u16) -> Vec<u8> {
        let length = u32::try_from(HEADER + self.body.len()).unwrap_or(u32::MAX);
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(self.kind.to_ne_bytes());
        bytes.extend((flags | self.flags).to_ne_bytes());
        bytes.extend(1_u32.to_ne_bytes());
        bytes.extend(0_u32.to_ne_bytes());
        bytes.extend(self.body);
        bytes
    }
}

/// Appends an attribute to a nest under construction.
pub(crate) fn append(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// An answer: the family's fixed part and attributes.
pub(crate) struct Message {
    body: Vec<u8>,
}

impl Message {
    /// The byte at `offset` of the fixed part.
    pub(crate) fn byte(&self, offset: usize) -> u8 {
        self.body.get(offset).copied().unwrap_or_default()
    }

    /// The number at `offset` of the fixed part.
    pub(crate) fn number(&self, offset: usize) -> u32 {
        self.body
            .get(offset..)
            .and_then(|rest| rest.first_chunk())
            .map_or(0, |bytes| u32::from_ne_bytes(*bytes))
    }

    /// The value of the first attribute `kind` behind a fixed part of `header` bytes.
    pub(crate) fn attribute(&self, header: usize, kind: u16) -> Option<&[u8]> {
        let mut rest = self.body.get(header..)?;
        loop {
            let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
            let found = u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?);
            let value = rest.get(4..length)?;
            if found & NOT_FLAGS == kind {
                return Some(value);
            }
            rest = rest.get(length.next_multiple_of(4)..)?;
        }
    }
}

fn split_message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    let body = bytes.get(HEADER..length)?;
    Some((kind, body, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

const HEADER: usize = 16;
/// NLM_F_REQUEST | NLM_F_ACK
const ACKNOWLEDGE: u16 = 0x1 | 0x4;
/// NLM_F_REQUEST | NLM_F_DUMP
const DUMP: u16 = 0x1 | 0x300;
/// NLA_TYPE_MASK
const NOT_FLAGS: u16 = 0x3fff;
const ANSWER_LIMIT: std::time::Duration = std::time::Duration::from_secs(30);
