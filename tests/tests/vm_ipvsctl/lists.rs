//! Lists of the same table, byte for byte.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use lvs_tests::{Host, poll_until, require_ipvs};

use super::side_by_side::{Outcome, ipvsctl, run};

const LIMIT: Duration = Duration::from_secs(60);

const COLUMNS: [&str; 6] = ["", "--stats", "--rate", "--thresholds", "--persistent-conn", "--tun-info"];

/// A table with one of each kind.
const TABLE: &str = "\
-A -t 10.0.0.1:80 -s wrr
-a -t 10.0.0.1:80 -r 10.0.1.1:8080 -m -w 3 -x 100 -y 50
-a -t 10.0.0.1:80 -r 10.0.1.4:445 -m
-a -t 10.0.0.1:80 -r 10.0.1.2 -g -w 0
-a -t 10.0.0.1:80 -r 192.168.1.2 -i -w 2147483647
-a -t 10.0.0.1:80 -r 10.0.1.5 -i --tun-type gue --tun-port 6080 --tun-remcsum
-a -t 10.0.0.1:80 -r 10.0.1.6 -i --tun-type gre --tun-csum
-a -t 10.0.0.1:80 -r [2001:db8::4]:80 -i
-A -t 10.0.1.4:445 -s lc
-A -t 10.0.0.2:0 -p
-A -t 192.168.0.1:443 -s sh -b sh-fallback,sh-port -p 30 -M 255.255.255.0
-A -u 10.0.0.1:53 -o
-A -u 10.0.0.1:5060 --pe sip -p 60
-A -u 10.0.0.1:161 -s mh -b mh-port,flag-3 -p 60 --pe sip -o -M 255.0.0.0
-A --sctp-service 10.0.0.1:80 -s rr -b flag-1,flag-3
-A -t [2001:db8::1]:80 -s fo -p 200 -M 64
-a -t [2001:db8::1]:80 -r [2001:db8:1111:2222:3333:4444:5555:6666]:65535 -m
-a -t [2001:db8::1]:80 -r [2001:db8::4]:80 -g
-a -t [2001:db8::1]:80 -r 10.0.1.4 -i
-A -t [2001:db8::4]:445
-A -f 7 -s ovf
-a -f 7 -r 10.0.1.4:443 -m
-a -f 7 -r 10.0.1.1 -g
-A -f 7 -6 -p 100 -M 64
-a -f 7 -6 -r [2001:db8::5]:99 -m
-A -f 2147483647
";

/// Names, some of them longer than any column.
const HOSTS: &str = "\
127.0.0.1 localhost
10.0.0.1 vip.example.com vip
10.0.1.1 web1
10.0.1.2 exactly28characters.example.
10.0.1.4 averyveryverylonghostname.with.a.long.domain.example.com
2001:db8::1 six
2001:db8::4 averyveryverylongsixhostname.with.a.long.domain.example.com
";

/// A host where both programs see these names.
struct Named {
    host: Host,
    hosts: String,
}

impl Named {
    fn new() -> Self {
        require_ipvs();
        let host = Host::new("names");
        let hosts = host.write_file("hosts", HOSTS);
        Self { host, hosts }
    }

    /// Runs a shell script that sees the names.
    fn sh(&self, script: &str, input: &str) -> Outcome {
        let script = format!("mount --bind {} /etc/hosts || exit 99\n{script}", self.hosts);
        let file = self.host.write_file("script", &script);
        run(&self.host, "unshare", &format!("--mount sh {file}"), input)
    }

    /// What each of the programs lists with these words.
    fn lists(&self, program: &str, words: &[String]) -> Vec<String> {
        let commands = words.iter().map(|words| format!("{program} {words} 2>&1\necho '@ status' $?\n"));
        let outcome = self.sh(&commands.collect::<String>(), "");
        assert_eq!((outcome.status, outcome.complaints.as_str()), (Some(0), ""));
        outcome.output.split("@ status").map(str::to_owned).collect()
    }

    /// Both programs list the same.
    fn compare(&self, words: &[String]) -> Result<(), String> {
        let theirs = self.lists("ipvsadm", words);
        let ours = self.lists(&ipvsctl().to_string_lossy(), words);
        for ((ours, theirs), words) in ours.iter().zip(&theirs).zip(words) {
            if timeless(ours) != timeless(theirs) {
                return Err(format!("{words}\nipvsctl:\n{ours}\nipvsadm:\n{theirs}"));
            }
        }
        assert_eq!(ours.len(), theirs.len());
        Ok(())
    }
}

/// The same list with zeros for the times that connections have left: these go on while one looks.
fn timeless(list: &str) -> String {
    let line = |line: &str| match line.splitn(3, ' ').collect::<Vec<_>>()[..] {
        [protocol, time, rest] if time.contains(':') => {
            format!("{protocol} {} {rest}\n", time.replace(|digit: char| digit.is_ascii_digit(), "0"))
        }
        _ => format!("{line}\n"),
    };
    list.lines().map(line).collect()
}

#[test]
fn every_list_is_ipvsadms_to_the_byte_with_numbers_and_with_names() {
    let named = Named::new();
    let made = named.sh("ipvsadm -R", TABLE);
    assert_eq!((made.status, made.complaints.as_str()), (Some(0), ""));
    let mut lists: Vec<String> =
        ["-L --timeout", "-L --daemon", "-Lc", "-Lnc --persistent-conn", "-L --stats --rate"]
            .map(str::to_owned)
            .into();
    for columns in COLUMNS {
        for more in ["", "-n", "--nosort", "-n --nosort", "-n --exact"] {
            lists.push(format!("-L {columns} {more}"));
        }
        for service in ["-t 10.0.0.1:80", "-u 10.0.0.1:161", "-t [2001:db8::1]:80", "-f 7", "-f 7 -6"] {
            lists.push(format!("-L {service} {columns}"));
        }
    }
    named.compare(&lists).unwrap();
}

