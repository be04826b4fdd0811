//! The applier on a real kernel: open connections go on through every edit, servers drain, drift is repaired.
//!
//! ```text
//!  client            balancer                   server1 10.2.0.11
//!  10.1.0.10 ─────── eth0 10.1.0.1
//!                    eth1 10.2.0.1 ─────── ┤    server2 10.2.0.12
//!                                               server3 10.2.0.13
//! ```

#![allow(clippy::unwrap_used)] // the literals of a test are right

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use lvs_core::applier::{ApplierOptions, ApplierStatus, keep_applied};
use lvs_core::reconciler::DrainProgress;
use lvs_core::{
    Forwarding, Protocol, RealServer, ServerKey, ServiceKey, ServiceTable, SyncDaemon, SyncRole, Table,
    Timeouts, VirtualService, Weight,
};
use lvs_ipvs::{Client, IpvsDataplane};
use lvs_tests::{Host, Segment, holds_for, peers, poll_until, require_ipvs};
use tokio::sync::watch;

const LIMIT: Duration = Duration::from_secs(60);

struct Network {
    client: Host,
    balancer: Host,
    /// Kept for what listens on them.
    _servers: [Host; 3],
    _segments: [Segment; 2],
}

impl Network {
    /// Each server says its number to whoever connects, and then repeats every line.
    fn new() -> Self {
        require_ipvs();
        let segments = [Segment::new(), Segment::new()];
        let client = Host::new("client");
        client.connect(&segments[0], "eth0", "10.1.0.10/24");
        let balancer = Host::new("balancer");
        balancer.connect(&segments[0], "eth0", "10.1.0.1/24");
        balancer.connect(&segments[1], "eth1", "10.2.0.1/24");
        balancer.sysctl("net.ipv4.ip_forward", "1");
        let servers = [1, 2, 3].map(|number| {
            let host = Host::new(&format!("server{number}"));
            host.connect(&segments[1], "eth0", &format!("10.2.0.1{number}/24"));
            host.default_route("10.2.0.1");
            let listener = host.run(|| TcpListener::bind("0.0.0.0:7")).expect("a listener");
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    thread::spawn(move || repeat(number, stream));
                }
            });
            host
        });
        Self { client, balancer, _servers: servers, _segments: segments }
    }

    fn connect(&self) -> Connection {
        let stream = self.client.run(|| TcpStream::connect_timeout(&"10.1.0.1:7".parse().unwrap(), LIMIT));
        let stream = stream.expect("a connection through the balancer");
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let mut connection = Connection { reader: BufReader::new(stream), server: 0 };
        connection.server = connection.read().trim().parse().expect("the server's number");
        connection
    }

    /// Runs an applier on the balancer while `act` lasts; the last desire is then applied, and the applier ends.
    fn with_applier<T>(
        &self,
        desired: Table,
        options: ApplierOptions,
        act: impl FnOnce(Applier) -> T,
    ) -> (T, ApplierStatus) {
        let (desired, watched) = watch::channel(desired);
        let (status, reports) = watch::channel(ApplierStatus::default());
        let last = reports.clone();
        let result = thread::scope(|scope| {
            scope.spawn(|| {
                self.balancer.run(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                    runtime.unwrap().block_on(async {
                        let dataplane = IpvsDataplane::new(Client::open().unwrap());
                        keep_applied(dataplane, watched, options, status).await;
                    });
                });
            });
            act(Applier { desired, reports })
        });
        let status = last.borrow().clone();
        (result, status)
    }

    /// The table in ipvsadm's words, in any order.
    fn saved(&self) -> BTreeSet<String> {
        let saved = peers::ipvsadm(&self.balancer, "-Sn").expect("ipvsadm saves the table");
        saved.lines().map(|line| line.trim().to_owned()).collect()
    }

    fn ipvsadm(&self, arguments: &str) -> String {
        peers::ipvsadm(&self.balancer, arguments).expect("ipvsadm does it")
    }
}

