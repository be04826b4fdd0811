//! Values from a recording.

use std::num::NonZeroU8;
use std::str::FromStr;
use std::time::Duration;

use lvs_core::{ClaimResult, Epoch, Instant};

use super::{FAULTS, Input, ParseError, fault_word};
use crate::action::Gate;
use crate::config::{AnnounceSchedule, Config, DownTimerAdverts, Preempt, Start};
use crate::router::Router;
use crate::types::{Advertised, Interval, Priority};

pub(super) struct Told {
    pub(super) start: Instant,
    pub(super) router: Router,
    pub(super) inputs: Vec<(Duration, Input)>,
}

pub(super) fn recording(text: &str) -> Result<Told, ParseError> {
    let mut lines = Lines { lines: text.lines(), number: 0 };
    lines.header("vrrp-recording", |version| match version {
        "1" => Ok(()),
        other => Err(format!("version {other:?} of the format is not known, only 1")),
    })?;
    let start = lines.header("start", |nanos| number(nanos).map(Instant::from_nanos))?;
    let address = lines.header("address", number)?;
    let config = lines.header("config", config)?;
    let mut router = Router::new(config, address);
    let mut inputs = Vec::new();
    let mut line = lines.next();
    if let Some(state) = line.and_then(|line| line.strip_prefix("state ")) {
        router.read_state(state).map_err(|reason| lines.error(reason))?;
        line = lines.next();
    }
    let mut last = Duration::ZERO;
    while let Some(told) = line {
        let (offset, input) = input(told).map_err(|reason| lines.error(reason))?;
        if offset < last {
            let (offset, last) = (offset.as_nanos(), last.as_nanos());
            return Err(
                lines.error(format!("+{offset} is before +{last}: inputs go in the order of their times"))
            );
        }
        last = offset;
        inputs.push((offset, input));
        line = lines.next();
    }
    Ok(Told { start, router, inputs })
}

/// The lines that mean something.
struct Lines<'a> {
    lines: std::str::Lines<'a>,
    /// Of the line that was taken last.
    number: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a str> {
        loop {
            self.number += 1;
            let line = self.lines.next()?;
            if !line.is_empty() && !line.starts_with('#') {
                return Some(line);
            }
        }
    }

    /// The rest of the next line, which begins with that word.
    fn header<T>(
        &mut self,
        word: &str,
        read: impl FnOnce(&'a str) -> Result<T, String>,
    ) -> Result<T, ParseError> {
        let line = self.next().unwrap_or_default();
        match line.split_once(' ') {
            Some((first, rest)) if first == word => read(rest).map_err(|reason| self.error(reason)),
            _ => Err(self.error(format!("{word:?} and its value are missing"))),
        }
    }

    fn error(&self, reason: String) -> ParseError {
        ParseError { line: self.number, reason }
    }
}

