//! The test VM and the peers that need IPVS: what they promise to the scenario tests.

use std::time::Duration;

use lvs_tests::{Host, Segment, http, peers, poll_until, require_ipvs};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn ipvs_tables_of_hosts_are_separate() {
    require_ipvs();
    let [one, two] = ["one", "two"].map(Host::new);
    peers::ipvsadm(&one, "-A -t 192.168.1.12:80 -s wlc").expect("add a service");
    peers::ipvsadm(&one, "-a -t 192.168.1.12:80 -r 192.168.2.13:80 -m -w 3").expect("add a server");
    let table = peers::ipvsadm(&one, "-Ln").expect("list");
    assert!(table.contains("TCP  192.168.1.12:80 wlc"), "{table}");
    assert!(table.contains("192.168.2.13:80              Masq    3"), "{table}");
    let other = peers::ipvsadm(&two, "-Sn").expect("save");
    assert_eq!(other, "");
    let error = peers::ipvsadm(&two, "-D -t 192.168.1.12:80").expect_err("there is no such service");
    assert!(error.contains("ipvsadm") && error.contains("two"), "{error}");
}

#[test]
fn guest_has_the_schedulers_and_links_of_a_real_kernel() {
    require_ipvs();
    let host = Host::new("host");
    for (port, scheduler) in (1..).zip("rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh".split(' ')) {
        let added = peers::ipvsadm(&host, &format!("-A -t 10.0.0.1:{port} -s {scheduler}"));
        added.unwrap_or_else(|error| panic!("{scheduler}: {error}"));
    }
    for kind in ["dummy", "bridge", "vrf table 10"] {
        host.sh(&format!("ip link add name l0 type {kind} && ip link del l0"))
            .unwrap_or_else(|error| panic!("{error}"));
    }
    host.sh("ip link add name d0 type dummy && ip link add link d0 name d0.5 type vlan id 5")
        .expect("a VLAN");
    host.sh("ip link add link d0 name vrrp.51 type macvlan mode private").expect("a macvlan");
    host.sh("nft add table ip t && nft list ruleset | grep -q 'table ip t'").expect("nf_tables");
}

/// The network of scenario S2 with Debian's keepalived: proves that hosts, peers and kernel do what its tests need.
#[test]
fn keepalived_balances_http_by_direct_routing() {
    require_ipvs();
    let segment = Segment::new();
    let host = |name: &str, address: &str| {
        let host = Host::new(name);
        host.connect(&segment, "eth0", &format!("{address}/21"));
        host
    };
    let balancer = host("lb", "10.5.0.133");
    let client = host("client", "10.5.0.10");
    let servers = [host("web1", "10.5.0.36"), host("web2", "10.5.0.229")];
    let pages = servers.each_ref().map(|server| {
        server.accept_address("10.5.0.100");
        let pages = peers::nginx(server, server.name());
        pages.write_page("/healthchk.html", "fine");
        pages
    });
    let keepalived = peers::keepalived(&balancer, S2);
    let table = |expected: &str| {
        poll_until(LIMIT, &format!("the table contains {expected:?}"), || {
            let table = peers::ipvsadm(&balancer, "-Sn").unwrap_or_else(|error| error);
            if table.contains(expected) { Ok(()) } else { Err(format!("{table}\n{}", keepalived.log())) }
        });
    };
    table("-A -t 10.5.0.100:80 -s rr\n");
    table("-a -t 10.5.0.100:80 -r 10.5.0.36:80 -g -w 1\n");
    table("-a -t 10.5.0.100:80 -r 10.5.0.229:80 -g -w 1\n");
    poll_until(LIMIT, "the VIP is there", || balancer.has_address("eth0", "10.5.0.100"));
    let fetch = || http::get(&client, "http://10.5.0.100/", LIMIT).map(|answer| answer.body);
    let [first, second] = [(); 2].map(|()| fetch().expect("an answer"));
    let mut seen = [first.as_str(), second.as_str()];
    seen.sort_unstable();
    assert_eq!(seen, ["web1", "web2"]);
    assert_eq!(client.neighbour("10.5.0.100"), Some(balancer.mac("eth0")));

    pages[0].remove_page("/healthchk.html");
    table("-a -t 10.5.0.100:80 -r 10.5.0.36:80 -g -w 0\n");
    assert_eq!(fetch().expect("an answer"), "web2");
    assert!(keepalived.terminate().success());
    assert_eq!(peers::ipvsadm(&balancer, "-Sn").expect("save"), "");
}

const S2: &str = "
vrrp_instance VI_1 {
    state MASTER
    interface eth0
    virtual_router_id 1
    priority 200
    advert_int 1
    virtual_ipaddress {
        10.5.0.100 dev eth0
    }
}
virtual_server 10.5.0.100 80 {
    delay_loop 1
    lb_algo rr
    lb_kind DR
    protocol TCP
    real_server 10.5.0.36 80 {
        weight 1
        inhibit_on_failure
        HTTP_GET {
            url { path /healthchk.html status_code 200 }
            connect_timeout 3
            delay_before_retry 1
        }
    }
    real_server 10.5.0.229 80 {
        weight 1
        inhibit_on_failure
        HTTP_GET {
            url { path /healthchk.html status_code 200 }
            connect_timeout 3
            delay_before_retry 1
        }
    }
}
";
