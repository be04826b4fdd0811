//! Reads what a file says there should be: command lines as `-S` writes them, or JSON as `-L --json` does.
//!
//! The table is the one that `-R` of the lines would make out of nothing. Nothing is read past a mistake: there is no half of
//! a table.

use std::collections::BTreeMap;

use lvs_core::{Change, Conflict, ServerKey, ServiceKey, Table};
use thiserror::Error;

use crate::command::Command;
use crate::difference::{Difference, Foreign};
use crate::names::{Numeric, Resolve};
use crate::restore;

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {fault}")]
pub struct FileFault {
    line: u64,
    fault: String,
}

impl FileFault {
    /// The line, counted from 1.
    #[must_use]
    pub const fn line(&self) -> u64 {
        self.line
    }
}

/// The table that a text describes. Which of the two forms it has shows in its first character: JSON begins with a brace.
///
/// Command lines may be empty or comments; those that add, edit and remove services and servers, `-C`, `--set` and the
/// sync daemons' are carried out on an empty table. Lines that describe no table, such as `-L`, are mistakes.
///
/// # Errors
/// The first line that is wrong: what is wrong, what is allowed, what to do.
///
/// ```
/// use ipvsctl::{desired, names::Numeric};
///
/// let lines = "-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.1.2:80 -m -w 1\n";
/// let json = r#"{"services": [{"protocol": "tcp", "address": "10.0.0.1:80", "scheduler": "rr",
///     "servers": [{"address": "10.0.1.2:80"}]}]}"#;
/// assert_eq!(desired::table(lines, &Numeric), desired::table(json, &Numeric));
///
/// let fault = desired::table("-A -t 10.0.0.1:80\n-a -t 10.0.0.2:80 -r 10.0.1.2:80 -m\n", &Numeric).unwrap_err();
/// assert_eq!(
///     fault.to_string(),
///     "line 2: add destination 10.0.1.2:80 (weight 1) to tcp 10.0.0.2:80: no line before adds this service; add `-A`",
/// );
/// ```
pub fn table(text: &str, resolve: &impl Resolve) -> Result<Table, FileFault> {
    match text.trim_start().chars().next() {
        Some('{') => json(text),
        _ => lines(text, resolve),
    }
}

/// Whether [`table`] of this text is that table.
///
/// # Errors
/// It is not: the first difference in words.
///
/// ```
/// use ipvsctl::{desired, names::Numeric};
///
/// let text = "-A -t 10.0.0.1:80 -s rr\n";
/// let table = desired::table(text, &Numeric)?;
/// assert_eq!(desired::says(text, &table), Ok(()));
/// assert!(desired::says("", &table).unwrap_err().starts_with("add service tcp 10.0.0.1:80"));
/// # Ok::<(), desired::FileFault>(())
/// ```
pub fn says(text: &str, table: &Table) -> Result<(), String> {
    match self::table(text, &Numeric) {
        Ok(read) if read == *table => Ok(()),
        Ok(read) => {
            let difference = Difference::between(read, table, Foreign::Remove);
            Err(difference.words().next().unwrap_or_else(|| "something that has no words".to_owned()))
        }
        Err(fault) => {
            let line = usize::try_from(fault.line()).unwrap_or(usize::MAX);
            let line = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
            Err(format!("`{}`: {}", line.trim(), fault.fault))
        }
    }
}

fn json(text: &str) -> Result<Table, FileFault> {
    serde_json::from_str(text).map_err(|error| {
        // The place is said already.
        let place = format!(" at line {} column {}", error.line(), error.column());
        let words = error.to_string();
        let fault = words.strip_suffix(&place).unwrap_or(&words);
        // Behind a last newline stands no line.
        let (line, column) = match text.lines().last() {
            Some(last) if error.is_eof() => (text.lines().count(), last.chars().count()),
            _ => (error.line(), error.column()),
        };
        let line = u64::try_from(line).unwrap_or(u64::MAX);
        FileFault { line, fault: format!("column {column}: {fault}") }
    })
}

fn lines(text: &str, resolve: &impl Resolve) -> Result<Table, FileFault> {
    let mut table = Table::default();
    let mut origins = Origins::default();
    for (line, text) in (1..).zip(text.lines()) {
        let wrong = |fault| FileFault { line, fault };
        let command = restore::line(text, resolve).map_err(|error| wrong(error.to_string()))?;
        match command {
            None => {}
            Some(Command::Edit(change)) => {
                table.apply(&change).map_err(|conflict| wrong(origins.explain(&table, &change, conflict)))?;
                origins.note(line, &change);
            }
            Some(Command::Clear) => table.retain(|_| false),
            Some(_) => {
                let what = text.trim();
                return Err(wrong(format!("{what:?} describes no part of a table; leave it out")));
            }
        }
    }
    Ok(table)
}

/// Which lines added what, for the complaint about a second one.
#[derive(Default)]
struct Origins {
    services: BTreeMap<ServiceKey, u64>,
    servers: BTreeMap<(ServiceKey, ServerKey), u64>,
}

impl Origins {
    fn note(&mut self, line: u64, change: &Change) {
        match change {
            Change::AddService(service) => {
                self.services.insert(service.key(), line);
            }
            Change::AddServer(service, server) => {
                self.servers.insert((*service, server.key()), line);
            }
            _ => {}
        }
    }

