//! Scenario S2: an active/standby pair, direct routing, HTTP checks; played with real packets and a real kernel.

use std::collections::BTreeSet;
use std::time::Duration;

use lvs_tests::s2::{self, S2};
use lvs_tests::{Capture, Process, holds_for, http, peers, poll_until, require_ipvs};

/// Long enough for anything that takes seconds, on an emulated processor as well.
const LIMIT: Duration = Duration::from_secs(60);

/// For one fetch of a small page.
const FETCH: Duration = Duration::from_secs(5);

/// Which daemon runs on a balancer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Daemon {
    Lvsd,
    Keepalived,
}

fn start(net: &S2, balancer: usize, daemon: Daemon, config: &str) -> Process {
    let host = &net.balancers[balancer];
    match daemon {
        Daemon::Lvsd => peers::lvsd(host, config, &[]),
        Daemon::Keepalived => peers::keepalived(host, config),
    }
}

fn owned_by(net: &S2, balancer: usize) {
    let mut expected = [false; 2];
    expected[balancer] = true;
    poll_until(LIMIT, &format!("balancer {balancer} alone has {}", s2::VIP), || {
        let owners = net.owners();
        if owners == expected { Ok(()) } else { Err(format!("owners {owners:?}")) }
    });
}

fn has_table(net: &S2, balancer: usize, expected: &str) {
    poll_until(LIMIT, &format!("balancer {balancer} has the table\n{expected}"), || {
        let table = net.table(balancer)?;
        if table == expected { Ok(()) } else { Err(table) }
    });
}

fn serves(net: &S2) {
    poll_until(LIMIT, "the virtual service answers", || net.fetch(FETCH));
}

fn alternates(net: &S2) {
    let answers: Vec<String> =
        (0..8).map(|_| net.fetch(FETCH).expect("the virtual service answers")).collect();
    for pair in answers.windows(2) {
        assert_ne!(pair[0], pair[1], "round robin gives neighbours to different servers: {answers:?}");
    }
    let servers: BTreeSet<&str> = answers.iter().map(String::as_str).collect();
    assert_eq!(servers, BTreeSet::from(s2::SERVERS));
}

