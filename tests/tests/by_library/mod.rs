//! Makes and reads the table of a test host's kernel through lvs-ipvs.

#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a broken test bed is a failed test")]

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lvs_core::{
    Change, Dataplane as _, Forwarding, Protocol, RealServer, Scope, ServerKey, ServiceKey,
    ServiceStatistics, ServiceTable, Table, TableStatistics, VirtualService, Weight,
};
use lvs_ipvs::{Client, IpvsDataplane};
use lvs_netlink::{Command as Request, Generic};
use lvs_tests::{Host, Transport, poll_until};

/// Runs the library on a host.
#[track_caller]
pub(crate) fn on<T: Send>(host: &Host, act: impl AsyncFnOnce(&mut Client) -> T + Send) -> T {
    host.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async {
            let mut client = Client::open().expect("a netlink socket");
            act(&mut client).await
        })
    })
}

/// Makes the host's table equal to this one, as an applier does: observed, compared, edited.
#[track_caller]
pub(crate) fn make(host: &Host, desired: &Table) {
    let results = host.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async {
            let mut dataplane = IpvsDataplane::new(Client::open().expect("a netlink socket"));
            let observed = dataplane.observe(Scope::Everything).await.expect("the kernel's table");
            dataplane.apply(observed.changes_to(desired)).await
        })
    });
    for result in results {
        result.unwrap_or_else(|error| panic!("{}: {error}", host.name()));
    }
}

/// Makes an edit with other bytes in place of `known`: what neither ipvsadm nor these crates have words for.
pub(crate) async fn make_altered(change: &Change, known: [u8; 6], strange: [u8; 6]) -> Result<()> {
    let mut message = lvs_ipvs::codec::encode(change).context("the message")?;
    let place = message.windows(known.len()).position(|bytes| bytes == known).context("the attribute")?;
    message[place..place + strange.len()].copy_from_slice(&strange);
    Generic::open("IPVS")?.request(&Request::from_payload(message)).await?;
    Ok(())
}

/// The counters of all services and servers of a host.
#[track_caller]
pub(crate) fn statistics(host: &Host) -> TableStatistics {
    let statistics = on(host, async |client| client.statistics(Scope::Everything).await);
    statistics.unwrap_or_else(|error| panic!("{}: {error}", host.name()))
}

/// Waits until each service of the host has counted what `expected` wants: the kernel adds up every two seconds.
#[track_caller]
pub(crate) fn counted(host: &Host, what: &str, expected: impl Fn(&ServiceStatistics) -> bool) {
    poll_until(LIMIT, &format!("every service counts {what}"), || {
        let statistics = statistics(host).services;
        assert!(!statistics.is_empty(), "{} has no services", host.name());
        let wrong: Vec<_> = statistics.iter().filter(|(_, service)| !expected(service)).collect();
        if wrong.is_empty() { Ok(()) } else { Err(format!("{wrong:?}")) }
    });
}

/// Waits until every service has counted four connections, two for each of its servers, and no packet to a client.
#[track_caller]
pub(crate) fn counted_one_way(host: &Host) {
    counted(host, "four connections, two for each server, and one direction", |service| {
        let counters = service.counters;
        counters.connections == 4
            && counters.incoming_packets >= 4
            && counters.incoming_bytes > 0
            && (counters.outgoing_packets, counters.outgoing_bytes) == (0, 0)
            && service.servers.values().all(|server| server.counters.connections == 2)
    });
}

/// How many connections of a service to that server are established.
#[track_caller]
pub(crate) fn active(host: &Host, service: &ServiceKey, server: ServerKey) -> Option<u32> {
    let statistics = statistics(host);
    Some(statistics.services.get(service)?.servers.get(&server)?.active_connections)
}

/// The key of the service for that transport at that address.
pub(crate) fn key(transport: Transport, address: SocketAddr) -> ServiceKey {
    let protocol = match transport {
        Transport::Tcp => Protocol::Tcp,
        Transport::Udp => Protocol::Udp,
        Transport::Sctp => Protocol::Sctp,
    };
    ServiceKey::address(protocol, address)
}

/// A service with that scheduler.
pub(crate) fn service(key: ServiceKey, scheduler: &str) -> VirtualService {
    VirtualService::new(key).with_scheduler(scheduler.parse().unwrap())
}

/// A server of weight 1.
pub(crate) fn server(address: SocketAddr, forwarding: Forwarding) -> RealServer {
    RealServer::new(ServerKey::new(address)).with_forwarding(forwarding)
}

/// A weight.
pub(crate) fn weight(number: u32) -> Weight {
    Weight::new(number).unwrap()
}

/// A service and its servers.
pub(crate) fn with_servers(
    service: VirtualService,
    servers: impl IntoIterator<Item = RealServer>,
) -> ServiceTable {
    let mut table = ServiceTable::new(service);
    for server in servers {
        table.insert(server);
    }
    table
}

const LIMIT: Duration = Duration::from_secs(30);
