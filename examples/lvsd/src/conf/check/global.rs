//! `global_defs`: names, script identity, and defaults for every instance.

mod fifos;
mod lvs;
mod table;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU8;
use std::path::PathBuf;
use std::time::Duration;

use fifos::FifoDrafts;
use lvs::LvsDraft;
pub(super) use lvs::SyncDraft;
pub(super) use table::{TABLE, version};

use super::super::diagnostic::{Code, Diagnostic};
use super::super::model::{DumpFiles, Garp, Global, Pacing, Scheduling, ScriptUser, Version, VrrpInstance};
use super::super::source::Span;
use super::no_effect::Subject;
use super::{Cx, first};
use crate::conf::tree::Node;

/// What was said so far; `None` means keepalived's default.
#[derive(Default)]
pub(super) struct Draft {
    router_id: Option<String>,
    script_user: Option<ScriptUser>,
    script_user_at: Option<Span>,
    enable_script_security: bool,
    startup_delay: Option<Duration>,
    delay_after_boot: Option<Duration>,
    log_unknown_vrids: bool,
    pacing: Pacing,
    scheduling: Scheduling,
    fifos: FifoDrafts,
    lvs: LvsDraft,
    pub(super) notify_priority_changes: bool,
    dumps: DumpFiles,
    pub(super) version: Option<Version>,
    pub(super) mcast_group4: Option<Ipv4Addr>,
    pub(super) mcast_group6: Option<Ipv6Addr>,
    pub(super) check_unicast_src: bool,
    pub(super) skip_check_adv_addr: bool,
    pub(super) plain_checksum: bool,
    /// Where `vrrp_strict` stands.
    pub(super) strict: Option<Span>,
    pub(super) down_timer_adverts: Option<u8>,
    pub(super) lower_prio_no_advert: bool,
    pub(super) higher_prio_send_advert: bool,
    pub(super) owner_ignore_adverts: Option<bool>,
    pub(super) garp: GarpDraft,
    /// `vrrp_min_garp`
    min_garp: bool,
}

impl Draft {
    /// `sync` is what instances say of the sync daemon.
    pub(super) fn finish(self, cx: &mut Cx<'_>, instances: &[&VrrpInstance], sync: Vec<SyncDraft>) -> Global {
        Global {
            router_id: self.router_id,
            script_user: self.script_user,
            script_user_at: self.script_user_at,
            enable_script_security: self.enable_script_security,
            startup_delay: self.startup_delay.unwrap_or_default(),
            delay_after_boot: self.delay_after_boot.unwrap_or_default(),
            log_unknown_vrids: self.log_unknown_vrids,
            pacing: self.pacing,
            scheduling: self.scheduling,
            fifos: self.fifos.finish(cx),
            lvs: self.lvs.finish(cx, instances, sync),
            dumps: self.dumps,
        }
    }

    /// What an instance says, else what is said here, else keepalived's defaults (2.2.7, measured): those of a losing
    /// advert are what this block, and not the instance, says of the first burst; in strict mode there are none.
    pub(super) fn garp(&self, instance: GarpDraft, strict: bool) -> Garp {
        let here = self.garp;
        let (usual_delay, usual_repeat) =
            if self.min_garp { (Duration::ZERO, NonZeroU8::MIN) } else { (FIVE_SECONDS, FIVE) };
        let delay = here.delay.unwrap_or(usual_delay);
        let repeat = here.repeat.unwrap_or(usual_repeat);
        let (lower_prio_delay, lower_prio_repeat) = if strict {
            (Duration::ZERO, 0)
        } else {
            (
                instance.lower_prio_delay.or(here.lower_prio_delay).unwrap_or(delay),
                instance.lower_prio_repeat.or(here.lower_prio_repeat).unwrap_or(repeat.get()),
            )
        };
        Garp {
            delay: instance.delay.unwrap_or(delay),
            repeat: instance.repeat.unwrap_or(repeat),
            refresh: instance.refresh.or(here.refresh).filter(|refresh| !refresh.is_zero()),
            refresh_repeat: instance.refresh_repeat.or(here.refresh_repeat).unwrap_or(NonZeroU8::MIN),
            lower_prio_repeat,
            lower_prio_delay,
        }
    }
}

const FIVE_SECONDS: Duration = Duration::from_secs(5);
const FIVE: NonZeroU8 = NonZeroU8::MIN.saturating_add(4);

