//! The keywords of `global_defs`.

use std::net::IpAddr;
use std::time::Duration;

use super::super::no_effect::Subject;
use super::super::{Cx, Keyword, first};
use super::Draft;
use crate::conf::diagnostic::{Code, Diagnostic};
use crate::conf::model::{FifoScope, JsonVersion, Version};
use crate::conf::tree::Node;

const SYNC: &str = "lvs_sync_daemon INTERFACE [[inst] INSTANCE] [id 0-255] [maxlen 1-65507] [port 1-65535] [ttl 1-255] [group ADDRESS]";

pub(in crate::conf::check) const TABLE: &[Keyword<Draft>] = &[
    Keyword::value("router_id", "router_id NAME", |_, n, d| d.router_id = Some(first(n).text.to_string())),
    Keyword::words("script_user", "script_user USER [GROUP]", 1, 2, |cx, n, d| {
        d.script_user = cx.user(&n.args);
        d.script_user_at = Some(n.span());
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
    // Where changes are written.
    fifo("notify_fifo", "notify_fifo PATH [USER [GROUP]]", |cx, n, d| d.fifos.set(cx, n, FifoScope::All)),
    fifo("vrrp_notify_fifo", "vrrp_notify_fifo PATH [USER [GROUP]]", |cx, n, d| {
        d.fifos.set(cx, n, FifoScope::Vrrp);
    }),
    fifo("lvs_notify_fifo", "lvs_notify_fifo PATH [USER [GROUP]]", |cx, n, d| {
        d.fifos.set(cx, n, FifoScope::Lvs);
    }),
    fifo("notify_fifo_script", "notify_fifo_script COMMAND [USER [GROUP]]", |cx, n, d| {
        d.fifos.set_reader(cx, n, FifoScope::All);
    }),
    fifo("vrrp_notify_fifo_script", "vrrp_notify_fifo_script COMMAND [USER [GROUP]]", |cx, n, d| {
        d.fifos.set_reader(cx, n, FifoScope::Vrrp);
    }),
    fifo("lvs_notify_fifo_script", "lvs_notify_fifo_script COMMAND [USER [GROUP]]", |cx, n, d| {
        d.fifos.set_reader(cx, n, FifoScope::Lvs);
    }),
    Keyword::boolean("vrrp_notify_priority_changes", "vrrp_notify_priority_changes [on|off]", |cx, n, d| {
        d.notify_priority_changes = cx.boolean(n).unwrap_or_default();
    }),
    Keyword::flag("fifo_write_vrrp_states_on_reload", |cx, n, _| cx.no_effect(Subject::Reload, n)),
    // The table of services.
    Keyword::words("lvs_sync_daemon", SYNC, 1, 13, |cx, n, d: &mut Draft| d.lvs.set_sync(cx, n))
        .first_holds(),
    Keyword::words(
        "lvs_timeouts",
        "lvs_timeouts [tcp SECONDS] [tcpfin SECONDS] [udp SECONDS]",
        1,
        6,
        |cx, n, d| d.lvs.set_timeouts(cx, n),
    ),
    Keyword::flag("lvs_flush", |_, _, d| d.lvs.set_flush()),
    Keyword::words("lvs_flush_on_stop", "lvs_flush_on_stop [VS]", 0, 1, |cx, n, d| {
        d.lvs.set_flush_on_stop(cx, n);
    }),
    Keyword::words("lvs_flush_onstop", "lvs_flush_onstop [VS]", 0, 1, |cx, n, d: &mut Draft| {
        d.lvs.set_flush_on_stop(cx, n);
    })
    .sets("lvs_flush_on_stop"),
    // VRRP: what instances inherit.
    Keyword::value("vrrp_version", "vrrp_version 2|3", |cx, n, d| d.version = version(cx, n)),
    Keyword::value("vrrp_mcast_group4", "vrrp_mcast_group4 224.0.0.18", |cx, n, d| {
        if let Some(IpAddr::V4(group)) = cx.group(n) {
            d.mcast_group4 = Some(group);
        }
    }),
    Keyword::value("vrrp_mcast_group6", "vrrp_mcast_group6 ff02::12", |cx, n, d| {
        if let Some(IpAddr::V6(group)) = cx.group(n) {
            d.mcast_group6 = Some(group);
        }
    }),
    Keyword::flag("vrrp_check_unicast_src", |_, _, d| d.check_unicast_src = true),
    Keyword::boolean("vrrp_skip_check_adv_addr", "vrrp_skip_check_adv_addr [on|off]", |cx, n, d| {
        d.skip_check_adv_addr = cx.boolean(n).unwrap_or_default();
    }),
    Keyword::flag("vrrp_strict", |_, n, d| d.strict = Some(n.keyword.span)),
    Keyword::boolean("v3_checksum_as_v2", "v3_checksum_as_v2 [on|off]", |cx, n, d| {
        d.plain_checksum = cx.boolean(n).unwrap_or_default();
    }),
    Keyword::value("vrrp_down_timer_adverts", "vrrp_down_timer_adverts 1-100", |cx, n, d| {
        d.down_timer_adverts = cx.number_u8("vrrp_down_timer_adverts", first(n), 1..=100);
    }),
    Keyword::boolean("vrrp_lower_prio_no_advert", "vrrp_lower_prio_no_advert [on|off]", |cx, n, d| {
        d.lower_prio_no_advert = cx.boolean(n).unwrap_or_default();
    }),
    Keyword::boolean("vrrp_higher_prio_send_advert", "vrrp_higher_prio_send_advert [on|off]", |cx, n, d| {
        d.higher_prio_send_advert = cx.boolean(n).unwrap_or_default();
    }),
    Keyword::boolean("vrrp_owner_ignore_adverts", "vrrp_owner_ignore_adverts [on|off]", |cx, n, d| {
        d.owner_ignore_adverts = cx.boolean(n);
    }),
    Keyword::value("vrrp_garp_master_delay", "vrrp_garp_master_delay SECONDS", |cx, n, d| {
        d.garp.set_delay(cx, n);
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
        |cx, n, d| d.garp.set_refresh_repeat(cx, n),
    ),
    Keyword::value("vrrp_garp_lower_prio_delay", "vrrp_garp_lower_prio_delay SECONDS", |cx, n, d| {
        d.garp.set_lower_prio_delay(cx, n);
    }),
    Keyword::value("vrrp_garp_lower_prio_repeat", "vrrp_garp_lower_prio_repeat PACKETS", |cx, n, d| {
        d.garp.set_lower_prio_repeat(cx, n);
    }),
    Keyword::boolean("vrrp_min_garp", "vrrp_min_garp [on|off]", |cx, n, d| {
        d.min_garp = cx.boolean(n).unwrap_or_default();
    }),
    extra("vrrp_garp_extra_if", "vrrp_garp_extra_if SECONDS"),
    extra("vrrp_vmac_garp_intvl", "vrrp_vmac_garp_intvl SECONDS"),
    Keyword::value("vrrp_garp_interval", "vrrp_garp_interval SECONDS", |cx, n, d| {
        d.pacing.arp = spacing(cx, n);
    }),
    Keyword::value("vrrp_gna_interval", "vrrp_gna_interval SECONDS", |cx, n, d| {
        d.pacing.neighbour = spacing(cx, n);
    }),
    // VRRP: the daemon.
    Keyword::value("vrrp_startup_delay", "vrrp_startup_delay SECONDS", |cx, n, d| {
        d.startup_delay = cx.seconds(n, MILLISECOND, LONGEST);
    }),
    Keyword::value("vrrp_delay_after_boot", "vrrp_delay_after_boot SECONDS", |cx, n, d| {
        d.delay_after_boot = cx.seconds(n, MILLISECOND, LONGEST);
    }),
    Keyword::flag("log_unknown_vrids", |_, _, d| d.log_unknown_vrids = true),
    // An interface that is not there, or comes again as another one, is never an error here.
    Keyword::words("dynamic_interfaces", "dynamic_interfaces [allow_if_changes]", 0, 1, |cx, n, _| {
        if let Some(word) = n.args.first() {
            let _ = cx.one_of("dynamic_interfaces", word, &[("allow_if_changes", ())]);
        }
    }),
    Keyword::value("vrrp_priority", "vrrp_priority -20-19", |cx, n, d| {
        d.scheduling.niceness = cx.niceness(n);
    }),
    Keyword::value("vrrp_rt_priority", "vrrp_rt_priority 1-99", |cx, n, d| {
        d.scheduling.realtime = cx.number_u8("vrrp_rt_priority", first(n), 1..=99);
    }),
    limit("vrrp_rlimit_rttime", "vrrp_rlimit_rttime MICROSECONDS"),
    limit("vrrp_rlimit_rtime", "vrrp_rlimit_rtime MICROSECONDS"),
    Keyword::flag("vrrp_no_swap", |_, _, d| d.scheduling.no_swap = true),
    Keyword::words("vrrp_cpu_affinity", "vrrp_cpu_affinity CPU …", 1, MAX_PROCESSORS, |cx, n, d| {
        let numbers = n.args.iter().filter_map(|word| {
            let number = cx.number("vrrp_cpu_affinity", word, 0..=MAX_PROCESSOR)?;
            u16::try_from(number).ok()
        });
        d.scheduling.processors = numbers.collect();
    }),
    // What only reports somewhere.
    Keyword::block("notification_email", "notification_email { ADDRESS … }", 0, 0, mail),
    Keyword::value("notification_email_from", "notification_email_from ADDRESS", mail),
    Keyword::words("smtp_server", "smtp_server HOST [PORT]", 1, 2, mail),
    Keyword::value("smtp_helo_name", "smtp_helo_name NAME", mail),
    Keyword::value("smtp_connect_timeout", "smtp_connect_timeout SECONDS", |cx, n, d| {
        if cx.seconds(n, Duration::ZERO, LONGEST).is_some() {
            mail(cx, n, d);
        }
    }),
    mail_switch("smtp_alert", "smtp_alert [on|off]"),
    mail_switch("smtp_alert_vrrp", "smtp_alert_vrrp [on|off]"),
    mail_switch("smtp_alert_checker", "smtp_alert_checker [on|off]"),
    Keyword::flag("no_email_faults", mail),
    Keyword::flag("no_checker_emails", mail),
    Keyword::value("snmp_socket", "snmp_socket ADDRESS", snmp),
    Keyword::flag("enable_snmp_vrrp", snmp),
    Keyword::flag("enable_snmp_keepalived", snmp),
    Keyword::flag("enable_snmp_checker", snmp),
    Keyword::flag("enable_snmp_rfc", snmp),
    Keyword::flag("enable_snmp_rfcv2", snmp),
    Keyword::flag("enable_snmp_rfcv3", snmp),
    Keyword::flag("enable_traps", snmp),
    Keyword::value("snmp_vs_stats_update_interval", "snmp_vs_stats_update_interval SECONDS", snmp),
    Keyword::value("snmp_rs_stats_update_interval", "snmp_rs_stats_update_interval SECONDS", snmp),
    Keyword::flag("enable_dbus", dbus),
    Keyword::value("dbus_service_name", "dbus_service_name NAME", dbus),
    Keyword::value("dbus_no_interface_name", "dbus_no_interface_name NAME", dbus),
    // How keepalived's processes look and are treated.
    Keyword::flag("process_names", names),
    Keyword::value("process_name", "process_name NAME", names),
    Keyword::value("vrrp_process_name", "vrrp_process_name NAME", names),
    Keyword::value("checker_process_name", "checker_process_name NAME", names),
    Keyword::value("lvs_process_name", "lvs_process_name NAME", names),
    Keyword::value("bfd_process_name", "bfd_process_name NAME", names),
    Keyword::value("tmp_config_directory", "tmp_config_directory DIRECTORY", files),
    Keyword::value("config_save_dir", "config_save_dir DIRECTORY", files),
    // Neither instance names nor network namespaces can be given yet.
    Keyword::boolean("data_use_instance", "data_use_instance [on|off]", |cx, n, _| {
        if cx.boolean(n) == Some(true) {
            cx.no_effect(Subject::InstanceNames, n);
        }
    }),
    Keyword::value("state_dump_file", "state_dump_file /PATH", |cx, n, d| d.dumps.data = cx.dump_file(n)),
    Keyword::value("stats_dump_file", "stats_dump_file /PATH", |cx, n, d| d.dumps.stats = cx.dump_file(n)),
    Keyword::value("json_dump_file", "json_dump_file /PATH", |cx, n, d| d.dumps.json = cx.dump_file(n)),
    Keyword::value("json_version", "json_version 1|2", |cx, n, d| {
        let versions = [("1", JsonVersion::Array), ("2", JsonVersion::Object)];
        d.dumps.json_version = cx.one_of("json_version", first(n), &versions).unwrap_or_default();
    }),
    Keyword::value("checker_priority", "checker_priority -20-19", |cx, n, d| {
        if cx.niceness(n).is_some() {
            processes(cx, n, d);
        }
    }),
    Keyword::value("bfd_priority", "bfd_priority -20-19", |cx, n, d| {
        if cx.niceness(n).is_some() {
            processes(cx, n, d);
        }
    }),
    Keyword::flag("checker_no_swap", processes),
    Keyword::flag("bfd_no_swap", processes),
    Keyword::value("checker_rt_priority", "checker_rt_priority 1-99", processes),
    Keyword::value("bfd_rt_priority", "bfd_rt_priority 1-99", processes),
    Keyword::value("checker_rlimit_rttime", "checker_rlimit_rttime MICROSECONDS", processes),
    Keyword::value("checker_rlimit_rtime", "checker_rlimit_rtime MICROSECONDS", processes)
        .sets("checker_rlimit_rttime"),
    Keyword::value("bfd_rlimit_rttime", "bfd_rlimit_rttime MICROSECONDS", processes),
    Keyword::value("bfd_rlimit_rtime", "bfd_rlimit_rtime MICROSECONDS", processes).sets("bfd_rlimit_rttime"),
    Keyword::words("checker_cpu_affinity", "checker_cpu_affinity CPU …", 1, MAX_PROCESSORS, processes),
    Keyword::words("bfd_cpu_affinity", "bfd_cpu_affinity CPU …", 1, MAX_PROCESSORS, processes),
    Keyword::words("max_auto_priority", "max_auto_priority [-1-99]", 0, 1, automatic),
    Keyword::value("min_auto_priority_delay", "min_auto_priority_delay MICROSECONDS", automatic),
    Keyword::value("vrrp_rx_bufs_policy", "vrrp_rx_bufs_policy MTU|ADVERT|BYTES", |cx, n, _| {
        let word = first(n);
        let named = matches!(&*word.text, "MTU" | "ADVERT");
        if named || cx.number("vrrp_rx_bufs_policy", word, 0..=u64::from(u32::MAX)).is_some() {
            cx.no_effect(Subject::Buffers, n);
        }
    }),
    Keyword::value("vrrp_rx_bufs_multiplier", "vrrp_rx_bufs_multiplier NUMBER", |cx, n, _| {
        if cx.number("vrrp_rx_bufs_multiplier", first(n), 1..=u64::from(u32::MAX)).is_some() {
            cx.no_effect(Subject::Buffers, n);
        }
    }),
    buffer("vrrp_netlink_cmd_rcv_bufs", "vrrp_netlink_cmd_rcv_bufs BYTES"),
    buffer("vrrp_netlink_monitor_rcv_bufs", "vrrp_netlink_monitor_rcv_bufs BYTES"),
    buffer("lvs_netlink_cmd_rcv_bufs", "lvs_netlink_cmd_rcv_bufs BYTES"),
    buffer("lvs_netlink_monitor_rcv_bufs", "lvs_netlink_monitor_rcv_bufs BYTES"),
    buffer("process_monitor_rcv_bufs", "process_monitor_rcv_bufs BYTES"),
    buffer_switch("vrrp_netlink_cmd_rcv_bufs_force", "vrrp_netlink_cmd_rcv_bufs_force [on|off]"),
    buffer_switch("vrrp_netlink_monitor_rcv_bufs_force", "vrrp_netlink_monitor_rcv_bufs_force [on|off]"),
    buffer_switch("lvs_netlink_cmd_rcv_bufs_force", "lvs_netlink_cmd_rcv_bufs_force [on|off]"),
    buffer_switch("lvs_netlink_monitor_rcv_bufs_force", "lvs_netlink_monitor_rcv_bufs_force [on|off]"),
    buffer_switch("process_monitor_rcv_bufs_force", "process_monitor_rcv_bufs_force [on|off]"),
    // What only other keywords need, and those are refused.
    Keyword::words("nftables", "nftables [TABLE]", 0, 1, firewall),
    Keyword::value("nftables_priority", "nftables_priority PRIORITY", firewall),
    Keyword::flag("nftables_counters", firewall),
    Keyword::flag("nftables_ifindex", firewall),
    Keyword::words("vrrp_iptables", "vrrp_iptables [IN [OUT]]", 0, 2, firewall),
    Keyword::words("vrrp_ipsets", "vrrp_ipsets [NAME …]", 0, 6, firewall),
    Keyword::value("vmac_prefix", "vmac_prefix NAME", |cx, n, _| cx.no_effect(Subject::Vmac, n)),
    Keyword::value("vmac_addr_prefix", "vmac_addr_prefix NAME", |cx, n, _| cx.no_effect(Subject::Vmac, n)),
    Keyword::value("default_interface", "default_interface eth0", |cx, n, _| {
        if cx.interface("default_interface", first(n)).is_some() {
            cx.no_effect(Subject::Static, n);
        }
    }),
    Keyword::flag("linkbeat_use_polling", |cx, n, _| cx.no_effect(Subject::Polling, n)),
];

/// Between announcements. keepalived drops 0, with a message; it is in the sample file that it ships.
fn spacing(cx: &mut Cx<'_>, node: &Node) -> Duration {
    let Some(spacing) = cx.seconds(node, Duration::ZERO, LONGEST) else { return Duration::ZERO };
    if spacing.is_zero() {
        let message =
            format!("`{}` is at least 0.000001: it is left out, as in keepalived", &node.keyword.text);
        cx.instead(first(node), message, "announcements leave without a pause between them");
    }
    spacing
}

/// `2` or `3`
pub(in crate::conf::check) fn version(cx: &mut Cx<'_>, node: &Node) -> Option<Version> {
    cx.one_of(&node.keyword.text, first(node), &[("2", Version::V2), ("3", Version::V3)])
}

const fn fifo(
    name: &'static str,
    syntax: &'static str,
    apply: fn(&mut Cx<'_>, &Node, &mut Draft),
) -> Keyword<Draft> {
    Keyword::words(name, syntax, 1, 3, apply).first_holds()
}

const fn extra(name: &'static str, syntax: &'static str) -> Keyword<Draft> {
    Keyword::words(name, syntax, 1, 2, |cx: &mut Cx<'_>, n: &Node, _: &mut Draft| cx.extra_interfaces(n, 1))
        .sets("vrrp_garp_extra_if")
}

const fn limit(name: &'static str, syntax: &'static str) -> Keyword<Draft> {
    let keyword = Keyword::value(name, syntax, |cx: &mut Cx<'_>, n: &Node, d: &mut Draft| {
        // keepalived makes 2 of 1, which the kernel takes for no limit.
        let limit = cx.number(&n.keyword.text, first(n), 1..=u64::from(u32::MAX));
        d.scheduling.realtime_limit = limit.map(|limit| Duration::from_micros(limit.max(2)));
    });
    keyword.sets("vrrp_rlimit_rttime")
}

const fn mail_switch(name: &'static str, syntax: &'static str) -> Keyword<Draft> {
    Keyword::boolean(name, syntax, |cx, n, d| {
        if cx.boolean(n).is_some() {
            mail(cx, n, d);
        }
    })
}

const fn buffer(name: &'static str, syntax: &'static str) -> Keyword<Draft> {
    Keyword::value(name, syntax, |cx, n, _| {
        if cx.number(&n.keyword.text, first(n), 0..=u64::from(u32::MAX)).is_some() {
            cx.no_effect(Subject::Buffers, n);
        }
    })
}

const fn buffer_switch(name: &'static str, syntax: &'static str) -> Keyword<Draft> {
    Keyword::boolean(name, syntax, |cx, n, _| {
        if cx.boolean(n).is_some() {
            cx.no_effect(Subject::Buffers, n);
        }
    })
}

fn mail(cx: &mut Cx<'_>, node: &Node, _: &mut Draft) {
    cx.no_effect(Subject::Mail, node);
}

fn snmp(cx: &mut Cx<'_>, node: &Node, _: &mut Draft) {
    cx.no_effect(Subject::Snmp, node);
}

fn dbus(cx: &mut Cx<'_>, node: &Node, _: &mut Draft) {
    cx.no_effect(Subject::Dbus, node);
}

fn names(cx: &mut Cx<'_>, node: &Node, _: &mut Draft) {
    cx.no_effect(Subject::ProcessNames, node);
}

fn files(cx: &mut Cx<'_>, node: &Node, _: &mut Draft) {
    cx.no_effect(Subject::Files, node);
}

fn processes(cx: &mut Cx<'_>, node: &Node, _: &mut Draft) {
    cx.no_effect(Subject::OtherProcesses, node);
}

fn automatic(cx: &mut Cx<'_>, node: &Node, _: &mut Draft) {
    cx.no_effect(Subject::AutoPriority, node);
}

fn firewall(cx: &mut Cx<'_>, node: &Node, _: &mut Draft) {
    cx.no_effect(Subject::Firewall, node);
}

const MILLISECOND: Duration = Duration::from_millis(1);
/// What fits 32 bits of microseconds, as in keepalived.
const LONGEST: Duration = Duration::from_micros(4_294_967_295);
/// The kernel's sets of processors have no more bits (`CPU_SETSIZE`).
const MAX_PROCESSORS: usize = 1024;
const MAX_PROCESSOR: u64 = 1023;
