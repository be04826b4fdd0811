//! Why a probe failed, or a check could not be configured.

use std::io;
use std::time::Duration;

use lvs_core::check::Failure;

/// Why a probe failed, split by who is at fault.
///
/// The checkers' `probe` methods return it; through [`Check`](lvs_core::check::Check) it becomes a
/// [`Failure`] with the same text.
///
/// ```
/// use lvs_health::ProbeError;
///
/// let error = ProbeError::Status { got: 503 };
/// assert_eq!(error.to_string(), "status 503");
/// assert!(error.is_servers_fault());
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// Nothing listens there.
    #[error("connection refused")]
    Refused,
    /// The server is silent, or too slow to finish in time.
    #[error("timed out after {after:?} {stage}")]
    TimedOut {
        /// What it was waiting for.
        stage: Stage,
        /// The timeout of the whole probe.
        after: Duration,
    },
    /// No way leads to the server (no route, or a router or a firewall says so).
    #[error("unreachable: {0}")]
    Unreachable(#[source] io::Error),
    /// The server, or something between, broke the connection.
    #[error("connection reset {0}")]
    Reset(Stage),
    /// The server ended the connection before its answer was complete.
    #[error("connection closed {0}")]
    Closed(Stage),
    /// The answer does not follow the protocol.
    #[error("malformed response: {0}")]
    Malformed(String),
    /// The answer is longer than the check reads.
    #[error("response {what} exceeds the limit of {limit}")]
    TooLong {
        /// Which part.
        what: &'static str,
        /// How much of it is read: bytes, or interim responses.
        limit: u64,
    },
    /// A status that is not among those wanted.
    #[error("status {got}")]
    Status {
        /// What the server answered, 100 to 999.
        got: u16,
    },
    /// This host could not ask: no descriptor, no free port, the source address is not here.
    #[error("{operation}: {source}")]
    Local {
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Any other error of an established connection.
    #[error("connection failed {stage}: {source}")]
    Connection {
        /// What it was doing.
        stage: Stage,
        /// What the system said.
        source: io::Error,
    },
}

impl ProbeError {
    /// False if this host failed rather than the server or the network between.
    #[must_use]
    pub const fn is_servers_fault(&self) -> bool {
        !matches!(self, Self::Local { .. })
    }

    pub(crate) fn from_io(stage: Stage, source: io::Error) -> Self {
        use io::ErrorKind as Kind;
        match source.kind() {
            Kind::ConnectionRefused => Self::Refused,
            Kind::TimedOut if stage == Stage::Connecting => Self::Unreachable(source),
            Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown => Self::Unreachable(source),
            Kind::ConnectionReset | Kind::BrokenPipe | Kind::ConnectionAborted => Self::Reset(stage),
            Kind::UnexpectedEof => Self::Closed(stage),
            Kind::AddrNotAvailable | Kind::AddrInUse | Kind::PermissionDenied
                if stage == Stage::Connecting =>
            {
                Self::Local { operation: "connect", source }
            }
            _ => Self::Connection { stage, source },
        }
    }
}

impl From<ProbeError> for Failure {
    fn from(error: ProbeError) -> Self {
        Self::new(error.to_string())
    }
}

/// What a probe was doing when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Stage {
    /// The connection is being established.
    #[error("while connecting")]
    Connecting,
    /// The request is sent, the answer's head is not complete.
    #[error("while waiting for the response")]
    Head,
    /// The body is being read.
    #[error("while reading the body")]
    Body,
}

/// A check cannot be made from these values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The path of a request.
    #[error("path {0:?}: must start with '/' and contain no blank, control or non-ASCII character")]
    Path(String),
    /// The value of a header.
    #[error("{header} {value:?}: must be of one line of printable characters")]
    Header {
        /// Its name.
        header: &'static str,
        /// What was given.
        value: String,
    },
    /// A set of status codes.
    #[error("status code {0}-{1}: must be within 100-599, the lower one first")]
    StatusCodes(u16, u16),
}
