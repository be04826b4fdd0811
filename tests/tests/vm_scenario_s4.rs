//! Scenario S4 with traffic: two routers on two networks, whose lvsd translate addresses; what is open survives a
//! failover.
//!
//! ```text
//!  client             ┌─ router 9 ─┐                    web1 10.11.12.1
//!  192.168.26.1 ──────┤            ├────────────────┬── web2 10.11.12.2
//!                     └─ router 8 ─┘
//!              eth0 192.168.26.9, .8     eth1 10.11.12.9, .8
//!              VIP  192.168.26.10        VIP  10.11.12.10, the servers' gateway
//! ```
//!
//! What happens to the addresses alone, with any mix of daemons, is in `scenario_s4.rs`.

#![allow(clippy::panic, reason = "a broken test bed is a failed test")]

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lvs_tests::peers::{self, WebServer};
use lvs_tests::{
    Capture, Conversation, EchoServer, Host, Process, Segment, Transport, http, poll_until, require_ipvs,
};

const ROUTERS: [&str; 2] = ["9", "8"];
const PRIORITIES: [u8; 2] = [150, 100];
const CLIENT: &str = "192.168.26.1";
const VIP: &str = "192.168.26.10";
const GATEWAY: &str = "10.11.12.10";
const SERVERS: [&str; 2] = ["10.11.12.1", "10.11.12.2"];
/// The port of the service with connections that stay open.
const TALK: u16 = 7;
/// Long enough for anything that takes seconds, on an emulated processor as well.
const LIMIT: Duration = Duration::from_secs(60);
/// For one fetch of a small page.
const FETCH: Duration = Duration::from_secs(5);

struct Network {
    client: Host,
    routers: [Host; 2],
    servers: [Server; 2],
    segments: [Segment; 2],
    /// Seconds between two adverts.
    advert_interval: u8,
}

struct Server {
    host: Host,
    _web: WebServer,
    _talk: EchoServer,
}

impl Network {
    /// For both routers at once: a processor that many share does not look like a dead master.
    #[track_caller]
    fn of_two() -> Self {
        Self::new(3)
    }

    /// For one router alone, which becomes master as soon as it may.
    #[track_caller]
    fn of_one() -> Self {
        Self::new(1)
    }

    #[track_caller]
    fn new(advert_interval: u8) -> Self {
        require_ipvs();
        let segments = [Segment::new(), Segment::new()];
        let [outside, inside] = &segments;
        let client = Host::new("client");
        client.connect(outside, "eth0", &format!("{CLIENT}/24"));
        let routers = ROUTERS.map(|last| {
            let host = Host::new(&format!("router{last}"));
            host.connect(outside, "eth0", &format!("192.168.26.{last}/24"));
            host.connect(inside, "eth1", &format!("10.11.12.{last}/24"));
            host.sysctl("net.ipv4.ip_forward", "1");
            // Every packet synchronises its connection. By default it takes more than three; with "0 0" only the end of
            // a connection is told (`ip_vs_sync_conn_needed`).
            host.sysctl("net.ipv4.vs.sync_threshold", "0 1");
            host
        });
        let servers = [("web1", SERVERS[0]), ("web2", SERVERS[1])].map(|(name, address)| {
            let host = Host::new(name);
            host.connect(inside, "eth0", &format!("{address}/24"));
            host.default_route(GATEWAY);
            let web = peers::nginx(&host, name);
            let talk = EchoServer::start(&host, Transport::Tcp, socket(address, TALK));
            Server { host, _web: web, _talk: talk }
        });
        Self { client, routers, servers, segments, advert_interval }
    }

    /// Starts lvsd on a router: both virtual addresses in one group, and these virtual servers and global words.
    #[track_caller]
    fn start(&self, router: usize, services: &str, globals: &str) -> Process {
        let instance = |(interface, id, address): (&str, u8, &str)| {
            format!(
                "vrrp_instance {interface} {{\n interface {interface}\n virtual_router_id {id}\n priority {}\n \
                 advert_int {}\n virtual_ipaddress {{\n {address}/24 dev {interface}\n }}\n}}\n",
                PRIORITIES[router], self.advert_interval
            )
        };
        let instances = [("eth0", 51, VIP), ("eth1", 52, GATEWAY)].map(instance).concat();
        let config = format!(
            "global_defs {{\n {globals}\n}}\nvrrp_sync_group nat {{\n group {{\n eth0\n eth1\n }}\n}}\n\
             {instances}{services}"
        );
        peers::lvsd(&self.routers[router], &config, &[])
    }

