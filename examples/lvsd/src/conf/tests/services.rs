//! Virtual services: what becomes of their words, right ones and wrong ones.

use std::num::NonZeroU16;
use std::time::Duration;

use lvs_core::{
    Family, Forwarding, Protocol, SchedulerFlags, ServiceKey, SyncDaemon, SyncRole, Timeouts, Tunnel,
    TunnelChecksum,
};

use super::super::model::{Config, FlushOnStop};
use super::*;

#[track_caller]
fn good(text: &str) -> Config {
    with_warnings(text, &[])
}

/// The configuration, with these complaints, which are warnings.
#[track_caller]
fn with_warnings(text: &str, expected: &[&str]) -> Config {
    assert_eq!(complaints(text), expected, "{text}\n{}", shown(&read(text)));
    read(text).config.expect("a configuration that can be used")
}

fn in_service(more: &str, expected: &[&str]) {
    assert_eq!(complaints(&service(&format!(" {more}"))), expected, "{more}");
}

fn of_global(text: &str) -> String {
    format!("global_defs {{\n {text}\n}}\n{}", service(""))
}

/// A marked service with a server.
fn marked(more: &str, server: &str) -> String {
    format!("virtual_server fwmark 7 {{\n lb_kind TUN\n{more}\n real_server {server} {{\n }}\n}}\n")
}

fn method(words: &str) -> Forwarding {
    let text = service("").replace("lb_kind NAT", &format!("lb_kind {words}"));
    good(&text).virtual_servers[0].real_servers[0].forwarding
}

#[test]
fn every_way_of_forwarding_has_its_words() {
    let port = NonZeroU16::new(6080).unwrap();
    let gue = |checksum| Forwarding::Tunnel(Tunnel::Gue { port, checksum });
    assert_eq!(method("NAT"), Forwarding::Masquerade);
    assert_eq!(method("DR"), Forwarding::DirectRoute);
    assert_eq!(method("TUN"), Forwarding::Tunnel(Tunnel::Ipip));
    assert_eq!(method("TUN type ipip nocsum"), Forwarding::Tunnel(Tunnel::Ipip));
    assert_eq!(method("TUN type gue port 6080"), gue(TunnelChecksum::None));
    assert_eq!(method("TUN type gue csum port 6080"), gue(TunnelChecksum::Full));
    assert_eq!(method("TUN type gue port 6080 remcsum"), gue(TunnelChecksum::Remote));
    assert_eq!(method("TUN type gre"), Forwarding::Tunnel(Tunnel::Gre { checksum: false }));
    assert_eq!(method("TUN type gre csum"), Forwarding::Tunnel(Tunnel::Gre { checksum: true }));
}

#[test]
fn what_no_tunnel_has_is_refused_at_the_word() {
    for (words, code) in [
        ("FOO", "bad-value 2:10"),
        ("NAT type ipip", "surplus-words 2:14"),
        ("TUN gre", "bad-value 2:14"),
        ("TUN type", "missing-parameter 2:14"),
        ("TUN type foo", "bad-value 2:19"),
        ("TUN csum", "conflict 2:14"),
        ("TUN type ipip port 80", "conflict 2:24"),
        ("TUN type gre remcsum", "conflict 2:23"),
        ("TUN type gue", "missing-parameter 2:2"),
        ("TUN type gue port", "missing-parameter 2:23"),
        ("TUN type gue port 65536", "out-of-range 2:28"),
        ("TUN type gre csum nocsum", "duplicate 2:28"),
        ("TUN type gre csum csum", "duplicate 2:28"),
        ("TUN nocsum type ipip nocsum", "duplicate 2:31"),
        ("TUN type gre type gue", "duplicate 2:23"),
        ("TUN port 80 port 80", "duplicate 2:22"),
        ("TUN type gue port 6080 csum nocsum", "surplus-words 2:38"),
    ] {
        let text = service("").replace("lb_kind NAT", &format!("lb_kind {words}"));
        assert_eq!(complaints(&text), [code], "{words}: {}", shown(&read(&text)));
    }
}

#[test]
fn a_real_server_s_contradicting_words_are_refused_as_the_service_s_are() {
    for (words, code) in [
        ("TUN type gre csum nocsum", "duplicate 7:32"),
        ("TUN type gre remcsum csum", "duplicate 7:35"),
        ("TUN type gue port 6080 csum nocsum", "surplus-words 7:42"),
        ("DR csum", "surplus-words 7:17"),
    ] {
        let text = service(&format!(" real_server 10.0.0.3 80 {{\n  lvs_method {words}\n }}"));
        assert_eq!(complaints(&text), [code], "{words}: {}", shown(&read(&text)));
    }
    let said =
        shown(&read(&service(" real_server 10.0.0.3 80 {\n  lvs_method TUN type gre csum nocsum\n }")));
    assert!(said.contains("`nocsum` comes after another word for the checksum"), "{said}");
}

