//! Files as they are found in the field: what `lvsd -t` says of them beside what keepalived says.

use lvs_tests::{Host, Segment, peers, poll_until};

use crate::lan::LIMIT;

/// A host with the interfaces that the files name.
fn host() -> (Host, Segment) {
    let segment = Segment::new();
    let host = Host::new("field");
    host.connect(&segment, "eth0", "10.0.0.250/24");
    host.connect(&segment, "eth1", "10.1.0.1/24");
    host.add_address("eth0", "fe80::250/64");
    (host, segment)
}

/// Exit status and output of a check.
#[track_caller]
fn check(host: &Host, program: &str, text: &str) -> (Option<i32>, String) {
    let file = host.write_file("field.conf", text);
    let process = host.spawn(host.command(program).args(["-t", "-f", &file]));
    let status = process.wait(LIMIT);
    // The end of the process may be known before its last words.
    let said = poll_until(LIMIT, "its log", || {
        Some(process.log()).filter(|log| status.success() || !log.is_empty())
    });
    (status.code(), said)
}

#[track_caller]
fn verdicts(text: &str, keepalived: i32, lvsd: i32, said: &[&str]) {
    let (host, _segment) = host();
    let (status, log) = check(&host, "keepalived", text);
    assert_eq!(status, Some(keepalived), "keepalived: {log}");
    let program = peers::lvsd_program();
    let (status, log) = check(&host, &program.to_string_lossy(), text);
    assert_eq!(status, Some(lvsd), "lvsd: {log}");
    for words in said {
        assert!(log.contains(words), "no {words:?} in: {log}");
    }
}

macro_rules! field {
    ($name:literal) => {
        include_str!(concat!("../../../examples/lvsd/tests/fixtures/field/", $name))
    };
}

#[test]
fn a_multicast_pair_with_password_and_mail() {
    verdicts(
        field!("multicast-pass.conf"),
        0,
        0,
        &["`notification_email` has no effect", "0 errors, 2 warnings"],
    );
}

#[test]
fn a_dual_stack_edge_with_unicast() {
    verdicts(field!("unicast-ipv6.conf"), 0, 0, &[]);
}

#[test]
fn strict_mode_with_services() {
    verdicts(field!("strict.conf"), 0, 0, &[]);
}

#[test]
fn an_old_pair_with_ah() {
    verdicts(field!("ah.conf"), 0, 0, &[]);
}

#[test]
fn the_sample_that_everybody_copies_is_refused_by_both() {
    let said =
        ["strict mode drops packets to the virtual addresses", "`vrrp_garp_interval` is out of range: `0`"];
    verdicts(field!("copied-sample.conf"), 5, 5, &said);
}

#[test]
fn a_big_cloud_file() {
    let mut text =
        "global_defs {\n router_id compute-7\n vrrp_version 3\n dynamic_interfaces\n process_names\n}\n"
            .to_owned();
    for n in 1..=200 {
        text += &format!(
            "vrrp_instance VR_{n} {{\n state BACKUP\n interface eth{}\n virtual_router_id {n}\n priority 50\n \
             garp_master_delay 60\n garp_master_refresh 300\n nopreempt\n advert_int 2\n unicast_src_ip {}\n \
             unicast_peer {{\n  10.0.{n}.2\n  10.0.{n}.3\n }}\n virtual_ipaddress {{\n  169.254.{n}.1/24 dev eth0\n }}\n \
             virtual_ipaddress_excluded {{\n  10.2.{n}.1/24 dev eth1\n  10.3.{n}.1/32 scope link\n  \
             fe80::f816:{n:x}/64 dev eth1\n }}\n}}\n",
            n % 2,
            if n % 2 == 0 { "10.0.0.250" } else { "10.1.0.1" },
        );
    }
    verdicts(&text, 0, 0, &["`process_names` has no effect", "0 errors, 1 warning"]);
}
