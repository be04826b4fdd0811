//! A server that says who it is and whom it sees, and its client: over TCP, UDP and SCTP.
//!
//! A message is one line. Its answer is one line too: the server's name, the client's address as the server sees it, how
//! many messages of this conversation there were, and the message itself.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::host::Host;

/// What carries a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// A stream.
    Tcp,
    /// A datagram for each message.
    Udp,
    /// A stream, too (one-to-one style, RFC 6458 §4).
    Sctp,
}

/// A running server; ends when dropped.
#[derive(Debug)]
pub struct EchoServer {
    socket: Arc<Socket>,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

/// One client's open socket.
#[derive(Debug)]
pub struct Conversation {
    socket: Socket,
    from: SocketAddr,
    /// What came behind the last answer.
    unread: Vec<u8>,
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The name of the server's host.
    pub server: String,
    /// The client as the server sees it.
    pub client: SocketAddr,
    /// Which message of the conversation this was, from 1.
    pub count: u64,
    /// The message.
    pub text: String,
}

impl EchoServer {
    /// Starts one on that address of `host`; when this returns, it listens.
    #[track_caller]
    pub fn start(host: &Host, transport: Transport, address: SocketAddr) -> EchoServer {
        let listening = host.run(|| listen(transport, address));
        let socket = listening
            .unwrap_or_else(|error| panic!("serve {transport:?} on {address} of {}: {error}", host.name()));
        let (socket, stop) = (Arc::new(socket), Arc::new(AtomicBool::new(false)));
        let (server, stopped) = (Arc::clone(&socket), Arc::clone(&stop));
        let name = host.name().to_owned();
        let reader = thread::spawn(move || match transport {
            Transport::Udp => serve_datagrams(&server, &name, &stopped),
            Transport::Tcp | Transport::Sctp => serve_streams(&server, &name, &stopped),
        });
        EchoServer { socket, stop, reader: Some(reader) }
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the reader also where it is an error.
        let _ = self.socket.shutdown(Shutdown::Both);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Conversation {
    /// Opens a socket of `host` with the source address `from`, and connects it to `to`. The source port is one that this
    /// process has not used before: what a kernel remembers of other conversations never meets this one.
    pub fn open(
        host: &Host,
        transport: Transport,
        from: IpAddr,
        to: SocketAddr,
        limit: Duration,
    ) -> io::Result<Conversation> {
        static NEXT: AtomicU16 = AtomicU16::new(FIRST_PORT);
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!((FIRST_PORT..EPHEMERAL_PORTS).contains(&port), "more conversations than ports");
        let from = SocketAddr::new(from, port);
        let socket = host.run(|| {
            let socket = socket(transport, to)?;
            socket.bind(&SockAddr::from(from))?;
            socket.connect_timeout(&SockAddr::from(to), limit)?;
            Ok::<_, io::Error>(socket)
        })?;
        Ok(Conversation { socket, from, unread: Vec::new() })
    }

    /// The client's own address and port.
    #[must_use]
    pub fn from(&self) -> SocketAddr {
        self.from
    }

    /// Sends a message and waits for the next answer. Of UDP, a datagram that is lost is not sent again.
    pub fn say(&mut self, text: &str, limit: Duration) -> io::Result<Answer> {
        self.socket.set_write_timeout(Some(limit))?;
        (&self.socket).write_all(format!("{text}\n").as_bytes())?;
        self.hear(limit)
    }

    /// Waits for the next answer.
    pub fn hear(&mut self, limit: Duration) -> io::Result<Answer> {
        let deadline = Instant::now() + limit;
        let mut buffer = vec![0; LONGEST_DATAGRAM];
        let end = loop {
            if let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
                break end;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.socket.set_read_timeout(Some(left))?;
            match (&self.socket).read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.unread.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(error) => return Err(error),
            }
        };
        let line: Vec<u8> = self.unread.drain(..=end).collect();
        Answer::parse(&line).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an echo"))
    }
}

impl Answer {
    fn parse(line: &[u8]) -> Option<Answer> {
        let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
        let mut words = line.splitn(4, ' ');
        let server = words.next()?.to_owned();
        let client = words.next()?.parse().ok()?;
        let count = words.next()?.parse().ok()?;
        Some(Answer { server, client, count, text: words.next()?.to_owned() })
    }
}

fn answer(name: &str, client: SocketAddr, count: u64, message: &[u8]) -> Vec<u8> {
    let mut answer = format!("{name} {client} {count} ").into_bytes();
    answer.extend_from_slice(message);
    answer
}

fn socket(transport: Transport, address: SocketAddr) -> io::Result<Socket> {
    let (kind, protocol) = match transport {
        Transport::Tcp => (Type::STREAM, Protocol::TCP),
        Transport::Udp => (Type::DGRAM, Protocol::UDP),
        Transport::Sctp => (Type::STREAM, Protocol::from(libc::IPPROTO_SCTP)),
    };
    Socket::new(Domain::for_address(address), kind, Some(protocol))
}

fn listen(transport: Transport, address: SocketAddr) -> io::Result<Socket> {
    let socket = socket(transport, address)?;
    socket.set_read_timeout(Some(STOP_LIMIT))?;
    socket.bind(&SockAddr::from(address))?;
    if transport != Transport::Udp {
        socket.listen(128)?;
    }
    Ok(socket)
}

fn serve_datagrams(socket: &Socket, name: &str, stop: &AtomicBool) {
    let Ok(socket) = socket.try_clone().map(UdpSocket::from) else { return };
    let mut counts = BTreeMap::<SocketAddr, u64>::new();
    let mut buffer = vec![0; LONGEST_DATAGRAM];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, client)) = socket.recv_from(&mut buffer) else { continue };
        let count = counts.entry(client).or_default();
        *count += 1;
        let _ = socket.send_to(&answer(name, client, *count, &buffer[..length]), client);
    }
}

fn serve_streams(listener: &Socket, name: &str, stop: &Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let Ok((stream, client)) = listener.accept() else { continue };
        let Some(client) = client.as_socket() else { continue };
        let (name, stop) = (name.to_owned(), Arc::clone(stop));
        // Ends with its client, or half a second after the server.
        thread::spawn(move || converse(stream, client, &name, &stop));
    }
}

fn converse(mut stream: Socket, client: SocketAddr, name: &str, stop: &AtomicBool) {
    let _ = stream.set_read_timeout(Some(STOP_LIMIT));
    let (mut line, mut count) = (Vec::new(), 0);
    let mut buffer = vec![0; LONGEST_DATAGRAM];
    while !stop.load(Ordering::Relaxed) {
        match stream.read(&mut buffer) {
            Ok(length @ 1..) => line.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Ok(0) | Err(_) => return,
        }
        while let Some(end) = line.iter().position(|&byte| byte == b'\n') {
            count += 1;
            let message: Vec<u8> = line.drain(..=end).collect();
            if stream.write_all(&answer(name, client, count, &message)).is_err() {
                return;
            }
        }
        if line.len() > LONGEST_LINE {
            return;
        }
    }
}

/// How long a reader needs at most to see that it is to stop.
const STOP_LIMIT: Duration = Duration::from_millis(500);
const LONGEST_DATAGRAM: usize = 65_536;
const LONGEST_LINE: usize = 16 << 20;
/// Source ports of conversations lie below those that the kernel gives out by itself (`ip_local_port_range`).
const FIRST_PORT: u16 = 10_000;
const EPHEMERAL_PORTS: u16 = 32_768;