#[test]
fn a_keyword_that_stood_there_and_was_wrong_is_not_missing() {
    for (right, wrong, code) in [
        ("lb_kind NAT", "lb_kind TUN type gue port 6080 csum nocsum", "surplus-words 2:38"),
        ("lb_kind NAT", "lb_kind", "missing-parameter 2:2"),
        ("lb_kind NAT", "lvs_method", "missing-parameter 2:2"),
        ("lb_kind NAT", "lb_kind nat", "bad-value 2:10"),
        ("protocol TCP", "protocol UDP TCP", "surplus-words 3:15"),
        ("protocol TCP", "protocol", "missing-parameter 3:2"),
        ("protocol TCP", "protocol ICMP", "bad-value 3:11"),
        ("real_server 10.0.0.2 80 {", "real_server 10.0.0.2 80 90 {", "surplus-words 4:26"),
        ("real_server 10.0.0.2 80 {", "real_server {", "missing-parameter 4:2"),
        ("real_server 10.0.0.2 80 {", "real_server 10.0.0.x 80 {", "bad-value 4:14"),
    ] {
        let text = service("").replace(right, wrong);
        assert_eq!(complaints(&text), [code], "{wrong}: {}", shown(&read(&text)));
    }
    let http = " real_server 10.0.0.3 80 {\n  HTTP_GET {\n   WRONG\n  }\n }";
    for (wrong, code) in [("url", "missing-block 8:4"), ("url {\n path\n }", "missing-parameter 9:2")] {
        let text = service(&http.replace("WRONG", wrong));
        assert_eq!(complaints(&text), [code], "{wrong}: {}", shown(&read(&text)));
    }
}

#[test]
fn protocols_are_known_in_letters_of_either_case() {
    let names = ["tcp", "Tcp", "TCP", "udp", "uDP", "sctp", "SCTp"];
    let protocols = names.map(|name| {
        let text = service("").replace("protocol TCP", &format!("protocol {name}"));
        match good(&text).virtual_servers[0].service.key() {
            ServiceKey::Address { protocol, .. } => protocol,
            key => panic!("{key}"),
        }
    });
    let [tcp, udp, sctp] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
    assert_eq!(protocols, [tcp, tcp, tcp, udp, udp, sctp, sctp]);
}

#[test]
fn a_prefix_length_of_an_address_of_a_service_or_server_is_left_out() {
    for length in ["/32", "/24", "/0", "/33", "/x", "/"] {
        let text = service("")
            .replace("10.0.0.1 80", &format!("10.0.0.1{length} 80"))
            .replace("10.0.0.2 80", &format!("10.0.0.2{length} 80"));
        let config = with_warnings(&text, &["out-of-range 1:16", "out-of-range 4:14"]);
        assert_eq!(config.virtual_servers[0].service.key().to_string(), "tcp 10.0.0.1:80", "{length}");
        assert_eq!(config.virtual_servers[0].real_servers[0].address.to_string(), "10.0.0.2:80", "{length}");
    }
    let text =
        "virtual_server fd00::1/128 80 {\n lb_kind NAT\n protocol TCP\n real_server fd00::2/64 80 {\n }\n}\n";
    let config = with_warnings(text, &["out-of-range 1:16", "out-of-range 4:14"]);
    assert_eq!(config.virtual_servers[0].service.key().to_string(), "tcp [fd00::1]:80");
    assert_eq!(config.virtual_servers[0].real_servers[0].address.to_string(), "[fd00::2]:80");
    assert_eq!(complaints(&service("").replace("10.0.0.1 80", "10.0.0.1-12 80")), ["bad-value 1:16"]);
}

#[test]
fn a_real_server_can_be_reached_in_its_own_way_and_only_nat_changes_ports() {
    let text = service(
        " real_server 10.0.0.3 8080 {\n lvs_method DR\n }\n real_server 10.0.0.4 8080 {\n lvs_method TUN type gre\n }\n \
         real_server 10.0.0.5 8080 {\n }",
    );
    let config = with_warnings(&text, &["conflict 6:14", "conflict 9:14"]);
    let servers: Vec<_> = config.virtual_servers[0]
        .real_servers
        .iter()
        .map(|real| (real.address.to_string(), real.forwarding))
        .collect();
    let gre = Forwarding::Tunnel(Tunnel::Gre { checksum: false });
    assert_eq!(
        servers,
        [
            ("10.0.0.2:80".into(), Forwarding::Masquerade),
            ("10.0.0.3:80".into(), Forwarding::DirectRoute),
            ("10.0.0.4:80".into(), gre),
            ("10.0.0.5:8080".into(), Forwarding::Masquerade),
        ]
    );
}

