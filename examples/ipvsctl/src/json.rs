//! Lists as JSON: `--json`. The README describes the shape, which is stable: fields are added, none changes its meaning.

use std::net::SocketAddr;

use lvs_core::{
    Protocol, ServerKey, ServerStatistics, ServiceKey, ServiceTable, Statistics, SyncDaemon, Table, Timeouts,
};
use lvs_ipvs::{Connection, ConnectionProtocol};
use serde::Serialize;

use crate::list::Service;

/// The document of services: lvs-core's shape of a table ([`lvs_core::serialized`]), and beside it `statistics`, which whoever
/// reads the table passes over. One service by itself comes without `timeouts` and `sync_daemons`.
///
/// ```
/// use ipvsctl::{json, list::Service};
/// use lvs_core::{Protocol, ServiceKey, Table, VirtualService};
///
/// let key = ServiceKey::address(Protocol::Tcp, "10.0.0.1:80".parse()?);
/// let service = Service { service: VirtualService::new(key), counters: Default::default(), servers: Vec::new() };
/// let text = json::services(&[service], None, None);
/// let table: Table = serde_json::from_str(&text)?;
/// assert!(table.service(&key).is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn services(
    services: &[Service],
    timeouts: Option<Timeouts>,
    daemons: Option<Vec<SyncDaemon>>,
) -> String {
    let table = table(services, timeouts, daemons);
    // Both parts in the order of the keys.
    let mut statistics: Vec<_> = services.iter().map(WrittenStatistics::of).collect();
    statistics.sort_unstable_by_key(|service| service.service);
    text(&Document { table: &table, statistics })
}

/// The table that these services, timeouts and daemons are.
#[must_use]
pub fn table(services: &[Service], timeouts: Option<Timeouts>, daemons: Option<Vec<SyncDaemon>>) -> Table {
    let services = services.iter().map(|Service { service, servers, .. }| {
        let mut table = ServiceTable::new(service.clone());
        for (server, _) in servers {
            table.insert(*server);
        }
        table
    });
    let mut table: Table = services.collect();
    if let Some(timeouts) = timeouts {
        table = table.with_timeouts(timeouts);
    }
    if let Some(daemons) = daemons {
        table = table.with_daemons(daemons);
    }
    table
}

/// The document of the connection timeouts: that of a table, without services.
#[must_use]
pub fn timeouts(timeouts: Timeouts) -> String {
    #[derive(Serialize)]
    struct Document {
        timeouts: Timeouts,
    }
    text(&Document { timeouts })
}

/// The document of the sync daemons: that of a table, without services.
#[must_use]
pub fn daemons(mut sync_daemons: Vec<SyncDaemon>) -> String {
    #[derive(Serialize)]
    struct Document {
        sync_daemons: Vec<SyncDaemon>,
    }
    sync_daemons.sort_unstable();
    text(&Document { sync_daemons })
}

/// A value as indented text with a newline behind it.
pub(crate) fn text(value: &impl Serialize) -> String {
    // What is written here has names for its fields and writes into memory: nothing that could fail.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

/// The document of connections, written piece by piece, each on a line of its own: a table can have a million.
///
/// ```
/// use ipvsctl::json::Connections;
/// use lvs_ipvs::Connections as Rows;
///
/// let copy = "\
/// Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
/// TCP 0A000005 9C40 0A000001 0050 0A000102 1F90 ESTABLISHED     899
/// ";
/// let mut list = Connections::default();
/// let mut text = list.heading().to_owned();
/// for row in Rows::from_reader(copy.as_bytes()) {
///     text += &list.item(&row?);
/// }
/// text += list.end();
/// assert_eq!(
///     text,
///     concat!(
///         "{\"connections\": [\n",
///         r#"{"protocol":"tcp","client":"10.0.0.5:40000","virtual":"10.0.0.1:80","server":"10.0.1.2:8080","#,
///         r#""state":"ESTABLISHED","expires":899}"#,
///         "\n]}\n",
///     ),
/// );
/// # Ok::<(), lvs_ipvs::ConnectionsError>(())
/// ```
#[derive(Debug, Default)]
pub struct Connections {
    begun: bool,
}

impl Connections {
    /// What stands before the first.
    #[must_use]
    pub const fn heading(&self) -> &'static str {
        "{\"connections\": [\n"
    }

    /// The next one, with the comma before it.
    #[must_use]
    pub fn item(&mut self, connection: &Connection) -> String {
        let mut text = if self.begun { ",\n".to_owned() } else { String::new() };
        self.begun = true;
        text += &serde_json::to_string(&WrittenConnection::of(connection)).unwrap_or_default();
        text
    }

    /// What stands behind the last. A document without it is not complete.
    #[must_use]
    pub const fn end(&self) -> &'static str {
        if self.begun { "\n]}\n" } else { "]}\n" }
    }
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    table: &'a Table,
    statistics: Vec<WrittenStatistics>,
}

