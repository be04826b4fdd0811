//! Reads command lines from a file: `-R`.
//!
//! Lines become [`Command`]s one by one; edits are kept and sent to the kernel together, in order, when there is nothing more
//! to read for the moment. As with ipvsadm, what the kernel refuses is told and does not stop the others, and the exit status is
//! that of the last line; a line that cannot be understood stops it, and so does a service to list that is not there.
//! The lines before have been carried out.

use std::io::{self, BufRead as _, BufReader};

use lvs_core::Change;
use rustix::event::{self, PollFd, PollFlags, Timespec};

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

/// Carries out the lines of `input` and returns the exit status: that of the last one.
pub(crate) async fn restore<W: io::Write>(
    session: &mut Session<'_, W>,
    input: impl Source,
) -> Result<u8, Failure> {
    // A kernel without IPVS is told whatever there is to read.
    session.client()?.info().await?;
    let names = session.names;
    let mut lines = Lines::new(input);
    let mut batch = Batch::default();
    let mut status = 0;
    loop {
        let (number, text) = match lines.next() {
            Ok(Next::Line(number, text)) => (number, text),
            Ok(Next::Wait) => {
                // Who writes the next line may be waiting for what becomes of this one.
                batch.send(session, &mut status).await?;
                session.flush();
                continue;
            }
            Ok(Next::End) => break,
            Err(error) => {
                batch.send(session, &mut status).await?;
                return Err(Failure::Read("standard input", error));
            }
        };
        match text.and_then(|text| line(text, names)) {
            Ok(None) => {}
            Ok(Some(Command::Edit(change))) => {
                batch.push(number, change);
                if batch.changes.len() >= LARGEST_BATCH {
                    batch.send(session, &mut status).await?;
                }
            }
            Ok(Some(command)) => {
                batch.send(session, &mut status).await?;
                let mut is_last = command == Command::Help;
                status = 0;
                if let Err(failure) = session.carry_out(command).await {
                    session.complain(&format_args!("line {number}: {failure}"));
                    status = failure.exit_status();
                    is_last |= matches!(failure, Failure::Usage(_) | Failure::NothingToList(_));
                }
                if is_last {
                    return Ok(status);
                }
            }
            Err(error) => {
                batch.send(session, &mut status).await?;
                session.complain(&format_args!("line {number}: {error}"));
                status = error.exit_status();
                if error.ends_restore() {
                    return Ok(status);
                }
            }
        }
    }
    batch.send(session, &mut status).await?;
    Ok(status)
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

    /// Sends them; `status` becomes that of the last one.
    async fn send<W: io::Write>(
        &mut self,
        session: &mut Session<'_, W>,
        status: &mut u8,
    ) -> Result<(), Failure> {
        if self.changes.is_empty() {
            return Ok(());
        }
        let results = session.client()?.apply(&self.changes).await?;
        for (line, result) in self.lines.iter().zip(results) {
            *status = match result {
                Ok(()) => 0,
                Err(error) => {
                    let failure = Failure::from(error);
                    session.complain(&format_args!("line {line}: {failure}"));
                    failure.exit_status()
                }
            };
        }
        self.changes.clear();
        self.lines.clear();
        Ok(())
    }
}

/// Where lines come from.
pub(crate) trait Source: io::Read {
    /// Whether reading would wait for somebody to write.
    fn is_dry(&self) -> bool;
}

