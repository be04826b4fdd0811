//! The shape of timeouts and of sync daemons.

use std::net::IpAddr;
use std::num::{NonZeroU8, NonZeroU16};
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::number::{MessageLength, Number, Port, Seconds, SyncId, TimeToLive};
use super::words::parsed;
use crate::settings::{SyncDaemon, SyncRole, Timeouts};

/// Seconds; what stays as it is is left out.
#[derive(Serialize)]
struct WrittenTimeouts {
    #[serde(skip_serializing_if = "Option::is_none")]
    tcp: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tcp_fin: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    udp: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "timeouts: an object with `tcp`, `tcp_fin` and `udp`")]
struct ReadTimeouts {
    tcp: Option<Number<Seconds>>,
    tcp_fin: Option<Number<Seconds>>,
    udp: Option<Number<Seconds>>,
}

impl Serialize for Timeouts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let seconds = |timeout: Duration| Some(timeout.as_secs()).filter(|&seconds| seconds > 0);
        let written = WrittenTimeouts {
            tcp: seconds(self.tcp),
            tcp_fin: seconds(self.tcp_fin),
            udp: seconds(self.udp),
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Timeouts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = ReadTimeouts::deserialize(deserializer)?;
        let timeout = |seconds: Option<Number<Seconds>>| {
            seconds.map_or(Duration::ZERO, |Number(seconds)| Duration::from_secs(seconds.into()))
        };
        Ok(Self { tcp: timeout(read.tcp), tcp_fin: timeout(read.tcp_fin), udp: timeout(read.udp) })
    }
}

#[derive(Serialize)]
struct WrittenDaemon<'a> {
    role: SyncRole,
    interface: &'a str,
    sync_id: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_length: Option<u16>,
    group: IpAddr,
    port: NonZeroU16,
    ttl: NonZeroU8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a sync daemon: an object with `role` and `interface`")]
struct ReadDaemon {
    role: SyncRole,
    interface: String,
    sync_id: Option<Number<SyncId>>,
    max_length: Option<Number<MessageLength>>,
    group: Option<Group>,
    port: Option<Number<Port>>,
    ttl: Option<Number<TimeToLive>>,
}

struct Group(IpAddr);

impl<'de> Deserialize<'de> for Group {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, "a multicast address (224.0.0.0/4 or ff00::/8)").map(Self)
    }
}

impl Serialize for SyncDaemon {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = WrittenDaemon {
            role: self.role(),
            interface: self.interface(),
            sync_id: self.sync_id(),
            max_length: self.max_length(),
            group: self.group(),
            port: self.port(),
            ttl: self.ttl(),
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SyncDaemon {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = ReadDaemon::deserialize(deserializer)?;
        let mut daemon = Self::new(read.role, &read.interface).map_err(D::Error::custom)?;
        if let Some(Number(sync_id)) = read.sync_id {
            daemon = daemon.with_sync_id(sync_id);
        }
        if let Some(Number(bytes)) = read.max_length {
            daemon = daemon.with_max_length(bytes).map_err(D::Error::custom)?;
        }
        if let Some(Group(group)) = read.group {
            daemon = daemon.with_group(group).map_err(D::Error::custom)?;
        }
        if let Some(port) = read.port.and_then(|Number(port)| NonZeroU16::new(port)) {
            daemon = daemon.with_port(port);
        }
        if let Some(ttl) = read.ttl.and_then(|Number(ttl)| NonZeroU8::new(ttl)) {
            daemon = daemon.with_ttl(ttl);
        }
        Ok(daemon)
    }
}
