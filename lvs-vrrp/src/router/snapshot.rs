//! What a router is at one moment as text, so that a recording can begin in the middle of its life.

use lvs_core::{Epoch, Instant};

use super::backup::{Backup, Expiry, PreemptDelay, Wait};
use super::master::{Claim, Master};
use super::rivals::{KEPT, Rival, Rivals};
use super::rounds::{Round, Rounds};
use super::{Router, State};
use crate::action::Gate;
use crate::conflict::{Conflict, Verdict};
use crate::record::read::{interval, number, priority, switch};
use crate::record::write::put;
use crate::record::{FAULTS, fault_word};

impl Router {
    /// Whether everything that it decided was polled: only then its state is all that there is to know.
    pub(crate) fn is_drained(&self) -> bool {
        self.actions.is_empty()
    }

    /// Appends its state as ` key=value`, without configuration and address. Instants are in nanoseconds.
    pub(crate) fn write_state(&self, text: &mut String) {
        put(text, format_args!(" epoch={} failed_claims={}", self.epoch, self.failed_claims));
        match self.gate {
            Gate::Open => text.push_str(" gate=open"),
            Gate::Held => text.push_str(" gate=held"),
            Gate::Fault(reason) => put(text, format_args!(" gate={}", fault_word(reason))),
        }
        match &self.state {
            State::Disabled => text.push_str(" is=disabled"),
            State::Starting { at } => put(text, format_args!(" is=starting at={}", at.as_nanos())),
            State::Fault => text.push_str(" is=fault"),
            State::ClaimFailed { retry_at } => {
                put(text, format_args!(" is=claim-failed at={}", retry_at.as_nanos()));
            }
            State::Backup(backup) => {
                text.push_str(" is=backup");
                backup.write(text);
            }
            State::Master(master) => {
                text.push_str(" is=master");
                master.write(text);
            }
        }
    }

    /// Takes over a state that was written.
    pub(crate) fn read_state(&mut self, text: &str) -> Result<(), String> {
        let mut words = Words::split(text)?;
        self.epoch = Epoch::from_value(words.need("epoch", number)?);
        self.failed_claims = words.need("failed_claims", number)?;
        self.gate = words.need("gate", |gate| match gate {
            "open" => Ok(Gate::Open),
            "held" => Ok(Gate::Held),
            word => {
                let reason = FAULTS.into_iter().find(|reason| fault_word(*reason) == word);
                Ok(Gate::Fault(reason.ok_or_else(|| format!("{word:?} is no gate"))?))
            }
        })?;
        self.state = match words.need("is", Ok)? {
            "disabled" => State::Disabled,
            "starting" => State::Starting { at: words.need("at", instant)? },
            "fault" => State::Fault,
            "claim-failed" => State::ClaimFailed { retry_at: words.need("at", instant)? },
            "backup" => State::Backup(Backup::read(&mut words)?),
            "master" => State::Master(Master::read(self.epoch, &mut words)?),
            other => return Err(format!("{other:?} is nothing that a router is")),
        };
        words.end()
    }
}

impl Backup {
    fn write(&self, text: &mut String) {
        let Self { wait, master_interval, expiry, delay } = self;
        match wait {
            Wait::Until(at) => put(text, format_args!(" until={}", at.as_nanos())),
            Wait::ForGate => {}
        }
        text.push_str(" interval=");
        put(text, format_args!("{master_interval}"));
        match expiry {
            Expiry::Silence => text.push_str(" cause=silence"),
            Expiry::Resignation => text.push_str(" cause=resignation"),
            Expiry::LowerMaster { master, priority } => {
                put(text, format_args!(" cause={master},{priority}"));
            }
        }
        match delay {
            PreemptDelay::None => {}
            PreemptDelay::Until(at) => put(text, format_args!(" delay={}", at.as_nanos())),
        }
    }

    fn read(words: &mut Words<'_>) -> Result<Self, String> {
        Ok(Self {
            wait: words.may("until", instant)?.map_or(Wait::ForGate, Wait::Until),
            master_interval: words.need("interval", interval)?,
            expiry: words.need("cause", |cause| match cause {
                "silence" => Ok(Expiry::Silence),
                "resignation" => Ok(Expiry::Resignation),
                lower => {
                    let [master, lower] = parts(lower)?;
                    Ok(Expiry::LowerMaster { master: number(master)?, priority: priority(lower)? })
                }
            })?,
            delay: words.may("delay", instant)?.map_or(PreemptDelay::None, PreemptDelay::Until),
        })
    }
}

impl Master {
    fn write(&self, text: &mut String) {
        let Self { epoch: _, advertise_at, overtaken_at, answer_from, claim, announced, rivals } = self;
        for (key, at) in [("advertise", advertise_at), ("overtaken", overtaken_at), ("answer", answer_from)] {
            put(text, format_args!(" {key}={}", at.as_nanos()));
        }
        put(text, format_args!(" announced={announced}"));
        match claim {
            Claim::Missing { give_up_at, last_round } => {
                put(text, format_args!(" give_up={}", give_up_at.as_nanos()));
                put_instant(text, "last", *last_round);
            }
            Claim::Confirmed(rounds) => rounds.write(text),
        }
        for rival in &rivals.0 {
            rival.write(text);
        }
    }

