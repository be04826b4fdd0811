//! The shape of a virtual service, with and without its servers.

use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::number::{DrainTime, Mark, Number, Prefix, Quantity as _, Seconds};
use super::unique::Unique;
use crate::names::{EngineName, SchedulerName};
use crate::service::{
    Family, Persistence, Protocol, RealServer, SchedulerFlags, ServerKey, ServiceKey, VirtualService,
};
use crate::table::ServiceTable;

#[derive(Serialize)]
struct WrittenService<'a> {
    #[serde(flatten)]
    key: ServiceKey,
    scheduler: &'a SchedulerName,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scheduler_flags: Vec<&'static str>,
    #[serde(skip_serializing_if = "is_false")]
    one_packet: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    persistence: Option<WrittenPersistence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    persistence_engine: Option<&'a EngineName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    servers: Option<Vec<&'a RealServer>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    draining: Vec<WrittenDrain>,
}

#[derive(Serialize)]
struct WrittenDrain {
    address: ServerKey,
    /// Seconds.
    within: u64,
}

#[derive(Serialize)]
struct WrittenPersistence {
    /// Seconds.
    timeout: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<u8>,
    /// Where it is no prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    netmask: Option<Ipv4Addr>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WrittenKey {
    Address { protocol: Protocol, address: ServerKey },
    Fwmark { fwmark: NonZeroU32, family: Family },
}

impl<'a> WrittenService<'a> {
    fn of(service: &'a VirtualService, servers: Option<Vec<&'a RealServer>>) -> Self {
        let persistence = service.persistence().map(|persistence| WrittenPersistence {
            timeout: persistence.timeout().as_secs(),
            prefix: persistence.prefix_len(),
            netmask: persistence.netmask().filter(|_| persistence.prefix_len().is_none()),
        });
        Self {
            key: service.key(),
            scheduler: service.scheduler(),
            scheduler_flags: flag_words(service),
            one_packet: service.one_packet(),
            persistence,
            persistence_engine: service.persistence_engine(),
            servers,
            draining: Vec::new(),
        }
    }
}

impl Serialize for ServiceKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = match *self {
            Self::Address { protocol, address } => {
                WrittenKey::Address { protocol, address: ServerKey::new(address) }
            }
            Self::Fwmark { family, mark } => WrittenKey::Fwmark { fwmark: mark, family },
        };
        written.serialize(serializer)
    }
}

impl Serialize for VirtualService {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        WrittenService::of(self, None).serialize(serializer)
    }
}

impl Serialize for ServiceTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let draining = self.draining().map(|(address, within)| WrittenDrain {
            address,
            // A part of a second counts as one: nothing is cut off before its time.
            within: within
                .as_secs()
                .saturating_add(u64::from(within.subsec_nanos() > 0))
                .min(DrainTime::MOST),
        });
        let service = WrittenService::of(self.service(), Some(self.servers().collect()));
        WrittenService { draining: draining.collect(), ..service }.serialize(serializer)
    }
}

/// The words of the flags that are set: as `ipvsadm` calls them for this scheduler.
fn flag_words(service: &VirtualService) -> Vec<&'static str> {
    let SchedulerFlags { first, second, third } = service.scheduler_flags();
    let [one, two, three] = known_flags(service.scheduler());
    [(first, one), (second, two), (third, three)]
        .into_iter()
        .filter_map(|(is_set, word)| is_set.then_some(word))
        .collect()
}

/// What the flags are called beside `flag-1`, `flag-2` and `flag-3`.
fn known_flags(scheduler: &SchedulerName) -> [&'static str; 3] {
    match scheduler.as_str() {
        "sh" => ["sh-fallback", "sh-port", "flag-3"],
        "mh" => ["mh-fallback", "mh-port", "flag-3"],
        _ => ["flag-1", "flag-2", "flag-3"],
    }
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a service: an object with `protocol` and `address`, or with `fwmark`"
)]
struct ReadService {
    protocol: Option<Protocol>,
    address: Option<ServerKey>,
    fwmark: Option<Number<Mark>>,
    family: Option<Family>,
    #[serde(default)]
    scheduler: SchedulerName,
    #[serde(default)]
    scheduler_flags: Vec<String>,
    #[serde(default)]
    one_packet: bool,
    persistence: Option<ReadPersistence>,
    persistence_engine: Option<EngineName>,
    servers: Option<Unique<RealServer>>,
    draining: Option<Unique<ReadDrain>>,
}

/// A server that is to leave.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a server that drains: an object with `address` and `within`")]
pub(super) struct ReadDrain {
    pub(super) address: ServerKey,
    within: Number<DrainTime>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "persistence: an object with the field `timeout`")]
struct ReadPersistence {
    timeout: Number<Seconds>,
    prefix: Option<Number<Prefix>>,
    netmask: Option<Ipv4Addr>,
}

impl ReadService {
    /// The service, and its servers, those that stay and those that leave, if any were named.
    fn split<E: Error>(self) -> Result<(VirtualService, Servers), E> {
        let key = key(self.protocol, self.address, self.fwmark, self.family)?;
        let flags = flags(&self.scheduler, &self.scheduler_flags)?;
        let persistence = self.persistence.map(|read| persistence(key.family(), read)).transpose()?;
        let service = VirtualService::new(key)
            .with_scheduler(self.scheduler)
            .with_scheduler_flags(flags)
            .with_one_packet(self.one_packet)
            .with_persistence(persistence)
            .with_persistence_engine(self.persistence_engine);
        Ok((service, Servers { staying: self.servers, draining: self.draining }))
    }
}

