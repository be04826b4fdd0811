//! The connection table of a real kernel, with Debian's ipvsadm as the other reader.
//!
//! ```text
//!  client                        balancer                           server
//!  10.9.0.5, 2001:db8::5 ─────── eth0 10.9.0.1, 2001:db8::1
//!                                eth1 10.9.1.1, 2001:db8:1::1 ───── 10.9.1.2, 2001:db8:1::2
//! ```

use std::collections::BTreeSet;
use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use lvs_ipvs::{Connection, ConnectionFile, ConnectionOrigin, ConnectionState, Connections, Options};
use lvs_tests::{Host, Segment, peers, poll_until, require_ipvs};
use socket2::{Domain, Protocol, Socket, Type};

const LIMIT: Duration = Duration::from_secs(30);

struct Network {
    client: Host,
    balancer: Host,
    server: Host,
    outside: Segment,
    /// What keeps connections open.
    open: Vec<Socket>,
}

impl Network {
    fn new(table: &str) -> Self {
        require_ipvs();
        let (outside, inside) = (Segment::new(), Segment::new());
        let [client, balancer, server] = ["client", "balancer", "server"].map(Host::new);
        for (host, segment, device, addresses) in [
            (&client, &outside, "eth0", ["10.9.0.5/24", "2001:db8::5/64"]),
            (&balancer, &outside, "eth0", ["10.9.0.1/24", "2001:db8::1/64"]),
            (&balancer, &inside, "eth1", ["10.9.1.1/24", "2001:db8:1::1/64"]),
            (&server, &inside, "eth0", ["10.9.1.2/24", "2001:db8:1::2/64"]),
        ] {
            host.connect(segment, device, addresses[0]);
            host.add_address(device, addresses[1]);
        }
        balancer.sysctl("net.ipv4.ip_forward", "1");
        balancer.sysctl("net.ipv6.conf.all.forwarding", "1");
        server.default_route("10.9.1.1");
        server.default_route("2001:db8:1::1");
        let file = balancer.write_file("table", table);
        balancer.sh(&format!("ipvsadm -R < {file}")).expect("the table");
        let marks = balancer.write_file("marks", MARKS);
        balancer.sh(&format!("nft -f {marks}")).expect("marks");
        Self { client, balancer, server, outside, open: Vec::new() }
    }

    /// Lets the server answer TCP at this address, for as long as the network is there.
    fn listen(&mut self, address: &str) {
        let listener = self.server.run(|| TcpListener::bind(address)).expect("a listener");
        self.open.push(listener.into());
    }

    /// A connection of the client, which stays open.
    fn connect(&mut self, address: &str) {
        let stream = self.client.run(|| TcpStream::connect_timeout(&socket(address), LIMIT));
        self.open.push(stream.expect("a connection through the balancer").into());
    }

    /// The beginning of a connection that nobody answers or refuses.
    fn knock(&mut self, protocol: Protocol, address: &str) {
        let begin = || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(protocol))?;
            socket.set_nonblocking(true)?;
            Ok::<_, std::io::Error>((socket.connect(&self::socket(address).into()), socket))
        };
        let (_in_progress, socket) = self.client.run(begin).expect("a socket");
        self.open.push(socket);
    }

    fn send(&mut self, address: &str, datagram: &str) {
        let own = if address.starts_with('[') { "[2001:db8::5]:0" } else { "10.9.0.5:0" };
        let socket = self.client.run(|| {
            let socket = UdpSocket::bind(own)?;
            socket.send_to(datagram.as_bytes(), address).map(|_| socket)
        });
        self.open.push(socket.expect("a datagram").into());
    }
}

/// All rows as they are read on the host.
fn rows(host: &Host, file: ConnectionFile) -> Vec<Connection> {
    let rows: Result<_, _> = host.run(|| Connections::open_with(file, &Options::default())?.collect());
    rows.expect("the connection table")
}

/// Shows the kernel's own words: what `captures/connections-6.1.txt` of lvs-ipvs is made of.
fn print(host: &Host, file: ConnectionFile) {
    let text = host.run(|| std::fs::read_to_string(file.path())).expect("the kernel's file");
    println!("# cat {} (on {})\n{text}", file.path(), host.name());
}

fn socket(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}

