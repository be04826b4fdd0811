//! Command lines, good and bad, end alike.

use super::side_by_side::{Pair, run};

/// What the lines below work on.
const TABLE: [&str; 8] = [
    "-A -t 10.0.0.1:80 -s rr",
    "-a -t 10.0.0.1:80 -r 10.0.1.1:80 -m",
    "-A -u 10.0.0.1:53",
    "-A -t [2001:db8::1]:80",
    "-A -f 1",
    "-A -f 2 -6",
    "-A -t 10.0.0.2:0 -p",
    "-a -f 1 -r 10.0.1.1:80 -m",
];

#[test]
fn wrong_command_lines_end_with_ipvsadms_status_and_change_nothing() {
    let mut pair = Pair::new();
    for line in TABLE {
        pair.compare(line, "");
    }
    for line in WRONG {
        assert_ne!(pair.compare(line, ""), Some(0), "ipvsadm takes {line}");
    }
    pair.compare_tables("wrong command lines");
    pair.finish();
}

#[test]
fn odd_but_right_command_lines_do_the_same() {
    let mut pair = Pair::new();
    for line in RIGHT {
        pair.compare(line, "");
    }
    pair.compare_tables("right command lines");
    pair.finish();
}

#[test]
fn without_privilege_both_fail() {
    let pair = Pair::new();
    let program = super::side_by_side::ipvsctl();
    for (host, program) in [(&pair.ipvsadm, "ipvsadm"), (&pair.ipvsctl, &*program.to_string_lossy())] {
        for words in ["-Ln", "-C", "-A -t 10.0.0.1:80"] {
            let line = format!("--reuid 65534 --regid 65534 --clear-groups {program} {words}");
            let outcome = run(host, "setpriv", &line, "");
            assert_eq!(outcome.status, Some(2), "{line}: {outcome:?}");
            assert_eq!(outcome.output, "");
        }
    }
}

const WRONG: [&str; 113] = [
    // Words that are no options.
    "foo",
    "-",
    "--",
    "-- -L",
    "''",
    "-q",
    "--foo",
    "-Lq",
    "-L5",
    "-L=",
    "--lis",
    "-L --timeouts",
    "-L --stats=1",
    "-L -q extra",
    "-L extra",
    "-Ln extra",
    "-L -- -n",
    "-A -t 10.0.0.9:80 extra",
    "extra -A -t 10.0.0.9:80",
    "-A -t 10.0.0.9:80 -",
    "-A -- -t 10.0.0.9:80",
    "-add-service -t 10.0.0.9:80",
    "-A -t 10.0.0.9:80 -4",
    // Verbs.
    "-n",
    "-n -L",
    "-nL",
    "-t 10.0.0.9:80 -A",
    "-s rr -A -t 10.0.0.9:80",
    "--sort",
    "--sort -L",
    "-pA 5 -t 10.0.0.9:80",
    "-AE -t 10.0.0.9:80",
    "-L -L",
    "-L -l",
    "-LnL",
    "-L -h",
    "-A -t 10.0.0.9:80 -h",
    "-L -v",
    "--add-service=1 -t 10.0.0.9:80",
    // Arguments that are missing.
    "-A -t",
    "-A -f",
    "-A -t 10.0.0.9:80 -s",
    "-A -t 10.0.0.9:80 --scheduler",
    "-A -t 10.0.0.9:80 -b",
    "-A -u 10.0.0.9:80 --pe",
    "-a -t 10.0.0.1:80 -r",
    "--start-daemon",
    "--stop-daemon",
    "--set=1 2 3",
    // Services.
    "-A",
    "-A -s rr",
    "-E",
    "-D",
    "-A -t 10.0.0.9",
    "-A -t 10.0.0.9:0",
    "-E -t 10.0.0.1:0",
    "-A -t ''",
    "-A -t :80",
    "-A -t 10.0.0.9:",
    "-A -t 10.0.0.9:abc",
    "-A -t 10.0.0.9:65536",
    "-A -t 10.0.0.9:-1",
    "-A -t 10.0.0.9:0x51",
    "-A -t 256.0.0.1:80",
    "-A -t 10.0.0.9.:80",
    "-A -t 10.0.0.9:1:2",
    "-A -t [10.0.0.9]:80",
    "-A -t [2001:db8::9]:",
    "-A -t [2001:db8::9]80",
    "-A -t [2001:db8::9",
    "-A -t 2001:db8::9",
    "-A -t [fe80::1%lo]:80",
    "-A -t no.such.host.invalid:80",
    "-A -f 0",
    "-A -f 4294967296",
    "-A -f -1",
    "-A -f 1x",
    "-A -f 0x10",
    "-A -f ''",
    "-A -6 -f 8",
    "-A -t 10.0.0.9:80 -6",
    "-A -f 4 -f 9",
    "-A -t 10.0.0.9:80 -u 10.0.0.9:80",
    "-A -t 10.0.0.9:80 -s rr -s rr",
    "-A -t 10.0.0.9:80 -p 30 -p",
    "-A -t 10.0.0.9:80 -p 0",
    "-A -t 10.0.0.9:80 -p -5",
    "-A -t 10.0.0.9:80 -p 2678401",
    "-A -t 10.0.0.9:80 -p 0x10",
    "-A -t 10.0.0.9:80 --persistent=",
    "-A -t 10.0.0.9:80 -p 30 40",
    "-A -t 10.0.0.9:80 -p -M abc",
    "-A -t 10.0.0.9:80 -p -M ''",
    "-A -t [2001:db8::9]:80 -p -M 0",
    "-A -t [2001:db8::9]:80 -p -M 129",
    "-A -t [2001:db8::9]:80 -p -M 255.255.255.0",
    "-A -t 10.0.0.9:80 -o",
    "-A -u 10.0.0.9:80 -o -o",
    "-A -t 10.0.0.9:80 -s rr -b flag-4",
    "-A -t 10.0.0.9:80 -b sh-port",
    "-A -t 10.0.0.9:80 -s mh -b sh-port",
    "-A -t 10.0.0.9:80 -s averyveryverylongname",
    "-A -t 10.0.0.9:80 -s nonesuch",
    "-A -u 10.0.0.9:80 --pe nonesuch -p",
    "-A -t 10.0.0.9:80 -w 5",
    "-A -t 10.0.0.9:80 -n",
    // What the kernel refuses.
    "-A -t 10.0.0.1:80",
    "-E -t 10.0.0.9:80",
    "-D -t 10.0.0.9:80",
    "-Z -t 10.0.0.9:80",
    "-L -t 10.0.0.9:80",
    "-L -f 2",
    "-L -u 10.0.0.1:80",
];

