//! The hosts of the scenario, and what can be asked of any of its tables.

use std::collections::BTreeSet;
use std::time::Duration;

use lvs_tests::peers::{self, WebServer};
use lvs_tests::{Host, Segment, http, poll_until, require_ipvs};

/// Long enough for anything here, on an emulated processor as well.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// What `ipvsadm -Ln` prints of the balancer that S1.2 makes.
pub(crate) const LISTED: [&str; 6] = [
    "IP Virtual Server version 1.2.1 (size=4096)",
    "Prot LocalAddress:Port Scheduler Flags",
    "  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn",
    "TCP  192.168.1.12:80 wlc",
    "  -> 192.168.2.13:80              Masq    1      0          0",
    "  -> 192.168.2.14:80              Masq    1      0          0",
];

/// The console, the balancer and the web servers, which run.
pub(crate) struct Network {
    pub(crate) console: Host,
    pub(crate) balancer: Host,
    pub(crate) servers: [(Host, WebServer); 2],
}

impl Network {
    /// With IPv6, or with the sysctls that disable it.
    #[track_caller]
    pub(crate) fn new(ipv6: bool) -> Self {
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

    /// The table in ipvsadm's words, in any order.
    pub(crate) fn saved(&self) -> BTreeSet<String> {
        let saved = peers::ipvsadm(&self.balancer, "-Sn").expect("ipvsadm saves the table");
        saved.lines().map(|line| line.trim().to_owned()).collect()
    }

    /// The table as ipvsadm lists it.
    pub(crate) fn listed(&self) -> Vec<String> {
        let listed = peers::ipvsadm(&self.balancer, "-Ln").expect("ipvsadm lists the table");
        trimmed(&listed)
    }

    /// Which server answers the console.
    pub(crate) fn fetch(&self) -> String {
        let answer =
            http::get(&self.console, "http://192.168.1.12/", LIMIT).expect("an answer through the balancer");
        assert_eq!(answer.status, 200);
        answer.body
    }

    /// Four requests, each after the connection of the one before has ended, so that wlc counts equal load.
    #[track_caller]
    pub(crate) fn both_servers_answer_in_turn(&self) {
        let bodies = [(); 4].map(|()| {
            poll_until(LIMIT, "no connection is active", || {
                let listed = self.listed();
                let active =
                    |line: &String| line.starts_with("  ->") && line.split_whitespace().nth(4) != Some("0");
                if listed.iter().skip(3).any(active) { Err(listed.join("\n")) } else { Ok(()) }
            });
            self.fetch()
        });
        let mut names: Vec<_> = bodies.iter().take(2).map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, self.servers.each_ref().map(|(server, _)| server.name()));
        assert_eq!(bodies[..2], bodies[2..], "one after the other");
    }
}

/// Lines without the blanks at their ends.
pub(crate) fn trimmed(text: &str) -> Vec<String> {
    text.lines().map(|line| line.trim_end().to_owned()).collect()
}