fn client_knows_owner(net: &S2, balancer: usize) {
    let owner = net.balancers[balancer].mac("eth0");
    poll_until(LIMIT, &format!("the client's ARP entry is balancer {balancer}'s {owner}"), || {
        match net.clients_view() {
            Some(mac) if mac == owner => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

/// The whole story with any mix of daemons.
fn fails_over_and_back(daemons: [Daemon; 2]) {
    require_ipvs();
    let net = S2::new();
    let [high, low] = [s2::config(150), s2::config(100)];
    let master = start(&net, 0, daemons[0], &high);
    let backup = start(&net, 1, daemons[1], &low);
    owned_by(&net, 0);
    for balancer in [0, 1] {
        has_table(&net, balancer, s2::FULL_TABLE);
    }
    serves(&net);
    alternates(&net);
    client_knows_owner(&net, 0);

    assert!(master.terminate().success(), "{}", master.log());
    owned_by(&net, 1);
    assert_eq!(net.table(0), Ok(String::new()), "a stopped balancer leaves no services");
    client_knows_owner(&net, 1);
    serves(&net);
    alternates(&net);

    let master = start(&net, 0, daemons[0], &high);
    owned_by(&net, 0);
    client_knows_owner(&net, 0);
    serves(&net);
    for process in [&master, &backup] {
        assert!(process.is_running(), "{}", process.log());
    }
}

#[test]
fn lvsd_pair_balances_fails_over_and_preempts() {
    fails_over_and_back([Daemon::Lvsd, Daemon::Lvsd]);
}

#[test]
fn lvsd_as_master_works_with_keepalived_as_backup() {
    fails_over_and_back([Daemon::Lvsd, Daemon::Keepalived]);
}

#[test]
fn keepalived_as_master_works_with_lvsd_as_backup() {
    fails_over_and_back([Daemon::Keepalived, Daemon::Lvsd]);
}

#[test]
fn the_vip_looks_as_the_document_says_and_replies_bypass_the_balancer() {
    require_ipvs();
    let net = S2::new();
    let _master = start(&net, 0, Daemon::Lvsd, &s2::config(150));
    owned_by(&net, 0);
    serves(&net);
    let shown = net.balancers[0].sh("ip -4 address show dev eth0").expect("ip works");
    assert!(shown.contains(" inet 10.5.0.100/32 scope global eth0"), "{shown}");

    let replies = Capture::start(&net.balancers[0], "eth0", |frame| {
        frame.ip().is_some_and(|ip| ip.source.to_string() == s2::VIP)
            && frame.ports().is_some_and(|(source, _)| source == 80)
    });
    let requests = Capture::start(&net.balancers[0], "eth0", |frame| {
        frame.ip().is_some_and(|ip| ip.destination.to_string() == s2::VIP)
            && frame.ports().is_some_and(|(_, destination)| destination == 80)
    });
    alternates(&net);
    requests.wait_for("a request on its way through the balancer", LIMIT, |_| true);
    assert_eq!(replies.frames().len(), 0, "no reply passes the balancer");
}

#[test]
fn a_failed_server_stays_with_weight_zero_and_comes_back_with_weight_one() {
    require_ipvs();
    let net = S2::new();
    let _lvsd = start(&net, 0, Daemon::Lvsd, &s2::config(150));
    let _keepalived = start(&net, 1, Daemon::Keepalived, &s2::config(100));
    owned_by(&net, 0);
    for balancer in [0, 1] {
        has_table(&net, balancer, s2::FULL_TABLE);
    }
    net.servers[0].0.remove_page(s2::HEALTH_PAGE);
    let one_down = s2::FULL_TABLE.replacen("Route   1 ", "Route   0 ", 1);
    for balancer in [0, 1] {
        has_table(&net, balancer, &one_down);
    }
    holds_for(Duration::from_secs(2), "only the healthy server answers", || match net.fetch(FETCH) {
        Ok(server) if server == s2::SERVERS[1] => Ok(()),
        other => Err(format!("{other:?}")),
    });
    net.servers[0].0.write_page(s2::HEALTH_PAGE, "fine again");
    for balancer in [0, 1] {
        has_table(&net, balancer, s2::FULL_TABLE);
    }
    alternates(&net);
}

#[test]
fn a_database_service_is_checked_by_its_tcp_port() {
    require_ipvs();
    let net = S2::new();
    let config = "
        virtual_server 10.5.4.100 3306 {
            delay_loop 1
            lb_algo rr
            lb_kind DR
            protocol TCP
            real_server 10.5.0.36 3306 {
                weight 1
                TCP_CHECK { connect_port 3306
                            connect_timeout 1
                            retry 1
                            delay_before_retry 1 }
            }
        }
        vrrp_instance DB { state MASTER
            interface eth0
            virtual_router_id 9
            priority 150
            virtual_ipaddress { 10.5.4.100 dev eth0 }
        }";
    let database = peers::nginx_on(&net.servers[0].1, 3306, "row");
    net.servers[0].1.accept_address("10.5.4.100");
    let _lvsd = start(&net, 0, Daemon::Lvsd, config);
    let fetch = || http::get(&net.client, "http://10.5.4.100:3306/", FETCH).map(|answer| answer.body);
    poll_until(LIMIT, "the database answers inside the segment", fetch);

    drop(database);
    has_table(&net, 0, "TCP  10.5.4.100:3306 rr\n");
    let _database = peers::nginx_on(&net.servers[0].1, 3306, "row");
    poll_until(LIMIT, "the database answers again", fetch);
}

#[test]
fn a_flushed_table_is_repaired() {
    require_ipvs();
    let net = S2::new();
    let _lvsd = start(&net, 0, Daemon::Lvsd, &s2::config(150));
    has_table(&net, 0, s2::FULL_TABLE);
    peers::ipvsadm(&net.balancers[0], "-C").expect("ipvsadm works");
    has_table(&net, 0, s2::FULL_TABLE);
}

#[test]
fn addresses_of_strangers_and_their_services_are_left_alone() {
    require_ipvs();
    let net = S2::new();
    let host = &net.balancers[0];
    host.add_address("eth0", "10.5.0.77/32");
    peers::ipvsadm(host, "-A -t 10.5.0.77:99 -s wrr").expect("ipvsadm works");
    let lvsd = start(&net, 0, Daemon::Lvsd, &s2::config(150));
    owned_by(&net, 0);
    serves(&net);
    assert!(lvsd.terminate().success(), "{}", lvsd.log());
    assert!(host.has_address("eth0", "10.5.0.77"));
    assert_eq!(net.table(0), Ok("TCP  10.5.0.77:99 wrr\n".to_owned()));
    assert_eq!(net.owners(), [false, false]);
}