    #[track_caller]
    fn owned_by(&self, router: usize) {
        poll_until(LIMIT, &format!("router {} alone has both addresses", ROUTERS[router]), || {
            let has = |host: &Host| [host.has_address("eth0", VIP), host.has_address("eth1", GATEWAY)];
            let seen = [has(&self.routers[router]), has(&self.routers[1 - router])];
            if seen == [[true; 2], [false; 2]] { Ok(()) } else { Err(format!("{seen:?}")) }
        });
    }

    fn fetch(&self) -> Result<String, String> {
        match http::get(&self.client, &format!("http://{VIP}/"), FETCH) {
            Ok(answer) if answer.status == 200 => Ok(answer.body),
            other => Err(format!("{other:?}")),
        }
    }

    /// Waits until the web answers, and then wants answers from both servers in turn.
    #[track_caller]
    fn web_is_served(&self) {
        poll_until(LIMIT, "the web answers", || self.fetch());
        let answers = [(); 4].map(|()| self.fetch());
        let servers: BTreeSet<_> = answers.iter().flatten().map(String::as_str).collect();
        assert_eq!(servers, BTreeSet::from(["web1", "web2"]), "{answers:?}");
        assert!(answers[0] != answers[1] && answers[..2] == answers[2..], "{answers:?}");
    }

    #[track_caller]
    fn talk(&self) -> Conversation {
        poll_until(LIMIT, "a conversation", || {
            let from = CLIENT.parse().expect("an address");
            let mut talk = Conversation::open(&self.client, Transport::Tcp, from, socket(VIP, TALK), FETCH)?;
            talk.say("hello", FETCH).map(|_| talk)
        })
    }

    /// Waits until a router's kernel has this connection as an established one.
    #[track_caller]
    fn knows(&self, router: usize, talk: &Conversation) {
        poll_until(LIMIT, &format!("router {} knows the connection", ROUTERS[router]), || {
            let listed = peers::ipvsadm(&self.routers[router], "-Lnc")?;
            let known = listed
                .lines()
                .any(|line| line.contains(&talk.from().to_string()) && line.contains("ESTABLISHED"));
            if known { Ok(()) } else { Err(listed) }
        });
    }
}

fn socket(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse::<IpAddr>().expect("an address"), port)
}

/// The web, checked, and the conversations.
fn services() -> String {
    let web: String = SERVERS
        .map(|address| {
            format!(
                " real_server {address} 80 {{\n  HTTP_GET {{\n   url {{\n    path /\n    status_code 200\n   }}\n   \
                 connect_timeout 3\n   retry 1\n   delay_before_retry 1\n  }}\n }}\n"
            )
        })
        .concat();
    let talk = SERVERS.map(|address| format!(" real_server {address} {TALK} {{\n }}\n")).concat();
    let service = |port: u16, servers: String| {
        format!(
            "virtual_server {VIP} {port} {{\n delay_loop 1\n lb_algo rr\n lb_kind NAT\n protocol TCP\n{servers}}}\n"
        )
    };
    format!("{}{}", service(80, web), service(TALK, talk))
}

/// The daemon's role follows the instance's.
const SYNCHRONISED: &str = "lvs_sync_daemon eth1 eth1 id 51";

#[test]
fn an_open_connection_and_the_web_survive_the_end_of_the_master() {
    let net = Network::of_two();
    let [master, backup] = [0, 1].map(|router| net.start(router, &services(), SYNCHRONISED));
    net.owned_by(0);
    net.web_is_served();
    let mut talk = net.talk();
    let before = talk.say("before", FETCH).expect("an answer before the failover");
    net.knows(1, &talk);

    assert!(master.terminate().success(), "{}", master.log());
    let after = talk.say("after", LIMIT).expect("the connection goes on");
    assert_eq!((after.server, after.client, after.count), (before.server, before.client, 3));
    net.owned_by(1);
    net.web_is_served();
    assert!(backup.is_running(), "{}", backup.log());
}

#[test]
fn an_open_connection_and_the_web_survive_a_cut_link_of_the_master_and_its_return() {
    let net = Network::of_two();
    let daemons = [0, 1].map(|router| net.start(router, &services(), SYNCHRONISED));
    net.owned_by(0);
    net.web_is_served();
    let mut talk = net.talk();
    let before = talk.say("before", FETCH).expect("an answer before the failover");
    net.knows(1, &talk);

    net.routers[0].unplug("eth0");
    let during = talk.say("on the other router", LIMIT).expect("the connection goes on");
    assert_eq!((&during.server, during.client, during.count), (&before.server, before.client, 3));
    net.owned_by(1);
    net.web_is_served();
    // Opened on the other router, it has to come back with the addresses.
    let mut later = net.talk();
    net.knows(0, &later);

    net.routers[0].plug("eth0");
    net.owned_by(0);
    for (talk, count) in [(&mut talk, 4), (&mut later, 2)] {
        let back = talk.say("back again", LIMIT).expect("the connection goes on");
        assert_eq!(back.count, count);
    }
    net.web_is_served();
    for daemon in &daemons {
        assert!(daemon.is_running(), "{}", daemon.log());
    }
}

