//! HTTP_GET: a server serves if it answers a request with a wanted status, completely and in time.

use std::convert::Infallible;
use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::HeaderValue;
use hyper::http::uri::PathAndQuery;
use hyper::{Request, Version, header};
use hyper_util::rt::TokioIo;
use lvs_core::check::{Check, Failure, Success};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::error::{ConfigError, ProbeError, Stage};
use crate::status::StatusCodes;
use crate::tcp::{TcpCheck, within};

/// Gets a page and looks at its status (keepalived: `HTTP_GET` with one `url`).
///
/// One connection per probe, closed afterwards. What is sent has the form that keepalived 2.2.7 sends; the default is
///
/// ```text
/// GET /path HTTP/1.0
/// User-Agent: lvs-health/0.1.0
/// Host: 192.0.2.10:8080
/// ```
///
/// with the port in `Host` always, unless [`host`](Self::host) replaces it.
///
/// The timeout is one deadline for everything from the connection to the last byte. A hostile or broken server costs at
/// most that time, 64 KiB of memory for the head and what [`body_limit`](Self::body_limit) allows to read (the body is
/// counted and dropped, never stored). Redirects are not followed, bodies are not decompressed, at most 8 interim
/// responses (1xx) are accepted, and an answer that can be read in two ways (HTTP/0.9, two different lengths, a length
/// beside a transfer coding) is a failure.
///
/// Differs from keepalived: it re-arms its `connect_timeout` for each piece that it reads, so that a server which
/// sends a byte now and then is never given up, and reads without limit; it always waits for the end of the
/// connection, so that a server which announces the length and keeps the connection open times out. Here an
/// answer is complete when its framing says so.
///
/// ```no_run
/// use std::time::Duration;
/// use lvs_health::{HttpCheck, StatusCodes};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let check = HttpCheck::new("192.0.2.10:80".parse()?, "/health", Duration::from_secs(2))?
///     .host("www.example.org")?
///     .status(StatusCodes::from_ranges([200..=204])?);
/// println!("status {}", check.probe().await?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct HttpCheck {
    tcp: TcpCheck,
    path: PathAndQuery,
    host: HeaderValue,
    user_agent: HeaderValue,
    protocol: HttpProtocol,
    status: StatusCodes,
    body_limit: u64,
}

impl HttpCheck {
    /// A check of that page; `timeout` (keepalived's `connect_timeout`) bounds the whole probe.
    ///
    /// # Errors
    /// `path` is not a path with an optional query.
    pub fn new(server: SocketAddr, path: &str, timeout: Duration) -> Result<Self, ConfigError> {
        Self::over(TcpCheck::new(server, timeout), path)
    }

    /// A check over the connections that `tcp` makes: its address, source and timeout.
    ///
    /// # Errors
    /// `path` is not a path with an optional query.
    pub fn over(tcp: TcpCheck, path: &str) -> Result<Self, ConfigError> {
        let refused = || ConfigError::Path(path.to_owned());
        let parsed: PathAndQuery = path.parse().map_err(|_| refused())?;
        // The parser drops a fragment and accepts "*" and a missing slash.
        if !path.starts_with('/') || !path.is_ascii() || parsed.as_str() != path {
            return Err(refused());
        }
        let server = tcp.server();
        let host = match server {
            SocketAddr::V4(server) => server.to_string(),
            // Without the zone that an address's own text would show.
            SocketAddr::V6(server) => format!("[{}]:{}", server.ip(), server.port()),
        };
        Ok(Self {
            tcp,
            path: parsed,
            host: header("Host", &host)?,
            user_agent: HeaderValue::from_static(concat!("lvs-health/", env!("CARGO_PKG_VERSION"))),
            protocol: HttpProtocol::default(),
            status: StatusCodes::default(),
            body_limit: Self::DEFAULT_BODY_LIMIT,
        })
    }

    /// 4 MiB.
    pub const DEFAULT_BODY_LIMIT: u64 = 4 << 20;

    /// The `Host` header (keepalived: `virtualhost`), sent as it is; by default the server's address and port.
    ///
    /// # Errors
    /// Not the value of a header.
    pub fn host(mut self, host: &str) -> Result<Self, ConfigError> {
        self.host = header("Host", host)?;
        Ok(self)
    }

    /// The `User-Agent` header (keepalived's is `KeepAliveClient`).
    ///
    /// # Errors
    /// Not the value of a header.
    pub fn user_agent(mut self, user_agent: &str) -> Result<Self, ConfigError> {
        self.user_agent = header("User-Agent", user_agent)?;
        Ok(self)
    }

