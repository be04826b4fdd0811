//! `json_table` of examples/embed on a real kernel, with Debian's ipvsadm as the reader.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use lvs_tests::{Host, Process, peers, poll_until, require_ipvs};

const LIMIT: Duration = Duration::from_secs(30);

struct Balancer {
    program: Process,
    host: Host,
    file: String,
}

impl Balancer {
    /// A balancer where the program runs, with this file.
    fn new(text: &str) -> Self {
        require_ipvs();
        let host = Host::new("balancer");
        peers::ipvsadm(&host, "-A -t 10.99.0.1:80 -s rr").expect("a service of somebody else");
        let file = host.write_file("table.json", text);
        let program = peers::built_program("embed", "json_table");
        let program = host.spawn(host.command(&program.to_string_lossy()).arg(&file));
        Self { program, host, file }
    }

    /// Writes the file in one step.
    fn write(&self, text: &str) {
        let new = self.host.write_file("new.json", text);
        fs::rename(new, &self.file).expect("the file");
    }

    /// Waits until the kernel has these lines of `ipvsadm -Sn`.
    fn expect(&self, lines: &[&str]) {
        let wanted: BTreeSet<_> = lines.iter().map(|&line| line.to_owned()).collect();
        poll_until(LIMIT, "the kernel's table is that of the file", || {
            let saved = peers::ipvsadm(&self.host, "-Sn").expect("ipvsadm");
            let saved: BTreeSet<_> = saved.lines().map(|line| line.trim().to_owned()).collect();
            if saved == wanted { Ok(()) } else { Err(format!("{saved:#?}\n{}", self.program.log())) }
        });
    }
}

#[test]
fn the_kernels_table_follows_a_json_file_whatever_happens_to_either() {
    let balancer = Balancer::new(TABLE);
    balancer.expect(&SAVED);
    let daemons = peers::ipvsadm(&balancer.host, "-L --daemon").expect("ipvsadm");
    assert!(daemons.starts_with("backup sync daemon (mcast=lo, syncid=51"), "{daemons}");
    let timeouts = peers::ipvsadm(&balancer.host, "-L --timeout").expect("ipvsadm");
    assert_eq!(timeouts.trim_end(), "Timeout (tcp tcpfin udp): 900 120 60");

    // The file changes.
    let heavier = TABLE.replace("\"weight\": 2", "\"weight\": 7");
    balancer.write(&heavier);
    let saved = SAVED.map(|line| match line {
        "-a -t 10.0.0.1:80 -r 10.0.1.3:8080 -m -w 2" => "-a -t 10.0.0.1:80 -r 10.0.1.3:8080 -m -w 7",
        line => line,
    });
    balancer.expect(&saved);

    // Somebody flushes the kernel's table, stops the daemon, and adds what is not in the file.
    for command in ["-C", "--stop-daemon backup", "-A -u 10.99.0.1:53 -s rr", "--set 0 0 99"] {
        peers::ipvsadm(&balancer.host, command).expect("ipvsadm");
    }
    balancer.expect(&saved);
    poll_until(LIMIT, "timeouts and daemon are repaired", || {
        let daemons = peers::ipvsadm(&balancer.host, "-L --daemon").expect("ipvsadm");
        let timeouts = peers::ipvsadm(&balancer.host, "-L --timeout").expect("ipvsadm");
        let is_right = daemons.starts_with("backup sync daemon") && timeouts.trim_end().ends_with(" 60");
        if is_right { Ok(()) } else { Err(format!("{daemons}{timeouts}")) }
    });

    // The file is wrong, cut short, gone: nothing is lost, also when somebody flushes the kernel's table meanwhile.
    for (text, complaint) in [
        (heavier.replace("10.0.1.3:8080", "10.0.1.2:8080"), "server 10.0.1.2:8080 is there twice at line"),
        (heavier[..heavier.len() / 2].to_owned(), "EOF while parsing"),
        (String::new(), "EOF while parsing a value at line 1 column 0"),
        ("{}".to_owned(), "missing field `services` at line 1 column 2"),
    ] {
        balancer.write(&text);
        balancer.program.wait_for_log(complaint, LIMIT);
    }
    peers::ipvsadm(&balancer.host, "-C").expect("ipvsadm");
    balancer.expect(&saved);
    fs::remove_file(&balancer.file).expect("the file");
    balancer.program.wait_for_log("No such file or directory", LIMIT);
    balancer.expect(&saved);

    // An empty table is what the file says.
    balancer.write("{\"services\": []}");
    balancer.expect(&[]);
}

const TABLE: &str = r#"{
  "services": [
    {"protocol": "tcp", "address": "10.0.0.1:80", "scheduler": "wrr", "persistence": {"timeout": 300, "prefix": 24}, "servers": [
      {"address": "10.0.1.2:8080"},
      {"address": "10.0.1.3:8080", "weight": 2}
    ]},
    {"protocol": "udp", "address": "[2001:db8::1]:53", "scheduler": "sh", "scheduler_flags": ["sh-port"], "servers": [
      {"address": "[2001:db8:1::2]:53", "forwarding": "direct-route"}
    ]},
    {"protocol": "udp", "address": "10.0.0.1:53", "one_packet": true, "servers": [
      {"address": "10.0.1.2:53", "forwarding": "tunnel", "tunnel": {"type": "gue", "port": 6080, "checksum": "full"}},
      {"address": "10.0.1.3:53", "forwarding": "tunnel"}
    ]},
    {"fwmark": 7, "scheduler": "mh", "scheduler_flags": ["mh-fallback", "mh-port"], "servers": [
      {"address": "10.0.1.2:0", "weight": 0, "forwarding": "direct-route"}
    ]},
    {"fwmark": 7, "family": "ipv6", "persistence": {"timeout": 60}}
  ],
  "timeouts": {"udp": 60},
  "sync_daemons": [{"role": "backup", "interface": "lo", "sync_id": 51}]
}
"#;

const SAVED: [&str; 11] = [
    "-A -t 10.0.0.1:80 -s wrr -p 300 -M 255.255.255.0",
    "-a -t 10.0.0.1:80 -r 10.0.1.2:8080 -m -w 1",
    "-a -t 10.0.0.1:80 -r 10.0.1.3:8080 -m -w 2",
    "-A -u [2001:db8::1]:53 -s sh -b sh-port",
    "-a -u [2001:db8::1]:53 -r [2001:db8:1::2]:53 -g -w 1",
    "-A -u 10.0.0.1:53 -s wlc -o",
    "-a -u 10.0.0.1:53 -r 10.0.1.2:53 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum",
    "-a -u 10.0.0.1:53 -r 10.0.1.3:53 -i -w 1 --tun-type ipip",
    "-A -f 7 -s mh -b mh-fallback,mh-port",
    "-a -f 7 -r 10.0.1.2:0 -g -w 0",
    "-A -f 7 -6 -s wlc -p 60",
];
