//! Strict mode: what `vrrp_strict` and `strict_mode` allow, forbid and change.
//!
//! What keepalived resets with a message is a warning here and is reset, too. What it complains about and then does all the
//! same, or what cannot be done here, is an error.

use std::num::NonZeroU8;

use super::super::{Cx, global};
use super::Draft;
use crate::conf::diagnostic::{Code, Diagnostic};
use crate::conf::model::{InitialState, Version};
use crate::conf::source::Span;

impl Draft {
    /// Where strict mode was asked for, if it was.
    pub(super) fn strict(&self, global: &global::Draft) -> Option<Span> {
        match self.strict_mode.get() {
            Some((true, at)) => Some(at),
            Some((false, _)) => None,
            None => global.strict,
        }
    }

    /// Applies the rules of the mode to this instance.
    pub(super) fn obey(
        &mut self,
        cx: &mut Cx<'_>,
        strict: Span,
        version: Version,
        priority: Option<NonZeroU8>,
    ) {
        let mut rule = Rule { cx, strict };
        let owner = priority == Some(NonZeroU8::MAX);
        rule.acceptance(self.accept, owner, version);
        if let Some((_, at)) = self.peers.first() {
            rule.forbids(self.peers_at.unwrap_or(*at), "strict mode has no unicast", "remove `unicast_peer`");
        }
        if let Some(at) = self.no_virtual_ipaddress.filter(|_| self.addresses.is_empty()) {
            rule.forbids(
                at,
                "strict mode wants an address that is advertised",
                "add `virtual_ipaddress { ADDRESS }`",
            );
        }
        if let Some(at) = self.authentication_at.take() {
            rule.resets(at, "strict mode has no authentication", "adverts carry no password");
        }
        if let Some((_, at)) = self.preempt_delay.get().filter(|(delay, _)| !delay.is_zero()) {
            rule.resets(at, "strict mode has no `preempt_delay`", "no delay");
            self.preempt_delay.value = None;
        }
        if let Some((_, at)) = self.down_timer_adverts.get().filter(|(adverts, _)| **adverts != 3) {
            rule.resets(at, "in strict mode three adverts are waited for", "the number is 3");
        }
        if let Some((_, at)) = self.lower_prio_no_advert.get().filter(|(silent, _)| !**silent) {
            rule.resets(at, "in strict mode losing adverts stay without an answer", "no advert is sent");
        }
        if let Some((_, at)) = self.higher_prio_send_advert.get().filter(|(send, _)| **send) {
            rule.resets(at, "in strict mode a master yields in silence", "no advert is sent");
        }
        for at in std::mem::take(&mut self.garp_lower_prio_at) {
            rule.resets(at, "in strict mode losing adverts cause no announcements", "nothing is announced");
        }
        let wanted = if owner { InitialState::Master } else { InitialState::Backup };
        if let Some((_, at)) = self.state.get().filter(|(state, _)| **state != wanted) {
            let effect = if owner { "begins as MASTER" } else { "begins as BACKUP" };
            rule.resets(at, "in strict mode only priority 255 begins as MASTER, and always does", effect);
        }
        self.state.value = Some(wanted);
    }
}

struct Rule<'c, 'd> {
    cx: &'c mut Cx<'d>,
    strict: Span,
}

impl Rule<'_, '_> {
    fn forbids(&mut self, at: Span, message: &str, help: &str) {
        self.cx.report(
            Diagnostic::error(Code::Conflict, at, message)
                .label("not in strict mode")
                .also(self.strict, "strict mode is asked for here")
                .help(format!("{help}, or leave out strict mode")),
        );
    }

    fn resets(&mut self, at: Span, message: &str, effect: &str) {
        self.cx.report(
            Diagnostic::warning(Code::Conflict, at, format!("{message}: this is left out"))
                .label(effect)
                .also(self.strict, "strict mode is asked for here"),
        );
    }

    /// RFC 9568 §6.1: a router that does not own the addresses accepts no packets to them unless it is told to. That takes a
    /// filter, which is not there yet, so it has to be told to, and version 2 knows no such word.
    fn acceptance(&mut self, accept: Option<Span>, owner: bool, version: Version) {
        if owner || (version == Version::V3 && accept.is_some()) {
            return;
        }
        let diagnostic = match accept {
            None => Diagnostic::error(
                Code::NotSupportedYet,
                self.strict,
                "strict mode drops packets to the virtual addresses below priority 255; lvsd does not do that yet",
            )
            .label("not supported yet without `accept`"),
            Some(at) => Diagnostic::error(Code::Conflict, at, "strict mode has no `accept` in version 2")
                .label("only version 3 has it")
                .also(self.strict, "strict mode is asked for here"),
        };
        self.cx.report(
            diagnostic
                .help("to reach services on the virtual addresses, leave out strict mode")
                .help("to keep the rest of strict mode, write `version 3` and `accept`"),
        );
    }
}
