//! What lvsd writes when signals ask for it, beside what keepalived writes, read by the rules of those who read it.

mod exporter;
#[path = "../vrrp_lies/forge.rs"]
mod forge;

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::time::Duration;

use lvs_tests::{Host, Mac, Process, Segment, Sender, peers, poll_until};
use serde_json::Value;

use crate::forge::{Message, Packet};

const LIMIT: Duration = Duration::from_secs(40);

/// What lvsd says when it is ready.
const RUNS: &str = concat!("lvsd ", env!("CARGO_PKG_VERSION"), " runs");

/// A daemon on a host of its own, and the directory where it puts its files.
struct Daemon {
    process: Process,
    host: Host,
    directory: PathBuf,
}

impl Daemon {
    fn keepalived(host: Host, config: &str) -> Self {
        let mut command = host.command("keepalived");
        command.args(["--dont-fork", "--log-console", "--log-detail"]);
        for (option, file) in [("--pid", "pid"), ("--vrrp_pid", "vrrp"), ("--checkers_pid", "checkers")] {
            command.arg(option).arg(host.directory().join(file));
        }
        Self::start(host, command, config, "Startup complete")
    }

    fn lvsd(host: Host, config: &str) -> Self {
        let mut command = host.command(&peers::lvsd_program().to_string_lossy());
        command.args(["-n", "-l", "-D", "-p"]).arg(host.directory().join("pid"));
        Self::start(host, command, config, RUNS)
    }

    fn start(host: Host, mut command: std::process::Command, config: &str, ready: &str) -> Self {
        let directory = host.directory().join("dumps");
        fs::create_dir_all(&directory).expect("a directory");
        let file = host.write_file("daemon.conf", config);
        // Both write there instead of /tmp, which all hosts share.
        let process = host.spawn(command.args(["--use-file", &file]).env("TMPDIR", &directory));
        // Before that a signal would end it, or be lost.
        process.wait_for_log(ready, LIMIT);
        Self { process, host, directory }
    }

    fn file(&self, end: &str) -> PathBuf {
        self.directory.join(format!("keepalived.{end}"))
    }

    /// Sends the signal that lvsd gives this name.
    fn signal(&self, name: &str) {
        let program = peers::lvsd_program();
        let number = self.host.output(self.host.command(&program.to_string_lossy()).args(["--signum", name]));
        let number = number.expect("lvsd knows the name");
        self.host.sh(&format!("kill -{} {}", number.trim(), self.process.id())).expect("it runs");
    }

    /// What it writes after the signal.
    fn ask(&self, name: &str, end: &str) -> String {
        let file = self.file(end);
        let seen = || fs::metadata(&file).map(|file| (file.ino(), file.mtime_nsec(), file.len())).ok();
        let before = seen();
        self.signal(name);
        poll_until(LIMIT, &format!("{} is written", file.display()), || {
            let text = fs::read_to_string(&file).unwrap_or_default();
            // keepalived's may be seen half written.
            let is_whole = text.ends_with(if end == "json" { "]\n" } else { "\n" }) || text.ends_with(']');
            if seen() != before && is_whole { Ok(text) } else { Err(self.process.log()) }
        })
    }

    fn wait_for_state(&self, state: &str) {
        poll_until(LIMIT, &format!("everything is {state}"), || {
            let instances = exporter::data(&self.ask("DATA", "data"));
            let is_so = !instances.is_empty() && instances.values().all(|instance| instance.state == state);
            if is_so { Ok(()) } else { Err(format!("{instances:?}\n{}", self.process.log())) }
        });
    }
}

fn host(name: &str, segment: &Segment, address: &str) -> Host {
    let host = Host::new(name);
    host.connect(segment, "eth0", &format!("{address}/24"));
    host
}

const PASSWORD: &[u8; 8] = b"secret-1";

fn backup() -> String {
    "vrrp_instance VI_1 {\n state BACKUP\n interface eth0\n virtual_router_id 51\n priority 100\n \
     down_timer_adverts 100\n authentication {\n auth_type PASS\n auth_pass secret-1\n }\n \
     virtual_ipaddress {\n 10.9.0.100/24\n }\n}\n"
        .to_owned()
}

/// An advert that is accepted if nothing is changed.
fn advert(change: impl FnOnce(&mut Packet, &mut Message)) -> Vec<u8> {
    let mut packet = Packet {
        source_mac: Mac([2, 0, 0, 0, 0, 0x66]),
        destination_mac: Mac([0x01, 0, 0x5e, 0, 0, 0x12]),
        source: Ipv4Addr::new(10, 9, 0, 3),
        destination: Ipv4Addr::new(224, 0, 0, 18),
        ttl: 255,
        protocol: 112,
        fragment: 0,
        length_error: 0,
        intact: true,
    };
    let mut message = Message {
        version: 2,
        kind: 1,
        vrid: 51,
        priority: 200,
        count: None,
        timing: [1, 1],
        addresses: vec![Ipv4Addr::new(10, 9, 0, 100)],
        trailer: PASSWORD.to_vec(),
    };
    change(&mut packet, &mut message);
    packet.frame(&message.octets(&packet))
}