    fn explain(&self, table: &Table, change: &Change, conflict: Conflict) -> String {
        let first = match change {
            Change::AddService(service) => self.services.get(&service.key()),
            Change::AddServer(service, server) => self.servers.get(&(*service, server.key())),
            _ => None,
        };
        match (conflict, first) {
            (Conflict::Exists, Some(first)) => {
                format!("{change}: line {first} adds it already; leave one of them out")
            }
            (Conflict::Exists, None) => {
                format!("{change}: a line before starts it already; leave one of them out")
            }
            (Conflict::Absent, _) => {
                let present = change.service().is_none_or(|key| table.service(&key).is_some());
                match change {
                    Change::StopDaemon(_) => format!("{change}: no line before starts it; leave this out"),
                    Change::EditServer(..) | Change::RemoveServer(..) if present => {
                        format!("{change}: no line before adds this server; add `-a`")
                    }
                    _ => format!("{change}: no line before adds this service; add `-A`"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lvs_core::{SyncDaemon, SyncRole, Timeouts};
    use proptest::prelude::*;

    use super::*;
    use crate::names::Numeric;

    fn fault(text: &str) -> String {
        table(text, &Numeric).map(|table| format!("{table:?}")).unwrap_err().to_string()
    }

    #[test]
    fn lines_make_the_table_that_they_would_make_out_of_nothing() {
        let plain = "-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.0.1.2:80 -m -w 5\n";
        let longer = "# a comment\n\n-A -t 10.9.0.1:80\n-C\nipvsadm -A -t 10.0.0.1:80 -s wlc\n\
                      -a -t 10.0.0.1:80 -r 10.0.1.2:80 -m\n-a -t 10.0.0.1:80 -r 10.0.1.3:80 -m\n\
                      -E -t 10.0.0.1:80 -s rr\n-e -t 10.0.0.1:80 -r 10.0.1.2:80 -m -w 5\n-d -t 10.0.0.1:80 -r 10.0.1.3:80";
        assert_eq!(table(longer, &Numeric), table(plain, &Numeric));
        assert_eq!(table("", &Numeric), Ok(Table::default()));
    }

    #[test]
    fn timeouts_and_daemons_are_what_the_lines_say_and_nothing_if_they_say_nothing() {
        let said = "--set 0 0 60\n--start-daemon master --mcast-interface eth0\n--start-daemon backup --mcast-interface eth0\n\
                    --stop-daemon backup\n";
        let said = table(said, &Numeric).unwrap();
        let udp = std::time::Duration::from_secs(60);
        assert_eq!(said.timeouts(), Some(Timeouts { udp, ..Timeouts::UNCHANGED }));
        let daemon = SyncDaemon::new(SyncRole::Master, "eth0").unwrap();
        assert_eq!(said.daemons().unwrap().collect::<Vec<_>>(), [&daemon]);
        let silent = table("-A -t 10.0.0.1:80", &Numeric).unwrap();
        assert_eq!(silent.timeouts(), None);
        assert!(silent.daemons().is_none());
    }

    #[test]
    fn a_wrong_line_is_named_with_the_remedy() {
        for (text, said) in [
            (
                "-A -t 10.0.0.1:80\n\n-A -t 10.0.0.1:80",
                "line 3: add service tcp 10.0.0.1:80: line 1 adds it already; leave",
            ),
            (
                "-A -f 1\n-a -f 1 -r 10.0.0.2 -g\n-a -f 1 -r 10.0.0.2:0 -g",
                "line 3: add destination 10.0.0.2:0 (weight 1) to fwmark 1: line 2 adds it already; leave",
            ),
            (
                "-E -t 10.0.0.1:80",
                "line 1: edit service tcp 10.0.0.1:80: no line before adds this service; add `-A`",
            ),
            (
                "-A -f 1\n-e -f 1 -r 10.0.0.2 -g",
                "line 2: edit destination 10.0.0.2:0 (weight 1) of fwmark 1: no line before adds this server; add `-a`",
            ),
            (
                "--stop-daemon master",
                "line 1: stop sync daemon master: no line before starts it; leave this out",
            ),
            ("\n -Ln \n", "line 2: \"-Ln\" describes no part of a table; leave it out"),
            ("-R", "line 1: \"-R\" describes no part of a table; leave it out"),
            ("-A -t 10.0.0.1:80 -w 5", "line 1: -w: this option does not go with -A; leave it out"),
            ("-A -t 10.0.0.300:80", "line 1: -t: \"10.0.0.300:80\": "),
            ("services: []", "line 1: "),
            ("[]", "line 1: "),
            (
                "{\n \"services\": [],\n \"service\": []}",
                "line 3: column 10: unknown field `service`, expected",
            ),
            ("\n{\"services\": [", "line 2: column 14: EOF while parsing a list"),
        ] {
            let fault = fault(text);
            assert!(fault.starts_with(said), "{text:?}\n{fault}\n{said}");
        }
    }

    #[test]
    fn a_document_that_is_cut_short_is_wrong_in_its_last_line() {
        let fault = table("{\n", &Numeric).unwrap_err().to_string();
        assert!(fault.starts_with("line 1: column 1: EOF"), "{fault}");
        let fault = table("{\"services\": [\n  {\n\n", &Numeric).unwrap_err();
        assert_eq!(fault.line(), 3, "{fault}");
    }

    proptest! {
        #[test]
        fn any_text_is_a_table_or_has_a_fault_in_one_of_its_lines(text in "(-[AaEedDC]( -[tufrwspM6gmi]( [0-9.:]{1,9})?){0,4}\n|[{\\[]|\\PC{0,9}\n?){0,9}") {
            if let Err(fault) = table(&text, &Numeric) {
                prop_assert!(fault.line() <= text.lines().count().max(1).try_into().unwrap(), "{}", fault);
            }
        }
    }
}
