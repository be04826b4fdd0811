//! A client, a balancer and two real servers, over IPv4 and IPv6: the servers behind the balancer, beside it, or beyond
//! a router.
//!
//! Behind it, for address translation; the servers' default gateway is the balancer:
//!
//! ```text
//!  client 10.1.0.2 ──── 10.1.0.1 balancer 10.2.0.1 ──┬── web1 10.2.0.11
//!                       10.1.0.100 (VIP)             └── web2 10.2.0.12
//! ```
//!
//! Beside it, for direct routing; the servers have the VIP on `lo`, too:
//!
//! ```text
//!  client 10.1.0.2 ──┬── balancer 10.1.0.1, 10.1.0.100 (VIP)
//!                    ├── web1 10.1.0.11
//!                    └── web2 10.1.0.12
//! ```
//!
//! Beyond a router, for tunnels; the servers have the VIP on `lo`, and reach the client without the balancer:
//!
//! ```text
//!  client 10.1.0.2 ──── router ──┬── balancer 10.2.0.1, 10.2.0.100 (VIP)
//!                                ├── web1 10.3.0.11
//!                                └── web2 10.4.0.11
//! ```
//!
//! Of IPv6, `fd01::2` stands for `10.1.0.2`, and so on. The router is `.254` and `::254` on each network.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::echo::{Conversation, EchoServer, Transport};
use crate::host::{Host, Segment};

/// The hosts, connected; nothing runs on them.
#[derive(Debug)]
pub struct Farm {
    /// Speaks to the virtual address.
    pub client: Host,
    /// Has the virtual address.
    pub balancer: Host,
    /// The two that answer.
    pub servers: [Server; 2],
    /// The virtual address.
    pub vip: Dual,
    /// Whether servers take packets for the virtual address, or for their own.
    servers_have_vip: bool,
    _router: Option<Host>,
    _segments: Vec<Segment>,
}

/// A real server.
#[derive(Debug)]
pub struct Server {
    /// It; called `web1` or `web2`.
    pub host: Host,
    /// Its own address.
    pub address: Dual,
}

/// The IPv4 and the IPv6 address of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dual {
    /// The IPv4 address.
    pub v4: IpAddr,
    /// The IPv6 address.
    pub v6: IpAddr,
}

/// The client's address.
pub const CLIENT: Dual = dual(1, 2);

/// The balancer's own address on the network of a farm whose servers are beyond a router.
pub const DISTANT_BALANCER: Dual = dual(2, 1);

impl Dual {
    /// Both.
    #[must_use]
    pub const fn both(self) -> [IpAddr; 2] {
        [self.v4, self.v6]
    }

    /// The one of the same family as `other`.
    #[must_use]
    pub const fn like(self, other: IpAddr) -> IpAddr {
        if other.is_ipv4() { self.v4 } else { self.v6 }
    }

    /// The one of the other family than `other`.
    #[must_use]
    pub const fn unlike(self, other: IpAddr) -> IpAddr {
        if other.is_ipv4() { self.v6 } else { self.v4 }
    }
}

impl Farm {
    /// The servers are behind the balancer.
    #[track_caller]
    #[must_use]
    pub fn behind() -> Farm {
        let (outside, inside) = (Segment::new(), Segment::new());
        let client = host("client", &[(&outside, CLIENT)]);
        let gateway = dual(2, 1);
        let balancer = host("balancer", &[(&outside, dual(1, 1)), (&inside, gateway)]);
        forward(&balancer);
        let servers = [("web1", 11), ("web2", 12)].map(|(name, last)| {
            let address = dual(2, last);
            let host = host(name, &[(&inside, address)]);
            default_routes(&host, gateway);
            Server { host, address }
        });
        Farm::new(client, balancer, servers, dual(1, 100), None, vec![outside, inside])
    }

    /// The servers are beside the balancer.
    #[track_caller]
    #[must_use]
    pub fn beside() -> Farm {
        let segment = Segment::new();
        let client = host("client", &[(&segment, CLIENT)]);
        let balancer = host("balancer", &[(&segment, dual(1, 1))]);
        let servers = [("web1", 11), ("web2", 12)].map(|(name, last)| {
            let address = dual(1, last);
            Server { host: host(name, &[(&segment, address)]), address }
        });
        let farm = Farm::new(client, balancer, servers, dual(1, 100), None, vec![segment]);
        farm.give_servers_the_vip()
    }

    /// The servers are beyond a router.
    #[track_caller]
    #[must_use]
    pub fn beyond() -> Farm {
        let segments = [(); 4].map(|()| Segment::new());
        let [of_client, of_balancer, of_first, of_second] = &segments;
        let router = host(
            "router",
            &[
                (of_client, dual(1, 254)),
                (of_balancer, dual(2, 254)),
                (of_first, dual(3, 254)),
                (of_second, dual(4, 254)),
            ],
        );
        forward(&router);
        let client = host("client", &[(of_client, CLIENT)]);
        default_routes(&client, dual(1, 254));
        let balancer = host("balancer", &[(of_balancer, DISTANT_BALANCER)]);
        default_routes(&balancer, dual(2, 254));
        let servers = [("web1", 3, of_first), ("web2", 4, of_second)].map(|(name, network, segment)| {
            let address = dual(network, 11);
            let host = host(name, &[(segment, address)]);
            default_routes(&host, dual(network, 254));
            Server { host, address }
        });
        let farm = Farm::new(client, balancer, servers, dual(2, 100), Some(router), segments.into());
        farm.give_servers_the_vip()
    }

