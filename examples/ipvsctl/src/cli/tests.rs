use lvs_core::{Change, Forwarding, SyncDaemon, Timeouts, Tunnel, TunnelChecksum};
use proptest::prelude::*;

use super::*;
use crate::command::{Columns, Subject};
use crate::list::Service;
use crate::names::Numeric;
use crate::save;

fn read(line: &str) -> Result<Command, UsageError> {
    parse(line.split_ascii_whitespace(), &Numeric)
}

fn change(line: &str) -> Change {
    match read(line) {
        Ok(Command::Edit(change)) => change,
        other => panic!("{line}: {other:?}"),
    }
}

fn refusal(line: &str) -> (u8, String) {
    let error = read(line).expect_err(line);
    (error.exit_status(), error.to_string())
}

/// The edit in the words of a saved table.
fn saved(line: &str) -> String {
    let (service, servers) = match change(line) {
        Change::AddService(service) | Change::EditService(service) => (service, Vec::new()),
        Change::AddServer(key, server) | Change::EditServer(key, server) => {
            (lvs_core::VirtualService::new(key), vec![(server, Default::default())])
        }
        other => panic!("{line}: {other}"),
    };
    let service = Service { service, counters: Default::default(), servers };
    save::table(&[service], &Numeric).lines().last().unwrap_or_default().to_owned()
}

#[test]
fn every_option_of_a_service_is_understood() {
    for (line, expected) in [
        ("-A -t 10.0.0.1:80", "-A -t 10.0.0.1:80 -s wlc"),
        ("-E -u 10.0.0.1:53 -s rr -o", "-A -u 10.0.0.1:53 -s rr -o"),
        ("-A --sctp-service 10.0.0.1:9 -s sh -b sh-port", "-A --sctp-service 10.0.0.1:9 -s sh -b sh-port"),
        (
            "-A -b flag-1,mh-port -s mh -t [2001:db8::1]:80",
            "-A -t [2001:db8::1]:80 -s mh -b mh-fallback,mh-port",
        ),
        ("-A -f 7", "-A -f 7 -s wlc"),
        ("-A -f 4294967295 -6", "-A -f 4294967295 -6 -s wlc"),
        ("-A -f 7 -6 -6 -p -M 64", "-A -f 7 -6 -s wlc -p 360 -M 64"),
        ("-A -M 64 -p 5 -t [2001:db8::1]:80", "-A -t [2001:db8::1]:80 -s wlc -p 5 -M 64"),
        ("-A -t 10.0.0.1 -p -M 255.255.255.0", "-A -t 10.0.0.1:0 -s wlc -p 360 -M 255.255.255.0"),
        ("-A -t 10.0.0.1 -p -M 0.0.0.0", "-A -t 10.0.0.1:0 -s wlc -p 360 -M 0.0.0.0"),
        ("-A -u 10.0.0.1:5060 --pe sip -p 60 -o", "-A -u 10.0.0.1:5060 -s wlc -p 60 --pe sip -o"),
        ("-A -t 10.0.0.1:80 -s= --pe= -b=", "-A -t 10.0.0.1:80 -s wlc"),
        (
            "--add-service --tcp-service=10.0.0.1:80 --scheduler nq --persistent=9",
            "-A -t 10.0.0.1:80 -s nq -p 9",
        ),
        ("-A --sort -t 10.0.0.1:80 --sort", "-A -t 10.0.0.1:80 -s wlc"),
    ] {
        assert_eq!(saved(line), expected, "{line}");
    }
}

