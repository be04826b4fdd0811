//! Reads tables as they are while others edit them: what `reading.rs` decides, carried out.

use std::collections::{BTreeMap, BTreeSet};

use lvs_core::{Family, RealServer, ServerKey, ServiceKey, ServiceTable, Table, VirtualService};
use lvs_netlink::KernelError;

use super::Client;
use super::exchange::unreadable;
use crate::convert::{self, Found};
use crate::error::{Cause, Error, Operation, Refusal};
use crate::observation::{Observation, torn_service, unsayable_server, unsayable_service};
use crate::raw::{self, Command, Counters, DecodeError, Message};
use crate::reading::{DUMPS, Reader, Verdict};
use crate::types::{ListedService, Listing, ServerEntry, ServiceEntry};

impl Client {
    /// All services, in the order in which the kernel tells them, which says nothing (that of its hash table).
    ///
    /// What others edit meanwhile: see [`Client`].
    ///
    /// # Errors
    /// See [`Error`]; an entry that [`VirtualService`] cannot say is one: see [`Client::list`].
    pub async fn services(&mut self) -> Result<Vec<ServiceEntry>, Error> {
        let operation = Operation::ReadServices;
        let answers = self.raw_services(Counters::Read, Reader::OneShot).await?;
        services(&answers).map_err(|error| unreadable(operation, error))
    }

