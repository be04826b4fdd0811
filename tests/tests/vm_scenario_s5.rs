//! Scenario S5: the servers are on other networks than the balancer, packets reach them in a tunnel, and their replies go
//! straight to the client.
//!
//! ```text
//!  client 10.1.0.2 ──── router ──┬── balancer 10.2.0.1, 10.2.0.100 (VIP)
//!                                ├── web1 10.3.0.11, 10.3.0.21
//!                                └── web2 10.4.0.11, 10.4.0.21
//! ```
//!
//! IPv6 likewise, and each family in tunnels of the other. A server takes packets with a checksum at its second address,
//! since a tunnel device of GRE takes either those with one or those without.

#![allow(clippy::panic, reason = "a broken test bed is a failed test")]

mod by_library;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lvs_core::{Forwarding, ServiceTable, Tunnel, TunnelChecksum};
use lvs_tests::farm::{CLIENT, DISTANT_BALANCER, Dual, Farm, Server};
use lvs_tests::{Capture, Conversation, Frame, Ip, Transport, Wrapping, require_ipvs};

use by_library::{counted_one_way, key, make, server, service, with_servers};

/// TCP and UDP; SCTP has one test of its own.
const TRANSPORTS: [Transport; 2] = [Transport::Tcp, Transport::Udp];
const GUE_PORT: u16 = 6080;
/// For a frame that is on its way.
const LIMIT: Duration = Duration::from_secs(30);

/// One way to reach a server.
#[derive(Clone, Copy)]
struct Way {
    tunnel: Tunnel,
    /// How it looks on the wire.
    wrapping: Wrapping,
    /// Whether the servers take it at their second address.
    second_address: bool,
}

/// The service of each way, transport and combination of families has a port of its own.
struct Case {
    way: Way,
    transport: Transport,
    /// The service's address.
    address: SocketAddr,
    /// The servers' addresses, of the same family or of the other one.
    servers: [IpAddr; 2],
}

impl Case {
    fn table(&self) -> ServiceTable {
        let forwarding = Forwarding::Tunnel(self.way.tunnel);
        let servers = self.servers.map(|ip| server(SocketAddr::new(ip, self.address.port()), forwarding));
        with_servers(service(key(self.transport, self.address), "rr"), servers)
    }

    fn describe(&self) -> String {
        let Self { way, transport, address, servers } = self;
        format!("{transport:?} {address} in {:?} to {servers:?}", way.tunnel)
    }
}

fn cases(farm: &Farm, ways: &[Way], transports: &[Transport]) -> Vec<Case> {
    let mut cases = Vec::new();
    for &way in ways {
        for &transport in transports {
            for vip in farm.vip.both() {
                for mixed in [false, true] {
                    let port = FIRST_PORT + u16::try_from(cases.len()).unwrap_or(u16::MAX);
                    let servers = farm.servers.each_ref().map(|server| {
                        let own = if way.second_address { second(server) } else { server.address };
                        if mixed { own.unlike(vip) } else { own.like(vip) }
                    });
                    cases.push(Case { way, transport, address: SocketAddr::new(vip, port), servers });
                }
            }
        }
    }
    cases
}

/// The address at which a server takes packets with a checksum.
fn second(server: &Server) -> Dual {
    let other = |ip: IpAddr| -> IpAddr {
        let text = ip.to_string();
        let prefix = text.strip_suffix("11").unwrap_or_else(|| panic!("{text} does not end in 11"));
        format!("{prefix}21").parse().unwrap_or_else(|error| panic!("{prefix}21: {error}"))
    };
    Dual { v4: other(server.address.v4), v6: other(server.address.v6) }
}

/// The network; `accept` are the commands that make a server take the tunnel's packets. In them, `$A4` and `$A6` are its
/// addresses, `$B4` and `$B6` the second ones.
fn farm(accept: &str) -> Farm {
    require_ipvs();
    let farm = Farm::beyond();
    for server in &farm.servers {
        let (own, second) = (server.address, second(server));
        for address in second.both() {
            server.host.add_address("eth0", &address.to_string());
        }
        let addresses = format!("A4={} A6={} B4={} B6={}", own.v4, own.v6, second.v4, second.v6);
        let script = format!("set -e\n{addresses}\n{accept}");
        server.host.sh(&script).unwrap_or_else(|error| panic!("{error}"));
    }
    farm
}

/// All that can be seen of a way: who answers, what the wire shows at the balancer, what is counted.
fn carries(farm: &Farm, ways: &[Way], transports: &[Transport]) {
    let cases = cases(farm, ways, transports);
    let _servers: Vec<_> = cases.iter().map(|case| farm.serve(case.transport, case.address.port())).collect();
    make(&farm.balancer, &cases.iter().map(Case::table).collect());
    let balancer = farm.balancer.mac("eth0");
    let passing = Capture::start(&farm.balancer, "eth0", move |frame| {
        frame.ip().is_some() && (frame.outgoing || frame.destination_mac() == Some(balancer))
    });
    for case in &cases {
        println!("{}", case.describe());
        farm.answers_in_turn(case.transport, case.address);
    }
    for case in &cases {
        for target in case.servers {
            let what = format!("{} on the wire to {target}", case.describe());
            passing.wait_for(&what, LIMIT, |frame| is_wrapped(frame, case, target));
        }
    }
    let from_vip = |ip: Ip<'_>| farm.vip.both().contains(&ip.source);
    let replies = passing.frames().into_iter().filter(|frame| {
        let Some(ip) = frame.ip() else { return false };
        let inner = ip.unwrapped().map(|(_, inner)| inner);
        let is_case = |ip: Ip<'_>| ip.ports().is_some_and(|(source, _)| source >= FIRST_PORT);
        from_vip(ip) && is_case(ip) || inner.is_some_and(from_vip)
    });
    assert_eq!(replies.count(), 0, "replies do not pass the balancer");
    counted_one_way(&farm.balancer);
}

