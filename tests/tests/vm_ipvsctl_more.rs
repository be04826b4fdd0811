//! What ipvsctl has beyond ipvsadm, on the real kernel, with Debian's ipvsadm as the reader.
//!
//! ```text
//!  client              balancer                    server
//!  10.9.0.5 ────────── eth0 10.9.0.1
//!                      eth1 10.9.1.1 ───────────── 10.9.1.2, 10.9.1.3
//! ```

mod by_library;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fs, thread};

use lvs_core::{Change, Protocol, RealServer, ServerKey, ServiceKey};
use lvs_tests::{Host, Process, Segment, peers, poll_until, require_ipvs};
use serde_json::{Value, json};

use by_library::{make_altered, on};

const LIMIT: Duration = Duration::from_secs(30);

/// A host without a network, for what needs only the table.
fn balancer(table: &str) -> Host {
    require_ipvs();
    let balancer = Host::new("balancer");
    load(&balancer, table);
    balancer
}

fn load(balancer: &Host, table: &str) {
    let file = balancer.write_file("table", table);
    balancer.sh(&format!("ipvsadm -R < {file}")).expect("ipvsadm takes the table");
}

/// What ipvsadm says of the whole table, in an order that does not depend on the kernel's.
fn read(balancer: &Host) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for arguments in ["-Sn", "-Ln --thresholds", "-L --timeout", "-L --daemon"] {
        let text = peers::ipvsadm(balancer, arguments).expect("ipvsadm");
        lines.extend(text.lines().map(|line| line.trim_end().to_owned()));
    }
    lines.sort();
    lines
}

/// What became of a command.
#[derive(Debug, PartialEq)]
struct Outcome {
    status: Option<i32>,
    output: String,
    errors: String,
}

fn program() -> String {
    peers::built_program("ipvsctl", "ipvsctl").to_string_lossy().into_owned()
}

