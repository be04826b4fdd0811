//! Every verb, flag, scheduler, forwarding method and tunnel, by one program and read by the other.

use super::side_by_side::Pair;

const SCHEDULERS: [&str; 13] =
    ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh"];

/// Makes the same table by both programs, looks at both with both.
fn make(lines: impl IntoIterator<Item = String>) {
    let mut pair = Pair::new();
    for line in lines {
        pair.compare(&line, "");
        pair.compare_lists(&[if line.starts_with("--") { "-L --daemon" } else { "-Sn" }], &line);
    }
    pair.compare_tables("all lines");
    // Each program on the table that the other has made.
    std::mem::swap(&mut pair.ipvsadm, &mut pair.ipvsctl);
    for line in ["-Ln", "-Ln --tun-info", "-Ln --persistent-conn", "-Ln --thresholds", "-L --timeout"] {
        pair.compare(line, "");
    }
    pair.finish();
}

#[test]
fn services_with_every_scheduler_and_flag_are_made_edited_and_removed() {
    let mut lines = Vec::new();
    for (port, scheduler) in (1..).zip(SCHEDULERS) {
        lines.push(format!("-A -t 10.0.0.1:{port} -s {scheduler}"));
        lines.push(format!(
            "-E -t 10.0.0.1:{port} -s {scheduler} -b flag-1,flag-2,flag-3 -p 60 -M 255.255.240.0"
        ));
    }
    for line in [
        "-A -u 10.0.0.1:53 -o",
        "-A --sctp-service 10.0.0.1:9 -s mh -b mh-port",
        "-A -t [2001:db8::1]:80 -s sh -b sh-fallback,sh-port -p -M 64",
        "-A -u [2001:db8::1]:5060 --pe sip -p 60 -o",
        "-A -f 7 -s rr",
        "-A -f 7 -6 -s wrr -p 10 -M 128",
        "-E -f 7 -p",
        "-E -f 7",
        "-D -f 7 -6",
        "-D --sctp-service 10.0.0.1:9",
    ] {
        lines.push(line.to_owned());
    }
    make(lines);
}

#[test]
fn servers_with_every_forwarding_method_tunnel_and_limit_are_made_edited_and_removed() {
    let methods = [
        "",
        "-g",
        "-m",
        "-i",
        "-i --tun-type ipip",
        "-i --tun-type gue --tun-port 6080",
        "-i --tun-type gue --tun-port 6080 --tun-nocsum",
        "-i --tun-type gue --tun-port 65535 --tun-csum",
        "-i --tun-type gue --tun-port 1 --tun-remcsum",
        "-i --tun-type gre",
        "-i --tun-type gre --tun-nocsum",
        "-i --tun-type gre --tun-csum",
    ];
    let mut lines: Vec<String> =
        ["-A -t 10.0.0.1:80", "-A -t [2001:db8::1]:80", "-A -f 7"].map(str::to_owned).into();
    for (host, method) in (1..).zip(methods) {
        lines.push(format!("-a -t 10.0.0.1:80 -r 10.0.1.{host}:80 {method} -w {host}"));
        lines.push(format!("-a -f 7 -r 10.0.1.{host}:8080 {method}"));
        lines.push(format!("-a -t [2001:db8::1]:80 -r [2001:db8:1::{host}]:80 {method} -x 9 -y 3"));
        if method.starts_with("-i") {
            lines.push(format!("-a -t [2001:db8::1]:80 -r 10.0.1.{host} {method}"));
        }
    }
    for line in [
        "-e -t 10.0.0.1:80 -r 10.0.1.1:80 -w 0",
        "-e -t 10.0.0.1:80 -r 10.0.1.2 -i -w 7 -x 100",
        "-e -t 10.0.0.1:80 -r 10.0.1.3 -m",
        "-d -f 7 -r 10.0.1.1:8080",
        "-d -t [2001:db8::1]:80 -r [2001:db8:1::1]:80",
        "-d -t [2001:db8::1]:80 -r 10.0.1.4",
    ] {
        lines.push(line.to_owned());
    }
    make(lines);
}

#[test]
fn timeouts_and_sync_daemons_are_set() {
    make(
        [
            "--set 100 0 300",
            "--set 0 20 0",
            "--start-daemon master --mcast-interface lo --syncid 7 --sync-maxlen 1400 --mcast-group 224.0.0.90 --mcast-port 8900 \
             --mcast-ttl 3",
            "--start-daemon backup --mcast-interface lo --mcast-group ff02::5",
            "--stop-daemon master",
            "--stop-daemon backup",
            "-C",
        ]
        .map(str::to_owned),
    );
}