/// What `ipvsadm -Lnc` prints of a row but for the time: that goes on between the two readings.
fn in_ipvsadms_words(row: &Connection) -> (String, u64) {
    let mut words =
        format!("{} {} {} {} {}", row.protocol, row.state, row.client, row.virtual_address, row.destination);
    if let Some(data) = &row.persistence_data {
        words += &format!(" {} {}", data.engine, data.data.escape_ascii());
    }
    (words, row.expires.as_secs())
}

/// The rows that ipvsadm prints, and until when they live.
fn by_ipvsadm(host: &Host) -> BTreeSet<(String, u64)> {
    let text = peers::ipvsadm(host, "-Lnc --persistent-conn").expect("ipvsadm lists the connections");
    let rows = text.lines().skip(2).map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let (minutes, seconds) = words[1].split_once(':').expect("minutes and seconds");
        let expires =
            minutes.parse::<u64>().expect("minutes") * 60 + seconds.parse::<u64>().expect("seconds");
        (
            words
                .iter()
                .enumerate()
                .filter(|(at, _)| *at != 1)
                .map(|(_, word)| *word)
                .collect::<Vec<_>>()
                .join(" "),
            expires,
        )
    });
    rows.collect()
}

#[test]
fn ipvsadm_and_the_library_read_the_same_connections() {
    let mut network = Network::new(TABLE);
    for address in ["10.9.1.2:8080", "10.9.1.2:8000", "[2001:db8:1::2]:8081", "[2001:db8:1::2]:8000"] {
        network.listen(address);
    }
    // NAT; one of them is closed again, and one is refused.
    network.connect("10.9.0.1:80");
    network.connect("10.9.0.1:80");
    drop(network.open.pop());
    network.knock(Protocol::TCP, "10.9.0.1:82");
    // Persistence: two connections, one template.
    network.connect("10.9.0.1:81");
    network.connect("10.9.0.1:81");
    // Marks.
    network.connect("10.9.0.1:8000");
    network.connect("[2001:db8::1]:8000");
    network.connect("[2001:db8::1]:80");
    network.send("10.9.0.1:53", "a question");
    // A server of the other family, behind a tunnel.
    network.send("[2001:db8::1]:53", "a question");
    network.send("10.9.0.1:5060", SIP);
    network.knock(Protocol::from(SCTP), "10.9.0.1:9");

    for file in [ConnectionFile::PersistenceData, ConnectionFile::Origin] {
        print(&network.balancer, file);
    }
    poll_until(LIMIT, "both read the same", || {
        let ours: BTreeSet<_> =
            rows(&network.balancer, ConnectionFile::default()).iter().map(in_ipvsadms_words).collect();
        let theirs = by_ipvsadm(&network.balancer);
        let is_same = ours.len() == theirs.len()
            && ours.iter().zip(&theirs).all(|(our, their)| our.0 == their.0 && our.1.abs_diff(their.1) <= 2);
        if is_same && ours.len() >= 13 { Ok(()) } else { Err(format!("{ours:#?}\n{theirs:#?}")) }
    });

    let read = rows(&network.balancer, ConnectionFile::Origin);
    assert!(read.iter().all(|row| row.origin == Some(ConnectionOrigin::Local)), "{read:#?}");
    let marks: BTreeSet<_> = read.iter().filter_map(|row| Some(row.fwmark()?.get())).collect();
    assert_eq!(marks, BTreeSet::from([7, 2_147_483_647]));
    // Two marks, one TCP port, one call.
    assert_eq!(read.iter().filter(|row| row.is_template()).count(), 4, "{read:#?}");
}

#[test]
fn a_connection_that_a_sync_daemon_told_of_is_known_as_such() {
    let mut network = Network::new("-A -t 10.9.0.1:80 -s rr\n-a -t 10.9.0.1:80 -r 10.9.1.2:8080 -m\n");
    network.listen("10.9.1.2:8080");
    let backup = Host::new("backup");
    backup.connect(&network.outside, "eth0", "10.9.0.2/24");
    for (host, role) in [(&network.balancer, "master"), (&backup, "backup")] {
        // Every packet is told of.
        host.sysctl("net.ipv4.vs.sync_threshold", "0 1");
        let daemon = format!("--start-daemon {role} --mcast-interface eth0 --syncid 7");
        peers::ipvsadm(host, &daemon).expect("a sync daemon");
    }
    network.connect("10.9.0.1:80");
    let row = poll_until(LIMIT, "the backup knows of the connection", || {
        let rows = rows(&backup, ConnectionFile::Origin);
        rows.first().cloned().ok_or_else(|| "it knows of none".to_owned())
    });
    print(&backup, ConnectionFile::Origin);
    assert_eq!(row.origin, Some(ConnectionOrigin::Synced));
    let of_master = rows(&network.balancer, ConnectionFile::Origin);
    assert_eq!(of_master[0].origin, Some(ConnectionOrigin::Local));
    assert_eq!((row.client, row.destination), (of_master[0].client, of_master[0].destination));
}