fn ipvsctl(host: &Host, arguments: &str) -> Outcome {
    let mut command = host.command(&program());
    let output = command.args(arguments.split_whitespace()).output().expect("ipvsctl runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Outcome { status: output.status.code(), output: text(output.stdout), errors: text(output.stderr) }
}

fn done(output: &str) -> Outcome {
    Outcome { status: Some(0), output: output.to_owned(), errors: String::new() }
}

/// The output of a command that succeeded and complained of nothing.
#[track_caller]
fn output(host: &Host, arguments: &str) -> String {
    let outcome = ipvsctl(host, arguments);
    assert_eq!(outcome, done(&outcome.output), "{arguments}");
    outcome.output
}

fn json_of(host: &Host, arguments: &str) -> Value {
    serde_json::from_str(&output(host, arguments)).expect("JSON")
}

#[test]
fn a_table_with_everything_comes_back_from_its_json() {
    let balancer = balancer(EVERYTHING);
    for settings in ["--set 800 110 60", "--start-daemon backup --mcast-interface lo --syncid 51"] {
        peers::ipvsadm(&balancer, settings).expect("ipvsadm");
    }
    let before = read(&balancer);
    let json = output(&balancer, "-L --json");
    let file = balancer.write_file("table.json", &json);

    for command in ["-C", "--set 900 120 300", "--stop-daemon backup"] {
        peers::ipvsadm(&balancer, command).expect("ipvsadm");
    }
    assert_ne!(read(&balancer), before);
    let edits = EVERYTHING.lines().count() + 2;
    let outcome = ipvsctl(&balancer, &format!("apply {file}"));
    assert_eq!(outcome, done(&outcome.output));
    assert_eq!(outcome.output.lines().count(), edits, "{}", outcome.output);
    assert_eq!(read(&balancer), before);
    assert_eq!(ipvsctl(&balancer, &format!("apply {file}")), done(""));
    assert_eq!(output(&balancer, "-L --json"), json);

    // The library's own reader takes it too.
    let embedded = peers::built_program("embed", "json_table");
    let embedded = balancer.spawn(balancer.command(&embedded.to_string_lossy()).args(["--dry-run", &file]));
    embedded.wait_for_log(&format!("in sync after {edits} edits"), LIMIT);
}

#[test]
fn what_no_list_can_say_is_told_and_hides_nothing_else() {
    let balancer =
        balancer("-A -t 10.0.0.1:80 -s rr\n-A -t 10.0.0.2:80 -s rr\n-a -t 10.0.0.2:80 -r 10.0.1.2:80 -m\n");
    // IPVS_DEST_ATTR_FWD_METHOD: IP_VS_CONN_F_BYPASS instead of IP_VS_CONN_F_MASQ.
    let service = ServiceKey::address(Protocol::Tcp, ([10, 0, 0, 1], 80).into());
    let server = RealServer::new(ServerKey::new(([10, 0, 1, 9], 80).into()));
    let bypass = Change::AddServer(service, server);
    on(&balancer, async |_| make_altered(&bypass, [8, 0, 3, 0, 0, 0], [8, 0, 3, 0, 4, 0]).await)
        .expect("the kernel takes it");
    let reason =
        "service tcp 10.0.0.1:80: destination 10.0.1.9:80 bypasses the balancer, which no table can say";
    let told = |verb: &str| format!("ipvsctl: {verb}: {reason}\n");

    let list = ipvsctl(&balancer, "-Ln");
    assert_eq!((list.status, list.errors), (Some(0), told("not shown")));
    let shown = list.output.contains("TCP  10.0.0.2:80 rr") && list.output.contains("10.0.1.2:80");
    assert!(shown && !list.output.contains("10.0.1.9"), "{}", list.output);
    for list in ["-L --json", "-Ln -t 10.0.0.1:80"] {
        let list = ipvsctl(&balancer, list);
        assert_eq!((list.status, list.errors), (Some(0), told("not shown")));
    }

    // What would be lost at the next restore is no success.
    let saved = ipvsctl(&balancer, "-Sn");
    assert_eq!((saved.status, saved.output.lines().count()), (Some(1), 3));
    assert!(saved.errors.starts_with(told("not saved").trim_end()), "{}", saved.errors);
    let file = balancer.write_file("saved", "before");
    let saved = ipvsctl(&balancer, &format!("save {file}"));
    assert_eq!((saved.status, fs::read_to_string(&file).expect("the file")), (Some(2), "before".to_owned()));

    let file = balancer.write_file("wanted", "-A -t 10.0.0.1:80 -s rr\n");
    let applied = ipvsctl(&balancer, &format!("apply --foreign keep {file}"));
    assert_eq!((applied.status, applied.errors), (Some(0), told("the kernel has what no file can say")));
    assert_eq!(output(&balancer, "-Sn").lines().count(), 3);
}

#[test]
fn every_list_has_a_json_form() {
    let balancer = balancer("-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.1.2:8080 -m -w 3\n-A -f 7\n");
    let all = json_of(&balancer, "-Ln --stats --json");
    assert_eq!(
        all["services"],
        json!([
            {"protocol": "tcp", "address": "10.0.0.1:80", "scheduler": "rr",
             "servers": [{"address": "10.0.1.2:8080", "weight": 3, "forwarding": "masquerade"}]},
            {"fwmark": 7, "family": "ipv4", "scheduler": "wlc", "servers": []},
        ])
    );
    assert_eq!(all["statistics"][0]["servers"][0]["address"], "10.0.1.2:8080");
    assert_eq!(all["statistics"][0]["servers"][0]["active_connections"], 0);
    assert_eq!(all["timeouts"], json!({"tcp": 900, "tcp_fin": 120, "udp": 300}));
    assert_eq!(all["sync_daemons"], json!([]));

    let one = json_of(&balancer, "-L -f 7 --json");
    assert_eq!(one["services"], json!([{"fwmark": 7, "family": "ipv4", "scheduler": "wlc", "servers": []}]));
    assert_eq!(one.get("timeouts"), None);
    assert_eq!(json_of(&balancer, "-L --timeout --json"), json!({"timeouts": all["timeouts"]}));
    assert_eq!(json_of(&balancer, "-L --daemon --json"), json!({"sync_daemons": []}));
    assert_eq!(json_of(&balancer, "-L -c --json"), json!({"connections": []}));

    // Under ipvsadm's name there is no such thing.
    let link = balancer.directory().join("ipvsadm");
    std::os::unix::fs::symlink(program(), &link).expect("a link");
    for arguments in ["-L --json", "diff x", "save x"] {
        let mut command = balancer.command(&link.to_string_lossy());
        let outcome = command.args(arguments.split(' ')).output().expect("the link runs");
        assert_eq!(outcome.status.code(), Some(255), "{arguments}");
    }
}

#[test]
fn apply_makes_the_fewest_edits_and_a_dry_run_none() {
    let balancer = balancer(EVERYTHING);
    let file = balancer.directory().join("wanted");
    let file = file.to_string_lossy();
    // ipvsadm's own list has no thresholds; ipvsctl's has.
    fs::write(&*file, output(&balancer, "-S -n")).expect("the file");
    assert_eq!(ipvsctl(&balancer, &format!("diff {file}")), done(""));
    let wanted = read(&balancer);

    for command in [
        "-e -t 10.0.0.1:80 -r 10.0.1.2:8080 -m -w 9",
        "-d -t 10.0.0.1:80 -r 10.0.1.3:8080",
        "-a -t 10.0.0.1:80 -r 10.0.1.9:8080 -m",
        "-E -u 10.0.0.1:53 -s rr",
        "-D -f 7",
        "-A -t 10.99.0.1:80 -s rr",
        "-a -t 10.99.0.1:80 -r 10.0.1.2:80 -m",
        "--set 0 0 77",
    ] {
        peers::ipvsadm(&balancer, command).expect("ipvsadm");
    }
    let drifted = read(&balancer);
    let edits = "\
add destination 10.0.1.3:8080 to tcp 10.0.0.1:80: forwarding masquerade, weight 2, upper threshold 200, lower threshold 100
add service fwmark 7: scheduler mh, flags mh-fallback,mh-port
add destination 10.0.1.2:0 to fwmark 7: forwarding direct route, weight 0
edit service udp 10.0.0.1:53: scheduler from rr to wlc, one-packet from none to on
edit destination 10.0.1.2:8080 of tcp 10.0.0.1:80: weight from 9 to 1
remove destination 10.0.1.9:8080 from tcp 10.0.0.1:80
remove service tcp 10.99.0.1:80 with 1 destination
";
    let different = Outcome { status: Some(1), output: edits.to_owned(), errors: String::new() };
    assert_eq!(ipvsctl(&balancer, &format!("diff {file}")), different);
    assert_eq!(ipvsctl(&balancer, &format!("apply --dry-run {file}")), done(edits));
    assert_eq!(read(&balancer), drifted);
    let json: Value =
        serde_json::from_str(&ipvsctl(&balancer, &format!("diff --json {file}")).output).expect("JSON");
    assert_eq!(json["edits"].as_array().map(Vec::len), Some(edits.lines().count()));

    // The service that the file does not name may stay.
    let kept = edits.lines().count() - 1;
    let outcome = ipvsctl(&balancer, &format!("diff --foreign keep {file}"));
    assert_eq!(outcome.output.lines().count(), kept, "{}", outcome.output);
    let outcome = ipvsctl(&balancer, &format!("apply --foreign keep {file}"));
    assert_eq!((outcome.status, outcome.output.lines().count()), (Some(0), kept), "{outcome:?}");
    assert_eq!(ipvsctl(&balancer, &format!("diff --foreign keep {file}")), done(""));
    assert_eq!(
        ipvsctl(&balancer, &format!("apply {file}")),
        done("remove service tcp 10.99.0.1:80 with 1 destination\n")
    );
    // Such lines say nothing of the timeouts.
    peers::ipvsadm(&balancer, "--set 900 120 300").expect("ipvsadm");
    assert_eq!(read(&balancer), wanted);

    // ipvsadm's own file lacks the thresholds alone.
    let theirs = balancer.write_file("theirs", &peers::ipvsadm(&balancer, "-Sn").expect("ipvsadm"));
    let outcome = ipvsctl(&balancer, &format!("diff {theirs}"));
    assert_eq!(
        outcome.output,
        "edit destination 10.0.1.3:8080 of tcp 10.0.0.1:80: upper threshold from 200 to none, \
         lower threshold from 100 to none\n"
    );
}

#[test]
fn a_file_that_is_wrong_or_empty_changes_nothing() {
    let balancer = balancer(EVERYTHING);
    let before = read(&balancer);
    for (text, said) in [
        ("-A -t 10.0.0.1:80\n-a -t 10.0.0.1:81 -r 10.0.1.2:80 -m\n", "line 2: add destination 10.0.1.2:80"),
        ("-A -t 10.0.0.1:80 -s\n", "line 1: -s: an argument is missing"),
        (
            "{\"services\": [\n{\"fwmark\": 0}]}",
            "line 2: column 12: invalid value: integer `0`, expected a firewall mark",
        ),
        ("\u{0}", "line 1: "),
        ("", "it names no service, so all that are there would be removed"),
        ("# nothing\n", "it names no service, so all that are there would be removed"),
        ("{\"services\": []}", "it names no service, so all that are there would be removed"),
    ] {
        let file = balancer.write_file("wrong", text);
        for verb in ["apply", "restore", "apply --dry-run"] {
            let outcome = ipvsctl(&balancer, &format!("{verb} {file}"));
            let fault = format!("ipvsctl: {file}: {said}");
            assert!(outcome.errors.starts_with(&fault), "{text:?} {verb}: {outcome:?}");
            assert!(outcome.errors.ends_with("; nothing was changed\n"), "{text:?} {verb}: {outcome:?}");
            assert_eq!((outcome.status, outcome.output.as_str()), (Some(2), ""), "{text:?} {verb}");
        }
    }
    let outcome = ipvsctl(&balancer, "apply /nowhere");
    assert_eq!(outcome.status, Some(2));
    assert_eq!(
        outcome.errors,
        "ipvsctl: /nowhere: No such file or directory (os error 2); nothing was changed\n"
    );
    assert_eq!(ipvsctl(&balancer, "diff /nowhere").status, Some(2));
    assert_eq!(read(&balancer), before);

    // An edit that the kernel refuses is told, and the others are made.
    let file = balancer.write_file("half", "-A -t 10.0.0.1:80 -s nosuch\n-A -t 10.0.0.2:80 -s rr\n");
    let outcome = ipvsctl(&balancer, &format!("apply {file}"));
    assert_eq!(outcome.status, Some(1), "{outcome:?}");
    assert!(outcome.errors.starts_with("ipvsctl: edit service tcp 10.0.0.1:80: "), "{outcome:?}");
    assert_eq!(outcome.errors.lines().count(), 1, "{outcome:?}");
    let left = peers::ipvsadm(&balancer, "-Sn").expect("ipvsadm");
    assert_eq!(left.lines().filter(|line| line.starts_with("-A")).count(), 2, "{left}");

    let empty = balancer.write_file("empty", "");
    assert_eq!(ipvsctl(&balancer, &format!("apply --foreign keep {empty}")), done(""));
    let outcome = ipvsctl(&balancer, &format!("apply --allow-empty {empty}"));
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    assert_eq!(peers::ipvsadm(&balancer, "-Sn").expect("ipvsadm"), "");
    // Where nothing is there nothing is lost.
    assert_eq!(
        ipvsctl(&balancer, &format!("restore {empty}")),
        done(&format!("{empty}: 0 edits, 0 of them failed\n"))
    );
}

#[test]
fn a_saved_table_is_restored_and_a_full_disk_costs_nothing() {
    let balancer = balancer(EVERYTHING);
    let before = read(&balancer);
    let disk = balancer.directory().join("disk");
    fs::create_dir(&disk).expect("a directory");
    let disk = disk.to_string_lossy();
    balancer.sh(&format!("mount -t tmpfs -o size=16k none {disk}")).expect("a small disk");
    let file = format!("{disk}/rules");
    let servers = EVERYTHING.lines().filter(|line| line.starts_with("-a")).count();
    let services = EVERYTHING.lines().count() - servers;
    assert_eq!(
        ipvsctl(&balancer, &format!("save {file}")),
        done(&format!("{file}: saved ({services} services, {servers} servers)\n"))
    );
    let saved = fs::read_to_string(&file).expect("the file");
    assert_eq!(fs::metadata(&file).expect("the file").permissions().mode() & 0o777, 0o640);
    let outcome = ipvsctl(&balancer, &format!("save {file}"));
    assert!(outcome.output.contains("nothing to save"), "{outcome:?}");

    // Restored by ipvsctl, and by ipvsadm but for the thresholds, which it reads as well.
    let edits = EVERYTHING.lines().count();
    let restored = done(&format!("{file}: {edits} edits, 0 of them failed\n"));
    peers::ipvsadm(&balancer, "-C").expect("ipvsadm");
    assert_eq!(ipvsctl(&balancer, &format!("restore {file}")), restored);
    assert_eq!(read(&balancer), before);
    peers::ipvsadm(&balancer, "-C").expect("ipvsadm");
    balancer.sh(&format!("ipvsadm -R < {file}")).expect("ipvsadm takes it");
    assert_eq!(read(&balancer), before);

    // A larger table does not fit.
    let many: Vec<_> = (1..1000).map(|mark| format!("-A -f {mark} -s rr\n")).collect();
    peers::ipvsadm(&balancer, "-C").expect("ipvsadm");
    load(&balancer, &many.concat());
    let outcome = ipvsctl(&balancer, &format!("save {file}"));
    assert_eq!(outcome.status, Some(2), "{outcome:?}");
    assert_eq!(
        outcome.errors,
        format!("ipvsctl: write {file}.new: No space left on device (os error 28); {file} is as it was\n")
    );
    let names: Vec<_> =
        fs::read_dir(&*disk).expect("the disk").map(|entry| entry.expect("a file").file_name()).collect();
    assert_eq!(names, ["rules"]);
    assert_eq!(fs::read_to_string(&file).expect("the file"), saved);

    // The next one that fits takes its place, and the old one stays beside it.
    peers::ipvsadm(&balancer, "-C").expect("ipvsadm");
    load(&balancer, "-A -f 1 -s rr\n");
    assert_eq!(ipvsctl(&balancer, &format!("save {file}")).status, Some(0));
    assert_eq!(fs::read_to_string(&file).expect("the file"), "-A -f 1 -s rr\n");
    assert_eq!(fs::read_to_string(format!("{file}.old")).expect("the old one"), saved);
    balancer.sh(&format!("umount {disk}")).expect("umount");
}

struct Network {
    client: Host,
    balancer: Host,
    /// It answers at each of its addresses with what it hears.
    server: Host,
    _segments: [Segment; 2],
}

impl Network {
    fn new(table: &str) -> Self {
        require_ipvs();
        let (outside, inside) = (Segment::new(), Segment::new());
        let [client, balancer, server] = ["client", "balancer", "server"].map(Host::new);
        client.connect(&outside, "eth0", "10.9.0.5/24");
        balancer.connect(&outside, "eth0", "10.9.0.1/24");
        balancer.connect(&inside, "eth1", "10.9.1.1/24");
        server.connect(&inside, "eth0", "10.9.1.2/24");
        server.add_address("eth0", "10.9.1.3/24");
        balancer.sysctl("net.ipv4.ip_forward", "1");
        server.default_route("10.9.1.1");
        for address in ["10.9.1.2:80", "10.9.1.3:80"] {
            let listener = server.run(|| TcpListener::bind(address)).expect("a listener");
            thread::spawn(move || listener.incoming().flatten().for_each(echo));
        }
        load(&balancer, table);
        Self { client, balancer, server, _segments: [outside, inside] }
    }

    fn connect(&self) -> TcpStream {
        let address: SocketAddr = "10.9.0.1:80".parse().expect("an address");
        let stream = self.client.run(|| TcpStream::connect_timeout(&address, LIMIT));
        let stream = stream.expect("a connection through the balancer");
        stream.set_read_timeout(Some(LIMIT)).expect("a time limit");
        stream
    }

    fn spawn(&self, arguments: &str) -> Process {
        self.balancer.spawn(self.balancer.command(&program()).args(arguments.split(' ')))
    }

    /// What `-L --json` says of active connections of the server.
    fn active(&self, server: &str) -> Option<u64> {
        let all = json_of(&self.balancer, "-L -t 10.9.0.1:80 --json");
        let servers = all["statistics"][0]["servers"].as_array().cloned().unwrap_or_default();
        servers.iter().find(|entry| entry["address"] == server)?["active_connections"].as_u64()
    }
}

/// Sends back what it reads, until the other side has ended.
fn echo(mut stream: TcpStream) {
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..length]).is_err() {
                return;
            }
        }
    });
}

