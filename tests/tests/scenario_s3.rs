//! Scenario S3: a unicast pair, both `state BACKUP` with one priority, that list their own address among the peers.

use std::time::Duration;

use lvs_tests::{Capture, Frame, Host, Process, Segment, holds_for, peers, poll_until};

const VIP: &str = "192.168.33.20";
const NODES: [&str; 2] = ["192.168.33.11", "192.168.33.12"];
const LIMIT: Duration = Duration::from_secs(40);

/// More than the master-down interval of 3.61 s: whoever wanted to take over would have done it.
const SETTLED: Duration = Duration::from_millis(4500);

struct Pair {
    nodes: [Host; 2],
    _segment: Segment,
}

impl Pair {
    fn new() -> Self {
        let segment = Segment::new();
        let nodes = NODES.map(|address| {
            let host = Host::new(address);
            host.connect(&segment, "eth0", &format!("{address}/24"));
            host
        });
        Self { nodes, _segment: segment }
    }

    /// The document's file; the scripts append to a file of the node.
    fn config(&self, node: usize) -> String {
        let said = self.nodes[node].directory().join("said");
        let script = |name: &str| {
            let path = self.nodes[node].write_file(
                &format!("{name}.sh"),
                &format!("#!/bin/sh\necho {name} >> {}\n", said.display()),
            );
            self.nodes[node].sh(&format!("chmod +x {path}")).expect("chmod works");
            path
        };
        let [master, backup, stop] = ["master", "backup", "stop"].map(script);
        format!(
            "vrrp_instance VI_1 {{
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority 100
    advert_int 1
    authentication {{
        auth_type PASS
        auth_pass 1111
    }}
    unicast_peer {{
        {}
        {}
    }}
    virtual_ipaddress {{
        {VIP}
    }}
    notify_master \"{master}\"
    notify_backup \"{backup}\"
    notify_stop \"{stop}\"
}}
",
            NODES[0], NODES[1]
        )
    }

    fn said(&self, node: usize) -> Vec<String> {
        let file = self.nodes[node].directory().join("said");
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn lvsd(&self, node: usize) -> Process {
        peers::lvsd(&self.nodes[node], &self.config(node), &[])
    }

    fn keepalived(&self, node: usize) -> Process {
        peers::keepalived(&self.nodes[node], &self.config(node))
    }

    fn owners(&self) -> [bool; 2] {
        [0, 1].map(|node: usize| self.nodes[node].has_address("eth0", VIP))
    }

    fn owned_by(&self, node: usize) {
        poll_until(LIMIT, &format!("{} alone has {VIP}", NODES[node]), || self.only(node));
    }

    fn only(&self, node: usize) -> Result<(), String> {
        let mut expected = [false; 2];
        expected[node] = true;
        let owners = self.owners();
        if owners == expected { Ok(()) } else { Err(format!("owners {owners:?}")) }
    }
}

fn is_advert(frame: &Frame) -> bool {
    frame.ip().is_some_and(|ip| ip.protocol == 112)
}

/// The priority in a VRRP packet: its third octet (RFC 3768 §5.1).
fn priority(frame: &Frame) -> Option<u8> {
    frame.ip().and_then(|ip| ip.payload.get(2).copied())
}

#[test]
fn the_incumbent_stays_and_after_a_split_the_higher_address_wins() {
    let pair = Pair::new();
    let first = pair.lvsd(0);
    pair.owned_by(0);
    let second = pair.lvsd(1);
    poll_until(LIMIT, "the second node is backup", || pair.said(1) == ["backup"]);
    holds_for(SETTLED, "the incumbent stays", || pair.only(0));

    pair.nodes[1].unplug("eth0");
    pair.nodes[1].plug("eth0");
    // The cable was out for a moment only: whoever is master now, soon there is one.
    poll_until(LIMIT, "one master", || {
        let owners = pair.owners();
        if owners.iter().filter(|&&owner| owner).count() == 1 { Ok(()) } else { Err(format!("{owners:?}")) }
    });
    for process in [first, second] {
        assert!(process.is_running(), "{}", process.log());
    }
}