#[test]
fn counters_of_the_same_packets_are_those_of_keepalived() {
    let segment = Segment::new();
    let theirs = Daemon::keepalived(host("theirs", &segment, "10.9.0.1"), &backup());
    let ours = Daemon::lvsd(host("ours", &segment, "10.9.0.2"), &backup());
    let others = host("others", &segment, "10.9.0.3");
    let sender = Sender::new(&others, "eth0");
    for daemon in [&theirs, &ours] {
        daemon.wait_for_state("BACKUP");
    }
    let frames = [
        (4, advert(|_, _| {})),
        (3, advert(|packet, _| packet.ttl = 254)),
        (2, advert(|_, message| message.kind = 2)),
        (5, advert(|_, message| message.trailer = b"secret-2".to_vec())),
        (6, advert(|_, message| message.timing[0] = 0)),
        (7, advert(|_, message| message.timing[1] = 2)),
        (8, advert(|_, message| message.count = Some(9))),
    ];
    for (times, frame) in &frames {
        (0..*times).for_each(|_| sender.send(frame));
    }
    let counters = |daemon: &Daemon| {
        poll_until(LIMIT, "all is counted", || {
            // The last of all is counted after all others.
            sender.send(&advert(|_, _| {}));
            let mut stats = exporter::stats(&daemon.ask("STATS", "stats"));
            assert_eq!(stats.len(), 1);
            let mut stats = stats.remove("VI_1").expect("the instance");
            // Those of the polling are of no interest.
            let received = stats.insert("Advertisements/Received".to_owned(), 0);
            if received > Some(4) { Ok(stats) } else { Err(format!("{received:?}")) }
        })
    };
    let (mut theirs, ours) = (counters(&theirs), counters(&ours));
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    // keepalived counts another interval in version 3 only; RFC 2787 (`vrrpStatsAdvertiseIntervalErrors`) in version 2.
    let theirs_of_intervals = theirs.insert("Packet Errors/Advertisement Interval".to_owned(), 7);
    assert_eq!(theirs_of_intervals, Some(0));
    assert_eq!(ours, theirs);
}

/// Instances of both versions, with all that the files tell of.
const MANY: &str = "global_defs {\n script_user root\n}\n\
    vrrp_script good {\n script \"/bin/true\"\n interval 1\n weight 10\n}\n\
    vrrp_sync_group G {\n group {\n VI_2\n }\n}\n\
    vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 51\n priority 150\n garp_master_delay 7\n \
    authentication {\n auth_type PASS\n auth_pass secret-1\n }\n \
    virtual_ipaddress {\n 10.9.0.100/24\n 10.9.0.101 dev eth0\n }\n \
    virtual_ipaddress_excluded {\n 10.9.0.102/24\n }\n track_script {\n good\n }\n \
    track_interface {\n eth0 weight 3\n }\n notify_master \"/bin/true a\"\n}\n\
    vrrp_instance VI_2 {\n state MASTER\n interface eth0\n virtual_router_id 52\n priority 120\n version 3\n \
    advert_int 0.5\n nopreempt\n virtual_ipaddress {\n 10.9.0.103/24\n }\n}\n\
    vrrp_instance VI_3 {\n interface eth0\n virtual_router_id 53\n priority 254\n virtual_ipaddress {\n \
    10.9.0.104/24\n }\n}\n";

/// One of each, alone with its peers, so that both are master of all.
fn masters() -> ([Daemon; 2], [Segment; 2]) {
    let segments = [Segment::new(), Segment::new()];
    let [theirs, ours] = &segments;
    let daemons = [
        Daemon::keepalived(host("theirs", theirs, "10.9.0.1"), MANY),
        Daemon::lvsd(host("ours", ours, "10.9.0.1"), MANY),
    ];
    for daemon in &daemons {
        daemon.wait_for_state("MASTER");
        poll_until(LIMIT, "the scripts have ended once", || {
            let text = daemon.ask("DATA", "data");
            if text.contains("Effective priority = 160") { Ok(()) } else { Err(text) }
        });
    }
    (daemons, segments)
}

