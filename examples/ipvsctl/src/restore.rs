//! Reads command lines from a file: `-R`.
//!
//! Lines become [`Command`]s one by one; edits are kept and sent to the kernel together, in order. As with ipvsadm, what the
//! kernel refuses is told and does not stop the others, nor does it show in the exit status; a line that cannot be
//! understood stops it, and so does a service to list that is not there. The lines before have been carried out.

use std::io::{self, BufRead};

use lvs_core::Change;

use crate::cli;
use crate::command::Command;
use crate::error::{Failure, UsageError};
use crate::names::Resolve;
use crate::verbs::Session;

/// What a line says; nothing if it is empty or a comment. It may begin with the name of the program.
///
/// # Errors
/// See [`cli::parse`].
///
/// ```
/// use ipvsctl::{names::Numeric, restore};
///
/// assert!(restore::line("ipvsadm -A -t 10.0.0.1:80", &Numeric)?.is_some());
/// assert!(restore::line("# web servers", &Numeric)?.is_none());
/// # Ok::<(), ipvsctl::error::UsageError>(())
/// ```
pub fn line(line: &str, resolve: &impl Resolve) -> Result<Option<Command>, UsageError> {
    let mut words = line.split_ascii_whitespace().peekable();
    words.next_if(|word| matches!(*word, "ipvsadm" | "ipvsctl"));
    match words.peek() {
        None => Ok(None),
        Some(word) if word.starts_with('#') => Ok(None),
        Some(_) => cli::parse(words, resolve).map(Some),
    }
}

/// Carries out the lines of `input` and returns the exit status.
pub(crate) async fn restore<W: io::Write>(
    session: &mut Session<'_, W>,
    input: &mut impl BufRead,
) -> Result<u8, Failure> {
    let names = session.names;
    let mut lines = Lines::new(input);
    let mut batch = Batch::default();
    while let Some((number, text)) = lines.next().map_err(|error| Failure::Read("standard input", error))? {
        match text.and_then(|text| line(text, names)) {
            Ok(None) => {}
            Ok(Some(Command::Edit(change))) => {
                batch.push(number, change);
                if batch.changes.len() >= LARGEST_BATCH {
                    batch.send(session).await?;
                }
            }
            Ok(Some(command)) => {
                batch.send(session).await?;
                let is_last = command == Command::Help;
                match session.carry_out(command).await {
                    Ok(()) => {}
                    Err(failure @ Failure::Kernel(_)) => {
                        session.complain(&format_args!("line {number}: {failure}"));
                    }
                    Err(failure @ (Failure::Usage(_) | Failure::NothingToList(_))) => {
                        session.complain(&format_args!("line {number}: {failure}"));
                        return Ok(failure.exit_status());
                    }
                    Err(failure) => return Err(failure),
                }
                if is_last {
                    return Ok(0);
                }
            }
            Err(error) => {
                batch.send(session).await?;
                session.complain(&format_args!("line {number}: {error}"));
                if error.ends_restore() {
                    return Ok(error.exit_status());
                }
            }
        }
    }
    batch.send(session).await?;
    Ok(0)
}

/// Edits that wait to be sent, and the lines that they come from.
#[derive(Default)]
struct Batch {
    changes: Vec<Change>,
    lines: Vec<u64>,
}

impl Batch {
    fn push(&mut self, line: u64, change: Change) {
        self.changes.push(change);
        self.lines.push(line);
    }

    async fn send<W: io::Write>(&mut self, session: &mut Session<'_, W>) -> Result<(), Failure> {
        if self.changes.is_empty() {
            return Ok(());
        }
        let results = session.client()?.apply(&self.changes).await?;
        for (line, result) in self.lines.iter().zip(results) {
            if let Err(error) = result {
                let failure = Failure::from(error);
                session.complain(&format_args!("line {line}: {failure}"));
            }
        }
        self.changes.clear();
        self.lines.clear();
        Ok(())
    }
}

/// Lines with their numbers, counted from 1, in one buffer.
struct Lines<'i, R> {
    input: &'i mut R,
    number: u64,
    line: Vec<u8>,
}

impl<'i, R: BufRead> Lines<'i, R> {
    fn new(input: &'i mut R) -> Self {
        Self { input, number: 0, line: Vec::with_capacity(256) }
    }

    #[allow(clippy::type_complexity)] // a line, or the end, or no input; and the line may be no text
    fn next(&mut self) -> io::Result<Option<(u64, Result<&str, UsageError>)>> {
        self.line.clear();
        let limit = u64::try_from(LONGEST_LINE).unwrap_or(u64::MAX);
        if io::Read::take(&mut *self.input, limit).read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let text = if self.line.len() >= LONGEST_LINE {
            Err(UsageError::usage(format!("a line has at most {LONGEST_LINE} bytes")))
        } else {
            std::str::from_utf8(&self.line)
                .map_err(|_| UsageError::usage("this is no text (UTF-8); is it a file that `-S` wrote?"))
        };
        Ok(Some((self.number, text)))
    }
}

/// Edits that are kept before they are sent: some ten megabytes.
const LARGEST_BATCH: usize = 65_536;
/// Bytes of a line, with its end.
const LONGEST_LINE: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Numeric;

    #[test]
    fn lines_may_be_empty_comments_or_begin_with_the_programs_name() {
        let is_edit = |text| line(text, &Numeric).map(|command| matches!(command, Some(Command::Edit(_))));
        for text in ["", " \t ", "#", "# -A -t 10.0.0.1:80", "  #x", "ipvsadm", "ipvsadm # x", "\r"] {
            assert_eq!(is_edit(text), Ok(false), "{text:?}");
        }
        for text in [
            "-A -t 10.0.0.1:80",
            "\t-A\t-t 10.0.0.1:80\r",
            "ipvsadm -A -t 10.0.0.1:80",
            "ipvsctl -A -t 10.0.0.1:80",
        ] {
            assert_eq!(is_edit(text), Ok(true), "{text:?}");
        }
        for text in ["/sbin/ipvsadm -A -t 10.0.0.1:80", "foo", "-A -t 10.0.0.1:80 # x"] {
            assert!(is_edit(text).unwrap_err().ends_restore(), "{text:?}");
        }
        assert!(!is_edit("-A -t 10.0.0.1:80 -q").unwrap_err().ends_restore());
    }

    #[test]
    fn lines_are_counted_and_bounded() {
        let mut input = &b"a\n\nb\xff\nlast"[..];
        let mut lines = Lines::new(&mut input);
        assert_eq!(lines.next().unwrap().unwrap(), (1, Ok("a\n")));
        assert_eq!(lines.next().unwrap().unwrap(), (2, Ok("\n")));
        assert!(lines.next().unwrap().unwrap().1.unwrap_err().to_string().contains("UTF-8"));
        assert_eq!(lines.next().unwrap().unwrap(), (4, Ok("last")));
        assert!(lines.next().unwrap().is_none());

        let long = vec![b'x'; LONGEST_LINE + 1];
        let mut input = &long[..];
        assert!(Lines::new(&mut input).next().unwrap().unwrap().1.is_err());
    }
}