#[test]
fn every_option_of_a_server_is_understood() {
    for (line, expected) in [
        ("-a -t 10.0.0.1:80 -r 10.0.1.1", "-a -t 10.0.0.1:80 -r 10.0.1.1:80 -g -w 1"),
        // The port of a server that is not translated is the service's.
        ("-a -t 10.0.0.1:80 -r 10.0.1.1:8080 -g", "-a -t 10.0.0.1:80 -r 10.0.1.1:80 -g -w 1"),
        ("-a -t 10.0.0.1:80 -r 10.0.1.1:8080 -m", "-a -t 10.0.0.1:80 -r 10.0.1.1:8080 -m -w 1"),
        ("-a -r 10.0.1.1 -t 10.0.0.1:80 -m -w 0", "-a -t 10.0.0.1:80 -r 10.0.1.1:80 -m -w 0"),
        ("-e -f 7 -r 10.0.1.1:8080 -g", "-a -f 7 -r 10.0.1.1:8080 -g -w 1"),
        ("-a -f 7 -r 10.0.1.1", "-a -f 7 -r 10.0.1.1:0 -g -w 1"),
        ("-a -f 7 -r [2001:db8::5]:80 -m -6", "-a -f 7 -6 -r [2001:db8::5]:80 -m -w 1"),
        (
            "-a -t [2001:db8::1]:80 -r 10.0.1.1 -i",
            "-a -t [2001:db8::1]:80 -r 10.0.1.1:80 -i -w 1 --tun-type ipip",
        ),
        ("-a -t 10.0.0.1:80 -r 10.0.1.1 -x 9 -y 3", "-a -t 10.0.0.1:80 -r 10.0.1.1:80 -g -w 1 -x 9 -y 3"),
        (
            "-a -t 10.0.0.1:80 -r 10.0.1.1 --tun-remcsum --tun-port 6080 --tun-type gue -i",
            "-a -t 10.0.0.1:80 -r 10.0.1.1:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum",
        ),
        (
            "-a -t 10.0.0.1:80 -r 10.0.1.1 -i --tun-type gre --tun-csum",
            "-a -t 10.0.0.1:80 -r 10.0.1.1:80 -i -w 1 --tun-type gre --tun-csum",
        ),
    ] {
        assert_eq!(saved(line), expected, "{line}");
    }
    let Change::EditServer(_, server) =
        change("-e -t 10.0.0.1:80 -r 10.0.1.1 -i --tun-type gue --tun-port 1 --tun-nocsum")
    else {
        panic!("an edit of a server");
    };
    let port = NonZeroU16::MIN;
    let gue = Tunnel::Gue { port, checksum: TunnelChecksum::None };
    assert_eq!(server.forwarding(), Forwarding::Tunnel(gue));
}

#[test]
fn removals_name_what_goes() {
    assert_eq!(change("-D -f 7 -6").to_string(), "remove service fwmark 7 IPv6");
    assert_eq!(
        change("-d -t 10.0.0.1:80 -r 10.0.1.1").to_string(),
        "remove destination 10.0.1.1:80 from tcp 10.0.0.1:80"
    );
    assert_eq!(
        change("-d -t 10.0.0.1:80 -r [2001:db8::5]:8080").to_string(),
        "remove destination [2001:db8::5]:8080 from tcp 10.0.0.1:80"
    );
}

#[test]
fn settings_are_edits() {
    let [tcp, tcp_fin, udp] = [1, 0, 3].map(Duration::from_secs);
    let timeouts = Change::SetTimeouts(Timeouts { tcp, tcp_fin, udp });
    for line in ["--set 1 0 3", "1 --set 0 3", "--set 1 00 -- +3"] {
        assert_eq!(change(line), timeouts, "{line}");
    }
    let daemon = SyncDaemon::new(SyncRole::Backup, "eth0")
        .and_then(|daemon| daemon.with_max_length(1400))
        .and_then(|daemon| daemon.with_group("ff02::5".parse().unwrap()))
        .unwrap()
        .with_sync_id(255)
        .with_port(NonZeroU16::MAX)
        .with_ttl(NonZeroU8::MAX);
    let line = "--start-daemon=backup --mcast-interface eth0 --syncid 255 --sync-maxlen 1400 --mcast-group ff02::5 \
                --mcast-port 65535 --mcast-ttl 255";
    assert_eq!(change(line), Change::StartDaemon(daemon));
    let daemon = SyncDaemon::new(SyncRole::Master, "eth0").unwrap();
    assert_eq!(change("--start-daemon master"), Change::StartDaemon(daemon));
    assert_eq!(change("--stop-daemon master --syncid 3"), Change::StopDaemon(SyncRole::Master));
}

