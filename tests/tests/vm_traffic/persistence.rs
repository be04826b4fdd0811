//! A firewall mark groups ports, and persistence keeps clients, or networks of clients, on their server (S4.2).
//!
//! The servers are behind the balancer, whose firewall marks the ports 80 and 443 of TCP and the ports 53 and 54 of UDP.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lvs_core::{Family, Forwarding, Persistence, ServiceKey, ServiceTable, VirtualService};
use lvs_tests::farm::{CLIENT, Dual, Farm};
use lvs_tests::{EchoServer, Transport, require_ipvs};

use crate::by_library::{counted, key, make, server, service, with_servers};

const WEB: [u16; 2] = [80, 443];
const NAMES: [u16; 2] = [53, 54];
/// The mark of each transport.
const MARKS: [(Transport, u32); 2] = [(Transport::Tcp, 1), (Transport::Udp, 2)];

fn farm() -> (Farm, Vec<EchoServer>) {
    require_ipvs();
    let farm = Farm::behind();
    let mut servers: Vec<_> = WEB.iter().flat_map(|&port| farm.serve(Transport::Tcp, port)).collect();
    servers.extend(NAMES.iter().flat_map(|&port| farm.serve(Transport::Udp, port)));
    (farm, servers)
}

fn mark_packets(farm: &Farm) {
    let Dual { v4, v6 } = farm.vip;
    let rules = format!(
        "table inet marks {{
            chain prerouting {{
                type filter hook prerouting priority mangle;
                ip daddr {v4} tcp dport {{ 80, 443 }} meta mark set 1
                ip6 daddr {v6} tcp dport {{ 80, 443 }} meta mark set 1
                ip daddr {v4} udp dport {{ 53, 54 }} meta mark set 2
                ip6 daddr {v6} udp dport {{ 53, 54 }} meta mark set 2
            }}
        }}
        "
    );
    let file = farm.balancer.write_file("marks", &rules);
    farm.balancer.sh(&format!("nft -f {file}")).expect("nft takes the rules");
}

fn ports(transport: Transport) -> [u16; 2] {
    if transport == Transport::Udp { NAMES } else { WEB }
}

fn family(ip: IpAddr) -> Family {
    if ip.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 }
}

/// For longer than the test.
fn persistence(ip: IpAddr) -> Persistence {
    Persistence::new(family(ip), Duration::from_secs(600))
}

/// The service for that mark and family, whose servers take packets on the port that they came to.
fn marked(farm: &Farm, vip: IpAddr, mark: u32, persistence: Option<Persistence>) -> ServiceTable {
    let key = ServiceKey::Fwmark { family: family(vip), mark: mark.try_into().expect("not zero") };
    any_port(farm, service(key, "rr").with_persistence(persistence), vip)
}

fn any_port(farm: &Farm, service: VirtualService, vip: IpAddr) -> ServiceTable {
    let own = farm.servers.each_ref().map(|server| SocketAddr::new(server.address.like(vip), 0));
    with_servers(service, own.map(|address| server(address, Forwarding::Masquerade)))
}

/// Another address of the client, which it has from now on.
fn another(farm: &Farm, v4: &str, v6: &str) -> Dual {
    for address in [v4, v6] {
        farm.client.add_address("eth0", address);
    }
    Dual { v4: v4.parse().expect("an address"), v6: v6.parse().expect("an address") }
}

