//! Notify FIFOs: what lvsd writes through a history, line by line, is what keepalived writes; and what becomes of the
//! files and their readers.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Read as _;
use std::net::Ipv4Addr;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::time::Duration;

use lvs_tests::{Host, Process, Segment, Sender, holds_for, peers, poll_until};
use lvs_vrrp::{Advert, Advertised, Endpoints, Interval, Priority, Vrid};

const LIMIT: Duration = Duration::from_secs(40);
const VIPS: [(&str, u8); 3] = [("S", 51), ("A", 52), ("B", 53)];

/// A daemon under test or its peer.
type Start = fn(&Host, &str) -> Process;

fn lvsd(host: &Host, config: &str) -> Process {
    peers::lvsd(host, config, &[])
}

fn keepalived(host: &Host, config: &str) -> Process {
    peers::keepalived(host, config)
}

/// A host with a daemon, and another one that sends adverts by hand.
struct Stage {
    host: Host,
    other: Host,
    _segment: Segment,
}

impl Stage {
    fn new() -> Self {
        let segment = Segment::new();
        let [host, other] = ["10.9.0.1", "10.9.0.2"].map(|address| {
            let host = Host::new(address);
            host.connect(&segment, "eth0", &format!("{address}/24"));
            host
        });
        Self { host, other, _segment: segment }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.host.directory().join(name)
    }

    /// A program that appends what it reads from the FIFO to `said`, and goes on after SIGTERM.
    fn reader(&self) -> String {
        let said = self.file("said");
        let script = format!(
            "#!/bin/sh\ntrap '' TERM\necho \"$#: $1\" >> {0}\nwhile read -r line; do echo \"$line\" >> {0}; done < $2\n",
            said.display()
        );
        let path = self.host.write_file("reader.sh", &script);
        self.host.sh(&format!("chmod +x {path}")).expect("chmod works");
        path
    }

