//! The socket itself: opening it with its options, sending and receiving datagrams under a deadline.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use netlink_sys::{Socket as NetlinkSocket, SocketAddr};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

use crate::error::Error;
use crate::message::Frames;

/// Which part of the kernel a socket talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// Links, addresses, routes, rules, neighbours (`NETLINK_ROUTE`), with strict checking of dump requests.
    Route,
    /// Families found by name, such as IPVS (`NETLINK_GENERIC`).
    Generic,
}

/// How a socket is opened.
///
/// ```
/// use std::time::Duration;
/// use lvs_netlink::{Options, Protocol, Socket};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let options = Options::default().with_timeout(Duration::from_secs(1)).with_batch(100);
/// let socket = Socket::open_with(Protocol::Route, &options)?;
/// # drop(socket);
/// # Ok::<(), lvs_netlink::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) timeout: Duration,
    pub(crate) batch: usize,
    send_buffer: usize,
    receive_buffer: usize,
    netns: Option<Arc<OwnedFd>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            batch: 200,
            send_buffer: 512 * 1024,
            receive_buffer: 4 * 1024 * 1024,
            netns: None,
        }
    }
}

impl Options {
    /// The longest wait for the next answer. Default 5 s.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The most requests in one send, at least 1. Default 200; fewer are used if the receive buffer could not
    /// hold as many error messages.
    #[must_use]
    pub fn with_batch(self, batch: usize) -> Self {
        Self { batch: batch.max(1), ..self }
    }

    /// Bytes that the socket may have in flight to the kernel. Default 512 KiB. Without `CAP_NET_ADMIN` the
    /// kernel caps it at `net.core.wmem_max`.
    #[must_use]
    pub fn with_send_buffer(self, bytes: usize) -> Self {
        Self { send_buffer: bytes, ..self }
    }

    /// Bytes that may wait to be read (the kernel counts its own overhead too: an address notification is about
    /// 800 bytes). Default 4 MiB. Without `CAP_NET_ADMIN` the kernel caps it at `net.core.rmem_max`.
    #[must_use]
    pub fn with_receive_buffer(self, bytes: usize) -> Self {
        Self { receive_buffer: bytes, ..self }
    }

    /// The network namespace that the socket belongs to, as an open file such as `/run/netns/NAME`. Default:
    /// that of the calling thread. Needs `CAP_SYS_ADMIN`.
    #[must_use]
    pub fn with_netns(self, netns: OwnedFd) -> Self {
        Self { netns: Some(Arc::new(netns)), ..self }
    }

    /// Does something in the network namespace of these options: on the calling thread, or, if another namespace was
    /// given, on a thread of its own that enters it and ends. What is opened there (a socket, a file below
    /// `/proc/thread-self/net`) belongs to that namespace for ever.
    ///
    /// ```
    /// use std::fs::File;
    /// use lvs_netlink::Options;
    ///
    /// let table = Options::default().in_netns(|| File::open("/proc/thread-self/net/dev"))?;
    /// # drop(table);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of `act`; of starting the thread; and of entering the namespace, which needs `CAP_SYS_ADMIN`.
    pub fn in_netns<T: Send>(&self, act: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        let Some(netns) = &self.netns else { return act() };
        std::thread::scope(|scope| {
            let inside = || {
                setns(netns, CloneFlags::CLONE_NEWNET)?;
                act()
            };
            let thread = std::thread::Builder::new().name("netns".to_owned()).spawn_scoped(scope, inside)?;
            thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread died")))
        })
    }
}

/// What a socket received and did not use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Datagrams that another process sent; they are ignored.
    pub foreign: u64,
    /// Messages that answer a request whose caller had stopped waiting.
    pub late: u64,
}

/// Why nothing was received.
#[derive(Debug)]
pub(crate) enum Failure {
    Io(io::Error),
    TimedOut,
    /// The receive buffer was full and the kernel dropped messages. What still waits is older than those.
    Overrun,
    /// A datagram was longer than the memory for it and is lost; the next as long will fit.
    Truncated,
}

/// A bound netlink socket and the last datagram it received.
pub(crate) struct Channel {
    fd: AsyncFd<NetlinkSocket>,
    port: u32,
    /// Who may talk to us: 0 is the kernel.
    peer: u32,
    datagram: Vec<u8>,
    datagram_limit: usize,
    /// Datagrams of other processes, ignored.
    pub(crate) foreign: u64,
}

