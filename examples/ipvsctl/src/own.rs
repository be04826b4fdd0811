//! The verbs that ipvsadm does not have: from words to an [`OwnCommand`].
//!
//! What an option is called and takes: `words.rs`. What they say: here. Carried out in `perform.rs` and the modules
//! beside it; what is decided there is in [`crate::desired`], [`crate::difference`], [`crate::rates`] and
//! [`crate::drain`], without I/O.

mod apply;
mod drain;
mod help;
mod perform;
mod screen;
mod watch;
mod words;

use std::path::PathBuf;
use std::time::Duration;

use lvs_core::{Change, ServerKey, ServiceKey};

use crate::cli;
use crate::command::Command;
use crate::difference::Foreign;
use crate::error::UsageError;
use crate::names::Resolve;
use words::{Arguments, Opt};

pub(crate) use help::USAGE;
pub(crate) use perform::perform;

/// What a command line with a verb of its own asks for. The set grows with the verbs.
///
/// ```
/// use ipvsctl::{names::Numeric, own::{self, OwnCommand}};
///
/// let command = own::parse(&["apply", "--dry-run", "table.json"], &Numeric)?;
/// assert!(matches!(command, Some(OwnCommand::Apply(apply)) if apply.dry_run));
/// assert_eq!(own::parse(&["-L"], &Numeric)?, None);
/// assert!(own::parse(&["apply"], &Numeric).unwrap_err().to_string().starts_with("apply: FILE is missing"));
/// # Ok::<(), ipvsctl::error::UsageError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnCommand {
    /// `diff`: the edits that would make the kernel's table equal to a file.
    Diff(Diff),
    /// `apply`: makes them.
    Apply(Apply),
    /// `restore`: the same, at boot.
    Restore(Apply),
    /// `save`: writes the kernel's table to a file.
    Save(Save),
    /// `watch`: shows rates as they are.
    Watch(Watch),
    /// `drain`: takes a server out when its connections have ended.
    Drain(Drain),
    /// A verb and `--help`.
    Help(OwnVerb),
}

/// The verbs. The set grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnVerb {
    /// `diff`
    Diff,
    /// `apply`
    Apply,
    /// `restore`
    Restore,
    /// `save`
    Save,
    /// `watch`
    Watch,
    /// `drain`
    Drain,
}

impl OwnVerb {
    const ALL: [Self; 6] = [Self::Diff, Self::Apply, Self::Restore, Self::Save, Self::Watch, Self::Drain];

    /// As one writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Diff => "diff",
            Self::Apply => "apply",
            Self::Restore => "restore",
            Self::Save => "save",
            Self::Watch => "watch",
            Self::Drain => "drain",
        }
    }

    const fn options(self) -> &'static [Opt] {
        match self {
            Self::Diff => &[Opt::Foreign, Opt::Json],
            Self::Apply => &[Opt::Foreign, Opt::Json, Opt::DryRun, Opt::AllowEmpty],
            Self::Restore => &[Opt::Foreign, Opt::AllowEmpty],
            Self::Save => &[Opt::Json],
            Self::Watch => {
                &[Opt::Interval, Opt::Count, Opt::Tcp, Opt::Udp, Opt::Sctp, Opt::Fwmark, Opt::Ipv6]
            }
            Self::Drain => {
                &[Opt::Deadline, Opt::RealServer, Opt::Tcp, Opt::Udp, Opt::Sctp, Opt::Fwmark, Opt::Ipv6]
            }
        }
    }
}

/// Where a table is read from or written to. The set is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `-`: standard input, or standard output.
    Standard,
    /// A file.
    File(PathBuf),
}

/// What `diff` compares, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diff {
    /// What there should be.
    pub file: Place,
    /// What becomes of services that the file does not name.
    pub foreign: Foreign,
    /// As JSON.
    pub json: bool,
}

/// What `apply` and `restore` make the kernel's table equal to, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apply {
    /// What there should be.
    pub file: Place,
    /// What becomes of services that the file does not name.
    pub foreign: Foreign,
    /// As JSON.
    pub json: bool,
    /// Says what it would do.
    pub dry_run: bool,
    /// A file that names no service may remove all of them.
    pub allow_empty: bool,
}

