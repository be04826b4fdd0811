//! Asks and tells the kernel's IPVS: one method for each thing that can be asked or told, and batches of edits.

use std::collections::{BTreeMap, BTreeSet};

use lvs_core::{
    Change, RealServer, Scope, ServerKey, ServiceKey, ServiceStatistics, ServiceTable, SyncDaemon, SyncRole,
    Table, TableStatistics, Timeouts, VirtualService,
};
use lvs_netlink::{Command as Request, Generic, Options};

use crate::convert;
use crate::error::{Cause, Error, Operation, Refusal};
use crate::observation::Observation;
use crate::raw::{self, Command, Message};
use crate::types::{Info, ServerEntry, ServiceEntry};

/// A connection to the kernel's IPVS in one network namespace.
///
/// Every call waits for the kernel's answer, at most as long as the [`Options`] say (5 s by default). A missing
/// answer is an error, never "there is nothing". The module `ip_vs` is loaded by the kernel itself at the first call
/// where it can; a module that was unloaded and loaded again is found again.
///
/// Cancelling a call (dropping its future) is safe for the client; whether the kernel did what was asked is then
/// unknown.
///
/// ```no_run
/// use lvs_core::{Protocol, RealServer, ServerKey, ServiceKey, VirtualService};
/// use lvs_ipvs::Client;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ipvs = Client::open()?;
/// println!("IPVS {}", ipvs.info().await?.version);
///
/// let key = ServiceKey::address(Protocol::Tcp, "192.168.1.12:80".parse()?);
/// ipvs.add_service(&VirtualService::new(key)).await?;
/// ipvs.add_destination(&key, &RealServer::new(ServerKey::new("192.168.2.13:80".parse()?))).await?;
/// for entry in ipvs.destinations(&key).await? {
///     println!("{} {}", entry.server.key(), entry.statistics.active_connections);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Client {
    netlink: Generic,
}

impl Client {
    /// Opens a client for the network namespace of the calling thread. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// If no netlink socket can be made. That the kernel has no IPVS shows at the first call.
    pub fn open() -> Result<Self, Error> {
        Self::open_with(&Options::default())
    }

    /// Opens a client with another timeout, or in another network namespace.
    ///
    /// # Errors
    /// As [`Client::open`].
    pub fn open_with(options: &Options) -> Result<Self, Error> {
        let netlink = Generic::open_with(raw::FAMILY_NAME, options)
            .map_err(|error| Error::from_netlink(Operation::Open, error))?;
        Ok(Self { netlink })
    }