impl Channel {
    /// [`Error::NoRuntime`] outside of a tokio runtime; panics in one without an I/O driver.
    pub(crate) fn open(protocol: Protocol, options: &Options) -> Result<Self, Error> {
        let number = match protocol {
            Protocol::Route => netlink_sys::protocols::NETLINK_ROUTE,
            Protocol::Generic => netlink_sys::protocols::NETLINK_GENERIC,
        };
        let channel = Self::open_number(number, options, KERNEL)?;
        if protocol == Protocol::Route {
            optional("set NETLINK_GET_STRICT_CHK", channel.socket().set_netlink_get_strict_chk(true))?;
        }
        Ok(channel)
    }

    /// Tests play the kernel on `NETLINK_USERSOCK`, hence the number and the peer.
    pub(crate) fn open_number(number: isize, options: &Options, peer: u32) -> Result<Self, Error> {
        // Without one, AsyncFd panics.
        if Handle::try_current().is_err() {
            return Err(Error::NoRuntime);
        }
        // What fails outside of the closure is entering the namespace.
        let socket = options.in_netns(|| Ok(NetlinkSocket::new(number))).map_err(Error::of_namespace)?;
        let mut socket = socket.map_err(io_error("create socket"))?;
        socket.set_non_blocking(true).map_err(io_error("set non-blocking"))?;
        optional("set NETLINK_EXT_ACK", socket.set_ext_ack(true))?;
        optional("set NETLINK_CAP_ACK", socket.set_cap_ack(true))?;
        if setsockopt(&socket, sockopt::RcvBufForce, &options.receive_buffer).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &options.receive_buffer)
                .map_err(|errno| io_error("set SO_RCVBUF")(errno.into()))?;
        }
        if setsockopt(&socket, sockopt::SndBufForce, &options.send_buffer).is_err() {
            setsockopt(&socket, sockopt::SndBuf, &options.send_buffer)
                .map_err(|errno| io_error("set SO_SNDBUF")(errno.into()))?;
        }
        let port = socket.bind_auto().map_err(io_error("bind"))?.port_number();
        #[allow(deprecated, reason = "its successor, AsyncFd::register, needs a newer tokio than we ask for")]
        let fd = AsyncFd::new(socket).map_err(io_error("register with the runtime"))?;
        Ok(Self { fd, port, peer, datagram: Vec::new(), datagram_limit: DATAGRAM, foreign: 0 })
    }

    /// Our address (`nl_pid`), which goes into the headers of requests.
    pub(crate) fn port(&self) -> u32 {
        self.port
    }

    pub(crate) fn join(&self, group: u32) -> Result<(), Error> {
        self.socket().add_membership(group).map_err(io_error("join multicast group"))
    }

    /// Longest datagram that one send takes, bytes.
    pub(crate) fn send_limit(&self) -> usize {
        // The kernel refuses what exceeds the send buffer less 32 bytes.
        getsockopt(&self.fd, sockopt::SndBuf).map_or(SEND, |size| (size / 2).clamp(2048, SEND))
    }

    /// As many answers of failed requests as surely fit the receive buffer.
    pub(crate) fn answer_limit(&self) -> usize {
        getsockopt(&self.fd, sockopt::RcvBuf).map_or(100, |size| (size / ANSWER).max(1))
    }

    pub(crate) async fn send(&self, datagram: &[u8], timeout: Duration) -> Result<(), Failure> {
        let peer = SocketAddr::new(self.peer, 0);
        // There is room for it, nearly always: the kernel handles a request inside the send.
        match self.socket().send_to(datagram, &peer, 0) {
            Ok(_) => return Ok(()),
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            Err(error) => return Err(Failure::Io(error)),
        }
        let deadline = Instant::now() + timeout;
        loop {
            let Ok(ready) = timeout_at(deadline, self.fd.writable()).await else {
                return Err(Failure::TimedOut);
            };
            match ready.map_err(Failure::Io)?.try_io(|fd| fd.get_ref().send_to(datagram, &peer, 0)) {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Err(Failure::Io(error)),
                Err(_would_block) => {}
            }
        }
    }

    /// Waits for the next datagram from the kernel; without a timeout for ever. [`Self::frames`] then reads it.
    ///
    /// Safe to cancel: a datagram is either received completely or not at all.
    pub(crate) async fn receive(&mut self, timeout: Option<Duration>) -> Result<(), Failure> {
        // What the kernel answers is there before the send returns, so waiting is rare. Other tasks run all the same.
        tokio::task::consume_budget().await;
        if let Some(result) = self.receive_pending() {
            return result;
        }
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            let readable = self.fd.readable();
            let ready = match deadline {
                Some(deadline) => timeout_at(deadline, readable).await.map_err(|_| Failure::TimedOut)?,
                None => readable.await,
            };
            let mut ready = ready.map_err(Failure::Io)?;
            self.datagram.clear();
            self.datagram.reserve(self.datagram_limit);
            let datagram = &mut self.datagram;
            // With MSG_TRUNC the length returned is that of the datagram, even if it did not fit.
            let received = ready.try_io(|fd| fd.get_ref().recv_from(datagram, libc::MSG_TRUNC));
            drop(ready);
            let Ok(received) = received else { continue };
            if let Some(result) = self.judge(received) {
                return result;
            }
            // A flood of foreign datagrams must neither keep other tasks from running nor hide that time is up.
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(Failure::TimedOut);
            }
            tokio::task::yield_now().await;
        }
    }

    /// As [`Self::receive`], without waiting: `None` if nothing is there, or only a flood of foreign datagrams.
    pub(crate) fn receive_pending(&mut self) -> Option<Result<(), Failure>> {
        for _ in 0..FOREIGN_AT_ONCE {
            self.datagram.clear();
            self.datagram.reserve(self.datagram_limit);
            let received = self.fd.get_ref().recv_from(&mut self.datagram, libc::MSG_TRUNC);
            if received.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                return None;
            }
            if let Some(result) = self.judge(received) {
                return Some(result);
            }
        }
        None
    }

    /// What became of an attempt to receive; `None` if there is nothing in it for us.
    fn judge(&mut self, received: io::Result<(usize, SocketAddr)>) -> Option<Result<(), Failure>> {
        match received {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Some(Err(Failure::Overrun)),
            Err(error) => Some(Err(Failure::Io(error))),
            Ok((_, from)) if from.port_number() != self.peer => {
                self.foreign = self.foreign.saturating_add(1);
                None
            }
            Ok((length, _)) if length > self.datagram.len() => {
                self.datagram_limit = length.clamp(self.datagram_limit, DATAGRAM_MAX);
                Some(Err(Failure::Truncated))
            }
            Ok(_) => Some(Ok(())),
        }
    }

    /// Throws away all that waits to be read. Ends, since an overrun socket gets nothing new before it is empty.
    pub(crate) fn discard_pending(&mut self) {
        self.datagram.clear();
        self.datagram.reserve(self.datagram_limit);
        loop {
            match self.fd.get_ref().recv_from(&mut self.datagram, 0) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
                Ok(_) => self.datagram.clear(),
            }
        }
        self.datagram.clear();
    }

    /// The messages of the last datagram.
    pub(crate) fn frames(&self) -> Frames<'_> {
        Frames::new(&self.datagram)
    }

    /// The messages of the last datagram's last `remaining` bytes.
    pub(crate) fn frames_from_end(&self, remaining: usize) -> Frames<'_> {
        let start = self.datagram.len().saturating_sub(remaining);
        Frames::new(self.datagram.get(start..).unwrap_or_default())
    }

    fn socket(&self) -> &NetlinkSocket {
        self.fd.get_ref()
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("port", &self.port).field("foreign", &self.foreign).finish()
    }
}

fn io_error(operation: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { operation, source }
}

/// Options that old kernels lack and that only make answers better.
fn optional(operation: &'static str, result: io::Result<()>) -> Result<(), Error> {
    match result {
        Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => {
            tracing::debug!(operation, "not known to this kernel");
            Ok(())
        }
        other => other.map_err(io_error(operation)),
    }
}

/// The kernel's port number.
pub(crate) const KERNEL: u32 = 0;
/// Room for one datagram; the kernel's dumps use at most 32 KiB.
const DATAGRAM: usize = 64 * 1024;
/// Longest datagram that is ever made room for.
const DATAGRAM_MAX: usize = 16 * 1024 * 1024;
/// Most foreign datagrams that are skipped without letting other tasks run.
const FOREIGN_AT_ONCE: u32 = 1000;
/// Most bytes in one send.
const SEND: usize = 128 * 1024;
/// What one error message with its text takes of a receive buffer, overhead included (measured: 768 to 1,280).
const ANSWER: usize = 2048;