fn talk(stream: &mut TcpStream) {
    stream.write_all(b"are you there").expect("a question");
    let mut answer = [0; 13];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"are you there");
}

const BALANCED: &str = "-A -t 10.9.0.1:80 -s rr\n-a -t 10.9.0.1:80 -r 10.9.1.2:80 -m -w 1\n";

#[test]
fn an_open_connection_survives_an_apply() {
    let network = Network::new(BALANCED);
    let mut stream = network.connect();
    talk(&mut stream);
    let rows = json_of(&network.balancer, "-L -c --json");
    let row = &rows["connections"][0];
    assert_eq!((&row["protocol"], &row["virtual"]), (&json!("tcp"), &json!("10.9.0.1:80")));
    assert_eq!((&row["server"], &row["state"]), (&json!("10.9.1.2:80"), &json!("ESTABLISHED")));

    let wanted = "-A -t 10.9.0.1:80 -s wlc -p 60\n-a -t 10.9.0.1:80 -r 10.9.1.2:80 -m -w 0\n\
                  -a -t 10.9.0.1:80 -r 10.9.1.3:80 -m -w 5\n";
    let file = network.balancer.write_file("wanted", wanted);
    let outcome = ipvsctl(&network.balancer, &format!("apply {file}"));
    assert_eq!((outcome.status, outcome.output.lines().count()), (Some(0), 3), "{outcome:?}");
    assert!(outcome.output.starts_with("add destination 10.9.1.3:80"), "{outcome:?}");
    talk(&mut stream);
    assert_eq!(network.active("10.9.1.2:80"), Some(1));
    talk(&mut network.connect());
    assert_eq!(network.active("10.9.1.2:80"), Some(1));
}

