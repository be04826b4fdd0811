//! The kernel's IPVS as a data plane: what an applier observes and edits.

use async_trait::async_trait;
use lvs_core::{
    Change, Dataplane, DataplaneError, DataplaneErrorKind, Scope, ServiceKey, Table, TableStatistics,
};
use tracing::warn;

use crate::client::Client;
use crate::error::Error;
use crate::observation::Reported;

/// [`Dataplane`] of the kernel's IPVS in one network namespace.
///
/// # What others made that a table cannot say
///
/// The kernel takes entries that the types of [`lvs_core`] have no words for. One of them must not keep everything else
/// from being applied, so [`observe`](Dataplane::observe) goes on, and warns once for as long as the entry is there:
///
/// - A service whose key cannot be said (another protocol) is left out. It can be none of the caller's.
/// - A destination whose address can be said, but not how it forwards (`IP_VS_CONN_F_BYPASS`), is in the table as a
///   stand-in that nobody desires: forwarding to the balancer itself, with weight and thresholds at their ends. So in a
///   service of the caller's it counts as a difference, and is removed or edited like any other server. A service whose
///   key can be said, but not its scheduler, is handled likewise.
/// - A destination without an address is left out: no edit could name it. The kernel sends none today.
/// - A sync daemon with an identifier that no packet carries (256 and above) is in the table as one on an interface that
///   cannot be.
///
/// A service whose destinations others change during every reading of them does not keep the rest from being applied
/// either, when everything is observed: it is in the table with every destination that one of these readings had, and in
/// what is told. To remove one of them that is gone is a conflict ([`Drifted`](DataplaneErrorKind::Drifted)), to add one
/// that all the readings missed likewise, and the applier observes again. The service alone
/// ([`Scope::Service`]) is an error then.
///
/// [`unsayable`](Self::unsayable) has them in words. [`Client::list`] keeps them apart in the same way, other methods of
/// [`Client`] give an error.
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
    reported: Reported,
}

impl IpvsDataplane {
    /// A data plane that uses this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, reported: Reported::default() }
    }

    /// The client, for what the trait does not have, such as flushing.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// What the last [`observe`](Dataplane::observe) of everything, and of single services since, found that no table can
    /// say: a line for each entry, as the warnings have it.
    pub fn unsayable(&self) -> impl Iterator<Item = &str> {
        self.reported.texts()
    }

    /// Everything or one service, and what is to be said about what no table can say.
    async fn observe_services(
        &mut self,
        only: Option<ServiceKey>,
    ) -> Result<(Table, Option<String>), DataplaneError> {
        let observation = self.client.observe(only.as_ref()).await?;
        let news = self.reported.update(only, observation.unsaid);
        Ok((observation.table, news))
    }
}

#[async_trait]
impl Dataplane for IpvsDataplane {
    async fn observe(&mut self, scope: Scope) -> Result<Table, DataplaneError> {
        let (table, news) = match scope {
            Scope::Everything => self.observe_services(None).await?,
            // Without the destinations it does not know what there is to report.
            Scope::Services => (self.client.observe_services().await?.table, None),
            Scope::Service(key) => self.observe_services(Some(key)).await?,
            other => return Err(unknown_scope(other)),
        };
        if let Some(news) = news {
            warn!("{news}");
        }
        Ok(table)
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

    async fn statistics(&mut self, scope: Scope) -> Result<TableStatistics, DataplaneError> {
        match scope {
            Scope::Everything | Scope::Services | Scope::Service(_) => {
                Ok(self.client.statistics(scope).await?)
            }
            other => Err(unknown_scope(other)),
        }
    }
}

fn unknown_scope(scope: Scope) -> DataplaneError {
    let reason = "this version of lvs-ipvs does not know that scope";
    DataplaneError::new(DataplaneErrorKind::Refused, format!("read {scope:?}"), reason)
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
