//! What instances track: scripts, interfaces, files and processes move a virtual address, on lvsd and on keepalived
//! alike.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use lvs_tests::{Host, Process, Segment, holds_for, peers, poll_until};

const VIP: &str = "192.168.34.20";
const NODES: [&str; 2] = ["192.168.34.11", "192.168.34.12"];
const LIMIT: Duration = Duration::from_secs(40);

/// More than the master-down interval of 3.61 s: whoever wanted to take over would have done it.
const SETTLED: Duration = Duration::from_millis(4500);

struct Pair {
    nodes: [Host; 2],
    segment: Segment,
}

impl Pair {
    fn new() -> Self {
        let segment = Segment::new();
        let nodes = NODES.map(|address| {
            let host = Host::new(address);
            host.connect(&segment, "eth0", &format!("{address}/24"));
            host
        });
        Self { nodes, segment }
    }

    /// lvsd with this priority and what it tracks.
    fn lvsd(&self, node: usize, objects: &str, priority: u8, tracks: &str) -> Process {
        peers::lvsd(&self.nodes[node], &config(objects, priority, tracks), &[])
    }

    fn keepalived(&self, node: usize, objects: &str, priority: u8, tracks: &str) -> Process {
        peers::keepalived(&self.nodes[node], &config(objects, priority, tracks))
    }

    fn file(&self, node: usize, name: &str) -> PathBuf {
        self.nodes[node].directory().join(name)
    }

    fn only(&self, node: usize) -> Result<(), String> {
        let owners = [0, 1].map(|node: usize| self.nodes[node].has_address("eth0", VIP));
        let mut expected = [false; 2];
        expected[node] = true;
        if owners == expected { Ok(()) } else { Err(format!("owners {owners:?}")) }
    }

    fn owned_by(&self, node: usize) {
        poll_until(LIMIT, &format!("{} alone has {VIP}", NODES[node]), || self.only(node));
    }
}

fn config(objects: &str, priority: u8, tracks: &str) -> String {
    format!(
        "global_defs {{\n script_user root\n}}\n{objects}\nvrrp_instance VI_1 {{\n interface eth0\n \
         virtual_router_id 51\n priority {priority}\n virtual_ipaddress {{\n {VIP}/24\n }}\n{tracks}\n}}\n"
    )
}

#[test]
fn script_s_weight_moves_the_address_and_the_log_says_how_the_priority_came_about() {
    let pair = Pair::new();
    let up = pair.file(0, "up");
    fs::write(&up, "").expect("a file");
    let script = format!(
        "vrrp_script chk_nginx {{\n script \"/usr/bin/test -e {}\"\n interval 1\n weight 50\n}}",
        up.display()
    );
    let first = pair.lvsd(0, &script, 150, " track_script {\n chk_nginx\n }");
    let _second = pair.keepalived(1, "", 180, "");
    pair.owned_by(0);
    first.wait_for_log("VI_1: priority 200 = 150 base + 50 script chk_nginx", LIMIT);
    fs::remove_file(&up).expect("it was there");
    pair.owned_by(1);
    first.wait_for_log("script chk_nginx: down: exit status: 1", LIMIT);
    first.wait_for_log("VI_1: priority 150 = 150 base", LIMIT);
    fs::write(&up, "").expect("a file");
    pair.owned_by(0);
}

#[test]
fn script_without_weight_is_a_fault_and_none_before_its_first_result_is_master() {
    let pair = Pair::new();
    let (go, up) = (pair.file(0, "go"), pair.file(0, "up"));
    let script = format!(
        "vrrp_script chk {{\n script \"/bin/sh -c 'until test -e {}; do sleep 0.05; done; test -e {}'\"\n \
         timeout 60\n fall 2\n}}",
        go.display(),
        up.display()
    );
    let first = pair.lvsd(0, &script, 150, " track_script {\n chk\n }");
    first.wait_for_log("VI_1: fault: script chk has no result yet; priority 150 = 150 base", LIMIT);
    holds_for(SETTLED, "it is not master", || !pair.nodes[0].has_address("eth0", VIP));
    fs::write(&up, "").expect("a file");
    fs::write(&go, "").expect("a file");
    pair.owned_by(0);
    let _second = pair.lvsd(1, "", 100, "");
    fs::remove_file(&up).expect("it was there");
    pair.owned_by(1);
    first.wait_for_log("VI_1: fault: script chk is down", LIMIT);
}

#[test]
fn script_that_hangs_is_ended_with_what_it_started() {
    let pair = Pair::new();
    let pid = pair.file(0, "pid");
    let script = format!(
        "vrrp_script chk {{\n script \"/bin/sh -c 'sleep 1000 & echo $! > {}; wait'\"\n timeout 1\n interval 100\n \
         weight -20\n}}",
        pid.display()
    );
    let first = pair.lvsd(0, &script, 150, " track_script {\n chk\n }");
    first.wait_for_log("script chk: down: it ran longer than 1s and was ended", LIMIT);
    first.wait_for_log("VI_1: priority 130 = 150 base - 20 script chk", LIMIT);
    let pid = fs::read_to_string(&pid).expect("it was started").trim().to_owned();
    poll_until(LIMIT, "its child is gone", || {
        !fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"sleep"))
    });
}