fn repeat(number: i32, mut stream: TcpStream) {
    let _ = writeln!(stream, "{number}");
    let Ok(other) = stream.try_clone() else { return };
    for line in BufReader::new(other).lines().map_while(Result::ok) {
        if writeln!(stream, "{line}").is_err() {
            return;
        }
    }
}

/// An open connection through the balancer.
struct Connection {
    reader: BufReader<TcpStream>,
    server: u8,
}

impl Connection {
    fn read(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("an answer on the open connection");
        line
    }

    #[track_caller]
    fn goes_on(&mut self, when: &str) {
        writeln!(self.reader.get_mut(), "{when}").expect("the connection is open");
        assert_eq!(self.read().trim(), when);
    }
}

/// A running applier.
struct Applier {
    desired: watch::Sender<Table>,
    reports: watch::Receiver<ApplierStatus>,
}

impl Applier {
    #[track_caller]
    fn want(&self, table: Table) {
        let passes = self.reports.borrow().passes;
        self.desired.send_replace(table);
        self.reaches("a table as desired", |status| status.passes > passes && status.in_sync);
    }

    #[track_caller]
    fn reaches(&self, what: &str, condition: impl Fn(&ApplierStatus) -> bool) -> ApplierStatus {
        poll_until(LIMIT, what, || {
            let status = self.reports.borrow().clone();
            if condition(&status) { Ok(status) } else { Err(format!("{status:?}")) }
        })
    }
}

fn service() -> ServiceKey {
    ServiceKey::address(Protocol::Tcp, "10.1.0.1:7".parse().unwrap())
}

fn server(number: u8) -> ServerKey {
    ServerKey::new(([10, 2, 0, 10 + number], 7).into())
}

/// The service with these servers and weights.
fn echo(scheduler: &str, servers: &[(u8, u32)]) -> Table {
    let mut entry =
        ServiceTable::new(VirtualService::new(service()).with_scheduler(scheduler.parse().unwrap()));
    for (number, weight) in servers {
        entry.insert(RealServer::new(server(*number)).with_weight(Weight::new(*weight).unwrap()));
    }
    Table::from_iter([entry])
}

fn drained(table: &Table, number: u8, within: Duration) -> Table {
    let mut table = table.clone();
    table.service_mut(&service()).unwrap().drain(server(number), within);
    table
}

/// Services at other addresses, so that the table is as large as somebody's real one.
fn many(services: u16, servers: u8) -> Table {
    (0..services)
        .map(|number| {
            let [high, low] = number.to_be_bytes();
            let key = ServiceKey::address(Protocol::Tcp, ([10, 100 + high, low, 1], 80).into());
            let mut entry = ServiceTable::new(VirtualService::new(key));
            for last in 1..=servers {
                let server = RealServer::new(ServerKey::new(([10, 200, 0, last], 80).into()));
                entry.insert(server.with_forwarding(Forwarding::DirectRoute));
            }
            entry
        })
        .collect()
}

#[test]
fn an_open_connection_goes_on_while_weight_scheduler_and_other_servers_change_and_the_applier_restarts() {
    let net = Network::new();
    let (mut connection, _) = net.with_applier(echo("rr", &[(1, 1)]), ApplierOptions::default(), |applier| {
        applier.reaches("the first table", |status| status.in_sync);
        let mut connection = net.connect();
        assert_eq!(connection.server, 1);
        connection.goes_on("at the start");
        let steps: [(&str, &[(u8, u32)]); 6] = [
            ("rr", &[(1, 5), (2, 1)]),
            ("wlc", &[(1, 5), (2, 1)]),
            ("sh", &[(1, 5), (3, 1)]),
            ("wrr", &[(1, 1), (2, 7), (3, 7)]),
            ("wrr", &[(1, 0), (2, 7)]),
            ("wlc", &[(1, 0), (2, 1)]),
        ];
        for (scheduler, servers) in steps {
            applier.want(echo(scheduler, servers));
            assert!(net.saved().contains(&format!("-A -t 10.1.0.1:7 -s {scheduler}")), "{:?}", net.saved());
            assert_eq!(net.saved().len(), 1 + servers.len());
            connection.goes_on(&format!("after {scheduler} {servers:?}"));
        }
        assert_eq!(net.connect().server, 2, "a server without weight gets no new connections");
        connection
    });
    connection.goes_on("without an applier");
    let desired = echo("wlc", &[(1, 0), (2, 1)]);
    let (mut connection, status) = net.with_applier(desired, ApplierOptions::default(), |applier| {
        applier.reaches("the table is adopted", |status| status.in_sync);
        connection.goes_on("with the next applier");
        connection
    });
    assert_eq!(status.edits, 0, "what is as desired is not touched");
    connection.goes_on("at the end");
}

