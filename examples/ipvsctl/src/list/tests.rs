use std::time::Duration;

use lvs_core::{
    Change, Forwarding, Persistence, RealServer, ServerKey, ServerStatistics, ServiceKey, Statistics, Tunnel,
    TunnelChecksum, VirtualService, Weight,
};
use lvs_ipvs::{Connections as Rows, Version};

use super::*;
use crate::command::{Columns, Command};
use crate::names::{Names, Numeric};

/// A service by the options that make it.
fn service(options: &str) -> VirtualService {
    let words = ["-A"].into_iter().chain(options.split(' '));
    match crate::cli::parse(words, &Numeric) {
        Ok(Command::Edit(Change::AddService(service))) => service,
        other => panic!("{options}: {other:?}"),
    }
}

fn server(address: &str, forwarding: Forwarding, weight: u32) -> (RealServer, ServerStatistics) {
    let server = RealServer::new(ServerKey::new(address.parse().unwrap()))
        .with_forwarding(forwarding)
        .with_weight(Weight::new(weight).unwrap());
    let counters = Statistics { connections: 3, incoming_bytes: 123_456_789, ..Statistics::default() };
    let statistics = ServerStatistics {
        counters,
        active_connections: 7,
        inactive_connections: 8,
        persistent_connections: 9,
    };
    (server, statistics)
}

fn table() -> Vec<Service> {
    let gue = Tunnel::Gue { port: 6080.try_into().unwrap(), checksum: TunnelChecksum::Remote };
    let web = vec![
        server("10.0.0.3:80", Forwarding::Masquerade, 1),
        server("10.0.0.4:80", Forwarding::DirectRoute, 0),
        server("10.0.0.5:80", Forwarding::Tunnel(gue), 2_147_483_647),
        server("10.0.0.6:80", Forwarding::LocalNode, 1),
    ];
    let list = |service, servers| Service {
        service,
        counters: Statistics { connections: 100_000_000, ..Statistics::default() },
        servers,
    };
    vec![
        list(service("-t 10.0.0.1:80 -s rr"), web),
        list(service("-u 10.0.0.1:53 -s sh -b sh-port,flag-3 -p 30 -M 255.255.255.0 --pe sip -o"), vec![]),
        list(service("--sctp-service 10.0.0.1:9 --pe sip"), vec![]),
        list(
            service("-f 4294967295 -6 -p 100 -M 64"),
            vec![server(
                "[2001:db8:1111:2222:3333:4444:5555:6666]:80",
                Forwarding::Tunnel(Tunnel::Gre { checksum: true }),
                1,
            )],
        ),
    ]
}

fn listed(columns: Columns) -> String {
    services(None, &table(), columns, false, &Numeric)
}

#[test]
fn services_are_listed_with_forwarding() {
    assert_eq!(
        listed(Columns::Forwarding),
        "\
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.0.0.1:80 rr
  -> 10.0.0.3:80                  Masq    1      7          8         \n  \
  -> 10.0.0.4:80                  Route   0      7          8         \n  \
  -> 10.0.0.5:80                  Tunnel  2147483647 7          8         \n  \
  -> 10.0.0.6:80                  Local   1      7          8         \nUDP  \
10.0.0.1:53 sh (sh-port) persistent 30 mask 255.255.255.0 pe sip ops
SCTP 10.0.0.1:9 wlc
FWM  4294967295 IPv6 wlc persistent 100 mask 64
  -> [2001:db8:1111:2222:3333:4444:5555:6666]:80 Tunnel  1      7          8         \n"
    );
}

#[test]
fn other_columns_have_widths_of_their_own() {
    let line = |columns, number| listed(columns).lines().nth(number).unwrap_or_default().to_owned();
    assert_eq!(
        line(Columns::Tunnels, 5),
        "  -> 10.0.0.5:80                  Tunnel  gue:6080:r+c  2147483647 7          8         "
    );
    assert_eq!(
        line(Columns::Tunnels, 3),
        "  -> 10.0.0.3:80                  Masq    n/a           1      7          8         "
    );
    assert_eq!(
        line(Columns::Thresholds, 3),
        "  -> 10.0.0.3:80                  0          0          7          8         "
    );
    assert_eq!(
        line(Columns::Persistent, 3),
        "  -> 10.0.0.3:80                  1         9           7          8         "
    );
    assert_eq!(
        line(Columns::Counters, 2),
        "TCP  10.0.0.1:80                   100000K        0        0        0        0"
    );
    assert_eq!(
        line(Columns::Counters, 3),
        "  -> 10.0.0.3:80                         3        0        0  123456K        0"
    );
    assert_eq!(
        line(Columns::Rates, 9),
        "FWM  4294967295 IPv6                     0        0        0        0        0"
    );
}