#[test]
fn without_synchronisation_the_new_master_does_not_know_the_connection() {
    let net = Network::of_two();
    let [master, _backup] = [0, 1].map(|router| net.start(router, &services(), ""));
    net.owned_by(0);
    let mut talk = net.talk();
    assert!(master.terminate().success(), "{}", master.log());
    net.owned_by(1);
    let lost = talk.say("is anybody there?", LIMIT);
    assert_eq!(lost.map_err(|error| error.kind()), Err(std::io::ErrorKind::ConnectionReset));
    net.talk();
}

#[test]
fn addresses_of_ipv6_move_with_an_open_connection_and_come_back_when_somebody_removes_them() {
    const VIPS: [(&str, &str); 2] = [("eth0", "2001:db8:26::10"), ("eth1", "2001:db8:11::10")];
    let net = Network::of_two();
    net.client.add_address("eth0", "2001:db8:26::1/64");
    for (router, last) in net.routers.iter().zip(ROUTERS) {
        router.sysctl("net.ipv6.conf.all.forwarding", "1");
        router.add_address("eth0", &format!("2001:db8:26::{last}/64"));
        router.add_address("eth1", &format!("2001:db8:11::{last}/64"));
    }
    let servers = ["2001:db8:11::1", "2001:db8:11::2"];
    let _talks = [0, 1].map(|server| {
        let host = &net.servers[server].host;
        host.add_address("eth0", &format!("{}/64", servers[server]));
        host.default_route(VIPS[1].1);
        EchoServer::start(host, Transport::Tcp, socket(servers[server], TALK))
    });
    let instance = |router: usize, ((interface, address), id): ((&str, &str), u8)| {
        format!(
            "vrrp_instance {interface} {{\n interface {interface}\n virtual_router_id {id}\n priority {}\n \
             advert_int {}\n virtual_ipaddress {{\n fe80::{id} dev {interface}\n {address}/64 dev {interface}\n }}\n}}\n",
            PRIORITIES[router], net.advert_interval
        )
    };
    let servers = servers.map(|address| format!(" real_server {address} {TALK} {{\n }}\n")).concat();
    let daemons = [0, 1].map(|router| {
        let instances = [(VIPS[0], 51), (VIPS[1], 52)].map(|vip| instance(router, vip)).concat();
        let config = format!(
            "global_defs {{\n {SYNCHRONISED}\n vrrp_version 3\n}}\nvrrp_sync_group nat {{\n group {{\n eth0\n eth1\n }}\n}}\n\
             {instances}virtual_server {} {TALK} {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n{servers}}}\n",
            VIPS[0].1
        );
        peers::lvsd(&net.routers[router], &config, &[])
    });
    let owned_by = |owner: usize| {
        poll_until(LIMIT, &format!("router {} alone has the addresses", ROUTERS[owner]), || {
            let has = |host: &Host| VIPS.map(|(interface, address)| host.has_address(interface, address));
            let seen = [has(&net.routers[owner]), has(&net.routers[1 - owner])];
            if seen == [[true; 2], [false; 2]] { Ok(()) } else { Err(format!("{seen:?}")) }
        });
    };
    owned_by(0);
    let mut talk = poll_until(LIMIT, "a conversation", || {
        let (from, to) = (socket("2001:db8:26::1", 0).ip(), socket(VIPS[0].1, TALK));
        let mut talk = Conversation::open(&net.client, Transport::Tcp, from, to, FETCH)?;
        talk.say("hello", FETCH).map(|_| talk)
    });
    net.knows(1, &talk);

    for (interface, address) in VIPS {
        net.routers[0].delete_address(interface, &format!("{address}/64"));
    }
    talk.say("without the addresses for a moment", LIMIT).expect("the connection goes on");
    owned_by(0);

    let [master, backup] = daemons;
    assert!(master.terminate().success(), "{}", master.log());
    let answer = talk.say("on the other router", LIMIT).expect("the connection goes on");
    assert_eq!(answer.count, 3);
    owned_by(1);
    assert!(backup.is_running(), "{}", backup.log());
}

