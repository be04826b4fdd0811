//! Priority, interval, and who takes over from whom.

use std::num::NonZeroU8;
use std::time::Duration;

use super::super::values::decimal;
use super::super::{Cx, first, says};
use super::Draft;
use crate::conf::diagnostic::{Code, Diagnostic};
use crate::conf::model::{InitialState, Version};
use crate::conf::source::Span;
use crate::conf::tree::Node;

impl Draft {
    /// keepalived drops what does not go with a state or with another word, and says so; so does this.
    pub(super) fn election(&mut self, cx: &mut Cx<'_>, state: InitialState, priority: NonZeroU8) {
        if let Some(at) = self.nopreempt {
            let reason = match state {
                InitialState::Master => Some("`state MASTER`"),
                InitialState::Backup if priority == NonZeroU8::MAX => Some("priority 255"),
                InitialState::Backup => None,
            };
            if let Some(reason) = reason {
                cx.report(
                    Diagnostic::warning(
                        Code::Conflict,
                        at,
                        format!("`nopreempt` does not go with {reason}: it is left out"),
                    )
                    .label("this instance does preempt")
                    .help("write `state BACKUP` on all routers if the running master has to stay"),
                );
                self.nopreempt = None;
            }
        }
        if let (Some(at), Some(_)) =
            (self.preempt_delay.said, self.preempt_delay.value.filter(|d| !d.is_zero()))
        {
            let reason = match (state, self.nopreempt) {
                (InitialState::Master, _) => Some("`state MASTER`"),
                (InitialState::Backup, Some(_)) => Some("`nopreempt`"),
                (InitialState::Backup, None) => None,
            };
            if let Some(reason) = reason {
                cx.report(
                    Diagnostic::warning(
                        Code::Conflict,
                        at,
                        format!("`preempt_delay` does not go with {reason}: it is left out"),
                    )
                    .label("no delay"),
                );
                self.preempt_delay.value = None;
            }
        }
    }

    /// It is for a router that may not take back what it lost; keepalived wants `nopreempt`, too.
    pub(super) fn lateness(&mut self, cx: &mut Cx<'_>) {
        if let (Some((_, at)), None) = (self.timer_expired_backup, self.nopreempt) {
            cx.report(
                Diagnostic::warning(
                    Code::Conflict,
                    at,
                    "`timer_expired_backup` does not go without `nopreempt`: it is left out",
                )
                .label("this router stays master after a pause"),
            );
            self.timer_expired_backup = None;
        }
    }

    /// What this instance says and what changes nothing in it. What `global_defs` say may be for other instances, and what
    /// strict mode takes away is reported there.
    pub(super) fn without_effect(
        &self,
        cx: &mut Cx<'_>,
        priority: NonZeroU8,
        strict: bool,
        refresh: Option<Duration>,
    ) {
        let mut warn = |at: Span, keyword: &str, why: &str| {
            cx.report(
                Diagnostic::warning(Code::NoEffect, at, format!("`{keyword}` has no effect {why}"))
                    .label("it changes nothing in this instance")
                    .help("remove it"),
            );
        };
        if priority == NonZeroU8::MAX {
            if let Some((_, at)) = self.preempt_delay.get().filter(|(delay, _)| !delay.is_zero()) {
                warn(at, "preempt_delay", "at priority 255: the owner takes over at once");
            }
            let alone = "at priority 255, unless another router says 255, too";
            if let Some((_, at)) =
                self.down_timer_adverts.get().filter(|(adverts, _)| !strict && **adverts != 3)
            {
                warn(at, "down_timer_adverts", alone);
            }
            if let Some((_, at)) = self.higher_prio_send_advert.get().filter(|(send, _)| !strict && **send) {
                warn(at, "higher_prio_send_advert", alone);
            }
        } else if let Some((_, at)) = self.owner_ignore_adverts.get().filter(|(ignore, _)| **ignore) {
            warn(at, "owner_ignore_adverts", "below priority 255");
        }
        if let (Some(at), None) = (self.garp_refresh_repeat_at, refresh) {
            warn(at, "garp_master_refresh_repeat", "without `garp_master_refresh`");
        }
    }

    /// keepalived makes the owner of an instance that says MASTER and no priority; measured on 2.2.7.
    pub(super) fn priority(&mut self, cx: &mut Cx<'_>, node: &Node) -> Option<NonZeroU8> {
        let master = self.state.value == Some(InitialState::Master);
        if self.priority.said.is_none() {
            if master && !says(node, "priority") {
                cx.report(
                    Diagnostic::warning(
                        Code::MissingKeyword,
                        node.span(),
                        "`state MASTER` without `priority`: it is 255, the address owner's, as in keepalived",
                    )
                    .label("`priority` is missing in this block")
                    .help("add a line such as `priority 200`"),
                );
            }
            return NonZeroU8::new(if master { 255 } else { 100 });
        }
        self.priority.value
    }

    pub(super) fn interval(&self, cx: &mut Cx<'_>, version: Version) -> Duration {
        let (Some(interval), Some(at)) = (self.advert_interval.value, self.advert_interval.said) else {
            return Duration::from_secs(1);
        };
        // Rounded as keepalived rounds (2.2.7, measured): in version 2 both sides drop what the other rounds otherwise.
        let (sent, message, help) = match version {
            Version::V2 => (
                rounded(interval, Duration::from_secs(1)),
                "VRRP version 2 counts whole seconds",
                "write whole seconds, or `version 3` on all routers",
            ),
            Version::V3 if interval > MOST_CENTIS => (
                MOST_CENTIS,
                "VRRP version 3 has no intervals above 40.95 seconds",
                "allowed are 0.01 to 40.95",
            ),
            Version::V3 => (
                rounded(interval, Duration::from_millis(10)),
                "VRRP version 3 counts steps of 0.01 seconds",
                "write at most two decimals",
            ),
        };
        if sent != interval {
            let (wanted, sent) = (decimal(interval), decimal(sent));
            cx.report(
                Diagnostic::warning(
                    Code::OutOfRange,
                    at,
                    format!("{message}: {sent} is taken, as in keepalived"),
                )
                .label(format!("{wanted} s cannot be sent"))
                .help(help),
            );
        }
        sent
    }
}

/// The nearest multiple of a step, the upper one of two, and at least one step.
fn rounded(time: Duration, step: Duration) -> Duration {
    let steps = (time + step / 2).as_nanos() / step.as_nanos();
    step * u32::try_from(steps.max(1)).unwrap_or(u32::MAX)
}

/// 4,095 centiseconds (RFC 9568 §5.2.7).
const MOST_CENTIS: Duration = Duration::from_millis(40_950);

pub(super) fn priority(cx: &mut Cx<'_>, node: &Node) -> Option<NonZeroU8> {
    let word = first(node);
    let number = word.text.parse::<i128>().ok();
    if let Some(number) = number.filter(|n| !(1..=255).contains(n)) {
        let instead = if number > 255 {
            "write 254 or less; the highest number wins, such as `priority 200` here and `priority 100` there"
        } else {
            "write 1 or more; 0 is what a router sends when it resigns"
        };
        cx.report(
            Diagnostic::error(
                Code::OutOfRange,
                word.span,
                format!("`priority` is out of range: {}", word.shown()),
            )
            .label("must be from 1 to 254")
            .help("allowed are 1 to 254, and 255 for the router that owns the addresses itself")
            .help(instead),
        );
        return None;
    }
    cx.number_u8("priority", word, 1..=255).and_then(NonZeroU8::new)
}