#[test]
fn tunnels_join_the_address_families_and_nothing_else_does() {
    let text =
        "virtual_server 2001:db8::1 80 {\n lb_kind TUN\n protocol TCP\n real_server 10.0.0.2 80 {\n }\n}\n";
    assert_eq!(good(text).virtual_servers[0].real_servers.len(), 1);
    assert_eq!(complaints(&text.replace("TUN", "DR")), ["conflict 4:14"]);
    let synchronised = format!("global_defs {{\n lvs_sync_daemon eth0\n}}\n{text}");
    with_warnings(&synchronised, &["conflict 2:2"]);
}

#[test]
fn schedulers_get_their_own_flags_wherever_these_stand() {
    let flags = |first, second, third| SchedulerFlags { first, second, third };
    for (more, expected) in [
        ("lb_algo rr\n flag-1\n flag-3", flags(true, false, true)),
        ("lb_algo sh\n sh-port\n sh-fallback\n hashed", flags(true, true, false)),
        ("sh-port\n lb_algo sh", flags(false, true, false)),
        ("lb_algo mh\n mh-fallback", flags(true, false, false)),
        ("lb_algo mh\n mh-port\n flag-3", flags(false, true, true)),
    ] {
        let config = good(&service(&format!(" {more}")));
        assert_eq!(config.virtual_servers[0].service.scheduler_flags(), expected, "{more}");
    }
    let config = with_warnings(&service(" lb_algo mh\n sh-port"), &["conflict 7:2"]);
    assert_eq!(config.virtual_servers[0].service.scheduler_flags(), flags(false, false, false));
    with_warnings(&service(" mh-port"), &["conflict 6:2"]);
}

#[test]
fn persistence_has_a_time_a_mask_and_an_engine() {
    let persistence = |more: &str| {
        let config = good(&service(&format!(" {more}")));
        let service = &config.virtual_servers[0].service;
        let engine = service.persistence_engine().map(ToString::to_string);
        service.persistence().map(|found| (found.timeout().as_secs(), found.prefix_len(), engine))
    };
    assert_eq!(persistence("persistence_timeout"), Some((360, Some(32), None)));
    assert_eq!(
        persistence("persistence_timeout 50\n persistence_granularity 255.255.255.0"),
        Some((50, Some(24), None))
    );
    assert_eq!(persistence("persistence_granularity 255.255.0.0"), Some((360, Some(16), None)));
    assert_eq!(persistence("persistence_granularity 0.0.0.0"), Some((360, Some(0), None)));
    assert_eq!(
        persistence("persistence_timeout 5\n persistence_engine sip"),
        Some((5, Some(32), Some("sip".into())))
    );
    let six = service(" persistence_granularity 64").replace("10.0.0.", "2001:db8::");
    assert_eq!(
        good(&six).virtual_servers[0].service.persistence().and_then(|found| found.prefix_len()),
        Some(64)
    );

    let config = with_warnings(&service(" persistence_engine sip"), &["conflict 6:21"]);
    assert_eq!(config.virtual_servers[0].service.persistence_engine(), None);
    for (more, code) in [
        ("persistence_timeout 2678401", "out-of-range 6:22"),
        ("persistence_granularity 24", "bad-value 6:26"),
        ("persistence_granularity 255.0.256.0", "bad-value 6:26"),
        ("persistence_engine sixteen-letters-x", "bad-value 6:21"),
    ] {
        in_service(more, &[code]);
    }
    assert!(
        shown(&read(&service(" persistence_granularity 24"))).contains("write it as a mask: 255.255.255.0")
    );
    assert_eq!(complaints(&six.replace(" 64", " 129")), ["out-of-range 6:26"]);
    assert_eq!(complaints(&six.replace(" 64", " 255.255.255.0")), ["bad-value 6:26"]);
}

