//! Words to values: numbers, times, addresses, names; each refusal says what is allowed.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::diagnostic::{Code, Diagnostic};
use super::super::known::nearest;
use super::super::lexer::Word;
use super::super::model::{Script, ScriptUser};
use super::super::tree::Node;
use super::{Cx, first};

impl Cx<'_> {
    /// A whole decimal number in a range.
    pub(super) fn number(&mut self, keyword: &str, word: &Word, range: RangeInclusive<u64>) -> Option<u64> {
        self.number_of(&format!("`{keyword}`"), word, range)
    }

    /// The same for a number that is no keyword's only one; `what` stands in messages as it is.
    pub(super) fn number_of(&mut self, what: &str, word: &Word, range: RangeInclusive<u64>) -> Option<u64> {
        let text = &*word.text;
        let (low, high) = (*range.start(), *range.end());
        let allowed = format!("allowed are whole numbers from {low} to {high}");
        let digits = text.strip_prefix('+').or(text.strip_prefix('-')).unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            let message = format!("{what} takes a whole number, not {}", word.shown());
            self.report(
                Diagnostic::error(Code::BadValue, word.span, message)
                    .label("not a whole number")
                    .help(allowed),
            );
            return None;
        }
        match text.parse::<u64>().ok().filter(|n| range.contains(n)) {
            Some(number) => Some(number),
            None => {
                let message = format!("{what} is out of range: {}", word.shown());
                self.report(
                    Diagnostic::error(Code::OutOfRange, word.span, message)
                        .label(format!("must be from {low} to {high}"))
                        .help(allowed),
                );
                None
            }
        }
    }

    pub(super) fn number_u32(&mut self, what: &str, word: &Word, range: RangeInclusive<u32>) -> Option<u32> {
        let range = u64::from(*range.start())..=u64::from(*range.end());
        self.number(what, word, range).and_then(|n| u32::try_from(n).ok())
    }

    pub(super) fn number_u8(&mut self, what: &str, word: &Word, range: RangeInclusive<u8>) -> Option<u8> {
        let range = u64::from(*range.start())..=u64::from(*range.end());
        self.number(what, word, range).and_then(|n| u8::try_from(n).ok())
    }

    pub(super) fn port(&mut self, what: &str, word: &Word) -> Option<NonZeroU16> {
        self.number(what, word, 1..=65_535).and_then(|n| u16::try_from(n).ok()).and_then(NonZeroU16::new)
    }

    /// Whole seconds.
    pub(super) fn whole_seconds(&mut self, node: &Node, range: RangeInclusive<u64>) -> Option<Duration> {
        self.number(&node.keyword.text, first(node), range).map(Duration::from_secs)
    }

    /// Seconds with up to six decimals.
    pub(super) fn seconds(&mut self, node: &Node, least: Duration, most: Duration) -> Option<Duration> {
        let word = first(node);
        let what = &*node.keyword.text;
        let allowed =
            format!("allowed are {} to {} seconds, with up to six decimals", decimal(least), decimal(most));
        let error = |code, message: String, label: &str| {
            Diagnostic::error(code, word.span, message).label(label).help(allowed.clone())
        };
        match parse_seconds(&word.text) {
            Err(Seconds::NoNumber) => {
                let message = format!("`{what}` takes a time in seconds, not {}", word.shown());
                let label = if word.text.ends_with(|c: char| c.is_ascii_alphabetic()) {
                    "write the number only, without a unit"
                } else {
                    "not a number"
                };
                self.report(error(Code::BadValue, message, label));
                None
            }
            Err(Seconds::TooFine) => {
                let message = format!("`{what}` is finer than a microsecond: {}", word.shown());
                self.report(error(Code::OutOfRange, message, "more than six decimals"));
                None
            }
            Ok(time) if (least..=most).contains(&time) => Some(time),
            Ok(_) | Err(Seconds::TooLarge) => {
                let message = format!("`{what}` is out of range: {}", word.shown());
                self.report(error(
                    Code::OutOfRange,
                    message,
                    &format!("must be from {} to {}", decimal(least), decimal(most)),
                ));
                None
            }
        }
    }

    pub(super) fn ip(&mut self, what: &str, word: &Word) -> Option<IpAddr> {
        match word.text.parse::<IpAddr>() {
            Ok(address) => Some(address),
            Err(_) => {
                let label = if word.text.contains('/') {
                    "write the address without a mask"
                } else {
                    "not an IPv4 or IPv6 address"
                };
                self.bad(word, format!("`{what}` takes an address, not {}", word.shown()), label);
                None
            }
        }
    }

    pub(super) fn ipv4(&mut self, what: &str, word: &Word) -> Option<Ipv4Addr> {
        match self.ip(what, word)? {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => {
                let message = format!("`{what}` takes an IPv4 address, not {}", word.shown());
                self.bad(word, message, "an IPv6 address");
                None
            }
        }
    }

    /// The address of a host, of either family.
    pub(super) fn host(&mut self, what: &str, word: &Word) -> Option<IpAddr> {
        let address = self.ip(what, word)?;
        if !is_host(address) {
            self.bad(
                word,
                format!("`{what}` takes the address of a host, not {}", word.shown()),
                "no host can have it",
            );
            return None;
        }
        Some(address)
    }

    /// The same of a router: what stands behind a `/`, as in the address of an interface, is left out, as in keepalived.
    pub(super) fn router(&mut self, what: &str, word: &Word) -> Option<IpAddr> {
        let Some((address, _)) = word.text.split_once('/') else { return self.host(what, word) };
        let address = self.host(what, &Word { text: address.into(), ..word.clone() })?;
        self.instead(
            word,
            format!("`{what}` takes an address alone: {address} is taken, as in keepalived"),
            "a prefix length means nothing here",
        );
        Some(address)
    }

    /// A multicast group; of which family, the keyword says with a 4 or a 6 at its end, if it does. One of IPv6 should stay on
    /// the link: keepalived takes another one for the whole file and not for an instance, with a message each.
    pub(super) fn group(&mut self, node: &Node) -> Option<IpAddr> {
        let (keyword, word) = (&*node.keyword.text, first(node));
        let address = self.ip(keyword, word)?;
        let (allowed, is_group) = match address {
            IpAddr::V4(_) if keyword.ends_with('6') => (LINK_GROUPS, false),
            IpAddr::V6(_) if keyword.ends_with('4') => (IPV4_GROUPS, false),
            IpAddr::V4(group) => (IPV4_GROUPS, group.is_multicast()),
            // RFC 4291 §2.7: the scope stands in the last four bits of the second byte.
            IpAddr::V6(group) if group.is_multicast() && group.octets()[1] & 0xf != 2 => {
                let is_for_all = keyword.ends_with('6');
                let taken = if is_for_all { "it is used all the same" } else { "it is left out" };
                let message =
                    format!("{} is not a group of the link: {taken}, as in keepalived", word.shown());
                self.instead(word, message, LINK_GROUPS);
                return is_for_all.then_some(address);
            }
            IpAddr::V6(group) => (LINK_GROUPS, group.is_multicast()),
        };
        if !is_group {
            let message = format!("`{keyword}` takes a multicast group, not {}", word.shown());
            self.bad(word, message, allowed);
        }
        is_group.then_some(address)
    }

    /// -20 to 19
    pub(super) fn niceness(&mut self, node: &Node) -> Option<i8> {
        let (keyword, word) = (&*node.keyword.text, first(node));
        let number = word.text.parse::<i8>().ok().filter(|n| (-20..=19).contains(n));
        if number.is_none() {
            self.report(
                Diagnostic::error(
                    Code::OutOfRange,
                    word.span,
                    format!("`{keyword}` takes a whole number, not {}", word.shown()),
                )
                .label("must be from -20 to 19")
                .help("-20 is served first, 19 last, 0 is usual"),
            );
        }
        number
    }

    /// The name of a network interface: 1 to 15 bytes, as the kernel checks it.
    pub(super) fn interface(&mut self, what: &str, word: &Word) -> Option<String> {
        let text = &*word.text;
        let strange = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
        // The kernel takes quotes in names. Whoever writes `'eth0'` means eth0, and keepalived finds no such interface.
        let is_quoted = text.len() > 1 && text.starts_with('\'') && text.ends_with('\'');
        if text.is_empty()
            || text.len() > 15
            || text == "."
            || text == ".."
            || is_quoted
            || text.contains(strange)
        {
            self.report(
                Diagnostic::error(
                    Code::BadValue,
                    word.span,
                    format!("`{what}` takes the name of an interface, not {}", word.shown()),
                )
                .label("no interface can have this name")
                .help("1 to 15 bytes without slash, colon or space"),
            );
            return None;
        }
        Some(text.to_owned())
    }

    /// One of a few names; case counts.
    pub(super) fn one_of<V: Copy>(&mut self, what: &str, word: &Word, names: &[(&str, V)]) -> Option<V> {
        if let Some((_, value)) = names.iter().find(|(name, _)| *name == &*word.text) {
            return Some(*value);
        }
        let label = match nearest(&word.text, names.iter().map(|(name, _)| *name)) {
            Some(name) => format!("did you mean `{name}`?"),
            None => "not one of these".into(),
        };
        let allowed: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        self.report(
            Diagnostic::error(Code::BadValue, word.span, format!("`{what}` does not know {}", word.shown()))
                .label(label)
                .help(format!("allowed: {}", allowed.join(", "))),
        );
        None
    }

    /// on, off and the like; a keyword that may stand alone means on.
    pub(super) fn boolean(&mut self, node: &Node) -> Option<bool> {
        match node.args.first() {
            None => Some(true),
            Some(word) => self.one_of(
                &node.keyword.text,
                word,
                &[
                    ("on", true),
                    ("off", false),
                    ("true", true),
                    ("false", false),
                    ("yes", true),
                    ("no", false),
                ],
            ),
        }
    }

    /// `COMMAND [USER [GROUP]]`; a command in quotes may have arguments.
    pub(super) fn script(&mut self, node: &Node) -> Option<Script> {
        let word = first(node);
        let Some(command) = split_command(&word.text) else {
            self.bad(word, "the command has a quote without its end", "in this command");
            return None;
        };
        if command.first().is_none_or(String::is_empty) {
            self.bad(word, format!("`{}` names no program", &node.keyword.text), "nothing to run");
            return None;
        }
        Some(Script { command, user: self.user(node.args.get(1..).unwrap_or(&[])) })
    }

    /// `USER [GROUP]`
    pub(super) fn user(&mut self, words: &[Word]) -> Option<ScriptUser> {
        let user = words.first()?;
        for word in words.iter().filter(|word| word.text.starts_with(':') || word.text.is_empty()) {
            self.report(
                Diagnostic::error(
                    Code::NotSupportedYet,
                    word.span,
                    "lvsd does not set supplementary groups of scripts yet",
                )
                .label("write the group without a colon"),
            );
        }
        Some(ScriptUser {
            user: user.text.to_string(),
            group: words.get(1).map(|group| group.text.to_string()),
        })
    }
}

