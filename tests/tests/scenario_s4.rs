//! Scenario S4: two routers on two networks, whose virtual addresses move together whatever happens to one of them.

use std::time::Duration;

use lvs_tests::{Host, Process, Segment, holds_for, peers, poll_until};

const NODES: [&str; 2] = ["9", "8"];
const PRIORITIES: [u8; 2] = [150, 100];
/// The virtual address of each network, by interface.
const VIPS: [(&str, &str); 2] = [("eth0", "192.168.26.10"), ("eth1", "10.11.12.10")];
const LIMIT: Duration = Duration::from_secs(40);

/// More than the master-down interval of 3.61 s: whoever wanted to take over would have done it.
const SETTLED: Duration = Duration::from_millis(4500);

struct Pair {
    nodes: [Host; 2],
    _segments: [Segment; 2],
}

/// A daemon under test or its peer.
type Start = fn(&Host, &str) -> Process;

fn lvsd(host: &Host, config: &str) -> Process {
    peers::lvsd(host, config, &[])
}

fn keepalived(host: &Host, config: &str) -> Process {
    peers::keepalived(host, config)
}

impl Pair {
    fn new() -> Self {
        let segments = [Segment::new(), Segment::new()];
        let nodes = NODES.map(|node| {
            let host = Host::new(&format!("router{node}"));
            host.connect(&segments[0], "eth0", &format!("192.168.26.{node}/24"));
            host.connect(&segments[1], "eth1", &format!("10.11.12.{node}/24"));
            host
        });
        Self { nodes, _segments: segments }
    }

    fn config(&self, node: usize) -> String {
        let host = &self.nodes[node];
        let said = host.directory().join("said");
        let script = host.write_file("said.sh", &format!("#!/bin/sh\necho \"$@\" >> {}\n", said.display()));
        host.sh(&format!("chmod +x {script}")).expect("chmod works");
        let instance = |(number, (interface, vip)): (usize, (&str, &str))| {
            format!(
                "vrrp_instance {interface} {{\n interface {interface}\n virtual_router_id {}\n priority {}\n \
                 virtual_ipaddress {{\n {vip}/24\n }}\n}}\n",
                51 + number,
                PRIORITIES[node],
            )
        };
        let instances: String = VIPS.into_iter().enumerate().map(instance).collect();
        format!(
            "global_defs {{\n script_user root\n}}\n\
             vrrp_sync_group nat {{\n group {{\n eth0\n eth1\n }}\n notify {script}\n}}\n{instances}"
        )
    }

    fn start(&self, node: usize, start: Start) -> Process {
        start(&self.nodes[node], &self.config(node))
    }

    /// Waits until this is the last that the scripts of the group were told.
    #[track_caller]
    fn said_last(&self, node: usize, line: &str) {
        poll_until(LIMIT, &format!("the group of node {node} says {line:?}"), || {
            let said = self.said(node);
            if said.last().is_some_and(|last| last == line) { Ok(()) } else { Err(format!("{said:?}")) }
        });
    }

