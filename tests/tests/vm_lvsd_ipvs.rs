//! What lvsd makes of the kernel's IPVS table, beside Debian's keepalived with the same file, with ipvsadm as the reader.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use lvs_tests::{Host, Process, Segment, holds_for, peers, poll_until, require_ipvs};

const LIMIT: Duration = Duration::from_secs(60);

/// Every keyword of virtual and real servers that shows in the table, and what holds for the whole table.
const EVERYTHING: &str = "\
global_defs {
  lvs_sync_daemon eth0 id 7 maxlen 1400 port 9000 ttl 3 group 224.0.0.99
  lvs_timeouts tcp 100 udp 30
}
virtual_server fwmark 7 {
  lb_algo wlc
  lb_kind DR
  persistence_timeout 100
  persistence_granularity 255.255.255.0
  real_server 10.0.1.1 80 {
    weight 2
  }
}
virtual_server fwmark 8 {
  lb_algo lc
  lb_kind TUN
  ip_family inet6
  real_server 2001:db8:1::1 {
  }
}
virtual_server fwmark 9 {
  lb_algo rr
  lb_kind NAT
  ops
  real_server 2001:db8:1::1 80 {
  }
}
virtual_server 10.0.0.10 80 {
  lvs_sched sh
  flag-1
  sh-port
  lvs_method TUN type gue port 6080 csum
  protocol TCP
  real_server 10.0.1.1 80 {
  }
  real_server 10.0.1.2 80 {
    lvs_method TUN type gre csum
  }
  real_server 10.0.1.3 80 {
    lvs_method DR
  }
  real_server 10.0.1.4 8080 {
    lvs_method NAT
  }
  real_server 10.0.1.5 80 {
    lvs_method TUN type ipip nocsum
  }
  real_server 10.0.1.6 8080 {
    lvs_method TUN type gue port 6081 remcsum
  }
}
virtual_server 10.0.0.11 80 {
  lvs_sched mh
  mh-fallback
  mh-port
  sh-port
  lvs_method TUN
  protocol UDP
  ops
  persistence_granularity 255.255.0.0
  real_server 10.0.1.1 80 {
  }
}
virtual_server 2001:db8::1 5060 {
  lvs_sched rr
  flag-2
  flag-3
  lvs_method NAT
  protocol UDP
  persistence_engine sip
  persistence_timeout
  persistence_granularity 64
  real_server 2001:db8:1::2 5060 {
  }
}
virtual_server 2001:db8::1 443 {
  lvs_sched nq
  lvs_method NAT
  protocol TCP
  persistence_engine sip
  real_server 2001:db8:1::2 {
    weight 65535
  }
}
virtual_server 10.0.0.12 80 {
  lvs_sched fo
  lvs_method NAT
  protocol SCTP
  ops
  real_server 10.0.1.1 80 {
    weight 0
  }
}
virtual_server 10.0.0.13 {
  lvs_method DR
  protocol TCP
  persistence_timeout 50
  real_server 10.0.1.1 {
  }
}
";

/// Servers of the other address family behind tunnels, which a sync daemon excludes.
const MIXED: &str = "\
virtual_server 2001:db8::1 80 {
  lvs_sched rr
  lvs_method TUN
  protocol TCP
  real_server 10.0.1.1 80 {
  }
  real_server 2001:db8:1::2 80 {
  }
}
virtual_server fwmark 9 {
  lvs_sched rr
  lvs_method TUN
  real_server 10.0.1.1 {
  }
  real_server 2001:db8:1::2 {
  }
}
";