#[test]
fn single_packets_are_scheduled_for_udp_and_for_marks() {
    let udp = good(&service(" ops").replace("TCP", "UDP"));
    assert!(udp.virtual_servers[0].service.one_packet());
    assert!(good(&marked(" ops", "10.0.0.2")).virtual_servers[0].service.one_packet());
    for protocol in ["TCP", "SCTP"] {
        let config = with_warnings(&service(" ops").replace("TCP", protocol), &["conflict 6:2"]);
        assert!(!config.virtual_servers[0].service.one_packet());
    }
}

#[test]
fn sctp_is_a_protocol() {
    let config = good(&service("").replace("TCP", "SCTP"));
    let address = "10.0.0.1:80".parse().unwrap();
    assert_eq!(config.virtual_servers[0].service.key(), ServiceKey::address(Protocol::Sctp, address));
}

#[test]
fn a_mark_takes_its_family_from_what_is_said_of_it() {
    let family = |text: &str| good(text).virtual_servers[0].service.key().family();
    assert_eq!(family(&marked("", "10.0.0.2")), Family::Ipv4);
    assert_eq!(family(&marked("", "2001:db8::2")), Family::Ipv4, "nothing is said of it");
    assert_eq!(family(&marked(" ip_family inet6", "10.0.0.2")), Family::Ipv6);
    assert_eq!(family(&marked(" persistence_granularity 64", "2001:db8::2")), Family::Ipv6);
    assert_eq!(family(&marked("", "2001:db8::2 80").replace("TUN", "NAT")), Family::Ipv6);
    let ServiceKey::Fwmark { mark, .. } = good(&marked("", "10.0.0.2")).virtual_servers[0].service.key()
    else {
        panic!("a mark");
    };
    assert_eq!(mark.get(), 7);
}

#[test]
fn marks_have_no_protocol_and_their_servers_ports_only_with_nat() {
    let config = with_warnings(&marked(" protocol TCP", "10.0.0.2 80"), &["conflict 3:2", "conflict 4:14"]);
    assert_eq!(config.virtual_servers[0].real_servers[0].address.port(), 0);
    let config = good(&marked("", "10.0.0.2 80").replace("TUN", "NAT"));
    assert_eq!(config.virtual_servers[0].real_servers[0].address.port(), 80);
}

#[test]
fn wrong_marks_are_refused() {
    let with = |mark: &str| marked("", "10.0.0.2").replace("fwmark 7", mark);
    assert_eq!(complaints(&with("fwmark")), ["missing-parameter 1:1"]);
    assert_eq!(complaints(&with("fwmark 0")), ["out-of-range 1:23"]);
    assert_eq!(complaints(&with("fwmark 4294967296")), ["out-of-range 1:23"]);
    assert_eq!(complaints(&with("fwmark x")), ["bad-value 1:23"]);
    assert_eq!(complaints(&with("fwmark 7 8")), ["surplus-words 1:25"]);
    assert_eq!(complaints(&marked("", "10.0.0.2").repeat(2)), ["duplicate 7:16"]);
    assert_eq!(complaints(&marked(" ip_family inet6", "10.0.0.2").replace("TUN", "NAT")), ["conflict 4:14"]);
    in_service("ip_family inet6", &["conflict 6:2"]);
}

#[test]
fn timeouts_are_set_each_by_itself() {
    let timeouts = |words: &str| good(&of_global(&format!("lvs_timeouts {words}"))).global.lvs.timeouts;
    let seconds = Duration::from_secs;
    assert_eq!(
        timeouts("tcp 100 tcpfin 20 udp 30"),
        Some(Timeouts { tcp: seconds(100), tcp_fin: seconds(20), udp: seconds(30) })
    );
    assert_eq!(timeouts("udp 2678400"), Some(Timeouts { udp: seconds(2_678_400), ..Timeouts::UNCHANGED }));
    assert_eq!(timeouts("tcp 0"), Some(Timeouts::UNCHANGED));
    assert_eq!(good(&service("")).global.lvs.timeouts, None);
    for (words, code) in [
        ("", "missing-parameter 2:2"),
        ("tcp", "missing-parameter 2:15"),
        ("tcp 2678401", "out-of-range 2:19"),
        ("tcp 1.5", "bad-value 2:19"),
        ("tcp 5 tcp 6", "duplicate 2:21"),
        ("foo 6", "bad-value 2:15"),
    ] {
        assert_eq!(complaints(&of_global(&format!("lvs_timeouts {words}"))), [code], "{words}");
    }
}

/// A daemon as the file makes it, in whichever role.
fn daemon(id: u8) -> SyncDaemon {
    SyncDaemon::new(SyncRole::Backup, "eth0").unwrap().with_sync_id(id)
}

