//! The keywords of `vrrp_instance`.

use std::num::NonZeroU8;
use std::time::Duration;

use super::super::global::SyncDraft;
use super::super::no_effect::Subject;
use super::super::{Cx, Keyword, Seen, addresses, first, global, inner, track};
use super::Draft;
use super::authentication::AUTHENTICATION;
use super::delivery::OldChecksum;
use super::election::priority;
use crate::conf::diagnostic::{Code, Diagnostic};
use crate::conf::known::Kind;
use crate::conf::model::InitialState;
use crate::conf::tree::Node;

pub(in crate::conf::check) const TABLE: &[Keyword<Draft>] = &[
    // Identity and election.
    Keyword::value("state", "state MASTER|BACKUP", |cx, n, d| {
        let names = [("MASTER", InitialState::Master), ("BACKUP", InitialState::Backup)];
        let state = cx.one_of("state", first(n), &names);
        d.state.set(n, state);
    }),
    Keyword::value("interface", "interface eth0", |cx, n, d| {
        let name = cx.interface("interface", first(n));
        if name.as_deref() == Some("lo") {
            // As keepalived. Others with the kernel's flag show only on the machine that has them.
            cx.report(
                Diagnostic::error(
                    Code::BadValue,
                    first(n).span,
                    "`interface` cannot be the loopback interface `lo`",
                )
                .label("no other router can be reached over it")
                .help("name the interface that the other routers are on, such as `interface eth0`"),
            );
        }
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
    Keyword::value("lvs_sync_daemon_interface", "lvs_sync_daemon_interface eth0", |cx, n, d: &mut Draft| {
        d.sync = SyncDraft::of_an_instance(cx, n);
    })
    .first_holds(),
    Keyword::value("advert_int", "advert_int SECONDS", |cx, n, d| {
        let interval = cx.seconds(n, Duration::from_millis(10), Duration::from_secs(255));
        d.advert_interval.set(n, interval);
    }),
    Keyword::value("version", "version 2|3", |cx, n, d: &mut Draft| {
        let version = global::version(cx, n);
        d.version.set(n, version);
    })
    .first_holds(),
    Keyword::flag("nopreempt", |_, n, d: &mut Draft| d.nopreempt = Some(n.keyword.span)).sets("preempt"),
    Keyword::flag("preempt", |_, _, d| d.nopreempt = None),
    Keyword::value("preempt_delay", "preempt_delay SECONDS", |cx, n, d| {
        let delay = cx.seconds(n, Duration::ZERO, Duration::from_secs(1000));
        d.preempt_delay.set(n, delay);
    }),
    Keyword::value("down_timer_adverts", "down_timer_adverts 1-100", |cx, n, d| {
        let adverts = cx.number_u8("down_timer_adverts", first(n), 1..=100);
        d.down_timer_adverts.set(n, adverts);
    }),
    timer_expired("timer_expired_backup", "timer_expired_backup [1-254]"),
    timer_expired("thread_timer_expired", "thread_timer_expired [1-254]"),
    Keyword::boolean("lower_prio_no_advert", "lower_prio_no_advert [on|off]", |cx, n, d| {
        let silent = cx.boolean(n);
        d.lower_prio_no_advert.set(n, silent);
    }),
    Keyword::boolean("higher_prio_send_advert", "higher_prio_send_advert [on|off]", |cx, n, d| {
        let send = cx.boolean(n);
        d.higher_prio_send_advert.set(n, send);
    }),
    Keyword::boolean("owner_ignore_adverts", "owner_ignore_adverts [on|off]", |cx, n, d| {
        let ignore = cx.boolean(n);
        d.owner_ignore_adverts.set(n, ignore);
    }),
    Keyword::boolean("strict_mode", "strict_mode [on|off]", |cx, n, d| {
        let strict = cx.boolean(n);
        d.strict_mode.set(n, strict);
    }),
    Keyword::flag("accept", |_, n, d| d.accept = Some(n.keyword.span)),
    Keyword::boolean("skip_check_adv_addr", "skip_check_adv_addr [on|off]", |cx, n, d| {
        d.skip_check_adv_addr = cx.boolean(n);
    }),
    // keepalived does nothing with it, either.
    Keyword::value("debug", "debug 0-4", |cx, n, _| {
        let _ = cx.number_u8("debug", first(n), 0..=4);
    }),
    // Transport.
    Keyword::value("unicast_src_ip", "unicast_src_ip ADDRESS", |cx, n, d| {
        let address = cx.router("unicast_src_ip", first(n));
        d.unicast_source.set(n, address);
    }),
    Keyword::value("mcast_src_ip", "mcast_src_ip ADDRESS", |cx, n, d| {
        let address = cx.router("mcast_src_ip", first(n));
        d.mcast_source.set(n, address);
    }),
    Keyword::value("mcast_dst_ip", "mcast_dst_ip GROUP", |cx, n, d| {
        let group = cx.group(n);
        d.group.set(n, group);
    }),
    Keyword::block("unicast_peer", "unicast_peer { ADDRESS … }", 0, 0, |cx, n, d: &mut Draft| {
        addresses::peers(cx, n, &mut d.peers);
        // Entries that were all refused do not make the block an empty one.
        if !d.peers.is_empty() || inner(n).is_empty() {
            d.peers_at.get_or_insert(n.keyword.span);
        }
    })
    .repeatable(),
    Keyword::value("unicast_ttl", "unicast_ttl 1-255", |cx, n, d| {
        let mut ttl = cx.number_u8("unicast_ttl", first(n), 0..=255);
        // Differs from keepalived: it sends 0, which no host may send (RFC 1122 §3.2.1.7).
        if ttl == Some(0) {
            cx.instead(
                first(n),
                "a packet has at least a TTL of 1: 1 is taken",
                "no router forwards it, either",
            );
            ttl = Some(1);
        }
        d.unicast_ttl.set(n, ttl);
    }),
    Keyword::flag("unicast_fault_no_peer", |_, n, d| d.unicast_fault_no_peer = Some(n.keyword.span)),
    Keyword::flag("check_unicast_src", |_, n, d| d.check_unicast_src = Some(n.keyword.span)),
    Keyword::boolean("v3_checksum_as_v2", "v3_checksum_as_v2 [on|off]", |cx, n, d| {
        d.plain_checksum = cx.boolean(n);
    }),
    Keyword::flag("track_src_ip", |_, _, d| d.track_src_ip = true),
    Keyword::words("old_unicast_checksum", "old_unicast_checksum [never]", 0, 1, |cx, n, d| {
        let old = match n.args.first() {
            None => Some(OldChecksum::Sent),
            Some(word) => cx.one_of("old_unicast_checksum", word, &[("never", OldChecksum::Never)]),
        };
        d.old_unicast_checksum.set(n, old);
    }),
    Keyword::flag("native_ipv6", |_, n, d| d.native_ipv6 = Some(n.keyword.span)),
    Keyword::value("kernel_rx_buf_size", "kernel_rx_buf_size BYTES", |cx, n, _| {
        if cx.number("kernel_rx_buf_size", first(n), 0..=u64::from(u32::MAX)).is_some() {
            cx.no_effect(Subject::Buffers, n);
        }
    }),
    Keyword::flag("linkbeat_use_polling", |cx, n, _| cx.no_effect(Subject::Polling, n)),
    Keyword::flag("dont_track_primary", |_, _, d| d.dont_track_primary = true),
    // Gratuitous ARP.
    Keyword::value("garp_master_delay", "garp_master_delay SECONDS", |cx, n, d| d.garp.set_delay(cx, n)),
    Keyword::value("garp_master_repeat", "garp_master_repeat PACKETS", |cx, n, d| d.garp.set_repeat(cx, n)),
    Keyword::value("garp_master_refresh", "garp_master_refresh SECONDS", |cx, n, d| {
        d.garp.set_refresh(cx, n);
    }),
    Keyword::value("garp_master_refresh_repeat", "garp_master_refresh_repeat PACKETS", |cx, n, d| {
        d.garp.set_refresh_repeat(cx, n);
        d.garp_refresh_repeat_at = Some(n.span());
    }),
    Keyword::value("garp_lower_prio_delay", "garp_lower_prio_delay SECONDS", |cx, n, d| {
        d.garp.set_lower_prio_delay(cx, n);
        let is_some = d.garp.lower_prio_delay.is_some_and(|delay| !delay.is_zero());
        d.garp_lower_prio_at.extend(is_some.then_some(n.span()));
    }),
    Keyword::value("garp_lower_prio_repeat", "garp_lower_prio_repeat PACKETS", |cx, n, d| {
        d.garp.set_lower_prio_repeat(cx, n);
        let is_some = d.garp.lower_prio_repeat.is_some_and(|packets| packets > 0);
        d.garp_lower_prio_at.extend(is_some.then_some(n.span()));
    }),
    extra("garp_extra_if", "garp_extra_if SECONDS"),
    extra("vmac_garp_intvl", "vmac_garp_intvl SECONDS"),
    // Authentication.
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
    // Notification.
    script("notify_master", "notify_master COMMAND [USER [GROUP]]", |cx, n, d| {
        d.notify.master = cx.script(n)
    }),
    script("notify_backup", "notify_backup COMMAND [USER [GROUP]]", |cx, n, d| {
        d.notify.backup = cx.script(n)
    }),
    script("notify_fault", "notify_fault COMMAND [USER [GROUP]]", |cx, n, d| d.notify.fault = cx.script(n)),
    script("notify_stop", "notify_stop COMMAND [USER [GROUP]]", |cx, n, d| d.notify.stop = cx.script(n)),
    script("notify", "notify COMMAND [USER [GROUP]]", |cx, n, d| d.notify.any = cx.script(n)),
    script("notify_master_rx_lower_pri", "notify_master_rx_lower_pri COMMAND [USER [GROUP]]", |cx, n, d| {
        d.notify.master_rx_lower_pri = cx.script(n)
    }),
    Keyword::words(
        "notify_deleted",
        "notify_deleted [COMMAND [USER [GROUP]]]",
        0,
        3,
        |cx, n, d: &mut Draft| {
            d.notify.deleted = if n.args.is_empty() { None } else { cx.script(n) };
        },
    )
    .first_holds(),
    Keyword::boolean("notify_priority_changes", "notify_priority_changes [on|off]", |cx, n, d| {
        d.notify_priority_changes = cx.boolean(n);
    }),
    Keyword::boolean("smtp_alert", "smtp_alert [on|off]", |cx, n, _| {
        if cx.boolean(n).is_some() {
            cx.no_effect(Subject::Mail, n);
        }
    }),
    // What moves with the instance.
    Keyword::block("virtual_ipaddress", "virtual_ipaddress { ADDRESS … }", 0, 0, |cx, n, d: &mut Draft| {
        d.addresses_at.get_or_insert(n.keyword.span);
        let addresses = addresses::addresses(cx, n);
        d.had_bad_address |= addresses.len() < inner(n).len();
        d.addresses.extend(addresses);
    })
    .repeatable(),
    Keyword::block(
        "virtual_ipaddress_excluded",
        "virtual_ipaddress_excluded { ADDRESS … }",
        0,
        0,
        |cx, n, d: &mut Draft| d.excluded.extend(addresses::addresses(cx, n)),
    )
    .repeatable(),
    Keyword::flag("no_virtual_ipaddress", |_, n, d| d.no_virtual_ipaddress = Some(n.keyword.span)),
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
    Keyword::words(name, syntax, 1, 3, apply).first_holds()
}

const fn extra(name: &'static str, syntax: &'static str) -> Keyword<Draft> {
    Keyword::words(name, syntax, 1, 2, |cx: &mut Cx<'_>, n: &Node, _: &mut Draft| cx.extra_interfaces(n, 0))
        .sets("garp_extra_if")
}

const fn timer_expired(name: &'static str, syntax: &'static str) -> Keyword<Draft> {
    let keyword = Keyword::words(name, syntax, 0, 1, |cx: &mut Cx<'_>, n: &Node, d: &mut Draft| {
        let others = match n.args.first() {
            // The highest there is beside an owner, as in keepalived.
            None => Some(254),
            Some(word) => cx.number_u8(&n.keyword.text, word, 1..=254),
        };
        d.timer_expired_backup = others.and_then(NonZeroU8::new).map(|others| (others, n.keyword.span));
    });
    keyword.sets("timer_expired_backup")
}