    /// What the request says that we speak (keepalived: `http_protocol`).
    #[must_use]
    pub const fn protocol(mut self, protocol: HttpProtocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// The status codes that count as serving (keepalived: `status_code`); by default 200–299.
    #[must_use]
    pub const fn status(mut self, status: StatusCodes) -> Self {
        self.status = status;
        self
    }

    /// How many bytes of a body are read, framing excluded; a longer one is a failure.
    #[must_use]
    pub const fn body_limit(mut self, bytes: u64) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Asks once; the status. Cancelling it closes the connection.
    ///
    /// # Errors
    /// No complete answer with a wanted status within the timeout; the error says why.
    pub async fn probe(&self) -> Result<u16, ProbeError> {
        let started = Instant::now();
        let stream = self.tcp.connect(started).await?;
        self.ask(started, stream).await
    }

    async fn ask(&self, started: Instant, stream: TcpStream) -> Result<u16, ProbeError> {
        let (mut sender, connection) = http1::Builder::new()
            .title_case_headers(true)
            .max_buf_size(HEAD_LIMIT)
            .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
            .await
            .map_err(|error| explain(Stage::Head, &error))?;
        let too_many = Arc::new(Notify::new());
        let request = self.request(&too_many);
        let exchange = async {
            let response = within(started, self.tcp.timeout(), sender.send_request(request))
                .await
                .ok_or_else(|| self.late(Stage::Head))?
                .map_err(|error| explain(Stage::Head, &error))?;
            let got = response.status().as_u16();
            if !self.status.contains(got) {
                return Err(ProbeError::Status { got });
            }
            let headers = response.headers();
            if headers.contains_key(header::TRANSFER_ENCODING) && headers.contains_key(header::CONTENT_LENGTH)
            {
                return Err(ProbeError::Malformed("both a length and a transfer coding".to_owned()));
            }
            self.read(started, response.into_body()).await?;
            Ok(got)
        };
        // The exchange only moves while the connection is driven. What goes wrong there, the exchange is told.
        let drive = async {
            let _ = connection.await;
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            biased;
            result = exchange => result,
            () = too_many.notified() => {
                Err(ProbeError::TooLong { what: "interim responses", limit: INTERIM_LIMIT })
            }
            never = drive => match never {},
        }
    }

    /// Reads a body to its end and counts it.
    async fn read(&self, started: Instant, mut body: Incoming) -> Result<(), ProbeError> {
        let mut length = 0_u64;
        loop {
            // A body that never makes us wait would never let the timer speak.
            if started.elapsed() >= self.tcp.timeout() {
                return Err(self.late(Stage::Body));
            }
            let frame = within(started, self.tcp.timeout(), body.frame())
                .await
                .ok_or_else(|| self.late(Stage::Body))?;
            let Some(frame) = frame else { return Ok(()) };
            let frame = frame.map_err(|error| explain(Stage::Body, &error))?;
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            length = length.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
            if length > self.body_limit {
                return Err(ProbeError::TooLong { what: "body", limit: self.body_limit });
            }
        }
    }

    /// The request; `too_many` is told when more interim responses come than are accepted.
    fn request(&self, too_many: &Arc<Notify>) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.path.clone().into();
        *request.version_mut() = match self.protocol {
            HttpProtocol::Http10 | HttpProtocol::Http10Close => Version::HTTP_10,
            HttpProtocol::Http11 => Version::HTTP_11,
        };
        let headers = request.headers_mut();
        headers.insert(header::USER_AGENT, self.user_agent.clone());
        if self.protocol != HttpProtocol::Http10 {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        headers.insert(header::HOST, self.host.clone());
        let too_many = Arc::clone(too_many);
        let seen = AtomicU64::new(0);
        hyper::ext::on_informational(&mut request, move |_| {
            if seen.fetch_add(1, Ordering::Relaxed) >= INTERIM_LIMIT {
                too_many.notify_one();
            }
        });
        request
    }

    const fn late(&self, stage: Stage) -> ProbeError {
        ProbeError::TimedOut { stage, after: self.tcp.timeout() }
    }
}

#[async_trait]
impl Check for HttpCheck {
    async fn check(&self) -> Result<Success, Failure> {
        match self.probe().await {
            Ok(status) => Ok(Success::new(format!("status {status}"))),
            Err(ProbeError::Status { got }) => {
                Err(Failure::new(format!("status {got}, wanted {}", self.status)))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// What a request says that we speak (keepalived: `http_protocol`). This set is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum HttpProtocol {
    /// `1.0`, the default.
    #[default]
    Http10,
    /// `1.0C`: 1.0 with `Connection: close`.
    Http10Close,
    /// `1.1`, always with `Connection: close`.
    Http11,
}

fn header(name: &'static str, value: &str) -> Result<HeaderValue, ConfigError> {
    HeaderValue::from_str(value).map_err(|_| ConfigError::Header { header: name, value: value.to_owned() })
}

/// The reason behind an error of the HTTP machine: the system's if there is one, else the protocol's.
fn explain(stage: Stage, error: &hyper::Error) -> ProbeError {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<io::Error>() {
            // Decoding errors of a body come as these kinds of their own making, without a number of the system.
            return match cause.raw_os_error() {
                Some(number) => ProbeError::from_io(stage, io::Error::from_raw_os_error(number)),
                None if cause.kind() == io::ErrorKind::UnexpectedEof => ProbeError::Closed(stage),
                None => ProbeError::Malformed(cause.to_string()),
            };
        }
        text = cause.to_string();
        source = cause.source();
    }
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return ProbeError::Closed(stage);
    }
    ProbeError::Malformed(text)
}

/// Bytes of a response's head, status line and all headers; also the size of the read buffer.
const HEAD_LIMIT: usize = 64 << 10;
/// Interim responses (1xx) before the final one.
const INTERIM_LIMIT: u64 = 8;

#[cfg(test)]
mod tests;
