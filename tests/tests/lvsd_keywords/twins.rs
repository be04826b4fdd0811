//! The same file in both daemons: what they send, who becomes master, and what their scripts see.

use std::collections::BTreeMap;
use std::time::Duration;

use lvs_tests::{Frame, Process, Segment, holds_for, poll_until};

use crate::lan::{LIMIT, Lan, VIP};

/// Ways to write a password.
const SPELLINGS: [&str; 14] = [
    "'secret'",
    r#""secret""#,
    "sec'ret",
    r"sec\ret",
    r#""sec\ret""#,
    r"pa\#ss",
    "pa#ss",
    "pa!ss",
    r"pa\\#ss",
    r#""a b""#,
    r#""a{b}c""#,
    r#""a#b!c""#,
    r#""a\x41""#,
    "'",
];

/// An instance of version 2 with its own number and password.
fn with_password(number: usize, priority: u8, password: &str) -> String {
    format!(
        "vrrp_instance V{number} {{\n interface eth0\n virtual_router_id {number}\n priority {priority}\n \
         authentication {{\n auth_type PASS\n auth_pass {password}\n }}\n \
         virtual_ipaddress {{\n 10.9.1.{number}/32\n }}\n}}\n"
    )
}

/// The number of the router and its password: the second octet and the last eight (RFC 3768 §5.1, RFC 2338 §5.3.10).
fn password(frame: &Frame) -> Option<(u8, [u8; 8])> {
    let payload = frame.ip().filter(|ip| ip.protocol == 112)?.payload;
    Some((*payload.get(1)?, *payload.last_chunk()?))
}

/// VR-201
#[test]
fn both_send_the_same_password_however_it_is_written() {
    let config: String = SPELLINGS
        .iter()
        .enumerate()
        .map(|(index, spelling)| with_password(index + 1, 255, spelling))
        .collect();
    let sent = |start: fn(&Lan, usize, &str) -> Process| {
        let lan = Lan::new();
        let wire = lan.adverts();
        let daemon = start(&lan, 0, &config);
        poll_until(LIMIT, &format!("adverts of all routers: {}", daemon.log()), || {
            let sent: BTreeMap<u8, [u8; 8]> = wire.frames().iter().filter_map(password).collect();
            Some(sent).filter(|sent| sent.len() == SPELLINGS.len())
        })
    };
    let (keepalived, lvsd) = (sent(Lan::keepalived), sent(Lan::lvsd));
    assert_eq!(keepalived, lvsd);
    assert_eq!(&keepalived[&1], b"'secret'");
}

#[test]
fn a_pair_with_a_quoted_password_has_one_master() {
    let elects = |master: fn(&Lan, usize, &str) -> Process, backup: fn(&Lan, usize, &str) -> Process| {
        let lan = Lan::new();
        let _first = master(&lan, 0, &with_password(1, 150, "'secret'"));
        poll_until(LIMIT, "the first is master", || lan.has(0, "10.9.1.1"));
        let _second = backup(&lan, 1, &with_password(1, 100, "'secret'"));
        // Longer than its master down interval.
        holds_for(Duration::from_secs(5), "the second is backup", || {
            lan.has(0, "10.9.1.1") && !lan.has(1, "10.9.1.1")
        });
    };
    std::thread::scope(|scope| {
        scope.spawn(|| elects(Lan::lvsd, Lan::keepalived));
        scope.spawn(|| elects(Lan::keepalived, Lan::lvsd));
    });
}

/// Two instances that move together; the first one's priority follows another interface.
fn group(priority: u8) -> String {
    let instance = |name: &str, number: u8, address: &str, more: &str| {
        format!(
            "vrrp_instance {name} {{\n interface eth0\n virtual_router_id {number}\n version 3\n advert_int 0.2\n \
             priority {priority}\n {more}\n virtual_ipaddress {{\n {address}/32\n }}\n}}\n"
        )
    };
    let track = "track_interface {\n eth1 weight -60\n }";
    "vrrp_sync_group G {\n group {\n A\n B\n }\n}\n".to_owned()
        + &instance("A", 1, VIP, track)
        + &instance("B", 2, "10.9.0.101", track)
}

/// E10: keepalived says that it ignores the weight, and applies it.
#[test]
fn the_weight_of_an_interface_that_a_member_of_a_group_tracks_moves_the_group() {
    let fails_over = |master: fn(&Lan, usize, &str) -> Process, backup: fn(&Lan, usize, &str) -> Process| {
        let lan = Lan::new();
        let other = Segment::new();
        lan.hosts[0].connect(&other, "eth1", "10.10.0.1/24");
        lan.hosts[1].connect(&other, "eth1", "10.10.0.2/24");
        let has_both = |host| lan.has(host, VIP) && lan.has(host, "10.9.0.101");
        let _first = master(&lan, 0, &group(150));
        poll_until(LIMIT, "the first has both addresses", || has_both(0));
        let _second = backup(&lan, 1, &group(100));
        holds_for(Duration::from_secs(2), "the second is backup", || has_both(0) && !lan.has(1, VIP));
        lan.hosts[0].unplug("eth1");
        poll_until(LIMIT, "the second takes both addresses", || has_both(1) && !lan.has(0, VIP));
    };
    std::thread::scope(|scope| {
        scope.spawn(|| fails_over(Lan::keepalived, Lan::keepalived));
        scope.spawn(|| fails_over(Lan::lvsd, Lan::keepalived));
        scope.spawn(|| fails_over(Lan::keepalived, Lan::lvsd));
        scope.spawn(|| fails_over(Lan::lvsd, Lan::lvsd));
    });
}

/// What the script of a daemon's first master sees: umask, directory, user, environment.
fn seen(start: fn(&Lan, usize, &str) -> Process) -> String {
    let lan = Lan::new();
    let host = &lan.hosts[0];
    let said = host.directory().join("said");
    let text = format!(
        "#!/bin/sh\n{{ umask; pwd; id; env | sort; }} > {said}.new\nmv {said}.new {said}\n",
        said = said.display()
    );
    let path = host.write_file("see.sh", &text);
    host.sh(&format!("chmod +x {path}")).expect("chmod works");
    let config =
        with_password(1, 255, "x").replace(" interface", &format!(" notify_master {path}\n interface"));
    let daemon = start(&lan, 0, &config);
    let seen = poll_until(LIMIT, "what the script saw", || std::fs::read_to_string(&said).ok());
    drop(daemon);
    seen
}

#[test]
fn scripts_see_the_environment_the_directory_and_the_umask_that_keepalived_gives_them() {
    let lvsd = seen(Lan::lvsd);
    let directory = std::env::current_dir().expect("there is one");
    assert!(lvsd.starts_with(&format!("0177\n{}\n", directory.display())), "{lvsd}");
    let path = std::env::var("PATH").expect("there is one");
    assert!(lvsd.lines().any(|line| line.starts_with(&format!("PATH={path}"))), "{lvsd}");
    // keepalived runs no script where it must not set groups: as root of a user namespace.
    if std::fs::read_to_string("/proc/self/setgroups").is_ok_and(|may| may.trim() == "allow") {
        assert_eq!(seen(Lan::keepalived), lvsd);
    }
}
