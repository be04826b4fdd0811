//! Turns the values of `lvs_core` into messages of the kernel, and back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::{NonZeroU8, NonZeroU16, NonZeroU32};
use std::time::Duration;

use lvs_core::{
    Change, EngineName, Family, Forwarding, Persistence, Protocol, RealServer, SchedulerFlags, SchedulerName,
    ServerKey, ServerStatistics, ServiceKey, SyncDaemon, SyncRole, Timeouts, Tunnel, TunnelChecksum,
    VirtualService, Weight,
};

use crate::raw::{self, Command, DecodeError, Writer, flags, forwarding, state, tunnel};
use crate::types::{Info, ServerEntry, ServiceEntry, Version};

/// Writes the message that makes an edit; nothing if this codec does not know its forwarding method.
pub(crate) fn write_change(change: &Change, to: &mut Writer) -> Option<()> {
    let mut begin = |command| raw::begin(to, command);
    match change {
        Change::AddService(service) => {
            begin(Command::NewService);
            raw_service(service).put(to);
        }
        Change::EditService(service) => {
            begin(Command::SetService);
            raw_service(service).put(to);
        }
        Change::RemoveService(key) => {
            begin(Command::DelService);
            raw_key(key).put(to);
        }
        Change::AddServer(key, server) => {
            begin(Command::NewDest);
            raw_key(key).put(to);
            raw_server(server)?.put(to);
        }
        Change::EditServer(key, server) => {
            begin(Command::SetDest);
            raw_key(key).put(to);
            raw_server(server)?.put(to);
        }
        Change::RemoveServer(key, server) => {
            begin(Command::DelDest);
            raw_key(key).put(to);
            raw_server_key(*server).put(to);
        }
        Change::SetTimeouts(timeouts) => {
            begin(Command::SetConfig);
            raw_timeouts(timeouts).put(to);
        }
        Change::StartDaemon(daemon) => {
            begin(Command::NewDaemon);
            raw_daemon(daemon).put(to);
        }
        Change::StopDaemon(role) => {
            begin(Command::DelDaemon);
            raw::Daemon { state: Some(role_number(*role)), ..raw::Daemon::default() }.put(to);
        }
    }
    Some(())
}

/// As [`write_change`], in a message of its own; nothing also if it is longer than attributes can be.
pub(crate) fn change_bytes(change: &Change) -> Option<Vec<u8>> {
    let mut to = Writer::default();
    write_change(change, &mut to)?;
    to.finish()
}

/// The attributes that name a service.
pub(crate) fn raw_key(key: &ServiceKey) -> raw::Service {
    let family = Some(family_number(key.family()));
    match key {
        ServiceKey::Address { protocol, address } => raw::Service {
            family,
            protocol: Some(protocol_number(*protocol)),
            address: Some(address_field(address.ip())),
            port: Some(address.port()),
            ..raw::Service::default()
        },
        ServiceKey::Fwmark { mark, .. } => {
            raw::Service { family, fwmark: Some(mark.get()), ..raw::Service::default() }
        }
    }
}

/// All attributes of a service; `NEW_SERVICE` and `SET_SERVICE` refuse it with fewer.
pub(crate) fn raw_service(service: &VirtualService) -> raw::Service {
    let family = service.key().family();
    let persistence = service.persistence();
    let clients = persistence.unwrap_or_else(|| Persistence::new(family, Duration::ZERO));
    let timeout = service.persistence().map_or(0, |persistence| persistence.timeout().as_secs());
    let scheduler_flags = service.scheduler_flags();
    let bits = [
        (flags::PERSISTENT, service.persistence().is_some()),
        (flags::ONEPACKET, service.one_packet()),
        (flags::SCHED1, scheduler_flags.first),
        (flags::SCHED2, scheduler_flags.second),
        (flags::SCHED3, scheduler_flags.third),
    ];
    raw::Service {
        scheduler: Some(service.scheduler().as_str().to_owned()),
        persistence_engine: service.persistence_engine().map(|engine| engine.as_str().to_owned()),
        // The mask leaves alone what the kernel keeps there for itself (IP_VS_SVC_F_HASHED).
        flags: Some(raw::Flags {
            bits: bits.iter().filter(|(_, set)| *set).fold(0, |all, (bit, _)| all | bit),
            mask: bits.iter().fold(0, |all, (bit, _)| all | bit),
        }),
        timeout: Some(u32::try_from(timeout).unwrap_or(u32::MAX)),
        netmask: Some(match family {
            Family::Ipv4 => clients.netmask().unwrap_or(Ipv4Addr::BROADCAST).octets(),
            Family::Ipv6 => clients.prefix_len().map_or(128, u32::from).to_ne_bytes(),
        }),
        ..raw_key(&service.key())
    }
}