#[test]
fn a_drained_server_leaves_when_its_last_connection_has_ended() {
    let network = Network::new(BALANCED);
    let mut stream = network.connect();
    talk(&mut stream);
    load(&network.balancer, "-a -t 10.9.0.1:80 -r 10.9.1.3:80 -m -w 1\n");
    let drain = network.spawn("drain -t 10.9.0.1:80 -r 10.9.1.2");
    drain.wait_for_log("1 connection active", LIMIT);
    let mut others: Vec<_> = (0..3).map(|_| network.connect()).collect();
    others.iter_mut().for_each(talk);
    talk(&mut stream);
    assert_eq!(network.active("10.9.1.2:80"), Some(1));
    assert!(drain.is_running());

    drop(stream);
    assert_eq!(drain.wait(LIMIT).code(), Some(0));
    drain.wait_for_log("destination 10.9.1.2:80 of tcp 10.9.0.1:80: removed, no connection is left", LIMIT);
    let left = peers::ipvsadm(&network.balancer, "-Sn").expect("ipvsadm");
    let servers: Vec<_> = left.lines().filter(|line| line.starts_with("-a")).map(str::trim).collect();
    assert_eq!(servers, ["-a -t 10.9.0.1:80 -r 10.9.1.3:80 -m -w 1"]);

    // Somebody changes their mind: it stays.
    let drain = network.spawn("drain -t 10.9.0.1:80 -r 10.9.1.3:80");
    drain.wait_for_log("3 connections active", LIMIT);
    peers::ipvsadm(&network.balancer, "-e -t 10.9.0.1:80 -r 10.9.1.3:80 -m -w 7").expect("ipvsadm");
    assert_eq!(drain.wait(LIMIT).code(), Some(1));
    drain.wait_for_log("somebody gave it weight 7; it stays", LIMIT);
    assert_eq!(network.active("10.9.1.3:80"), Some(3));

    // The deadline ends it in any case.
    let outcome = ipvsctl(&network.balancer, "drain -t 10.9.0.1:80 -r 10.9.1.3:80 --deadline 1");
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    assert!(outcome.output.ends_with("removed, its time is up, with 3 connections active\n"), "{outcome:?}");
    assert_eq!(network.active("10.9.1.3:80"), None);
    let outcome = ipvsctl(&network.balancer, "drain -t 10.9.0.1:80 -r 10.9.1.3:80");
    assert_eq!(outcome.status, Some(2));
    assert!(
        outcome.errors.contains("drain destination 10.9.1.3:80 of tcp 10.9.0.1:80: it is not there"),
        "{outcome:?}"
    );
}

