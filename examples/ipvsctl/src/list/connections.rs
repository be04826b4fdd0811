//! The list of connections.

use std::fmt::{self, Write as _};

use lvs_ipvs::{Connection, ConnectionProtocol};

use super::endpoint::Endpoint;
use crate::names::Names;

/// How connections are listed. One is written at a time: a table can have a million.
pub struct Connections<'n> {
    endpoint: Endpoint<'n>,
    engine_data: bool,
}

impl<'n> Connections<'n> {
    /// A list with these names; with the data of persistence engines, or without.
    #[must_use]
    pub fn new(names: &'n dyn Names, engine_data: bool) -> Self {
        Self { endpoint: Endpoint { names, whole: false }, engine_data }
    }

    /// What stands above the list.
    #[must_use]
    pub const fn heading(&self) -> &'static str {
        if self.engine_data {
            "IPVS connection entries\n\
             pro expire state       source             virtual            destination        pe name          pe_data\n"
        } else {
            "IPVS connection entries\n\
             pro expire state       source             virtual            destination\n"
        }
    }

    /// The line of one connection.
    #[must_use]
    pub fn line(&self, connection: &Connection) -> String {
        let mut text = String::with_capacity(96);
        // Writing to a string cannot fail.
        let _ = self.write(&mut text, connection);
        text
    }

    fn write(&self, text: &mut String, connection: &Connection) -> fmt::Result {
        let protocol = match connection.protocol {
            ConnectionProtocol::Transport(protocol) => Some(protocol),
            _ => None,
        };
        let [client, service, server] =
            [connection.client, connection.virtual_address, connection.destination]
                .map(|address| self.endpoint.text(address, protocol));
        let expires = connection.expires.as_secs();
        let (minutes, seconds) = (expires / 60, expires % 60);
        let expires = format!("{minutes:02}:{seconds:02}");
        write!(
            text,
            "{:<3} {expires:<6} {:<11} {client:<18} {service:<18} ",
            connection.protocol, connection.state
        )?;
        match connection.persistence_data.as_deref().filter(|_| self.engine_data) {
            Some(persistence) => {
                // The data are a client's: nothing in them may move the cursor.
                let data = persistence.data.escape_ascii();
                writeln!(text, "{server:<16} {:<18} {data}", persistence.engine.as_str())
            }
            None => writeln!(text, "{server}"),
        }
    }
}