    /// The service with that key; `None` if the kernel says that there is none.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn service(&mut self, key: &ServiceKey) -> Result<Option<ServiceEntry>, Error> {
        let operation = Operation::ReadService(*key);
        let Some(service) = self.raw_service(key).await? else { return Ok(None) };
        convert::service_entry(&service).map(Some).map_err(|error| unreadable(operation, error))
    }

    /// The real servers of a service, in the order in which the kernel tells them: the last one added comes first.
    ///
    /// What others edit meanwhile: see [`Client`].
    ///
    /// # Errors
    /// See [`Error`]; [`Refusal::ServiceAbsent`] if there is no such service.
    pub async fn destinations(&mut self, key: &ServiceKey) -> Result<Vec<ServerEntry>, Error> {
        let operation = Operation::ReadDestinations(*key);
        let found =
            self.found_destinations(key, Counters::Read, convert::server_entry, |entry| entry.server.key());
        let Some(answers) = found.await?.whole(key)? else {
            return Err(Error::refused(operation, KernelError::from_errno(ESRCH)));
        };
        servers(answers).map_err(|error| unreadable(operation, error))
    }

    /// The real server of a service with that key; `None` if the service has none such.
    ///
    /// # Errors
    /// As [`Client::destinations`].
    pub async fn destination(
        &mut self,
        key: &ServiceKey,
        server: &ServerKey,
    ) -> Result<Option<ServerEntry>, Error> {
        // The kernel tells of all destinations or of none.
        let entries = self.destinations(key).await?;
        Ok(entries.into_iter().find(|entry| entry.server.key() == *server))
    }

    /// All services with their servers, or the one with that key if there is one, with their counters; and in words what
    /// of them cannot be said.
    ///
    /// A service that is removed meanwhile is left out. One whose destinations never hold still
    /// ([`Cause::Interrupted`] of [`Client::destinations`]) is left out and said in words. What else others edit meanwhile:
    /// see [`Client`].
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let listing = lvs_ipvs::Client::open()?.list(None).await?;
    /// for service in &listing.services {
    ///     println!("{}: {} servers", service.entry.service.key(), service.servers.len());
    /// }
    /// for line in &listing.unsayable {
    ///     eprintln!("not shown: {line}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list(&mut self, only: Option<&ServiceKey>) -> Result<Listing, Error> {
        let answers = match only {
            Some(key) => self.raw_service(key).await?.into_iter().collect(),
            None => self.raw_services(Counters::Read, Reader::OneShot).await?,
        };
        let (mut services, mut unsayable) = (Distinct::with_capacity(answers.len()), BTreeSet::new());
        for raw in &answers {
            let entry = match convert::service_entry(raw) {
                Ok(entry) => entry,
                Err(error) => {
                    unsayable.insert(unsayable_service(raw, &error));
                    continue;
                }
            };
            let key = entry.service.key();
            let found = self
                .found_destinations(&key, Counters::Read, convert::server_entry, |entry| entry.server.key());
            let answers = match found.await? {
                Destinations::Absent => continue,
                Destinations::All(answers) => answers,
                Destinations::Torn(_) => {
                    unsayable.insert(torn_service(&key, "left out"));
                    continue;
                }
            };
            let mut servers = Distinct::with_capacity(answers.len());
            for found in answers {
                match found {
                    Ok(entry) => servers.put(entry.server.key(), entry),
                    Err(server) => {
                        unsayable.insert(unsayable_server(&key, &server));
                    }
                }
            }
            services.put(key, ListedService { entry, servers: servers.entries });
        }
        Ok(Listing { services: services.entries, unsayable: unsayable.into_iter().collect() })
    }

    /// All services with their servers.
    ///
    /// A service that is removed meanwhile is left out. What else others edit meanwhile: see [`Client`].
    ///
    /// # Errors
    /// See [`Error`]; an entry that a table cannot say is one, and [`Cause::Interrupted`] of one service. [`Client::list`]
    /// and [`IpvsDataplane`](crate::IpvsDataplane) go on in both cases.
    pub async fn table(&mut self) -> Result<Table, Error> {
        let mut table = Table::default();
        for entry in self.services().await? {
            if let Some(service) = self.with_servers(entry.service).await? {
                table.insert(service);
            }
        }
        Ok(table)
    }

    /// The service with that key and its servers; `None` if the kernel says that there is none.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn service_table(&mut self, key: &ServiceKey) -> Result<Option<ServiceTable>, Error> {
        match self.service(key).await? {
            Some(entry) => self.with_servers(entry.service).await,
            None => Ok(None),
        }
    }

    /// What a table can say of everything, or of one service; the rest is told apart instead of being an error.
    pub(crate) async fn observe(&mut self, only: Option<&ServiceKey>) -> Result<Observation, Error> {
        let services = match only {
            Some(key) => self.raw_service(key).await?.into_iter().collect(),
            None => self.raw_services(Counters::Skip, Reader::Applier).await?,
        };
        let mut observation = Observation::default();
        for service in observation.read_services(&services).into_values() {
            let key = service.key();
            let found = self.found_destinations(&key, Counters::Skip, convert::server, RealServer::key);
            match found.await? {
                Destinations::Absent => {}
                Destinations::Torn(seen) if only.is_none() => {
                    observation.read_torn_service_table(service, seen);
                }
                found => {
                    if let Some(answers) = found.whole(&key)? {
                        observation.read_service_table(service, answers);
                    }
                }
            }
        }
        if only.is_none() {
            self.observe_settings(&mut observation).await?;
        }
        Ok(observation)
    }

    /// What a table can say of all services, without their destinations.
    pub(crate) async fn observe_services(&mut self) -> Result<Observation, Error> {
        let answers = self.raw_services(Counters::Skip, Reader::Applier).await?;
        let mut observation = Observation::default();
        let services = observation.read_services(&answers);
        observation.table = services.into_values().map(ServiceTable::new).collect();
        self.observe_settings(&mut observation).await?;
        Ok(observation)
    }

    async fn observe_settings(&mut self, observation: &mut Observation) -> Result<(), Error> {
        let timeouts = self.timeouts().await?;
        let answers = self.raw_daemons().await?;
        let daemons = observation.read_daemons(&answers);
        let table = std::mem::take(&mut observation.table);
        observation.table = table.with_timeouts(timeouts).with_daemons(daemons);
        Ok(())
    }

    /// The kernel's own words about all services.
    pub(super) async fn raw_services(
        &mut self,
        with: Counters,
        reader: Reader,
    ) -> Result<Vec<raw::Service>, Error> {
        let read = |bytes: &[u8]| Message::parse_service(bytes, with);
        let mut reading = self.memory.read_services(reader);
        loop {
            let question = Message::new(Command::GetService);
            let (mut answers, shape) = self.dump(&Operation::ReadServices, &question, read).await?;
            let mut keys: BTreeSet<_> = answers.iter().flat_map(convert::service_key).collect();
            match reading.handle_dump(&keys, shape) {
                Verdict::Complete => {}
                Verdict::Confirm(missing) => {
                    for key in missing {
                        if let Some(answer) = self.raw_service(&key).await? {
                            answers.push(answer);
                            keys.insert(key);
                        }
                    }
                }
                Verdict::Again | Verdict::Torn => continue,
            }
            self.memory.services_are(keys);
            return Ok(answers);
        }
    }

    /// The kernel's own words about that service; `None` if it says that there is none.
    pub(super) async fn raw_service(&mut self, key: &ServiceKey) -> Result<Option<raw::Service>, Error> {
        let question = Message::about(Command::GetService, convert::raw_key(key));
        match self.ask(&Operation::ReadService(*key), &question).await {
            Err(error) if error.refusal() == Some(Refusal::ServiceAbsent) => Ok(None),
            answer => Ok(Some(answer?.service.unwrap_or_default())),
        }
    }

    /// What `say` makes of the destinations of that service.
    pub(super) async fn found_destinations<T>(
        &mut self,
        key: &ServiceKey,
        with: Counters,
        say: fn(&raw::Destination, Family) -> Result<T, DecodeError>,
        named: fn(&T) -> ServerKey,
    ) -> Result<Destinations<T>, Error> {
        let family = key.family();
        let read = |bytes: &[u8]| {
            let Some(octets) = Message::destination(bytes)? else { return Ok(None) };
            let raw = raw::Destination::parse(octets, with)?;
            Ok(Some(convert::found(&raw, family, say)))
        };
        let operation = Operation::ReadDestinations(*key);
        let question = Message::about(Command::GetDest, convert::raw_key(key));
        let mut reading = self.memory.read_destinations(key);
        let mut seen = Vec::new();
        loop {
            let (mut answers, shape) = self.dump(&operation, &question, read).await?;
            let keys = answers.iter().filter_map(|found| match found {
                Ok(server) => Some(named(server)),
                Err(unsayable) => unsayable.address,
            });
            match reading.handle_dump(keys, shape) {
                Verdict::Complete => self.memory.destinations_are(key, reading),
                Verdict::Again | Verdict::Confirm(_) => {
                    seen.append(&mut answers);
                    continue;
                }
                Verdict::Torn => {
                    seen.append(&mut answers);
                    return Ok(Destinations::Torn(seen));
                }
            }
            // The kernel answers the question for an absent service with no destinations, too.
            if answers.is_empty() && self.raw_service(key).await?.is_none() {
                return Ok(Destinations::Absent);
            }
            return Ok(Destinations::All(answers));
        }
    }

    async fn with_servers(&mut self, service: VirtualService) -> Result<Option<ServiceTable>, Error> {
        let servers = match self.destinations(&service.key()).await {
            Err(error) if error.refusal() == Some(Refusal::ServiceAbsent) => return Ok(None),
            servers => servers?,
        };
        let servers = servers.into_iter().map(|entry| entry.server);
        Ok(Some(ServiceTable::new(service).with_servers(servers)))
    }
}