    fn said(&self) -> Vec<String> {
        let text = fs::read_to_string(self.file("said")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// One instance with a script, and a group of two. The first result comes after the start, whatever the load is.
    fn config(&self, global: &str) -> String {
        let instance = |(name, number): (&str, u8)| {
            let track = if name == "S" { " track_script {\n chk\n }\n" } else { "" };
            format!(
                "vrrp_instance {name} {{\n interface eth0\n virtual_router_id {number}\n priority 100\n \
                 virtual_ipaddress {{\n 10.9.0.{number}/24\n }}\n{track}}}\n"
            )
        };
        let instances: String = VIPS.into_iter().map(instance).collect();
        format!(
            "global_defs {{\n script_user root\n{global}}}\nvrrp_script chk {{\n script \"/bin/sh -c 'sleep 0.3; test -e {}'\"\n \
             interval 1\n weight 20\n}}\nvrrp_sync_group G {{\n group {{\n A\n B\n }}\n}}\n{instances}",
            self.file("up").display()
        )
    }

    /// Sends an advert of instance S.
    fn advertise(&self, priority: u8) {
        let (source, group) = (Ipv4Addr::new(10, 9, 0, 2), Ipv4Addr::new(224, 0, 0, 18));
        let (vrid, vips) = (Vrid::new(51).expect("in range"), [Ipv4Addr::new(10, 9, 0, 51)]);
        let advertised = Advertised::Running(Priority::new(priority).expect("in range"));
        let second = Interval::seconds(1).expect("in range");
        let advert = Advert::new(vrid, advertised, second, &vips).expect("one address fits");
        let mut payload = Vec::new();
        advert.write_to(&Endpoints::v4(source, group), &mut payload);
        let length = u16::try_from(20 + payload.len()).expect("a short packet").to_be_bytes();
        let mut header =
            [0x45, 0xc0, length[0], length[1], 0, 0, 0, 0, 255, 112, 0, 0, 10, 9, 0, 2, 224, 0, 0, 18];
        let words = header.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
        let sum: u32 = words.sum();
        let folded = u16::try_from((sum & 0xffff) + (sum >> 16)).expect("a few small words");
        header[10..12].copy_from_slice(&(!folded).to_be_bytes());
        let ethernet = [1, 0, 0x5e, 0, 0, 18, 2, 0, 0, 0, 0, 2, 8, 0];
        Sender::new(&self.other, "eth0").send(&[&ethernet[..], &header, &payload].concat());
    }
}

/// What a test reads from a FIFO.
struct Fifo {
    file: File,
    text: String,
}

impl Fifo {
    fn open(path: &PathBuf) -> Self {
        let is_there = || fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo());
        poll_until(LIMIT, "the FIFO is made", is_there);
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
        Self { file: file.expect("a FIFO can be opened"), text: String::new() }
    }

    fn lines(&mut self) -> Vec<String> {
        let mut octets = [0; 4096];
        while let Ok(length @ 1..) = self.file.read(&mut octets) {
            self.text.push_str(std::str::from_utf8(&octets[..length]).expect("whole lines of ASCII"));
        }
        self.text.lines().map(str::to_owned).collect()
    }

    fn wait_for(&mut self, line: &str, count: usize) {
        poll_until(LIMIT, &format!("{line:?}, {count} times"), || {
            let lines = self.lines();
            if lines.iter().filter(|other| *other == line).count() == count {
                Ok(())
            } else {
                Err(format!("{lines:#?}"))
            }
        });
    }
}

/// The lines of each instance and group in their order; that between them is nobody's promise.
fn by_name(lines: &[String]) -> BTreeMap<String, Vec<String>> {
    let mut sorted = BTreeMap::<String, Vec<String>>::new();
    for line in lines {
        let (end_of_name, _) = line.match_indices(' ').nth(1).expect("kind, name and state");
        let (name, rest) = line.split_at(end_of_name);
        sorted.entry(name.to_owned()).or_default().push(rest.trim_start().to_owned());
    }
    sorted
}

/// Plays the history and returns what the two FIFOs were told.
fn history(start: Start) -> BTreeMap<String, Vec<String>> {
    let stage = Stage::new();
    let up = stage.file("up");
    fs::write(&up, "").expect("a file");
    let global = format!(
        " notify_fifo {}\n notify_fifo_script \"{} argument\"\n vrrp_notify_fifo {}\n vrrp_notify_priority_changes on\n",
        stage.file("all").display(),
        stage.reader(),
        stage.file("vrrp").display()
    );
    let daemon = start(&stage.host, &stage.config(&global));
    let mut fifo = Fifo::open(&stage.file("vrrp"));
    for path in ["all", "vrrp"].map(|name| stage.file(name)) {
        let metadata = fs::metadata(&path).expect("it is there");
        assert_eq!((metadata.permissions().mode() & 0o777, metadata.uid()), (0o600, 0));
    }
    fifo.wait_for("INSTANCE \"S\" MASTER 120", 1);
    fifo.wait_for("GROUP \"G\" MASTER 0", 1);

    fs::remove_file(&up).expect("it was there");
    fifo.wait_for("INSTANCE \"S\" MASTER_PRIORITY 100", 1);
    fs::write(&up, "").expect("a file");
    fifo.wait_for("INSTANCE \"S\" MASTER_PRIORITY 120", 1);

    stage.advertise(50);
    fifo.wait_for("INSTANCE \"S\" MASTER_RX_LOWER_PRI 120", 1);
    stage.advertise(200);
    fifo.wait_for("INSTANCE \"S\" MASTER 120", 2);

    stage.host.unplug("eth0");
    fifo.wait_for("GROUP \"G\" FAULT 0", 1);
    fifo.wait_for("INSTANCE \"S\" FAULT 120", 1);
    stage.host.plug("eth0");
    fifo.wait_for("INSTANCE \"S\" MASTER 120", 3);
    fifo.wait_for("GROUP \"G\" MASTER 0", 2);

    assert!(daemon.terminate().success(), "{}", daemon.log());
    fifo.wait_for("GROUP \"G\" STOP 0", 1);
    let last = Some("GROUP \"G\" STOP 0");
    poll_until(LIMIT, "the reader has read all", || stage.said().last().map(String::as_str) == last);
    assert!(!stage.file("vrrp").exists(), "it was made by the daemon");
    let (lines, said) = (fifo.lines(), stage.said());
    // Its own argument comes before the path.
    assert_eq!(said.first().map(String::as_str), Some("2: argument"));
    assert_eq!(lines, said[1..], "both FIFOs are told the same");
    by_name(&lines)
}

#[test]
fn lvsd_writes_what_keepalived_writes_through_the_same_history() {
    let [ours, theirs] = [lvsd, keepalived].map(|start: Start| history(start));
    assert_eq!(ours, theirs);
    // VR-127 among others: the whole group fails with one interface, and recovers.
    let group = ["BACKUP 0", "MASTER 0", "FAULT 0", "BACKUP 0", "MASTER 0", "STOP 0"];
    assert_eq!(ours["GROUP \"G\""], group);
}

#[test]
fn reader_that_stops_reading_loses_lines_and_never_holds_up_vrrp() {
    let stage = Stage::new();
    fs::write(stage.file("up"), "").expect("a file");
    let path = stage.file("f");
    let global = format!(" vrrp_notify_fifo {}\n", path.display());
    let daemon = lvsd(&stage.host, &stage.config(&global));
    let mut fifo = Fifo::open(&path);
    fifo.wait_for("INSTANCE \"S\" MASTER 120", 1);
    // Somebody holds it open, fills it, and reads nothing.
    let mut stuffed = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&path);
    let stuffed = stuffed.as_mut().expect("a FIFO can be opened");
    while std::io::Write::write(stuffed, &[b'x'; 4096]).is_ok() {}
    while std::io::Write::write(stuffed, b"x").is_ok() {}
    stage.host.unplug("eth0");
    daemon.wait_for_log("lost in a row: it is full", LIMIT);
    poll_until(LIMIT, "VRRP went on", || !stage.host.has_address("eth0", "10.9.0.51"));
    let octets = fifo.lines().concat();
    assert!(octets.contains("xxxx") && !octets.contains("FAULT"), "{} octets", octets.len());
    fifo.text.clear();
    stage.host.plug("eth0");
    fifo.wait_for("INSTANCE \"S\" MASTER 120", 1);
    daemon.wait_for_log("takes lines again", LIMIT);
    assert!(daemon.terminate().success(), "{}", daemon.log());
}

