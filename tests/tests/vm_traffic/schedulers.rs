//! Every scheduler of the kernel, chosen by ipvsctl, gives real connections to servers as its name says (S1.6).
//!
//! The servers are behind the balancer; web1 has weight 3, web2 weight 1.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use lvs_tests::farm::{CLIENT, Farm};
use lvs_tests::{EchoServer, Host, Transport, peers, require_ipvs};

const TCP: Transport = Transport::Tcp;
/// Where the servers listen.
const PORT: u16 = 7;

/// A farm with a service for each of these schedulers, on ports of their own.
struct Scheduled {
    farm: Farm,
    schedulers: &'static [&'static str],
    _servers: Vec<EchoServer>,
}

impl Scheduled {
    #[track_caller]
    fn new(schedulers: &'static [&'static str]) -> Self {
        require_ipvs();
        let farm = Farm::behind();
        let _servers = farm.serve(TCP, PORT);
        let this = Self { farm, schedulers, _servers };
        for scheduler in schedulers {
            let address = this.address(scheduler);
            this.ipvsctl(&format!("-A -t {address} -s {scheduler}"));
            for (server, weight) in this.servers().into_iter().zip([3, 1]) {
                this.ipvsctl(&format!("-a -t {address} -r {server} -m -w {weight}"));
            }
        }
        this
    }

    #[track_caller]
    fn ipvsctl(&self, line: &str) {
        let printed = ipvsctl(&self.farm.balancer, line).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(printed, "", "{line}");
    }

    /// Where web1 and web2 listen.
    fn servers(&self) -> [SocketAddr; 2] {
        self.farm.servers.each_ref().map(|server| SocketAddr::new(server.address.v4, PORT))
    }

    fn address(&self, scheduler: &str) -> SocketAddr {
        let number = self.schedulers.iter().position(|&name| name == scheduler).expect("one of them");
        SocketAddr::new(self.farm.vip.v4, 8000 + u16::try_from(number).expect("a small number"))
    }

    /// The servers of that many connections, one after the other.
    #[track_caller]
    fn ask<const COUNT: usize>(&self, scheduler: &str) -> [String; COUNT] {
        [(); COUNT].map(|()| self.farm.ask(TCP, self.address(scheduler)))
    }

    /// The servers of that many connections that are all open at once.
    #[track_caller]
    fn hold<const COUNT: usize>(&self, scheduler: &str) -> [String; COUNT] {
        let (from, to) = (CLIENT.v4, self.address(scheduler));
        let open = [(); COUNT].map(|()| {
            self.farm.converse(TCP, from, to).unwrap_or_else(|failure| panic!("{scheduler}: {failure}"))
        });
        open.map(|(_, server)| server)
    }
}

/// How many of them each server has.
fn shares(servers: &[String]) -> (usize, usize) {
    let of = |name| servers.iter().filter(|server| *server == name).count();
    (of("web1"), of("web2"))
}

/// So many addresses of the client, which it has from now on.
fn sources(farm: &Farm, count: u8) -> Vec<IpAddr> {
    let addresses = (0..count).map(|number| IpAddr::V4(Ipv4Addr::new(10, 1, 0, 32 + number)));
    addresses.inspect(|address| farm.client.add_address("eth0", &address.to_string())).collect()
}

#[test]
fn rr_alternates_and_wrr_follows_the_weights() {
    let net = Scheduled::new(&["rr", "wrr"]);
    net.farm.answers_in_turn(TCP, net.address("rr"));
    let servers = net.ask::<8>("wrr");
    assert_eq!(shares(&servers), (6, 2), "{servers:?}");
}

#[test]
fn lc_wlc_sed_and_nq_count_open_connections() {
    let net = Scheduled::new(&["lc", "wlc", "sed", "nq"]);
    for (scheduler, expected) in [("lc", (4, 4)), ("wlc", (6, 2)), ("sed", (6, 2)), ("nq", (6, 2))] {
        let servers = net.hold::<8>(scheduler);
        assert_eq!(shares(&servers), expected, "{scheduler}: {servers:?}");
        if scheduler == "nq" {
            assert_ne!(servers[0], servers[1], "an idle server is never left waiting");
        }
    }
}

