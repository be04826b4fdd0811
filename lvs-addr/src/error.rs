//! What can go wrong outside of a single edit or announcement.

use std::io;

/// A failed operation on links, addresses or announcements.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel's tables could not be read or watched.
    #[error("{operation}")]
    Netlink {
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        source: lvs_netlink::Error,
    },
    /// The socket for announcements could not be opened or used (it needs `CAP_NET_RAW`).
    #[error("{operation}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

/// The error and all its causes in one line.
pub(crate) fn in_one_line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
