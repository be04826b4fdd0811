//! Takes a command line apart into options and other words, by the rules of the library popt that ipvsadm uses.
//!
//! - An option may stand anywhere; what is no option and no argument of one is kept aside.
//! - Short options may be bundled (`-Ln`). An argument follows in the same word (`-srr`, `-s=rr`, `--scheduler=rr`) or
//!   is the next word, whatever that looks like. An optional argument is the next word only if that has no dash.
//! - Long names are not abbreviated. Behind `--` nothing is an option.

use super::options::{Spec, Takes};
use crate::error::UsageError;

/// The options of a command line, one after another.
pub(super) struct Words<'a, I: Iterator<Item = &'a str>> {
    words: std::iter::Peekable<I>,
    /// What is left of a word of bundled options.
    bundle: &'a str,
    /// Behind `--`.
    ended: bool,
    /// Words that are no options.
    others: Vec<&'a str>,
}

/// An option and its argument.
pub(super) struct Occurrence<'a> {
    pub(super) spec: &'static Spec,
    pub(super) argument: Option<&'a str>,
}

impl<'a, I: Iterator<Item = &'a str>> Words<'a, I> {
    pub(super) fn new(words: I) -> Self {
        Self { words: words.peekable(), bundle: "", ended: false, others: Vec::new() }
    }

    /// The words that were no options.
    pub(super) fn into_others(self) -> Vec<&'a str> {
        self.others
    }

    fn short(&mut self, name: char) -> Result<Occurrence<'a>, UsageError> {
        let spec = Spec::by_short(name).ok_or_else(|| {
            UsageError::no_option(format!("-{name}: there is no such option; `-h` lists them"))
        })?;
        let argument = match spec.takes {
            Takes::Nothing => None,
            Takes::Optional | Takes::Value(_) if !self.bundle.is_empty() => {
                let rest = std::mem::take(&mut self.bundle);
                Some(rest.strip_prefix('=').unwrap_or(rest))
            }
            takes => self.next_word_as_argument(spec, takes)?,
        };
        Ok(Occurrence { spec, argument })
    }

    fn long(&mut self, word: &'a str) -> Result<Occurrence<'a>, UsageError> {
        let (name, attached) =
            word.split_once('=').map_or((word, None), |(name, argument)| (name, Some(argument)));
        let spec = Spec::by_long(name).ok_or_else(|| {
            UsageError::no_option(format!("--{name}: there is no such option; `-h` lists them"))
        })?;
        let argument = match (spec.takes, attached) {
            (Takes::Nothing, Some(argument)) => {
                return Err(UsageError::no_option(format!(
                    "--{name}: this option takes no argument; leave `={argument}` out"
                )));
            }
            (Takes::Nothing, None) => None,
            (Takes::Optional | Takes::Value(_), Some(argument)) => Some(argument),
            (takes, None) => self.next_word_as_argument(spec, takes)?,
        };
        Ok(Occurrence { spec, argument })
    }

    fn next_word_as_argument(
        &mut self,
        spec: &'static Spec,
        takes: Takes,
    ) -> Result<Option<&'a str>, UsageError> {
        match takes {
            Takes::Nothing => Ok(None),
            Takes::Optional => Ok(self.words.next_if(|word| !word.starts_with('-'))),
            Takes::Value(what) => match self.words.next() {
                Some(word) => Ok(Some(word)),
                None => Err(UsageError::no_option(format!(
                    "{}: an argument is missing: write `{} {what}`",
                    spec.name(),
                    spec.name()
                ))),
            },
        }
    }
}

impl<'a, I: Iterator<Item = &'a str>> Iterator for Words<'a, I> {
    type Item = Result<Occurrence<'a>, UsageError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut bundle = self.bundle.chars();
            if let Some(name) = bundle.next() {
                self.bundle = bundle.as_str();
                return Some(self.short(name));
            }
            let word = self.words.next()?;
            if self.ended {
                self.others.push(word);
            } else if word == "--" {
                self.ended = true;
            } else if let Some(long) = word.strip_prefix("--") {
                return Some(self.long(long));
            } else if let Some(bundle) = word.strip_prefix('-').filter(|bundle| !bundle.is_empty()) {
                self.bundle = bundle;
            } else {
                self.others.push(word);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each option with its argument, and what was no option.
    fn taken_apart(line: &str) -> Result<(Vec<String>, Vec<&str>), UsageError> {
        let mut words = Words::new(line.split(' '));
        let mut seen = Vec::new();
        for occurrence in words.by_ref() {
            let Occurrence { spec, argument } = occurrence?;
            seen.push(match argument {
                Some(argument) => format!("{}={argument}", spec.name()),
                None => spec.name().to_string(),
            });
        }
        Ok((seen, words.into_others()))
    }

    #[test]
    fn options_are_bundled_and_arguments_attached_as_popt_has_it() {
        let cases: [(&str, &[&str], &[&str]); 14] = [
            ("-Ln", &["-L", "-n"], &[]),
            ("-A -t 10.0.0.1:80", &["-A", "-t=10.0.0.1:80"], &[]),
            ("-At10.0.0.1:80", &["-A", "-t=10.0.0.1:80"], &[]),
            ("-A -t=10.0.0.1:80", &["-A", "-t=10.0.0.1:80"], &[]),
            ("--add-service --scheduler=rr", &["-A", "-s=rr"], &[]),
            ("-s -t", &["-s=-t"], &[]),
            ("-s -- rr", &["-s=--"], &["rr"]),
            ("-p -t a", &["-p", "-t=a"], &[]),
            ("-p 5 -p=6 -p7 --persistent=8 -op9", &["-p=5", "-p=6", "-p=7", "-p=8", "-o", "-p=9"], &[]),
            ("-Ap 5", &["-A", "-p=5"], &[]),
            ("-po", &["-p=o"], &[]),
            ("a -L b - c", &["-L"], &["a", "b", "-", "c"]),
            ("-L -- -n --", &["-L"], &["-n", "--"]),
            ("-p -- 5", &["-p"], &["5"]),
        ];
        for (line, options, others) in cases {
            let (seen, rest) = taken_apart(line).unwrap();
            assert_eq!(seen, options, "{line}");
            assert_eq!(rest, others, "{line}");
        }
    }

    #[test]
    fn what_is_no_option_says_so() {
        for (line, text) in [
            ("-q", "-q: there is no such option; `-h` lists them"),
            ("-L5", "-5: there is no such option; `-h` lists them"),
            ("--lis", "--lis: there is no such option; `-h` lists them"),
            ("-", ""),
            ("--stats=1", "--stats: this option takes no argument; leave `=1` out"),
            ("-A -t", "-t: an argument is missing: write `-t HOST[:PORT]`"),
            ("--syncid", "--syncid: an argument is missing: write `--syncid ID`"),
        ] {
            let error = taken_apart(line).err().map(|error| error.to_string()).unwrap_or_default();
            assert_eq!(error, text, "{line}");
        }
    }
}
