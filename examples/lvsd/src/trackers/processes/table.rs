//! Which processes match which pattern, as `/proc` shows them.

use std::collections::BTreeSet;
use std::io;

use crate::conf::tracking::ArgumentMatch;

/// What a process has to look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// Name and arguments; not empty.
    command: Vec<String>,
    arguments: Option<ArgumentMatch>,
    full_command: bool,
}

impl Pattern {
    /// `full_command` compares the first word of the command line instead of the kernel's name of the process;
    /// without `arguments` they do not matter.
    pub(crate) fn new(command: Vec<String>, arguments: Option<ArgumentMatch>, full_command: bool) -> Self {
        Self { command, arguments, full_command }
    }

    fn needs_command_line(&self) -> bool {
        self.full_command || self.arguments.is_some()
    }

    /// `words` is the command line; empty if it was not read.
    fn matches(&self, comm: &[u8], words: &[&[u8]]) -> bool {
        let Some((program, wanted)) = self.command.split_first() else { return false };
        let (name, given) = match words.split_first() {
            Some((first, rest)) if self.full_command => (*first, rest),
            Some((_, rest)) => (comm, rest),
            None => (comm, &[][..]),
        };
        let equal = || given.iter().zip(wanted).all(|(given, wanted)| *given == wanted.as_bytes());
        name == program.as_bytes()
            && match self.arguments {
                None => true,
                Some(ArgumentMatch::Exact) => given.len() == wanted.len() && equal(),
                Some(ArgumentMatch::Partial) => given.len() >= wanted.len() && equal(),
                Some(ArgumentMatch::Initial) => {
                    given.len() == wanted.len()
                        && given.iter().zip(wanted).enumerate().all(|(place, (given, wanted))| {
                            let is_last = place + 1 == wanted_len(&self.command);
                            if is_last {
                                given.starts_with(wanted.as_bytes())
                            } else {
                                *given == wanted.as_bytes()
                            }
                        })
                }
            }
    }
}

const fn wanted_len(command: &[String]) -> usize {
    command.len().saturating_sub(1)
}

/// The processes that match, by pattern.
#[derive(Debug)]
pub(super) struct Table {
    patterns: Vec<(Pattern, BTreeSet<u32>)>,
}

impl Table {
    pub(super) fn new(patterns: Vec<Pattern>) -> Self {
        Self { patterns: patterns.into_iter().map(|pattern| (pattern, BTreeSet::new())).collect() }
    }

    /// How many processes match a pattern.
    pub(super) fn count(&self, pattern: usize) -> usize {
        self.patterns.get(pattern).map_or(0, |(_, matching)| matching.len())
    }

    /// Looks at all processes anew.
    ///
    /// # Errors
    /// `/proc` cannot be listed: what was known remains.
    pub(super) fn scan(&mut self) -> io::Result<()> {
        let pids: Vec<u32> = std::fs::read_dir("/proc")?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        for (_, matching) in &mut self.patterns {
            matching.clear();
        }
        for pid in pids {
            self.look_at(pid);
        }
        Ok(())
    }

    /// Looks at one process, which may have begun, changed or ended.
    pub(super) fn look_at(&mut self, pid: u32) {
        let comm = comm(pid);
        let needs_words = self.patterns.iter().any(|(pattern, _)| pattern.needs_command_line());
        let line = match &comm {
            Some(_) if needs_words => std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default(),
            _ => Vec::new(),
        };
        let words: Vec<&[u8]> = match line.strip_suffix(b"\0") {
            Some(line) => line.split(|byte| *byte == 0).collect(),
            None => Vec::new(),
        };
        for (pattern, matching) in &mut self.patterns {
            match &comm {
                Some(comm) if pattern.matches(comm, &words) => _ = matching.insert(pid),
                _ => _ = matching.remove(&pid),
            }
        }
    }
}

/// The kernel's name of a process that runs; nothing if there is none, or if it is ending or waits for its parent.
fn comm(pid: u32) -> Option<Vec<u8>> {
    // `pid (name) state ppid pgrp session tty_nr tpgid flags …`; the name may hold anything. proc_pid_stat(5).
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let open = stat.iter().position(|byte| *byte == b'(')?;
    let close = stat.iter().rposition(|byte| *byte == b')')?;
    let name = stat.get(open + 1..close)?.to_vec();
    let mut rest = str::from_utf8(stat.get(close + 1..)?).ok()?.split_ascii_whitespace();
    let state = rest.next()?;
    let flags: u32 = rest.nth(5)?.parse().ok()?;
    (!matches!(state, "Z" | "X") && flags & PF_EXITING == 0).then_some(name)
}

/// Of `linux/sched.h`: the process is shutting down, though it may still show as running.
const PF_EXITING: u32 = 0x4;

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(command: &str, arguments: Option<ArgumentMatch>, full: bool, comm: &str, line: &str) -> bool {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let line = words(line);
        let line: Vec<&[u8]> = line.iter().map(String::as_bytes).collect();
        Pattern::new(words(command), arguments, full).matches(comm.as_bytes(), &line)
    }

    #[test]
    fn name_alone_is_the_kernel_s_and_arguments_do_not_matter() {
        assert!(matches("haproxy", None, false, "haproxy", "/usr/sbin/haproxy -f x"));
        assert!(!matches("haproxy", None, false, "haproxy2", "haproxy"));
        assert!(!matches("haproxy", None, true, "haproxy", "/usr/sbin/haproxy"));
        assert!(matches("/usr/sbin/haproxy", None, true, "haproxy", "/usr/sbin/haproxy -f x"));
    }

    #[test]
    fn arguments_are_compared_as_they_should_be() {
        use ArgumentMatch::{Exact, Initial, Partial};
        let given = |command, how| matches(command, Some(how), false, "p", "/bin/p -a one two");
        assert!(given("p -a one two", Exact) && !given("p -a one", Exact) && !given("p -a one tw", Exact));
        assert!(
            given("p -a one tw", Initial) && !given("p -a on two", Initial) && !given("p -a one", Initial)
        );
        assert!(given("p -a one", Partial) && !given("p -b", Partial) && given("p", Partial));
        assert!(matches("p", Some(Exact), false, "p", "/bin/p") && !given("p", Exact));
    }

    #[test]
    fn this_process_is_found_and_one_that_does_not_exist_is_not() {
        let own = std::process::id();
        let name = String::from_utf8(comm(own).unwrap()).unwrap();
        let mut table = Table::new(vec![Pattern::new(vec![name], None, false)]);
        table.scan().unwrap();
        assert!(table.count(0) >= 1);
        table.look_at(u32::MAX);
        let before = table.count(0);
        table.look_at(own);
        assert_eq!(table.count(0), before);
        assert_eq!(table.count(1), 0);
    }
}
