//! The test hosts themselves: what they promise to every other test.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use lvs_tests::peers::FrrRouter;
use lvs_tests::{Capture, Frame, Host, Segment, Signal, holds_for, http, peers, poll_until};

const LIMIT: Duration = Duration::from_secs(20);
/// How long to look for what must not come.
const SHORT: Duration = Duration::from_millis(300);

fn pair() -> (Segment, Host, Host) {
    let segment = Segment::new();
    let [one, two] = ["one", "two"].map(Host::new);
    one.connect(&segment, "eth0", "10.5.0.133/21");
    two.connect(&segment, "eth0", "10.5.0.195/21");
    (segment, one, two)
}

/// Whether a process exists and is not a zombie.
fn is_alive(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

#[test]
fn hosts_on_a_segment_exchange_icmp_and_tcp() {
    let (_segment, one, two) = pair();
    one.ping("10.5.0.195", LIMIT).expect("two answers");
    let listener = two.run(|| TcpListener::bind("10.5.0.195:7")).expect("bind");
    let answer = std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, client) = listener.accept().expect("accept");
            assert_eq!(client.ip().to_string(), "10.5.0.133");
            stream.write_all(b"hello").expect("write");
        });
        one.run(|| {
            let mut text = String::new();
            let mut stream = TcpStream::connect("10.5.0.195:7").expect("connect");
            stream.read_to_string(&mut text).expect("read");
            text
        })
    });
    assert_eq!(answer, "hello");
}

#[test]
fn ipv6_works_at_once_and_routes_lead_through_a_router() {
    let [left, router, right] = ["left", "router", "right"].map(Host::new);
    left.link("eth0", &router, "eth0");
    right.link("eth0", &router, "eth1");
    for (host, device, four, six) in [
        (&left, "eth0", "192.168.1.11/24", "fd00:1::11/64"),
        (&router, "eth0", "192.168.1.12/24", "fd00:1::12/64"),
        (&router, "eth1", "192.168.2.12/24", "fd00:2::12/64"),
        (&right, "eth0", "192.168.2.13/24", "fd00:2::13/64"),
    ] {
        host.add_address(device, four);
        host.add_address(device, six);
    }
    for (host, four, six) in [(&left, "192.168.1.12", "fd00:1::12"), (&right, "192.168.2.12", "fd00:2::12")] {
        host.default_route(four);
        host.default_route(six);
    }
    router.sysctl("net.ipv6.conf.all.forwarding", "1");
    left.ping("fd00:2::13", LIMIT).expect("IPv6 through the router");
    left.ping("192.168.2.13", SHORT).expect_err("IPv4 is not forwarded yet");
    router.sysctl("net.ipv4.ip_forward", "1");
    assert_eq!(router.read_sysctl("net.ipv4.ip_forward"), "1");
    left.ping("192.168.2.13", LIMIT).expect("IPv4 through the router");
}

#[test]
fn addresses_are_read_with_their_lifetime_and_prefix() {
    let (_segment, one, _two) = pair();
    one.sh("ip addr add 10.5.0.100/32 dev eth0 valid_lft 100 preferred_lft 100").expect("add an address");
    let addresses = one.addresses("eth0");
    let own =
        addresses.iter().find(|address| address.network.to_string() == "10.5.0.133/21").expect("its own");
    assert!(own.permanent && own.valid_seconds.is_none() && own.scope == 0, "{own:?}");
    let leased =
        addresses.iter().find(|address| address.network.to_string() == "10.5.0.100/32").expect("the other");
    assert!(
        !leased.permanent && leased.valid_seconds.is_some_and(|seconds| (90..=100).contains(&seconds)),
        "{leased:?}"
    );
    assert!(one.has_address("eth0", "10.5.0.100"));
    one.delete_address("eth0", "10.5.0.100");
    assert!(!one.has_address("eth0", "10.5.0.100"));
}

#[test]
fn unplugged_host_loses_its_carrier_and_gets_it_back() {
    let (_segment, one, two) = pair();
    let carrier = || one.sh("ip -o link show dev eth0").map(|line| line.contains("LOWER_UP"));
    poll_until(LIMIT, "carrier", || carrier().expect("ip"));
    one.unplug("eth0");
    poll_until(LIMIT, "no carrier", || !carrier().expect("ip"));
    two.ping("10.5.0.133", SHORT).expect_err("the cable is out");
    one.plug("eth0");
    two.ping("10.5.0.133", LIMIT).expect("one answers again");
    one.link_down("eth0");
    two.ping("10.5.0.133", SHORT).expect_err("the interface is down");
    one.link_up("eth0");
    two.ping("10.5.0.133", LIMIT).expect("one answers again");
    one.delete_link("eth0");
    one.sh("ip link show dev eth0").expect_err("the interface is gone");
}