    /// The kernel's version of IPVS and the size of its connection table.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn info(&mut self) -> Result<Info, Error> {
        let answer = self.ask(&Operation::ReadInfo, &Message::new(Command::GetInfo)).await?;
        convert::info(answer.info).map_err(|error| unreadable(Operation::ReadInfo, error))
    }

    /// All services, in the order of their keys.
    ///
    /// The kernel does not protect this reading against edits made meanwhile: a service that is there all the time
    /// comes once, but one can be missing while others are added or removed. [`Client::service`] is certain.
    ///
    /// # Errors
    /// See [`Error`]; an entry that [`VirtualService`] cannot say is one.
    pub async fn services(&mut self) -> Result<Vec<ServiceEntry>, Error> {
        let operation = Operation::ReadServices;
        let answers = self.dump(&operation, &Message::new(Command::GetService)).await?;
        services(&answers).map_err(|error| unreadable(operation, error))
    }

    /// The service with that key; `None` if the kernel says that there is none.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn service(&mut self, key: &ServiceKey) -> Result<Option<ServiceEntry>, Error> {
        let operation = Operation::ReadService(*key);
        let Some(answer) = self.raw_service(key).await? else { return Ok(None) };
        let service = answer.service.unwrap_or_default();
        convert::service_entry(&service).map(Some).map_err(|error| unreadable(operation, error))
    }

    /// The real servers of a service, in the order of their keys.
    ///
    /// As with [`Client::services`], one can be missing while others are added or removed.
    ///
    /// # Errors
    /// See [`Error`]; [`Refusal::ServiceAbsent`] if there is no such service.
    pub async fn destinations(&mut self, key: &ServiceKey) -> Result<Vec<ServerEntry>, Error> {
        let operation = Operation::ReadDestinations(*key);
        let Some(answers) = self.raw_destinations(key).await? else {
            return Err(Error::refused(operation, lvs_netlink::KernelError::from_errno(ESRCH)));
        };
        servers(&answers, key).map_err(|error| unreadable(operation, error))
    }

    /// All services with their servers.
    ///
    /// A service that is removed meanwhile is left out. See [`Client::services`] for what else edits made meanwhile
    /// can do.
    ///
    /// # Errors
    /// See [`Error`]; an entry that a table cannot say is one. [`IpvsDataplane`](crate::IpvsDataplane) goes on without
    /// such entries.
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

    /// Adds a service without servers.
    ///
    /// # Errors
    /// See [`Error`]; [`Refusal::ServiceExists`], [`Refusal::SchedulerAbsent`].
    pub async fn add_service(&mut self, service: &VirtualService) -> Result<(), Error> {
        self.change(Change::AddService(service.clone())).await
    }

    /// Changes scheduler, persistence and flags of a service; its servers and connections stay.
    ///
    /// # Errors
    /// See [`Error`]; [`Refusal::ServiceAbsent`], [`Refusal::SchedulerAbsent`].
    pub async fn edit_service(&mut self, service: &VirtualService) -> Result<(), Error> {
        self.change(Change::EditService(service.clone())).await
    }

    /// Removes a service with its servers.
    ///
    /// # Errors
    /// See [`Error`]; [`Refusal::ServiceAbsent`].
    pub async fn remove_service(&mut self, key: &ServiceKey) -> Result<(), Error> {
        self.change(Change::RemoveService(*key)).await
    }

    /// Adds a real server to a service.
    ///
    /// # Errors
    /// See [`Error`]; [`Refusal::ServiceAbsent`], [`Refusal::DestinationExists`].
    pub async fn add_destination(&mut self, key: &ServiceKey, server: &RealServer) -> Result<(), Error> {
        self.change(Change::AddServer(*key, *server)).await
    }

    /// Changes weight, forwarding and thresholds of a real server; its connections stay.
    ///
    /// # Errors
    /// See [`Error`]; [`Refusal::ServiceAbsent`], [`Refusal::DestinationAbsent`].
    pub async fn edit_destination(&mut self, key: &ServiceKey, server: &RealServer) -> Result<(), Error> {
        self.change(Change::EditServer(*key, *server)).await
    }

    /// Removes a real server from a service.
    ///
    /// # Errors
    /// See [`Error`]; [`Refusal::ServiceAbsent`], [`Refusal::DestinationAbsent`].
    pub async fn remove_destination(&mut self, key: &ServiceKey, server: &ServerKey) -> Result<(), Error> {
        self.change(Change::RemoveServer(*key, *server)).await
    }

    /// Makes many edits in the order given, few system calls for all of them, and returns the result of each.
    ///
    /// A batch is not atomic: edits after a failed one are made all the same. Edits of a service that an earlier
    /// edit failed to add fail with [`Cause::Follows`].
    ///
    /// # Errors
    /// If the batch as a whole failed: the kernel has no IPVS, or does not answer. If [`Error::is_state_unknown`],
    /// any of the edits may have been made.
    pub async fn apply(&mut self, changes: &[Change]) -> Result<Vec<Result<(), Error>>, Error> {
        let failed = |error| Error::from_netlink(Operation::Batch { edits: changes.len() }, error);
        let mut batch = self.netlink.batch().await.map_err(failed)?;
        // What cannot be sent keeps its place in the results.
        let mut not_sent = BTreeMap::new();
        for (place, change) in changes.iter().enumerate() {
            match change_bytes(change) {
                Ok(bytes) => batch.push(&bytes).await.map_err(failed)?,
                Err(error) => {
                    not_sent.insert(place, error);
                }
            }
        }
        let mut refused = batch.finish().await.map_err(failed)?;
        let mut sent = 0..;
        let mut missing = BTreeSet::new();
        let results = changes.iter().enumerate().map(|(place, change)| {
            let error = match not_sent.remove(&place) {
                Some(error) => error,
                None => match sent.next().and_then(|sent| refused.remove(&sent)) {
                    Some(answer) => Error::refused(Operation::Change(change.clone()), answer),
                    None => {
                        if let Some(service) = change.service() {
                            missing.remove(&service);
                        }
                        return Ok(());
                    }
                },
            };
            match (change, change.service()) {
                (Change::AddService(_), Some(service)) if error.refusal() != Some(Refusal::ServiceExists) => {
                    missing.insert(service);
                }
                (_, Some(service))
                    if error.refusal() == Some(Refusal::ServiceAbsent) && missing.contains(&service) =>
                {
                    return Err(Error::new(Operation::Change(change.clone()), Cause::Follows));
                }
                _ => {}
            }
            Err(error)
        });
        Ok(results.collect())
    }

    /// Removes all services of the network namespace, whoever made them.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.tell(&Operation::Flush, &Message::new(Command::Flush)).await
    }

    /// Sets the counters of one service and its servers, or those of all, to zero.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn zero(&mut self, key: Option<&ServiceKey>) -> Result<(), Error> {
        let message = Message { service: key.map(convert::raw_key), ..Message::new(Command::Zero) };
        self.tell(&Operation::Zero(key.copied()), &message).await
    }

    /// How long idle connections are kept.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn timeouts(&mut self) -> Result<Timeouts, Error> {
        let answer = self.ask(&Operation::ReadTimeouts, &Message::new(Command::GetConfig)).await?;
        Ok(convert::timeouts(answer.timeouts))
    }

    /// Sets how long idle connections are kept, in whole seconds; a timeout of 0 is left as it is.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn set_timeouts(&mut self, timeouts: &Timeouts) -> Result<(), Error> {
        self.change(Change::SetTimeouts(*timeouts)).await
    }

    /// The sync daemons that run: at most one in each role.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn daemons(&mut self) -> Result<Vec<SyncDaemon>, Error> {
        let operation = Operation::ReadDaemons;
        let answers = self.dump(&operation, &Message::new(Command::GetDaemon)).await?;
        let daemons = answers.iter().filter_map(|answer| answer.daemon.as_ref()).map(convert::daemon);
        daemons.collect::<Result<_, _>>().map_err(|error| unreadable(operation, error))
    }

    /// Starts a sync daemon.
    ///
    /// # Errors
    /// See [`Error`]; [`Refusal::DaemonExists`], [`Refusal::InterfaceAbsent`].
    pub async fn start_daemon(&mut self, daemon: &SyncDaemon) -> Result<(), Error> {
        self.change(Change::StartDaemon(daemon.clone())).await
    }

    /// Stops the sync daemon in that role.
    ///
    /// # Errors
    /// See [`Error`]; [`Refusal::DaemonAbsent`].
    pub async fn stop_daemon(&mut self, role: SyncRole) -> Result<(), Error> {
        self.change(Change::StopDaemon(role)).await
    }

    /// What a table can say of everything, or of one service; the rest is told apart instead of being an error.
    pub(crate) async fn observe(&mut self, only: Option<&ServiceKey>) -> Result<Observation, Error> {
        let services = match only {
            Some(key) => self.raw_service(key).await?.into_iter().collect(),
            None => self.dump(&Operation::ReadServices, &Message::new(Command::GetService)).await?,
        };
        let mut observation = Observation::default();
        for service in observation.read_services(&services).into_values() {
            if let Some(answers) = self.raw_destinations(&service.key()).await? {
                observation.read_service_table(service, &answers);
            }
        }
        Ok(observation)
    }

    /// What a table can say of all services, without their destinations.
    pub(crate) async fn bare_services(&mut self) -> Result<Table, Error> {
        let answers = self.dump(&Operation::ReadServices, &Message::new(Command::GetService)).await?;
        let services = Observation::default().read_services(&answers);
        Ok(services.into_values().map(ServiceTable::new).collect())
    }

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

    /// The kernel's own message about that service; `None` if it says that there is none.
    async fn raw_service(&mut self, key: &ServiceKey) -> Result<Option<Message>, Error> {
        let question = Message::about(Command::GetService, convert::raw_key(key));
        match self.ask(&Operation::ReadService(*key), &question).await {
            Err(error) if error.refusal() == Some(Refusal::ServiceAbsent) => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// The kernel's own messages about the destinations of that service; `None` if it says that there is none.
    async fn raw_destinations(&mut self, key: &ServiceKey) -> Result<Option<Vec<Message>>, Error> {
        let question = Message::about(Command::GetDest, convert::raw_key(key));
        let answers = self.dump(&Operation::ReadDestinations(*key), &question).await?;
        // The kernel answers the question for an absent service with no destinations, too.
        if answers.is_empty() && self.raw_service(key).await?.is_none() {
            return Ok(None);
        }
        Ok(Some(answers))
    }

    async fn with_servers(&mut self, service: VirtualService) -> Result<Option<ServiceTable>, Error> {
        let servers = match self.destinations(&service.key()).await {
            Err(error) if error.refusal() == Some(Refusal::ServiceAbsent) => return Ok(None),
            servers => servers?,
        };
        let mut table = ServiceTable::new(service);
        for entry in servers {
            table.insert(entry.server);
        }
        Ok(Some(table))
    }

    async fn change(&mut self, change: Change) -> Result<(), Error> {
        let request = Request::from_payload(change_bytes(&change)?);
        match self.netlink.request(&request).await {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::from_netlink(Operation::Change(change), error)),
        }
    }

    async fn tell(&mut self, operation: &Operation, message: &Message) -> Result<(), Error> {
        let request = request(operation, message)?;
        match self.netlink.request(&request).await {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::from_netlink(operation.clone(), error)),
        }
    }

    async fn ask(&mut self, operation: &Operation, question: &Message) -> Result<Message, Error> {
        let request = request(operation, question)?;
        let answers = self.netlink.request(&request).await;
        let answers = answers.map_err(|error| Error::from_netlink(operation.clone(), error))?;
        let answer = answers.first().ok_or_else(|| {
            unreadable(
                operation.clone(),
                raw::DecodeError("there is nothing but an acknowledgement".to_owned()),
            )
        })?;
        Message::parse(answer.payload()).map_err(|error| unreadable(operation.clone(), error))
    }

    async fn dump(&mut self, operation: &Operation, question: &Message) -> Result<Vec<Message>, Error> {
        let request = request(operation, question)?;
        let answers = self.netlink.dump(&request).await;
        let answers = answers.map_err(|error| Error::from_netlink(operation.clone(), error))?;
        answers
            .iter()
            .map(|answer| Message::parse(answer.payload()))
            .collect::<Result<_, _>>()
            .map_err(|error| unreadable(operation.clone(), error))
    }
}

