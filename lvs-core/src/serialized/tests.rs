use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU8, NonZeroU16, NonZeroU32};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::forwarding::{Forwarding, Tunnel, TunnelChecksum};
use crate::service::{
    Family, Persistence, Protocol, RealServer, SchedulerFlags, ServerKey, ServiceKey, VirtualService, Weight,
};
use crate::settings::SyncRole;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// What is wrong with a table, and where.
fn refused(text: &str) -> String {
    serde_json::from_str::<Table>(text).unwrap_err().to_string()
}

/// What is wrong with the only service of a table.
fn refused_service(fields: &str) -> String {
    refused(&format!("{{\"services\": [{{{fields}}}]}}"))
}

/// What is wrong with the only server of a service.
fn refused_server(fields: &str) -> String {
    refused_service(&format!(
        "\"protocol\": \"tcp\", \"address\": \"192.0.2.10:80\", \"servers\": [{{{fields}}}]"
    ))
}

#[test]
fn what_was_counted_beside_a_table_is_passed_over() {
    let text = r#"{"statistics": [{"protocol": "tcp", "connections": 7}], "services": [{"fwmark": 7}]}"#;
    let table: Table = serde_json::from_str(text).unwrap();
    assert_eq!(table.services().len(), 1);
    assert!(!serde_json::to_string(&table).unwrap().contains("statistics"));
}

#[test]
fn a_table_is_written_in_words_and_numbers_that_people_use() {
    let tcp = ServiceKey::address(Protocol::Tcp, address("10.0.0.1:80"));
    let persistence = Persistence::new(Family::Ipv4, Duration::from_secs(300));
    let mut web = ServiceTable::new(VirtualService::new(tcp).with_persistence(Some(persistence)));
    web.insert(RealServer::new(ServerKey::new(address("10.0.1.2:80"))));
    let tunnel = Tunnel::Gue { port: NonZeroU16::new(6080).unwrap(), checksum: TunnelChecksum::Remote };
    let server = RealServer::new(ServerKey::new(address("[2001:db8::2]:80")));
    web.insert(server.with_forwarding(Forwarding::Tunnel(tunnel)).with_thresholds(200, 100));
    let mark = ServiceKey::Fwmark { family: Family::Ipv6, mark: NonZeroU32::MIN };
    let flags = SchedulerFlags { first: false, second: true, third: true };
    let marked = VirtualService::new(mark).with_scheduler("sh".parse().unwrap()).with_scheduler_flags(flags);
    let daemon = SyncDaemon::new(SyncRole::Backup, "eth0").unwrap().with_sync_id(51);
    let timeouts = Timeouts { udp: Duration::from_secs(60), ..Timeouts::UNCHANGED };
    let table = Table::from_iter([web, ServiceTable::new(marked.with_one_packet(true))])
        .with_timeouts(timeouts)
        .with_daemons([daemon]);
    let expected = json!({
        "services": [
            {
                "protocol": "tcp", "address": "10.0.0.1:80", "scheduler": "wlc",
                "persistence": {"timeout": 300, "prefix": 32},
                "servers": [
                    {"address": "10.0.1.2:80", "weight": 1, "forwarding": "masquerade"},
                    {
                        "address": "[2001:db8::2]:80", "weight": 1, "forwarding": "tunnel",
                        "tunnel": {"type": "gue", "port": 6080, "checksum": "remote"},
                        "upper_threshold": 200, "lower_threshold": 100
                    }
                ]
            },
            {
                "fwmark": 1, "family": "ipv6", "scheduler": "sh", "scheduler_flags": ["sh-port", "flag-3"],
                "one_packet": true, "servers": []
            }
        ],
        "timeouts": {"udp": 60},
        "sync_daemons": [
            {"role": "backup", "interface": "eth0", "sync_id": 51, "group": "224.0.0.81", "port": 8848, "ttl": 1}
        ]
    });
    assert_eq!(serde_json::to_value(&table).unwrap(), expected);
}