    fn new(
        client: Host,
        balancer: Host,
        servers: [Server; 2],
        vip: Dual,
        router: Option<Host>,
        segments: Vec<Segment>,
    ) -> Farm {
        balancer.add_address("eth0", &vip.v4.to_string());
        // Deprecated, so that nothing that the balancer sends of its own has it as its source (RFC 6724, rule 3).
        let script = format!("ip address add {} dev eth0 preferred_lft 0", vip.v6);
        balancer.sh(&script).unwrap_or_else(|error| panic!("{error}"));
        let servers_have_vip = false;
        Farm { client, balancer, servers, vip, servers_have_vip, _router: router, _segments: segments }
    }

    fn give_servers_the_vip(mut self) -> Farm {
        for server in &self.servers {
            server.host.accept_address(&self.vip.v4.to_string());
            // Neighbour solicitations are answered for the addresses of their interface only.
            server.host.add_address("lo", &self.vip.v6.to_string());
        }
        self.servers_have_vip = true;
        self
    }

    /// Starts echo servers on both real servers and for both families, on the addresses that packets come to.
    #[track_caller]
    #[must_use]
    pub fn serve(&self, transport: Transport, port: u16) -> Vec<EchoServer> {
        let mut running = Vec::new();
        for server in &self.servers {
            let address = if self.servers_have_vip { self.vip } else { server.address };
            running.extend(
                address
                    .both()
                    .map(|ip| EchoServer::start(&server.host, transport, SocketAddr::new(ip, port))),
            );
        }
        running
    }

    /// Opens a conversation from that address of the client's with a first message; says which server it is with.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    pub fn converse(
        &self,
        transport: Transport,
        from: IpAddr,
        to: SocketAddr,
    ) -> Result<(Conversation, String), String> {
        let answer = Conversation::open(&self.client, transport, from, to, LIMIT)
            .and_then(|mut conversation| Ok((conversation.say("hello", LIMIT)?, conversation)));
        match answer.map_err(|error| format!("{transport:?} from {from} to {to}: {error}"))? {
            (answer, conversation) if answer.client == conversation.from() && answer.text == "hello" => {
                Ok((conversation, answer.server))
            }
            (answer, _) => Err(format!("{transport:?} from {from} to {to}: {answer:?}")),
        }
    }

    /// Asks from that address of the client's, in a conversation of its own; which server answers.
    #[track_caller]
    #[must_use]
    pub fn ask_from(&self, transport: Transport, from: IpAddr, to: SocketAddr) -> String {
        self.converse(transport, from, to).unwrap_or_else(|failure| panic!("{failure}")).1
    }

    /// Asks as the client, in a conversation of its own; which server answers.
    #[track_caller]
    #[must_use]
    pub fn ask(&self, transport: Transport, to: SocketAddr) -> String {
        self.ask_from(transport, CLIENT.like(to.ip()), to)
    }

    /// Four conversations one after another: the servers answer in turn, and see the client as it is.
    #[track_caller]
    pub fn answers_in_turn(&self, transport: Transport, to: SocketAddr) {
        let servers = [(); 4].map(|()| self.ask(transport, to));
        let [first, second] = self.servers.each_ref().map(|server| server.host.name());
        let turns = [[first, second, first, second], [second, first, second, first]];
        assert!(turns.iter().any(|turn| servers == *turn), "{transport:?} to {to}: {servers:?}");
    }
}

#[track_caller]
fn host(name: &str, networks: &[(&Segment, Dual)]) -> Host {
    let host = Host::new(name);
    for (number, (segment, address)) in networks.iter().enumerate() {
        let device = format!("eth{number}");
        host.connect(segment, &device, &format!("{}/24", address.v4));
        host.add_address(&device, &format!("{}/64", address.v6));
    }
    host
}

#[track_caller]
fn forward(host: &Host) {
    host.sysctl("net.ipv4.ip_forward", "1");
    host.sysctl("net.ipv6.conf.all.forwarding", "1");
}

#[track_caller]
fn default_routes(host: &Host, gateway: Dual) {
    for gateway in gateway.both() {
        host.default_route(&gateway.to_string());
    }
}

const fn dual(network: u8, host: u8) -> Dual {
    use std::net::{Ipv4Addr, Ipv6Addr};
    // The last figures of the IPv6 address are read as those of the IPv4 one: ::11 is .11, ::100 is .100.
    let figures = (host / 100) as u16 * 0x100 + (host / 10 % 10) as u16 * 0x10 + (host % 10) as u16;
    Dual {
        v4: IpAddr::V4(Ipv4Addr::new(10, network, 0, host)),
        v6: IpAddr::V6(Ipv6Addr::new(0xfd00 + network as u16, 0, 0, 0, 0, 0, 0, figures)),
    }
}

/// For one conversation, on an emulated processor.
const LIMIT: Duration = Duration::from_secs(20);
