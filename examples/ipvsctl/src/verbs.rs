//! Carries commands out: asks and tells the kernel, and writes what is asked for.

use std::io::{self, Write};

use lvs_core::{ServiceKey, Timeouts};
use lvs_ipvs::{Client, Connection, Connections, ConnectionsError, ListedService};

use crate::command::{Command, Listing, Subject};
use crate::error::{Failure, UsageError};
use crate::list::{self, Heading, Service};
use crate::names::{Names, Numeric, System};
use crate::program::{IPVSADM, complain};
use crate::{json, own, save, usage};

/// One run of the program: its connection to the kernel, which is opened when it is needed first, and its output.
pub(crate) struct Session<'n, W> {
    program: &'n str,
    pub(crate) names: &'n System,
    client: Option<Client>,
    output: W,
    /// Why the answer does not arrive, once that is so.
    unwritten: Option<io::Error>,
}

impl<'n, W: Write> Session<'n, W> {
    pub(crate) const fn new(program: &'n str, names: &'n System, output: W) -> Self {
        Self { program, names, client: None, output, unwritten: None }
    }

    /// Writes a piece of the answer. What is done never depends on who reads it, so [`Session::finish`] alone says that it did
    /// not arrive.
    pub(crate) fn write(&mut self, text: &str) {
        if self.unwritten.is_none() {
            self.unwritten = self.output.write_all(text.as_bytes()).err();
        }
    }

    /// Writes out what is still kept.
    pub(crate) fn flush(&mut self) {
        if self.unwritten.is_none() {
            self.unwritten = self.output.flush().err();
        }
    }

    /// Whether all that was written so far arrived, as far as is known: an answer without an end stops when nobody gets it.
    pub(crate) const fn arrives(&self) -> bool {
        self.unwritten.is_none()
    }

