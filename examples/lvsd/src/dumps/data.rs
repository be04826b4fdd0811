//! How the virtual routers stand, as text: keepalived's labels where it has one, for programs that look for them.
//!
//! What is one value is `Label = value`, and comes first in its block; lists come last. Some readers of keepalived's file
//! give up a block at its first line without an equals sign.

use std::fmt::{self, Display, Write};
use std::time::Duration;

use lvs_core::{Family, Role};
use lvs_vrrp::{Fact, Stats, Status, TrackedKind};

use super::picture::{Date, InstancePicture, Picture, command};
use crate::conf::model::{Authentication, Delivery, InitialState, NotifyScripts};
use crate::conf::tracking::{ArgumentMatch, Track, TrackFile, TrackProcess, TrackScript};

/// The text of the file.
pub(super) fn text(picture: &Picture<'_>) -> String {
    let mut text = String::new();
    // It is written into memory, which does not fail.
    let _ = write(&mut text, picture);
    text
}

fn write(to: &mut String, picture: &Picture<'_>) -> fmt::Result {
    heading(to, "Global definitions")?;
    writeln!(to, " Program = lvsd {}", env!("CARGO_PKG_VERSION"))?;
    writeln!(to, " Written at = {}", Date(picture.wall))?;
    if let Some(id) = &picture.config.global.router_id {
        writeln!(to, " Router ID = {id}")?;
    }
    if !picture.instances.is_empty() {
        heading(to, "VRRP Topology")?;
        for instance in &picture.instances {
            write_instance(to, picture, instance)?;
        }
        write_groups(to, picture)?;
        write_tracked(to, picture)?;
        write_interfaces(to, picture)?;
    }
    Ok(())
}

fn heading(to: &mut String, name: &str) -> fmt::Result {
    writeln!(to, "------< {name} >------")
}

/// Lines of a block.
struct Lines<'t>(&'t mut String);

impl Lines<'_> {
    fn value(&mut self, label: &str, value: impl Display) -> fmt::Result {
        writeln!(self.0, "   {label} = {value}")
    }

    fn list(&mut self, label: impl Display, items: impl IntoIterator<Item = String>) -> fmt::Result {
        let mut items = items.into_iter().peekable();
        if items.peek().is_some() {
            writeln!(self.0, "   {label}:")?;
        }
        items.try_for_each(|item| writeln!(self.0, "     {item}"))
    }
}

fn write_instance(to: &mut String, picture: &Picture<'_>, instance: &InstancePicture<'_>) -> fmt::Result {
    let (config, status) = (instance.config, &instance.status);
    writeln!(to, " VRRP Instance = {}", config.name)?;
    let mut lines = Lines(to);
    lines.value("VRRP Version", instance.version())?;
    if let Some(group) = instance.group {
        lines.value("Sync group", &group.name)?;
    }
    lines.value("State", status.role)?;
    if let (Role::Backup, Some(master)) = (status.role, status.master) {
        lines.value("Master router", master)?;
        if let Some(priority) = status.master_priority {
            lines.value("Master priority", priority)?;
        }
    }
    lines.value("Wantstate", status.role)?;
    lines.value("Last transition", Date(picture.wall_of(status.since)))?;
    lines.value("Master down timer", format_args!("{} usecs", instance.master_down().as_micros()))?;
    lines.value("Interface", &config.interface)?;
    write_delivery(&mut lines, instance)?;
    write_garp(&mut lines, instance)?;
    lines.value("Down timer adverts", config.down_timer_adverts)?;
    let answers = config.answers;
    lines.value("Send advert after receive lower priority advert", !answers.lower_prio_no_advert)?;
    lines.value("Send advert after receive higher priority advert", answers.higher_prio_send_advert)?;
    lines.value("Virtual Router ID", config.virtual_router_id)?;
    lines.value("Priority", config.priority)?;
    lines.value("Effective priority", status.priority)?;
    if let Some(explanation) = &instance.explanation {
        lines.value("Priority explained", explanation)?;
    }
    lines.value("Advert interval", Time(config.advert_interval))?;
    if status.role == Role::Backup && status.master_interval.duration() != config.advert_interval {
        lines.value("Master advert interval", Time(status.master_interval.duration()))?;
    }
    write_election(&mut lines, instance)?;
    write_conflict(&mut lines, picture, status)?;
    write_counts(&mut lines, &instance.stats)?;
    write_lists(&mut lines, instance)
}

fn write_delivery(lines: &mut Lines<'_>, instance: &InstancePicture<'_>) -> fmt::Result {
    let config = instance.config;
    let (source, is_given) = match &config.delivery {
        Delivery::Multicast { source, .. } | Delivery::Unicast { source, .. } => {
            (instance.status.source.or(*source), source.is_some())
        }
    };
    match source {
        Some(source) if is_given => {
            lines.value("Using src_ip", format_args!("{source} (from configuration)"))?
        }
        Some(source) => lines.value("Using src_ip", source)?,
        None => lines.value("Using src_ip", "(none)")?,
    }
    match config.family {
        Family::Ipv4 => {}
        Family::Ipv6 => lines.value("Family", "IPv6")?,
    }
    match &config.delivery {
        Delivery::Multicast { group, .. } => lines.value("Multicast address", group),
        Delivery::Unicast { ttl, check_source, .. } => {
            lines.value("Unicast TTL", ttl)?;
            lines.value("Check unicast src", yes(*check_source))
        }
    }
}