#[test]
fn lists_have_one_subject_and_the_first_columns_that_are_asked_for() {
    let list = |line| match read(line) {
        Ok(Command::List(listing)) => listing,
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(list(""), Listing::default());
    assert_eq!(list("-l"), Listing::default());
    let listing = list("-Ln --exact --nosort --sort --rate --stats");
    assert!(listing.numeric && listing.exact && listing.unsorted);
    assert_eq!(listing.subject, Subject::Services(None, Columns::Counters));
    for (line, columns) in [
        ("-L --thresholds --rate", Columns::Rates),
        ("-L --persistent-conn --thresholds", Columns::Thresholds),
        ("-L --tun-info --persistent-conn", Columns::Persistent),
        ("-L --tun-info", Columns::Tunnels),
    ] {
        assert_eq!(list(line).subject, Subject::Services(None, columns), "{line}");
    }
    let key = ServiceKey::address(Protocol::Udp, ([10, 0, 0, 1], 53).into());
    assert_eq!(list("-Lu 10.0.0.1:53").subject, Subject::Services(Some(key), Columns::Forwarding));
    assert_eq!(list("-Lnc").subject, Subject::Connections { engine_data: false });
    assert_eq!(list("-L -c --persistent-conn").subject, Subject::Connections { engine_data: true });
    assert_eq!(list("-L --timeout -n").subject, Subject::Timeouts);
    assert_eq!(list("-L --daemon").subject, Subject::Daemons);
}

#[test]
fn the_remaining_verbs_are_understood() {
    assert_eq!(read("-C"), Ok(Command::Clear));
    assert_eq!(read("-R"), Ok(Command::Restore));
    assert_eq!(read("-Sn"), Ok(Command::Save { numeric: true }));
    assert_eq!(read("-Z"), Ok(Command::Zero(None)));
    assert!(matches!(read("-Z -f 1"), Ok(Command::Zero(Some(_)))));
    for line in ["-h", "--help", "-hL", "-h -q", "-h extra"] {
        assert_eq!(read(line), Ok(Command::Help), "{line}");
    }
    for line in ["-v", "--version", "-vv", "-v --nonsense"] {
        assert_eq!(read(line), Ok(Command::Version), "{line}");
    }
}

#[test]
fn faults_end_with_the_status_that_ipvsadm_has_for_them() {
    let usage = [
        "-A",
        "-A -s rr",
        "-A -t",
        "-A -t 10.0.0.1",
        "-A -t 10.0.0.1:0",
        "-A -t 10.0.0.1:80 extra",
        "extra -L",
        "-A -t 10.0.0.1:80 -u 10.0.0.1:80",
        "-A -f 1 -f 2",
        "-A -f 0",
        "-A -f 4294967296",
        "-A -6 -f 1",
        "-A -t 10.0.0.1:80 -6",
        "-A -t 10.0.0.1:80 -s rr -s rr",
        "-A -t 10.0.0.1:80 -p 0",
        "-A -t 10.0.0.1:80 -p 2678401",
        "-A -t 10.0.0.1:80 -p x",
        "-A -t 10.0.0.1:80 -p -M abc",
        "-A -t [::1]:80 -p -M 129",
        "-A -t 10.0.0.1:80 -o",
        "-A -t 10.0.0.1:80 -b flag-4",
        "-A -t 10.0.0.1:80 -b sh-port",
        "-A -t 10.0.0.1:80 -w 1",
        "-A -t 10.0.0.1:80 -A",
        "-AE",
        "-A -t 10.0.0.1:80 -h",
        "-a -t 10.0.0.1:80",
        "-a -r 10.0.0.1",
        "-a -t 10.0.0.1:80 -r 10.0.0.1:",
        "-a -t 10.0.0.1:80 -r 10.0.0.1 -g -m",
        "-a -t 10.0.0.1:80 -r 10.0.0.1 -w -1",
        "-a -t 10.0.0.1:80 -r 10.0.0.1 -w 2147483648",
        "-a -t 10.0.0.1:80 -r 10.0.0.1 -x 2147483648",
        "-a -t 10.0.0.1:80 -r [::1]:80 -m",
        "-a -t 10.0.0.1:80 -r 10.0.0.1 --tun-type gre",
        "-a -t 10.0.0.1:80 -r 10.0.0.1 -i --tun-type gue",
        "-a -t 10.0.0.1:80 -r 10.0.0.1 -i --tun-type gre --tun-port 1",
        "-a -t 10.0.0.1:80 -r 10.0.0.1 -i --tun-csum",
        "-a -t 10.0.0.1:80 -r 10.0.0.1 -i --tun-type gre --tun-remcsum",
        "-a -t 10.0.0.1:80 -r 10.0.0.1 -i --tun-type gre --tun-csum --tun-nocsum",
        "-a -t 10.0.0.1:80 -r 10.0.0.1 -i --tun-type gue --tun-port 0",
        "-d -t 10.0.0.1:80 -r 10.0.0.1 -w 1",
        "-d -t 10.0.0.1:80",
        "-D -t 10.0.0.1:80 -n",
        "-C -n",
        "-R -n",
        "-S -t 10.0.0.1:80",
        "-Z -n",
        "-L extra",
        "-L --timeout --daemon",
        "-L -c --stats",
        "-L -c -t 10.0.0.1:80",
        "-L --daemon --persistent-conn",
        "-L --timeout -t 10.0.0.1:80",
        "-L -n -n",
        "-L -6",
        "--set 1 2",
        "--set",
        "--set 1 2 3 4",
        "--set 1 x 3",
        "--set 1 2 3 -n",
        "--start-daemon foo",
        "--stop-daemon foo",
        "--start-daemon master --mcast-group 10.0.0.1",
        "--start-daemon master --syncid 256",
        "--start-daemon master --mcast-ttl 0",
        "--start-daemon master extra",
    ];
    for line in usage {
        let expected = if line == "-A -t" { 255 } else { 2 };
        let (status, text) = refusal(line);
        assert_eq!(status, expected, "{line}: {text}");
        assert!(!text.is_empty() && !text.ends_with('.'), "{line}: {text}");
    }
    let refused = [
        "foo",
        "-",
        "--",
        "-- -L",
        "-q",
        "--foo",
        "-n",
        "-t 10.0.0.1:80 -A",
        "-s rr -A -t 10.0.0.1:80",
        "--sort -L",
        "-L -q",
        "-L5",
        "-L=",
        "-L --timeouts",
        "-L --stats=1",
        "-L extra -q",
        "-A -t 10.0.0.1:80 -p -5",
        "-A -t 10.0.0.1:80 -s",
        "-A -t 10.0.0.1:80 -s averyveryverylongname",
        "--set=1 2 3",
        "--start-daemon",
        "--stop-daemon",
        "--start-daemon master --mcast-interface sixteencharname1",
        "-A -t 10.0.0.1:80 -4",
    ];
    for line in refused {
        let (status, text) = refusal(line);
        assert_eq!(status, 255, "{line}: {text}");
    }
}

#[test]
fn a_fault_says_what_to_do() {
    for (line, text) in [
        (
            "-A",
            "-A: the service is missing; add `-t HOST:PORT`, `-u HOST:PORT`, `--sctp-service HOST:PORT` or `-f MARK`",
        ),
        ("-C -n", "-n: this option does not go with -C; leave it out"),
        ("-L -c --stats", "--stats: this option and -c are two lists; leave one of them out"),
        ("-A -E", "-E: -A stands there already; one command line has one verb"),
        (
            "-a -t 10.0.0.1:80 -r 10.0.1.1 -gm",
            "-m: this option, or an alternative to it, stands there already; leave one of them out",
        ),
        ("-n -L", "-n: a command line begins with its verb, such as -A, -a or -L; `-h` lists them"),
    ] {
        assert_eq!(refusal(line).1, text, "{line}");
    }
}

/// Words that are likely to get far.
fn word() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "-A",
        "-E",
        "-a",
        "-e",
        "-d",
        "-D",
        "-L",
        "-Ln",
        "-S",
        "-Z",
        "-R",
        "-t",
        "-u",
        "-f",
        "-6",
        "-s",
        "-p",
        "-M",
        "-r",
        "-g",
        "-i",
        "-m",
        "-w",
        "-x",
        "-b",
        "-o",
        "-n",
        "-c",
        "--pe",
        "--set",
        "--start-daemon",
        "--stop-daemon",
        "--tun-type",
        "--tun-port",
        "--tun-csum",
        "--syncid",
        "--mcast-interface",
        "--mcast-group",
        "--mcast-ttl",
        "--stats",
        "--timeout",
        "--sctp-service",
        "10.0.0.1:80",
        "[2001:db8::1]:80",
        "[::1",
        "1",
        "0",
        "rr",
        "sh",
        "sh-port,flag-3",
        "gue",
        "gre",
        "master",
        "eth0",
        "224.0.0.5",
        "64",
        "255.255.255.0",
        "--",
        "-",
        "",
        "=",
        "-p5",
        "-t=1",
    ]);
    prop_oneof![8 => known.prop_map(str::to_owned), 1 => "\\PC{0,12}", 1 => "-{1,2}[a-zA-Z0-9=]{0,6}"]
}

proptest! {
    #[test]
    fn no_command_line_panics(words in prop::collection::vec(word(), 0..12)) {
        if let Err(error) = parse(words.iter().map(String::as_str), &Numeric) {
            prop_assert!(matches!(error.exit_status(), 2 | 255), "{}", error);
        }
    }

    #[test]
    fn what_is_saved_of_a_line_says_the_same_as_the_line(words in prop::collection::vec(word(), 0..12)) {
        let line = words.join(" ");
        if let Ok(Command::Edit(Change::AddService(_) | Change::AddServer(..))) = read(&line) {
            let once = saved(&line);
            prop_assert_eq!(&saved(&once), &once);
            // A server's edit is the same but for its service, of which the line says the key alone.
            prop_assert_eq!(change(&once), change(&line));
        }
    }
}