impl Cx<'_> {
    /// The place of a dump: a file, or with a slash at its end a directory. From the root on, since the daemon leaves the
    /// directory that it was started in.
    pub(super) fn dump_file(&mut self, node: &Node) -> Option<PathBuf> {
        let word = first(node);
        let path = PathBuf::from(&*word.text);
        // A last `..` is a directory's name without saying so.
        let is_place = word.text.ends_with('/') || path.file_name().is_some();
        if path.is_absolute() && is_place {
            return Some(path);
        }
        let message = format!("`{}` takes the whole path of a file, not {}", node.keyword.text, word.shown());
        self.bad(word, message, "write it from `/` on; one that ends with `/` is a directory");
        None
    }

    /// `[all] SECONDS` between announcements on further interfaces: without `all` only on VMACs, which nobody can have.
    pub(super) fn extra_interfaces(&mut self, node: &Node, least: u64) {
        let keyword = &*node.keyword.text;
        let (all, seconds) = match &*node.args {
            [all, seconds] if &*all.text == "all" => (Some(all), seconds),
            [seconds] => (None, seconds),
            _ => {
                let word = first(node);
                self.bad(
                    word,
                    format!("`{keyword}` takes `all` and a time"),
                    "only `all` may stand before the time",
                );
                return;
            }
        };
        let Some(seconds) = self.number(keyword, seconds, least..=86_400) else { return };
        match all {
            Some(all) if seconds > 0 => self.report(
                Diagnostic::error(
                    Code::NotSupportedYet,
                    all.span,
                    format!("lvsd does not support `{keyword} all` yet"),
                )
                .label("not supported yet")
                .help("`garp_master_refresh` announces all addresses again, on all their interfaces"),
            ),
            _ => self.no_effect(Subject::Vmac, node),
        }
    }
}

/// The parts of [`Garp`], for the whole file or for one instance.
#[derive(Default, Clone, Copy)]
pub(super) struct GarpDraft {
    delay: Option<Duration>,
    repeat: Option<NonZeroU8>,
    refresh: Option<Duration>,
    refresh_repeat: Option<NonZeroU8>,
    pub(super) lower_prio_delay: Option<Duration>,
    pub(super) lower_prio_repeat: Option<u8>,
}

impl GarpDraft {
    pub(super) fn set_delay(&mut self, cx: &mut Cx<'_>, node: &Node) {
        self.delay = cx.whole_seconds(node, 0..=4294);
    }

    pub(super) fn set_repeat(&mut self, cx: &mut Cx<'_>, node: &Node) {
        self.repeat = some_packets(cx, node);
    }

    pub(super) fn set_refresh(&mut self, cx: &mut Cx<'_>, node: &Node) {
        self.refresh = cx.whole_seconds(node, 0..=u64::from(u32::MAX));
    }

    pub(super) fn set_refresh_repeat(&mut self, cx: &mut Cx<'_>, node: &Node) {
        self.refresh_repeat = some_packets(cx, node);
    }

    pub(super) fn set_lower_prio_delay(&mut self, cx: &mut Cx<'_>, node: &Node) {
        self.lower_prio_delay = cx.whole_seconds(node, 0..=4294);
    }

    pub(super) fn set_lower_prio_repeat(&mut self, cx: &mut Cx<'_>, node: &Node) {
        self.lower_prio_repeat = packets(cx, node);
    }
}

/// Differs from keepalived: it sends up to 2,147,483,647 packets. Nobody's switch needs more than these.
fn packets(cx: &mut Cx<'_>, node: &Node) -> Option<u8> {
    let (keyword, word) = (&*node.keyword.text, first(node));
    let number = cx.number_u32(keyword, word, 0..=i32::MAX.unsigned_abs())?;
    let packets = u8::try_from(number).unwrap_or(u8::MAX);
    if u32::from(packets) != number {
        cx.instead(
            word,
            format!("`{keyword}` is more than 255: 255 are sent"),
            "each goes to all neighbours",
        );
    }
    Some(packets)
}

/// At least one, as in keepalived.
fn some_packets(cx: &mut Cx<'_>, node: &Node) -> Option<NonZeroU8> {
    let packets = NonZeroU8::new(packets(cx, node)?);
    if packets.is_none() {
        let message = format!("`{}` is at least 1: 1 is taken, as in keepalived", &node.keyword.text);
        cx.instead(first(node), message, "one packet for each address");
    }
    packets.or(Some(NonZeroU8::MIN))
}