#[test]
fn two_masters_that_meet_leave_the_one_with_the_higher_address() {
    let pair = Pair::new();
    // Packets to the other node go to a MAC address that nobody has: both become master.
    for (node, peer) in [(0, NODES[1]), (1, NODES[0])] {
        let astray = format!("ip neigh replace {peer} lladdr 02:00:00:00:00:99 dev eth0 nud permanent");
        pair.nodes[node].sh(&astray).expect("ip works");
    }
    let _daemons = [pair.lvsd(0), pair.lvsd(1)];
    poll_until(LIMIT, "both are master", || {
        let owners = pair.owners();
        if owners == [true, true] { Ok(()) } else { Err(format!("{owners:?}")) }
    });
    for (node, peer) in [(0, NODES[1]), (1, NODES[0])] {
        pair.nodes[node].sh(&format!("ip neigh del {peer} dev eth0")).expect("ip works");
    }
    pair.owned_by(1);
    poll_until(LIMIT, "the lower address said so", || {
        let said = pair.said(0);
        if said == ["backup", "master", "backup"] { Ok(()) } else { Err(format!("{said:?}")) }
    });
    holds_for(SETTLED, "the winner stays", || pair.only(1));
}

fn graceful_stop_hands_over(start: fn(&Pair, usize) -> Process, other: fn(&Pair, usize) -> Process) {
    let pair = Pair::new();
    let first = start(&pair, 0);
    pair.owned_by(0);
    let second = other(&pair, 1);
    poll_until(LIMIT, "the second node is backup", || pair.said(1) == ["backup"]);

    let wire = Capture::start(&pair.nodes[1], "eth0", is_advert);
    wire.wait_for("the master advertises", LIMIT, |frame| priority(frame) == Some(100));
    assert!(first.terminate().success(), "{}", first.log());
    let resigned = wire.wait_for("priority 0", LIMIT, |frame| priority(frame) == Some(0));
    let taken =
        wire.wait_for("the other advertises", LIMIT, |frame| frame.outgoing && priority(frame) == Some(100));
    pair.owned_by(1);
    // Skew time: (256 - 100) / 256 s = 609 ms (RFC 3768 §6.1); never earlier, and far from a master-down interval.
    let gap = taken.at - resigned.at;
    assert!(gap >= Duration::from_millis(600) && gap < Duration::from_secs(2), "took over after {gap:?}");
    poll_until(LIMIT, "the scripts ran in order", || {
        let said = [pair.said(0), pair.said(1)];
        let expected = [vec!["backup", "master", "stop"], vec!["backup", "master"]];
        if said == expected { Ok(()) } else { Err(format!("{said:?}")) }
    });
    assert!(second.is_running(), "{}", second.log());
}

#[test]
fn a_graceful_stop_hands_over_within_the_skew_time() {
    graceful_stop_hands_over(Pair::lvsd, Pair::lvsd);
}

#[test]
fn lvsd_hands_over_to_keepalived_within_the_skew_time() {
    graceful_stop_hands_over(Pair::lvsd, Pair::keepalived);
}

#[test]
fn keepalived_hands_over_to_lvsd_within_the_skew_time() {
    graceful_stop_hands_over(Pair::keepalived, Pair::lvsd);
}

#[test]
fn a_stale_virtual_address_is_removed_from_a_backup_at_once() {
    let pair = Pair::new();
    let _first = pair.lvsd(0);
    pair.owned_by(0);
    pair.nodes[1].add_address("eth0", &format!("{VIP}/32"));
    let _second = pair.lvsd(1);
    pair.owned_by(0);
    holds_for(SETTLED, "the incumbent stays", || pair.only(0));
}

#[test]
fn a_virtual_address_that_somebody_removed_comes_back_without_a_change_of_role() {
    let pair = Pair::new();
    let first = pair.lvsd(0);
    pair.owned_by(0);
    pair.nodes[0].delete_address("eth0", &format!("{VIP}/32"));
    pair.owned_by(0);
    poll_until(LIMIT, "the script of the mastership ran", || pair.said(0).len() >= 2);
    holds_for(SETTLED, "the role stays", || pair.said(0) == ["backup", "master"]);
    first.wait_for_log("put back", LIMIT);
}

