//! The kernel's IPVS as a data plane: what an applier observes and edits.

use async_trait::async_trait;
use lvs_core::{Change, Dataplane, DataplaneError, DataplaneErrorKind, Scope, Table};

use crate::client::Client;
use crate::error::Error;

/// [`Dataplane`] of the kernel's IPVS in one network namespace.
///
/// ```no_run
/// use lvs_core::{Dataplane, Scope, Table};
/// use lvs_ipvs::{Client, IpvsDataplane};
///
/// # async fn example(desired: Table) -> Result<(), Box<dyn std::error::Error>> {
/// let mut dataplane = IpvsDataplane::new(Client::open()?);
/// let observed = dataplane.observe(Scope::Everything).await?;
/// for result in dataplane.apply(observed.changes_to(&desired)).await {
///     result?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct IpvsDataplane {
    client: Client,
}

impl IpvsDataplane {
    /// A data plane that uses this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The client, for what the trait does not have: counters, timeouts, flushing.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }
}

#[async_trait]
impl Dataplane for IpvsDataplane {
    async fn observe(&mut self, scope: Scope) -> Result<Table, DataplaneError> {
        match scope {
            Scope::Everything => Ok(self.client.table().await?),
            Scope::Service(key) => Ok(self.client.service_table(&key).await?.into_iter().collect()),
            other => Err(DataplaneError::new(
                DataplaneErrorKind::Refused,
                format!("observe {other:?}"),
                "this version of lvs-ipvs does not know that scope",
            )),
        }
    }

    async fn apply(&mut self, changes: Vec<Change>) -> Vec<Result<(), DataplaneError>> {
        if changes.is_empty() {
            return Vec::new();
        }
        match self.client.apply(&changes).await {
            Ok(results) => results.into_iter().map(|result| result.map_err(DataplaneError::from)).collect(),
            Err(error) => whole_batch_failed(&changes, error),
        }
    }
}

/// The error of the batch for each of its edits; only the first keeps the transport's own error.
fn whole_batch_failed(changes: &[Change], error: Error) -> Vec<Result<(), DataplaneError>> {
    let text = error.cause().to_string();
    let first = DataplaneError::from(error);
    let kind = first.kind();
    let rest =
        changes.iter().skip(1).map(|change| DataplaneError::new(kind, change.to_string(), text.clone()));
    std::iter::once(first).chain(rest).map(Err).collect()
}
