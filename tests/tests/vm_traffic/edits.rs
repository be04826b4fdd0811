//! A program that embeds the crates edits its table while connections are open: they go on (the applier's promise).
//!
//! The servers are behind the balancer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use lvs_core::applier::{ApplierOptions, ApplierStatus, keep_applied};
use lvs_core::{Forwarding, RealServer, ServiceKey, Table};
use lvs_ipvs::{Client, IpvsDataplane};
use lvs_tests::farm::{CLIENT, Farm};
use lvs_tests::{Transport, peers, poll_until, require_ipvs};
use tokio::sync::watch;

use crate::by_library::{active, key, on, server, service, weight, with_servers};

const TCP: Transport = Transport::Tcp;
const PORT: u16 = 80;
const LIMIT: Duration = Duration::from_secs(30);

/// A program on the balancer that keeps the kernel's table equal to what it desires.
struct Program<'a> {
    farm: &'a Farm,
    desired: watch::Sender<Table>,
}

impl Program<'_> {
    /// Runs it beside `act`, which may change its mind; it ends with that.
    fn run(farm: &Farm, act: impl FnOnce(&Program<'_>)) {
        thread::scope(|scope| {
            let (desired, watched) = watch::channel(Table::default());
            scope.spawn(move || {
                farm.balancer.run(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                    runtime.expect("a runtime").block_on(async {
                        let dataplane = IpvsDataplane::new(Client::open().expect("a netlink socket"));
                        let (status, _) = watch::channel(ApplierStatus::default());
                        keep_applied(dataplane, watched, ApplierOptions::default(), status).await;
                    });
                });
            });
            act(&Program { farm, desired });
        });
    }

    /// Desires one service with that scheduler and those servers, and waits until the kernel has it.
    #[track_caller]
    fn desire(&self, scheduler: &str, servers: &[RealServer]) {
        let table = with_servers(service(self.service(), scheduler), servers.iter().copied());
        self.desired.send_replace(Table::from_iter([table.clone()]));
        poll_until(LIMIT, "the kernel has the desired service", || {
            let key = self.service();
            let present = on(&self.farm.balancer, async |client| client.service_table(&key).await);
            let present = present.map_err(|error| error.to_string())?;
            if present.as_ref() == Some(&table) { Ok(()) } else { Err(format!("{present:?}")) }
        });
    }

    fn service(&self) -> ServiceKey {
        key(TCP, self.address())
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::new(self.farm.vip.v4, PORT)
    }

    /// web1 and web2 with weight 1.
    fn servers(&self) -> [RealServer; 2] {
        let address = |number: usize| SocketAddr::new(self.farm.servers[number].address.v4, PORT);
        [0, 1].map(|number| server(address(number), Forwarding::Masquerade))
    }

    #[track_caller]
    fn ask(&self) -> String {
        self.farm.ask(TCP, self.address())
    }
}

#[test]
fn a_download_ends_well_when_its_servers_weight_becomes_zero() {
    require_ipvs();
    let farm = Farm::behind();
    // More than all buffers on the way can hold.
    let page = "0123456789abcdef".repeat(1 << 20);
    let pages = farm.servers.each_ref().map(|server| {
        let web = peers::nginx(&server.host, server.host.name());
        web.write_page("/large", &page);
        web
    });
    Program::run(&farm, |program| {
        let [first, second] = program.servers();
        program.desire("rr", &[first]);
        let mut download =
            farm.client.run(|| TcpStream::connect(program.address())).expect("the service answers");
        download.set_read_timeout(Some(LIMIT)).expect("a time limit");
        download.write_all(b"GET /large HTTP/1.0\r\n\r\n").expect("a request");
        let mut answer = vec![0; 100_000];
        download.read_exact(&mut answer).expect("the begin of the page");

        program.desire("rr", &[first.with_weight(weight(0)), second]);
        assert_eq!(active(&farm.balancer, &program.service(), first.key()), Some(1), "it is still open");
        for _ in 0..3 {
            let answer = lvs_tests::http::get(&farm.client, &format!("http://{}/", farm.vip.v4), LIMIT);
            assert_eq!(answer.expect("new connections are served").body, "web2");
        }
        download.read_to_end(&mut answer).expect("the rest of the page");
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(body == page, "{} bytes of {}", body.len(), page.len());
    });
    drop(pages);
}

#[test]
fn connections_of_a_removed_server_wait_for_it_and_new_ones_go_elsewhere() {
    require_ipvs();
    let farm = Farm::behind();
    let _servers = farm.serve(TCP, PORT);
    Program::run(&farm, |program| {
        let [first, second] = program.servers();
        program.desire("rr", &[first]);
        let (mut open, with) = farm.converse(TCP, CLIENT.v4, program.address()).expect("the service answers");
        assert_eq!(with, "web1");

        program.desire("rr", &[second]);
        for _ in 0..3 {
            assert_eq!(program.ask(), "web2");
        }
        // The kernel drops its packets, and forgets nothing (`expire_nodest_conn` is 0).
        let lost = open.say("is anybody there?", Duration::from_secs(1));
        assert_eq!(lost.map_err(|error| error.kind()), Err(std::io::ErrorKind::TimedOut));

        program.desire("rr", &[first, second]);
        let answer = open.hear(LIMIT).expect("the connection goes on");
        let heard = (answer.server.as_str(), answer.count, answer.text.as_str());
        assert_eq!(heard, ("web1", 2, "is anybody there?"));
    });
}

#[test]
fn an_open_connection_goes_on_when_the_scheduler_is_edited_in_place() {
    require_ipvs();
    let farm = Farm::behind();
    let _servers = farm.serve(TCP, PORT);
    Program::run(&farm, |program| {
        let [first, second] = program.servers();
        program.desire("fo", &[first.with_weight(weight(2)), second]);
        let (mut open, with) = farm.converse(TCP, CLIENT.v4, program.address()).expect("the service answers");
        assert_eq!(with, "web1");
        for (count, scheduler) in (2..).zip(["rr", "wlc", "mh", "fo"]) {
            program.desire(scheduler, &[first, second.with_weight(weight(2))]);
            let answer = open.say("still there?", LIMIT).expect("the connection goes on");
            assert_eq!((answer.server.as_str(), answer.count), ("web1", count), "{scheduler}");
        }
        assert_eq!(program.ask(), "web2", "the heaviest is another one now");
        let answer = open.say("goodbye", LIMIT).expect("the connection goes on");
        assert_eq!(answer.server, "web1");
    });
}

#[test]
fn an_open_connection_survives_a_flushed_table_and_new_ones_are_served_again() {
    require_ipvs();
    let farm = Farm::behind();
    let _servers = farm.serve(TCP, PORT);
    Program::run(&farm, |program| {
        let [first, _] = program.servers();
        program.desire("rr", &[first]);
        let (mut open, _) = farm.converse(TCP, CLIENT.v4, program.address()).expect("the service answers");

        peers::ipvsadm(&farm.balancer, "-C").expect("ipvsadm clears the table");
        poll_until(LIMIT, "new connections are served again", || {
            farm.converse(TCP, CLIENT.v4, program.address()).map(|_| ())
        });
        let answer = open.say("did you notice?", LIMIT).expect("the connection goes on");
        assert_eq!((answer.server.as_str(), answer.count), ("web1", 2));
    });
}
