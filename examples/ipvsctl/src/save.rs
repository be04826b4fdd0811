//! Writes a table as the command lines that make it: what `-S` prints and `-R`, ipvsadm's too, reads.

use std::fmt::{self, Write as _};

use lvs_core::{Forwarding, Protocol, RealServer, ServiceKey, Tunnel, TunnelChecksum, VirtualService};

use crate::list::{Endpoint, Service, Third, flag_names, netmask, protocol};
use crate::names::Names;

/// The command lines that make these services and their servers, in the order given.
///
/// ```
/// use ipvsctl::{cli, list::Service, names::Numeric, save, Command};
/// use lvs_core::Change;
///
/// let line = "-A -t 10.0.0.1:80 -s rr -p 300";
/// let Command::Edit(Change::AddService(service)) = cli::parse(line.split(' '), &Numeric)? else { unreachable!() };
/// let service = Service { service, counters: Default::default(), servers: Vec::new() };
/// assert_eq!(save::table(&[service], &Numeric), format!("{line}\n"));
/// # Ok::<(), ipvsctl::error::UsageError>(())
/// ```
#[must_use]
pub fn table(services: &[Service], names: &dyn Names) -> String {
    let mut text = String::new();
    let endpoint = Endpoint { names, whole: true };
    for Service { service, servers, .. } in services {
        let key = key(&service.key(), endpoint);
        // Writing to a string cannot fail.
        let _ = write_service(&mut text, &key, service);
        for (server, _) in servers {
            let name = endpoint.text(server.key().address(), protocol(&service.key()));
            let _ = write_server(&mut text, &key, &name, server);
        }
    }
    text
}

/// The option that names the service.
fn key(key: &ServiceKey, endpoint: Endpoint<'_>) -> String {
    match *key {
        ServiceKey::Address { protocol, address } => {
            let option = match protocol {
                Protocol::Tcp => "-t",
                Protocol::Udp => "-u",
                Protocol::Sctp => "--sctp-service",
            };
            format!("{option} {}", endpoint.text(address, Some(protocol)))
        }
        ServiceKey::Fwmark { family, mark } => {
            let family = if family == lvs_core::Family::Ipv6 { " -6" } else { "" };
            format!("-f {mark}{family}")
        }
    }
}

fn write_service(text: &mut String, key: &str, service: &VirtualService) -> fmt::Result {
    write!(text, "-A {key} -s {}", service.scheduler())?;
    if let Some(persistence) = service.persistence() {
        write!(text, " -p {}", persistence.timeout().as_secs())?;
        if let Some(mask) = netmask(service) {
            write!(text, " -M {mask}")?;
        }
    }
    if let Some(engine) = service.persistence_engine() {
        write!(text, " --pe {engine}")?;
    }
    if service.one_packet() {
        text.push_str(" -o");
    }
    // Differs from ipvsadm, which forgets the third flag of sh and mh.
    let flags = flag_names(service, Third::Always);
    if !flags.is_empty() {
        write!(text, " -b {flags}")?;
    }
    text.push('\n');
    Ok(())
}

fn write_server(text: &mut String, key: &str, name: &str, server: &RealServer) -> fmt::Result {
    let method = match server.forwarding() {
        Forwarding::Masquerade => "-m",
        Forwarding::Tunnel(_) => "-i",
        // A local server is made by the kernel of one of any method.
        _ => "-g",
    };
    write!(text, "-a {key} -r {name} {method} -w {}", server.weight())?;
    // Differs from ipvsadm, which forgets the thresholds.
    if server.upper_threshold() != 0 {
        write!(text, " -x {}", server.upper_threshold())?;
    }
    if server.lower_threshold() != 0 {
        write!(text, " -y {}", server.lower_threshold())?;
    }
    if let Forwarding::Tunnel(tunnel) = server.forwarding() {
        match tunnel {
            Tunnel::Ipip => text.push_str(" --tun-type ipip"),
            Tunnel::Gue { port, checksum } => {
                let checksum = match checksum {
                    TunnelChecksum::None => "--tun-nocsum",
                    TunnelChecksum::Full => "--tun-csum",
                    TunnelChecksum::Remote => "--tun-remcsum",
                };
                write!(text, " --tun-type gue --tun-port {port} {checksum}")?;
            }
            Tunnel::Gre { checksum } => {
                let checksum = if checksum { "--tun-csum" } else { "--tun-nocsum" };
                write!(text, " --tun-type gre {checksum}")?;
            }
            _ => {}
        }
    }
    text.push('\n');
    Ok(())
}
