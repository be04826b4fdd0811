//! Each forwarding method with each transport over both families: who answers, what the wire shows, what is counted.
//!
//! Address translation in a farm whose servers are behind the balancer (S1.3), direct routing in one whose servers are
//! beside it (S2.2), and a balancer that is its own server.

use std::net::SocketAddr;
use std::time::Duration;

use lvs_core::{Forwarding, Table};
use lvs_tests::farm::{CLIENT, Farm};
use lvs_tests::{Capture, EchoServer, Frame, Transport, require_ipvs};

use crate::by_library::{counted, counted_one_way, key, make, server, service, with_servers};

const TRANSPORTS: [Transport; 3] = [Transport::Tcp, Transport::Udp, Transport::Sctp];
/// The port of the services.
const PORT: u16 = 7;
/// For a frame that is on its way.
const LIMIT: Duration = Duration::from_secs(30);

/// A service on each transport and family at the virtual address, with both servers.
fn table(farm: &Farm, forwarding: Forwarding, servers_port: u16) -> Table {
    let services = TRANSPORTS.iter().flat_map(|&transport| {
        farm.vip.both().map(|vip| {
            let servers = farm
                .servers
                .each_ref()
                .map(|real| server(SocketAddr::new(real.address.like(vip), servers_port), forwarding));
            with_servers(service(key(transport, SocketAddr::new(vip, PORT)), "rr"), servers)
        })
    });
    services.collect()
}

/// What of the services' traffic passes the balancer on that interface.
fn traffic(farm: &Farm, device: &str) -> Capture {
    let balancer = farm.balancer.mac(device);
    Capture::start(&farm.balancer, device, move |frame| {
        // A switch that has not learnt where somebody is sends to everybody.
        (frame.outgoing || frame.destination_mac() == Some(balancer)) && frame.ports().is_some()
    })
}

fn is_reply(frame: &Frame, port: u16) -> bool {
    frame.ports().is_some_and(|(source, _)| source == port)
}

#[test]
fn address_translation_carries_tcp_udp_and_sctp_over_both_families() {
    require_ipvs();
    let farm = Farm::behind();
    // Not the service's port: it is translated, too.
    let servers_port = 7007;
    let _servers = TRANSPORTS.map(|transport| farm.serve(transport, servers_port));
    make(&farm.balancer, &table(&farm, Forwarding::Masquerade, servers_port));
    let inside = traffic(&farm, "eth1");
    for transport in TRANSPORTS {
        for vip in farm.vip.both() {
            farm.answers_in_turn(transport, SocketAddr::new(vip, PORT));
        }
    }
    let own = farm.servers.each_ref().map(|server| server.address);
    for vip in farm.vip.both() {
        for own in own {
            let sent = |frame: &Frame| {
                let Some(ip) = frame.ip() else { return false };
                frame.outgoing && (ip.source, ip.destination) == (CLIENT.like(vip), own.like(vip))
            };
            inside.wait_for("requests have the server's address and the client's", LIMIT, sent);
        }
    }
    assert!(inside.frames().iter().any(|frame| is_reply(frame, servers_port)), "replies come back this way");
    counted(&farm.balancer, "four connections, two for each server, and both directions", |service| {
        let counters = service.counters;
        counters.connections == 4
            && counters.incoming_packets >= 4
            && counters.outgoing_packets >= 4
            && counters.incoming_bytes > 0
            && counters.outgoing_bytes > 0
            && service.servers.values().all(|server| server.counters.connections == 2)
    });
}

#[test]
fn direct_routing_carries_tcp_udp_and_sctp_over_both_families_and_replies_bypass_the_balancer() {
    require_ipvs();
    let farm = Farm::beside();
    let _servers = TRANSPORTS.map(|transport| farm.serve(transport, PORT));
    make(&farm.balancer, &table(&farm, Forwarding::DirectRoute, PORT));
    let passing = traffic(&farm, "eth0");
    for transport in TRANSPORTS {
        for vip in farm.vip.both() {
            farm.answers_in_turn(transport, SocketAddr::new(vip, PORT));
        }
    }
    for vip in farm.vip.both() {
        for real in &farm.servers {
            let mac = real.host.mac("eth0");
            let sent = |frame: &Frame| {
                let Some(ip) = frame.ip() else { return false };
                frame.outgoing
                    && frame.destination_mac() == Some(mac)
                    && (ip.source, ip.destination) == (CLIENT.like(vip), vip)
            };
            passing.wait_for("requests go on as they came, to the server's hardware address", LIMIT, sent);
        }
    }
    let replies: Vec<_> = passing.frames().into_iter().filter(|frame| is_reply(frame, PORT)).collect();
    assert!(replies.is_empty(), "{replies:?}");
    counted_one_way(&farm.balancer);
}

#[test]
fn one_packet_scheduling_gives_each_datagram_of_one_socket_a_turn_of_its_own() {
    require_ipvs();
    let farm = Farm::beside();
    let _servers = farm.serve(Transport::Udp, PORT);
    for one_packet in [false, true] {
        let services = farm.vip.both().map(|vip| {
            let at = |ip| SocketAddr::new(ip, PORT);
            let servers = farm
                .servers
                .each_ref()
                .map(|real| server(at(real.address.like(vip)), Forwarding::DirectRoute));
            let service = service(key(Transport::Udp, at(vip)), "rr").with_one_packet(one_packet);
            with_servers(service, servers)
        });
        make(&farm.balancer, &services.into_iter().collect());
        for vip in farm.vip.both() {
            let (from, to) = (CLIENT.like(vip), SocketAddr::new(vip, PORT));
            let (mut open, first) =
                farm.converse(Transport::Udp, from, to).unwrap_or_else(|failure| panic!("{failure}"));
            let answered = [(); 3].map(|()| open.say("and you?", LIMIT).expect("an answer").server);
            let same: Vec<_> = answered.iter().map(|server| *server == first).collect();
            let expected = if one_packet { [false, true, false] } else { [true; 3] };
            assert_eq!(same, expected, "{vip}: {first}, then {answered:?}");
        }
    }
}

#[test]
fn a_balancer_can_be_one_of_its_own_servers() {
    require_ipvs();
    let farm = Farm::beside();
    let at = |vip| SocketAddr::new(vip, PORT);
    let _servers = TRANSPORTS.map(|transport| farm.serve(transport, PORT));
    let _own = TRANSPORTS
        .map(|transport| farm.vip.both().map(|vip| EchoServer::start(&farm.balancer, transport, at(vip))));
    let services = TRANSPORTS.iter().flat_map(|&transport| {
        farm.vip.both().map(|vip| {
            let other = farm.servers[0].address.like(vip);
            let servers = [at(other), at(vip)].map(|address| server(address, Forwarding::DirectRoute));
            with_servers(service(key(transport, at(vip)), "rr"), servers)
        })
    });
    make(&farm.balancer, &services.collect());
    for transport in TRANSPORTS {
        for vip in farm.vip.both() {
            let mut answered = [(); 2].map(|()| farm.ask(transport, at(vip)));
            answered.sort_unstable();
            assert_eq!(answered, ["balancer", "web1"], "{transport:?} to {vip}");
        }
    }
}