/// The services of a dump; one that came twice is one.
fn services(answers: &[Message]) -> Result<Vec<ServiceEntry>, raw::DecodeError> {
    let mut services = BTreeMap::new();
    for service in answers.iter().filter_map(|answer| answer.service.as_ref()) {
        let entry = convert::service_entry(service)?;
        services.insert(entry.service.key(), entry);
    }
    Ok(services.into_values().collect())
}

/// The real servers of a dump of one service; one that came twice is one.
fn servers(answers: &[Message], key: &ServiceKey) -> Result<Vec<ServerEntry>, raw::DecodeError> {
    let mut servers = BTreeMap::new();
    for destination in answers.iter().filter_map(|answer| answer.destination.as_ref()) {
        let entry = convert::server_entry(destination, key.family())?;
        servers.insert(entry.server.key(), entry);
    }
    Ok(servers.into_values().collect())
}

fn change_bytes(change: &Change) -> Result<Vec<u8>, Error> {
    let unsupported = || {
        let reason = "this forwarding method is newer than this version of lvs-ipvs".to_owned();
        Error::new(Operation::Change(change.clone()), Cause::Unsupported(reason))
    };
    let message = convert::change_message(change).ok_or_else(unsupported)?;
    message.to_bytes().ok_or_else(unsupported)
}