#[test]
fn a_large_table_of_another_namespace_is_read_whole() {
    const FLOWS: u16 = 5_000;
    let network = Network::new("-A -f 9 -s rr\n-a -f 9 -r 10.9.1.2:0 -m\n");
    network.client.run(|| {
        let socket = UdpSocket::bind("10.9.0.5:0").expect("a socket");
        (1..=FLOWS).for_each(|port| {
            socket.send_to(b"a flow of its own", ("10.9.0.1", port)).expect("a datagram");
        });
    });
    let netns = network.balancer.run(|| File::open("/proc/thread-self/ns/net")).expect("the namespace");
    let options = Options::default().with_netns(netns.into());
    let read =
        || -> Result<Vec<_>, _> { Connections::open_with(ConnectionFile::default(), &options)?.collect() };
    let wanted: Vec<_> = (1..=FLOWS).collect();
    poll_until(LIMIT, "every flow is a row", || {
        let start = Instant::now();
        let rows = read().map_err(|error| error.to_string())?;
        println!("{} rows in {:?}", rows.len(), start.elapsed());
        let mut ports: Vec<_> = rows.iter().map(|row| row.virtual_address.port()).collect();
        ports.sort_unstable();
        assert!(rows.iter().all(|row| row.state == ConnectionState::Udp && row.destination.port() != 0));
        if ports == wanted { Ok(()) } else { Err(format!("{} rows", rows.len())) }
    });
}

/// Marks for what comes by TCP to port 8000, and for all UDP to ports that no service is at.
const MARKS: &str = "\
table inet marks {
    chain input {
        type filter hook prerouting priority mangle;
        meta nfproto ipv4 tcp dport 8000 meta mark set 7
        meta nfproto ipv6 tcp dport 8000 meta mark set 2147483647
        meta nfproto ipv4 meta l4proto udp meta mark set 9
    }
}
";

const TABLE: &str = "\
-A -t 10.9.0.1:80 -s rr
-a -t 10.9.0.1:80 -r 10.9.1.2:8080 -m
-A -t 10.9.0.1:81 -s rr -p 60
-a -t 10.9.0.1:81 -r 10.9.1.2:8080 -m
-A -t 10.9.0.1:82 -s rr
-a -t 10.9.0.1:82 -r 10.9.1.2:82 -m
-A -f 7 -s rr -p 60 -M 255.255.255.0
-a -f 7 -r 10.9.1.2:8080 -m
-A -f 2147483647 -6 -s rr -p 60 -M 64
-a -f 2147483647 -6 -r [2001:db8:1::2]:8081 -m
-A -t [2001:db8::1]:80 -s rr
-a -t [2001:db8::1]:80 -r [2001:db8:1::2]:8081 -m
-A -u 10.9.0.1:53 -s rr
-a -u 10.9.0.1:53 -r 10.9.1.2:53 -m
-A -u [2001:db8::1]:53 -s rr
-a -u [2001:db8::1]:53 -r 10.9.1.2:53 -i
-A -u 10.9.0.1:5060 -s rr -p 60 --pe sip -o
-a -u 10.9.0.1:5060 -r 10.9.1.2:5060 -m
-A --sctp-service 10.9.0.1:9 -s rr
-a --sctp-service 10.9.0.1:9 -r 10.9.1.2:9 -m
";

const SIP: &str = "OPTIONS sip:someone@10.9.0.1 SIP/2.0\r\n\
                   Via: SIP/2.0/UDP 10.9.0.5:5060;branch=z9hG4bK1\r\n\
                   From: <sip:me@10.9.0.5>;tag=1\r\n\
                   To: <sip:someone@10.9.0.1>\r\n\
                   Call-ID: 4711-a.b<c>@client.example\r\n\
                   CSeq: 1 OPTIONS\r\n\
                   Content-Length: 0\r\n\r\n";

const SCTP: i32 = 132;