/// Where `save` writes, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Save {
    /// Where.
    pub file: Place,
    /// As JSON, with timeouts and sync daemons.
    pub json: bool,
}

/// What `watch` shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Between two readings, 0.1 s to an hour.
    pub interval: Duration,
    /// Ends after so many readings.
    pub count: Option<u64>,
    /// These services; all if none is named.
    pub services: Vec<ServiceKey>,
}

/// What `drain` takes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Of this service.
    pub service: ServiceKey,
    /// This server.
    pub server: ServerKey,
    /// After this time in any case.
    pub deadline: Option<Duration>,
}

/// Where Debian's package ipvsadm keeps a saved table.
pub const DEFAULT_FILE: &str = "/etc/ipvsadm.rules";

/// Reads a command line, without the name of the program. Nothing if it does not begin with one of the verbs.
///
/// # Errors
/// What follows the verb is wrong.
pub fn parse(words: &[&str], resolve: &impl Resolve) -> Result<Option<OwnCommand>, UsageError> {
    let Some((first, rest)) = words.split_first() else { return Ok(None) };
    let Some(verb) = OwnVerb::ALL.into_iter().find(|verb| verb.name() == *first) else { return Ok(None) };
    let arguments = Arguments::parse(verb, rest)?;
    if arguments.has(Opt::Help) {
        return Ok(Some(OwnCommand::Help(verb)));
    }
    command(verb, &arguments, resolve).map(Some)
}

fn command(
    verb: OwnVerb,
    arguments: &Arguments<'_>,
    resolve: &impl Resolve,
) -> Result<OwnCommand, UsageError> {
    let apply = |file| {
        Ok(Apply {
            file,
            foreign: foreign(verb, arguments)?,
            json: arguments.has(Opt::Json),
            dry_run: arguments.has(Opt::DryRun),
            allow_empty: arguments.has(Opt::AllowEmpty),
        })
    };
    Ok(match verb {
        OwnVerb::Diff => OwnCommand::Diff(Diff {
            file: named_file(verb, arguments)?,
            foreign: foreign(verb, arguments)?,
            json: arguments.has(Opt::Json),
        }),
        OwnVerb::Apply => OwnCommand::Apply(apply(named_file(verb, arguments)?)?),
        OwnVerb::Restore => OwnCommand::Restore(apply(file_or_default(verb, arguments)?)?),
        OwnVerb::Save => {
            OwnCommand::Save(Save { file: file_or_default(verb, arguments)?, json: arguments.has(Opt::Json) })
        }
        OwnVerb::Watch => {
            no_operand(verb, arguments)?;
            let interval = arguments.value(Opt::Interval).map(|text| interval(verb, text)).transpose()?;
            let count = arguments.value(Opt::Count);
            OwnCommand::Watch(Watch {
                interval: interval.unwrap_or(INTERVAL),
                count: count.map(|text| whole(verb, Opt::Count, text, 1..=u64::MAX)).transpose()?,
                services: services(arguments, resolve)?,
            })
        }
        OwnVerb::Drain => OwnCommand::Drain(drain(arguments, resolve)?),
    })
}

fn drain(arguments: &Arguments<'_>, resolve: &impl Resolve) -> Result<Drain, UsageError> {
    let verb = OwnVerb::Drain;
    no_operand(verb, arguments)?;
    let wrong = |fault: &str| UsageError::usage(format!("{}: {fault}", verb.name()));
    let service = match arguments.services()?.as_slice() {
        [] => {
            return Err(wrong(
                "the service is missing; add `-t HOST:PORT`, `-u HOST:PORT`, `--sctp-service HOST:PORT` or `-f MARK`",
            ));
        }
        [service] => service.clone(),
        _ => return Err(wrong("a server of one service drains; name one, and run it once for each of them")),
    };
    let Some(server) = arguments.value(Opt::RealServer) else {
        return Err(wrong("the server is missing; add `-r HOST[:PORT]`"));
    };
    let deadline = arguments.value(Opt::Deadline);
    let deadline = deadline.map(|text| whole(verb, Opt::Deadline, text, 0..=MONTH)).transpose()?;
    // What names a server is what ipvsadm's command line says names one.
    let words = ["-d"].into_iter().chain(service).chain(["-r", server]);
    match cli::parse(words, resolve)? {
        Command::Edit(Change::RemoveServer(service, server)) => {
            Ok(Drain { service, server, deadline: deadline.map(Duration::from_secs) })
        }
        _ => Err(wrong("these options name no server")),
    }
}

