//! The keywords of `vrrp_instance`.

use std::num::NonZeroU8;
use std::time::Duration;

use super::super::{Cx, Keyword, Seen, addresses, first, global, inner, track};
use super::Draft;
use super::authentication::AUTHENTICATION;
use super::election::priority;
use crate::conf::diagnostic::{Code, Diagnostic};
use crate::conf::known::Kind;
use crate::conf::model::{InitialState, Script};
use crate::conf::tree::Node;

pub(in crate::conf::check) const TABLE: &[Keyword<Draft>] = &[
    Keyword::value("state", "state MASTER|BACKUP", |cx, n, d| {
        d.state = cx.one_of(
            "state",
            first(n),
            &[("MASTER", InitialState::Master), ("BACKUP", InitialState::Backup)],
        );
    }),
    Keyword::value("interface", "interface eth0", |cx, n, d| {
        let name = cx.interface("interface", first(n));
        d.interface.set(n, name);
    }),
    Keyword::value("virtual_router_id", "virtual_router_id 1-255", |cx, n, d| {
        let id = cx.number_u8("virtual_router_id", first(n), 1..=255).and_then(NonZeroU8::new);
        d.virtual_router_id.set(n, id);
    }),
    Keyword::value("priority", "priority 1-254", |cx, n, d| {
        let priority = priority(cx, n);
        d.priority.set(n, priority);
    }),
    Keyword::value("advert_int", "advert_int SECONDS", |cx, n, d| {
        let interval = cx.seconds(n, Duration::from_millis(10), Duration::from_secs(255));
        d.advert_interval.set(n, interval);
    }),
    Keyword::value("version", "version 2|3", |cx, n, d| d.version = global::version(cx, n)),
    Keyword::flag("nopreempt", |_, n, d: &mut Draft| d.nopreempt = Some(n.keyword.span)).sets("preempt"),
    Keyword::flag("preempt", |_, _, d| d.nopreempt = None),
    Keyword::value("preempt_delay", "preempt_delay SECONDS", |cx, n, d| {
        let delay = cx.seconds(n, Duration::ZERO, Duration::from_secs(1000));
        d.preempt_delay.set(n, delay);
    }),
    Keyword::block("authentication", "authentication { … }", 0, 0, |cx, n, d| {
        d.authentication_at = Some(n.keyword.span);
        let errors = cx.diagnostics.errors();
        cx.statements(
            Kind::Authentication,
            AUTHENTICATION,
            inner(n),
            &mut d.authentication,
            &mut Seen::default(),
        );
        d.authentication.failed |= cx.diagnostics.errors() > errors;
    }),
    Keyword::value("unicast_src_ip", "unicast_src_ip ADDRESS", |cx, n, d| {
        let address = cx.unicast_ipv4("unicast_src_ip", first(n));
        d.unicast_source.set(n, address);
    }),
    Keyword::value("mcast_src_ip", "mcast_src_ip ADDRESS", |cx, n, d| {
        let address = cx.unicast_ipv4("mcast_src_ip", first(n));
        d.mcast_source.set(n, address);
    }),
    Keyword::block("unicast_peer", "unicast_peer { ADDRESS … }", 0, 0, |cx, n, d| {
        let peers = addresses::peers(cx, n);
        // Entries that were all refused do not make the block an empty one.
        if !peers.is_empty() || inner(n).is_empty() {
            d.peers.set(n, Some(peers));
        }
    }),
    Keyword::value("unicast_ttl", "unicast_ttl 1-255", |cx, n, d| {
        let ttl = cx.number_u8("unicast_ttl", first(n), 1..=255);
        d.unicast_ttl.set(n, ttl);
    }),
    Keyword::flag("check_unicast_src", |_, n, d| d.check_unicast_src = Some(n.keyword.span)),
    Keyword::block("virtual_ipaddress", "virtual_ipaddress { ADDRESS … }", 0, 0, |cx, n, d| {
        d.addresses_at = Some(n.keyword.span);
        let addresses = addresses::addresses(cx, n);
        d.had_bad_address = addresses.len() < inner(n).len();
        // RFC 9568 §5.2.5: the count of addresses is one byte.
        if let Some(surplus) = addresses.get(255) {
            cx.report(
                Diagnostic::error(Code::Limit, surplus.at, "an advert holds at most 255 addresses")
                    .label("the 256th")
                    .help("divide them among several instances"),
            );
        }
        d.addresses = addresses;
    }),
    Keyword::value("garp_master_delay", "garp_master_delay SECONDS", |cx, n, d| d.garp.set_delay(cx, n)),
    Keyword::value("garp_master_repeat", "garp_master_repeat PACKETS", |cx, n, d| d.garp.set_repeat(cx, n)),
    Keyword::value("garp_master_refresh", "garp_master_refresh SECONDS", |cx, n, d| {
        d.garp.set_refresh(cx, n)
    }),
    Keyword::value("garp_master_refresh_repeat", "garp_master_refresh_repeat PACKETS", |cx, n, d| {
        d.garp.set_refresh_repeat(cx, n);
    }),
    script("notify_master", "notify_master COMMAND [USER [GROUP]]", |cx, n, d| d.notify.master = run(cx, n)),
    script("notify_backup", "notify_backup COMMAND [USER [GROUP]]", |cx, n, d| d.notify.backup = run(cx, n)),
    script("notify_fault", "notify_fault COMMAND [USER [GROUP]]", |cx, n, d| d.notify.fault = run(cx, n)),
    script("notify_stop", "notify_stop COMMAND [USER [GROUP]]", |cx, n, d| d.notify.stop = run(cx, n)),
    script("notify", "notify COMMAND [USER [GROUP]]", |cx, n, d| d.notify.any = run(cx, n)),
    track::interfaces(),
    track::scripts(),
    track::files(),
    track::processes(),
];

const fn script(
    name: &'static str,
    syntax: &'static str,
    apply: fn(&mut Cx<'_>, &Node, &mut Draft),
) -> Keyword<Draft> {
    Keyword::words(name, syntax, 1, 3, apply)
}

fn run(cx: &mut Cx<'_>, node: &Node) -> Option<Script> {
    cx.script(node)
}