#[test]
fn fifo_that_was_there_stays_and_what_is_no_fifo_is_refused() {
    let stage = Stage::new();
    fs::write(stage.file("up"), "").expect("a file");
    let path = stage.file("f");
    stage.host.sh(&format!("mkfifo -m 640 {}", path.display())).expect("mkfifo works");
    let config = stage.config(&format!(" notify_fifo {} nobody\n", path.display()));
    let daemon = lvsd(&stage.host, &config);
    let mut fifo = Fifo::open(&path);
    fifo.wait_for("INSTANCE \"S\" BACKUP 100", 1);
    assert!(daemon.terminate().success(), "{}", daemon.log());
    assert_eq!(fs::metadata(&path).map(|metadata| metadata.mode() & 0o777).ok(), Some(0o640));
    fs::remove_file(&path).expect("it stayed");
    fs::write(&path, "kept").expect("a file");
    let daemon = lvsd(&stage.host, &config);
    assert_eq!(daemon.wait(LIMIT).code(), Some(5), "{}", daemon.log());
    assert!(daemon.log().contains("is there and is not a FIFO"), "{}", daemon.log());
    assert_eq!(fs::read_to_string(&path).ok().as_deref(), Some("kept"));
}

#[test]
fn reader_that_hangs_is_ended_at_the_stop() {
    let stage = Stage::new();
    let pid = stage.file("pid");
    let script =
        format!("#!/bin/sh\ntrap '' TERM\necho $$ > {}\nwhile :; do sleep 0.1; done\n", pid.display());
    let reader = stage.host.write_file("hangs.sh", &script);
    stage.host.sh(&format!("chmod +x {reader}")).expect("chmod works");
    let path = stage.file("f");
    let global = format!(" notify_fifo {}\n notify_fifo_script {reader}\n", path.display());
    let daemon = lvsd(&stage.host, &stage.config(&global));
    let number = poll_until(LIMIT, "the reader runs", || {
        fs::read_to_string(&pid).ok().and_then(|text| Some(text.strip_suffix('\n')?.to_owned()))
    });
    let is_there = || PathBuf::from("/proc").join(&number).exists();
    holds_for(Duration::from_millis(300), "it stays", is_there);
    assert!(daemon.terminate().success(), "{}", daemon.log());
    assert!(!is_there() && !path.exists());
}

/// The lines are those that keepalived 2.2.7 wrote in a guest with IPVS, which the machine's own kernel may lack: lvsd
/// checks servers without it, too.
#[test]
fn servers_and_services_are_told_as_keepalived_tells_them() {
    let stage = Stage::new();
    let path = stage.file("lvs");
    let config = format!(
        "global_defs {{\n lvs_notify_fifo {}\n vrrp_notify_fifo {}\n}}\nvirtual_server 10.9.0.100 8000 {{\n delay_loop \
         1\n lb_algo rr\n lb_kind NAT\n protocol TCP\n real_server 10.9.0.2 80 {{\n TCP_CHECK {{\n connect_timeout 1\n \
         retry 0\n }}\n }}\n}}\n",
        path.display(),
        stage.file("vrrp").display()
    );
    let daemon = lvsd(&stage.host, &config);
    let mut fifo = Fifo::open(&path);
    let mut others = Fifo::open(&stage.file("vrrp"));
    let server = |state: &str| format!("RS [10.9.0.2]:tcp:80 [10.9.0.100]:tcp:8000 {state}");
    let service = |state: &str| format!("VS [10.9.0.100]:tcp:8000 {state}");
    fifo.wait_for(&service("DOWN"), 1);
    let web = peers::nginx(&stage.other, "here");
    fifo.wait_for(&service("UP"), 2);
    drop(web);
    fifo.wait_for(&service("DOWN"), 2);
    assert!(daemon.terminate().success(), "{}", daemon.log());
    let down = [server("DOWN"), service("DOWN")];
    let up = [server("UP"), service("UP")];
    assert_eq!(fifo.lines(), [&[service("UP")][..], &down, &up, &down].concat());
    assert!(others.lines().is_empty(), "these are no virtual routers");
}