#[test]
fn a_server_drains_while_its_connection_is_open_and_leaves_when_it_ends_or_its_time_is_up() {
    let net = Network::new();
    let both = echo("rr", &[(1, 1), (2, 1)]);
    let options = ApplierOptions::default();
    net.with_applier(both.clone(), options, |applier| {
        applier.reaches("the first table", |status| status.in_sync);
        let mut connection = net.connect();
        let (leaving, other) = (connection.server, 3 - connection.server);
        let progress = |status: &ApplierStatus| status.drains.get(&(service(), server(leaving))).copied();
        applier.want(drained(&both, leaving, Duration::from_secs(600)));
        let line = format!("-a -t 10.1.0.1:7 -r 10.2.0.1{leaving}:7 -m -w 0");
        assert!(net.saved().contains(&line), "{:?}", net.saved());
        applier.reaches("the connection is counted", |status| {
            progress(status) == Some(DrainProgress::Waiting(Some(1)))
        });
        for _ in 0..3 {
            assert_eq!(net.connect().server, other, "no new connections");
        }
        connection.goes_on("while its server drains");
        holds_for(Duration::from_secs(3), "the server stays while the connection is open", || {
            net.saved().contains(&line)
        });
        connection.goes_on("some seconds later");

        drop(connection);
        applier.reaches("the server has drained", |status| progress(status) == Some(DrainProgress::Idle));
        poll_until(LIMIT, "the server has left", || {
            let saved = net.saved();
            let left = !saved.iter().any(|line| line.contains(&format!("10.2.0.1{leaving}:7")));
            if left { Ok(()) } else { Err(format!("{saved:?}")) }
        });

        // The other one, with a connection that does not end in time.
        applier.want(both.clone());
        let mut connection = poll_until(LIMIT, "a connection to the other server", || {
            Some(net.connect()).filter(|connection| connection.server == other)
        });
        connection.goes_on("before the other drains");
        let begin = Instant::now();
        applier.want(drained(&both, other, Duration::from_secs(4)));
        let status = applier.reaches("its time is up", |status| {
            matches!(status.drains.get(&(service(), server(other))), Some(DrainProgress::Expired(_)))
        });
        assert_eq!(status.drains[&(service(), server(other))], DrainProgress::Expired(Some(1)));
        assert!(begin.elapsed() >= Duration::from_secs(4));
    });
}