    /// Writes out what is still kept, and says what became of the answer.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        self.flush();
        match self.unwritten.take() {
            // Who is not there to read it does not need it.
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Write(error)),
            _ => Ok(()),
        }
    }

    pub(crate) fn complain(&self, fault: &dyn std::fmt::Display) {
        complain(self.program, fault);
    }

    pub(crate) fn client(&mut self) -> Result<&mut Client, Failure> {
        match &mut self.client {
            Some(client) => Ok(client),
            empty => Ok(empty.insert(Client::open()?)),
        }
    }

    /// Carries one command out. Not `-R`, which reads commands: [`crate::restore`].
    pub(crate) async fn carry_out(&mut self, command: Command) -> Result<(), Failure> {
        match command {
            Command::Edit(change) => {
                let results = self.client()?.apply(&[change]).await?;
                results.into_iter().collect::<Result<(), _>>()?;
            }
            Command::Clear => self.client()?.flush().await?,
            Command::Zero(key) => self.client()?.zero(key.as_ref()).await?,
            Command::List(listing) => return self.list(listing).await,
            Command::Save { numeric } => {
                let Found { services, unsayable } = self.services(false).await?;
                self.write(&save::table(&services, self.names(numeric)));
                return unsayable.into_iter().next().map_or(Ok(()), |one| Err(Failure::NotSaved(one)));
            }
            Command::Restore => {
                return Err(
                    UsageError::no_verb("-R: what is being restored cannot restore; leave this out").into()
                );
            }
            Command::Help => {
                self.write(usage::USAGE);
                if self.program != IPVSADM {
                    self.write(own::USAGE);
                }
            }
            Command::Version => {
                self.write(if self.program == IPVSADM { usage::VERSION_AS_IPVSADM } else { usage::VERSION });
            }
        }
        Ok(())
    }

    async fn list(&mut self, listing: Listing) -> Result<(), Failure> {
        if listing.json {
            return self.list_as_json(listing.subject).await;
        }
        let Listing { subject, numeric, exact, unsorted, json: _ } = listing;
        let text = match subject {
            Subject::Timeouts => list::timeouts(&self.client()?.timeouts().await?),
            Subject::Daemons => list::daemons(&self.client()?.daemons().await?),
            Subject::Connections { engine_data } => return self.connections(numeric, engine_data).await,
            Subject::Services(None, columns) => {
                let info = self.client()?.info().await?;
                let heading =
                    Heading { version: info.version, connection_table_size: info.connection_table_size };
                let services = self.shown(None, unsorted).await?;
                list::services(Some(heading), &services, columns, exact, self.names(numeric))
            }
            Subject::Services(Some(key), columns) => {
                let services = self.shown(Some(&key), unsorted).await?;
                list::services(None, &services, columns, exact, self.names(numeric))
            }
        };
        self.write(&text);
        Ok(())
    }

    async fn list_as_json(&mut self, subject: Subject) -> Result<(), Failure> {
        let text = match subject {
            Subject::Timeouts => json::timeouts(self.client()?.timeouts().await?),
            Subject::Daemons => json::daemons(self.client()?.daemons().await?),
            Subject::Connections { .. } => return self.connections_as_json().await,
            Subject::Services(None, _) => {
                let services = self.shown(None, true).await?;
                let client = self.client()?;
                let (timeouts, daemons) = (client.timeouts().await?, client.daemons().await?);
                json::services(&services, Some(timeouts), Some(daemons))
            }
            Subject::Services(Some(key), _) => {
                let services = self.shown(Some(&key), true).await?;
                json::services(&services, None, None)
            }
        };
        self.write(&text);
        Ok(())
    }

    /// All services with their servers.
    pub(crate) async fn services(&mut self, unsorted: bool) -> Result<Found, Failure> {
        self.found(None, unsorted).await
    }

    /// One service with its servers.
    pub(crate) async fn service(&mut self, key: &ServiceKey, unsorted: bool) -> Result<Found, Failure> {
        let found = self.found(Some(key), unsorted).await?;
        if found.services.is_empty() && found.unsayable.is_empty() {
            return Err(Failure::NothingToList(*key));
        }
        Ok(found)
    }

    /// The services to show; what cannot be shown is told.
    async fn shown(&mut self, only: Option<&ServiceKey>, unsorted: bool) -> Result<Vec<Service>, Failure> {
        let Found { services, unsayable } = match only {
            Some(key) => self.service(key, unsorted).await?,
            None => self.services(unsorted).await?,
        };
        for line in unsayable {
            self.complain(&format_args!("not shown: {line}"));
        }
        Ok(services)
    }

    async fn found(&mut self, only: Option<&ServiceKey>, unsorted: bool) -> Result<Found, Failure> {
        let listing = self.client()?.list(only).await?;
        let mut services: Vec<_> = listing.services.into_iter().map(service).collect();
        if !unsorted {
            services.iter_mut().for_each(|service| list::sort_servers(&mut service.servers));
            list::sort_services(&mut services);
        }
        Ok(Found { services, unsayable: listing.unsayable })
    }

    async fn connections(&mut self, numeric: bool, engine_data: bool) -> Result<(), Failure> {
        let names = self.names;
        let names: &dyn Names = if numeric { &Numeric } else { names };
        let list = list::Connections::new(names, engine_data);
        self.each_connection(list.heading(), |connection| list.line(connection)).await
    }

    async fn connections_as_json(&mut self) -> Result<(), Failure> {
        let mut list = json::Connections::default();
        self.each_connection(list.heading(), |connection| list.item(connection)).await?;
        self.write(list.end());
        Ok(())
    }

    /// Writes a heading, and something about each connection as it is read.
    async fn each_connection(
        &mut self,
        heading: &str,
        mut text: impl FnMut(&Connection) -> String,
    ) -> Result<(), Failure> {
        // This loads the module, and says what is wrong if there is none.
        let _: Timeouts = self.client()?.timeouts().await?;
        let connections = Connections::open()?;
        self.write(heading);
        for row in connections {
            match row {
                // There can be a million.
                _ if !self.arrives() => break,
                Ok(connection) => self.write(&text(&connection)),
                Err(error @ ConnectionsError::Row { .. }) => self.complain(&error),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn names(&self, numeric: bool) -> &dyn Names {
        if numeric { &Numeric } else { self.names }
    }
}

/// What the kernel has.
pub(crate) struct Found {
    pub(crate) services: Vec<Service>,
    /// In words, what neither a list nor a file can say.
    pub(crate) unsayable: Vec<String>,
}

fn service(listed: ListedService) -> Service {
    let servers = listed.servers.into_iter().map(|entry| (entry.server, entry.statistics)).collect();
    Service { service: listed.entry.service, counters: listed.entry.statistics, servers }
}