#[test]
fn a_mark_groups_http_and_https_and_persistence_keeps_a_client_on_one_server_for_both() {
    let net = Network::of_one();
    let _https = net.servers.each_ref().map(|server| peers::nginx_on(&server.host, 443, server.host.name()));
    let servers = SERVERS.map(|address| format!(" real_server {address} 0 {{\n }}\n")).concat();
    let service = format!(
        "virtual_server fwmark 1 {{\n delay_loop 1\n lb_algo rr\n lb_kind NAT\n persistence_timeout 600\n{servers}}}\n"
    );
    let rules = format!(
        "table ip marks {{
            chain prerouting {{
                type filter hook prerouting priority mangle;
                ip daddr {VIP} tcp dport {{ 80, 443 }} meta mark set 1
            }}
        }}
        "
    );
    let router = &net.routers[0];
    let file = router.write_file("marks", &rules);
    router.sh(&format!("nft -f {file}")).expect("nft takes the rules");
    let _lvsd = net.start(0, &service, "");
    net.owned_by(0);
    let neighbour = Host::new("neighbour");
    neighbour.connect(&net.segments[0], "eth0", "192.168.26.2/24");
    let served = [&net.client, &neighbour].map(|client| {
        let fetch = |port: u16| http::get(client, &format!("http://{VIP}:{port}/"), FETCH);
        poll_until(LIMIT, "the web answers", || fetch(80));
        let bodies = [80, 443, 80, 443].map(|port| fetch(port).expect("an answer").body);
        assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
        bodies[0].clone()
    });
    assert_ne!(served[0], served[1], "the next client gets the next server");
}

#[test]
fn ftp_works_through_address_translation_in_active_and_passive_mode() {
    let net = Network::of_one();
    let _ftp = net.servers.each_ref().map(|server| peers::vsftpd(&server.host, server.host.name()));
    let router = &net.routers[0];
    router.sh("modprobe ip_vs_ftp").expect("the kernel has ip_vs_ftp");
    let servers = SERVERS.map(|address| format!(" real_server {address} 21 {{\n }}\n")).concat();
    let service = format!(
        "virtual_server {VIP} 21 {{\n delay_loop 1\n lb_algo rr\n lb_kind NAT\n protocol TCP\n{servers}}}\n"
    );
    let _lvsd = net.start(0, &service, "");
    net.owned_by(0);
    let strangers = Capture::start(&net.client, "eth0", |frame| {
        let from_inside = |ip: IpAddr| ip.to_string().starts_with("10.11.12.");
        frame.ip().is_some_and(|ip| from_inside(ip.source) || from_inside(ip.destination))
    });
    poll_until(LIMIT, "both servers are there", || {
        let listed = peers::ipvsadm(router, &format!("-Ln -t {VIP}:21"))?;
        if SERVERS.iter().all(|server| listed.contains(server)) { Ok(()) } else { Err(listed) }
    });
    // RFC 2428 EPSV, RFC 959 PASV, whose address is taken at its word, RFC 2428 EPRT, RFC 959 PORT.
    for (mode, word) in [
        ("--ftp-pasv", "> EPSV"),
        ("--disable-epsv --no-ftp-skip-pasv-ip", "< 227 Entering Passive Mode (192,168,26,10,"),
        ("--ftp-port -", "> EPRT |1|192.168.26.1|"),
        ("--ftp-port - --disable-eprt", "> PORT 192,168,26,1,"),
    ] {
        let fetched = [(); 2].map(|()| {
            let arguments = format!("{mode} --stderr - ftp://{VIP}/name");
            peers::curl(&net.client, &arguments).unwrap_or_else(|error| panic!("{mode}: {error}"))
        });
        let servers: BTreeSet<_> = fetched
            .iter()
            .flat_map(|text| {
                ["web1", "web2"].into_iter().filter(|name| text.lines().any(|line| line == *name))
            })
            .collect();
        assert_eq!(servers, BTreeSet::from(["web1", "web2"]), "{mode}: {fetched:?}");
        assert!(fetched.iter().all(|text| text.contains(word)), "{mode}: {fetched:?}");
    }
    assert_eq!(strangers.frames().len(), 0, "the client sees nothing of the servers' own addresses");
    let connections = peers::ipvsadm(router, "-Lnc").expect("ipvsadm lists connections");
    assert!(
        connections.contains(&format!("{VIP}:20 ")),
        "active data connections are balanced:\n{connections}"
    );
}