/// Whether a host can have the address.
pub(super) fn is_host(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !(address.is_multicast() || address.is_unspecified() || broadcast)
}

const IPV4_GROUPS: &str = "must be from 224.0.0.0 to 239.255.255.255";
const LINK_GROUPS: &str = "must be an IPv6 group of the link, such as ff02::12";

enum Seconds {
    NoNumber,
    TooFine,
    TooLarge,
}

/// Exact: no floating point, so 0.1 is 100 ms.
fn parse_seconds(text: &str) -> Result<Duration, Seconds> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return Err(if text.strip_prefix('-').is_some_and(|t| parse_seconds(t).is_ok()) {
            Seconds::TooLarge
        } else {
            Seconds::NoNumber
        });
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 6 {
        return Err(Seconds::TooFine);
    }
    let seconds = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| Seconds::TooLarge)? };
    let micros: u32 = format!("{fraction:0<6}").parse().map_err(|_| Seconds::NoNumber)?;
    Ok(Duration::new(seconds, micros * 1000))
}

/// Seconds as a person writes them.
pub(super) fn decimal(time: Duration) -> String {
    let text = format!("{}.{:06}", time.as_secs(), time.subsec_micros());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Splits a command at spaces; quotes keep words together. `None` if a quote does not end.
fn split_command(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_exact_to_the_microsecond() {
        let ok = |text| parse_seconds(text).ok();
        assert_eq!(ok("0.1"), Some(Duration::from_millis(100)));
        assert_eq!(ok("3"), Some(Duration::from_secs(3)));
        assert_eq!(ok(".5"), Some(Duration::from_millis(500)));
        assert_eq!(ok("2.718280"), Some(Duration::from_micros(2_718_280)));
        assert_eq!(ok("1.0000000"), Some(Duration::from_secs(1)));
        for bad in ["", ".", "1s", "-1", "1e3", "１", "1.0000001", "99999999999999999999"] {
            assert_eq!(ok(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_command_is_split_as_keepalived_splits_it() {
        assert_eq!(
            split_command("/bin/echo 'a b' c").as_deref(),
            Some(&["/bin/echo", "a b", "c"].map(Into::into)[..])
        );
        assert_eq!(split_command("/a ''").as_deref(), Some(&["/a", ""].map(Into::into)[..]));
        assert_eq!(split_command("/a 'b"), None);
    }
}
