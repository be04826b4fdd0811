//! A recording from values.

use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

use lvs_core::{ClaimResult, Instant};

use super::{Input, fault_word};
use crate::action::Gate;
use crate::config::{Config, Preempt, Start};

pub(super) fn header(start: Instant, config: &Config, address: IpAddr) -> String {
    let mut text = String::new();
    put(&mut text, format_args!("vrrp-recording 1\nstart {}\naddress {address}\nconfig", start.as_nanos()));
    put_config(&mut text, config);
    text.push('\n');
    text
}

pub(super) fn line(text: &mut String, offset: Duration, input: &Input) {
    put(text, format_args!("+{} ", nanos(offset)));
    match input {
        Input::Enable => text.push_str("enable"),
        Input::Disable => text.push_str("disable"),
        Input::Gate(Gate::Open) => text.push_str("gate open"),
        Input::Gate(Gate::Held) => text.push_str("gate held"),
        Input::Gate(Gate::Fault(reason)) => put(text, format_args!("gate fault {}", fault_word(*reason))),
        Input::Claimed { epoch, result } => {
            let result = match result {
                ClaimResult::Confirmed => "confirmed",
                ClaimResult::Missing => "missing",
            };
            put(text, format_args!("claimed {epoch} {result}"));
        }
        Input::Advert { source, advertised, interval } => {
            put(text, format_args!("advert {source} {advertised} {interval}"));
        }
        Input::Timeout => text.push_str("timeout"),
        Input::Priority(priority) => put(text, format_args!("priority {priority}")),
        Input::Address(address) => put(text, format_args!("address {address}")),
        Input::Config(config) => {
            text.push_str("config");
            put_config(text, config);
        }
    }
    text.push('\n');
}

fn put_config(text: &mut String, config: &Config) {
    put(text, format_args!(" interval={} priority={}", config.interval(), config.priority()));
    match config.preempt() {
        Preempt::Always => text.push_str(" preempt=always"),
        Preempt::Never => text.push_str(" preempt=never"),
        Preempt::After(delay) => put(text, format_args!(" preempt={}", nanos(delay))),
    }
    text.push_str(match config.start() {
        Start::Backup => " start=backup",
        Start::Master => " start=master",
    });
    put(text, format_args!(" start_delay={}", nanos(config.start_delay())));
    put(text, format_args!(" down_timer_adverts={}", config.down_timer_adverts().get()));
    let schedule = config.announcements();
    put(text, format_args!(" repeat={} delay={}", schedule.repeat(), nanos(schedule.delay())));
    put(text, format_args!(" refresh={}", nanos(schedule.refresh())));
    put(text, format_args!(" refresh_repeat={}", schedule.refresh_repeat()));
    let (lower_prio_repeat, lower_prio_delay) = schedule.fixed_lower_prio();
    if let Some(packets) = lower_prio_repeat {
        put(text, format_args!(" lower_prio_repeat={packets}"));
    }
    if let Some(delay) = lower_prio_delay {
        put(text, format_args!(" lower_prio_delay={}", nanos(delay)));
    }
    for (key, is_on) in [
        ("lower_prio_no_advert", config.lower_prio_no_advert()),
        ("higher_prio_send_advert", config.higher_prio_send_advert()),
        ("owner_ignore_adverts", config.owner_ignore_adverts()),
        ("yield_when_late", config.yield_when_late()),
    ] {
        put(text, format_args!(" {key}={}", if is_on { "yes" } else { "no" }));
    }
    if let Some(priority) = config.highest_other_priority() {
        put(text, format_args!(" highest_other={priority}"));
    }
    if let Some(timeout) = config.fixed_claim_timeout() {
        put(text, format_args!(" claim_timeout={}", nanos(timeout)));
    }
}

/// An instant can be no later than that many nanoseconds, so more would make no difference.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

pub(crate) fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // A string takes everything.
    let _ = text.write_fmt(arguments);
}
