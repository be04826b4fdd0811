//! Scenario S1: a NAT balancer made by hand, through lvs-ipvs, with Debian's ipvsadm as the reader.
//!
//! ```text
//!  console            balancer                      web1 192.168.2.13
//!  192.168.1.11 ───── eth0 192.168.1.12
//!                     eth1 192.168.2.12 ───── ┤
//!                                                   web2 192.168.2.14
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use lvs_core::{
    Dataplane as _, Forwarding, Protocol, RealServer, Scope, ServerKey, ServiceKey, ServiceTable, Table,
    VirtualService,
};
use lvs_ipvs::{Client, IpvsDataplane};
use lvs_tests::peers::{self, WebServer};
use lvs_tests::{Host, Segment, http, poll_until, require_ipvs};

const LIMIT: Duration = Duration::from_secs(30);

struct Network {
    console: Host,
    balancer: Host,
    servers: [(Host, WebServer); 2],
}

impl Network {
    fn new(ipv6: bool) -> Self {
        require_ipvs();
        let (outside, inside) = (Segment::new(), Segment::new());
        let host = |name: &str| {
            let host = Host::new(name);
            if !ipv6 {
                host.sysctl("net.ipv6.conf.all.disable_ipv6", "1");
                host.sysctl("net.ipv6.conf.default.disable_ipv6", "1");
            }
            host
        };
        let console = host("console");
        console.connect(&outside, "eth0", "192.168.1.11/24");
        let balancer = host("balancer");
        balancer.connect(&outside, "eth0", "192.168.1.12/24");
        balancer.connect(&inside, "eth1", "192.168.2.12/24");
        balancer.sysctl("net.ipv4.ip_forward", "1");
        let servers = [("web1", "192.168.2.13/24"), ("web2", "192.168.2.14/24")].map(|(name, address)| {
            let server = host(name);
            server.connect(&inside, "eth0", address);
            server.default_route("192.168.2.12");
            let pages = peers::nginx(&server, name);
            (server, pages)
        });
        Self { console, balancer, servers }
    }

    /// Runs the library on the balancer.
    fn on_balancer<T: Send>(&self, act: impl AsyncFnOnce(IpvsDataplane) -> T + Send) -> T {
        self.balancer.run(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let client = Client::open().expect("a netlink socket");
                act(IpvsDataplane::new(client)).await
            })
        })
    }

    /// The table in ipvsadm's words, in any order.
    fn saved(&self) -> BTreeSet<String> {
        let saved = peers::ipvsadm(&self.balancer, "-Sn").expect("ipvsadm saves the table");
        saved.lines().map(|line| line.trim().to_owned()).collect()
    }

    fn listed(&self) -> Vec<String> {
        let listed = peers::ipvsadm(&self.balancer, "-Ln").expect("ipvsadm lists the table");
        listed.lines().map(|line| line.trim_end().to_owned()).collect()
    }

    /// Which server answers the console.
    fn fetch(&self) -> String {
        let answer =
            http::get(&self.console, "http://192.168.1.12/", LIMIT).expect("an answer through the balancer");
        assert_eq!(answer.status, 200);
        answer.body
    }

    /// Four requests, each after the connection of the one before has ended, so that wlc counts equal load.
    fn both_servers_answer_in_turn(&self) {
        let bodies: Vec<_> = (0..4)
            .map(|_| {
                poll_until(LIMIT, "no connection is active", || {
                    let entries =
                        self.on_balancer(async |mut ipvs| ipvs.client().destinations(&service()).await);
                    let active: u32 = entries
                        .expect("the servers")
                        .iter()
                        .map(|entry| entry.statistics.active_connections)
                        .sum();
                    if active == 0 { Ok(()) } else { Err(format!("{active} are")) }
                });
                self.fetch()
            })
            .collect();
        let mut names: Vec<_> = bodies.iter().take(2).map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, self.servers.each_ref().map(|(server, _)| server.name()));
        assert_eq!(bodies[..2], bodies[2..], "one after the other");
    }
}

fn service() -> ServiceKey {
    ServiceKey::address(Protocol::Tcp, "192.168.1.12:80".parse().expect("an address"))
}

/// What S1.2 asks for; the scheduler is left out.
fn desired() -> Table {
    let mut entry = ServiceTable::new(VirtualService::new(service()));
    for address in ["192.168.2.13:80", "192.168.2.14:80"] {
        let key = ServerKey::new(address.parse().expect("an address"));
        entry.insert(RealServer::new(key).with_forwarding(Forwarding::Masquerade));
    }
    Table::from_iter([entry])
}

async fn make(ipvs: &mut IpvsDataplane, desired: &Table) {
    let observed = ipvs.observe(Scope::Everything).await.expect("the kernel's table");
    for result in ipvs.apply(observed.changes_to(desired)).await {
        result.expect("the edit");
    }
}

fn balance(ipv6: bool) {
    let network = Network::new(ipv6);

    // S1.1: an empty table.
    network.on_balancer(async |mut ipvs| ipvs.client().flush().await).expect("clear");
    assert_eq!(network.saved(), BTreeSet::new());

    // S1.2: the service and its servers as the original tool lists them.
    network.on_balancer(async |mut ipvs| make(&mut ipvs, &desired()).await);
    assert_eq!(
        network.listed(),
        [
            "IP Virtual Server version 1.2.1 (size=4096)",
            "Prot LocalAddress:Port Scheduler Flags",
            "  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn",
            "TCP  192.168.1.12:80 wlc",
            "  -> 192.168.2.13:80              Masq    1      0          0",
            "  -> 192.168.2.14:80              Masq    1      0          0",
        ]
    );

    // S1.3
    network.both_servers_answer_in_turn();
    poll_until(LIMIT, "the counters have seen four connections and bytes in both directions", || {
        let entry = network.on_balancer(async |mut ipvs| ipvs.client().service(&service()).await);
        let statistics = entry.expect("the service").expect("it is there").statistics;
        let seen =
            statistics.connections == 4 && statistics.incoming_bytes > 0 && statistics.outgoing_bytes > 0;
        if seen { Ok(()) } else { Err(format!("{statistics:?}")) }
    });

    // S1.4: save, clear, restore: the same table.
    let before = network.saved();
    let kept =
        network.on_balancer(async |mut ipvs| ipvs.observe(Scope::Everything).await).expect("the table");
    network.on_balancer(async |mut ipvs| ipvs.client().flush().await).expect("clear");
    assert_eq!(network.saved(), BTreeSet::new());
    let refused = http::get(&network.console, "http://192.168.1.12/", LIMIT);
    assert!(refused.is_err(), "nobody serves on the balancer itself: {refused:?}");
    let restored = network.on_balancer(async |mut ipvs| {
        make(&mut ipvs, &kept).await;
        ipvs.observe(Scope::Everything).await
    });
    assert_eq!(restored.expect("the table"), kept);
    assert_eq!(network.saved(), before);
    network.both_servers_answer_in_turn();
}

#[test]
fn nat_balancer_made_by_hand_serves_from_both_servers_and_is_saved_and_restored() {
    balance(true);
}

#[test]
fn nat_balancer_made_by_hand_works_with_ipv6_disabled() {
    balance(false);
}