/// All attributes of a server; nothing if `Forwarding` learned a method that this codec did not.
pub(crate) fn raw_server(server: &RealServer) -> Option<raw::Destination> {
    let method = match server.forwarding() {
        Forwarding::Masquerade => forwarding::MASQ,
        Forwarding::DirectRoute => forwarding::DROUTE,
        Forwarding::Tunnel(_) => forwarding::TUNNEL,
        Forwarding::LocalNode => forwarding::LOCALNODE,
        _ => return None,
    };
    let (tunnel_type, tunnel_port, tunnel_flags) = match server.forwarding() {
        Forwarding::Tunnel(tunnel) => raw_tunnel(tunnel)?,
        _ => (tunnel::IPIP, 0, 0),
    };
    Some(raw::Destination {
        forwarding: Some(method),
        tunnel_type: Some(tunnel_type),
        tunnel_port: Some(tunnel_port),
        tunnel_flags: Some(tunnel_flags),
        weight: Some(server.weight().value()),
        upper_threshold: Some(server.upper_threshold()),
        lower_threshold: Some(server.lower_threshold()),
        ..raw_server_key(server.key())
    })
}

/// Type, port and flags of a tunnel; nothing if `Tunnel` learned a type that this codec did not.
fn raw_tunnel(tunnel: Tunnel) -> Option<(u8, u16, u16)> {
    Some(match tunnel {
        Tunnel::Ipip => (tunnel::IPIP, 0, 0),
        Tunnel::Gue { port, checksum } => {
            let flags = match checksum {
                TunnelChecksum::None => 0,
                TunnelChecksum::Full => tunnel::CSUM,
                TunnelChecksum::Remote => tunnel::REMCSUM,
            };
            (tunnel::GUE, port.get(), flags)
        }
        Tunnel::Gre { checksum } => (tunnel::GRE, 0, if checksum { tunnel::CSUM } else { 0 }),
        _ => return None,
    })
}

/// All attributes of a sync daemon.
pub(crate) fn raw_daemon(daemon: &SyncDaemon) -> raw::Daemon {
    let (group4, group6) = match daemon.group() {
        IpAddr::V4(group) => (Some(group.octets()), None),
        IpAddr::V6(group) => (None, Some(group.octets())),
    };
    raw::Daemon {
        state: Some(role_number(daemon.role())),
        interface: Some(daemon.interface().to_owned()),
        sync_id: Some(daemon.sync_id().into()),
        max_length: daemon.max_length(),
        group4,
        group6,
        port: Some(daemon.port().get()),
        ttl: Some(daemon.ttl().get()),
        other: Vec::new(),
    }
}

/// The attributes that set the connection timeouts; the kernel leaves alone what is 0 or missing.
pub(crate) fn raw_timeouts(timeouts: &Timeouts) -> raw::Timeouts {
    let seconds = |duration: Duration| Some(u32::try_from(duration.as_secs()).unwrap_or(u32::MAX));
    raw::Timeouts {
        tcp: seconds(timeouts.tcp),
        tcp_fin: seconds(timeouts.tcp_fin),
        udp: seconds(timeouts.udp),
    }
}

/// A service as a dump or an answer to `GET_SERVICE` has it, with its counters.
pub(crate) fn service_entry(raw: &raw::Service) -> Result<ServiceEntry, DecodeError> {
    Ok(ServiceEntry { service: service(raw)?, statistics: raw.statistics.unwrap_or_default() })
}

