//! Counters, rates and numbers of connections.

use std::collections::BTreeMap;

use lvs_core::{Scope, ServiceStatistics, TableStatistics};

use super::Client;
use crate::error::{Error, Refusal};

impl Client {
    /// Counters, rates and numbers of connections of everything, of the services alone, or of one service.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn statistics(&mut self, scope: Scope) -> Result<TableStatistics, Error> {
        let services = match &scope {
            Scope::Service(key) => self.service(key).await?.into_iter().collect(),
            _ => self.services().await?,
        };
        let mut statistics = TableStatistics::default();
        for service in services {
            let key = service.service.key();
            let mut entry = ServiceStatistics { counters: service.statistics, servers: BTreeMap::new() };
            if scope != Scope::Services {
                match self.destinations(&key).await {
                    Err(error) if error.refusal() == Some(Refusal::ServiceAbsent) => continue,
                    servers => {
                        entry.servers = servers?
                            .into_iter()
                            .map(|entry| (entry.server.key(), entry.statistics))
                            .collect();
                    }
                }
            }
            statistics.services.insert(key, entry);
        }
        Ok(statistics)
    }
}