#[test]
fn a_sync_daemon_is_what_its_words_say() {
    let sync = |words: &str, more: &str| {
        let text = format!("global_defs {{\n lvs_sync_daemon {words}\n}}\n{}", instance(more));
        let found = good(&text).global.lvs.synchronisation.expect("a daemon");
        (found.daemon, found.instance)
    };
    assert_eq!(sync("eth0", ""), (daemon(0), None));
    assert_eq!(sync("eth0 id 7", ""), (daemon(7), None));
    let all = daemon(255)
        .with_max_length(1400)
        .and_then(|daemon| daemon.with_group("ff02::51".parse().unwrap()))
        .unwrap()
        .with_port(9000.try_into().unwrap())
        .with_ttl(3.try_into().unwrap());
    assert_eq!(
        sync("eth0 V id 255 maxlen 1400 port 9000 ttl 3 group ff02::51", ""),
        (all, Some("V".to_owned()))
    );
    // Its identifier is that of the virtual router, if nothing else is said.
    assert_eq!(sync("eth0 V", " priority 9"), (daemon(1), Some("V".to_owned())));
    assert_eq!(sync("eth0 id 3 inst V", ""), (daemon(3), Some("V".to_owned())));
}

#[test]
fn the_older_form_in_an_instance_follows_that_instance_with_identifier_0() {
    let old = " lvs_sync_daemon_interface eth0";
    let found = good(&instance(old)).global.lvs.synchronisation.expect("a daemon");
    assert_eq!((found.daemon, found.instance.as_deref()), (daemon(0), Some("V")));
    let both = format!("global_defs {{\n lvs_sync_daemon eth0 V id 9\n}}\n{}", instance(old));
    let found = with_warnings(&both, &["duplicate 10:2"]).global.lvs.synchronisation.expect("a daemon");
    assert_eq!(found.daemon, daemon(9));
}

#[test]
fn wrong_sync_daemons_are_refused_and_one_for_nobody_is_left_out() {
    for (words, code) in [
        ("", "missing-parameter 2:2"),
        ("sixteen-letters-", "bad-value 2:18"),
        ("eth0 id 256", "out-of-range 2:26"),
        ("eth0 id", "missing-parameter 2:23"),
        ("eth0 maxlen 0", "out-of-range 2:30"),
        ("eth0 maxlen 65508", "out-of-range 2:30"),
        ("eth0 port 0", "out-of-range 2:28"),
        ("eth0 ttl 0", "out-of-range 2:27"),
        ("eth0 ttl 256", "out-of-range 2:27"),
        ("eth0 group 10.0.0.1", "bad-value 2:29"),
        ("eth0 id 3 foo 4", "bad-value 2:28"),
        ("eth0 id 3 id 4", "duplicate 2:28"),
        ("eth0 inst V inst V", "duplicate 2:30"),
        ("eth0 V inst W", "duplicate 2:25"),
        ("eth0 V id 3 inst W", "duplicate 2:30"),
        ("eth0 V W", "bad-value 2:25"),
    ] {
        assert_eq!(complaints(&of_global(&format!("lvs_sync_daemon {words}"))), [code], "{words}");
    }
    let config = with_warnings(&of_global("lvs_sync_daemon eth0 V"), &["bad-value 2:23"]);
    assert_eq!(config.global.lvs.synchronisation, None);
    let config = with_warnings(&of_global("lvs_sync_daemon eth0\n lvs_sync_daemon eth1"), &["duplicate 3:2"]);
    assert_eq!(config.global.lvs.synchronisation.map(|found| found.daemon), Some(daemon(0)));
}

#[test]
fn a_table_is_flushed_at_the_start_and_at_the_end_if_it_is_said_so() {
    let lvs = |words: &str| good(&of_global(words)).global.lvs;
    assert!(lvs("lvs_flush").flush);
    assert!(!lvs("lvs_flush_on_stop").flush);
    assert_eq!(lvs("lvs_flush").flush_on_stop, FlushOnStop::Ours);
    assert_eq!(lvs("lvs_flush_on_stop").flush_on_stop, FlushOnStop::Everything);
    assert_eq!(lvs("lvs_flush_onstop").flush_on_stop, FlushOnStop::Everything);
    assert_eq!(lvs("lvs_flush_on_stop VS").flush_on_stop, FlushOnStop::Ours);
    assert_eq!(complaints(&of_global("lvs_flush_on_stop vs")), ["bad-value 2:20"]);
    assert_eq!(complaints(&of_global("lvs_flush_on_stop\n lvs_flush_onstop VS")), ["duplicate 3:2"]);
}
