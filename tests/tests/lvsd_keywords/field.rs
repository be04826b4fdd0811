//! Files as they are found in the field: what `lvsd -t` says of them beside what keepalived says.

use std::time::Duration;

use lvs_tests::{Host, Process, Segment, holds_for, peers, poll_until};

use crate::lan::{LIMIT, Lan, VIP};

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
    let said = [
        "strict mode drops packets to the virtual addresses",
        "`vrrp_garp_interval` is at least 0.000001: it is left out, as in keepalived",
    ];
    verdicts(field!("copied-sample.conf"), 5, 5, &said);
}

/// What `keepalived -t` calls wrong, and what its daemon puts right and goes on.
fn mendable(priority: u8) -> String {
    format!(
        "global_defs {{\n vrrp_garp_interval 0\n vrrp_gna_interval 0\n vrrp_garp_master_repeat 0\n}}\n\
         vrrp_sync_group G {{\n group {{\n VI_1\n VI_2\n }}\n}}\n\
         vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n advert_int 1.4\n priority {priority}\n \
         authentication {{\n auth_type PASS\n }}\n garp_master_refresh_repeat 0\n garp_master_refresh 60\n \
         track_script {{\n nobody\n }}\n track_file {{\n nothing weight 20\n }}\n \
         virtual_ipaddress {{\n {VIP}/33 scope everywhere\n }}\n}}\n"
    )
}

#[test]
fn a_file_that_keepalived_s_daemon_puts_right_is_right_for_lvsd_with_warnings() {
    let said = [
        "there is no instance `VI_2`",
        "there is no script `nobody`",
        "1.4 s cannot be sent",
        "0 errors, 11 warnings",
    ];
    verdicts(&mendable(100), 5, 0, &said);
}

#[test]
fn a_pair_with_such_a_file_elects_one_master_whichever_daemon_it_is() {
    let elects = |master: fn(&Lan, usize, &str) -> Process, backup: fn(&Lan, usize, &str) -> Process| {
        let lan = Lan::new();
        let first = master(&lan, 0, &mendable(150));
        poll_until(LIMIT, "the first is master", || lan.has(0, VIP));
        let second = backup(&lan, 1, &mendable(100));
        // Longer than its master down interval.
        holds_for(Duration::from_secs(6), "the second is backup", || lan.has(0, VIP) && !lan.has(1, VIP));
        assert!(first.terminate().success(), "{}", first.log());
        poll_until(LIMIT, "the second takes over", || lan.has(1, VIP));
        assert!(second.is_running(), "{}", second.log());
    };
    std::thread::scope(|scope| {
        scope.spawn(|| elects(Lan::lvsd, Lan::keepalived));
        scope.spawn(|| elects(Lan::keepalived, Lan::lvsd));
    });
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