const RIGHT: [&str; 78] = [
    "-C",
    "-Sn",
    "-A -t 10.0.0.9:80",
    "-At 10.0.0.9:108",
    "-At10.0.0.9:109",
    "-A -t=10.0.0.9:111",
    "-A --tcp-service=10.0.0.9:112",
    "-A -t 10.0.0.9:smtp",
    "-A -t 10.0.0.9:+85",
    "-A -t 10.0.0.9:086",
    "-A -t 10.0.0:88",
    "-A -t 10:89",
    "-A -t 010.0.0.1:92",
    "-A -t [::1]:94",
    "-A -t [::ffff:1.2.3.4]:97",
    "-A -t 224.0.0.1:98",
    "-A -t 0.0.0.0:99",
    "-A -t 2001:db8::1:80 -p",
    "-A -t 10.0.0.9:118 -s ''",
    "-A -t 10.0.0.9:120 -srr",
    "-A -t 10.0.0.9:121 -s=rr",
    "-A -t 10.0.0.9:122 -p30",
    "-A -t 10.0.0.9:123 -p=30",
    "-A -p -t 10.0.0.9:127",
    "-Ap 5 -t 10.0.0.9:129",
    "-A -t 10.0.0.9 -p 2678400",
    "-A -t 10.0.0.9:139 -p 010",
    "-A -t 10.0.0.9:142 -M 255.255.255.0",
    "-A -t 10.0.0.9:145 -p -M 0.0.0.0",
    "-A -M 255.255.0.0 -p -t 10.0.0.9:158",
    "-A -t 10.0.0.9:148 -p -M 255.255.0",
    "-A -t [2001:db8::9]:150 -p -M 64",
    "-A -f 010",
    "-A -f 7 -6 -6",
    "-A -f 22 -6 -p -M 64",
    "-A -t 10.0.0.9:160 --pe sip",
    "-A -u 10.0.0.9:162 --pe sip -p",
    "-A -u 10.0.0.9:165 --pe '' -p",
    "-A -f 25 --pe sip -p -o",
    "-A --udp-service 10.0.0.5:5 -op7",
    "-A -t 10.0.0.9:171 -b ''",
    "-A -t 10.0.0.9:175 -b sh-port -s sh",
    "-A -t 10.0.0.9:176 -s sh -b ,sh-port,",
    "-A -t 10.0.0.9:180 -s mh -b flag-1,flag-2,flag-3",
    "-A -t 10.0.0.9:199 --",
    "-C --sort --sort",
    "-A -t 10.0.0.1:80",
    "-a -t 10.0.0.1:80 -r 10.0.1.1:8080 -g",
    "-a -t 10.0.0.1:80 -r 10.0.1.2 -x 2147483647",
    "-a -t 10.0.0.1:80 -r 10.0.1.3 -w 2147483647 -m",
    "-a -t 10.0.0.1:80 -r 10.0.1.4:0 -m",
    "-a -t 10.0.0.1:80 -r [2001:db8::5]:9 -i",
    "-a -t 10.0.0.1:80 -r 2001:db8::7 -i",
    "-a -t 10.0.0.1:80 -r 10.0.1.5 --tun-csum --tun-type gre -i",
    "-A -f 9",
    "-a -f 9 -r 10.0.1.1:8080 -g",
    "-a -f 9 -r 10.0.1.1 -i",
    "-d -f 9 -r 10.0.1.1",
    "-E -f 9 -s sh",
    "-e -t 10.0.0.1:80 -r 10.0.1.3 -m",
    "-Z",
    "-Z -f 9",
    "-L --syncid 3",
    "--set 0 0 7",
    "1 --set 2 3",
    "--set 01 02 +3",
    "--start-daemon master --mcast-interface lo",
    "-L --daemon",
    "--start-daemon=backup --mcast-interface lo --syncid 5",
    "-L --daemon -n",
    "--stop-daemon master --syncid 9",
    "--stop-daemon=backup",
    "",
    "-l",
    "--list --numeric",
    "-L --timeout --exact",
    "-R",
    "-L -c --exact --nosort",
];