fn write_garp(lines: &mut Lines<'_>, instance: &InstancePicture<'_>) -> fmt::Result {
    let garp = instance.config.garp;
    lines.value("Gratuitous ARP delay", garp.delay.as_secs())?;
    lines.value("Gratuitous ARP repeat", garp.repeat)?;
    lines.value("Gratuitous ARP refresh", garp.refresh.unwrap_or_default().as_secs())?;
    lines.value("Gratuitous ARP refresh repeat", garp.refresh_repeat)?;
    lines.value("Gratuitous ARP lower priority delay", garp.lower_prio_delay.as_secs())?;
    lines.value("Gratuitous ARP lower priority repeat", garp.lower_prio_repeat)
}

fn write_election(lines: &mut Lines<'_>, instance: &InstancePicture<'_>) -> fmt::Result {
    let config = instance.config;
    lines.value("Accept", "enabled")?;
    lines.value("Preempt", if config.preempt { "enabled" } else { "disabled" })?;
    if !config.preempt_delay.is_zero() {
        lines.value("Preempt delay", format_args!("{} secs", config.preempt_delay.as_secs_f64()))?;
    }
    match config.state {
        InitialState::Master => lines.value("Initial state", "MASTER")?,
        InitialState::Backup => {}
    }
    let (authentication, has_secret) = match &config.authentication {
        None => ("none", false),
        Some(Authentication::Pass(_)) => ("SIMPLE_PASSWORD", true),
        Some(Authentication::Ah(_)) => ("IPSEC_AH", true),
    };
    lines.value("Authentication type", authentication)?;
    if has_secret { lines.value("Password", super::MASK) } else { Ok(()) }
}

fn write_conflict(lines: &mut Lines<'_>, picture: &Picture<'_>, status: &Status) -> fmt::Result {
    let Some(conflict) = status.conflict else { return lines.value("Conflict", "none") };
    lines.value(
        "Conflict",
        format_args!(
            "{} is master too, with priority {}: {}; since {}",
            conflict.other,
            conflict.priority,
            conflict.verdict.as_str(),
            Date(picture.wall_of(conflict.since))
        ),
    )
}

/// What keepalived has no counters for, as far as it happened.
fn write_counts(lines: &mut Lines<'_>, stats: &Stats) -> fmt::Result {
    let counts = [
        ("Conflicts", stats.conflicts),
        ("Send errors", stats.send_errors),
        ("Message only checksums", stats.message_only_checksums),
        ("Old unicast checksums", stats.old_unicast_checksums),
        ("Not link-local first", stats.not_link_local_first),
    ];
    for (label, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        lines.value(label, count)?;
    }
    write_refusals(lines, stats)
}

fn write_refusals(lines: &mut Lines<'_>, stats: &Stats) -> fmt::Result {
    let mut refusals = stats.refusals();
    refusals.try_for_each(|(refusal, count)| lines.value(&format!("Refused, {refusal}"), count))
}

fn write_lists(lines: &mut Lines<'_>, instance: &InstancePicture<'_>) -> fmt::Result {
    let config = instance.config;
    let count = config.addresses.len();
    let addresses = config.addresses.iter().map(|address| instance.address(address));
    lines.list(format_args!("Virtual IP ({count})"), addresses)?;
    lines.list("Virtual IP Excluded ", config.excluded.iter().map(|address| instance.address(address)))?;
    if let Delivery::Unicast { peers, .. } = &config.delivery {
        let peers = peers.iter().map(|peer| {
            let (least, most) = (peer.min_ttl.unwrap_or(0), peer.max_ttl.unwrap_or(u8::MAX));
            format!("{} min_ttl {least} max_ttl {most}", peer.address)
        });
        lines.list("Unicast Peer ", peers)?;
    }
    for (kind, label) in KINDS {
        lines.list(format_args!("{label} "), instance.tracks(kind).map(tracked))?;
    }
    lines.list("Notify scripts ", notify(&config.notify))
}

fn notify(scripts: &NotifyScripts) -> Vec<String> {
    let scripts = scripts.each().into_iter();
    scripts
        .filter_map(|(keyword, script)| Some(format!("{keyword} {}", command(&script.as_ref()?.command))))
        .collect()
}

/// keepalived has a comma in some of these lists.
fn tracked(track: &Track) -> String {
    let comma = match track.kind {
        TrackedKind::Process | TrackedKind::File => ",",
        _ => "",
    };
    let reverse = if track.reverse { " reverse" } else { "" };
    format!("{}{comma} weight {}{reverse}", track.name, track.weight)
}