#[test]
fn a_drained_server_of_udp_leaves_when_the_kernel_has_forgotten_its_flows() {
    let network = Network::new("-A -u 10.9.0.1:53 -s rr\n-a -u 10.9.0.1:53 -r 10.9.1.2:53 -m -w 1\n");
    peers::ipvsadm(&network.balancer, "--set 0 0 10").expect("ipvsadm");
    let _listens = network.server.run(|| UdpSocket::bind("10.9.1.2:53")).expect("a socket");
    let flow = network.client.run(|| UdpSocket::bind("0.0.0.0:0")).expect("a socket");
    flow.send_to(b"question", "10.9.0.1:53").expect("it leaves");
    let drain = network.spawn("drain -u 10.9.0.1:53 -r 10.9.1.2");
    drain.wait_for_log("1 connection active", LIMIT);
    assert_eq!(drain.wait(LIMIT).code(), Some(0));
    drain.wait_for_log("removed, no connection is left", LIMIT);
}

#[test]
fn watch_shows_the_rates_of_real_traffic() {
    let network = Network::new(BALANCED);
    let watch = network.spawn("watch --interval 0.5 -t 10.9.0.1:80");
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                talk(&mut network.connect());
            }
        });
        let seen = || {
            let log = watch.log();
            let lines = log.lines().map(|line| line.split(' ').collect::<Vec<_>>());
            let number = |words: &[&str], column: usize| words[column].parse::<f64>().unwrap_or(0.0);
            let mut lines = lines.filter(|words| words.len() == 12 && words[1..3] == ["tcp", "10.9.0.1:80"]);
            // Connections, and packets and bytes both ways.
            lines.any(|words| words[3] == "10.9.1.2:80" && (7..12).all(|column| number(&words, column) > 0.0))
        };
        poll_until(LIMIT, "a line of watch shows all rates", seen);
        ended.store(true, Ordering::Relaxed);
    });
    // The rates end with the traffic.
    let quiet = || watch.log().lines().last().is_some_and(|line| line.ends_with(" 0.0 0.0 0.0 0.0 0.0"));
    poll_until(LIMIT, "the last line shows none", quiet);

    // What comes and goes is shown as it is.
    peers::ipvsadm(&network.balancer, "-D -t 10.9.0.1:80").expect("ipvsadm");
    let silent = ipvsctl(&network.balancer, "watch --count 1");
    assert_eq!(silent.output.lines().count(), 1, "{silent:?}");
    assert!(watch.is_running());
}

