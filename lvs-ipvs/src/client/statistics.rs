//! Counters, rates and numbers of connections.

use lvs_core::{Scope, ServiceStatistics, TableStatistics};

use super::Client;
use super::read::Destinations;
use crate::convert;
use crate::error::Error;
use crate::raw::{self, Counters};
use crate::reading::Reader;

impl Client {
    /// Counters, rates and numbers of connections of everything, of the services alone, or of one service.
    ///
    /// An entry is here if its name can be said, even if [`Client::services`] or [`Client::destinations`] cannot read the
    /// rest of it; one whose name cannot (a service of another protocol) is left out. So is a service that is absent, or
    /// removed meanwhile. Of a service whose destinations others changed during every reading of them, each that a reading
    /// had is here, as it was last.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn statistics(&mut self, scope: Scope) -> Result<TableStatistics, Error> {
        let services = match &scope {
            Scope::Service(key) => self.raw_service(key).await?.into_iter().collect(),
            _ => self.raw_services(Counters::Read, Reader::OneShot).await?,
        };
        let mut statistics = TableStatistics::default();
        for raw in services {
            let Ok(key) = convert::service_key(&raw) else { continue };
            let mut entry =
                ServiceStatistics { counters: raw.statistics.unwrap_or_default(), ..Default::default() };
            if scope != Scope::Services {
                let named = |raw: &raw::Destination, family| {
                    Ok((convert::server_key(raw, family)?, convert::server_statistics(raw)))
                };
                let found = self.found_destinations(&key, Counters::Read, named, |(name, _)| *name);
                // One that others removed meanwhile, with its last counters, is better than nothing of any service.
                let (Destinations::All(servers) | Destinations::Torn(servers)) = found.await? else {
                    continue;
                };
                // Only a destination without a name is unsayable here.
                entry.servers = servers.into_iter().flatten().collect();
            }
            statistics.services.insert(key, entry);
        }
        Ok(statistics)
    }
}