fn write_groups(to: &mut String, picture: &Picture<'_>) -> fmt::Result {
    if picture.config.groups.is_empty() {
        return Ok(());
    }
    heading(to, "VRRP Sync groups")?;
    for (group, role) in picture.groups() {
        writeln!(to, " VRRP Sync Group = {}, {role}", group.name)?;
        let mut lines = Lines(to);
        lines.list("VRRP member instances ", group.members.iter().cloned())?;
        lines.list("Notify scripts ", notify(&group.notify))?;
    }
    Ok(())
}

fn write_tracked(to: &mut String, picture: &Picture<'_>) -> fmt::Result {
    let config = picture.config;
    if !config.scripts.is_empty() {
        heading(to, "VRRP Scripts")?;
        config.scripts.iter().try_for_each(|script| write_script(to, picture, script))?;
    }
    if !config.processes.is_empty() {
        heading(to, "VRRP Track processes")?;
        config.processes.iter().try_for_each(|process| write_process(to, picture, process))?;
    }
    if !config.files.is_empty() {
        heading(to, "VRRP Track files")?;
        config.files.iter().try_for_each(|file| write_file(to, picture, file))?;
    }
    Ok(())
}

fn write_script(to: &mut String, picture: &Picture<'_>, script: &TrackScript) -> fmt::Result {
    writeln!(to, " VRRP Script = {}", script.name)?;
    let mut lines = Lines(to);
    lines.value("Command", command(&script.script.command))?;
    lines.value("Interval", Time(script.interval))?;
    lines.value("Timeout", Time(script.timeout))?;
    lines.value("Rise", script.rise)?;
    lines.value("Fall", script.fall)?;
    let fact = picture.fact(TrackedKind::Script, &script.name);
    lines.value("Init state", if fact == Fact::Unknown { "INIT" } else { "unknown" })?;
    lines.value("Status", if fact == Fact::Up { "GOOD" } else { "BAD" })?;
    let is_running = picture.running.contains(&*script.name);
    lines.value("State", if is_running { "running" } else { "idle" })?;
    write_trackers(&mut lines, picture, TrackedKind::Script, &script.name)
}

fn write_process(to: &mut String, picture: &Picture<'_>, process: &TrackProcess) -> fmt::Result {
    writeln!(to, " VRRP Track process = {}", process.name)?;
    let mut lines = Lines(to);
    lines.value("Process", process.command.join(" "))?;
    if let Some(arguments) = process.arguments {
        lines.value("Param match", arguments_match(arguments))?;
    }
    lines.value("Min processes", process.quorum.start())?;
    if *process.quorum.end() != u32::MAX {
        lines.value("Max processes", process.quorum.end())?;
    }
    lines.value("Have quorum", picture.fact(TrackedKind::Process, &process.name) == Fact::Up)?;
    lines.value("Terminate delay", format_args!("{:.6}s", process.terminate_delay.as_secs_f64()))?;
    lines.value("Fork delay", format_args!("{:.6}s", process.fork_delay.as_secs_f64()))?;
    lines.value("Full command", process.full_command)?;
    write_trackers(&mut lines, picture, TrackedKind::Process, &process.name)
}

pub(super) fn arguments_match(arguments: ArgumentMatch) -> &'static str {
    match arguments {
        ArgumentMatch::Exact => "exact",
        ArgumentMatch::Initial => "initial",
        ArgumentMatch::Partial => "partial",
    }
}

fn write_file(to: &mut String, picture: &Picture<'_>, file: &TrackFile) -> fmt::Result {
    writeln!(to, " Track file = {}", file.name)?;
    let mut lines = Lines(to);
    lines.value("File", file.path.display())?;
    match picture.fact(TrackedKind::File, &file.name) {
        Fact::Value(value) => lines.value("Status", value)?,
        Fact::Unknown | Fact::Up | Fact::Down => lines.value("Status", "unknown")?,
    }
    write_trackers(&mut lines, picture, TrackedKind::File, &file.name)
}

fn write_trackers(
    lines: &mut Lines<'_>,
    picture: &Picture<'_>,
    kind: TrackedKind,
    name: &str,
) -> fmt::Result {
    let trackers = picture.trackers(kind, name);
    let texts: Vec<String> =
        trackers.map(|(instance, track)| format!("{instance}, weight {}", track.weight)).collect();
    lines.list("Tracking instances ", texts)
}

fn write_interfaces(to: &mut String, picture: &Picture<'_>) -> fmt::Result {
    heading(to, "Interfaces")?;
    for (name, stats) in &picture.interfaces {
        writeln!(to, " Name = {name}")?;
        write_refusals(&mut Lines(to), stats)?;
    }
    Ok(())
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

/// A time as keepalived writes it: in seconds if they are whole, else in milliseconds.
struct Time(Duration);

impl Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.subsec_nanos() == 0 {
            write!(f, "{} sec", self.0.as_secs())
        } else {
            write!(f, "{} milli-sec", self.0.as_millis())
        }
    }
}

const KINDS: [(TrackedKind, &str); 4] = [
    (TrackedKind::Interface, "Tracked interfaces"),
    (TrackedKind::Script, "Tracked scripts"),
    (TrackedKind::File, "Tracked files"),
    (TrackedKind::Process, "Tracked processes"),
];