#[test]
fn capture_sees_arp_both_ways_and_nothing_of_other_hosts() {
    let (segment, one, two) = pair();
    let three = Host::new("three");
    three.connect(&segment, "eth0", "10.5.0.36/21");
    let arp = Capture::start(&two, "eth0", |frame| frame.arp().is_some());
    let icmp_at_three = Capture::start(&three, "eth0", |frame| frame.ip().is_some_and(|ip| ip.protocol == 1));
    one.ping("10.5.0.195", LIMIT).expect("two answers");
    let question = arp.wait_for("one asks for two", LIMIT, |frame| {
        frame.arp().is_some_and(|arp| arp.operation == 1 && arp.target.to_string() == "10.5.0.195")
    });
    assert!(!question.outgoing);
    assert_eq!(question.source_mac(), Some(one.mac("eth0")));
    assert_eq!(question.destination_mac().map(|mac| mac.0), Some([0xff; 6]));
    let answer =
        arp.wait_for("two answers", LIMIT, |frame| frame.arp().is_some_and(|arp| arp.operation == 2));
    assert!(answer.outgoing && answer.at >= question.at);
    assert_eq!(one.neighbour("10.5.0.195"), Some(two.mac("eth0")));
    assert_eq!(one.neighbour("10.5.0.1"), None);
    assert!(icmp_at_three.frames().is_empty(), "a switch does not flood unicast");
}

#[test]
fn process_and_its_children_are_killed_on_drop() {
    let host = Host::new("host");
    let process = host.spawn(host.command("sh").args(["-c", "sleep 1000 & echo child $!; wait"]));
    process.wait_for_log("child ", LIMIT);
    let child = process.log().trim().rsplit(' ').next().and_then(|id| id.parse().ok()).expect("a process id");
    let parent = process.id();
    assert!(is_alive(parent) && is_alive(child) && process.is_running());
    drop(process);
    assert!(!is_alive(parent) && !is_alive(child));
}

#[test]
fn terminate_lets_a_program_end_in_order_and_returns_its_status() {
    let host = Host::new("host");
    let script = "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.01; done";
    let process = host.spawn(host.command("sh").args(["-c", script]));
    process.wait_for_log("ready", LIMIT);
    assert_eq!(process.terminate().code(), Some(3));
    process.wait_for_log("bye", LIMIT);
}

#[test]
fn frozen_program_does_nothing_until_it_is_continued() {
    let host = Host::new("host");
    let process =
        host.spawn(host.command("sh").args(["-c", "(while :; do echo x; sleep 0.01; done) & wait"]));
    process.wait_for_log("x", LIMIT);
    process.signal_all(Signal::SIGSTOP);
    let mut before = process.log();
    let mut unchanged = 0;
    // What it had written before it stopped may still be on its way.
    poll_until(LIMIT, "the log stands still", || {
        let now = process.log();
        unchanged = if now == before { unchanged + 1 } else { 0 };
        before = now;
        unchanged == 20
    });
    holds_for(Duration::from_millis(200), "no output", || process.log() == before);
    process.signal_all(Signal::SIGCONT);
    poll_until(LIMIT, "output goes on", || process.log().len() > before.len());
}

#[test]
fn panic_inside_a_host_reaches_the_test_and_removes_everything() {
    let mut ids = (0, String::new());
    let caught = catch_unwind(AssertUnwindSafe(|| {
        let host = Host::new("host");
        let process = host.spawn(host.command("sleep").arg("1000"));
        ids = (process.id(), host.directory().to_string_lossy().into_owned());
        host.run(|| panic!("on purpose"));
    }));
    let panic = caught.expect_err("the panic comes through");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
    assert!(!is_alive(ids.0) && !Path::new(&ids.1).exists());
}

#[test]
fn nothing_survives_a_killed_test_process() {
    // This test starts itself again in a process that can be killed.
    const INNER: &str = "LVS_TESTS_INNER";
    if std::env::var_os(INNER).is_some() {
        let (_segment, one, _two) = pair();
        let process = one.spawn(one.command("sleep").arg("1000"));
        println!(
            "ids {} {}",
            process.id(),
            fs::read_link("/proc/self/ns/net").expect("a namespace").display()
        );
        poll_until(LIMIT * 10, "being killed", || false);
    }
    let test = std::env::current_exe().expect("this program");
    let mut inner = Command::new(test)
        .args(["--exact", "--nocapture", "nothing_survives_a_killed_test_process"])
        .env(INNER, "1")
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .expect("start this program again");
    let mut output = inner.stdout.take().expect("its output");
    let mut text = String::new();
    let sleeper: u32 = loop {
        let mut byte = [0];
        assert_eq!(output.read(&mut byte).expect("read"), 1, "it ended early: {text}");
        text.push(char::from(byte[0]));
        if let Some(id) =
            text.lines().find_map(|line| line.split("ids ").nth(1)?.split_once(' ')?.0.parse().ok())
        {
            break id;
        }
    };
    let network = fs::read_link(format!("/proc/{sleeper}/ns/net")).expect("the sleeper's namespace");
    assert_ne!(
        network,
        fs::read_link("/proc/self/ns/net").expect("ours"),
        "it runs in a namespace of its own"
    );
    inner.kill().expect("kill it");
    inner.wait().expect("reap it");
    poll_until(LIMIT, "the sleeper dies with its test", || !is_alive(sleeper));
}