/// What was read of the destinations of a service. Closed.
#[derive(Debug)]
pub(super) enum Destinations<T> {
    /// The kernel says that there is no such service.
    Absent,
    /// All that were there.
    All(Vec<Found<T>>),
    /// Others changed them during every dump: what all the dumps had, the last one last.
    Torn(Vec<Found<T>>),
}

impl<T> Destinations<T> {
    /// All of them; `None` if there is no such service.
    pub(super) fn whole(self, service: &ServiceKey) -> Result<Option<Vec<Found<T>>>, Error> {
        match self {
            Self::Absent => Ok(None),
            Self::All(answers) => Ok(Some(answers)),
            Self::Torn(_) => {
                let cause = Cause::Interrupted { attempts: DUMPS };
                Err(Error::new(Operation::ReadDestinations(*service), cause))
            }
        }
    }
}

/// The services of a dump; one that came twice is one, as it was last.
pub(super) fn services(answers: &[raw::Service]) -> Result<Vec<ServiceEntry>, DecodeError> {
    let mut services = Distinct::with_capacity(answers.len());
    for service in answers {
        let entry = convert::service_entry(service)?;
        services.put(entry.service.key(), entry);
    }
    Ok(services.entries)
}

/// The real servers of a dump of one service; one that came twice is one, as it was last.
pub(super) fn servers(answers: Vec<Found<ServerEntry>>) -> Result<Vec<ServerEntry>, DecodeError> {
    let mut servers = Distinct::with_capacity(answers.len());
    for found in answers {
        let entry = found.map_err(|unsayable| unsayable.reason)?;
        servers.put(entry.server.key(), entry);
    }
    Ok(servers.entries)
}

/// Entries in the order in which their keys came first.
struct Distinct<K, E> {
    places: BTreeMap<K, usize>,
    entries: Vec<E>,
}

impl<K: Ord, E> Distinct<K, E> {
    fn with_capacity(entries: usize) -> Self {
        Self { places: BTreeMap::new(), entries: Vec::with_capacity(entries) }
    }

    fn put(&mut self, key: K, entry: E) {
        let end = self.entries.len();
        match self.entries.get_mut(*self.places.entry(key).or_insert(end)) {
            Some(place) => *place = entry,
            None => self.entries.push(entry),
        }
    }
}

const ESRCH: i32 = 3;