#[derive(Serialize)]
struct WrittenStatistics {
    #[serde(flatten)]
    service: ServiceKey,
    #[serde(flatten)]
    counters: Counters,
    servers: Vec<WrittenServer>,
}

#[derive(Serialize)]
struct WrittenServer {
    address: ServerKey,
    active_connections: u32,
    inactive_connections: u32,
    persistent_connections: u32,
    #[serde(flatten)]
    counters: Counters,
}

#[derive(Serialize)]
struct Counters {
    connections: u64,
    incoming_packets: u64,
    outgoing_packets: u64,
    incoming_bytes: u64,
    outgoing_bytes: u64,
    /// Each per second.
    rates: Rates,
}

#[derive(Serialize)]
struct Rates {
    connections: u64,
    incoming_packets: u64,
    outgoing_packets: u64,
    incoming_bytes: u64,
    outgoing_bytes: u64,
}

impl WrittenStatistics {
    fn of(service: &Service) -> Self {
        let mut servers: Vec<_> = service
            .servers
            .iter()
            .map(|(server, counted)| WrittenServer::of(server.key(), counted))
            .collect();
        servers.sort_unstable_by_key(|server| server.address);
        Self { service: service.service.key(), counters: Counters::of(&service.counters), servers }
    }
}

impl WrittenServer {
    fn of(address: ServerKey, counted: &ServerStatistics) -> Self {
        Self {
            address,
            active_connections: counted.active_connections,
            inactive_connections: counted.inactive_connections,
            persistent_connections: counted.persistent_connections,
            counters: Counters::of(&counted.counters),
        }
    }
}

impl Counters {
    fn of(counted: &Statistics) -> Self {
        Self {
            connections: counted.connections,
            incoming_packets: counted.incoming_packets,
            outgoing_packets: counted.outgoing_packets,
            incoming_bytes: counted.incoming_bytes,
            outgoing_bytes: counted.outgoing_bytes,
            rates: Rates {
                connections: counted.connections_per_second,
                incoming_packets: counted.incoming_packets_per_second,
                outgoing_packets: counted.outgoing_packets_per_second,
                incoming_bytes: counted.incoming_bytes_per_second,
                outgoing_bytes: counted.outgoing_bytes_per_second,
            },
        }
    }
}

#[derive(Serialize)]
struct WrittenConnection<'a> {
    protocol: WrittenProtocol,
    client: SocketAddr,
    /// Of a template for a firewall mark, that one stands in place of the address.
    #[serde(rename = "virtual", skip_serializing_if = "Option::is_none")]
    virtual_address: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fwmark: Option<u32>,
    server: SocketAddr,
    state: &'a str,
    /// Seconds.
    expires: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    persistence_engine: Option<&'a str>,
    /// The bytes are a client's: quotes, backslashes and what is not printable ASCII are escaped as in `\x00`.
    #[serde(skip_serializing_if = "Option::is_none")]
    persistence_data: Option<String>,
}

