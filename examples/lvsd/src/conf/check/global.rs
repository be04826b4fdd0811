//! `global_defs`: names, script identity, and defaults for every instance.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::super::diagnostic::{Code, Diagnostic};
use super::super::model::{Garp, Global, ScriptUser, Version};
use super::{Cx, Keyword, first};
use crate::conf::tree::Node;

/// What was said so far; `None` means keepalived's default.
#[derive(Default)]
pub(super) struct Draft {
    router_id: Option<String>,
    script_user: Option<ScriptUser>,
    enable_script_security: bool,
    pub(super) version: Option<Version>,
    pub(super) mcast_group4: Option<Ipv4Addr>,
    pub(super) check_unicast_src: bool,
    pub(super) garp: GarpDraft,
}

impl Draft {
    pub(super) fn finish(self) -> Global {
        Global {
            router_id: self.router_id,
            script_user: self.script_user,
            enable_script_security: self.enable_script_security,
        }
    }
}

/// The parts of [`Garp`], for the whole file or for one instance.
#[derive(Default, Clone, Copy)]
pub(super) struct GarpDraft {
    pub(super) delay: Option<Duration>,
    pub(super) repeat: Option<u32>,
    pub(super) refresh: Option<Duration>,
    pub(super) refresh_repeat: Option<u32>,
}

impl GarpDraft {
    /// This one's parts, else the other's, else keepalived's defaults.
    pub(super) fn finish(self, defaults: Self) -> Garp {
        Garp {
            delay: self.delay.or(defaults.delay).unwrap_or(Duration::from_secs(5)),
            repeat: self.repeat.or(defaults.repeat).unwrap_or(5),
            refresh: self.refresh.or(defaults.refresh).filter(|refresh| !refresh.is_zero()),
            refresh_repeat: self.refresh_repeat.or(defaults.refresh_repeat).unwrap_or(1),
        }
    }

    pub(super) fn set_delay(&mut self, cx: &mut Cx<'_>, node: &Node) {
        self.delay = cx.whole_seconds(node, 0..=4294);
    }

    pub(super) fn set_repeat(&mut self, cx: &mut Cx<'_>, node: &Node) {
        self.repeat = cx.number_u32(&node.keyword.text, first(node), 1..=MAX_REPEAT);
    }

    pub(super) fn set_refresh(&mut self, cx: &mut Cx<'_>, node: &Node) {
        self.refresh = cx.whole_seconds(node, 0..=u64::from(u32::MAX));
    }

    pub(super) fn set_refresh_repeat(&mut self, cx: &mut Cx<'_>, node: &Node) {
        self.refresh_repeat = cx.number_u32(&node.keyword.text, first(node), 1..=MAX_REPEAT);
    }
}

pub(super) const TABLE: &[Keyword<Draft>] = &[
    Keyword::value("router_id", "router_id NAME", |_, n, d| d.router_id = Some(first(n).text.to_string())),
    Keyword::words("script_user", "script_user USER [GROUP]", 1, 2, |cx, n, d| {
        d.script_user = cx.user(&n.args);
    }),
    Keyword::flag("enable_script_security", |cx, n, d| {
        d.enable_script_security = true;
        cx.report(
            Diagnostic::warning(
                Code::NotSupportedYet,
                n.keyword.span,
                "`enable_script_security` is read, but lvsd does not check the paths of scripts yet",
            )
            .label("no script is refused because of it")
            .help("see to it that nobody but root can write to scripts that run as root"),
        );
    }),
    Keyword::value("vrrp_version", "vrrp_version 2|3", |cx, n, d| d.version = version(cx, n)),
    Keyword::value("vrrp_mcast_group4", "vrrp_mcast_group4 224.0.0.18", |cx, n, d| {
        let word = first(n);
        d.mcast_group4 = cx.ipv4("vrrp_mcast_group4", word);
        if d.mcast_group4.is_some_and(|group| !group.is_multicast()) {
            cx.bad(
                word,
                format!("`vrrp_mcast_group4` takes a multicast address, not {}", word.shown()),
                "must be from 224.0.0.0 to 239.255.255.255",
            );
        }
    }),
    Keyword::flag("vrrp_check_unicast_src", |_, _, d| d.check_unicast_src = true),
    Keyword::value("vrrp_garp_master_delay", "vrrp_garp_master_delay SECONDS", |cx, n, d| {
        d.garp.set_delay(cx, n)
    }),
    Keyword::value("vrrp_garp_master_repeat", "vrrp_garp_master_repeat PACKETS", |cx, n, d| {
        d.garp.set_repeat(cx, n);
    }),
    Keyword::value("vrrp_garp_master_refresh", "vrrp_garp_master_refresh SECONDS", |cx, n, d| {
        d.garp.set_refresh(cx, n);
    }),
    Keyword::value(
        "vrrp_garp_master_refresh_repeat",
        "vrrp_garp_master_refresh_repeat PACKETS",
        |cx, n, d| {
            d.garp.set_refresh_repeat(cx, n);
        },
    ),
];

/// `2` or `3`
pub(super) fn version(cx: &mut Cx<'_>, node: &Node) -> Option<Version> {
    cx.one_of(&node.keyword.text, first(node), &[("2", Version::V2), ("3", Version::V3)])
}

/// Differs from keepalived: it sends up to 2,147,483,647 packets, and one for 0. Nobody's switch needs more than these.
const MAX_REPEAT: u32 = 255;
