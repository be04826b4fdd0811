//! The boundary between the desired table and whatever forwards packets.

use async_trait::async_trait;
use thiserror::Error;

use crate::service::ServiceKey;
use crate::statistics::TableStatistics;
use crate::table::{Change, Table};

/// Something that forwards packets by a [`Table`]: the kernel's IPVS, a user-space proxy, a fake.
///
/// The applier is the only caller. It observes, computes the difference to the desired table, applies it, and starts
/// again: after an error, after a while (somebody else may have edited the table), and when the desired table changed.
#[async_trait]
pub trait Dataplane: Send {
    /// Reads what is there now.
    ///
    /// # Errors
    /// Any failure to read, a lost reply included. An implementation never answers an error with an empty table: "no
    /// service" means that the data plane said so.
    async fn observe(&mut self, scope: Scope) -> Result<Table, DataplaneError>;

    /// Makes the edits in the order given, and answers one result for each.
    ///
    /// A batch is not atomic: edits after a failed one are tried all the same. An edit that finds its work done (adding
    /// what is there, removing what is gone) is an error of kind [`DataplaneErrorKind::Drifted`]: the table is not
    /// what the caller believed, so it observes again.
    async fn apply(&mut self, changes: Vec<Change>) -> Vec<Result<(), DataplaneError>>;

    /// Reads counters, rates and numbers of connections.
    ///
    /// # Errors
    /// As [`observe`](Self::observe).
    async fn statistics(&mut self, scope: Scope) -> Result<TableStatistics, DataplaneError>;
}

/// What to observe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// All services with their servers, the connection timeouts and the sync daemons.
    Everything,
    /// All services without their servers, which costs a fraction of the whole; connection timeouts and sync daemons.
    Services,
    /// One service with its servers; the answer holds it or is empty.
    Service(ServiceKey),
}

/// Why a data plane could not be read or edited.
#[derive(Debug, Error)]
#[error("{operation}: {source}")]
pub struct DataplaneError {
    kind: DataplaneErrorKind,
    operation: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl DataplaneError {
    /// An error of that kind; `operation` names what was tried and on what ("add destination 10.0.0.3:80 to tcp
    /// 10.0.0.1:80"), `source` says why it failed.
    pub fn new(
        kind: DataplaneErrorKind,
        operation: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { kind, operation: operation.into(), source: source.into() }
    }

    /// What the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> DataplaneErrorKind {
        self.kind
    }

    /// What was tried, and on what.
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.operation
    }
}

/// What the applier can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataplaneErrorKind {
    /// The table is not what the edit assumed: observe again.
    Drifted,
    /// The data plane is not there or does not answer (no ip_vs, a timeout): try again later.
    Unavailable,
    /// The data plane refuses this edit (unknown scheduler, bad value): it fails until something changes.
    Refused,
    /// The caller may not (missing CAP_NET_ADMIN): it fails until the privileges change.
    Forbidden,
}