#[test]
fn a_terminal_is_drawn_on_and_left_as_it_was() {
    let balancer = balancer("-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.1.2:80 -m -w 5\n");
    let program = program();
    // util-linux's script gives a program a terminal.
    let in_terminal = |keys: &str, watch: &str| {
        let script = format!("trap : INT; stty rows 5 cols 40; stty -g; {watch}; echo; stty -g");
        let mut command = balancer.command("script");
        command.args(["-qec", &script, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("script runs");
        let mut input = child.stdin.take().expect("its input");
        let mut shown = child.stdout.take().expect("its output");
        let mut output = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = shown.read(&mut buffer) {
            let before = output.len();
            output.extend_from_slice(&buffer[..length]);
            // Somebody presses a key when there is something to see.
            let is_there = |output: &[u8]| output.windows(ENTER.len()).any(|bytes| bytes == ENTER.as_bytes());
            if is_there(&output) && !is_there(&output[..before]) {
                input.write_all(keys.as_bytes()).expect("keys");
            }
        }
        child.wait().expect("script ends");
        let output = String::from_utf8(output).expect("text");
        let lines: Vec<_> = output.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        let (first, last) = (lines[0].to_owned(), lines[lines.len() - 1].to_owned());
        assert_eq!(first, last, "the terminal is as it was\n{output:?}");
        assert!(first.contains(':'), "{output:?}");
        output
    };
    for (keys, watch) in [
        ("", format!("{program} watch --interval 0.2 --count 3")),
        ("q", format!("{program} watch --interval 3600")),
        ("\x03", format!("{program} watch --interval 3600")),
        ("", format!("timeout -s TERM 3 {program} watch --interval 3600")),
    ] {
        let output = in_terminal(keys, &watch);
        let (_, shown) = output.split_once(ENTER).expect("another screen");
        let (shown, _) = shown.split_once("\x1b[?25h\x1b[?1049l").expect("the screen from before");
        let drawing = shown.rsplit("\x1b[H").next().unwrap_or_default();
        let lines = drawing
            .split('\n')
            .map(|line| line.trim_end_matches('\r').trim_end_matches("\x1b[J").trim_end_matches("\x1b[K"));
        let lines: Vec<_> = lines.collect();
        let status = lines[0].strip_prefix("IPVS: 1 services, 1 servers; every ");
        assert!(status.is_some_and(|status| status.len() == 5), "{output:?}");
        assert_eq!(
            lines[1..],
            [
                "",
                "service, servers           weight   acti",
                "tcp 10.0.0.1:80                         ",
                "  -> 10.0.1.2:80                5       ",
            ],
            "{output:?}"
        );
    }
}

/// Begins another screen, without a cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";

/// Every protocol, forwarding method, flag and setting of a service or server that ipvsadm's list can say.
const EVERYTHING: &str = "\
-A -t 10.0.0.1:80 -s wrr -p 300 -M 255.255.255.0
-a -t 10.0.0.1:80 -r 10.0.1.2:8080 -m -w 1
-a -t 10.0.0.1:80 -r 10.0.1.3:8080 -m -w 2 -x 200 -y 100
-A -t [2001:db8::1]:80 -s sh -b sh-fallback,sh-port
-a -t [2001:db8::1]:80 -r [2001:db8:1::2]:80 -g -w 2147483647
-A -u 10.0.0.1:53 -s wlc -o
-a -u 10.0.0.1:53 -r 10.0.1.2:53 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum
-a -u 10.0.0.1:53 -r 10.0.1.3:53 -i -w 1 --tun-type gre --tun-csum
-a -u 10.0.0.1:53 -r 10.0.1.4:53 -i -w 1
-A -u 10.0.0.1:5060 -s rr -p 60 --pe sip
-A --sctp-service 10.0.0.1:3868 -s lc -p 60
-a --sctp-service 10.0.0.1:3868 -r 10.0.1.2:3868 -m -w 3
-A -f 7 -s mh -b mh-fallback,mh-port
-a -f 7 -r 10.0.1.2 -g -w 0
-A -f 8 -6 -s wlc -p 60 -M 64
-a -f 8 -6 -r [2001:db8:1::2]:0 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum
";