/// A service as a dump or an answer to `GET_SERVICE` has it.
pub(crate) fn service(raw: &raw::Service) -> Result<VirtualService, DecodeError> {
    let key = service_key(raw)?;
    let scheduler = required(raw.scheduler.as_deref(), "scheduler")?;
    let scheduler: SchedulerName =
        scheduler.parse().map_err(|error| DecodeError(format!("scheduler {scheduler:?}: {error}")))?;
    let bits = required(raw.flags, "flags")?.bits;
    let persistence = (bits & flags::PERSISTENT != 0).then(|| persistence(raw, key)).transpose()?;
    Ok(VirtualService::new(key)
        .with_scheduler(scheduler)
        .with_persistence(persistence)
        .with_persistence_engine(engine(raw)?)
        .with_one_packet(bits & flags::ONEPACKET != 0)
        .with_scheduler_flags(SchedulerFlags {
            first: bits & flags::SCHED1 != 0,
            second: bits & flags::SCHED2 != 0,
            third: bits & flags::SCHED3 != 0,
        }))
}

/// A destination of a dump as it can be said; or why it cannot, and its address if it has one.
pub(crate) type Found<T> = Result<T, Unsayable>;

/// See [`Found`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsayable {
    pub(crate) address: Option<ServerKey>,
    pub(crate) reason: DecodeError,
}

/// What `say` ([`server`] or [`server_entry`]) makes of a destination of a service of that family.
pub(crate) fn found<T>(
    raw: &raw::Destination,
    service: Family,
    say: impl Fn(&raw::Destination, Family) -> Result<T, DecodeError>,
) -> Found<T> {
    say(raw, service).map_err(|reason| Unsayable { address: server_key(raw, service).ok(), reason })
}

/// A server as a dump of the destinations of a service of that family has it, with its counters and connections.
pub(crate) fn server_entry(raw: &raw::Destination, service: Family) -> Result<ServerEntry, DecodeError> {
    Ok(ServerEntry { server: server(raw, service)?, statistics: server_statistics(raw) })
}

/// What a server did so far, and its connections.
pub(crate) fn server_statistics(raw: &raw::Destination) -> ServerStatistics {
    ServerStatistics {
        counters: raw.statistics.unwrap_or_default(),
        active_connections: raw.active_connections.unwrap_or(0),
        inactive_connections: raw.inactive_connections.unwrap_or(0),
        persistent_connections: raw.persistent_connections.unwrap_or(0),
    }
}

/// Persistence as it is; what [`Persistence`] would move to a bound is an error.
fn persistence(raw: &raw::Service, key: ServiceKey) -> Result<Persistence, DecodeError> {
    let netmask = required(raw.netmask, "netmask")?;
    let seconds = required(raw.timeout, "timeout")?;
    let timeout = Duration::from_secs(seconds.into());
    let persistence = Persistence::new(key.family(), timeout);
    if persistence.timeout() != timeout {
        return Err(DecodeError(format!("the persistence timeout of {seconds} s is not 1 s to 31 days")));
    }
    match key.family() {
        Family::Ipv4 => Ok(persistence.with_netmask(Ipv4Addr::from(netmask))),
        Family::Ipv6 => {
            let prefix = u32::from_ne_bytes(netmask);
            let length = u8::try_from(prefix).ok().filter(|length| (1..=128).contains(length));
            let length =
                length.ok_or_else(|| DecodeError(format!("the persistence prefix length is {prefix}")));
            length.map(|length| persistence.with_prefix_len(length))
        }
    }
}

