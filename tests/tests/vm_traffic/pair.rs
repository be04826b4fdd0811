//! Scenario S2 with a name service on UDP: an active/standby pair of lvsd, direct routing, servers checked over HTTP.
//!
//! ```text
//!  client 10.5.0.10 ──┬── lb 10.5.0.133, lb-backup 10.5.0.195; VIP 10.5.0.100
//!                     ├── server 10.5.0.36
//!                     └── server 10.5.0.229
//! ```

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lvs_tests::s2::{self, S2};
use lvs_tests::{Capture, Conversation, EchoServer, Process, Transport, peers, poll_until, require_ipvs};

const PORT: u16 = 53;
/// Long enough for anything that takes seconds, on an emulated processor as well.
const LIMIT: Duration = Duration::from_secs(60);
/// For one question; those that are lost during a failover are asked again.
const QUESTION: Duration = Duration::from_secs(2);

fn address(ip: &str) -> SocketAddr {
    SocketAddr::new(ip.parse::<IpAddr>().expect("an address"), PORT)
}

/// One question from a port of its own; the name of the server that answers.
fn ask(net: &S2) -> Result<String, String> {
    let from = "10.5.0.10".parse().expect("an address");
    let answer = Conversation::open(&net.client, Transport::Udp, from, address(s2::VIP), QUESTION)
        .and_then(|mut conversation| conversation.say("who?", QUESTION));
    answer.map(|answer| answer.server).map_err(|error| error.to_string())
}

#[track_caller]
fn answers_in_turn(net: &S2) {
    poll_until(LIMIT, "the name service answers", || ask(net));
    let answers = [(); 6].map(|()| ask(net));
    let servers: BTreeSet<_> = answers.iter().flatten().collect();
    assert_eq!(servers.len(), 2, "{answers:?}");
    assert!(answers.windows(2).all(|pair| pair[0] != pair[1]), "{answers:?}");
}

fn start(net: &S2, balancer: usize, priority: u8) -> Process {
    let servers = s2::SERVERS.map(|server| {
        format!(
            " real_server {server} {PORT} {{\n  weight 1\n  inhibit_on_failure\n  HTTP_GET {{\n   url {{\n    \
             path {}\n    status_code 200\n   }}\n   connect_port 80\n   connect_timeout 3\n   retry 1\n   \
             delay_before_retry 1\n  }}\n }}\n",
            s2::HEALTH_PAGE
        )
    });
    let config = format!(
        "vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 1\n priority {priority}\n advert_int 3\n \
         virtual_ipaddress {{\n {} dev eth0\n }}\n}}\nvirtual_server {} {PORT} {{\n delay_loop 1\n lb_algo rr\n \
         lb_kind DR\n protocol UDP\n{}}}\n",
        s2::VIP,
        s2::VIP,
        servers.concat()
    );
    peers::lvsd(&net.balancers[balancer], &config, &[])
}

#[test]
fn a_name_service_on_udp_is_balanced_by_a_pair_and_fails_over() {
    require_ipvs();
    let net = S2::new();
    let _names =
        net.servers.each_ref().map(|(_, host)| EchoServer::start(host, Transport::Udp, address(s2::VIP)));
    let master = start(&net, 0, 150);
    let backup = start(&net, 1, 100);
    let owned_by = |balancer: usize| {
        poll_until(LIMIT, &format!("balancer {balancer} alone has the VIP"), || {
            let owners = net.owners();
            if owners[balancer] && !owners[1 - balancer] { Ok(()) } else { Err(format!("{owners:?}")) }
        });
    };
    owned_by(0);
    let passing = |balancer: usize| {
        let host = &net.balancers[balancer];
        let own = host.mac("eth0");
        Capture::start(host, "eth0", move |frame| {
            let is_for_us = frame.outgoing || frame.destination_mac() == Some(own);
            is_for_us
                && frame.ports().is_some_and(|(source, destination)| [source, destination].contains(&PORT))
        })
    };
    let at = [passing(0), passing(1)];
    answers_in_turn(&net);

    // Nothing is asked of a server that is out.
    net.servers[0].0.remove_page(s2::HEALTH_PAGE);
    poll_until(LIMIT, "the server has weight 0", || {
        let table = net.table(0)?;
        if table.contains("Route   0 ") { Ok(()) } else { Err(table) }
    });
    let only = net.servers[1].1.name();
    assert_eq!([(); 3].map(|()| ask(&net)), [(); 3].map(|()| Ok(only.to_owned())));
    net.servers[0].0.write_page(s2::HEALTH_PAGE, "fine again");
    for balancer in [0, 1] {
        poll_until(LIMIT, "both servers have weight 1", || {
            let table = net.table(balancer)?;
            if table.contains("Route   0 ") { Err(table) } else { Ok(()) }
        });
    }

    assert!(master.terminate().success(), "{}", master.log());
    owned_by(1);
    answers_in_turn(&net);
    assert!(backup.is_running(), "{}", backup.log());
    for capture in at {
        capture.wait_for("questions pass both balancers", LIMIT, |frame| frame.outgoing);
        let answers = capture
            .frames()
            .into_iter()
            .filter(|frame| frame.ports().is_some_and(|(source, _)| source == PORT));
        assert_eq!(answers.count(), 0, "answers bypass the balancers");
    }
}
