//! Prints lvs-ipvs/captures: what Debian's ipvsadm sends to the kernel's IPVS, and what it gets back.
//!
//! `cargo build -p lvs-tests --bin ipvsadm_captures && cargo xtask vm -- target/debug/ipvsadm_captures`. Needs strace.
//! Only the counters of the last command change from one run to the next.
#![allow(clippy::expect_used, clippy::panic)] // what it cannot do, it says

use std::fs;
use std::time::Duration;

use lvs_tests::{Host, poll_until, require_ipvs};

fn main() {
    require_ipvs();
    let host = Host::new("balancer");
    // The sync daemons want an interface with addresses, the counters something that answers.
    let other = Host::new("other");
    host.link("eth0", &other, "eth0");
    host.add_address("eth0", "10.9.0.1/24");
    host.add_address("eth0", "fd00:9::1/64");
    let version = run(&host, "ipvsadm --version 2>&1");
    let version = version.split(' ').nth(1).expect("its version").trim_start_matches('v');
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").expect("the kernel's version");
    println!(
        "; Generic netlink payloads (after the netlink header) of ipvsadm {version} on Linux {}, {}",
        kernel.trim(),
        ENDING
    );
    println!(
        "; > sent, < received, | printed. Every run first sends GET_INFO; it is kept in the first only."
    );
    let mut is_first = true;
    for command in COMMANDS {
        capture(&host, command, &mut is_first);
    }
    for packet in 0..3 {
        run(&host, &format!("echo {packet} > /dev/udp/10.9.0.1/5353"));
    }
    // The kernel brings counters up to date every two seconds.
    poll_until(Duration::from_secs(20), "counters", || {
        let listed = run(&host, "ipvsadm -L -n --stats -u 10.9.0.1:5353");
        if listed.contains(" 3 ") { Ok(()) } else { Err(listed) }
    });
    capture(&host, "ipvsadm -L -n --stats --exact -u 10.9.0.1:5353", &mut is_first);
}

fn capture(host: &Host, command: &str, is_first: &mut bool) {
    let file = host.directory().join("trace");
    let trace = format!("strace -f -o {} -xx -s 1048576 -e trace=sendmsg,recvmsg {command}", file.display());
    let printed = run(host, &trace);
    println!("\n# {command}");
    for line in fs::read_to_string(&file).expect("a trace").lines() {
        // libnl looks at how long an answer is before it takes it.
        if line.contains("MSG_PEEK") {
            continue;
        }
        let mark = if line.contains("sendmsg(") { '>' } else { '<' };
        for payload in payloads(line) {
            let is_info = payload.starts_with("0f") || payload.starts_with("0e");
            if *is_first || !is_info {
                println!("{mark} {payload}");
            }
        }
    }
    *is_first = false;
    for line in printed.lines() {
        println!("| {}", line.trim_end());
    }
}

/// What follows the header of each message of the family, in hexadecimal digits.
fn payloads(line: &str) -> Vec<String> {
    line.split("{nlmsg_len=")
        .skip(1)
        // The controller, where families are looked up, and the messages of netlink itself.
        .filter(|message| {
            !["NLMSG_", "nlctrl", "0x10 "].iter().any(|kind| message.contains(&format!("nlmsg_type={kind}")))
        })
        .filter_map(|message| message.split('"').nth(1))
        .map(|octets| octets.replace("\\x", ""))
        .collect()
}

fn run(host: &Host, script: &str) -> String {
    let mut command = host.command("bash");
    host.output(command.args(["-c", script])).unwrap_or_else(|failure| panic!("{failure}"))
}

const ENDING: &str = if cfg!(target_endian = "little") { "little endian" } else { "big endian" };

