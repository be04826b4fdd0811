//! Takes the words behind a verb apart into options and operands.
//!
//! Options and operands stand in any order. An argument follows in the same word (`--foreign=keep`, `-t10.0.0.1:80`) or is the
//! next one. Behind `--` nothing is an option, and `-` is none.

use super::OwnVerb;
use crate::error::UsageError;

/// The options of all verbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opt {
    Tcp,
    Udp,
    Sctp,
    Fwmark,
    Ipv6,
    RealServer,
    Foreign,
    Json,
    DryRun,
    AllowEmpty,
    Interval,
    Count,
    Deadline,
    Help,
}

impl Opt {
    /// As one writes it.
    pub(super) fn name(self) -> &'static str {
        SPECS.iter().find(|spec| spec.option == self).map_or("", |spec| spec.names[0])
    }

    const fn is_service(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp | Self::Sctp | Self::Fwmark)
    }
}

struct Spec {
    option: Opt,
    /// The usual one first; with their dashes.
    names: &'static [&'static str],
    takes: Option<&'static str>,
}

/// What stands behind a verb, in order.
#[derive(Debug, Default)]
pub(super) struct Arguments<'a> {
    options: Vec<(Opt, &'a str)>,
    operands: Vec<&'a str>,
}

impl<'a> Arguments<'a> {
    pub(super) fn parse(verb: OwnVerb, words: &[&'a str]) -> Result<Self, UsageError> {
        let wrong = |fault: String| UsageError::usage(format!("{}: {fault}", verb.name()));
        let mut arguments = Self::default();
        let mut words = words.iter();
        while let Some(&word) = words.next() {
            if word == "--" {
                arguments.operands.extend(words.by_ref());
                break;
            }
            if word == "-" || !word.starts_with('-') {
                arguments.operands.push(word);
                continue;
            }
            let (spec, attached) =
                find(word).filter(|(spec, _)| verb.knows(spec.option)).ok_or_else(|| {
                    wrong(format!("{word}: there is no such option; `{} --help` lists them", verb.name()))
                })?;
            let name = spec.names[0];
            let argument = match (spec.takes, attached) {
                (None, None) => "",
                (None, Some(text)) => {
                    return Err(wrong(format!("{name}: this option takes no argument; leave {text:?} out")));
                }
                (Some(_), Some(text)) => text,
                (Some(what), None) => words
                    .next()
                    .copied()
                    .ok_or_else(|| wrong(format!("{name}: an argument is missing: write `{name} {what}`")))?,
            };
            let twice = arguments.has(spec.option) && !spec.option.is_service() && spec.option != Opt::Ipv6;
            if twice {
                return Err(wrong(format!(
                    "{name}: this option stands there already; leave one of them out"
                )));
            }
            arguments.options.push((spec.option, argument));
        }
        Ok(arguments)
    }

    pub(super) fn has(&self, option: Opt) -> bool {
        self.options.iter().any(|(given, _)| *given == option)
    }

    pub(super) fn value(&self, option: Opt) -> Option<&'a str> {
        self.options.iter().find(|(given, _)| *given == option).map(|(_, argument)| *argument)
    }

    pub(super) fn operands(&self) -> &[&'a str] {
        &self.operands
    }

    /// The words that name each service.
    pub(super) fn services(&self) -> Result<Vec<Vec<&'a str>>, UsageError> {
        let mut services: Vec<Vec<&'a str>> = Vec::new();
        for (option, argument) in &self.options {
            match option {
                _ if option.is_service() => services.push(vec![option.name(), argument]),
                Opt::Ipv6 => match services.last_mut() {
                    Some(service) if service.first() == Some(&Opt::Fwmark.name()) => service.push("-6"),
                    _ => {
                        return Err(UsageError::usage(
                            "-6: this option follows `-f MARK`; an address says by itself that it is IPv6",
                        ));
                    }
                },
                _ => {}
            }
        }
        Ok(services)
    }
}

impl OwnVerb {
    fn knows(self, option: Opt) -> bool {
        option == Opt::Help || self.options().contains(&option)
    }
}

/// The option that a word is, and the argument in the same word.
fn find(word: &str) -> Option<(&'static Spec, Option<&str>)> {
    let named = |name: &str| SPECS.iter().find(|spec| spec.names.contains(&name));
    if word.starts_with("--") {
        let (name, argument) =
            word.split_once('=').map_or((word, None), |(name, argument)| (name, Some(argument)));
        return named(name).map(|spec| (spec, argument));
    }
    let end = word.char_indices().nth(2).map_or(word.len(), |(end, _)| end);
    let (name, argument) = word.split_at(end);
    let argument = Some(argument).filter(|argument| !argument.is_empty());
    named(name).map(|spec| (spec, argument.map(|argument| argument.strip_prefix('=').unwrap_or(argument))))
}

const SPECS: [Spec; 14] = [
    Spec { option: Opt::Tcp, names: &["-t", "--tcp-service"], takes: Some("HOST:PORT") },
    Spec { option: Opt::Udp, names: &["-u", "--udp-service"], takes: Some("HOST:PORT") },
    Spec { option: Opt::Sctp, names: &["--sctp-service"], takes: Some("HOST:PORT") },
    Spec { option: Opt::Fwmark, names: &["-f", "--fwmark-service"], takes: Some("MARK") },
    Spec { option: Opt::Ipv6, names: &["-6", "--ipv6"], takes: None },
    Spec { option: Opt::RealServer, names: &["-r", "--real-server"], takes: Some("HOST[:PORT]") },
    Spec { option: Opt::Foreign, names: &["--foreign"], takes: Some("keep|remove") },
    Spec { option: Opt::Json, names: &["--json"], takes: None },
    Spec { option: Opt::DryRun, names: &["--dry-run"], takes: None },
    Spec { option: Opt::AllowEmpty, names: &["--allow-empty"], takes: None },
    Spec { option: Opt::Interval, names: &["--interval"], takes: Some("SECONDS") },
    Spec { option: Opt::Count, names: &["--count"], takes: Some("NUMBER") },
    Spec { option: Opt::Deadline, names: &["--deadline"], takes: Some("SECONDS") },
    Spec { option: Opt::Help, names: &["--help", "-h"], takes: None },
];