#[test]
fn exporters_find_in_our_data_what_they_find_in_keepalived_s() {
    let ([theirs, ours], _segments) = masters();
    let [their_text, our_text] = [&theirs, &ours].map(|daemon| daemon.ask("DATA", "data"));
    let instances = exporter::data(&our_text);
    assert_eq!(instances, exporter::data(&their_text));
    assert_eq!(instances.len(), 3);
    let vip = |address: &str| (address.to_owned(), "eth0".to_owned());
    assert_eq!(instances["VI_1"].vips, [vip("10.9.0.100/24"), vip("10.9.0.101")]);
    assert_eq!((&*instances["VI_1"].garp_delay, &*instances["VI_2"].vrid), ("7", "52"));
    // A script may run just now.
    let status = |text: &str| {
        let scripts = exporter::scripts(text);
        assert!(scripts.values().all(|(_, state)| matches!(&**state, "idle" | "running")), "{scripts:?}");
        scripts.into_iter().map(|(name, (status, _))| (name, status)).collect::<Vec<_>>()
    };
    // In user namespaces keepalived's scripts always succeed.
    assert_eq!(status(&our_text), status(&their_text));
    assert_eq!(status(&our_text), [("good".to_owned(), "GOOD".to_owned())]);
    // The other exporter finds more in ours: keepalived 2.2.7 has a line that ends its blocks.
    let brief = exporter::brief(&our_text);
    let expected = [("VI_1", "51"), ("VI_2", "52"), ("VI_3", "53")];
    assert_eq!(brief.len(), expected.len());
    for ((name, state, interface, vrid, since), expected) in brief.into_iter().zip(expected) {
        assert_eq!(((&*name, &*vrid), &*state, &*interface), (expected, "MASTER", "eth0"));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
        let age = now.as_secs_f64() - since;
        assert!((0.0..300.0).contains(&age), "{age} s ago");
    }
    // What others look for by a line's start.
    for text in [&our_text, &their_text] {
        let after = text.split("------< VRRP Topology >------\n").nth(1).expect("the heading");
        let states = after.lines().take(6).filter(|line| line.contains("State")).collect::<Vec<_>>();
        assert_eq!(states, ["   State = MASTER"], "{after}");
        assert!(text.contains(" VRRP Sync Group = G, MASTER\n"), "{text}");
    }
    // Passwords are in keepalived's.
    assert!(!our_text.contains("secret-1") && our_text.contains("Password = ********"), "{our_text}");
}

#[test]
fn json_has_all_of_keepalived_s_names_with_the_same_values() {
    let ([theirs, ours], _segments) = masters();
    let parse = |daemon: &Daemon| -> Vec<Value> {
        serde_json::from_str(&daemon.ask("JSON", "json")).expect("an array")
    };
    let (theirs, ours) = (parse(&theirs), parse(&ours));
    assert_eq!(ours.len(), 3);
    assert_eq!(theirs.len(), 3);
    for (their, our) in theirs.iter().zip(&ours) {
        for part in ["data", "stats"] {
            let [their, our] = [their, our].map(|instance| instance[part].as_object().expect("an object"));
            let names = |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<BTreeSet<_>>();
            assert_eq!(names(our), names(their));
            for (name, value) in their {
                match &**name {
                    // Moments, and how many adverts until then.
                    "last_transition" | "advert_sent" => assert!(our[name].is_number()),
                    "auth_data" => assert_eq!(our[name], "********"),
                    // Programs are told by their places; keepalived's are without symbolic links.
                    "track_script" | "script_master" => {
                        assert_eq!(our[name].to_string().replace("/bin", "/usr/bin"), value.to_string());
                    }
                    _ => assert_eq!(&our[name], value, "{name}"),
                }
            }
        }
        assert_eq!(our["lvsd"]["status"]["role"], "MASTER");
    }
    assert_eq!(ours[0]["lvsd"]["explanation"], "160 = 150 base + 10 script good");
}

#[test]
fn counters_begin_again_after_stats_clear_and_files_are_for_their_owner() {
    let segment = Segment::new();
    let ours = Daemon::lvsd(host("ours", &segment, "10.9.0.2"), MANY);
    ours.wait_for_state("MASTER");
    let became = |text: &str| exporter::stats(text)["VI_1"]["/Became master"];
    assert_eq!(became(&ours.ask("STATS", "stats")), 1);
    assert_eq!(became(&ours.ask("STATS_CLEAR", "stats")), 1);
    assert_eq!(became(&ours.ask("STATS", "stats")), 0);
    let _ = ours.ask("JSON", "json");
    for end in ["data", "stats", "json"] {
        let mode = fs::metadata(ours.file(end)).expect("it was written").permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{end}");
    }
    // Signals in one heap are no more files.
    for _ in 0..50 {
        ours.signal("STATS");
    }
    let names = || -> BTreeSet<String> {
        let entries = fs::read_dir(&ours.directory).expect("the directory");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    };
    let expected = ["data", "stats", "json"].map(|end| format!("keepalived.{end}"));
    poll_until(LIMIT, "only the files are left", || names() == BTreeSet::from(expected.clone()));
    assert!(ours.process.terminate().success(), "{}", ours.process.log());
}