/// A server as a dump of the destinations of a service of that family has it.
pub(crate) fn server(raw: &raw::Destination, service: Family) -> Result<RealServer, DecodeError> {
    let key = server_key(raw, service)?;
    let address = key.address();
    let method = required(raw.forwarding, "forwarding method")? & forwarding::MASK;
    let forwarding = match method {
        forwarding::MASQ => Forwarding::Masquerade,
        forwarding::LOCALNODE => Forwarding::LocalNode,
        forwarding::TUNNEL => Forwarding::Tunnel(tunnel(raw, address)?),
        forwarding::DROUTE => Forwarding::DirectRoute,
        forwarding::BYPASS => {
            return Err(DecodeError(format!(
                "destination {address} bypasses the balancer, which no table can say"
            )));
        }
        _ => {
            return Err(DecodeError(format!("destination {address} has unknown forwarding method {method}")));
        }
    };
    let weight = required(raw.weight, "weight")?;
    let weight = Weight::new(weight).ok_or_else(|| {
        DecodeError(format!("destination {address} has weight {weight}, which is out of range"))
    })?;
    Ok(RealServer::new(key)
        .with_weight(weight)
        .with_forwarding(forwarding)
        .with_thresholds(raw.upper_threshold.unwrap_or(0), raw.lower_threshold.unwrap_or(0)))
}

/// A sync daemon as a dump has it. What kernels before 4.3 leave out is what they do.
pub(crate) fn daemon(raw: &raw::Daemon) -> Result<SyncDaemon, DecodeError> {
    let invalid = |error: lvs_core::InvalidSyncDaemon| DecodeError(error.to_string());
    let number = required(raw.state, "state of a sync daemon")?;
    let role =
        role(number).ok_or_else(|| DecodeError(format!("a sync daemon has unknown state {number}")))?;
    let interface = required(raw.interface.as_deref(), "interface of a sync daemon")?;
    let mut daemon = SyncDaemon::new(role, interface).map_err(invalid)?;
    let sync_id = required(raw.sync_id, "identifier of a sync daemon")?;
    daemon = daemon.with_sync_id(u8::try_from(sync_id).map_err(|_| {
        DecodeError(format!("a sync daemon has identifier {sync_id}, which is out of range"))
    })?);
    let group = raw.group4.map(IpAddr::from).or(raw.group6.map(IpAddr::from));
    if let Some(group) = group {
        daemon = daemon.with_group(group).map_err(invalid)?;
    }
    if let Some(port) = raw.port.and_then(NonZeroU16::new) {
        daemon = daemon.with_port(port);
    }
    if let Some(ttl) = raw.ttl.and_then(NonZeroU8::new) {
        daemon = daemon.with_ttl(ttl);
    }
    if let Some(bytes) = raw.max_length {
        daemon = daemon.with_max_length(bytes).map_err(invalid)?;
    }
    Ok(daemon)
}

/// What names a server of a service of that family, whatever else can be said of it.
pub(crate) fn server_key(raw: &raw::Destination, service: Family) -> Result<ServerKey, DecodeError> {
    let family = raw.family.map_or(Ok(service), family)?;
    let address = socket_address(family, required(raw.address, "address")?, required(raw.port, "port")?);
    Ok(ServerKey::new(address))
}

/// The answer to `GET_INFO`.
pub(crate) fn info(raw: raw::Info) -> Result<Info, DecodeError> {
    Ok(Info {
        version: Version::from_number(required(raw.version, "version")?),
        connection_table_size: required(raw.connection_table_size, "connection table size")?,
    })
}

/// The answer to `GET_CONFIG`. A kernel built without TCP or UDP balancing leaves theirs out: zero.
pub(crate) fn timeouts(raw: raw::Timeouts) -> Timeouts {
    let duration = |seconds: Option<u32>| Duration::from_secs(seconds.unwrap_or(0).into());
    Timeouts { tcp: duration(raw.tcp), tcp_fin: duration(raw.tcp_fin), udp: duration(raw.udp) }
}

fn raw_server_key(key: ServerKey) -> raw::Destination {
    let address = key.address();
    raw::Destination {
        family: Some(family_number(Family::of(&address.ip()))),
        address: Some(address_field(address.ip())),
        port: Some(address.port()),
        ..raw::Destination::default()
    }
}

