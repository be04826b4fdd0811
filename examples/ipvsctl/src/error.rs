//! What can go wrong, and the exit status that says so.

use std::io;

use thiserror::Error;

/// A command line that cannot be carried out as it stands. Its text says what is wrong, what is allowed and what to do.
///
/// ```
/// let error = ipvsctl::cli::parse(["-A", "-t", "10.0.0.1:80", "-q"], &ipvsctl::names::Numeric).unwrap_err();
/// assert_eq!(error.to_string(), "-q: there is no such option; `-h` lists them");
/// assert_eq!(error.exit_status(), 255);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text}")]
pub struct UsageError {
    fault: Fault,
    text: String,
}

impl UsageError {
    /// Options that are known but cannot be used so.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self { fault: Fault::Usage, text: text.into() }
    }

    /// Words that are no options, in the place of the verb.
    pub(crate) fn no_verb(text: impl Into<String>) -> Self {
        Self { fault: Fault::NoVerb, text: text.into() }
    }

    /// Words behind the verb that are no options, and options whose argument is missing or not wanted.
    pub(crate) fn no_option(text: impl Into<String>) -> Self {
        Self { fault: Fault::NoOption, text: text.into() }
    }

    /// Values that ipvsadm leaves to the kernel to refuse.
    pub(crate) fn value(text: impl Into<String>) -> Self {
        Self { fault: Fault::Value, text: text.into() }
    }

    /// What ipvsadm's scripts do not take.
    pub(crate) fn script(text: impl Into<String>) -> Self {
        Self { fault: Fault::Script, text: text.into() }
    }

    /// 2 or 255, as ipvsadm ends for the same fault; 1 as its scripts end.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self.fault {
            Fault::Usage => USAGE,
            Fault::NoVerb | Fault::NoOption | Fault::Value => REFUSED,
            Fault::Script => FAILED,
        }
    }

    /// Whether the lines of a restore that follow are still read; ipvsadm skips some faulty lines and stops at others.
    #[must_use]
    pub(crate) fn ends_restore(&self) -> bool {
        match self.fault {
            Fault::Usage | Fault::NoVerb | Fault::Script => true,
            Fault::NoOption | Fault::Value => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Usage,
    NoVerb,
    NoOption,
    Value,
    Script,
}

/// A command that was understood and failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Failure {
    /// A command line inside of a restore, or the one of the program.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The kernel refused it, or cannot do it.
    #[error(transparent)]
    Kernel(#[from] lvs_ipvs::Error),
    /// The service to list is not there.
    #[error("list service {0}: no such service")]
    NothingToList(lvs_core::ServiceKey),
    /// Something that no command line can say is missing in what was written.
    #[error("not saved: {0}; `ipvsctl -Ln` tells of all that is like this. Whoever made it has to remove it")]
    NotSaved(String),
    /// What would be saved does not say what the kernel has, so that it could not be restored.
    #[error("not saved: the file would not say what the kernel has: {fault}; {remedy}")]
    NotReadable {
        /// The first difference.
        fault: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The server to drain is not there.
    #[error("drain destination {server} of {service}: it is not there; `ipvsctl -Ln` lists those that are")]
    NoSuchServer {
        /// Of this service.
        service: lvs_core::ServiceKey,
        /// This server.
        server: lvs_core::ServerKey,
    },
    /// The kernel's table cannot be read.
    #[error(transparent)]
    Table(lvs_core::DataplaneError),
    /// A saved table that cannot be read, or not be applied as it stands.
    #[error("{file}: {fault}; nothing was changed")]
    File {
        /// Its name.
        file: String,
        /// Where, what, and what to do.
        fault: String,
    },
    /// A table cannot be saved.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// The connections cannot be read.
    #[error("{}", with_source(.0))]
    Connections(#[from] lvs_ipvs::ConnectionsError),
    /// The program's own means to wait for the kernel.
    #[error("start: {0}")]
    Start(#[source] io::Error),
    /// Reading what to restore.
    #[error("read {0}: {1}")]
    Read(&'static str, #[source] io::Error),
    /// Writing the answer.
    #[error("write the answer: {0}")]
    Write(#[source] io::Error),
}

impl Failure {
    /// The exit status: as ipvsadm's where it has one for this.
    ///
    /// 1: nothing to list, or the answer cannot be written. 2: wrong usage, no IPVS in the kernel, or no privilege. 255: the
    /// kernel refused.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Usage(error) => error.exit_status(),
            Self::Kernel(error) => match error.cause() {
                lvs_ipvs::Cause::NoIpvs(_) => USAGE,
                _ if error.refusal() == Some(lvs_ipvs::Refusal::Forbidden) => USAGE,
                _ => REFUSED,
            },
            Self::Connections(lvs_ipvs::ConnectionsError::NoIpvs { .. }) => USAGE,
            Self::NoSuchServer { .. }
            | Self::NotReadable { .. }
            | Self::Table(_)
            | Self::File { .. }
            | Self::Store(_) => USAGE,
            Self::Connections(_)
            | Self::NothingToList(_)
            | Self::NotSaved(_)
            | Self::Start(_)
            | Self::Read(..)
            | Self::Write(_) => FAILED,
        }
    }
}

/// An error and what is behind it.
fn with_source(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const REFUSED: u8 = 255;