const COMMANDS: [&str; 59] = [
    "ipvsadm -A -t 10.0.0.1:80 -s rr",
    "ipvsadm -a -t 10.0.0.1:80 -r 10.0.0.3:8080 -m -w 5",
    "ipvsadm -a -t 10.0.0.1:80 -r 10.0.0.4:80 -g -w 0 -x 100 -y 50",
    "ipvsadm -E -t 10.0.0.1:80 -s sh -b sh-port -p 300 -M 255.255.255.0",
    "ipvsadm -e -t 10.0.0.1:80 -r 10.0.0.3:8080 -m -w 7",
    "ipvsadm -A -u [2001:db8::1]:53 -s wlc -o -p 60 -M 64",
    "ipvsadm -a -u [2001:db8::1]:53 -r [2001:db8::3]:53 -i",
    "ipvsadm -A -f 7 -s mh -b mh-fallback,mh-port",
    "ipvsadm -A -f 8 -6",
    "ipvsadm -a -f 8 -6 -r [2001:db8::4]:0 -g",
    "ipvsadm -A --sctp-service 10.0.0.1:9 -s lc",
    "ipvsadm --set 901 121 301",
    "ipvsadm -L -n",
    "ipvsadm -L --timeout",
    "ipvsadm -d -t 10.0.0.1:80 -r 10.0.0.4:80",
    "ipvsadm -D -f 7",
    "ipvsadm -Z -t 10.0.0.1:80",
    "ipvsadm -Z",
    "ipvsadm -C",
    "ipvsadm --start-daemon master --mcast-interface eth0",
    "ipvsadm --start-daemon backup --mcast-interface eth0 --syncid 7",
    "ipvsadm -L --daemon",
    "ipvsadm --stop-daemon master",
    "ipvsadm --stop-daemon backup",
    "ipvsadm --start-daemon master --mcast-interface eth0 --syncid 51 --sync-maxlen 1400 --mcast-group 224.0.0.99 --mcast-port 9000 --mcast-ttl 3",
    "ipvsadm --start-daemon backup --mcast-interface eth0 --syncid 255 --sync-maxlen 500 --mcast-group ff02::99 --mcast-port 9001 --mcast-ttl 255",
    "ipvsadm --list --daemon",
    "ipvsadm --stop-daemon=backup",
    "ipvsadm --stop-daemon=master",
    "ipvsadm -A -u 10.0.0.1:5060 -s rr -o -p 600 --pe sip",
    "ipvsadm -L -n -u 10.0.0.1:5060",
    "ipvsadm -E -u 10.0.0.1:5060 -s rr -o -p 600",
    "ipvsadm --save -n",
    "ipvsadm -D -u 10.0.0.1:5060",
    "ipvsadm -A -t 10.0.0.1:80 -s wlc",
    "ipvsadm -a -t 10.0.0.1:80 -r 10.0.1.1:80 -i --tun-type gue --tun-port 6080",
    "ipvsadm -a -t 10.0.0.1:80 -r 10.0.1.2:80 -i --tun-type gue --tun-port 6080 --tun-nocsum",
    "ipvsadm -a -t 10.0.0.1:80 -r 10.0.1.3:80 -i --tun-type gue --tun-port 6081 --tun-csum",
    "ipvsadm -a -t 10.0.0.1:80 -r 10.0.1.4:80 -i --tun-type gue --tun-port 65535 --tun-remcsum",
    "ipvsadm -a -t 10.0.0.1:80 -r 10.0.1.5:80 -i --tun-type gre",
    "ipvsadm -a -t 10.0.0.1:80 -r 10.0.1.6:80 -i --tun-type gre --tun-csum",
    "ipvsadm -a -t 10.0.0.1:80 -r 10.0.1.7:80 -i --tun-type ipip",
    "ipvsadm -e -t 10.0.0.1:80 -r 10.0.1.7:80 -i --tun-type gue --tun-port 7 -w 9",
    "ipvsadm -L -n -t 10.0.0.1:80 --tun-info",
    "ipvsadm -A -t [2001:db8::1]:80 -s rr",
    "ipvsadm -a -t [2001:db8::1]:80 -r 10.0.1.9:80 -i",
    "ipvsadm -L -n -t [2001:db8::1]:80",
    "ipvsadm -d -t [2001:db8::1]:80 -r 10.0.1.9:80",
    "ipvsadm -A -f 9 -s rr -p 300 -M 0.0.0.0",
    "ipvsadm -A -f 10 -6 -s rr -p 300 -M 1",
    "ipvsadm -A -f 4294967295 -s sh -b flag-1,flag-3",
    "ipvsadm -A -t 0.0.0.0:0 -s lc -p",
    "ipvsadm -S -n",
    "ipvsadm -Z -f 10 -6",
    "ipvsadm --clear",
    "ipvsadm --set 0 0 30",
    "ipvsadm --list --timeout",
    "ipvsadm -A -u 10.9.0.1:5353 -s rr",
    "ipvsadm -a -u 10.9.0.1:5353 -r 10.9.0.1:5354 -m",
];
