//! What can go wrong, by who is at fault: the system, the kernel's answer, the transport, or the caller.

use std::time::Duration;
use std::{fmt, io};

/// The kernel refused one message: its errno and, where it gave one, its explanation.
///
/// Both texts are shown:
///
/// ```
/// # use lvs_netlink::KernelError;
/// let error = KernelError::from_errno(22).with_message("ipv4: Invalid prefix length");
/// assert_eq!(error.to_string(), "Invalid argument (os error 22): ipv4: Invalid prefix length");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelError {
    errno: i32,
    message: Option<String>,
    offset: Option<u32>,
}

impl KernelError {
    /// The refusal with that errno (positive, as in `errno.h`) and no explanation.
    #[must_use]
    pub fn from_errno(errno: i32) -> Self {
        Self { errno, message: None, offset: None }
    }

    /// The same refusal with an explanation (`NLMSGERR_ATTR_MSG`).
    #[must_use]
    pub fn with_message(self, message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), ..self }
    }

    /// The same refusal with the place it is about (`NLMSGERR_ATTR_OFFS`).
    #[must_use]
    pub fn with_offset(self, offset: u32) -> Self {
        Self { offset: Some(offset), ..self }
    }

    /// The errno, positive, as in `errno.h`.
    #[must_use]
    pub fn errno(&self) -> i32 {
        self.errno
    }

    /// What the kernel says in words, if it says anything.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// Bytes from the start of the message's header to the attribute at fault, if the kernel names one.
    #[must_use]
    pub fn offset(&self) -> Option<u32> {
        self.offset
    }

    /// The errno as the standard library's error.
    #[must_use]
    pub fn to_io(&self) -> io::Error {
        io::Error::from_raw_os_error(self.errno)
    }
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_io())?;
        match &self.message {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for KernelError {}

/// Why bytes from the kernel could not be read as netlink messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// Fewer bytes than a message header has.
    #[error("{have} bytes where a header of 16 begins")]
    ShortHeader {
        /// Bytes that were there.
        have: usize,
    },
    /// The length in the header is below that of the header itself, or beyond the end of what was received.
    #[error("message length {claimed} does not fit the {have} bytes received")]
    Length {
        /// `nlmsg_len` of the message.
        claimed: u32,
        /// Bytes from the start of the message to the end of the datagram.
        have: usize,
    },
    /// An error message (`NLMSG_ERROR`) too short for its code.
    #[error("error message of {have} bytes")]
    ShortError {
        /// Bytes of its payload.
        have: usize,
    },
    /// An answer lacks something that the protocol says is always there.
    #[error("answer without {what}")]
    Missing {
        /// What is missing.
        what: &'static str,
    },
}

/// A failed operation of a netlink socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused an operation on the socket itself.
    #[error("netlink: {operation} failed")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The socket was to be opened on a thread that is in no tokio runtime.
    #[error(
        "netlink: there is no tokio runtime on this thread: open the socket inside one that was built with `enable_all` \
         (in a function under `#[tokio::main]`, in `Runtime::block_on`, or after `Runtime::enter`)"
    )]
    NoRuntime,
    /// EPERM: this process may not enter the network namespace that was given.
    #[error(
        "netlink: entering the network namespace is not permitted: CAP_SYS_ADMIN is missing (run as root; it is needed in \
         the namespace's own user namespace too), or a security module or a container forbids it"
    )]
    NamespaceForbidden {
        /// The system's answer.
        source: io::Error,
    },
    /// EINVAL: what was given as a network namespace is another kind of file.
    #[error(
        "netlink: the file that was given is no network namespace: open one such as /run/netns/NAME or /proc/PID/ns/net"
    )]
    NoNamespace {
        /// The system's answer.
        source: io::Error,
    },
    /// The kernel refused the request.
    #[error("netlink: {operation} failed")]
    Kernel {
        /// What was asked.
        operation: &'static str,
        /// The kernel's answer.
        source: KernelError,
    },
    /// No answer within the socket's timeout. What was applied is unknown: observe again.
    #[error("netlink: {operation}: no answer within {after:?}")]
    Timeout {
        /// What was waited for.
        operation: &'static str,
        /// The timeout that ran out.
        after: Duration,
    },
    /// Answers were lost because they did not fit the receive buffer. What was applied is unknown: observe again.
    #[error("netlink: {operation}: answers were lost, state must be observed again")]
    Resync {
        /// What was waited for.
        operation: &'static str,
    },
    /// The answer could not be read. What was applied is unknown: observe again.
    #[error("netlink: {operation}: malformed answer")]
    Malformed {
        /// What was waited for.
        operation: &'static str,
        /// What is wrong with the answer.
        source: Malformed,
    },
    /// The table changed during every attempt to dump it.
    #[error("netlink: dump interrupted by changes {attempts} times")]
    Interrupted {
        /// How often the dump was tried.
        attempts: u32,
    },
    /// No generic netlink family of that name: its module is not loaded and could not be.
    #[error("generic netlink family {name:?} is absent (is its kernel module loaded?)")]
    FamilyAbsent {
        /// The name that was asked for.
        name: String,
    },
    /// The caller's request is longer than one send may be; nothing was sent.
    #[error("netlink: request {index} has {length} bytes, more than the {limit} of one send")]
    TooLong {
        /// Position of the request in the batch, from 0.
        index: usize,
        /// Its length with header and padding, bytes.
        length: usize,
        /// Longest that is possible, bytes.
        limit: usize,
    },
}

impl Error {
    /// Why the network namespace could not be entered.
    pub(crate) fn of_namespace(source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::EPERM) => Self::NamespaceForbidden { source },
            Some(libc::EINVAL) => Self::NoNamespace { source },
            _ => Self::Io { operation: "enter the network namespace", source },
        }
    }

    /// Whether requests may have been applied although their results are not known.
    ///
    /// Then the kernel's state must be observed before it is changed again.
    #[must_use]
    pub fn is_state_unknown(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::Resync { .. } | Self::Malformed { .. })
    }

    /// The kernel's refusal, if that is what this is.
    #[must_use]
    pub fn kernel(&self) -> Option<&KernelError> {
        match self {
            Self::Kernel { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_cannot_be_entered_has_a_remedy() {
        let of = |errno| Error::of_namespace(io::Error::from_raw_os_error(errno));
        let forbidden = of(libc::EPERM);
        assert!(matches!(forbidden, Error::NamespaceForbidden { .. }), "{forbidden:?}");
        assert!(forbidden.to_string().contains("CAP_SYS_ADMIN is missing"), "{forbidden}");
        assert!(matches!(of(libc::EINVAL), Error::NoNamespace { .. }));
        assert!(matches!(of(libc::ENOMEM), Error::Io { .. }));
    }
}