#[test]
fn what_is_left_out_is_what_the_constructors_say() {
    let text = r#"{"services": [
        {"protocol": "udp", "address": "10.0.0.1:53", "servers": [
            {"address": "10.0.1.2:53"},
            {"address": "10.0.1.3:53", "forwarding": "tunnel"},
            {"address": "10.0.1.4:53", "forwarding": "tunnel", "tunnel": {"type": "gre"}}
        ]},
        {"fwmark": 7, "persistence": {"timeout": 60}}
    ]}"#;
    let udp = ServiceKey::address(Protocol::Udp, address("10.0.0.1:53"));
    let mut dns = ServiceTable::new(VirtualService::new(udp));
    let server = |text| RealServer::new(ServerKey::new(address(text)));
    dns.insert(server("10.0.1.2:53"));
    dns.insert(server("10.0.1.3:53").with_forwarding(Forwarding::Tunnel(Tunnel::Ipip)));
    dns.insert(server("10.0.1.4:53").with_forwarding(Forwarding::Tunnel(Tunnel::Gre { checksum: false })));
    let mark = ServiceKey::Fwmark { family: Family::Ipv4, mark: NonZeroU32::new(7).unwrap() };
    let persistence = Persistence::new(Family::Ipv4, Duration::from_secs(60));
    let marked = ServiceTable::new(VirtualService::new(mark).with_persistence(Some(persistence)));
    assert_eq!(serde_json::from_str::<Table>(text).unwrap(), Table::from_iter([dns, marked]));

    let daemon: SyncDaemon = serde_json::from_str(r#"{"role": "master", "interface": "eth0"}"#).unwrap();
    assert_eq!(daemon, SyncDaemon::new(SyncRole::Master, "eth0").unwrap());
}

