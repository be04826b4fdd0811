//! Runs command lines by both programs.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

use lvs_tests::{Host, peers, require_ipvs};

/// How a program ended and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) status: Option<i32>,
    pub(crate) output: String,
    pub(crate) complaints: String,
}

pub(crate) fn ipvsctl() -> PathBuf {
    peers::built_program("ipvsctl", "ipvsctl")
}

/// Runs a program on a host with these words (`''` is an empty one) and this standard input.
pub(crate) fn run(host: &Host, program: &str, line: &str, input: &str) -> Outcome {
    let mut command = host.command(program);
    command.args(line.split_ascii_whitespace().map(|word| if word == "''" { "" } else { word }));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    if let Some(mut stdin) = child.stdin.take() {
        // A program that stops reading closes it.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().expect("the program ends");
    Outcome {
        status: output.status.code(),
        output: String::from_utf8_lossy(&output.stdout).into_owned(),
        complaints: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Two hosts that are alike: ipvsadm works on one, ipvsctl on the other.
pub(crate) struct Pair {
    pub(crate) ipvsadm: Host,
    pub(crate) ipvsctl: Host,
    program: String,
    differences: Vec<String>,
}

impl Pair {
    pub(crate) fn new() -> Self {
        require_ipvs();
        Self {
            ipvsadm: Host::new("ipvsadm"),
            ipvsctl: Host::new("ipvsctl"),
            program: ipvsctl().to_string_lossy().into_owned(),
            differences: Vec::new(),
        }
    }

    /// Runs the line by both and returns what ipvsadm and ipvsctl came to.
    pub(crate) fn run(&self, line: &str, input: &str) -> [Outcome; 2] {
        [run(&self.ipvsadm, "ipvsadm", line, input), run(&self.ipvsctl, &self.program, line, input)]
    }

    /// Both have to end alike, say the same on standard output, and complain or not. Returns how ipvsadm ended.
    pub(crate) fn compare(&mut self, line: &str, input: &str) -> Option<i32> {
        let [theirs, ours] = self.run(line, input);
        let status = theirs.status;
        if theirs.status != ours.status
            || theirs.output != ours.output
            || theirs.complaints.is_empty() != ours.complaints.is_empty()
        {
            self.differences.push(format!("{line}\n  ipvsadm: {theirs:?}\n  ipvsctl: {ours:?}"));
        }
        status
    }

    /// Both tables have to be the same, as ipvsadm saves and lists them.
    pub(crate) fn compare_tables(&mut self, after: &str) {
        self.compare_lists(&["-Sn", "-Ln --thresholds", "-L --timeout", "-L --daemon"], after);
    }

    /// Both tables have to be the same in these words of ipvsadm.
    pub(crate) fn compare_lists(&mut self, lines: &[&str], after: &str) {
        for line in lines {
            let [theirs, ours] = [&self.ipvsadm, &self.ipvsctl].map(|host| run(host, "ipvsadm", line, ""));
            if theirs != ours {
                self.differences.push(format!(
                    "{line} after {after}\n  by ipvsadm: {}\n  by ipvsctl: {}",
                    theirs.output, ours.output
                ));
            }
        }
    }

    /// Fails with all differences.
    pub(crate) fn finish(self) {
        assert!(self.differences.is_empty(), "{}", self.differences.join("\n"));
    }
}
