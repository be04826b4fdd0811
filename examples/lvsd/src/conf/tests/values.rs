//! Right files: what becomes of their words.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use lvs_core::{AddressScope, Forwarding, VirtualAddress, Weight};

use super::super::model::*;
use super::*;

const S2: &str = include_str!("../../../tests/fixtures/s2.conf");
const S2_DATABASE: &str = include_str!("../../../tests/fixtures/s2-database.conf");
const S3: &str = include_str!("../../../tests/fixtures/s3.conf");

fn good(text: &str) -> Config {
    let loaded = read(text);
    assert_eq!(shown(&loaded), "");
    loaded.config.expect("no complaints, so there is a configuration")
}

fn password(text: &str) -> Option<Authentication> {
    Password::new(text).map(Authentication::Pass)
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Delay, repeat, refresh, refresh repeat, lower-priority repeat and delay.
fn garp(delay: u64, repeat: u8, refresh: Option<u64>, refresh_repeat: u8, lower: (u8, u64)) -> Garp {
    let packets = |n| std::num::NonZeroU8::new(n).expect("at least one packet");
    Garp {
        delay: seconds(delay),
        repeat: packets(repeat),
        refresh: refresh.map(seconds),
        refresh_repeat: packets(refresh_repeat),
        lower_prio_repeat: lower.0,
        lower_prio_delay: seconds(lower.1),
    }
}

#[test]
fn s2_is_read_as_it_stands() {
    let config = good(S2);
    let [instance] = &*config.instances else { panic!("one instance: {config:?}") };
    assert_eq!(instance.name, "VI_1");
    assert_eq!(instance.state, InitialState::Master);
    assert_eq!(instance.interface, "eth0");
    assert_eq!(instance.virtual_router_id.get(), 1);
    assert_eq!(instance.priority.get(), 200);
    assert_eq!(instance.advert_interval, seconds(1));
    assert_eq!(instance.version, Version::V2);
    assert!(instance.preempt);
    assert_eq!(instance.preempt_delay, Duration::ZERO);
    assert_eq!(instance.authentication, None);
    assert_eq!(instance.delivery, Delivery::Multicast { group: [224, 0, 0, 18].into(), source: None });
    let vip = IpAddr::V4(Ipv4Addr::new(10, 5, 0, 100));
    assert_eq!(instance.addresses, [VirtualAddress::new("eth0", vip, 32)]);
    assert_eq!(instance.garp, garp(5, 5, None, 1, (5, 5)));
    assert_eq!(instance.notify, NotifyScripts::default());

    let [service] = &*config.virtual_servers else { panic!("one service: {config:?}") };
    assert_eq!(service.service.key().to_string(), "tcp 10.5.0.100:80");
    assert_eq!(service.service.scheduler().as_str(), "rr");
    assert_eq!(service.service.persistence(), None);
    let addresses: Vec<String> = service.real_servers.iter().map(|r| r.address.to_string()).collect();
    assert_eq!(addresses, ["10.5.0.36:80", "10.5.0.229:80"]);
    for real in &service.real_servers {
        assert_eq!(real.weight, Weight::ONE);
        assert_eq!(real.forwarding, Forwarding::DirectRoute);
        assert!(real.inhibit_on_failure);
        let [check] = &*real.checks else { panic!("one check: {real:?}") };
        assert_eq!(check.target, real.address);
        assert_eq!(check.timeout, seconds(3));
        assert_eq!(check.interval, seconds(3));
        assert_eq!(check.retries, 1);
        assert_eq!(check.delay_before_retry, seconds(7));
        assert_eq!(check.warmup, seconds(3));
        let request =
            HttpRequest { path: "/healthchk.html".into(), host: None, status_codes: vec![200..=200] };
        assert_eq!(check.probe, Probe::Http(vec![request]));
    }
}

#[test]
fn the_database_variant_of_s2_checks_tcp_3306() {
    let config = good(S2_DATABASE);
    for real in &config.virtual_servers[0].real_servers {
        let check = &real.checks[0];
        assert_eq!(check.probe, Probe::Tcp);
        assert_eq!((check.target.ip(), check.target.port()), (real.address.ip(), 3306));
        assert_eq!((check.timeout, check.interval), (seconds(3), seconds(3)));
        assert_eq!((check.retries, check.delay_before_retry), (1, seconds(1)));
    }
}

#[test]
fn s3_is_read_as_it_stands() {
    let config = good(S3);
    let [instance] = &*config.instances else { panic!("one instance: {config:?}") };
    assert_eq!(instance.state, InitialState::Backup);
    assert_eq!(instance.virtual_router_id.get(), 51);
    assert_eq!(instance.priority.get(), 100);
    assert_eq!(instance.authentication, password("1111"));
    let peer = |last| Peer { address: [192, 168, 33, last].into(), min_ttl: None, max_ttl: None };
    assert_eq!(
        instance.delivery,
        Delivery::Unicast { source: None, peers: vec![peer(11), peer(12)], ttl: 255, check_source: false }
    );
    assert_eq!(instance.addresses[0].key.interface, "eth1");
    let script = |path: &str| Some(Script { command: vec![path.into()], user: None });
    assert_eq!(instance.notify.master, script("/tmp/master.sh"));
    assert_eq!(instance.notify.backup, script("/tmp/backup.sh"));
    assert_eq!(instance.notify.any, None);
    assert!(!format!("{config:?}").contains("1111"), "a password is never printed");
}

#[test]
fn defaults_of_global_defs_hold_wherever_the_block_stands() {
    let more = " garp_master_repeat 2\n preempt_delay 0.25\n advert_int 0.5";
    let global = "global_defs {\n router_id LB\n vrrp_version 3\n vrrp_mcast_group4 224.0.0.19\n \
         vrrp_garp_master_delay 1\n vrrp_garp_master_repeat 9\n vrrp_garp_master_refresh 60\n \
         vrrp_garp_master_refresh_repeat 3\n script_user nobody nogroup\n enable_script_security\n \
         vrrp_check_unicast_src\n}\n";
    let text = instance(more) + global;
    assert_eq!(complaints(&text), ["not-supported-yet 20:2"], "scripts are not checked, and that is said");
    let config = read(&text).config.expect("a warning only");
    let instance = &config.instances[0];
    assert_eq!(instance.version, Version::V3);
    assert_eq!(instance.advert_interval, Duration::from_millis(500));
    assert_eq!(instance.preempt_delay, Duration::from_millis(250));
    assert_eq!(instance.garp, garp(1, 2, Some(60), 3, (9, 1)));
    assert_eq!(instance.delivery, Delivery::Multicast { group: [224, 0, 0, 19].into(), source: None });
    assert_eq!(config.global.router_id.as_deref(), Some("LB"));
    assert!(config.global.enable_script_security);
    let user = ScriptUser { user: "nobody".into(), group: Some("nogroup".into()) };
    assert_eq!(config.global.script_user, Some(user));
}

#[test]
fn an_address_takes_its_options() {
    let config = good(
        "vrrp_instance V {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n\
         10.0.0.5/24 dev eth1 scope link label eth1:vip brd +\n10.0.0.6/24 brd -\n10.0.0.7 scope 200\n}\n}\n",
    );
    let [first, second, third] = &*config.instances[0].addresses else { panic!("three: {config:?}") };
    assert_eq!((first.key.interface.as_str(), first.key.prefix_len), ("eth1", 24));
    assert_eq!((first.scope, first.label.as_deref()), (AddressScope::LINK, Some("eth1:vip")));
    assert_eq!(first.broadcast, Some(Ipv4Addr::new(10, 0, 0, 255)));
    assert_eq!((second.key.interface.as_str(), second.broadcast), ("eth0", Some(Ipv4Addr::new(10, 0, 0, 0))));
    assert_eq!((third.key.prefix_len, third.scope), (32, AddressScope::SITE));
}

#[test]
fn checks_inherit_from_real_and_virtual_server() {
    let config = good(
        "virtual_server 2001:db8::1 443 {\n delay_loop 2.5\n lvs_sched wlc\n lvs_method NAT\n protocol UDP\n\
         persistence_timeout\n retry 4\n virtualhost outer.example\n weight 7\n inhibit_on_failure\n connect_timeout 8\n\
         real_server 2001:db8::2 {\n delay_before_retry 6\n weight 0\n inhibit_on_failure off\n\
         TCP_CHECK {\n connect_ip 10.0.0.9\n connect_port 81\n bindto 10.0.0.8\n nb_get_retry 0\n warmup 0\n }\n\
         HTTP_GET {\n url {\n path /a\n }\n url {\n path /b\n status_code 200 300-399\n virtualhost b.example\n }\n }\n}\n\
         real_server 2001:db8::3 8443 {\n}\n}\n",
    );
    let service = &config.virtual_servers[0];
    assert_eq!(service.service.persistence().map(|persistence| persistence.timeout()), Some(seconds(360)));
    let [first, second] = &*service.real_servers else { panic!("two: {service:?}") };
    assert_eq!(first.address.to_string(), "[2001:db8::2]:443");
    assert_eq!((first.weight, first.inhibit_on_failure), (Weight::ZERO, false));
    assert_eq!(second.address.port(), 8443);
    assert_eq!((second.weight.value(), second.inhibit_on_failure), (7, true));
    assert!(second.checks.is_empty());
    let [tcp, http] = &*first.checks else { panic!("two checks: {first:?}") };
    assert_eq!(tcp.target.to_string(), "10.0.0.9:81");
    assert_eq!(tcp.bind_to, Some("10.0.0.8".parse().unwrap()));
    assert_eq!((tcp.retries, tcp.warmup, tcp.timeout), (0, Duration::ZERO, seconds(8)));
    assert_eq!((http.retries, http.delay_before_retry), (4, seconds(6)));
    assert_eq!(http.interval, Duration::from_millis(2500));
    let Probe::Http(requests) = &http.probe else { panic!("HTTP: {http:?}") };
    assert_eq!(requests[0].host.as_deref(), Some("outer.example"));
    assert_eq!(requests[0].status_codes, [200..=299]);
    assert_eq!(requests[1].host.as_deref(), Some("b.example"));
    assert_eq!(requests[1].status_codes, [200..=200, 300..=399]);
}

#[test]
fn state_master_without_a_priority_is_an_owner_as_in_keepalived() {
    let text = instance(" state MASTER");
    assert_eq!(complaints(&text), ["missing-keyword 1:1"]);
    assert_eq!(read(&text).config.expect("a warning only").instances[0].priority.get(), 255);
    assert_eq!(good(&instance("")).instances[0].priority.get(), 100);
}

#[test]
fn layout_quotes_and_comments_are_keepalived_s() {
    let text = "\u{feff}! 日本語 {\r\nvrrp_instance \"V 1\"\r\n{ interface eth0 # 注釈 }\r\n\
        virtual_router_id \"1\"\r\nvirtual_ipaddress{10.0.0.1}\r\n\
        notify \"/bin/echo 'a b' \\\"c d\\\" \\x41\\102\" root adm\r\n notify_stop /bin/true\r\n}";
    let instance = &good(text).instances[0];
    assert_eq!(instance.name, "V 1");
    let notify = instance.notify.any.as_ref().unwrap();
    assert_eq!(notify.command, ["/bin/echo", "a b", "c d", "AB"]);
    assert_eq!(notify.user, Some(ScriptUser { user: "root".into(), group: Some("adm".into()) }));
    assert_eq!(instance.notify.stop.as_ref().unwrap().command, ["/bin/true"]);
}

#[test]
fn warnings_leave_the_configuration_usable() {
    let check = |text: &str, expected: &[&str]| {
        assert_eq!(complaints(text), expected, "{text}");
        read(text).config.expect("warnings only")
    };
    let config = check(&instance(" state MASTER\n priority 200\n nopreempt"), &["conflict 9:2"]);
    assert!(config.instances[0].preempt);
    let config = check(&instance(" nopreempt\n preempt_delay 5"), &["conflict 8:2"]);
    assert!(!config.instances[0].preempt);
    assert_eq!(config.instances[0].preempt_delay, Duration::ZERO);
    let config = check(
        &instance(" authentication {\n auth_type PASS\n auth_pass 123456789\n }"),
        &["out-of-range 9:12"],
    );
    assert_eq!(config.instances[0].authentication, password("12345678"));
    let config = check(
        &instance(" version 3\n authentication {\n auth_type PASS\n auth_pass 1\n }"),
        &["conflict 8:2"],
    );
    assert_eq!(config.instances[0].authentication, None);
    let config = check(&instance(" unicast_src_ip 10.0.0.3"), &["conflict 7:2"]);
    let source = Some([10, 0, 0, 3].into());
    assert_eq!(config.instances[0].delivery, Delivery::Multicast { group: [224, 0, 0, 18].into(), source });
    let config =
        check(&service("").replace("NAT", "DR").replace("10.0.0.2 80", "10.0.0.2 8080"), &["conflict 4:14"]);
    assert_eq!(config.virtual_servers[0].real_servers[0].address.port(), 80);
    let config = check(
        &instance(" unicast_peer {\n 10.0.0.2\n 10.0.0.2 min_ttl 3\n 10.0.0.3 min_ttl 254 max_ttl 255\n }"),
        &["duplicate 9:2"],
    );
    let Delivery::Unicast { peers, check_source, .. } = &config.instances[0].delivery else {
        panic!("unicast: {config:?}")
    };
    assert_eq!((peers.len(), *check_source), (2, true));
}

#[test]
fn two_hundred_thousand_lines_are_read_whole() {
    let mut text = String::new();
    for i in 0..400 {
        text += &format!("virtual_server 10.{}.{}.1 80 {{\n lb_kind NAT\n protocol TCP\n", i / 250, i % 250);
        for j in 2..72 {
            text += &format!(
                " real_server 10.9.{}.{j} 80 {{\n weight 1\n HTTP_GET {{\n url {{\n path /\n }}\n }}\n }}\n",
                i % 250
            );
        }
        text += "}\n";
    }
    assert!(text.lines().count() > 200_000);
    let config = good(&text);
    assert_eq!(config.virtual_servers.iter().map(|v| v.real_servers.len()).sum::<usize>(), 28_000);
}
