//! How a service chooses servers: scheduler and its flags, persistence, single packets.

use std::net::Ipv4Addr;
use std::time::Duration;

use lvs_core::{
    EngineName, Family, Persistence, Protocol, SchedulerFlags, SchedulerName, ServiceKey, VirtualService,
};

use super::super::super::diagnostic::{Code, Diagnostic};
use super::super::super::lexer::Word;
use super::super::super::source::Span;
use super::super::super::tree::Node;
use super::super::{Cx, first};

/// What was said so far.
#[derive(Default)]
pub(super) struct Scheduling {
    pub(super) scheduler: Option<SchedulerName>,
    flags: SchedulerFlags,
    /// `sh-port` and the like, each for one scheduler only.
    own_flags: Vec<OwnFlag>,
    one_packet: Option<Span>,
    pub(super) persistence_timeout: Option<Duration>,
    granularity: Option<Word>,
    engine: Option<(EngineName, Span)>,
}

struct OwnFlag {
    keyword: Word,
    scheduler: &'static str,
    flags: SchedulerFlags,
}

/// `fallback` and `port` of `sh` and `mh`, which are the first and the second flag (`ip_vs_sh.c`, `ip_vs_mh.c`).
#[derive(Clone, Copy)]
pub(super) enum Own {
    Fallback,
    Port,
}

impl Scheduling {
    /// `flag-1` to `flag-3`
    pub(super) fn set_flag(&mut self, flag: SchedulerFlags) {
        self.flags = merged(self.flags, flag);
    }

    pub(super) fn set_own_flag(&mut self, node: &Node, scheduler: &'static str, own: Own) {
        let flags = SchedulerFlags {
            first: matches!(own, Own::Fallback),
            second: matches!(own, Own::Port),
            third: false,
        };
        self.own_flags.push(OwnFlag { keyword: node.keyword.clone(), scheduler, flags });
    }

    pub(super) fn set_one_packet(&mut self, node: &Node) {
        self.one_packet = Some(node.keyword.span);
    }

    pub(super) fn set_persistence_timeout(&mut self, cx: &mut Cx<'_>, node: &Node) {
        self.persistence_timeout = match node.args.first() {
            None => Some(DEFAULT_PERSISTENCE),
            // 31 days, the kernel's limit.
            Some(_) => cx.whole_seconds(node, 1..=2_678_400),
        };
    }

    pub(super) fn set_granularity(&mut self, node: &Node) {
        self.granularity = Some(first(node).clone());
    }

    pub(super) fn set_engine(&mut self, cx: &mut Cx<'_>, node: &Node) {
        let word = first(node);
        match word.text.parse() {
            Ok(name) => self.engine = Some((name, word.span)),
            Err(error) => cx.bad(
                word,
                format!("`persistence_engine` takes the name of a module, not {}", word.shown()),
                format!("{error}; Linux has `sip`"),
            ),
        }
    }

    /// Whether clients stay with their servers.
    pub(super) fn is_persistent(&self) -> bool {
        self.persistence_timeout.is_some() || self.granularity.is_some()
    }

    /// The family that the granularity is of.
    pub(super) fn granularity_family(&self) -> Option<Family> {
        let word = self.granularity.as_ref()?;
        Some(if word.text.contains('.') { Family::Ipv4 } else { Family::Ipv6 })
    }

    /// The service with that key.
    pub(super) fn finish(self, cx: &mut Cx<'_>, key: ServiceKey) -> VirtualService {
        let scheduler = self.scheduler.clone().unwrap_or_default();
        let mut flags = self.flags;
        for own in &self.own_flags {
            if scheduler.as_str() == own.scheduler {
                flags = merged(flags, own.flags);
            } else {
                let name = &own.keyword.text;
                let message = format!(
                    "`{name}` is for the scheduler {}: it is left out, as in keepalived",
                    own.scheduler
                );
                let label = format!("the scheduler is {scheduler}");
                cx.report(Diagnostic::warning(Code::Conflict, own.keyword.span, message).label(label));
            }
        }
        let persistence = self.persistence(cx, key.family());
        if let (None, Some((_, at))) = (persistence, &self.engine) {
            let message = "`persistence_engine` has no effect on a service that is not persistent";
            cx.report(
                Diagnostic::warning(Code::Conflict, *at, message)
                    .label("left out, as in keepalived")
                    .help("add `persistence_timeout`"),
            );
        }
        let engine = self.engine.filter(|_| persistence.is_some()).map(|(name, _)| name);
        let takes_packets =
            !matches!(key, ServiceKey::Address { protocol: Protocol::Tcp | Protocol::Sctp, .. });
        if let (false, Some(at)) = (takes_packets, self.one_packet) {
            let message = "`ops` is for UDP: it is left out, as in keepalived";
            cx.report(Diagnostic::warning(Code::Conflict, at, message).label("the service is not UDP's"));
        }
        VirtualService::new(key)
            .with_scheduler(scheduler)
            .with_scheduler_flags(flags)
            .with_persistence(persistence)
            .with_persistence_engine(engine)
            .with_one_packet(takes_packets && self.one_packet.is_some())
    }

    fn persistence(&self, cx: &mut Cx<'_>, family: Family) -> Option<Persistence> {
        if !self.is_persistent() {
            return None;
        }
        let persistence = Persistence::new(family, self.persistence_timeout.unwrap_or(DEFAULT_PERSISTENCE));
        let Some(word) = &self.granularity else { return Some(persistence) };
        match family {
            Family::Ipv4 => mask(cx, word).map(|mask| persistence.with_netmask(mask)),
            Family::Ipv6 => cx
                .number_u8("persistence_granularity", word, 1..=128)
                .map(|length| persistence.with_prefix_len(length)),
        }
    }
}

/// An IPv4 mask: any four bytes.
///
/// Differs from keepalived: it takes `24` as 0.0.0.24, which nobody means.
fn mask(cx: &mut Cx<'_>, word: &Word) -> Option<Ipv4Addr> {
    let mask = word.text.parse().ok();
    if mask.is_none() {
        let remedy = match word.text.parse::<u32>() {
            Ok(length @ 1..=32) => {
                format!("write it as a mask: {}", Ipv4Addr::from(u32::MAX << (32 - length)))
            }
            Ok(_) | Err(_) => "write it as four numbers, such as 255.255.255.0".to_owned(),
        };
        cx.bad(
            word,
            format!(
                "`persistence_granularity` of an IPv4 service takes a network mask, not {}",
                word.shown()
            ),
            remedy,
        );
    }
    mask
}

const fn merged(a: SchedulerFlags, b: SchedulerFlags) -> SchedulerFlags {
    SchedulerFlags { first: a.first || b.first, second: a.second || b.second, third: a.third || b.third }
}

const DEFAULT_PERSISTENCE: Duration = Duration::from_secs(360);