#[test]
fn servers_that_drain_are_written_with_their_time_and_are_in_no_other_list() {
    let key = ServiceKey::address(Protocol::Tcp, address("10.0.0.1:80"));
    let mut entry = ServiceTable::new(VirtualService::new(key));
    entry.drain(ServerKey::new(address("10.0.1.2:80")), Duration::from_millis(59_001));
    let written = serde_json::to_value(&entry).unwrap();
    assert_eq!(written["draining"], json!([{"address": "10.0.1.2:80", "within": 60}]));
    entry.drain(ServerKey::new(address("10.0.1.2:80")), Duration::from_secs(60));
    assert_eq!(serde_json::from_value::<ServiceTable>(written).unwrap(), entry);

    let service = |lists: &str| {
        refused(&format!(r#"{{"services": [{{"protocol": "tcp", "address": "10.0.0.1:80", {lists}}}]}}"#))
    };
    let drain = r#"{"address": "10.0.1.2:80", "within": 5}"#;
    let both = service(&format!(r#""servers": [{{"address": "10.0.1.2:80"}}], "draining": [{drain}]"#));
    assert!(both.starts_with("server 10.0.1.2:80 is in `servers` and in `draining`"), "{both}");
    let twice = service(&format!(r#""draining": [{drain}, {drain}]"#));
    assert!(twice.contains("10.0.1.2:80"), "{twice}");
    let endless = service(r#""draining": [{"address": "10.0.1.2:80"}]"#);
    assert!(endless.starts_with("missing field `within`"), "{endless}");
}

#[test]
fn a_table_that_says_nothing_is_no_empty_table() {
    assert!(refused("{}").starts_with("missing field `services`"));
    assert!(refused("").starts_with("EOF while parsing"));
    assert!(refused("[]").contains("expected a table: an object with the field `services`"));
    let empty: Table = serde_json::from_str(r#"{"services": []}"#).unwrap();
    assert!(empty.is_empty() && empty.timeouts().is_none() && empty.daemons().is_none());
    let none: Table = serde_json::from_str(r#"{"services": [], "sync_daemons": []}"#).unwrap();
    assert_eq!(none.daemons().map(|daemons| daemons.len()), Some(0));
}

#[test]
fn an_unknown_field_is_named_with_those_that_there_are_and_its_place() {
    assert_eq!(
        refused("{\"services\": [\n  {\"protocol\": \"tcp\", \"adress\": \"192.0.2.10:80\"}\n]}"),
        "unknown field `adress`, expected one of `protocol`, `address`, `fwmark`, `family`, `scheduler`, \
         `scheduler_flags`, `one_packet`, `persistence`, `persistence_engine`, `servers`, `draining` at line 2 column 30"
    );
    assert!(refused(r#"{"services": [], "service": []}"#).starts_with("unknown field `service`"));
    assert!(refused_server(r#""address": "10.0.1.2:80", "wieght": 1"#).starts_with("unknown field `wieght`"));
    let tunnel = r#""address": "10.0.1.2:80", "forwarding": "tunnel", "tunnel": {"type": "gue", "prot": 1}"#;
    assert!(refused_server(tunnel).starts_with("unknown field `prot`"));
    assert!(refused(r#"{"services": [], "timeouts": {"tcpfin": 1}}"#).starts_with("unknown field `tcpfin`"));
    let daemon = r#"{"services": [], "sync_daemons": [{"role": "master", "iface": "eth0"}]}"#;
    assert!(refused(daemon).starts_with("unknown field `iface`"));
    let alone = r#"{"fwmark": 1, "servers": []}"#;
    let error = serde_json::from_str::<VirtualService>(alone).unwrap_err();
    assert_eq!(error.to_string(), "a service by itself has no field `servers`");
}

#[test]
fn a_value_out_of_range_is_an_error_that_tells_the_range() {
    let service = r#""protocol": "tcp", "address": "192.0.2.10:80""#;
    let cases = [
        (refused_server(r#""address": "10.0.1.2:80", "weight": 2147483648"#), "a weight, 0 to 2147483647"),
        (refused_server(r#""address": "10.0.1.2:80", "weight": -1"#), "a weight, 0 to 2147483647"),
        (refused_server(r#""address": "10.0.1.2:80", "weight": 1.5"#), "a weight, 0 to 2147483647"),
        (refused_server(r#""address": "10.0.1.2:80", "weight": "1""#), "a weight, 0 to 2147483647"),
        (
            refused_server(r#""address": "10.0.1.2:80", "upper_threshold": 4294967296"#),
            "a number of connections, 0 to 4294967295",
        ),
        (refused_service(r#""fwmark": 0"#), "a firewall mark, 1 to 4294967295"),
        (
            refused_service(&format!(r#"{service}, "persistence": {{"timeout": 0}}"#)),
            "a timeout in seconds, 1 to 2678400",
        ),
        (
            refused_service(&format!(r#"{service}, "persistence": {{"timeout": 60, "prefix": 129}}"#)),
            "the length of a prefix in bits, 0 to 128",
        ),
        (refused(r#"{"services": [], "timeouts": {"tcp": 2678401}}"#), "a timeout in seconds, 1 to 2678400"),
        (
            refused(
                r#"{"services": [], "sync_daemons": [{"role": "master", "interface": "eth0", "sync_id": 256}]}"#,
            ),
            "the identifier of a sync daemon, 0 to 255",
        ),
        (
            refused(
                r#"{"services": [], "sync_daemons": [{"role": "master", "interface": "eth0", "ttl": 0}]}"#,
            ),
            "a time to live, 1 to 255",
        ),
    ];
    for (error, range) in cases {
        assert!(error.contains(&format!("expected {range} at line 1 column ")), "{error}");
    }
    let prefix = refused_service(&format!(r#"{service}, "persistence": {{"timeout": 60, "prefix": 33}}"#));
    assert!(prefix.starts_with("the prefix of a service of IPv4 has 0 to 32 bits, not 33"), "{prefix}");
    let thresholds =
        refused_server(r#""address": "10.0.1.2:80", "upper_threshold": 1, "lower_threshold": 2"#);
    assert!(thresholds.starts_with("`lower_threshold` 2 is above `upper_threshold` 1"), "{thresholds}");
}

#[test]
fn words_that_are_none_are_errors_that_tell_what_may_stand_there() {
    let service = r#""protocol": "tcp", "address": "192.0.2.10:80""#;
    let cases = [
        (
            refused_service(r#""protocol": "tpc", "address": "192.0.2.10:80""#),
            "expected one of `tcp`, `udp`, `sctp`",
        ),
        (
            refused_service(r#""protocol": "tcp", "address": "192.0.2.10""#),
            "expected an address with its port",
        ),
        (
            refused_service(r#""protocol": "tcp", "address": "[fe80::1%2]:80""#),
            "expected an address with its port",
        ),
        (
            refused_service(&format!(r#"{service}, "scheduler": "a name""#)),
            "expected the name of a scheduler",
        ),
        (
            refused_service(&format!(r#"{service}, "persistence_engine": """#)),
            "expected the name of a persistence engine",
        ),
        (
            refused_service(&format!(r#"{service}, "scheduler": "mh", "scheduler_flags": ["sh-port"]"#)),
            "unknown flag `sh-port` of scheduler `mh`",
        ),
        (
            refused_server(r#""address": "10.0.1.2:80", "forwarding": "nat""#),
            "expected one of `masquerade`, `direct-route`, `tunnel`, `local-node`",
        ),
        (
            refused(r#"{"services": [], "sync_daemons": [{"role": "master", "interface": "a/b"}]}"#),
            "an interface name has 1 to 15 bytes",
        ),
        (
            refused(
                r#"{"services": [], "sync_daemons": [{"role": "master", "interface": "e", "group": "10.0.0.1"}]}"#,
            ),
            "the group of a sync daemon is a multicast address",
        ),
    ];
    for (error, expected) in cases {
        assert!(error.contains(expected) && error.contains("at line 1 column "), "{error}");
    }
}

#[test]
fn fields_that_do_not_go_together_are_errors() {
    let either = "a service has `protocol` and `address`, or `fwmark`";
    let cases = [
        (refused_service(""), either),
        (refused_service(r#""scheduler": "rr""#), either),
        (refused_service(r#""protocol": "tcp", "fwmark": 1"#), either),
        (refused_service(r#""protocol": "tcp""#), "missing field `address`"),
        (refused_service(r#""address": "192.0.2.10:80""#), "missing field `protocol`"),
        (
            refused_service(r#""protocol": "tcp", "address": "192.0.2.10:80", "family": "ipv4""#),
            "`family` belongs to `fwmark`",
        ),
        (refused_server(r#""weight": 1"#), "missing field `address`"),
        (
            refused_server(r#""address": "10.0.1.2:80", "tunnel": {"type": "ipip"}"#),
            "`tunnel` belongs to forwarding `tunnel`",
        ),
    ];
    for (error, expected) in cases {
        assert!(error.starts_with(expected), "{error}");
    }
    let tunnel = |text| serde_json::from_str::<Tunnel>(text).unwrap_err().to_string();
    assert_eq!(tunnel(r#"{"type": "gue"}"#), "a tunnel of type `gue` needs a `port`");
    assert_eq!(tunnel(r#"{"type": "gre", "port": 1}"#), "only a tunnel of type `gue` has a `port`");
    assert_eq!(tunnel(r#"{"type": "ipip", "checksum": "full"}"#), "a tunnel of type `ipip` has no checksum");
    assert_eq!(
        tunnel(r#"{"type": "gre", "checksum": "remote"}"#),
        "a tunnel of type `gre` has checksum `none` or `full`"
    );
}

#[test]
fn what_is_there_twice_is_an_error_at_the_second_place() {
    let service = r#"{"protocol": "tcp", "address": "192.0.2.10:80"}"#;
    let services = refused(&format!("{{\"services\": [{service},\n{service}]}}"));
    assert!(services.starts_with("service tcp 192.0.2.10:80 is there twice at line 2 column "), "{services}");
    let server = r#"{"address": "10.0.1.2:80"}"#;
    let service = r#""fwmark": 1, "servers""#;
    let servers = refused(&format!("{{\"services\": [{{{service}: [{server},\n{server}]}}]}}"));
    assert!(servers.starts_with("server 10.0.1.2:80 is there twice at line 2 column "), "{servers}");
    let daemon = r#"{"role": "master", "interface": "eth0"}"#;
    let daemons = refused(&format!("{{\"services\": [], \"sync_daemons\": [{daemon},\n{daemon}]}}"));
    assert!(
        daemons.starts_with("a sync daemon in role master is there twice at line 2 column "),
        "{daemons}"
    );
    let field = refused_service(r#""fwmark": 1, "fwmark": 2"#);
    assert!(field.starts_with("duplicate field `fwmark`"), "{field}");
}

fn socket() -> impl Strategy<Value = SocketAddr> {
    let v4 = any::<([u8; 4], u16)>().prop_map(SocketAddr::from);
    prop_oneof![v4, any::<([u8; 16], u16)>().prop_map(SocketAddr::from)]
}

fn forwarding() -> impl Strategy<Value = Forwarding> {
    let checksum = [TunnelChecksum::None, TunnelChecksum::Full, TunnelChecksum::Remote];
    let gue = (1..=u16::MAX, prop::sample::select(checksum.to_vec()))
        .prop_map(|(port, checksum)| Tunnel::Gue { port: NonZeroU16::new(port).unwrap(), checksum });
    let gre = any::<bool>().prop_map(|checksum| Tunnel::Gre { checksum });
    let tunnel = prop_oneof![Just(Tunnel::Ipip), gue, gre].prop_map(Forwarding::Tunnel);
    let others = [Forwarding::Masquerade, Forwarding::DirectRoute, Forwarding::LocalNode];
    prop_oneof![prop::sample::select(others.to_vec()), tunnel]
}

fn server() -> impl Strategy<Value = RealServer> {
    (socket(), 0..=0x7fff_ffff_u32, forwarding(), any::<(u32, u32)>()).prop_map(
        |(address, weight, forwarding, (one, other))| {
            RealServer::new(ServerKey::new(address))
                .with_weight(Weight::new(weight).unwrap())
                .with_forwarding(forwarding)
                .with_thresholds(one.max(other), one.min(other))
        },
    )
}

fn key() -> impl Strategy<Value = ServiceKey> {
    let protocols = prop::sample::select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp]);
    let address =
        (protocols, socket()).prop_map(|(protocol, address)| ServiceKey::address(protocol, address));
    let families = prop::sample::select(vec![Family::Ipv4, Family::Ipv6]);
    let fwmark = (families, 1..=u32::MAX)
        .prop_map(|(family, mark)| ServiceKey::Fwmark { family, mark: mark.try_into().unwrap() });
    prop_oneof![address, fwmark]
}

fn service() -> impl Strategy<Value = VirtualService> {
    let names = prop_oneof![Just("sh".to_owned()), Just("mh".to_owned()), "[!-~]{1,15}"];
    let persistence = prop::option::of((1..=2_678_400_u64, 0..=130_u8));
    let engine = prop::option::of("[!-~]{1,15}");
    (key(), names, persistence, engine, any::<[bool; 4]>()).prop_map(
        |(key, scheduler, persistence, engine, [first, second, third, one_packet])| {
            let persistence = persistence.map(|(seconds, prefix)| {
                Persistence::new(key.family(), Duration::from_secs(seconds)).with_prefix_len(prefix)
            });
            VirtualService::new(key)
                .with_scheduler(scheduler.parse().unwrap())
                .with_scheduler_flags(SchedulerFlags { first, second, third })
                .with_one_packet(one_packet)
                .with_persistence(persistence)
                .with_persistence_engine(engine.map(|name| name.parse().unwrap()))
        },
    )
}

fn daemon(role: SyncRole) -> impl Strategy<Value = SyncDaemon> {
    let v4 = (224..240_u8, any::<[u8; 3]>()).prop_map(|(first, [a, b, c])| IpAddr::from([first, a, b, c]));
    let v6 = any::<[u8; 15]>().prop_map(|rest| {
        let mut octets = [0xff; 16];
        octets[1..].copy_from_slice(&rest);
        IpAddr::from(octets)
    });
    let length = prop::option::of(1..=65_507_u16);
    ("[a-z0-9.-]{1,14}x", any::<u8>(), length, prop_oneof![v4, v6], 1..=u16::MAX, 1..=u8::MAX).prop_map(
        move |(interface, sync_id, length, group, port, ttl)| {
            let daemon = SyncDaemon::new(role, &interface)
                .unwrap()
                .with_sync_id(sync_id)
                .with_group(group)
                .unwrap()
                .with_port(NonZeroU16::new(port).unwrap())
                .with_ttl(NonZeroU8::new(ttl).unwrap());
            match length {
                Some(length) => daemon.with_max_length(length).unwrap(),
                None => daemon,
            }
        },
    )
}

fn table() -> impl Strategy<Value = Table> {
    let entry = (service(), prop::collection::vec(server(), 0..4)).prop_map(|(service, servers)| {
        let mut entry = ServiceTable::new(service);
        for server in servers {
            entry.insert(server);
        }
        entry
    });
    let seconds = || (0..=2_678_400_u64).prop_map(Duration::from_secs);
    let timeouts =
        (seconds(), seconds(), seconds()).prop_map(|(tcp, tcp_fin, udp)| Timeouts { tcp, tcp_fin, udp });
    let daemons = (prop::option::of(daemon(SyncRole::Master)), prop::option::of(daemon(SyncRole::Backup)));
    (prop::collection::vec(entry, 0..4), prop::option::of(timeouts), prop::option::of(daemons)).prop_map(
        |(services, timeouts, daemons)| {
            let mut table: Table = services.into_iter().collect();
            if let Some(timeouts) = timeouts {
                table = table.with_timeouts(timeouts);
            }
            if let Some((master, backup)) = daemons {
                table = table.with_daemons(master.into_iter().chain(backup));
            }
            table
        },
    )
}

/// How many objects there are in it, itself included.
fn objects(value: &Value) -> usize {
    match value {
        Value::Array(members) => members.iter().map(objects).sum(),
        Value::Object(fields) => 1 + fields.values().map(objects).sum::<usize>(),
        _ => 0,
    }
}

/// Puts a field into the object at which `left` has become 0.
fn surprise(value: &mut Value, left: &mut usize) {
    match value {
        Value::Array(members) => members.iter_mut().for_each(|member| surprise(member, left)),
        Value::Object(fields) => {
            fields.values_mut().for_each(|field| surprise(field, left));
            *left = left.wrapping_sub(1);
            if *left == 0 {
                fields.insert("surprise".to_owned(), Value::Null);
            }
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read_as_it_was(table in table()) {
        let text = serde_json::to_string(&table).unwrap();
        prop_assert_eq!(serde_json::from_str::<Table>(&text).unwrap(), table.clone(), "{}", text);
        let value = serde_json::to_value(&table).unwrap();
        prop_assert_eq!(serde_json::from_value::<Table>(value).unwrap(), table.clone());
        for entry in table.services() {
            let text = serde_json::to_string(entry.service()).unwrap();
            prop_assert_eq!(&serde_json::from_str::<VirtualService>(&text).unwrap(), entry.service());
            let key = serde_json::to_value(entry.service().key()).unwrap();
            prop_assert_eq!(serde_json::from_value::<ServiceKey>(key).unwrap(), entry.service().key());
        }
    }

    #[test]
    fn a_file_cut_short_is_never_a_table(table in table(), cut in any::<prop::sample::Index>()) {
        let text = serde_json::to_string(&table).unwrap();
        prop_assert!(serde_json::from_str::<Table>(&text[..cut.index(text.len())]).is_err());
    }

    #[test]
    fn a_field_that_nobody_knows_is_refused_everywhere(table in table(), place in any::<prop::sample::Index>()) {
        let mut value = serde_json::to_value(&table).unwrap();
        let mut left = place.index(objects(&value)) + 1;
        surprise(&mut value, &mut left);
        let error = serde_json::from_value::<Table>(value).unwrap_err().to_string();
        prop_assert!(error.starts_with("unknown field `surprise`"), "{}", error);
    }
}