/// Whether the balancer sends a packet of the client's in that wrapping to that server.
fn is_wrapped(frame: &Frame, case: &Case, target: IpAddr) -> bool {
    let Some(outer) = frame.ip() else { return false };
    let Some((wrapping, inner)) = outer.unwrapped() else { return false };
    frame.outgoing
        && wrapping == case.way.wrapping
        && (outer.source, outer.destination) == (DISTANT_BALANCER.like(target), target)
        && (inner.source, inner.destination) == (CLIENT.like(case.address.ip()), case.address.ip())
        && inner.ports().is_some_and(|(_, port)| port == case.address.port())
}

const IPIP: Way = Way { tunnel: Tunnel::Ipip, wrapping: Wrapping::Ip, second_address: false };

/// The devices that take IPv4 in IPv4, IPv6 in IPv4 and both in IPv6 from everybody; with GUE they take what it wraps.
const ACCEPT_IPIP: &str = "
    modprobe ipip && modprobe sit && modprobe ip6_tunnel
    ip link set tunl0 up
    ip link set sit0 up
    ip link add any6 type ip6tnl mode any local $A6 remote fd02::1
    ip link add any6b type ip6tnl mode any local $B6 remote fd02::1
    ip link set any6 up
    ip link set any6b up
";

#[test]
fn ipip_carries_tcp_and_udp_of_each_family_in_each_family() {
    let farm = farm(ACCEPT_IPIP);
    carries(&farm, &[IPIP], &TRANSPORTS);
}

#[test]
fn ipip_carries_sctp() {
    let farm = farm(ACCEPT_IPIP);
    carries(&farm, &[IPIP], &[Transport::Sctp]);
}

#[test]
fn gue_carries_tcp_and_udp_of_each_family_in_each_family_with_each_kind_of_checksum() {
    let farm = farm(&format!(
        "{ACCEPT_IPIP}
        modprobe fou && modprobe fou6
        ip fou add port {GUE_PORT} gue
        ip -6 fou add port {GUE_PORT} gue
        "
    ));
    let ways = [
        (TunnelChecksum::None, false, false),
        (TunnelChecksum::Full, true, false),
        (TunnelChecksum::Remote, true, true),
    ]
    .map(|(checksum, present, extended)| Way {
        tunnel: Tunnel::Gue { port: GUE_PORT.try_into().expect("a port"), checksum },
        wrapping: Wrapping::Gue { port: GUE_PORT, checksum: present, extended },
        second_address: present,
    });
    carries(&farm, &ways, &TRANSPORTS);
}

#[test]
fn gre_carries_tcp_and_udp_of_each_family_in_each_family_with_and_without_checksum() {
    let farm = farm(
        "
        modprobe ip_gre && modprobe ip6_gre
        ip link add plain4 type gre local $A4 remote 10.2.0.1
        ip link add sum4 type gre local $B4 remote 10.2.0.1 icsum ocsum
        ip link add plain6 type ip6gre local $A6 remote fd02::1
        ip link add sum6 type ip6gre local $B6 remote fd02::1 icsum ocsum
        for device in plain4 sum4 plain6 sum6; do ip link set $device up; done
        ",
    );
    let ways = [false, true].map(|checksum| Way {
        tunnel: Tunnel::Gre { checksum },
        wrapping: Wrapping::Gre { checksum },
        second_address: checksum,
    });
    carries(&farm, &ways, &TRANSPORTS);
}

#[test]
fn a_message_of_many_packets_fits_into_the_tunnel() {
    let farm = farm(ACCEPT_IPIP);
    let cases = cases(&farm, &[IPIP], &[Transport::Tcp]);
    let _servers: Vec<_> = cases.iter().map(|case| farm.serve(case.transport, case.address.port())).collect();
    make(&farm.balancer, &cases.iter().map(Case::table).collect());
    // Full packets do not fit once they are wrapped: the balancer has to tell the client.
    let text = "0123456789".repeat(50_000);
    for case in &cases {
        let from = CLIENT.like(case.address.ip());
        let answer = Conversation::open(&farm.client, case.transport, from, case.address, LIMIT)
            .and_then(|mut conversation| conversation.say(&text, LIMIT))
            .unwrap_or_else(|error| panic!("{}: {error}", case.describe()));
        assert!(answer.text == text, "{}: {} bytes came back", case.describe(), answer.text.len());
    }
}

const FIRST_PORT: u16 = 7001;