/// `tcp`, `udp`, `sctp`, `ip`, or the number of another.
#[derive(Serialize)]
#[serde(untagged)]
enum WrittenProtocol {
    Transport(Protocol),
    Word(&'static str),
    Number(u8),
}

impl<'a> WrittenConnection<'a> {
    fn of(connection: &'a Connection) -> Self {
        let fwmark = connection.fwmark();
        let persistence = connection.persistence_data.as_deref();
        Self {
            protocol: match connection.protocol {
                ConnectionProtocol::Transport(protocol) => WrittenProtocol::Transport(protocol),
                ConnectionProtocol::Other(number) => WrittenProtocol::Number(number),
                _ => WrittenProtocol::Word("ip"),
            },
            client: connection.client,
            virtual_address: fwmark.is_none().then_some(connection.virtual_address),
            fwmark: fwmark.map(std::num::NonZeroU32::get),
            server: connection.destination,
            state: connection.state.as_str(),
            expires: connection.expires.as_secs(),
            persistence_engine: persistence.map(|persistence| persistence.engine.as_str()),
            persistence_data: persistence.map(|persistence| persistence.data.escape_ascii().to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use lvs_core::SyncRole;
    use lvs_ipvs::Connections as Rows;
    use serde_json::{Value, json};

    use super::*;
    use crate::desired;
    use crate::names::Numeric;

    fn listed(lines: &str) -> Vec<Service> {
        let table = desired::table(lines, &Numeric).unwrap();
        let services = table.services().map(|service| Service {
            service: service.service().clone(),
            counters: Statistics { connections: 7, incoming_bytes_per_second: 3, ..Statistics::default() },
            servers: service
                .servers()
                .map(|server| (*server, ServerStatistics { active_connections: 2, ..Default::default() }))
                .collect(),
        });
        services.collect()
    }

    #[test]
    fn the_list_of_services_is_a_table_with_statistics_beside_it() {
        let lines = "-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.1.2:80 -m -w 5\n-A -f 7 -6\n";
        let daemon = SyncDaemon::new(SyncRole::Master, "eth0").unwrap();
        let text = services(&listed(lines), Some(Timeouts::default()), Some(vec![daemon.clone()]));
        let value: Value = serde_json::from_str(&text).unwrap();
        let counters = json!({"connections": 7, "incoming_packets": 0, "outgoing_packets": 0, "incoming_bytes": 0,
            "outgoing_bytes": 0});
        let rates = json!({"connections": 0, "incoming_packets": 0, "outgoing_packets": 0, "incoming_bytes": 3,
            "outgoing_bytes": 0});
        let mut first = counters.clone();
        first["protocol"] = json!("tcp");
        first["address"] = json!("10.0.0.1:80");
        first["rates"] = rates.clone();
        first["servers"] = json!([{"address": "10.0.1.2:80", "active_connections": 2, "inactive_connections": 0,
            "persistent_connections": 0, "connections": 0, "incoming_packets": 0, "outgoing_packets": 0,
            "incoming_bytes": 0, "outgoing_bytes": 0, "rates": {"connections": 0, "incoming_packets": 0,
            "outgoing_packets": 0, "incoming_bytes": 0, "outgoing_bytes": 0}}]);
        let mut second = counters;
        second["fwmark"] = json!(7);
        second["family"] = json!("ipv6");
        second["rates"] = rates;
        second["servers"] = json!([]);
        assert_eq!(value["statistics"], json!([first, second]));

        let expected = desired::table(lines, &Numeric).unwrap();
        let expected = expected.with_timeouts(Timeouts::default()).with_daemons([daemon]);
        assert_eq!(desired::table(&text, &Numeric), Ok(expected));
    }

    #[test]
    fn timeouts_and_daemons_are_those_of_a_table() {
        let value: Value = serde_json::from_str(&timeouts(Timeouts::default())).unwrap();
        assert_eq!(value, json!({"timeouts": {"tcp": 900, "tcp_fin": 120, "udp": 300}}));
        let value: Value = serde_json::from_str(&daemons(Vec::new())).unwrap();
        assert_eq!(value, json!({"sync_daemons": []}));
    }

    #[test]
    fn connections_are_one_document_however_many_there_are() {
        let rows = "\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
UDP 0A000005 9C40 0A000001 13C4 0A000102 13C4 UDP             299 sip a\"b\\\x07
IP  0A000005 0000 00000007 0000 0A000102 0000 ASSURED          60
IP_50 0A000005 0000 0A000001 0000 0A000102 0000 NONE          60
";
        let mut list = Connections::default();
        let mut text = list.heading().to_owned();
        for row in Rows::from_reader(rows.as_bytes()) {
            text += &list.item(&row.unwrap());
        }
        text += list.end();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            value,
            json!({"connections": [
                {"protocol": "udp", "client": "10.0.0.5:40000", "virtual": "10.0.0.1:5060", "server": "10.0.1.2:5060",
                 "state": "UDP", "expires": 299, "persistence_engine": "sip", "persistence_data": "a\\\"b\\\\\\x07"},
                {"protocol": "ip", "client": "10.0.0.5:0", "fwmark": 7, "server": "10.0.1.2:0", "state": "ASSURED",
                 "expires": 60},
                {"protocol": 50, "client": "10.0.0.5:0", "virtual": "10.0.0.1:0", "server": "10.0.1.2:0",
                 "state": "NONE", "expires": 60},
            ]})
        );
        let none = Connections::default();
        let value: Value = serde_json::from_str(&format!("{}{}", none.heading(), none.end())).unwrap();
        assert_eq!(value, json!({"connections": []}));
    }
}