#[test]
fn interfaces_move_the_address_by_weight_and_by_fault() {
    for (tracked, base) in [("eth1 weight -60", 150), ("eth1", 150)] {
        let pair = Pair::new();
        let other = Segment::new();
        pair.nodes[0].connect(&other, "eth1", "10.9.0.1/24");
        let first = pair.lvsd(0, "", base, &format!(" track_interface {{\n {tracked}\n }}"));
        let _second = pair.keepalived(1, "", 100, "");
        pair.owned_by(0);
        pair.nodes[0].unplug("eth1");
        pair.owned_by(1);
        pair.nodes[0].plug("eth1");
        pair.owned_by(0);
        pair.nodes[0].delete_link("eth1");
        pair.owned_by(1);
        pair.nodes[0].connect(&other, "eth1", "10.9.0.1/24");
        pair.owned_by(0);
        if tracked.contains("weight") {
            first.wait_for_log("VI_1: priority 90 = 150 base - 60 interface eth1", LIMIT);
        }
    }
}

#[test]
fn interface_that_is_not_there_at_the_start_counts_as_down() {
    let pair = Pair::new();
    let first = pair.lvsd(0, "", 150, " track_interface {\n eth7 weight -10\n }");
    first.wait_for_log("VI_1: priority 140 = 150 base - 10 interface eth7", LIMIT);
    pair.nodes[0].connect(&pair.segment, "eth7", "10.9.0.1/24");
    first.wait_for_log("VI_1: priority 150 = 150 base", LIMIT);
}

#[test]
fn number_in_a_file_moves_the_address() {
    let pair = Pair::new();
    let file = pair.file(0, "priority");
    let object = format!("track_file f {{\n file {}\n weight 2\n}}", file.display());
    let first = pair.lvsd(0, &object, 90, " track_file {\n f\n }");
    let _second = pair.keepalived(1, "", 100, "");
    pair.owned_by(1);
    fs::write(&file, "10\n").expect("a file");
    pair.owned_by(0);
    first.wait_for_log("VI_1: priority 110 = 90 base + 20 file f", LIMIT);
    // Below −253: a fault.
    fs::write(&file, "-127\n").expect("a file");
    pair.owned_by(1);
    first.wait_for_log("VI_1: fault: file f holds -127; priority 90 = 90 base", LIMIT);
    // Replaced in one step, and removed.
    let new = pair.file(0, "new");
    fs::write(&new, "30\n").expect("a file");
    fs::rename(&new, &file).expect("it can be replaced");
    pair.owned_by(0);
    fs::remove_file(&file).expect("it was there");
    pair.owned_by(1);
}

#[test]
fn processes_move_the_address() {
    let pair = Pair::new();
    // A name that no other process of the machine has; 15 bytes count.
    let name = format!("tracked{}", std::process::id());
    let program = pair.file(0, &name);
    std::os::unix::fs::symlink("/bin/sleep", &program).expect("a link");
    let object = format!("vrrp_track_process p {{\n process {name} 1000\n weight 20\n}}");
    let first = pair.lvsd(0, &object, 90, " track_process {\n p\n }");
    let _second = pair.keepalived(1, "", 100, "");
    pair.owned_by(1);
    let process = pair.nodes[0].spawn(pair.nodes[0].command(&program.to_string_lossy()).arg("1000"));
    pair.owned_by(0);
    first.wait_for_log("VI_1: priority 110 = 90 base + 20 process p", LIMIT);
    process.crash();
    pair.owned_by(1);
}

#[test]
fn group_s_script_moves_both_members() {
    let pair = Pair::new();
    let other = Segment::new();
    let up = pair.file(0, "up");
    fs::write(&up, "").expect("a file");
    for (node, address) in pair.nodes.iter().zip(["10.9.0.1/24", "10.9.0.2/24"]) {
        node.connect(&other, "eth1", address);
    }
    let config = |priority: u8, group: &str| {
        let instance = |number: u8, interface: &str, vip: &str| {
            format!(
                "vrrp_instance V{number} {{\n interface {interface}\n virtual_router_id {number}\n priority \
                 {priority}\n virtual_ipaddress {{\n {vip}/24\n }}\n}}\n"
            )
        };
        format!(
            "global_defs {{\n script_user root\n}}\nvrrp_script chk {{\n script \"/usr/bin/test -e {}\"\n interval \
             1\n weight 50\n}}\nvrrp_sync_group G {{\n group {{\n V1\n V2\n }}\n{group}\n}}\n",
            up.display()
        ) + &instance(1, "eth0", VIP)
            + &instance(2, "eth1", "10.9.0.20")
    };
    let first = peers::lvsd(&pair.nodes[0], &config(100, " track_script {\n chk\n }"), &[]);
    let _second = peers::keepalived(&pair.nodes[1], &config(120, ""));
    let owned_by = |node: usize| {
        poll_until(LIMIT, "one has both addresses", || {
            pair.only(node)?;
            let has = [0, 1].map(|node: usize| pair.nodes[node].has_address("eth1", "10.9.0.20"));
            if has[node] && !has[1 - node] { Ok(()) } else { Err(format!("{has:?}")) }
        });
    };
    owned_by(0);
    for instance in ["V1", "V2"] {
        first.wait_for_log(&format!("{instance}: priority 150 = 100 base + 50 script chk"), LIMIT);
    }
    fs::remove_file(&up).expect("it was there");
    owned_by(1);
}
