//! Runs every example and compares what it prints.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;
use std::{fs, thread};

#[test]
fn failover_takes_the_times_that_the_rfc_gives() {
    // The master down interval is 3 s and a skew of (256 - priority) / 256 s; after a resignation it is the skew alone.
    let expected = [
        "    0.000 anna INIT -> BACKUP: enabled",
        "    0.000 bert INIT -> BACKUP: enabled",
        "    3.414 anna BACKUP -> MASTER: no advert from a master in time",
        "    3.414 anna announces 192.0.2.100 by 5 packets",
        "    8.414 anna announces 192.0.2.100 by 5 packets",
        "   10.000 anna loses its power",
        "   13.023 bert BACKUP -> MASTER: no advert from a master in time",
        "   13.023 bert announces 192.0.2.100 by 5 packets",
        "   18.023 bert announces 192.0.2.100 by 5 packets",
        "   20.000 anna starts again",
        "   20.000 anna INIT -> BACKUP: enabled",
        "   23.414 bert MASTER -> BACKUP: 192.0.2.1 is master with priority 150",
        "   23.414 anna BACKUP -> MASTER: the master 192.0.2.2 has the lower priority 100",
        "   23.414 anna announces 192.0.2.100 by 5 packets",
        "   28.414 anna announces 192.0.2.100 by 5 packets",
        "   30.000 anna is shut down as one should",
        "   30.000 anna MASTER -> INIT: disabled",
        "   30.609 bert BACKUP -> MASTER: the master resigned",
        "   30.609 bert announces 192.0.2.100 by 5 packets",
        "   35.609 bert announces 192.0.2.100 by 5 packets",
    ];
    assert_eq!(output(env!("CARGO_BIN_EXE_failover")), expected);
}

#[test]
fn of_two_drivers_on_the_loopback_interface_the_other_takes_over_when_the_better_stops() {
    // The two write as they like: in order is only what each says.
    let lines = output(env!("CARGO_BIN_EXE_udp"));
    let of = |host: &str| lines.iter().filter_map(|line| line.strip_prefix(host)).collect::<Vec<_>>();
    let (better, other) = (of("better: "), of("other: "));
    let took = "BACKUP -> MASTER: no advert from a master in time";
    assert!(better.contains(&took) && better.contains(&"stops"), "{lines:?}");
    assert_eq!(other.last(), Some(&"BACKUP -> MASTER: the master resigned"), "{lines:?}");
}

#[test]
fn balancer_inhibits_the_server_with_the_long_queue_until_it_has_caught_up() {
    let expected = [
        r#"10.0.0.4:80: Down(Failure { why: "5000 waiting" })"#,
        r#"10.0.0.4:80: Up(Success { seen: "50 waiting" })"#,
        "add service tcp 192.0.2.100:80",
        "add destination 10.0.0.3:80 (weight 1) to tcp 192.0.2.100:80",
        "add destination 10.0.0.4:80 (weight 1) to tcp 192.0.2.100:80",
        "edit destination 10.0.0.4:80 (weight 0) of tcp 192.0.2.100:80",
        "edit destination 10.0.0.4:80 (weight 1) of tcp 192.0.2.100:80",
        "remove service tcp 192.0.2.100:80",
    ];
    assert_eq!(output(env!("CARGO_BIN_EXE_balancer")), expected);
}

#[test]
fn own_loop_sees_the_server_go_and_return() {
    let expected = [
        r#"Up(Success { seen: "connected" })"#,
        r#"Down(Failure { why: "connection refused" })"#,
        r#"Up(Success { seen: "connected" })"#,
    ];
    assert_eq!(output(env!("CARGO_BIN_EXE_own_loop")), expected);
}

#[test]
fn json_table_follows_a_file_and_keeps_the_table_while_the_file_is_wrong() {
    let file = TableFile::new(r#"{"services": ["#);
    let program = Running::start(env!("CARGO_BIN_EXE_json_table"), &["--dry-run", file.path()]);
    // Nothing is known yet: nothing is touched.
    program.expect("EOF while parsing a list at line 1 column 14; the table stays as it is");

    let service = r#"{"protocol": "tcp", "address": "192.0.2.100:80""#;
    file.write(&format!(r#"{{"services": [{service}, "servers": [{{"address": "10.0.0.3:80"}}]}}]}}"#));
    program.expect("add service tcp 192.0.2.100:80: done");
    program.expect("add destination 10.0.0.3:80 (weight 1) to tcp 192.0.2.100:80: done");
    program.expect("in sync after 2 edits, 0 of them repairs");

    file.write("{\n  \"services\": [],\n  \"servers\": []\n}");
    program.expect("unknown field `servers`, expected one of `services`, `timeouts`, `sync_daemons`, `statistics` at line 3");
    file.remove();
    program.expect("No such file or directory (os error 2); the table stays as it is");

    file.write(&format!(
        r#"{{"services": [{service}, "servers": [{{"address": "10.0.0.3:80", "weight": 0}}]}}]}}"#
    ));
    program.expect("edit destination 10.0.0.3:80 (weight 0) of tcp 192.0.2.100:80: done");
    file.write(r#"{"services": []}"#);
    program.expect("remove service tcp 192.0.2.100:80: done");
    program.expect("in sync after 4 edits, 0 of them repairs");
    program.end();
}

#[test]
fn json_table_says_how_it_is_called() {
    for arguments in [&[][..], &["--dry-run"], &["one", "two"], &["--dry-run", "one", "two"]] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_json_table")).args(arguments).output().expect("it starts");
        assert!(!output.status.success());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.starts_with("Error: usage: json_table [--dry-run] FILE\n"), "{errors}");
    }
}

/// A file that is written in one step, and is gone with the test.
struct TableFile(PathBuf);

impl TableFile {
    fn new(text: &str) -> Self {
        let name = format!("json_table-{}.json", std::process::id());
        let file = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        file.write(text);
        file
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a path that is text")
    }

    fn write(&self, text: &str) {
        let new = self.0.with_extension("new");
        fs::write(&new, text).and_then(|()| fs::rename(&new, &self.0)).expect("the file");
    }

    fn remove(&self) {
        fs::remove_file(&self.0).expect("the file");
    }
}

impl Drop for TableFile {
    fn drop(&mut self) {
        let _gone_already = fs::remove_file(&self.0);
    }
}

/// A program that runs on, and the lines that it has printed and nobody looked at.
struct Running(Child, Receiver<String>);

impl Running {
    fn start(program: &str, arguments: &[&str]) -> Self {
        let mut child =
            Command::new(program).args(arguments).stdout(Stdio::piped()).spawn().expect("the program starts");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self(child, receiver)
    }

    /// Waits for the next line, which contains this.
    fn expect(&self, text: &str) {
        loop {
            let line = self.1.recv_timeout(Duration::from_secs(30)).expect(text);
            match line.contains(text) {
                true => return,
                // How far it has come is said whenever it has come somewhere.
                false => assert!(line.contains("in sync"), "{line:?} in place of {text:?}"),
            }
        }
    }

    fn end(mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it ends");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
    }
}

/// The lines that an example prints.
fn output(program: &str) -> Vec<String> {
    let output = Command::new(program).output().expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {}: {errors}", output.status);
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}