/// A service with a server, for what only the words in `global_defs` change.
fn simple(global: &str) -> String {
    format!(
        "global_defs {{\n{global}\n}}\nvirtual_server 10.0.0.10 80 {{\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n \
         real_server 10.0.1.1 80 {{\n }}\n}}\n"
    )
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Daemon {
    Lvsd,
    Keepalived,
}

impl Daemon {
    fn start(self, host: &Host, config: &str) -> Process {
        match self {
            Self::Lvsd => peers::lvsd(host, config, &[]),
            Self::Keepalived => peers::keepalived(host, config),
        }
    }
}

/// A host with an interface, and the segment that it is on.
fn balancer() -> (Host, Segment) {
    require_ipvs();
    let segment = Segment::new();
    let host = Host::new("balancer");
    host.connect(&segment, "eth0", "10.0.0.2/16");
    (host, segment)
}

fn ipvsadm(host: &Host, arguments: &str) -> String {
    peers::ipvsadm(host, arguments).expect("ipvsadm does it")
}

/// Services with their servers, timeouts and daemons in ipvsadm's words, in any order.
fn state(host: &Host) -> BTreeSet<String> {
    let read = ["-Sn", "-L --timeout", "-L --daemon"].map(|arguments| ipvsadm(host, arguments));
    read.iter().flat_map(|text| text.lines()).map(|line| line.trim().to_owned()).collect()
}

/// Waits for a line of the state, and then until nothing changes any more; the state.
#[track_caller]
fn settled(host: &Host, line: &str) -> BTreeSet<String> {
    let mut last = (state(host), Instant::now());
    poll_until(LIMIT, &format!("the state has {line:?} and stays as it is"), || {
        let now = state(host);
        if now != last.0 {
            last = (now, Instant::now());
        }
        let still = last.1.elapsed() >= Duration::from_secs(1) && last.0.contains(line);
        if still { Ok(last.0.clone()) } else { Err(format!("{:#?}", last.0)) }
    })
}

/// What one daemon makes of a file: while it runs and after it has stopped. `before` and `meanwhile` are ipvsadm's
/// arguments: what somebody else does.
fn made_by(
    daemon: Daemon,
    config: &str,
    last_line: &str,
    before: &str,
    meanwhile: &str,
) -> [BTreeSet<String>; 2] {
    let (host, _segment) = balancer();
    if !before.is_empty() {
        ipvsadm(&host, before);
    }
    let process = daemon.start(&host, config);
    let running = settled(&host, last_line);
    if !meanwhile.is_empty() {
        ipvsadm(&host, meanwhile);
    }
    let status = process.terminate();
    assert!(status.success(), "{daemon:?}: {status}\n{}", process.log());
    [running, state(&host)]
}

/// The same by both daemons, which have to agree.
#[track_caller]
fn agreed(config: &str, last_line: &str, before: &str, meanwhile: &str) -> [BTreeSet<String>; 2] {
    let [theirs, ours] = [Daemon::Keepalived, Daemon::Lvsd]
        .map(|daemon| made_by(daemon, config, last_line, before, meanwhile));
    assert_eq!(ours, theirs, "ours, theirs");
    ours
}

fn lines(lines: &[&str]) -> BTreeSet<String> {
    lines.iter().map(|&line| line.to_owned()).collect()
}

const TIMEOUTS: &str = "Timeout (tcp tcpfin udp): 900 120 300";

#[test]
fn every_keyword_makes_the_table_that_keepalived_makes_and_leaves_what_it_leaves() {
    let [running, left] = agreed(EVERYTHING, "-a -t 10.0.0.13:0 -r 10.0.1.1:0 -g -w 1", "", "");
    for line in [
        "-A -f 7 -s wlc -p 100 -M 255.255.255.0",
        "-A -f 8 -6 -s lc",
        "-a -f 9 -6 -r [2001:db8:1::1]:80 -m -w 1",
        "-A -t 10.0.0.10:80 -s sh -b sh-fallback,sh-port",
        "-a -t 10.0.0.10:80 -r 10.0.1.6:80 -i -w 1 --tun-type gue --tun-port 6081 --tun-remcsum",
        "-A -u 10.0.0.11:80 -s mh -p 360 -M 255.255.0.0 -o -b mh-fallback,mh-port",
        "-A -u [2001:db8::1]:5060 -s rr -p 360 -M 64 --pe sip -b flag-2,flag-3",
        "-A -t [2001:db8::1]:443 -s nq",
        "Timeout (tcp tcpfin udp): 100 120 30",
        "master sync daemon (mcast=eth0, syncid=7, maxlen=1400, group=224.0.0.99, port=9000, ttl=3)",
        "backup sync daemon (mcast=eth0, syncid=7, maxlen=1400, group=224.0.0.99, port=9000, ttl=3)",
    ] {
        assert!(running.contains(line), "{line}: {running:#?}");
    }
    assert_eq!(left, lines(&[TIMEOUTS]));
}

#[test]
fn servers_of_the_other_family_behind_tunnels_are_those_of_keepalived() {
    let [running, _] = agreed(MIXED, "-a -f 9 -r [2001:db8:1::2]:0 -i -w 1 --tun-type ipip", "", "");
    assert!(
        running.contains("-a -t [2001:db8::1]:80 -r 10.0.1.1:80 -i -w 1 --tun-type ipip"),
        "{running:#?}"
    );
}

#[test]
fn the_table_of_others_stays_unless_it_is_to_be_flushed() {
    let last = "-a -t 10.0.0.10:80 -r 10.0.1.1:80 -m -w 1";
    let others = "-A -t 10.9.9.9:80 -s rr";
    let ours = ["-A -t 10.0.0.10:80 -s rr", last];
    let meanwhile = "-A -t 10.9.9.8:80 -s rr";

    let [running, left] = agreed(&simple(""), last, others, "");
    assert_eq!(running, lines(&[ours[0], ours[1], others, TIMEOUTS]));
    assert_eq!(left, lines(&[others, TIMEOUTS]));

    let [running, left] = agreed(&simple(" lvs_flush"), last, others, meanwhile);
    assert_eq!(running, lines(&[ours[0], ours[1], TIMEOUTS]));
    assert_eq!(left, lines(&[meanwhile, TIMEOUTS]));

    let [_, left] = agreed(&simple(" lvs_flush_on_stop"), last, others, meanwhile);
    assert_eq!(left, lines(&[TIMEOUTS]));

    let own = "-a -t 10.0.0.10:80 -r 10.7.7.7 -m";
    let [_, left] = agreed(&simple(" lvs_flush_on_stop VS"), last, others, own);
    assert_eq!(left, lines(&[others, TIMEOUTS]));
}

#[test]
fn the_sync_daemon_has_the_default_identifier_and_role_of_keepalived() {
    let with = |global: &str, instance: &str| {
        format!(
            "{}vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n priority 100\n{instance}\n \
             virtual_ipaddress {{\n 10.0.0.100\n }}\n}}\n",
            simple(global)
        )
    };
    let master = |id: u8| {
        format!(
            "master sync daemon (mcast=eth0, syncid={id}, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)"
        )
    };
    let [_, left] = agreed(&with(" lvs_sync_daemon eth0 VI_1", ""), &master(51), "", "");
    assert_eq!(left, lines(&[TIMEOUTS]));
    agreed(&with("", " lvs_sync_daemon_interface eth0"), &master(0), "", "");
}

#[test]
fn a_sync_daemon_whose_length_the_kernel_moves_is_started_once() {
    for (options, least) in
        [("maxlen 1000", "maxlen=1024"), ("maxlen 65507 group ff02::1:51", "maxlen=65487")]
    {
        let (host, _segment) = balancer();
        let process = peers::lvsd(&host, &simple(&format!(" lvs_sync_daemon eth0 {options}")), &[]);
        poll_until(LIMIT, least, || {
            let daemons = ipvsadm(&host, "-L --daemon");
            if daemons.contains(least) { Ok(()) } else { Err(daemons) }
        });
        let before = state(&host);
        ipvsadm(&host, "-C");
        poll_until(LIMIT, "the table is as before", || state(&host) == before);
        let log = process.log();
        assert!(log.contains("start sync daemon backup") && !log.contains("stop sync daemon"), "{log}");
        assert!(process.terminate().success(), "{}", process.log());
    }
}

/// A pair of nodes: the sync daemon sends where the virtual router is master, and receives elsewhere.
#[test]
fn the_role_of_the_sync_daemon_follows_the_virtual_router_on_both_nodes() {
    require_ipvs();
    let segment = Segment::new();
    let nodes = [2, 3].map(|last| {
        let host = Host::new(&format!("node{last}"));
        host.connect(&segment, "eth0", &format!("10.0.0.{last}/24"));
        host
    });
    let config = |priority: u8| {
        format!(
            "{}vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n priority {priority}\n virtual_ipaddress {{\n \
             10.0.0.100\n }}\n}}\n",
            simple(" lvs_sync_daemon eth0 VI_1 id 9")
        )
    };
    let roles = || nodes.each_ref().map(role);
    let owner = |node: usize| {
        poll_until(LIMIT, &format!("node {node} owns the address"), || {
            nodes[node].has_address("eth0", "10.0.0.100")
        });
        Instant::now()
    };
    let roles_become = |expected: [Option<&str>; 2], since: Instant| {
        poll_until(LIMIT, &format!("the roles are {expected:?}"), || {
            let found = roles();
            if found.each_ref().map(Option::as_deref) == expected {
                Ok(())
            } else {
                Err(format!("{found:?}"))
            }
        });
        println!("the roles were {expected:?} {:?} after the address had moved", since.elapsed());
    };
    let first = peers::lvsd(&nodes[0], &config(150), &[]);
    let second = peers::lvsd(&nodes[1], &config(100), &[]);
    roles_become([Some("master"), Some("backup")], owner(0));
    assert!(first.terminate().success(), "{}", first.log());
    roles_become([None, Some("master")], owner(1));
    let first = peers::lvsd(&nodes[0], &config(150), &[]);
    roles_become([Some("master"), Some("backup")], owner(0));
    // A virtual router at fault is no master.
    nodes[0].unplug("eth0");
    roles_become([Some("backup"), Some("master")], owner(1));
    for process in [&first, &second] {
        assert!(process.is_running(), "{}", process.log());
    }
}

/// Which sync daemon runs on a host, if exactly one does.
fn role(host: &Host) -> Option<String> {
    let listed = ipvsadm(host, "-L --daemon");
    let mut roles = listed.lines().filter_map(|line| line.split(' ').next());
    let role = roles.next().map(str::to_owned);
    if roles.next().is_some() { Some(listed) } else { role }
}

#[test]
fn what_somebody_stops_or_changes_comes_back_and_what_nobody_desired_stays() {
    let (host, _segment) = balancer();
    ipvsadm(&host, "-A -t 10.9.9.9:80 -s rr");
    let process = peers::lvsd(&host, &format!("{EVERYTHING}\n"), &[]);
    let before = settled(&host, "-a -t 10.0.0.13:0 -r 10.0.1.1:0 -g -w 1");
    for act in ["--stop-daemon master", "--set 77 0 0", "-C"] {
        ipvsadm(&host, act);
    }
    let others = "-A -t 10.9.9.9:80 -s rr";
    let expected: BTreeSet<String> = before.iter().filter(|line| *line != others).cloned().collect();
    poll_until(LIMIT, "the state is as before", || {
        let now = state(&host);
        if now == expected { Ok(()) } else { Err(format!("{now:#?}")) }
    });
    holds_for(Duration::from_secs(7), "it stays so", || state(&host) == expected);
    let incidents = process.log().matches("somebody else had changed the table").count();
    assert!((1..=3).contains(&incidents), "{}", process.log());
    assert!(process.terminate().success(), "{}", process.log());
}

#[test]
fn a_crashed_daemon_that_starts_again_adopts_its_table_and_its_sync_daemon() {
    let (host, _segment) = balancer();
    let process = peers::lvsd(&host, EVERYTHING, &[]);
    let before = settled(&host, "-a -t 10.0.0.13:0 -r 10.0.1.1:0 -g -w 1");
    process.crash();
    assert_eq!(state(&host), before, "nobody removed it");
    ipvsadm(&host, "-e -t 10.0.0.10:80 -r 10.0.1.3:80 -g -w 5");
    let process = peers::lvsd(&host, EVERYTHING, &[]);
    poll_until(LIMIT, "the table is as before", || state(&host) == before);
    let log = process.log();
    assert_eq!(log.matches(": done").count(), 1, "the one edit: {log}");
    assert!(process.terminate().success(), "{}", process.log());
}