#[test]
fn tables_of_any_addresses_and_marks_come_in_ipvsadms_order() {
    require_ipvs();
    let host = Host::new("order");
    let program = ipvsctl().to_string_lossy().into_owned();
    for seed in 1..=25_u64 {
        let table = random_table(&mut Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        run(&host, "ipvsadm", "-C", "");
        let made = run(&host, &program, "-R", &table);
        // Some lines are refused, as services that come twice; the last one may be.
        assert!(matches!(made.status, Some(0 | 255)), "{}", made.complaints);
        for words in ["-Ln", "-Ln --nosort"] {
            let theirs = run(&host, "ipvsadm", words, "");
            let ours = run(&host, &program, words, "");
            assert_eq!(
                ours.output, theirs.output,
                "seed {seed}, {words}\n{}\n{}",
                ours.output, theirs.output
            );
        }
    }
}

/// A small generator; a seed is a table.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % end
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn ipv4(&mut self) -> String {
        let first = self.of(&[0, 1, 10, 100, 127, 128, 192, 200, 223, 255]);
        format!("{first}.{}.{}.{}", self.of(&[0, 168, 255]), self.of(&[0, 1, 128]), 1 + self.below(254))
    }

    fn ipv6(&mut self) -> String {
        let words = [0x2001, 0xfd00, 0x8000, 0x7fff, 0xffff, 1, 0];
        let [a, b, c, d] = std::array::from_fn(|_| self.of(&words));
        format!("[{a:x}:{b:x}::{c:x}:{d:x}]")
    }
}

fn random_table(random: &mut Random) -> String {
    let mut table = String::new();
    for _ in 0..random.of(&[2, 3, 5, 12, 30]) {
        let service = match random.below(4) {
            0 => {
                let mark = random.of(&[1, 2, 256, 65_536, 0x7fff_ffff]);
                format!("-f {mark}{}", random.of(&["", " -6"]))
            }
            1 => format!("-t {}:{}", random.ipv6(), random.of(&[1, 80, 256])),
            _ => {
                let protocol = random.of(&["-t", "-u", "--sctp-service"]);
                format!("{protocol} {}:{}", random.ipv4(), random.of(&[1, 80, 32_768]))
            }
        };
        table.push_str(&format!("-A {service}\n"));
        for _ in 0..random.of(&[0, 0, 2, 9]) {
            let server = if random.below(2) == 0 { random.ipv4() } else { random.ipv6() };
            table.push_str(&format!("-a {service} -r {server}:{} -i\n", random.of(&[1, 80])));
        }
    }
    table
}

#[test]
fn counters_rates_and_connections_are_listed_alike_while_there_are_some() {
    let named = Named::new();
    let host = &named.host;
    for address in ["10.0.0.1/32", "10.0.1.1/32", "10.0.1.2/32", "2001:db8::1/128", "2001:db8::4/128"] {
        host.add_address("lo", address);
    }
    let table = "\
        -A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.1.1:8080 -m\n-a -t 10.0.0.1:80 -r 10.0.1.2:80 -m\n\
        -A -u 10.0.0.1:53 -p 100\n-a -u 10.0.0.1:53 -r 10.0.1.1 -m\n\
        -A -u 10.0.0.1:5060 --pe sip -p 60\n-a -u 10.0.0.1:5060 -r 10.0.1.1 -m\n\
        -A -t [2001:db8::1]:80 -p 200 -M 64\n-a -t [2001:db8::1]:80 -r [2001:db8::4]:80 -m\n";
    let made = named.sh("ipvsadm -R", table);
    assert_eq!((made.status, made.complaints.as_str()), (Some(0), ""));
    let listener = |address: &str| host.run(|| TcpListener::bind(address)).expect("a listener");
    let listeners = ["10.0.1.1:8080", "10.0.1.2:80", "[2001:db8::4]:80"].map(listener);
    let connect = |address: &str| host.run(|| TcpStream::connect(address)).expect("a connection");
    let connections = ["10.0.0.1:80", "10.0.0.1:80", "10.0.0.1:80", "[2001:db8::1]:80"].map(connect);
    let socket = host.run(|| UdpSocket::bind("0.0.0.0:0")).expect("a socket");
    let call =
        b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.9:5060\r\nCall-ID: abcdef123456@example.com\r\n\
                 CSeq: 1 OPTIONS\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nContent-Length: 0\r\n\r\n";
    socket.send_to(b"x", "10.0.0.1:53").expect("sent");
    socket.send_to(call, "10.0.0.1:5060").expect("sent");

    let mut lists: Vec<String> =
        ["-Lc", "-Lnc", "-Lnc --persistent-conn", "-Lc --persistent-conn"].map(str::to_owned).into();
    for columns in COLUMNS {
        lists.push(format!("-L {columns}"));
        lists.push(format!("-Ln {columns} --exact"));
    }
    let listed = named.lists("ipvsadm", &lists);
    assert!(listed.iter().take(lists.len()).all(|list| list.lines().count() > 6), "{listed:?}");
    for words in lists {
        // Rates go on while both look.
        let words = [words];
        poll_until(LIMIT, "both list the same", || named.compare(&words));
    }
    drop((listeners, connections));
}