struct Servers {
    staying: Option<Unique<RealServer>>,
    draining: Option<Unique<ReadDrain>>,
}

fn key<E: Error>(
    protocol: Option<Protocol>,
    address: Option<ServerKey>,
    mark: Option<Number<Mark>>,
    family: Option<Family>,
) -> Result<ServiceKey, E> {
    let mark = mark.and_then(|Number(mark)| NonZeroU32::new(mark));
    let wrong = match (protocol, address, mark, family) {
        (Some(protocol), Some(address), None, None) => {
            return Ok(ServiceKey::address(protocol, address.address()));
        }
        (None, None, Some(mark), family) => {
            return Ok(ServiceKey::Fwmark { family: family.unwrap_or(Family::Ipv4), mark });
        }
        (_, _, None, Some(_)) => "`family` belongs to `fwmark`: an address has its own",
        (Some(_), None, None, None) => return Err(E::missing_field("address")),
        (None, Some(_), None, None) => return Err(E::missing_field("protocol")),
        (None, None, None, None) => "a service has `protocol` and `address`, or `fwmark`",
        (_, _, Some(_), _) => "a service has `protocol` and `address`, or `fwmark`, not both",
    };
    Err(E::custom(wrong))
}

fn flags<E: Error>(scheduler: &SchedulerName, words: &[String]) -> Result<SchedulerFlags, E> {
    let mut flags = SchedulerFlags::default();
    let [one, two, _] = known_flags(scheduler);
    for word in words {
        let flag = match word.as_str() {
            word if word == one || word == "flag-1" => &mut flags.first,
            word if word == two || word == "flag-2" => &mut flags.second,
            "flag-3" => &mut flags.third,
            _ => {
                return Err(E::custom(format_args!(
                    "unknown flag `{word}` of scheduler `{scheduler}`, expected `flag-1`, `flag-2` or `flag-3` (of `sh` also \
                     `sh-fallback` and `sh-port`, of `mh` `mh-fallback` and `mh-port`)"
                )));
            }
        };
        *flag = true;
    }
    Ok(flags)
}

fn persistence<E: Error>(family: Family, read: ReadPersistence) -> Result<Persistence, E> {
    let Number(seconds) = read.timeout;
    let whole = Persistence::new(family, Duration::from_secs(seconds.into()));
    match (read.prefix, read.netmask, family) {
        (None, None, _) => Ok(whole),
        (Some(_), Some(_), _) => {
            Err(E::custom("persistence has either `prefix` or `netmask`, not both; leave one of them out"))
        }
        (None, Some(mask), Family::Ipv4) => Ok(whole.with_netmask(mask)),
        (None, Some(_), Family::Ipv6) => {
            Err(E::custom("`netmask` is for IPv4; a service of IPv6 has a `prefix` of 1 to 128 bits"))
        }
        (Some(Number(0)), None, Family::Ipv6) => {
            Err(E::custom("the prefix of a service of IPv6 has 1 to 128 bits, not 0"))
        }
        (Some(Number(prefix)), None, Family::Ipv4) if prefix > 32 => {
            Err(E::custom(format_args!("the prefix of a service of IPv4 has 0 to 32 bits, not {prefix}")))
        }
        (Some(Number(prefix)), None, _) => Ok(whole.with_prefix_len(prefix)),
    }
}

impl<'de> Deserialize<'de> for VirtualService {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match ReadService::deserialize(deserializer)?.split()? {
            (service, Servers { staying: None, draining: None }) => Ok(service),
            (_, Servers { staying: Some(_), .. }) => {
                Err(D::Error::custom("a service by itself has no field `servers`"))
            }
            (_, Servers { staying: None, draining: Some(_) }) => {
                Err(D::Error::custom("a service by itself has no field `draining`"))
            }
        }
    }
}

impl<'de> Deserialize<'de> for ServiceTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (service, servers) = ReadService::deserialize(deserializer)?.split()?;
        let mut table = Self::new(service);
        for server in servers.staying.unwrap_or_default() {
            table.insert(server);
        }
        for ReadDrain { address, within: Number(seconds) } in servers.draining.unwrap_or_default() {
            if table.drain(address, Duration::from_secs(seconds.into())).is_some() {
                return Err(D::Error::custom(format_args!(
                    "server {address} is in `servers` and in `draining`: leave out one of them"
                )));
            }
        }
        Ok(table)
    }
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a service's key: an object with `protocol` and `address`, or with `fwmark`"
)]
struct ReadKey {
    protocol: Option<Protocol>,
    address: Option<ServerKey>,
    fwmark: Option<Number<Mark>>,
    family: Option<Family>,
}

impl<'de> Deserialize<'de> for ServiceKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ReadKey { protocol, address, fwmark, family } = ReadKey::deserialize(deserializer)?;
        key(protocol, address, fwmark, family)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_false(value: &bool) -> bool {
    !value
}