impl Source for io::StdinLock<'_> {
    fn is_dry(&self) -> bool {
        let mut input = [PollFd::new(self, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        // At its end, too, there is something to read.
        !matches!(event::poll(&mut input, Some(&now)), Ok(1..))
    }
}

impl Source for &[u8] {
    fn is_dry(&self) -> bool {
        false
    }
}

/// Lines with their numbers, counted from 1, in one buffer.
struct Lines<S> {
    input: BufReader<S>,
    number: u64,
    line: Vec<u8>,
    /// The line has been given out; the next one follows.
    is_over: bool,
    /// It was told that there is nothing to read.
    is_waited_for: bool,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
enum Next<'l> {
    /// A line, unless it is no text.
    Line(u64, Result<&'l str, UsageError>),
    /// What there is has been read. The next call waits for more.
    Wait,
    End,
}

impl<S: Source> Lines<S> {
    fn new(input: S) -> Self {
        Self {
            input: BufReader::with_capacity(BUFFER, input),
            number: 0,
            line: Vec::with_capacity(256),
            is_over: false,
            is_waited_for: false,
        }
    }

    fn next(&mut self) -> io::Result<Next<'_>> {
        if std::mem::take(&mut self.is_over) {
            self.line.clear();
        }
        loop {
            let is_empty = self.input.buffer().is_empty();
            if is_empty && !self.is_waited_for && self.input.get_ref().is_dry() {
                self.is_waited_for = true;
                return Ok(Next::Wait);
            }
            let read = match self.input.fill_buf() {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.is_waited_for = false;
            if read.is_empty() {
                if self.line.is_empty() {
                    return Ok(Next::End);
                }
                break;
            }
            let newline = read.iter().position(|byte| *byte == b'\n');
            let length = newline.map_or(read.len(), |newline| newline + 1);
            let length = length.min(LONGEST_LINE - self.line.len());
            self.line.extend_from_slice(&read[..length]);
            self.input.consume(length);
            if self.line.ends_with(b"\n") || self.line.len() >= LONGEST_LINE {
                break;
            }
        }
        self.is_over = true;
        self.number += 1;
        let text = if self.line.len() >= LONGEST_LINE {
            Err(UsageError::usage(format!("a line has at most {LONGEST_LINE} bytes")))
        } else {
            std::str::from_utf8(&self.line)
                .map_err(|_| UsageError::usage("this is no text (UTF-8); is it a file that `-S` wrote?"))
        };
        Ok(Next::Line(self.number, text))
    }
}

/// Edits that are kept before they are sent: some ten megabytes.
const LARGEST_BATCH: usize = 65_536;
/// Bytes that are read at once: what a pipe holds.
const BUFFER: usize = 65_536;
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

    fn said(lines: &mut Lines<impl Source>) -> (u64, Result<String, String>) {
        match lines.next().unwrap() {
            Next::Line(number, text) => (number, text.map(str::to_owned).map_err(|error| error.to_string())),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines_are_counted_and_bounded() {
        let mut lines = Lines::new(&b"a\n\nb\xff\nlast"[..]);
        assert_eq!(said(&mut lines), (1, Ok("a\n".to_owned())));
        assert_eq!(said(&mut lines), (2, Ok("\n".to_owned())));
        assert!(said(&mut lines).1.unwrap_err().contains("UTF-8"));
        assert_eq!(said(&mut lines), (4, Ok("last".to_owned())));
        assert_eq!(lines.next().unwrap(), Next::End);

        let long = vec![b'x'; LONGEST_LINE + 1];
        assert!(said(&mut Lines::new(&long[..])).1.unwrap_err().contains("at most 65536 bytes"));
        let mut longest = vec![b'#'; LONGEST_LINE - 1];
        longest[LONGEST_LINE - 2] = b'\n';
        longest.extend(b"next");
        let mut lines = Lines::new(&longest[..]);
        assert_eq!(said(&mut lines).1.unwrap().len(), LONGEST_LINE - 1);
        assert_eq!(said(&mut lines), (2, Ok("next".to_owned())));
    }

    /// A pipe into which somebody writes one piece after another.
    struct Pieces(std::collections::VecDeque<&'static [u8]>, bool);

    impl io::Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let piece = self.0.pop_front().unwrap_or_default();
            buffer[..piece.len()].copy_from_slice(piece);
            self.1 = true;
            Ok(piece.len())
        }
    }

    impl Source for Pieces {
        fn is_dry(&self) -> bool {
            self.1
        }
    }

    #[test]
    fn what_has_been_read_is_carried_out_before_more_is_waited_for() {
        let pieces = [&b"a\nb\nc"[..], b"d", b"\n"];
        let mut lines = Lines::new(Pieces(pieces.into(), false));
        assert_eq!(said(&mut lines), (1, Ok("a\n".to_owned())));
        assert_eq!(said(&mut lines), (2, Ok("b\n".to_owned())));
        // The rest of the line is not there yet: once before each piece, as long as it takes.
        assert_eq!(lines.next().unwrap(), Next::Wait);
        assert_eq!(lines.next().unwrap(), Next::Wait);
        assert_eq!(said(&mut lines), (3, Ok("cd\n".to_owned())));
        assert_eq!(lines.next().unwrap(), Next::Wait);
        assert_eq!(lines.next().unwrap(), Next::End);
    }
}