fn request(operation: &Operation, message: &Message) -> Result<Request, Error> {
    let bytes = message.to_bytes().ok_or_else(|| {
        Error::new(operation.clone(), Cause::Unsupported("the message is too long".to_owned()))
    })?;
    Ok(Request::from_payload(bytes))
}

fn unreadable(operation: Operation, error: raw::DecodeError) -> Error {
    Error::new(operation, Cause::Unreadable(error.to_string()))
}

const ESRCH: i32 = 3;

#[cfg(test)]
mod tests {
    use lvs_core::{Protocol, Weight};

    use super::*;

    fn key(address: &str) -> ServiceKey {
        ServiceKey::address(Protocol::Tcp, address.parse().unwrap())
    }

    #[test]
    fn an_entry_that_a_dump_has_twice_is_one_entry_as_it_was_last() {
        let service = |address, scheduler: &str| {
            let service = VirtualService::new(key(address)).with_scheduler(scheduler.parse().unwrap());
            convert::change_message(&Change::AddService(service)).unwrap()
        };
        let dump = [service("10.0.0.2:80", "rr"), service("10.0.0.1:80", "rr"), service("10.0.0.2:80", "lc")];
        let read: Vec<_> = services(&dump).unwrap().into_iter().map(|entry| entry.service).collect();
        assert_eq!(
            read.iter().map(VirtualService::key).collect::<Vec<_>>(),
            [key("10.0.0.1:80"), key("10.0.0.2:80")]
        );
        assert_eq!(read[1].scheduler().as_str(), "lc");

        let server = |weight| {
            RealServer::new(ServerKey::new("10.0.1.1:80".parse().unwrap()))
                .with_weight(Weight::new(weight).unwrap())
        };
        let dump = [1, 2].map(|weight| {
            convert::change_message(&Change::AddServer(key("10.0.0.1:80"), server(weight))).unwrap()
        });
        let read: Vec<_> =
            servers(&dump, &key("10.0.0.1:80")).unwrap().into_iter().map(|entry| entry.server).collect();
        assert_eq!(read, [server(2)]);
    }
}