/// What names a service, whatever else can be said of it.
pub(crate) fn service_key(raw: &raw::Service) -> Result<ServiceKey, DecodeError> {
    let family = family(required(raw.family, "address family")?)?;
    if let Some(mark) = raw.fwmark.and_then(NonZeroU32::new) {
        return Ok(ServiceKey::Fwmark { family, mark });
    }
    let protocol = match required(raw.protocol, "protocol")? {
        IPPROTO_TCP => Protocol::Tcp,
        IPPROTO_UDP => Protocol::Udp,
        IPPROTO_SCTP => Protocol::Sctp,
        other => return Err(DecodeError(format!("a service has unknown protocol {other}"))),
    };
    let address = socket_address(family, required(raw.address, "address")?, required(raw.port, "port")?);
    Ok(ServiceKey::Address { protocol, address })
}

fn engine(raw: &raw::Service) -> Result<Option<EngineName>, DecodeError> {
    let Some(name) = raw.persistence_engine.as_deref().filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let engine =
        name.parse().map_err(|error| DecodeError(format!("persistence engine {name:?}: {error}")))?;
    Ok(Some(engine))
}

/// What a tunnel to that destination is. A port or flags that its type does not use say nothing.
fn tunnel(raw: &raw::Destination, address: SocketAddr) -> Result<Tunnel, DecodeError> {
    let flags = raw.tunnel_flags.unwrap_or(0);
    match raw.tunnel_type.unwrap_or(tunnel::IPIP) {
        tunnel::IPIP => Ok(Tunnel::Ipip),
        tunnel::GUE => {
            let port = raw.tunnel_port.and_then(NonZeroU16::new);
            let checksum = if flags & tunnel::REMCSUM != 0 {
                TunnelChecksum::Remote
            } else if flags & tunnel::CSUM != 0 {
                TunnelChecksum::Full
            } else {
                TunnelChecksum::None
            };
            Ok(Tunnel::Gue { port: required(port, "port of a GUE tunnel")?, checksum })
        }
        tunnel::GRE => Ok(Tunnel::Gre { checksum: flags & tunnel::CSUM != 0 }),
        other => Err(DecodeError(format!("destination {address} has unknown tunnel type {other}"))),
    }
}

/// What `IP_VS_STATE_*` says.
pub(crate) fn role(number: u32) -> Option<SyncRole> {
    match number {
        state::MASTER => Some(SyncRole::Master),
        state::BACKUP => Some(SyncRole::Backup),
        _ => None,
    }
}

fn role_number(role: SyncRole) -> u32 {
    match role {
        SyncRole::Master => state::MASTER,
        SyncRole::Backup => state::BACKUP,
    }
}

fn required<T>(value: Option<T>, name: &str) -> Result<T, DecodeError> {
    value.ok_or_else(|| DecodeError(format!("the {name} is missing")))
}

fn family(number: u16) -> Result<Family, DecodeError> {
    match number {
        AF_INET => Ok(Family::Ipv4),
        AF_INET6 => Ok(Family::Ipv6),
        _ => Err(DecodeError(format!("address family {number} is neither IPv4 nor IPv6"))),
    }
}

fn family_number(family: Family) -> u16 {
    match family {
        Family::Ipv4 => AF_INET,
        Family::Ipv6 => AF_INET6,
    }
}

fn protocol_number(protocol: Protocol) -> u16 {
    match protocol {
        Protocol::Tcp => IPPROTO_TCP,
        Protocol::Udp => IPPROTO_UDP,
        Protocol::Sctp => IPPROTO_SCTP,
    }
}

/// `union nf_inet_addr`: an IPv4 address fills the first four bytes.
fn address_field(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(address) => address.octets(),
    }
}

fn socket_address(family: Family, field: [u8; 16], port: u16) -> SocketAddr {
    let address = match family {
        Family::Ipv4 => {
            let [a, b, c, d, ..] = field;
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        Family::Ipv6 => IpAddr::V6(Ipv6Addr::from(field)),
    };
    SocketAddr::new(address, port)
}

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const IPPROTO_TCP: u16 = 6;
const IPPROTO_UDP: u16 = 17;
const IPPROTO_SCTP: u16 = 132;

#[cfg(test)]
mod tests;