    /// What the group's script was told.
    fn said(&self, node: usize) -> Vec<String> {
        let file = self.nodes[node].directory().join("said");
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn has(&self, node: usize) -> [bool; 2] {
        VIPS.map(|(interface, vip)| self.nodes[node].has_address(interface, vip))
    }

    fn only(&self, node: usize) -> Result<(), String> {
        let (own, other) = (self.has(node), self.has(1 - node));
        match (own, other) {
            ([true, true], [false, false]) => Ok(()),
            _ => Err(format!("{} has {own:?}, the other {other:?}", NODES[node])),
        }
    }

    fn owned_by(&self, node: usize) {
        poll_until(LIMIT, &format!("{} alone has both addresses", NODES[node]), || self.only(node));
    }

    /// Never one address here and the other one there, other than on the way.
    fn stays_with(&self, node: usize) {
        holds_for(SETTLED, "both addresses stay", || self.only(node));
    }
}

fn one_link_of_the_master_fails(start: [Start; 2], cut: &str) {
    let pair = Pair::new();
    let daemons = [pair.start(0, start[0]), pair.start(1, start[1])];
    pair.owned_by(0);
    pair.nodes[0].unplug(cut);
    // VR-127: the other member leaves too.
    pair.owned_by(1);
    pair.stays_with(1);
    pair.nodes[0].plug(cut);
    pair.owned_by(0);
    pair.stays_with(0);
    for daemon in &daemons {
        assert!(daemon.is_running(), "{}", daemon.log());
    }
    poll_until(LIMIT, "the scripts of the group were told", || {
        let states = |node: usize| -> Vec<String> {
            pair.said(node).iter().filter_map(|line| Some(line.split(' ').nth(2)?.to_owned())).collect()
        };
        let said = [states(0), states(1)];
        // What keepalived says between FAULT and MASTER of a group is up to it.
        let ends = said[0].ends_with(&["BACKUP".to_owned(), "MASTER".to_owned()])
            && said[0].contains(&"FAULT".to_owned())
            && said[1].ends_with(&["MASTER".to_owned(), "BACKUP".to_owned()]);
        if ends { Ok(()) } else { Err(format!("{said:?}")) }
    });
    assert!(pair.said(0).iter().all(|line| line.starts_with("GROUP nat ") && line.ends_with(" 0")));
}

#[test]
fn both_addresses_move_when_either_link_of_the_master_fails() {
    one_link_of_the_master_fails([lvsd, lvsd], "eth0");
    one_link_of_the_master_fails([lvsd, lvsd], "eth1");
}

#[test]
fn both_addresses_move_to_keepalived_when_one_link_fails() {
    one_link_of_the_master_fails([lvsd, keepalived], "eth1");
}

#[test]
fn both_addresses_move_from_keepalived_when_one_link_fails() {
    one_link_of_the_master_fails([keepalived, lvsd], "eth0");
}

fn master_dies(start: [Start; 2]) {
    let pair = Pair::new();
    let [first, _second] = [pair.start(0, start[0]), pair.start(1, start[1])];
    pair.owned_by(0);
    first.crash();
    // Its addresses may stay on the dead one.
    poll_until(LIMIT, "the other has both addresses", || {
        let has = pair.has(1);
        if has == [true, true] { Ok(()) } else { Err(format!("{has:?}")) }
    });
    let again = pair.start(0, start[0]);
    pair.owned_by(0);
    pair.stays_with(0);
    assert!(again.is_running(), "{}", again.log());
}

#[test]
fn both_addresses_move_when_the_master_dies() {
    master_dies([lvsd, lvsd]);
}

#[test]
fn keepalived_takes_both_addresses_when_the_master_dies() {
    master_dies([lvsd, keepalived]);
}

#[test]
fn both_addresses_are_taken_when_keepalived_dies() {
    master_dies([keepalived, lvsd]);
}

fn master_stops(start: [Start; 2]) {
    let pair = Pair::new();
    let [first, second] = [pair.start(0, start[0]), pair.start(1, start[1])];
    pair.owned_by(0);
    // keepalived neither orders its scripts nor waits for them.
    pair.said_last(0, "GROUP nat MASTER 0");
    pair.said_last(1, "GROUP nat BACKUP 0");
    assert!(first.terminate().success(), "{}", first.log());
    pair.owned_by(1);
    pair.stays_with(1);
    pair.said_last(0, "GROUP nat STOP 0");
    assert!(second.is_running(), "{}", second.log());
}

#[test]
fn both_addresses_move_when_the_master_stops() {
    master_stops([lvsd, lvsd]);
}

#[test]
fn both_addresses_move_between_lvsd_and_keepalived_when_the_master_stops() {
    master_stops([lvsd, keepalived]);
    master_stops([keepalived, lvsd]);
}
