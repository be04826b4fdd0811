//! The program: under which name it was called, what it was told, and how it ends.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use crate::command::{Command, Listing};
use crate::error::{Failure, UsageError};
use crate::names::System;
use crate::own::OwnCommand;
use crate::verbs::Session;
use crate::{cli, own, restore};

/// Runs the program with these words, the first being its name, and returns its exit status.
///
/// Called `ipvsadm-save` or `ipvsadm-restore` it is `-S`, or `-C` and `-R`, as ipvsadm's scripts of these names are.
/// Called anything else it takes ipvsadm's command line, and, unless it is called `ipvsadm`, the verbs of [`own`].
#[must_use]
pub fn run(arguments: &[OsString]) -> u8 {
    let (name, words) = match arguments.split_first() {
        Some((name, words)) => (Path::new(name).file_name().unwrap_or(OsStr::new("")), words),
        None => (OsStr::new(""), arguments),
    };
    let name = if name.is_empty() { "ipvsctl".to_owned() } else { name.to_string_lossy().into_owned() };
    let names = System::default();
    let outcome =
        told(&name, words, &names).map_err(Failure::from).and_then(|task| start(&name, task, &names));
    outcome.unwrap_or_else(|failure| {
        complain(&name, &failure);
        failure.exit_status()
    })
}

/// Tells on standard error what went wrong. Who closed that does not want to know.
pub(crate) fn complain(program: &str, fault: &dyn std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{program}: {fault}");
}

/// What the program is told to do.
#[derive(Debug, PartialEq, Eq)]
enum Task {
    Command(Command),
    ClearAndRestore,
    Own(OwnCommand),
}

fn told(name: &str, words: &[OsString], names: &System) -> Result<Task, UsageError> {
    // What is not UTF-8 is no word that is known, and shows as what it is.
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match name {
        "ipvsadm-save" => saved(words.into_iter()).map(Task::Command),
        "ipvsadm-restore" => restored(words.into_iter()),
        IPVSADM => match cli::parse(words, names)? {
            Command::List(Listing { json: true, .. }) => Err(UsageError::no_option(
                "--json: ipvsadm has no such option; leave it out, or call this program ipvsctl",
            )),
            command => Ok(Task::Command(command)),
        },
        _ => match own::parse(&words, names)? {
            Some(own) => Ok(Task::Own(own)),
            None => cli::parse(words, names).map(Task::Command),
        },
    }
}

/// The name under which nothing is there that ipvsadm does not have.
pub(crate) const IPVSADM: &str = "ipvsadm";

/// `ipvsadm-save [-n]`: other words are passed over, other options are not.
fn saved<'a>(words: impl Iterator<Item = &'a str>) -> Result<Command, UsageError> {
    let mut numeric = false;
    for word in words {
        match word {
            "-n" => numeric = true,
            _ if !word.starts_with('-') => {}
            _ => {
                return Err(UsageError::script(format!(
                    "{word}: this writes the table of IPVS to standard output, and takes `-n` (numbers, no names) alone"
                )));
            }
        }
    }
    Ok(Command::Save { numeric })
}

/// `ipvsadm-restore`: asked for help it gives it; other words are passed over.
fn restored<'a>(words: impl Iterator<Item = &'a str>) -> Result<Task, UsageError> {
    for word in words {
        if word == "-h" {
            return Err(UsageError::script(
                "this clears the table of IPVS and reads another from standard input; it takes no options",
            ));
        }
    }
    Ok(Task::ClearAndRestore)
}

fn start(program: &str, task: Task, names: &System) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::Start)?;
    let output = io::BufWriter::new(io::stdout().lock());
    let mut session = Session::new(program, names, output);
    let done = runtime.block_on(perform(&mut session, task));
    session.flush();
    let status = done.unwrap_or_else(|failure| {
        session.complain(&failure);
        failure.exit_status()
    });
    match session.finish() {
        Ok(()) => Ok(status),
        Err(failure) => {
            session.complain(&failure);
            // What became of the command says more than what became of its answer.
            Ok(if status == 0 { failure.exit_status() } else { status })
        }
    }
}

async fn perform<W: io::Write>(session: &mut Session<'_, W>, task: Task) -> Result<u8, Failure> {
    match task {
        Task::Command(Command::Restore) => restore::restore(session, io::stdin().lock()).await,
        Task::ClearAndRestore => {
            // Whoever writes the input may be reading the table, and may still fail.
            let lines = whole_input().map_err(|error| Failure::Read("standard input", error))?;
            session.carry_out(Command::Clear).await?;
            restore::restore(session, lines.as_slice()).await
        }
        Task::Command(command) => session.carry_out(command).await.map(|()| 0),
        Task::Own(own) => own::perform(session, own).await,
    }
}

fn whole_input() -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    io::stdin().lock().take(LARGEST_FILE).read_to_end(&mut lines)?;
    if u64::try_from(lines.len()).unwrap_or(u64::MAX) >= LARGEST_FILE {
        let fault =
            format!("this is larger than {LARGEST_FILE} bytes; is it a saved table? Nothing was changed");
        return Err(io::Error::other(fault));
    }
    Ok(lines)
}

/// Bytes of a saved table that is read as a whole. One of 100,000 servers has a tenth of it.
pub(crate) const LARGEST_FILE: u64 = 256 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn told_to(name: &str, words: &[&str]) -> Result<Task, u8> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        told(name, &words, &System::default()).map_err(|error| error.exit_status())
    }

    #[test]
    fn the_name_of_a_script_of_ipvsadm_is_what_that_does() {
        let save = |numeric| Ok(Task::Command(Command::Save { numeric }));
        assert_eq!(told_to("ipvsadm-save", &[]), save(false));
        assert_eq!(told_to("ipvsadm-save", &["-n"]), save(true));
        assert_eq!(told_to("ipvsadm-save", &["extra"]), save(false));
        assert_eq!(told_to("ipvsadm-save", &["extra", "-n"]), save(true));
        assert_eq!(told_to("ipvsadm-save", &["extra", "-"]), Err(1));
        assert_eq!(told_to("ipvsadm-save", &["-x"]), Err(1));
        assert_eq!(told_to("ipvsadm-restore", &[]), Ok(Task::ClearAndRestore));
        assert_eq!(told_to("ipvsadm-restore", &["-n"]), Ok(Task::ClearAndRestore));
        assert_eq!(told_to("ipvsadm-restore", &["-h"]), Err(1));
        assert_eq!(told_to("ipvsadm", &["-S"]), save(false));
        assert_eq!(told_to("ipvsctl", &["-C"]), Ok(Task::Command(Command::Clear)));
        assert_eq!(told_to("ipvsctl", &["-C", "-n"]), Err(2));
    }

    #[test]
    fn under_the_name_ipvsadm_there_is_nothing_that_ipvsadm_does_not_have() {
        for (words, status) in [(&["diff", "x"][..], 2), (&["watch", "-x"], 2), (&["save", "a", "b"], 2)] {
            assert_eq!(told_to("ipvsadm", words), Err(255), "{words:?}");
            let own = told_to("ipvsctl", words);
            assert!(matches!(own, Ok(Task::Own(_))) || own == Err(status), "{words:?}");
        }
        assert!(matches!(told_to("ipvsctl", &["-L", "--json"]), Ok(Task::Command(_))));
        assert_eq!(told_to("ipvsadm", &["-L", "--json"]), Err(255));
    }
}