fn input(line: &str) -> Result<(Duration, Input), String> {
    let rest = line.strip_prefix('+').ok_or("an input begins with + and its time")?;
    let (offset, rest) = rest.split_once(' ').ok_or("the input is missing")?;
    let offset = Duration::from_nanos(number(offset)?);
    let (word, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let words: Vec<&str> = if rest.is_empty() { Vec::new() } else { rest.split(' ').collect() };
    let input = match (word, words.as_slice()) {
        ("enable", []) => Input::Enable,
        ("disable", []) => Input::Disable,
        ("timeout", []) => Input::Timeout,
        ("gate", ["open"]) => Input::Gate(Gate::Open),
        ("gate", ["held"]) => Input::Gate(Gate::Held),
        ("gate", ["fault", wanted]) => {
            let reason = FAULTS.into_iter().find(|reason| fault_word(*reason) == *wanted);
            let reason = reason.ok_or_else(|| format!("{wanted:?} is no reason for a fault"))?;
            Input::Gate(Gate::Fault(reason))
        }
        ("claimed", [epoch, "confirmed"]) => claimed(epoch, ClaimResult::Confirmed)?,
        ("claimed", [epoch, "missing"]) => claimed(epoch, ClaimResult::Missing)?,
        ("advert", [source, octet, length]) => Input::Advert {
            source: number(source)?,
            advertised: Advertised::from_octet(number(octet)?),
            interval: interval(length)?,
        },
        ("priority", [wanted]) => Input::Priority(priority(wanted)?),
        ("address", [address]) => Input::Address(number(address)?),
        ("config", [_, ..]) => Input::Config(config(rest)?),
        _ => return Err(format!("{:?} is no input", format!("{word} {rest}").trim_end())),
    };
    Ok((offset, input))
}

fn claimed(epoch: &str, result: ClaimResult) -> Result<Input, String> {
    Ok(Input::Claimed { epoch: Epoch::from_value(number(epoch)?), result })
}

fn config(text: &str) -> Result<Config, String> {
    let mut keys: Vec<&str> = Vec::new();
    let mut values: Vec<(&str, &str)> = Vec::new();
    for word in text.split(' ') {
        let (key, value) = word.split_once('=').ok_or_else(|| format!("{word:?} is no key=value"))?;
        if keys.contains(&key) {
            return Err(format!("{key:?} comes twice"));
        }
        keys.push(key);
        values.push((key, value));
        // Each key at most once: a longer list has an unknown one.
        if keys.len() > KEYS {
            return Err("too many keys".to_owned());
        }
    }
    let needed = |wanted: &str| {
        let found = values.iter().find(|(key, _)| *key == wanted);
        found.map(|(_, value)| *value).ok_or_else(|| format!("{wanted:?} is missing"))
    };
    let mut config = Config::new(interval(needed("interval")?)?, priority(needed("priority")?)?);
    let mut schedule = AnnounceSchedule::default();
    for (key, value) in values {
        config = match key {
            "interval" | "priority" => config,
            "preempt" => config.with_preempt(match value {
                "always" => Preempt::Always,
                "never" => Preempt::Never,
                nanos => Preempt::After(duration(nanos)?),
            }),
            "start" => config.with_start(match value {
                "backup" => Start::Backup,
                "master" => Start::Master,
                other => return Err(format!("{other:?} is neither backup nor master")),
            }),
            "start_delay" => config.with_start_delay(duration(value)?),
            "down_timer_adverts" => {
                let adverts = DownTimerAdverts::new(number(value)?).map_err(|error| error.to_string())?;
                config.with_down_timer_adverts(adverts)
            }
            "lower_prio_no_advert" => config.with_lower_prio_no_advert(switch(value)?),
            "higher_prio_send_advert" => config.with_higher_prio_send_advert(switch(value)?),
            "owner_ignore_adverts" => config.with_owner_ignore_adverts(switch(value)?),
            "yield_when_late" => config.with_yield_when_late(switch(value)?),
            "highest_other" => config.with_highest_other_priority(priority(value)?),
            "claim_timeout" => config.with_claim_timeout(duration(value)?),
            _ => {
                schedule = announcements(schedule, key, value)?;
                config
            }
        };
    }
    Ok(config.with_announcements(schedule))
}

fn announcements(schedule: AnnounceSchedule, key: &str, value: &str) -> Result<AnnounceSchedule, String> {
    Ok(match key {
        "repeat" => schedule.with_repeat(number::<NonZeroU8>(value)?),
        "delay" => schedule.with_delay(duration(value)?),
        "refresh" => schedule.with_refresh(duration(value)?),
        "refresh_repeat" => schedule.with_refresh_repeat(number::<NonZeroU8>(value)?),
        "lower_prio_repeat" => schedule.with_lower_prio_repeat(number(value)?),
        "lower_prio_delay" => schedule.with_lower_prio_delay(duration(value)?),
        _ => return Err(format!("{key:?} is no key of a configuration")),
    })
}

pub(crate) fn interval(text: &str) -> Result<Interval, String> {
    // "cs" ends with "s" too.
    if let Some(centis) = text.strip_suffix("cs") {
        Interval::centis(number(centis)?).map_err(|error| error.to_string())
    } else if let Some(seconds) = text.strip_suffix('s') {
        Interval::seconds(number(seconds)?).map_err(|error| error.to_string())
    } else {
        Err(format!("{text:?} is no interval such as 1s or 100cs"))
    }
}

pub(crate) fn priority(text: &str) -> Result<Priority, String> {
    Priority::new(number(text)?).map_err(|error| error.to_string())
}

fn duration(text: &str) -> Result<Duration, String> {
    number(text).map(Duration::from_nanos)
}

pub(crate) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        other => Err(format!("{other:?} is neither yes nor no")),
    }
}

/// A number or an address.
pub(crate) fn number<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}

/// Keys that a configuration may have.
const KEYS: usize = 18;
