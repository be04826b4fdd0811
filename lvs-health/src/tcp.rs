//! TCP_CHECK: a server serves if it accepts a connection in time.

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use lvs_core::check::{Check, Failure, Success};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use crate::error::{ProbeError, Stage};

/// Connects and closes (keepalived: `TCP_CHECK`). Nothing is sent.
///
/// The connection is closed as keepalived closes it, with FIN and without waiting: `SO_LINGER` stays off, so neither a
/// RST surprises the server nor can the close block. The address to ask is part of the check: the real server's, or
/// keepalived's `connect_ip` and `connect_port`.
///
/// When this host has no descriptor left, the probe waits for one within its timeout: that is no fault of the server's.
///
/// ```no_run
/// use std::time::Duration;
/// use lvs_health::TcpCheck;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let check = TcpCheck::new("192.0.2.10:80".parse()?, Duration::from_secs(2)).bind_to("192.0.2.1:0".parse()?);
/// let took = check.probe().await?;
/// println!("connected within {took:?}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TcpCheck {
    server: SocketAddr,
    source: Option<SocketAddr>,
    timeout: Duration,
}

impl TcpCheck {
    /// A check of that address; `timeout` (keepalived's `connect_timeout`) bounds the whole probe.
    #[must_use]
    pub const fn new(server: SocketAddr, timeout: Duration) -> Self {
        Self { server, source: None, timeout }
    }

    /// The source address (`bindto`) and port (`bind_port`; 0: any).
    #[must_use]
    pub const fn bind_to(mut self, source: SocketAddr) -> Self {
        self.source = Some(source);
        self
    }

    /// Asks once; the time that it took to connect. Cancelling it closes the socket.
    ///
    /// # Errors
    /// No connection within the timeout; the error says why.
    pub async fn probe(&self) -> Result<Duration, ProbeError> {
        let started = Instant::now();
        let stream = self.connect(started).await?;
        let took = started.elapsed();
        drop(stream);
        Ok(took)
    }

    /// A connection that is established before `started` + timeout.
    pub(crate) async fn connect(&self, started: Instant) -> Result<TcpStream, ProbeError> {
        let socket = loop {
            match self.socket() {
                Ok(socket) => break socket,
                Err(source) if is_shortage(&source) && started.elapsed() < self.timeout => {
                    tokio::time::sleep(SHORTAGE_PAUSE).await;
                }
                Err(source) => return Err(ProbeError::Local { operation: "open socket", source }),
            }
        };
        if let Some(source) = self.source {
            // A fixed port may still be in TIME_WAIT from the last probe.
            let _ = socket.set_reuse_address(source.port() != 0);
            socket
                .bind(&source.into())
                .map_err(|source| ProbeError::Local { operation: "bind source address", source })?;
        }
        let connecting = TcpSocket::from_std_stream(socket.into()).connect(self.server);
        match within(started, self.timeout, connecting).await {
            Some(connected) => connected.map_err(|source| ProbeError::from_io(Stage::Connecting, source)),
            None => Err(ProbeError::TimedOut { stage: Stage::Connecting, after: self.timeout }),
        }
    }

    fn socket(&self) -> std::io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(self.server), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    #[cfg(feature = "http")]
    pub(crate) const fn server(&self) -> SocketAddr {
        self.server
    }

    #[cfg(feature = "http")]
    pub(crate) const fn timeout(&self) -> Duration {
        self.timeout
    }
}

#[async_trait]
impl Check for TcpCheck {
    async fn check(&self) -> Result<Success, Failure> {
        self.probe().await?;
        Ok(Success::new("connected"))
    }
}

/// Whether this host lacks what other probes will give back: descriptors or memory.
fn is_shortage(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::OutOfMemory || SHORTAGES.contains(&error.raw_os_error().unwrap_or(0))
}

/// What `future` gives before `started` + `limit`. A limit beyond the clock's range never passes.
pub(crate) async fn within<F: Future>(started: Instant, limit: Duration, future: F) -> Option<F::Output> {
    match started.checked_add(limit) {
        Some(deadline) => tokio::time::timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}

/// EMFILE, ENFILE and ENOBUFS of Linux. Elsewhere the last has another number, which only means no second try.
const SHORTAGES: [i32; 3] = [24, 23, 105];
/// Short beside any timeout, long beside the attempt.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests;
