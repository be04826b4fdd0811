//! Asks and tells the kernel's IPVS: one method for each thing that can be asked or told.
//!
//! Reading of tables is in `client/read.rs`, batches of edits in `client/batch.rs`, what goes over the wire in
//! `client/exchange.rs`.

mod batch;
mod exchange;
mod names;
mod read;
mod statistics;

use lvs_core::{Change, RealServer, ServerKey, ServiceKey, SyncDaemon, SyncRole, Timeouts, VirtualService};
use lvs_netlink::{Generic, Options};

use crate::convert;
use crate::error::{Error, Operation};
use crate::module::Loader;
use crate::raw::{self, Command, Message};
use crate::reading::Memory;
use crate::types::Info;

use exchange::unreadable;
use names::Accepted;

/// A connection to the kernel's IPVS in one network namespace.
///
/// Every call waits for the kernel's answer, at most as long as the [`Options`] say (5 s by default). A missing
/// answer is an error, never "there is nothing". The module `ip_vs` is loaded at the first call: by the kernel itself,
/// or else by the program that the kernel is set to load modules with (`modprobe`), where this process may. A module
/// that was unloaded and loaded again is found again.
///
/// # How long a call keeps its thread
///
/// The kernel does all the work of an edit inside the call that sends it, on the calling thread, and the time limit of the
/// [`Options`] counts only afterwards. 200 edits take milliseconds. But for a scheduler or persistence engine that it does
/// not have, the kernel first runs `modprobe`, and waits for it, however long that takes; the same goes for the first use of
/// IPVS itself. It does so once for each such name in a batch: see [`Client::apply`]. A program whose other tasks cannot
/// wait for that long gives the client a thread with a runtime of its own, or sees to it that the schedulers are loaded
/// before (at boot, `/etc/modules-load.d`) and that nobody can name others.
///
/// # What others edit meanwhile
///
/// The kernel does not protect a reading against edits, and does not say when one was disturbed. What came in one piece
/// is of one moment: all services up to about 90, the destinations of a service likewise. What did not is compared with
/// the reading before it, or else read until two readings in a row have no service that those before them lack (at most 5):
/// a service that one of them lacks is asked for by its key, which is exact; destinations must be the same twice in a row
/// ([`Cause::Interrupted`](crate::Cause::Interrupted) if they never are).
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
    loader: Loader,
    memory: Memory,
    accepted: Accepted,
}

impl Client {
    /// Opens a client for the network namespace of the calling thread.
    ///
    /// # Errors
    /// [`Cause::Transport`](crate::Cause::Transport): outside of a tokio runtime
    /// ([`NoRuntime`](crate::TransportError::NoRuntime)), or if no netlink socket can be made. That the kernel has no IPVS
    /// shows at the first call.
    ///
    /// # Panics
    /// In a tokio runtime that was built without `enable_io`. Without `enable_time` the calls that wait panic.
    pub fn open() -> Result<Self, Error> {
        Self::open_with(&Options::default())
    }

    /// Opens a client with another timeout, or in another network namespace.
    ///
    /// # Errors
    /// As [`Client::open`]; [`NamespaceForbidden`](crate::TransportError::NamespaceForbidden) without `CAP_SYS_ADMIN`,
    /// [`NoNamespace`](crate::TransportError::NoNamespace) if the file is no network namespace.
    ///
    /// # Panics
    /// As [`Client::open`].
    pub fn open_with(options: &Options) -> Result<Self, Error> {
        let netlink = Generic::open_with(raw::FAMILY_NAME, options)
            .map_err(|error| Error::from_netlink(Operation::Open, error))?;
        let (loader, memory) = (Loader::default(), Memory::default());
        Ok(Self { netlink, loader, memory, accepted: Accepted::default() })
    }

    /// The same client, which runs no program to load the module `ip_vs`, or does. Default: it does.
    #[must_use]
    pub fn with_module_loading(mut self, on: bool) -> Self {
        self.loader.turn(on);
        self
    }

