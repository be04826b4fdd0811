//! The shape in which tables are written and read (feature `serde`), for people to edit and programs to keep.
//!
//! It is meant for JSON, TOML, YAML and the like; formats without field names cannot hold it. It is part of the crate's
//! interface: fields are added, none changes its meaning. [`Table`], [`ServiceTable`],
//! [`VirtualService`](crate::VirtualService), [`RealServer`](crate::RealServer) and the values in them have it.
//!
//! ```
//! use lvs_core::Table;
//!
//! let text = r#"{
//!   "services": [
//!     {"protocol": "tcp", "address": "192.0.2.10:80", "scheduler": "wlc", "persistence": {"timeout": 300},
//!      "servers": [
//!        {"address": "10.0.1.2:8080"},
//!        {"address": "10.0.1.3:8080", "weight": 2, "upper_threshold": 200, "lower_threshold": 100}
//!      ]},
//!     {"protocol": "udp", "address": "192.0.2.10:5060", "scheduler": "rr", "one_packet": true,
//!      "persistence": {"timeout": 60, "prefix": 24}, "persistence_engine": "sip", "servers": []},
//!     {"fwmark": 1, "family": "ipv6", "scheduler": "mh", "scheduler_flags": ["mh-port"], "servers": [
//!        {"address": "[2001:db8::2]:0", "forwarding": "tunnel",
//!         "tunnel": {"type": "gue", "port": 6080, "checksum": "remote"}}
//!     ]}
//!   ],
//!   "timeouts": {"tcp": 900, "tcp_fin": 120, "udp": 300},
//!   "sync_daemons": [{"role": "master", "interface": "eth0", "sync_id": 51}]
//! }"#;
//! let table: Table = serde_json::from_str(text)?;
//! assert_eq!(table.services().len(), 3);
//! let again = serde_json::to_string(&table)?;
//! assert_eq!(serde_json::from_str::<Table>(&again)?, table);
//!
//! let error = serde_json::from_str::<Table>(r#"{"services": [{"protocol": "tcp", "adress": "192.0.2.10:80"}]}"#).unwrap_err();
//! assert!(error.to_string().starts_with("unknown field `adress`, expected one of `protocol`, `address`"));
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! # A table
//!
//! | field | value |
//! | --- | --- |
//! | `services` | list of services, in any order, none twice; always there: an empty table says `[]` |
//! | `timeouts` | see below; left out: [`Table::timeouts`] says nothing |
//! | `sync_daemons` | list of daemons, one for each role; `[]`: none; left out: [`Table::daemons`] says nothing |
//! | `statistics` | anything; passed over: what programs that write tables beside what they counted put it in |
//!
//! # A service
//!
//! It has either `protocol` and `address`, or `fwmark`.
//!
//! | field | value | left out |
//! | --- | --- | --- |
//! | `protocol` | `tcp`, `udp`, `sctp` | |
//! | `address` | address and port: `192.0.2.10:80`, `[2001:db8::1]:80` | |
//! | `fwmark` | 1 to 4294967295 | |
//! | `family` | of a `fwmark`: `ipv4`, `ipv6` | `ipv4` |
//! | `scheduler` | its name, 1 to 15 characters | `wlc` |
//! | `scheduler_flags` | list of `flag-1`, `flag-2`, `flag-3`; for `sh` and `mh` also and written as `sh-fallback`, `sh-port`, `mh-fallback`, `mh-port` | none |
//! | `one_packet` | `true`, `false` | `false` |
//! | `persistence` | `timeout` in seconds, 1 to 2678400; `prefix` in bits, 0 to 32, or 1 to 128 for IPv6, left out the whole address; for IPv4 instead of it `netmask`, such as `255.0.255.0`, which need be no prefix, and is written only then | none |
//! | `persistence_engine` | its name, 1 to 15 characters: `sip` | none |
//! | `servers` | list of servers, in any order, none twice | none |
//! | `draining` | list of servers that leave when their connections have ended: `address`, and `within` how many seconds at most | none |
//!
//! # A server
//!
//! | field | value | left out |
//! | --- | --- | --- |
//! | `address` | address and port | |
//! | `weight` | 0 to 2147483647 | 1 |
//! | `forwarding` | `masquerade`, `direct-route`, `tunnel`, `local-node` | `masquerade` |
//! | `tunnel` | of forwarding `tunnel`: `type` is `ipip`, `gue` or `gre`; `port`, 1 to 65535, of `gue`; `checksum` is `none`, `full` or (`gue`) `remote`, left out `none` | `ipip` |
//! | `upper_threshold`, `lower_threshold` | connections, 0 to 4294967295; 0 is none; the lower is not above the upper | 0 |
//!
//! # Timeouts, and a sync daemon
//!
//! | field | value | left out |
//! | --- | --- | --- |
//! | `tcp`, `tcp_fin`, `udp` | seconds, 1 to 2678400 | stays as it is |
//!
//! | field | value | left out |
//! | --- | --- | --- |
//! | `role` | `master`, `backup` | |
//! | `interface` | its name | |
//! | `sync_id` | 0 to 255 | 0 |
//! | `max_length` | bytes, 1 to 65507 | the kernel's choice |
//! | `group` | multicast address | 224.0.0.81 |
//! | `port` | 1 to 65535 | 8848 |
//! | `ttl` | 1 to 255 | 1 |
//!
//! # What is refused
//!
//! A field that is not in these tables, a value out of its range, and a service, server or daemon that is there twice. Nothing is read
//! past a mistake: there is no half of a table.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::settings::{SyncDaemon, Timeouts};
use crate::table::{ServiceTable, Table};

mod number;
mod server;
mod service;
mod settings;
mod unique;
mod words;

use unique::Unique;

#[derive(Serialize)]
struct WrittenTable<'a> {
    services: Vec<&'a ServiceTable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeouts: Option<Timeouts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sync_daemons: Option<Vec<&'a SyncDaemon>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table: an object with the field `services`")]
struct ReadTable {
    services: Unique<ServiceTable>,
    timeouts: Option<Timeouts>,
    sync_daemons: Option<Unique<SyncDaemon>>,
    #[serde(default, rename = "statistics")]
    _statistics: IgnoredAny,
}

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = WrittenTable {
            services: self.services().collect(),
            timeouts: self.timeouts(),
            sync_daemons: self.daemons().map(Iterator::collect),
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = ReadTable::deserialize(deserializer)?;
        let mut table: Self = read.services.into_iter().collect();
        if let Some(timeouts) = read.timeouts {
            table = table.with_timeouts(timeouts);
        }
        if let Some(daemons) = read.sync_daemons {
            table = table.with_daemons(daemons);
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests;
