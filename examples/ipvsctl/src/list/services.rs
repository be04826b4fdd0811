//! The lists of services and their servers.

use std::fmt::{self, Write as _};

use lvs_core::{
    Forwarding, Protocol, RealServer, ServerStatistics, ServiceKey, Statistics, Tunnel, TunnelChecksum,
    VirtualService,
};
use lvs_ipvs::Version;

use super::Service;
use super::endpoint::{COLUMN, Endpoint};
use super::numbers::Counter;
use crate::command::Columns;
use crate::names::Names;

/// What stands above the list of all services; the list of a single one is without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heading {
    /// Version of the kernel's IPVS.
    pub version: Version,
    /// Number of buckets of its connection table.
    pub connection_table_size: u32,
}

/// The list of these services, in the order given.
#[must_use]
pub fn services(
    heading: Option<Heading>,
    services: &[Service],
    columns: Columns,
    exact: bool,
    names: &dyn Names,
) -> String {
    let mut text = String::new();
    if let Some(Heading { version, connection_table_size }) = heading {
        let _ = writeln!(text, "IP Virtual Server version {version} (size={connection_table_size})");
    }
    text.push_str(head(columns));
    let endpoint = Endpoint { names, whole: false };
    for Service { service, counters, servers } in services {
        // Writing to a string cannot fail.
        let _ = write_service(&mut text, service, counters, columns, exact, endpoint);
        for (server, statistics) in servers {
            let protocol = protocol(&service.key());
            let name = endpoint.column(server.key().address(), protocol);
            let _ = write_server(&mut text, &name, server, statistics, columns, exact);
        }
    }
    text
}

fn head(columns: Columns) -> &'static str {
    match columns {
        Columns::Forwarding => {
            "Prot LocalAddress:Port Scheduler Flags\n\
             \x20 -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n"
        }
        Columns::Tunnels => {
            "Prot LocalAddress:Port Scheduler Flags\n\
             \x20 -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn\n"
        }
        Columns::Thresholds => {
            "Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn \n\
             \x20 -> RemoteAddress:Port\n"
        }
        Columns::Persistent => {
            "Prot LocalAddress:Port            Weight    PersistConn ActiveConn InActConn \n\
             \x20 -> RemoteAddress:Port\n"
        }
        Columns::Counters => {
            "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes\n\
             \x20 -> RemoteAddress:Port\n"
        }
        Columns::Rates => {
            "Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS\n\
             \x20 -> RemoteAddress:Port\n"
        }
    }
}

fn write_service(
    text: &mut String,
    service: &VirtualService,
    counters: &Statistics,
    columns: Columns,
    exact: bool,
    endpoint: Endpoint<'_>,
) -> fmt::Result {
    let (label, name) = match service.key() {
        ServiceKey::Address { protocol, address } => {
            let label = match protocol {
                Protocol::Tcp => "TCP",
                Protocol::Udp => "UDP",
                Protocol::Sctp => "SCTP",
            };
            (label, endpoint.column(address, Some(protocol)))
        }
        ServiceKey::Fwmark { family, mark } => {
            let family = if family == lvs_core::Family::Ipv6 { " IPv6" } else { "" };
            ("FWM", format!("{mark}{family}"))
        }
    };
    match columns {
        Columns::Counters | Columns::Rates => {
            write!(text, "{label:<4} {name:<COLUMN$}")?;
            return write_counters(text, counters, columns, exact);
        }
        Columns::Forwarding | Columns::Tunnels | Columns::Thresholds | Columns::Persistent => {
            write!(text, "{label:<4} {name} {}", service.scheduler())?;
        }
    }
    let flags = flag_names(service, Third::Numbered);
    if !flags.is_empty() {
        write!(text, " ({flags})")?;
    }
    if let Some(persistence) = service.persistence() {
        write!(text, " persistent {}", persistence.timeout().as_secs())?;
        if let Some(mask) = netmask(service) {
            write!(text, " mask {mask}")?;
        }
        if let Some(engine) = service.persistence_engine() {
            write!(text, " pe {engine}")?;
        }
    }
    if service.one_packet() {
        text.push_str(" ops");
    }
    text.push('\n');
    Ok(())
}