#[test]
fn what_somebody_else_does_to_table_timeouts_and_daemons_is_put_back_within_the_bounds() {
    let net = Network::new();
    let daemon = SyncDaemon::new(SyncRole::Master, "eth1").unwrap().with_sync_id(7);
    let timeouts = Timeouts { tcp: Duration::from_secs(100), ..Timeouts::UNCHANGED };
    let desired = many(200, 4).with_timeouts(timeouts).with_daemons([daemon]);
    net.with_applier(desired, ApplierOptions::default(), |applier| {
        applier.reaches("the first table", |status| status.in_sync);
        let saved = net.saved();
        assert_eq!(saved.len(), 200 * 5);
        let running = net.ipvsadm("-L --daemon");
        assert!(running.starts_with("master sync daemon (mcast=eth1, syncid=7,"), "{running}");
        assert_eq!(net.ipvsadm("-L --timeout").trim(), "Timeout (tcp tcpfin udp): 100 120 300");
        assert_eq!(applier.reports.borrow().repairs, 0);

        net.ipvsadm("-C");
        let begin = Instant::now();
        let status = applier.reaches("the flushed table is back", |status| status.repairs >= 1000);
        println!("a flushed table of 200 services was back after {:?}", begin.elapsed());
        assert_eq!(
            (status.incidents, status.repaired.services_added, status.repaired.servers_added),
            (1, 200, 800)
        );
        assert_eq!(net.saved(), saved);

        net.ipvsadm("--stop-daemon master");
        net.ipvsadm("--start-daemon backup --mcast-interface eth0");
        net.ipvsadm("--set 0 0 33");
        let begin = Instant::now();
        applier.reaches("the daemons are as desired", |status| status.repaired.settings >= 2);
        println!("the sync daemon was back after {:?}", begin.elapsed());
        assert_eq!(net.ipvsadm("-L --daemon"), running);
        // Nothing was desired of this one.
        assert_eq!(net.ipvsadm("-L --timeout").trim(), "Timeout (tcp tcpfin udp): 100 120 33");
        net.ipvsadm("--set 200 0 0");
        applier.reaches("the timeout is as desired", |status| status.repaired.settings >= 3);
        assert_eq!(net.ipvsadm("-L --timeout").trim(), "Timeout (tcp tcpfin udp): 100 120 33");

        net.ipvsadm("-e -t 10.100.199.1:80 -r 10.200.0.4:80 -g -w 9");
        let begin = Instant::now();
        applier.reaches("the weight is as desired", |status| status.repaired.servers_edited >= 1);
        println!("a changed weight was back after {:?}", begin.elapsed());
        assert_eq!(net.saved(), saved);
    });
}

#[test]
fn a_refused_edit_does_not_hold_up_the_rest_and_two_that_exclude_each_other_are_named() {
    let net = Network::new();
    let mut desired = echo("rr", &[(1, 1)]);
    let strange = ServiceKey::address(Protocol::Tcp, "10.1.0.1:8".parse().unwrap());
    let unknown = VirtualService::new(strange).with_scheduler("nonesuch".parse().unwrap());
    let mut entry = ServiceTable::new(unknown.clone());
    entry.insert(RealServer::new(server(1)));
    desired.insert(entry);
    net.with_applier(desired, ApplierOptions::default(), |applier| {
        let status = applier.reaches("the service is refused", |status| status.refused == 1);
        let error = status.error.unwrap();
        assert!(error.starts_with("add service tcp 10.1.0.1:8: ") && error.contains("scheduler"), "{error}");
        assert!(net.saved().contains("-a -t 10.1.0.1:7 -r 10.2.0.11:7 -m -w 1"));
        assert_eq!(net.connect().server, 1);
        applier.want(echo("rr", &[(1, 1)]));

        let key = ServiceKey::address(Protocol::Tcp, "[2001:db8::1]:80".parse().unwrap());
        let mut mixed = ServiceTable::new(VirtualService::new(key));
        let tunnel = Forwarding::Tunnel(lvs_core::Tunnel::Ipip);
        mixed.insert(RealServer::new(server(1)).with_forwarding(tunnel));
        let daemon = SyncDaemon::new(SyncRole::Master, "eth1").unwrap();
        let both = Table::from_iter([mixed]).with_daemons([daemon]);
        applier.desired.send_replace(both.clone());
        let status = applier.reaches("the daemon is refused", |status| status.refused == 1);
        let error = status.error.unwrap();
        assert!(error.starts_with("start sync daemon master on eth1"), "{error}");
        assert!(error.contains("excludes servers of another address family"), "{error}");
        applier.want(Table::default().with_daemons(both.daemons().unwrap().cloned()));
    });
}
