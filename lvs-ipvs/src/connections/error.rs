//! What can go wrong with the connection table: the file, or one of its rows.

use std::{fmt, io};

/// Why the connection table, or a row of it, could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionsError {
    /// There is no such file: the kernel has no IPVS.
    #[error(
        "{path} does not exist: the kernel has no IPVS (run `modprobe ip_vs` as root on the host, not in a container), or \
         /proc is not mounted"
    )]
    NoIpvs {
        /// What was opened.
        path: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The system does not allow it.
    #[error(
        "opening {path} is not permitted: run as root, or allow it where a security module or a container forbids it \
         (another network namespace needs CAP_SYS_ADMIN)"
    )]
    Forbidden {
        /// What was opened.
        path: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// What was given to [`Options::with_netns`](crate::Options::with_netns) is no network namespace.
    #[error(
        "the file that was given is no network namespace: open one such as /run/netns/NAME or /proc/PID/ns/net"
    )]
    NoNamespace {
        /// The system's answer.
        source: io::Error,
    },
    /// Opening it failed in another way: too many open files, say.
    #[error("cannot open {path}: {answer}")]
    Open {
        /// What was opened.
        path: &'static str,
        /// The system's answer; the text has it.
        answer: io::Error,
    },
    /// The first line is not the header of a connection table. Nothing else was read.
    #[error(
        "no connection table of IPVS: it begins with \"{found}\", not with \"Pro FromIP …\" (is it a copy of ip_vs_conn or \
         ip_vs_conn_sync, with its header?)"
    )]
    NoTable {
        /// The beginning of the line; empty if there is no whole line.
        found: String,
    },
    /// Reading failed. The rows from this line on are missing.
    #[error("cannot read line {line} of the connection table: {answer}")]
    Read {
        /// The line, counted from 1; the header is the first.
        line: u64,
        /// The system's answer; the text has it.
        answer: io::Error,
    },
    /// One row is not as it should be. Those after it can be read.
    #[error("line {line} of the connection table: {defect}")]
    Row {
        /// The line, counted from 1; the header is the first.
        line: u64,
        /// What is wrong with it.
        defect: RowDefect,
    },
}

impl ConnectionsError {
    pub(super) fn of_open(path: &'static str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::NoIpvs { path, source },
            io::ErrorKind::PermissionDenied => Self::Forbidden { path, source },
            _ => Self::Open { path, answer: source },
        }
    }

    /// The network namespace could not be entered.
    pub(super) fn of_namespace(path: &'static str, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(EINVAL) => Self::NoNamespace { source },
            _ => Self::of_open(path, source),
        }
    }

    pub(super) fn no_table(line: &[u8]) -> Self {
        Self::NoTable { found: shown(line) }
    }
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowDefect {
    /// It ends before this column.
    #[error("{0} is missing")]
    Missing(Column),
    /// What stands in this column cannot be there.
    #[error("{column}: \"{found}\" is not {}", .column.expected())]
    Invalid {
        /// The column.
        column: Column,
        /// What stands there, up to 64 bytes; what is not printable is escaped.
        found: String,
    },
    /// Client and virtual address are not of one family.
    #[error("client address and virtual address are not both IPv4 or both IPv6")]
    MixedFamilies,
    /// There is something behind the last column.
    #[error("\"{found}\" behind the last column")]
    Unexpected {
        /// What stands there, up to 64 bytes; what is not printable is escaped.
        found: String,
    },
    /// It has more than [`Connections::LONGEST_ROW`](crate::Connections::LONGEST_ROW) bytes.
    #[error("longer than 1024 bytes")]
    TooLong,
    /// The file ends without a newline: the rest of the row is missing.
    #[error("the row is torn: the file ends before its end of line")]
    Torn,
}

impl RowDefect {
    pub(super) fn invalid(column: Column, found: &[u8]) -> Self {
        Self::Invalid { column, found: shown(found) }
    }

    pub(super) fn unexpected(found: &[u8]) -> Self {
        Self::Unexpected { found: shown(found) }
    }
}

/// A column of the connection table. The set is closed as far as the kernel's file is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Column {
    /// `Pro`.
    Protocol,
    /// `FromIP`.
    ClientAddress,
    /// `FPrt`.
    ClientPort,
    /// `ToIP`.
    VirtualAddress,
    /// `TPrt`.
    VirtualPort,
    /// `DestIP`.
    DestinationAddress,
    /// `DPrt`.
    DestinationPort,
    /// `State`.
    State,
    /// `Origin`, of `ip_vs_conn_sync`.
    Origin,
    /// `Expires`.
    Expires,
    /// `PEName`, of `ip_vs_conn`.
    Engine,
    /// `PEData`, of `ip_vs_conn`.
    EngineData,
}

impl Column {
    /// What may stand there.
    fn expected(self) -> &'static str {
        match self {
            Self::Protocol => "a protocol (TCP, UDP, SCTP, IP, ICMP, ICMPv6, or IP_ and a number up to 255)",
            Self::ClientAddress | Self::VirtualAddress | Self::DestinationAddress => {
                "an address (8 hexadecimal digits, or 8 groups of 4 with colons)"
            }
            Self::ClientPort | Self::VirtualPort | Self::DestinationPort => "4 hexadecimal digits",
            Self::State => "a state (a word of up to 16 printable characters)",
            Self::Origin => "LOCAL or SYNC",
            Self::Expires => "a number of seconds",
            Self::Engine => "the name of a persistence engine (up to 15 printable characters)",
            Self::EngineData => "the data of a persistence engine",
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Protocol => "protocol",
            Self::ClientAddress => "client address",
            Self::ClientPort => "client port",
            Self::VirtualAddress => "virtual address",
            Self::VirtualPort => "virtual port",
            Self::DestinationAddress => "destination address",
            Self::DestinationPort => "destination port",
            Self::State => "state",
            Self::Origin => "origin",
            Self::Expires => "expiry",
            Self::Engine => "name of the persistence engine",
            Self::EngineData => "data of the persistence engine",
        })
    }
}

/// The beginning, as text that can be printed.
fn shown(bytes: &[u8]) -> String {
    bytes.get(..LONGEST_SHOWN).unwrap_or(bytes).escape_ascii().to_string()
}

/// asm-generic/errno-base.h; of setns(2): not a file of a network namespace.
const EINVAL: i32 = 22;
/// Bytes of a wrong field that an error repeats.
const LONGEST_SHOWN: usize = 64;