    /// The kernel's version of IPVS and the size of its connection table.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn info(&mut self) -> Result<Info, Error> {
        let answer = self.ask(&Operation::ReadInfo, &Message::new(Command::GetInfo)).await?;
        convert::info(answer.info).map_err(|error| unreadable(Operation::ReadInfo, error))
    }

    /// Adds a service without servers.
    ///
    /// # Errors
    /// See [`Error`]; [`ServiceExists`](crate::Refusal::ServiceExists),
    /// [`SchedulerAbsent`](crate::Refusal::SchedulerAbsent).
    pub async fn add_service(&mut self, service: &VirtualService) -> Result<(), Error> {
        self.change(Change::AddService(service.clone())).await
    }

    /// Changes scheduler, persistence and flags of a service; its servers and connections stay.
    ///
    /// # Errors
    /// See [`Error`]; [`ServiceAbsent`](crate::Refusal::ServiceAbsent), [`SchedulerAbsent`](crate::Refusal::SchedulerAbsent).
    pub async fn edit_service(&mut self, service: &VirtualService) -> Result<(), Error> {
        self.change(Change::EditService(service.clone())).await
    }

    /// Removes a service with its servers.
    ///
    /// # Errors
    /// See [`Error`]; [`ServiceAbsent`](crate::Refusal::ServiceAbsent).
    pub async fn remove_service(&mut self, key: &ServiceKey) -> Result<(), Error> {
        self.change(Change::RemoveService(*key)).await
    }

    /// Adds a real server to a service.
    ///
    /// # Errors
    /// See [`Error`]; [`ServiceAbsent`](crate::Refusal::ServiceAbsent), [`DestinationExists`](crate::Refusal::DestinationExists).
    pub async fn add_destination(&mut self, key: &ServiceKey, server: &RealServer) -> Result<(), Error> {
        self.change(Change::AddServer(*key, *server)).await
    }

    /// Changes weight, forwarding and thresholds of a real server; its connections stay.
    ///
    /// # Errors
    /// See [`Error`]; [`ServiceAbsent`](crate::Refusal::ServiceAbsent), [`DestinationAbsent`](crate::Refusal::DestinationAbsent).
    pub async fn edit_destination(&mut self, key: &ServiceKey, server: &RealServer) -> Result<(), Error> {
        self.change(Change::EditServer(*key, *server)).await
    }

    /// Removes a real server from a service.
    ///
    /// # Errors
    /// See [`Error`]; [`ServiceAbsent`](crate::Refusal::ServiceAbsent), [`DestinationAbsent`](crate::Refusal::DestinationAbsent).
    pub async fn remove_destination(&mut self, key: &ServiceKey, server: &ServerKey) -> Result<(), Error> {
        self.change(Change::RemoveServer(*key, *server)).await
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
        let answers = self.raw_daemons().await?;
        let daemons = answers.iter().map(convert::daemon);
        daemons.collect::<Result<_, _>>().map_err(|error| unreadable(Operation::ReadDaemons, error))
    }

    /// The kernel's own words about them; two fit into any datagram.
    async fn raw_daemons(&mut self) -> Result<Vec<raw::Daemon>, Error> {
        let question = Message::new(Command::GetDaemon);
        let read = |bytes: &[u8]| Message::parse(bytes).map(|answer| answer.daemon);
        self.dump(&Operation::ReadDaemons, &question, read).await.map(|(answers, _)| answers)
    }

    /// Starts a sync daemon.
    ///
    /// # Errors
    /// See [`Error`]; [`DaemonExists`](crate::Refusal::DaemonExists), [`InterfaceAbsent`](crate::Refusal::InterfaceAbsent).
    pub async fn start_daemon(&mut self, daemon: &SyncDaemon) -> Result<(), Error> {
        self.change(Change::StartDaemon(daemon.clone())).await
    }

    /// Stops the sync daemon in that role.
    ///
    /// # Errors
    /// See [`Error`]; [`DaemonAbsent`](crate::Refusal::DaemonAbsent).
    pub async fn stop_daemon(&mut self, role: SyncRole) -> Result<(), Error> {
        // A daemon that has not run yet is stopped without an answer; a batch has an end of its own.
        let results = self.apply(&[Change::StopDaemon(role)]).await?;
        results.into_iter().collect()
    }
}

#[cfg(test)]
mod tests;