#[test]
fn a_mark_groups_ports_and_persistence_keeps_each_client_on_one_server_for_all_of_them() {
    let (farm, _servers) = farm();
    let other = another(&farm, "10.1.0.33", "fd01::33");
    mark_packets(&farm);
    let services = |with: fn(IpAddr) -> Option<Persistence>| {
        let of = |(transport, mark): (Transport, u32)| {
            let farm = &farm;
            farm.vip.both().map(move |vip| (transport, marked(farm, vip, mark, with(vip))))
        };
        MARKS.into_iter().flat_map(of).map(|(_, service)| service).collect()
    };
    let asked = |transport: Transport, from: Dual, vip: IpAddr| {
        let [first, second] = ports(transport);
        [first, second, first, second]
            .map(|port| farm.ask_from(transport, from.like(vip), SocketAddr::new(vip, port)))
    };

    // The ports are one service: its turns go on from one port to the other.
    make(&farm.balancer, &services(|_| None));
    for (transport, _) in MARKS {
        for vip in farm.vip.both() {
            let servers = asked(transport, CLIENT, vip);
            assert!(servers[0] != servers[1] && servers[..2] == servers[2..], "{transport:?}: {servers:?}");
        }
    }
    make(&farm.balancer, &services(|vip| Some(persistence(vip))));
    for (transport, _) in MARKS {
        for vip in farm.vip.both() {
            let [one, two] = [CLIENT, other].map(|from| {
                let servers = asked(transport, from, vip);
                assert!(servers.iter().all(|server| *server == servers[0]), "{transport:?}: {servers:?}");
                servers[0].clone()
            });
            assert_ne!(one, two, "{transport:?}: the next client gets the next server");
            for (from, server) in [(CLIENT, &one), (other, &two)] {
                assert!(asked(transport, from, vip).iter().all(|again| again == server), "{transport:?}");
            }
        }
    }
    counted(&farm.balancer, "a client on each server", |service| {
        service.servers.values().all(|server| server.persistent_connections == 1)
    });
}

#[test]
fn a_persistence_netmask_keeps_a_network_of_clients_together() {
    let (farm, _servers) = farm();
    let neighbours = [("10.1.0.33", "fd01::33"), ("10.1.0.45", "fd01::3e")];
    let neighbours = neighbours.map(|(v4, v6)| another(&farm, v4, v6));
    let stranger = another(&farm, "10.1.0.49", "fd01::49");
    let services = farm.vip.both().map(|vip| {
        let length = if vip.is_ipv4() { 28 } else { 124 };
        let key = key(Transport::Tcp, SocketAddr::new(vip, 80));
        let service = service(key, "rr").with_persistence(Some(persistence(vip).with_prefix_len(length)));
        with_servers(
            service,
            farm.servers
                .each_ref()
                .map(|real| server(SocketAddr::new(real.address.like(vip), 80), Forwarding::Masquerade)),
        )
    });
    make(&farm.balancer, &services.into_iter().collect());
    for vip in farm.vip.both() {
        let ask = |from: Dual| farm.ask_from(Transport::Tcp, from.like(vip), SocketAddr::new(vip, 80));
        let [first, second] = neighbours.map(ask);
        assert_eq!(first, second, "neighbours of {vip}");
        assert_ne!(ask(stranger), first, "{vip}: the next network gets the next server");
        assert_eq!(neighbours.map(ask), [first.clone(), first]);
    }
}

#[test]
fn a_service_on_every_port_keeps_a_client_of_tcp_or_udp_on_one_server() {
    let (farm, _servers) = farm();
    let other = another(&farm, "10.1.0.33", "fd01::33");
    let services = MARKS.into_iter().flat_map(|(transport, _)| {
        let farm = &farm;
        farm.vip.both().map(move |vip| {
            let every_port = key(transport, SocketAddr::new(vip, 0));
            any_port(farm, service(every_port, "rr").with_persistence(Some(persistence(vip))), vip)
        })
    });
    make(&farm.balancer, &services.collect());
    for (transport, _) in MARKS {
        for vip in farm.vip.both() {
            let ask = |from: Dual, port| farm.ask_from(transport, from.like(vip), SocketAddr::new(vip, port));
            let [first, second] = ports(transport);
            let one = ask(CLIENT, first);
            assert_ne!(ask(other, first), one, "{transport:?}: the next client gets the next server");
            let again = [second, first, second].map(|port| ask(CLIENT, port));
            assert!(again.iter().all(|server| *server == one), "{transport:?} to {vip}: {again:?}");
        }
    }
}
