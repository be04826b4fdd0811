//! The scenario's own command lines, taken by ipvsctl under its name and under ipvsadm's.

use std::os::unix::fs::symlink;

use lvs_tests::{Host, http, peers, poll_until};

use crate::network::{LIMIT, LISTED, Network, trimmed};

/// A shell on a host in which a name stands for the program under test.
struct Shell<'a> {
    host: &'a Host,
}

impl<'a> Shell<'a> {
    fn new(host: &'a Host, name: &str) -> Self {
        let link = host.directory().join(name);
        symlink(peers::built_program("ipvsctl", "ipvsctl"), link).expect("a link");
        Self { host }
    }

    /// Runs a script that must succeed; all that it prints, complaints too.
    #[track_caller]
    fn run(&self, script: &str) -> String {
        let here = self.host.directory().display();
        let whole = format!("cd {here} && PATH={here}:$PATH && {{ {script}\n}} 2>&1");
        self.host.sh(&whole).unwrap_or_else(|error| panic!("{error}"))
    }
}

fn play(name: &str, ipv6: bool) {
    let network = Network::new(ipv6);
    let shell = Shell::new(&network.balancer, name);
    assert!(shell.run(&format!("{name} --version")).contains("ipvsctl"), "it is ours");

    // S1.1: an empty table.
    assert_eq!(shell.run(&format!("{name} -C && {name} -S && {name} -Sn")), "");

    // S1.2: the service and its servers, as the original tool lists them.
    let made = shell.run(&format!(
        "{name} -A -t 192.168.1.12:80 -s wlc
         {name} -a -t 192.168.1.12:80 -r 192.168.2.13:80 -m
         {name} -a -t 192.168.1.12:80 -r 192.168.2.14:80 -m"
    ));
    assert_eq!(made, "");
    assert_eq!(network.listed(), LISTED);
    for listing in ["-ln", "-Ln"] {
        assert_eq!(trimmed(&shell.run(&format!("{name} {listing}"))), LISTED, "{listing}");
    }
    let default = shell.run(&format!(
        "{name} -A -t 192.168.1.12:81 && {name} -Ln -t 192.168.1.12:81 && {name} -D -t 192.168.1.12:81"
    ));
    assert_eq!(trimmed(&default).last().map(String::as_str), Some("TCP  192.168.1.12:81 wlc"), "{default}");

    // S1.3
    network.both_servers_answer_in_turn();
    poll_until(LIMIT, "four connections are counted, two for each server", || {
        let counted = shell.run(&format!("{name} -Ln --stats -t 192.168.1.12:80"));
        let connections: Vec<_> =
            counted.lines().skip(2).filter_map(|line| line.split_whitespace().nth(2)).collect();
        if connections == ["4", "2", "2"] { Ok(()) } else { Err(counted) }
    });
    let connections = shell.run(&format!("{name} -Lnc"));
    assert_eq!(connections.matches("192.168.1.12:80 ").count(), 4, "{connections}");

    // S1.4: save, clear, restore: the same table.
    let before = network.saved();
    assert_eq!(shell.run(&format!("{name} -Sn > rules; {name} -C; {name} -Sn")), "");
    let refused = http::get(&network.console, "http://192.168.1.12/", LIMIT);
    assert!(refused.is_err(), "nobody serves on the balancer itself: {refused:?}");
    assert_eq!(shell.run(&format!("{name} -R < rules")), "");
    assert_eq!(network.saved(), before);
    network.both_servers_answer_in_turn();
}

#[test]
fn the_documents_command_lines_work_with_ipvsctl() {
    play("ipvsctl", true);
}

#[test]
fn the_documents_command_lines_work_with_a_link_named_ipvsadm_and_without_ipv6() {
    play("ipvsadm", false);
}