#[test]
fn fo_and_ovf_prefer_the_heaviest_server_until_it_is_out_or_full() {
    let net = Scheduled::new(&["fo", "ovf"]);
    assert_eq!(shares(&net.ask::<3>("fo")), (3, 0));
    net.ipvsctl(&format!("-e -t {} -r {} -m -w 0", net.address("fo"), net.servers()[0]));
    assert_eq!(shares(&net.ask::<3>("fo")), (0, 3));
    // A server is full when it has more connections than its weight says.
    assert_eq!(net.hold::<6>("ovf"), ["web1", "web1", "web1", "web1", "web2", "web2"]);
}

#[test]
fn dh_lblc_and_lblcr_keep_a_destination_together() {
    let net = Scheduled::new(&["dh", "lblc", "lblcr"]);
    let sources = sources(&net.farm, 4);
    for scheduler in net.schedulers {
        let servers: BTreeSet<_> =
            sources.iter().map(|&from| net.farm.ask_from(TCP, from, net.address(scheduler))).collect();
        assert_eq!(servers.len(), 1, "{scheduler}: {servers:?}");
    }
}

#[test]
fn sh_and_mh_keep_a_source_together_and_spread_sources() {
    let net = Scheduled::new(&["sh", "mh"]);
    let sources = sources(&net.farm, 12);
    for scheduler in net.schedulers {
        let ask_all = || -> Vec<_> {
            sources.iter().map(|&from| net.farm.ask_from(TCP, from, net.address(scheduler))).collect()
        };
        let servers = ask_all();
        assert_eq!(ask_all(), servers, "{scheduler}");
        let (first, second) = shares(&servers);
        assert!(first > 0 && second > 0, "{scheduler}: {servers:?}");
    }
}

#[test]
fn sh_and_mh_tell_the_ports_of_a_source_apart_or_pass_over_a_server_when_their_flags_say_so() {
    let net = Scheduled::new(&["sh", "mh"]);
    for scheduler in net.schedulers {
        let address = net.address(scheduler);
        net.ipvsctl(&format!("-E -t {address} -s {scheduler} -b {scheduler}-port,{scheduler}-fallback"));
        let servers = net.ask::<16>(scheduler);
        let (first, second) = shares(&servers);
        assert!(first > 0 && second > 0, "{scheduler}: {servers:?}");
        // Without the fallback, the share of a server of weight 0 would get no answer.
        net.ipvsctl(&format!("-e -t {address} -r {} -m -w 0", net.servers()[0]));
        assert_eq!(shares(&net.ask::<8>(scheduler)), (0, 8), "{scheduler}");
    }
}

#[test]
fn a_server_at_its_upper_threshold_gets_no_more_connections() {
    let net = Scheduled::new(&["rr"]);
    net.ipvsctl(&format!("-e -t {} -r {} -m -w 1 -x 2", net.address("rr"), net.servers()[0]));
    let servers = net.hold::<6>("rr");
    assert_eq!(shares(&servers), (2, 4), "{servers:?}");
}

#[test]
fn twos_serves_where_it_is_built_and_is_refused_in_words_where_it_is_not() {
    let net = Scheduled::new(&["rr"]);
    let address = SocketAddr::new(net.farm.vip.v4, 9000);
    match ipvsctl(&net.farm.balancer, &format!("-A -t {address} -s twos")) {
        Ok(_) => {
            net.ipvsctl(&format!("-a -t {address} -r {} -m", net.servers()[1]));
            assert_eq!(net.farm.ask(TCP, address), "web2");
        }
        Err(error) => {
            let words = "add service tcp 10.1.0.100:9000";
            assert!(error.contains(words) && error.contains("scheduler"), "{error}");
        }
    }
}

/// Runs the `ipvsctl` under test with these arguments; what it printed, or why it failed.
fn ipvsctl(host: &Host, arguments: &str) -> Result<String, String> {
    let program = peers::built_program("ipvsctl", "ipvsctl");
    host.output(host.command(&program.to_string_lossy()).args(arguments.split_whitespace()))
}