fn write_server(
    text: &mut String,
    name: &str,
    server: &RealServer,
    statistics: &ServerStatistics,
    columns: Columns,
    exact: bool,
) -> fmt::Result {
    let ServerStatistics { counters, active_connections, inactive_connections, persistent_connections } =
        statistics;
    write!(text, "  -> {name:<COLUMN$}")?;
    let weight = server.weight().value();
    match columns {
        Columns::Forwarding => write!(text, " {:<7} {weight:<6}", method(server))?,
        Columns::Tunnels => write!(text, " {:<7} {:<13} {weight:<6}", method(server), tunnel(server))?,
        Columns::Thresholds => {
            write!(text, " {:<10} {:<10}", server.upper_threshold(), server.lower_threshold())?;
        }
        Columns::Persistent => write!(text, " {weight:<9} {persistent_connections:<11}")?,
        Columns::Counters | Columns::Rates => return write_counters(text, counters, columns, exact),
    }
    writeln!(text, " {active_connections:<10} {inactive_connections:<10}")
}

fn write_counters(text: &mut String, counters: &Statistics, columns: Columns, exact: bool) -> fmt::Result {
    let values = if columns == Columns::Rates {
        [
            counters.connections_per_second,
            counters.incoming_packets_per_second,
            counters.outgoing_packets_per_second,
            counters.incoming_bytes_per_second,
            counters.outgoing_bytes_per_second,
        ]
    } else {
        [
            counters.connections,
            counters.incoming_packets,
            counters.outgoing_packets,
            counters.incoming_bytes,
            counters.outgoing_bytes,
        ]
    };
    for value in values {
        write!(text, "{}", Counter { value, exact })?;
    }
    text.push('\n');
    Ok(())
}

fn method(server: &RealServer) -> &'static str {
    match server.forwarding() {
        Forwarding::Masquerade => "Masq",
        Forwarding::DirectRoute => "Route",
        Forwarding::Tunnel(_) => "Tunnel",
        Forwarding::LocalNode => "Local",
        _ => "?",
    }
}

fn tunnel(server: &RealServer) -> String {
    let Forwarding::Tunnel(tunnel) = server.forwarding() else { return "n/a".to_owned() };
    match tunnel {
        Tunnel::Ipip => "ipip".to_owned(),
        Tunnel::Gue { port, checksum } => {
            let checksum = match checksum {
                TunnelChecksum::None => "-c",
                TunnelChecksum::Full => "+c",
                TunnelChecksum::Remote => "r+c",
            };
            format!("gue:{port}:{checksum}")
        }
        Tunnel::Gre { checksum } => format!("gre:{}c", if checksum { '+' } else { '-' }),
        _ => "?".to_owned(),
    }
}

/// The scheduler flags by the names that they have for this scheduler, separated by commas.
pub(crate) fn flag_names(service: &VirtualService, third: Third) -> String {
    let [first, second] = match service.scheduler().as_str() {
        "sh" => ["sh-fallback", "sh-port"],
        "mh" => ["mh-fallback", "mh-port"],
        _ => ["flag-1", "flag-2"],
    };
    let flags = service.scheduler_flags();
    let third = flags.third && (third == Third::Always || first == "flag-1");
    let set = [(first, flags.first), (second, flags.second), ("flag-3", third)];
    set.into_iter().filter_map(|(name, set)| set.then_some(name)).collect::<Vec<_>>().join(",")
}

/// Whether the third scheduler flag is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Third {
    /// Always, so that nothing is forgotten.
    Always,
    /// Where the others have numbers too; the schedulers that give them names do not use it. So does ipvsadm.
    Numbered,
}

/// The netmask of persistence as `-M` takes it; nothing if each client is on its own.
pub(crate) fn netmask(service: &VirtualService) -> Option<String> {
    let persistence = service.persistence()?;
    match persistence.netmask() {
        Some(mask) => (!mask.is_broadcast()).then(|| mask.to_string()),
        None => persistence.prefix_len().filter(|length| *length < 128).map(|length| length.to_string()),
    }
}

/// The protocol by which ports are named; firewall marks take all.
pub(crate) const fn protocol(key: &ServiceKey) -> Option<Protocol> {
    match key {
        ServiceKey::Address { protocol, .. } => Some(*protocol),
        ServiceKey::Fwmark { .. } => None,
    }
}