#[test]
fn places_and_the_version_of_json_are_those_of_the_configuration() {
    let segment = Segment::new();
    let host = host("ours", &segment, "10.9.0.2");
    let place = host.directory().join("elsewhere");
    fs::create_dir(&place).expect("a directory");
    let defs = format!(
        "global_defs {{\n script_user root\n stats_dump_file {0}/figures\n json_dump_file {0}/\n json_version 2\n}}",
        place.display()
    );
    let config = MANY.replacen("global_defs {\n script_user root\n}", &defs, 1);
    let ours = Daemon::lvsd(host, &config);
    ours.wait_for_state("MASTER");
    let read = |signal: &str, name: &str| {
        ours.signal(signal);
        let file = place.join(name);
        poll_until(LIMIT, "the file is there", || fs::read_to_string(&file).map_err(|_| ours.process.log()))
    };
    assert_eq!(exporter::stats(&read("STATS", "figures")).len(), 3);
    let json: Value = serde_json::from_str(&read("JSON", "keepalived.json")).expect("JSON");
    assert_eq!(json["vrrp"][2]["data"]["iname"], "VI_3");
}

#[test]
fn a_symbolic_link_is_an_error_in_the_log_and_what_it_names_stays() {
    // CVE-2018-19044.
    let segment = Segment::new();
    let ours = Daemon::lvsd(host("ours", &segment, "10.9.0.2"), MANY);
    ours.wait_for_state("MASTER");
    let precious = ours.host.directory().join("precious");
    fs::write(&precious, "root").expect("a file");
    symlink(&precious, ours.file("stats")).expect("a link");
    ours.signal("STATS");
    ours.process.wait_for_log("a dump is not written", LIMIT);
    ours.process
        .wait_for_log("keepalived.stats: is a symbolic link, no regular file, and is left as it is", LIMIT);
    assert_eq!(fs::read_to_string(&precious).expect("it is there"), "root");
    // Once it is gone all is well.
    fs::remove_file(ours.file("stats")).expect("the link");
    assert_eq!(exporter::stats(&ours.ask("STATS", "stats")).len(), 3);
}

#[test]
fn a_full_disk_is_a_line_in_the_log_and_the_last_file_stays() {
    // Reliability, fault 17.
    let segment = Segment::new();
    let host = host("ours", &segment, "10.9.0.2");
    let directory = host.directory().join("small");
    fs::create_dir(&directory).expect("a directory");
    let file = host.write_file("daemon.conf", MANY);
    // A file system of two pages, seen by this daemon alone; one page is taken, the other for the first file.
    let script = format!(
        "mount -t tmpfs -o size=8k small {0} && head -c 4096 /dev/zero > {0}/taken && \
         TMPDIR={0} exec {1} -n -l -D -p {2} -f {file}",
        directory.display(),
        peers::lvsd_program().display(),
        host.directory().join("pid").display(),
    );
    let process = host.spawn(host.command("unshare").args(["--mount", "sh", "-c", &script]));
    let seen = PathBuf::from(format!("/proc/{}/root{}", process.id(), directory.display()));
    process.wait_for_log(RUNS, LIMIT);
    let signal = || host.sh(&format!("kill -USR2 {}", process.id())).expect("it runs");
    let stats = || fs::read_to_string(seen.join("keepalived.stats"));
    signal();
    let first = poll_until(LIMIT, "the first is written", || stats().map_err(|error| error.to_string()));
    let place = || fs::metadata(seen.join("keepalived.stats")).map(|file| file.ino());
    let first_place = place().expect("it was read");
    signal();
    process.wait_for_log("keepalived.stats: cannot write it: No space left on device", LIMIT);
    assert_eq!(stats().expect("it is there still"), first);
    assert_eq!(fs::read_dir(&seen).expect("the directory").count(), 2, "nothing half written is left");
    assert!(process.is_running());
    fs::remove_file(seen.join("taken")).expect("it was there");
    signal();
    poll_until(LIMIT, "another one is written", || place().is_ok_and(|place| place != first_place));
}

#[test]
fn signals_have_the_numbers_that_keepalived_gives_them() {
    let host = Host::new("numbers");
    let number =
        |program: &str, name: &str| host.output(host.command(program).arg(format!("--signum={name}")));
    let lvsd = peers::lvsd_program();
    let lvsd = lvsd.to_string_lossy();
    for name in ["STOP", "RELOAD", "DATA", "STATS", "STATS_CLEAR", "JSON"] {
        assert_eq!(number(&lvsd, name), number("keepalived", name), "{name}");
    }
    // Debian's knows it no more than we do.
    assert!(number(&lvsd, "TDATA").is_err() && number("keepalived", "TDATA").is_err());
}