fn services(arguments: &Arguments<'_>, resolve: &impl Resolve) -> Result<Vec<ServiceKey>, UsageError> {
    let named = arguments.services()?;
    let keys = named.into_iter().map(|words| match cli::parse(["-D"].into_iter().chain(words), resolve)? {
        Command::Edit(Change::RemoveService(key)) => Ok(key),
        _ => Err(UsageError::usage("these options name no service")),
    });
    keys.collect()
}

fn foreign(verb: OwnVerb, arguments: &Arguments<'_>) -> Result<Foreign, UsageError> {
    match arguments.value(Opt::Foreign) {
        None | Some("remove") => Ok(Foreign::Remove),
        Some("keep") => Ok(Foreign::Keep),
        Some(other) => Err(UsageError::usage(format!(
            "{}: --foreign: {other:?}: write `keep` (services that FILE does not name stay) or `remove` (they go)",
            verb.name()
        ))),
    }
}

fn place(text: &str) -> Place {
    if text == "-" { Place::Standard } else { Place::File(text.into()) }
}

fn file(verb: OwnVerb, arguments: &Arguments<'_>) -> Result<Option<Place>, UsageError> {
    match arguments.operands() {
        [] => Ok(None),
        [""] => Err(UsageError::usage(format!("{}: the name of FILE is empty", verb.name()))),
        [one] => Ok(Some(place(one))),
        [_, second, ..] => Err(UsageError::usage(format!(
            "{}: {second:?}: there is one FILE at a time; leave this out",
            verb.name()
        ))),
    }
}

fn named_file(verb: OwnVerb, arguments: &Arguments<'_>) -> Result<Place, UsageError> {
    file(verb, arguments)?.ok_or_else(|| {
        UsageError::usage(format!(
            "{}: FILE is missing; name a saved table, or `-` for standard input",
            verb.name()
        ))
    })
}

fn file_or_default(verb: OwnVerb, arguments: &Arguments<'_>) -> Result<Place, UsageError> {
    Ok(file(verb, arguments)?.unwrap_or_else(|| place(DEFAULT_FILE)))
}

fn no_operand(verb: OwnVerb, arguments: &Arguments<'_>) -> Result<(), UsageError> {
    match arguments.operands().first() {
        None => Ok(()),
        Some(word) => Err(UsageError::usage(format!(
            "{}: {word:?} is no option, and belongs to none; leave it out",
            verb.name()
        ))),
    }
}

fn whole(
    verb: OwnVerb,
    option: Opt,
    text: &str,
    range: std::ops::RangeInclusive<u64>,
) -> Result<u64, UsageError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && range.contains(number));
    number.ok_or_else(|| {
        let (least, most) = range.into_inner();
        let (verb, option) = (verb.name(), option.name());
        UsageError::usage(format!("{verb}: {option}: {text:?} is no number from {least} to {most}"))
    })
}

fn interval(verb: OwnVerb, text: &str) -> Result<Duration, UsageError> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds = text.parse::<f64>().ok().filter(|seconds| plain && (0.1..=3600.0).contains(seconds));
    let interval = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    interval.ok_or_else(|| {
        let verb = verb.name();
        UsageError::usage(format!("{verb}: --interval: {text:?} is no number of seconds from 0.1 to 3600"))
    })
}

/// The kernel brings its counters up to date every two seconds.
const INTERVAL: Duration = Duration::from_secs(2);
/// 31 days in seconds.
const MONTH: u64 = 2_678_400;

#[cfg(test)]
mod tests;