#[test]
fn the_whole_table_has_a_heading_of_its_own() {
    let heading = Heading { version: Version { major: 1, minor: 2, patch: 1 }, connection_table_size: 4096 };
    let text = services(Some(heading), &[], Columns::Forwarding, false, &Numeric);
    assert!(text.starts_with("IP Virtual Server version 1.2.1 (size=4096)\nProt "), "{text}");
}

#[test]
fn a_mask_is_shown_unless_it_is_that_of_a_single_client() {
    let key = |text: &str| ServiceKey::address(lvs_core::Protocol::Tcp, text.parse().unwrap());
    let mask = |text, length| {
        let key = key(text);
        let persistence = Persistence::new(key.family(), Duration::from_secs(1)).with_prefix_len(length);
        netmask(&VirtualService::new(key).with_persistence(Some(persistence)))
    };
    assert_eq!(mask("10.0.0.1:80", 32), None);
    assert_eq!(mask("10.0.0.1:80", 20).as_deref(), Some("255.255.240.0"));
    assert_eq!(mask("10.0.0.1:80", 0).as_deref(), Some("0.0.0.0"));
    assert_eq!(mask("[::1]:80", 128), None);
    assert_eq!(mask("[::1]:80", 1).as_deref(), Some("1"));
}

/// One host and one service have names.
struct Few;

impl Names for Few {
    fn host(&self, address: std::net::IpAddr) -> Option<String> {
        (address == std::net::IpAddr::from([10, 0, 0, 3])).then(|| "web3".to_owned())
    }

    fn service(&self, port: u16, protocol: lvs_core::Protocol) -> Option<String> {
        (port == 80 && protocol == lvs_core::Protocol::Tcp).then(|| "http".to_owned())
    }
}

#[test]
fn names_are_shown_where_there_are_any_and_never_for_ports_of_a_mark() {
    let text = services(None, &table(), Columns::Forwarding, false, &Few);
    assert!(text.contains("TCP  10.0.0.1:http rr\n  -> web3:http "), "{text}");
    assert!(text.contains("  -> [2001:db8:1111:2222:3333:4444:5555:6666]:80 "), "{text}");
}

#[test]
fn connections_are_listed_as_they_are_read() {
    let copy = "\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP 2001:0db8:0000:0000:0000:0000:0000:0000 0000 2001:0db8:0000:0000:0000:0000:0000:0001 0050 2001:0db8:0000:0000:0000:0000:0000:0004 0050 ASSURED         198
UDP 0A000001 0000 0A000001 13C4 0A000003 13C4 NONE             58 sip abc\u{1b}[2J@example.com
SCTP 0A000001 ED5D 0A000001 0050 0A000003 0050 REJECTED     2678400
";
    let rows: Vec<_> = Rows::from_reader(copy.as_bytes()).map(Result::unwrap).collect();
    let list = |engine_data| {
        let list = Connections::new(&Numeric, engine_data);
        rows.iter().map(|row| list.line(row)).collect::<String>()
    };
    assert_eq!(
        list(false),
        "\
TCP 03:18  ASSURED     [2001:db8::]:0     [2001:db8::1]:80   [2001:db8::4]:80
UDP 00:58  NONE        10.0.0.1:0         10.0.0.1:5060      10.0.0.3:5060
SCTP 44640:00 REJECTED    10.0.0.1:60765     10.0.0.1:80        10.0.0.3:80
"
    );
    assert!(
        list(true).contains("10.0.0.3:5060    sip                abc\\x1b[2J@example.com\n"),
        "{}",
        list(true)
    );
}

#[test]
fn daemons_are_listed_master_first() {
    let daemon = |role| SyncDaemon::new(role, "eth0").unwrap().with_max_length(1472).unwrap();
    let group = "ff02::5".parse().unwrap();
    let text = daemons(&[
        daemon(SyncRole::Backup).with_group(group).unwrap().with_sync_id(5),
        daemon(SyncRole::Master),
    ]);
    assert_eq!(
        text,
        "\
master sync daemon (mcast=eth0, syncid=0, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)
backup sync daemon (mcast=eth0, syncid=5, maxlen=1472, group=ff02::5, port=8848, ttl=1)
"
    );
}