#[test]
fn web_server_serves_what_the_test_writes() {
    let (_segment, one, two) = pair();
    let server = peers::nginx(&two, "server two");
    let get = |path: &str| http::get(&one, &format!("http://10.5.0.195{path}"), LIMIT).expect("an answer");
    assert_eq!((get("/").status, get("/").body), (200, "server two".to_owned()));
    assert_eq!(get("/healthchk.html").status, 404);
    server.write_page("/healthchk.html", "fine");
    assert_eq!((get("/healthchk.html").status, get("/healthchk.html").body), (200, "fine".to_owned()));
    server.remove_page("/healthchk.html");
    assert_eq!(get("/healthchk.html").status, 404);
    drop(server);
    let error = http::get(&one, "http://10.5.0.195/", LIMIT).expect_err("nobody listens any more");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn two_keepalived_elect_one_master_and_the_backup_takes_over() {
    let (_segment, one, two) = pair();
    let config = |priority: u8| {
        format!(
            "global_defs {{ enable_script_security }}\nvrrp_instance VI_1 {{ state BACKUP\n interface eth0\n \
             virtual_router_id 1\n priority {priority}\n advert_int 1\n virtual_ipaddress {{ 10.5.0.100 dev eth0 }} }}\n"
        )
    };
    let adverts = Capture::start(&two, "eth0", |frame| frame.ip().is_some_and(|ip| ip.protocol == 112));
    let first = peers::keepalived(&one, &config(200));
    let _second = peers::keepalived(&two, &config(100));
    poll_until(LIMIT, "one has the VIP alone", || {
        one.has_address("eth0", "10.5.0.100") && !two.has_address("eth0", "10.5.0.100")
    });
    let advert = adverts.wait_for("an advert arrives", LIMIT, |frame| !frame.outgoing);
    assert_eq!(
        advert.ip().map(|ip| (ip.ttl, ip.destination.to_string())),
        Some((255, "224.0.0.18".to_owned()))
    );
    assert!(first.terminate().success());
    poll_until(LIMIT, "two has the VIP alone", || {
        two.has_address("eth0", "10.5.0.100") && !one.has_address("eth0", "10.5.0.100")
    });
}

#[test]
fn frr_is_master_of_both_families_by_its_virtual_mac_addresses_and_resigns() {
    let (_segment, one, two) = pair();
    let adverts = Capture::start(&two, "eth0", |frame| frame.ip().is_some_and(|ip| ip.protocol == 112));
    let addresses =
        ["10.5.0.100", "fe80::5:100", "fd00::5:100"].map(|text| text.parse().expect("an address"));
    let router = FrrRouter {
        device: "eth0",
        vrid: 51,
        version: 3,
        priority: 200,
        centis: 20,
        preempt: true,
        addresses: &addresses,
    };
    let frr = peers::frr(&one, &router);
    let from = |mac: &'static str, priority: u8| {
        move |frame: &Frame| {
            frame.source_mac().is_some_and(|source| source.to_string() == mac)
                && frame.ip().is_some_and(|ip| ip.payload.get(2) == Some(&priority))
        }
    };
    for priority in [200, 0] {
        adverts.wait_for("IPv4", LIMIT, from("00:00:5e:00:01:33", priority));
        adverts.wait_for("IPv6", LIMIT, from("00:00:5e:00:02:33", priority));
        if priority != 0 {
            assert!(frr.terminate().success(), "{}", frr.log());
        }
    }
    // What is there already does not disturb the next one.
    adverts.clear();
    let again = peers::frr(&one, &router);
    adverts.wait_for("IPv4", LIMIT, from("00:00:5e:00:01:33", 200));
    assert!(again.vrrpd().is_running());
}

#[test]
fn failed_wait_says_what_was_awaited_and_what_was_seen() {
    let mut count = 0;
    let caught = catch_unwind(AssertUnwindSafe(|| {
        poll_until(Duration::from_millis(30), "the moon rises", || -> Result<(), String> {
            count += 1;
            Err(format!("look {count}"))
        });
    }));
    let panic = caught.expect_err("it never comes true");
    let text = panic.downcast_ref::<String>().expect("a text");
    assert!(text.contains("the moon rises") && text.contains(&format!("look {count}")), "{text}");
}