#[test]
fn a_master_whose_cable_is_pulled_is_faulty_and_the_backup_takes_over() {
    let pair = Pair::new();
    let _daemons = [pair.lvsd(0), pair.lvsd(1)];
    poll_until(LIMIT, "one master", || pair.owners().iter().filter(|&&owner| owner).count() == 1);
    let master = usize::from(pair.owners()[1]);
    let backup = 1 - master;
    pair.nodes[master].unplug("eth0");
    poll_until(LIMIT, "the other has the address", || pair.owners()[backup]);
    poll_until(LIMIT, "the unplugged node gave it up", || !pair.owners()[master]);
    pair.nodes[master].plug("eth0");
    holds_for(SETTLED, "the new master stays", || pair.only(backup));
}

#[test]
fn a_master_whose_virtual_addresses_lose_their_interface_is_faulty_until_it_is_back() {
    let pair = Pair::new();
    let other = Segment::new();
    for (node, address) in pair.nodes.iter().zip(["10.9.0.1/24", "10.9.0.2/24"]) {
        node.connect(&other, "eth1", address);
    }
    let has = |node: usize| pair.nodes[node].has_address("eth1", VIP);
    let owners = |expected: [bool; 2]| {
        let owners = [has(0), has(1)];
        if owners == expected { Ok(()) } else { Err(format!("owners {owners:?}")) }
    };
    let there = format!("{VIP} dev eth1");
    // The first has the higher priority, so that it comes back.
    let _daemons = [(0, "priority 150"), (1, "priority 100")].map(|(node, priority)| {
        let fault = pair.nodes[node].directory().join("said");
        let fault = pair.nodes[node]
            .write_file("fault.sh", &format!("#!/bin/sh\necho fault >> {}\n", fault.display()));
        pair.nodes[node].sh(&format!("chmod +x {fault}")).expect("chmod works");
        let config = pair.config(node).replace(VIP, &there).replace("priority 100", priority);
        let config =
            config.replace("    notify_stop", &format!("    notify_fault \"{fault}\"\n    notify_stop"));
        peers::lvsd(&pair.nodes[node], &config, &[])
    });
    poll_until(LIMIT, "the first has the address", || owners([true, false]));
    pair.nodes[0].link_down("eth1");
    poll_until(LIMIT, "the second has the address alone", || owners([false, true]));
    poll_until(LIMIT, "the first is at fault", || pair.said(0).last().is_some_and(|last| last == "fault"));
    let before = pair.said(0);
    // Not one attempt to be master without the interface.
    holds_for(SETTLED, "it stays at fault", || {
        owners([false, true])?;
        let said = pair.said(0);
        if said == before { Ok(()) } else { Err(format!("{said:?}")) }
    });
    pair.nodes[0].link_up("eth1");
    poll_until(LIMIT, "the first has the address back", || owners([true, false]));
}

#[test]
fn a_pair_with_different_passwords_says_so_and_tells_neither() {
    let pair = Pair::new();
    let daemons = [(0, "secret-1"), (1, "secret-2")].map(|(node, password)| {
        let config = pair.config(node).replace("auth_pass 1111", &format!("auth_pass {password}"));
        peers::lvsd(&pair.nodes[node], &config, &[])
    });
    // Both are master then, and the first advert of the other tells why.
    for (daemon, other) in daemons.iter().zip([NODES[1], NODES[0]]) {
        daemon.wait_for_log("another password", LIMIT);
        let log = daemon.log();
        let line = log.lines().find(|line| line.contains("another password")).unwrap_or_default();
        for word in ["WARN", "VI_1", other, "authentication data", "our password"] {
            assert!(line.contains(word), "no {word} in: {line}");
        }
        assert!(!log.contains("secret"), "{log}");
    }
}