    fn read(epoch: Epoch, words: &mut Words<'_>) -> Result<Self, String> {
        let claim = match words.may("give_up", instant)? {
            Some(give_up_at) => Claim::Missing { give_up_at, last_round: words.may("last", instant)? },
            None => Claim::Confirmed(Rounds::read(words)?),
        };
        let mut rivals = Vec::new();
        while let Some(rival) = words.may("rival", Rival::read)? {
            rivals.push(rival);
        }
        if rivals.len() > KEPT {
            return Err(format!("more than {KEPT} rivals"));
        }
        Ok(Self {
            epoch,
            advertise_at: words.need("advertise", instant)?,
            overtaken_at: words.need("overtaken", instant)?,
            answer_from: words.need("answer", instant)?,
            claim,
            announced: words.need("announced", number)?,
            rivals: Rivals(rivals),
        })
    }
}

impl Rounds {
    fn write(&self, text: &mut String) {
        let Self { second, refresh, again, after_losing, last, last_demand } = self;
        let rounds =
            [("second", second), ("refresh", refresh), ("again", again), ("after_losing", after_losing)];
        for (key, round) in rounds {
            if let Some(Round { at, packets }) = round {
                put(text, format_args!(" {key}={},{packets}", at.as_nanos()));
            }
        }
        put_instant(text, "last", *last);
        put_instant(text, "last_demand", *last_demand);
    }

    fn read(words: &mut Words<'_>) -> Result<Self, String> {
        let round = |text| {
            let [at, packets] = parts(text)?;
            Ok(Round { at: instant(at)?, packets: number(packets)? })
        };
        Ok(Self {
            second: words.may("second", round)?,
            refresh: words.may("refresh", round)?,
            again: words.may("again", round)?,
            after_losing: words.may("after_losing", round)?,
            last: words.may("last", instant)?,
            last_demand: words.may("last_demand", instant)?,
        })
    }
}

impl Rival {
    fn write(&self, text: &mut String) {
        let Self { conflict, over_at, is_unheard, has_resigned } = self;
        let Conflict { other, priority, verdict, since, until, adverts } = conflict;
        let verdict = match verdict {
            Verdict::LowerPriority => "lower-priority",
            Verdict::LowerAddress => "lower-address",
            Verdict::SameAddress => "same-address",
        };
        put(text, format_args!(" rival={other},{priority},{verdict},{adverts}"));
        for at in [since, until, over_at] {
            put(text, format_args!(",{}", at.as_nanos()));
        }
        for is_so in [is_unheard, has_resigned] {
            text.push_str(if *is_so { ",yes" } else { ",no" });
        }
    }

    fn read(text: &str) -> Result<Self, String> {
        let [other, theirs, verdict, adverts, since, until, over, unheard, resigned] = parts(text)?;
        let verdict = match verdict {
            "lower-priority" => Verdict::LowerPriority,
            "lower-address" => Verdict::LowerAddress,
            "same-address" => Verdict::SameAddress,
            word => return Err(format!("{word:?} is no verdict")),
        };
        let conflict = Conflict {
            other: number(other)?,
            priority: priority(theirs)?,
            verdict,
            since: instant(since)?,
            until: instant(until)?,
            adverts: number(adverts)?,
        };
        let (is_unheard, has_resigned) = (switch(unheard)?, switch(resigned)?);
        Ok(Self { conflict, over_at: instant(over)?, is_unheard, has_resigned })
    }
}

/// Words `key=value`, each to be taken once.
struct Words<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Words<'a> {
    fn split(text: &'a str) -> Result<Self, String> {
        let pair = |word: &'a str| word.split_once('=').ok_or_else(|| format!("{word:?} is no key=value"));
        text.split(' ').map(pair).collect::<Result<_, _>>().map(Self)
    }

    fn may<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&'a str) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        let Some(place) = self.0.iter().position(|(known, _)| *known == key) else { return Ok(None) };
        let (_, value) = self.0.remove(place);
        read(value).map(Some)
    }

    fn need<T>(&mut self, key: &str, read: impl FnOnce(&'a str) -> Result<T, String>) -> Result<T, String> {
        self.may(key, read)?.ok_or_else(|| format!("{key:?} is missing"))
    }

    fn end(self) -> Result<(), String> {
        match self.0.first() {
            Some((key, _)) => Err(format!("{key:?} comes twice or has no place here")),
            None => Ok(()),
        }
    }
}

fn parts<const N: usize>(text: &str) -> Result<[&str; N], String> {
    let parts: Vec<&str> = text.split(',').collect();
    parts.try_into().map_err(|_| format!("{text:?} has not {N} parts"))
}

fn instant(text: &str) -> Result<Instant, String> {
    number(text).map(Instant::from_nanos)
}

fn put_instant(text: &mut String, key: &str, at: Option<Instant>) {
    if let Some(at) = at {
        put(text, format_args!(" {key}={}", at.as_nanos()));
    }
}
